"""Processes that share every batch of a run on a CPU: one per core, hired and dismissed by the process that trains.

On graphs of the training sizes single operations are too small to be cut up among threads; a batch is not. Every
process computes the gradient of its share, as under torchrun (nar/parallel.py), but the batch stays as large as it is.
What is summed lies in memory that all see, and is added up in the same order everywhere, so that parameters stay equal
bit for bit without being sent. Who has come how far is told through sockets, which also say when somebody has died.

The others are Python processes of their own, not copies: a script that calls `nar.train` needs no `__main__` guard.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from typing import Any

import torch
from torch import Tensor

from nar.parallel import Ranks

ROOM = 2**22  # bytes of what one process hands in at a time
AT_MOST = 4  # processes, where their number is not given: the first steps of a share cost the same, however small it is
WORTH = 300  # steps from which on a run is faster with a crew, which needs seconds to come
_START = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from nar import crew; crew.serve()"
_GO_ON, _FAILED = b".", b"!"


@dataclasses.dataclass(frozen=True)
class Crew(Ranks):
    """This process's place among those of one machine that share a batch."""

    memory: Any = None  # of all processes, twice: who is early may hand in again while others still read
    lines: Sequence[socket.socket] = ()  # the first process has one to each of the others, these have one to it
    turns: list[int] = dataclasses.field(default_factory=lambda: [0])

    @property
    def batches(self) -> int:
        return 1

    def sum(self, values: Tensor) -> Tensor:
        flat = values.detach().contiguous().view(-1)
        summed = torch.empty_like(flat)
        most = ROOM // flat.element_size()
        for part, result in zip(flat.split(most), summed.split(most), strict=True) if len(flat) else ():
            start = (self.turns[0] % 2) * self.world * ROOM
            self.turns[0] += 1
            handed_in = [
                torch.frombuffer(self.memory, dtype=flat.dtype, count=len(part), offset=start + rank * ROOM)
                for rank in range(self.world)
            ]
            handed_in[self.rank].copy_(part)
            self.meet()
            result.copy_(handed_in[0])
            for other in handed_in[1:]:
                result += other
        return summed.view_as(values)

    def meet(self) -> None:
        """Wait until all processes have come here; what one of the others failed with is raised in the first."""
        if not self.first:
            self.lines[0].sendall(_GO_ON)
            if self.lines[0].recv(1) != _GO_ON:  # the run has ended, in one way or another
                raise SystemExit
            return
        for line in self.lines:
            said = line.recv(1)
            if said == _FAILED:
                with line.makefile("rb") as report:
                    error, where = pickle.load(report)
                print(where, file=sys.stderr)
                raise error
            if said != _GO_ON:
                raise ChildProcessError(
                    "a process that shared the batches has died, for lack of memory perhaps; --resume goes on from the "
                    "last checkpoint, with --threads 1 in one process"
                )
        for line in self.lines:
            line.sendall(_GO_ON)

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        yield  # the crew comes when all files are made

    def leave(self) -> None:
        pass  # the first process ends the others


def size(threads: int, batch: int, *, chosen: bool) -> int:
    """Processes for such batches, of which no share is smaller than two; `chosen`: somebody asked for `threads`."""
    possible = hasattr(socket, "socketpair") and os.name == "posix"
    return max(1, min(threads if chosen else min(threads, AT_MOST), batch // 2)) if possible else 1


@contextlib.contextmanager
def hired(world: int, follow: Callable[[Any, Ranks], None], task: Any) -> Iterator[Ranks]:
    """`world` - 1 further processes that call `follow(task, ranks)`, until the `with` ends; yields this one's ranks.

    `follow` must be importable and `task` pickle; what is raised there is raised here at the next sum.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_shared())
        file.truncate(2 * world * ROOM)
        lines = []
        for rank in range(1, world):
            mine, theirs = socket.socketpair()
            lines.append(stack.enter_context(mine))
            given = (file.fileno(), theirs.fileno())
            process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, pass_fds=given)
            stack.callback(_dismiss, process)
            theirs.close()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as desk:  # a death is noticed when all meet
                for message in ([path or os.getcwd() for path in sys.path], (rank, world, *given), (follow, task)):
                    pickle.dump(message, desk)
        yield Crew(0, world, mmap.mmap(file.fileno(), 0), lines)


def serve() -> None:
    """The life of the others."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process's business, who ends the run in good order
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    rank, world, memory, line = pickle.load(sys.stdin.buffer)
    ranks = Crew(rank, world, mmap.mmap(memory, 0), [socket.socket(fileno=line)])
    try:
        follow, task = pickle.load(sys.stdin.buffer)
        follow(task, ranks)
    except Exception as error:
        report = _pickled(error, traceback.format_exc())
        with contextlib.suppress(OSError):  # the first process may have failed of the same
            ranks.lines[0].sendall(_FAILED + report)


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
