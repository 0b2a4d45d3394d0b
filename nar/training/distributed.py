"""Several processes, one run: `torchrun --nproc-per-node 2 train.py ...`.

Every process draws the whole batch, as many times larger as there are processes, and takes its share of it. Losses are
divided by the numbers of entries in the whole batch, and gradients are summed over all processes: a step is, up to
rounding, that of one process with the larger batch, whatever the lengths of the samples in the shares. (Averaging the
processes' own averages would not be: a share with few long samples would weigh as much as one with many.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nar.model.batch import Batch


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are; alone (0 of 1) everything below does nothing."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Is this the process that writes files and talks?"""
        return self.rank == 0

    @property
    def batches(self) -> int:
        """How many batches of the settings' size all processes compute together."""
        return self.world

    def validation_share(self, draw: Callable[[], list[list[Batch]]]) -> list[list[Batch]] | None:
        """What this process validates on, of several tasks. Those of torchrun leave it all to the first."""
        return draw() if self.first else None

    def gathered(self, value: Any) -> list[Any]:
        """What all processes give that take shares of the validation, in their order."""
        return [value]

    def share(self, batch: Batch) -> Batch:
        """This process's samples of a batch. They are dealt out by length, so that all processes take equally long."""
        return batch if self.world == 1 else self.cut_out(batch, range(self.rank, len(batch), self.world))

    def cut_out(self, batch: Batch, samples: Sequence[int]) -> Batch:
        """Some samples of a batch, with the batch that they are a share of."""
        return dataclasses.replace(batch.rows(samples), whole=batch)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def sum_joined(self, parts: Sequence[Tensor]) -> Tensor:
        """The sum of vectors that are laid end to end."""
        return self.sum(torch.cat(list(parts)))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Does one of the processes say yes?"""
        return flag if self.world == 1 else bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def start_equal(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process: what is drawn may depend on the process."""
        if self.world > 1:
            for tensor in filter(torch.is_floating_point, tensors):
                tensor.data.copy_(self.sum(tensor if self.first else torch.zeros_like(tensor)))

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Replace every gradient by its sum over all processes; returns that of the losses, and all gradients.

        What no process has a gradient of has none afterwards, on a CPU; a GPU would be waited for, and has zeros there.
        Several processes return one long gradient, of which those of the parameters (of one type) are parts.
        """
        parameters = list(parameters)
        if self.world == 1:
            return loss, [parameter.grad for parameter in parameters if parameter.grad is not None]
        known = loss.new_tensor([parameter.grad is not None for parameter in parameters])
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        summed = self.sum_joined([*(part.flatten() for part in parts), known, loss.view(1)])
        *gradients, known, loss = summed.split([*(part.numel() for part in parts), len(parts), 1])
        counts = known.tolist() if known.device.type == "cpu" else [1.0] * len(parts)
        for parameter, gradient, count in zip(parameters, gradients, counts, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if count else None
        if any(parameter.dtype != summed.dtype for parameter in parameters):
            return loss, [parameter.grad for parameter in parameters if parameter.grad is not None]
        return loss, [summed[: -len(parts) - 1]]

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process does what follows before all others do: it makes files that they look for."""
        if self.world > 1 and not self.first:
            dist.barrier()
        yield
        if self.world > 1 and self.first:
            dist.barrier()

    def leave(self) -> None:
        """Part from the other processes, after the last step that is taken together."""
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()


ALONE = Ranks()


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """Meet the other processes that torchrun started, if it did; each GPU is given to one of them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks(), device
    if device.type == "cuda" and device.index is not None:
        raise ValueError(f"--device {device}: every process of torchrun takes a GPU of its own; leave it away")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size()), device
