"""Several processes, one run: the place of a process among them, and what they tell each other.

Of torchrun (`torchrun --nproc-per-node 2 train.py ...`) every process draws a batch that is as many times larger as
there are processes; those that `nar train` spawns on a CPU (shared_batch.py) draw the batch as it is. Each takes its
share. Losses are divided by the numbers of entries in the whole batch, and gradients are summed over all processes: a
step is, up to rounding, that of one process with the whole batch, whatever the lengths of the samples in the shares.
(Averaging the processes' own averages would not be: a share with few long samples would weigh as much as one with
many.)
"""

import contextlib
import dataclasses
import datetime
import math
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from nar.model.batch import Batch

PATIENCE = datetime.timedelta(seconds=1)  # of silence, after which a process looks whether the others are alive
FOREVER = datetime.timedelta(days=7)  # others wait while the first process validates or saves, or is suspended
# what takes time beside the steps of the graphs, in steps of one graph (measured with triplet_gmpnn on a Xeon):
PER_STEP = 80  # over N: a step, however few its graphs
PER_GRAPH = 0.4  # a graph, however few its steps: its outputs

abandoned: list[threading.Thread] = []  # those that wait for the dead: with one, PyTorch cannot connect another group


class Disconnected(ConnectionError):
    """Another process of the run is gone."""


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are; a single one (0 of 1) has nobody to tell anything."""

    rank: int = 0
    world: int = 1
    folder: Path | None = None  # where processes that share the settings' batch meet; None: those of torchrun
    watch: Callable[[], None] | None = None  # raises Disconnected where another process has ended

    @property
    def first(self) -> bool:
        """Is this the process that writes files and talks?"""
        return self.rank == 0

    @property
    def batches(self) -> int:
        """How many batches of the settings' size all processes compute together."""
        return self.world if self.folder is None else 1

    def meet(self) -> None:
        """Connect the processes that share a batch; the others say first that they are ready."""
        assert self.folder is not None
        if not self.first:
            (self.folder / f"{self.rank}.ready").touch()
        place = {"init_method": f"file://{self.folder / 'store'}", "rank": self.rank, "world_size": self.world}
        # PyTorch numbers its groups, also those that came to nothing, and waits forever for who has another number
        dist.distributed_c10d._world.group_count = 0  # looked up here: some builds of PyTorch have no such module
        with _loopback():
            self._watched(lambda: dist.init_process_group("gloo", timeout=FOREVER, **place))

    def leave(self) -> None:
        """Part from the other processes, after the last step that is taken together."""
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()

    def share(self, batch: Batch) -> Batch:
        """This process's samples of a batch, whose graphs are sorted by steps: all shares should take equally long."""
        if self.world == 1:
            return batch
        samples = range(self.rank, len(batch), self.world)  # dealt out like cards
        if self.folder is not None:
            steps = [max(1, length - 1) for length in batch.lengths]
            if cuts := cut(steps, self.world, PER_STEP / batch.nodes, PER_GRAPH):
                samples = range(*cuts[self.rank : self.rank + 2])
        return dataclasses.replace(batch.rows(samples), whole=batch)

    def validation_share(self, draw: Callable[[], list[list[Batch]]]) -> list[list[Batch]] | None:
        """What this process validates on, of several tasks; None: nothing. Of torchrun the first one does it all."""
        if self.folder is None:
            return draw() if self.first else None
        sets = draw()
        if any(len(batch) < self.world for batches in sets for batch in batches):
            return sets if self.first else None
        return [[self.share(batch) for batch in batches] for batches in sets]

    def gathered(self, value: Any) -> list[Any]:
        """In the first process, what all give that take shares of the validation, in their order."""
        if self.folder is None:
            return [value]
        self.sum(torch.zeros(1))  # who is gone is noticed here
        found = [None] * self.world if self.first else None
        with _connection():
            self._watched(lambda: dist.gather_object(value, found))
        return found or []

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each of them."""
        if self.world == 1:
            return values
        values = values.detach().clone(memory_format=torch.contiguous_format)
        with _connection():
            work = dist.all_reduce(values, async_op=True)
            assert work is not None
            while self.watch is not None and not work.is_completed():
                # a connection says that a process has died, unless one that it has started holds it open
                try:
                    work.wait(PATIENCE)
                except RuntimeError:
                    if not work.is_completed():
                        self.watch()
            work.wait()
        return values

    def _watched(self, call: Callable[[], Any]) -> None:
        """Do what waits for the others and cannot be asked whether it is done; who has died is noticed meanwhile."""
        if self.watch is None:
            call()
            return
        failed: list[BaseException] = []

        def do() -> None:
            try:
                call()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=do, daemon=True)  # which stays behind where it waits for the dead
        thread.start()
        while thread.join(PATIENCE.total_seconds()) or thread.is_alive():
            try:
                self.watch()
            except Disconnected:
                abandoned.append(thread)
                raise
        if failed:
            raise failed[0]

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
        summed = self.sum(torch.cat([*(part.flatten() for part in parts), known, loss.view(1)]))
        *gradients, known, loss = summed.split([*(part.numel() for part in parts), len(parts), 1])
        counts = known.tolist() if known.device.type == "cpu" else [1.0] * len(parts)
        for parameter, gradient, count in zip(parameters, gradients, counts, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if count else None
        if any(parameter.dtype != summed.dtype for parameter in parameters):
            return loss, [parameter.grad for parameter in parameters if parameter.grad is not None]
        return loss, [summed[: -len(parts) - 1]]

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process of torchrun does what follows before all others do: it makes files that they look for."""
        together = self.world > 1 and self.folder is None  # the others of a shared batch begin when all files are made
        if together and not self.first:
            dist.barrier()
        yield
        if together and self.first:
            dist.barrier()


SINGLE = Ranks()


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """Meet the other processes that torchrun started, if it did; each GPU is given to one of them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return SINGLE, device
    if device.type == "cuda" and device.index is not None:
        raise ValueError(f"--device {device}: every process of torchrun takes a GPU of its own; leave it away")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size()), device


def cut(steps: Sequence[int], world: int, per_step: float, per_graph: float) -> list[int] | None:
    """Where to cut a batch, whose graphs are sorted by steps, the longest first, for all shares to take equally long.

    A share takes the steps of all its graphs, `per_graph` for each of them, and `per_step` for each step of its
    longest: it pays that few graphs are long in one share only. None where cards are dealt as well: graphs of equal
    lengths.
    """
    before = np.cumsum([0.0, *(number + per_graph for number in steps)])
    # of a share from one graph to before another: rows begin it, columns end it; none is empty
    times = per_step * np.array([*steps, 0.0])[:, None] + before - before[:, None]
    times[np.tri(len(times), dtype=bool)] = math.inf
    # by number of shares: for every graph that they may end before, the time of the slowest, and where the last begins
    slowest, begins = times[0], []
    for _ in range(world - 1):
        after = np.maximum(slowest[:, None], times)
        begins.append(after.argmin(0))
        slowest = after.min(0)
    shares = (steps[rank::world] for rank in range(world))
    dealt = max(per_step * max(share) + sum(share) + per_graph * len(share) for share in shares)
    if slowest[-1] > dealt - 1e-6:  # of rounding
        return None
    cuts = [len(steps)]
    for row in reversed(begins):
        cuts.append(int(row[cuts[-1]]))
    return [0, *reversed(cuts)]


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    """What the library says of a lost connection is told apart from mistakes."""
    try:
        yield
    except RuntimeError as error:
        raise Disconnected(f"the connection to another process of this run is lost: {error}") from error


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Gloo is told to stay on this machine, whatever its name is and where that leads."""
    variable = "GLOO_SOCKET_IFNAME"
    before = os.environ.get(variable)
    os.environ[variable] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before
