"""Several processes, one run: `torchrun --nproc-per-node 2 train.py ...`.

Every process draws the whole batch, as many times larger as there are processes, and takes its share of it. Gradients
are summed over all processes, and so are the numbers of entries that losses are averaged over: a step is, up to
rounding, that of one process with the larger batch, whatever the lengths of the samples in the shares. (Averaging the
processes' own averages would not be: a share with few long samples would weigh as much as one with many.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nar.batch import Batch


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

    def share(self, batch: Batch) -> Batch:
        """This process's samples of a batch. They are dealt out by length, so that all processes take equally long."""
        return batch if self.world == 1 else batch.rows(range(self.rank, len(batch), self.world))

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def any(self, flag: bool, device: torch.device) -> bool:
        """Does one of the processes say yes?"""
        return flag if self.world == 1 else bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def start_equal(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process: what is drawn may depend on the process."""
        if self.world > 1:
            for tensor in filter(torch.is_floating_point, tensors):
                tensor.data.copy_(self.sum(tensor if self.first else torch.zeros_like(tensor)))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes. What none of them has stays None, on a CPU; a GPU would
        be waited for, and has zeros there."""
        if self.world == 1:
            return
        parameters = list(parameters)
        known = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        summed = self.sum(torch.cat([*(gradient.flatten() for gradient in gradients), known.to(gradients[0])]))
        *parts, known = summed.split([*(g.numel() for g in gradients), len(gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        if known.device.type == "cpu":
            for parameter, count in zip(parameters, known.tolist(), strict=True):
                if not count:
                    parameter.grad = None

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
