"""Processes that share every batch of a run on a CPU: one per core, hired and dismissed by the process that trains.

On graphs of the training sizes single operations are too small to be cut up among threads; a batch is not. Every
process computes the gradient of its share, as under torchrun (distributed.py), but the batch stays as large as it is.
What is summed lies in memory that all see, and is added up in the same order everywhere, so that parameters stay equal
bit for bit without being sent. Who has come how far is told through sockets, which also say when somebody has died.

The others are Python processes of their own, not copies: a script that calls `nar.training.loop` needs no `__main__`
guard.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import math
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.training.distributed import Ranks

ROOM = 2**22  # bytes of what one process hands in at a time
AT_MOST = 4  # processes, where their number is not given: the first steps of a share cost the same, however small it is
WORTH = 300  # steps of a run from which on a crew, which needs seconds to come, is worth the wait
# what else takes time, in steps of one graph (measured with triplet_gmpnn on a Xeon):
ALONGSIDE = 80  # over N: a step, however few its graphs
ONCE = 0.4  # a graph, however few its steps: its outputs
LOOK = 1.0  # seconds of silence after which the first process looks whether the others are alive
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from nar.training.shared_batch import serve; serve()"
)
_HERE, _FAILED = b".", b"!"


class NotCome(Exception):
    """The other processes could not be started, or could not make themselves ready; says why."""


@dataclasses.dataclass(frozen=True)
class Crew(Ranks, abc.ABC):
    """This process's place among those of one machine that share a batch."""

    memory: Any = None  # of all processes, twice: who is early may hand in again while others still read
    turns: list[int] = dataclasses.field(default_factory=lambda: [0])

    @property
    def batches(self) -> int:
        return 1

    def validation_share(self, draw: Callable[[], list[list[Batch]]]) -> list[list[Batch]] | None:
        sets = draw()
        if any(len(batch) < self.world for batches in sets for batch in batches):
            return super().validation_share(lambda: sets)
        return [[self.share(batch) for batch in batches] for batches in sets]

    def gathered(self, value: Any) -> list[Any]:
        data = pickle.dumps(value)
        if len(data) > ROOM:
            raise ValueError(f"too much to be gathered: {len(data):,} bytes")
        start = self._turn()
        places = [memoryview(self.memory)[start + rank * ROOM :][:ROOM] for rank in range(self.world)]
        places[self.rank][: len(data)] = data
        self.meet()
        return [pickle.loads(place) for place in places]  # which end where they say

    def share(self, batch: Batch) -> Batch:
        cuts = cut([max(1, length - 1) for length in batch.lengths], self.world, ALONGSIDE / batch.nodes, ONCE)
        return super().share(batch) if cuts is None else self.cut_out(batch, range(*cuts[self.rank : self.rank + 2]))

    @abc.abstractmethod
    def meet(self) -> None:
        """Wait until all processes have come here."""

    def sum(self, values: Tensor) -> Tensor:
        flat = values.detach().contiguous().view(-1)
        parts = flat.split(ROOM // flat.element_size()) if len(flat) else ()
        found = [self._sum_of_all(part.dtype, len(part), functools.partial(_write, part)) for part in parts]
        return torch.cat([flat[:0], *found]).view_as(values)

    def sum_joined(self, parts: Sequence[Tensor]) -> Tensor:
        length, first = sum(part.numel() for part in parts), parts[0]
        if length * first.element_size() > ROOM:
            return super().sum_joined(parts)
        return self._sum_of_all(first.dtype, length, lambda place: torch.cat(list(parts), out=place))

    def _sum_of_all(self, dtype: torch.dtype, length: int, hand_in: Callable[[Tensor], Any]) -> Tensor:
        """What all processes hand in, which each of them writes to the place that it is given, added up."""
        start = self._turn()
        handed_in = [
            torch.frombuffer(self.memory, dtype=dtype, count=length, offset=start + rank * ROOM)
            for rank in range(self.world)
        ]
        hand_in(handed_in[self.rank])
        self.meet()
        summed = handed_in[0] + handed_in[1]
        for other in handed_in[2:]:
            summed += other
        return summed

    def _turn(self) -> int:
        """Where in the memory that of this meeting begins."""
        self.turns[0] += 1
        return (self.turns[0] % 2) * self.world * ROOM

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        yield  # the crew comes when all files are made

    def leave(self) -> None:
        pass  # the first process ends the others


@dataclasses.dataclass(frozen=True)
class First(Crew):
    """The process that trains. At a meeting it raises what one of the others failed with."""

    staff: Sequence[tuple[socket.socket, subprocess.Popen]] = ()

    def meet(self, *, silent: bool = False) -> None:
        for line, process in self.staff:
            said, failure = b"", None
            with contextlib.suppress(ConnectionError, EOFError):
                said = _heard(line, process)
                if said == _FAILED:
                    line.settimeout(None)
                    with line.makefile("rb") as report:
                        failure = pickle.load(report)
            if failure is not None:
                error, where = failure
                if not silent:
                    print(where, file=sys.stderr)
                raise error
            if said != _HERE:
                _missing(process)
        for line, process in self.staff:
            try:
                line.sendall(_HERE)
            except ConnectionError:  # it came, and died since
                _missing(process)


def _write(part: Tensor, place: Tensor) -> None:
    place.copy_(part)


def _heard(line: socket.socket, process: subprocess.Popen) -> bytes:
    while True:
        try:
            return line.recv(1)
        except TimeoutError:
            # the line of a dead process stays open as long as somebody holds it whom that process has started
            if process.poll() is not None:
                return b""


def _missing(process: subprocess.Popen) -> NoReturn:
    with contextlib.suppress(subprocess.TimeoutExpired):  # the line closes a moment before the process has ended
        process.wait(LOOK)
    raise ChildProcessError(
        f"a process that shared the batches has died (exit code {process.poll()}; out of memory?); --resume goes on "
        "from the last checkpoint, with --threads 1 in one process"
    )


@dataclasses.dataclass(frozen=True)
class Other(Crew):
    """One of those that were hired. Where the first process is gone, it goes as well."""

    line: socket.socket | None = None

    def meet(self) -> None:
        assert self.line is not None
        try:
            self.line.sendall(_HERE)
            answer = self.line.recv(1)
        except ConnectionError:
            answer = b""
        if answer != _HERE:
            raise SystemExit


def size(threads: int, batch: int, *, chosen: bool) -> int:
    """Processes for such batches, of which no share is smaller than two; `chosen`: somebody asked for `threads`."""
    possible = os.name == "posix" and sys.executable and not getattr(sys, "frozen", False)
    return max(1, min(threads if chosen else min(threads, AT_MOST), batch // 2)) if possible else 1


def cut(steps: Sequence[int], world: int, beside: float, once: float) -> list[int] | None:
    """Where to cut a batch, whose graphs are sorted by steps, the longest first, for all shares to take equally long.

    A share takes the steps of all its graphs, `once` for each of them, and `beside` for each step of its longest: it
    pays that few graphs are long in one share only. None where cards are dealt as well: graphs of equal lengths.
    """
    before = np.cumsum([0.0, *(number + once for number in steps)])
    # of a share from one graph to before another: rows begin it, columns end it; none is empty
    times = beside * np.array([*steps, 0.0])[:, None] + before - before[:, None]
    times[np.tri(len(times), dtype=bool)] = math.inf
    # by number of shares: for every graph that they may end before, the time of the slowest, and where the last begins
    slowest, begins = times[0], []
    for _ in range(world - 1):
        after = np.maximum(slowest[:, None], times)
        begins.append(after.argmin(0))
        slowest = after.min(0)
    shares = (steps[rank::world] for rank in range(world))
    dealt = max(beside * max(share) + sum(share) + once * len(share) for share in shares)
    if slowest[-1] > dealt - 1e-6:  # of rounding
        return None
    cuts = [len(steps)]
    for row in reversed(begins):
        cuts.append(int(row[cuts[-1]]))
    return [0, *reversed(cuts)]


@contextlib.contextmanager
def hired(world: int, follow: Callable[[Any, Crew], None], task: Any) -> Iterator[First]:
    """`world` - 1 further processes that call `follow(task, crew)`, until the `with` ends; yields this one's place.

    `follow` must be importable and `task` pickle. It first makes itself ready and then calls `crew.meet()`: what fails
    before is a NotCome here, what fails later is raised at the next meeting.
    """
    with contextlib.ExitStack() as stack:
        try:
            first = _started(world, follow, task, stack)
            first.meet(silent=True)
        except Exception as error:
            raise NotCome(f"{type(error).__name__}: {error}") from error
        yield first


def _started(world: int, follow: Any, task: Any, stack: contextlib.ExitStack) -> First:
    file = stack.enter_context(_shared())
    file.truncate(2 * world * ROOM)
    staff = []
    for rank in range(1, world):
        mine, theirs = (stack.enter_context(line) for line in socket.socketpair())
        given = (file.fileno(), theirs.fileno())
        # in a group of its own, which Ctrl-C does not reach: the first process ends the run in good order
        process = subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, pass_fds=given, process_group=0
        )
        stack.callback(_dismiss, process)
        theirs.close()
        mine.settimeout(LOOK)
        staff.append((mine, process))
        assert process.stdin is not None
        about = rank, world, *given, torch.get_default_dtype()
        with contextlib.suppress(BrokenPipeError), process.stdin as desk:  # a death is noticed when all meet
            for message in ([path or os.getcwd() for path in sys.path], about, (follow, task)):
                pickle.dump(message, desk)
    return First(0, world, mmap.mmap(file.fileno(), 0), staff=staff)


def serve() -> None:
    """The life of the others."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    rank, world, memory, line, dtype = pickle.load(sys.stdin.buffer)
    for held in (memory, line):
        os.set_inheritable(held, False)
    torch.set_default_dtype(dtype)
    crew = Other(rank, world, mmap.mmap(memory, 0), line=socket.socket(fileno=line))
    try:
        follow, task = pickle.load(sys.stdin.buffer)
        follow(task, crew)
    except Exception as error:
        report = _pickled(error, traceback.format_exc())
        with contextlib.suppress(OSError):  # the first process may have failed of the same
            assert crew.line is not None
            crew.line.sendall(_FAILED + report)


def _pickled(error: Exception, where: str) -> bytes:
    try:
        report = pickle.dumps((error, where))
        pickle.loads(report)
    except Exception:  # not every exception can be pickled
        report = pickle.dumps((RuntimeError(repr(error)), where))
    return report


def _dismiss(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _shared() -> Any:
    """A file that is only memory, where there is such a thing."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("nar"), "r+b")
    return tempfile.TemporaryFile()
