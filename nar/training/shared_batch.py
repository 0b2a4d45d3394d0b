"""Processes that share every batch of a run on a CPU: one per core, spawned and stopped by the process that trains.

On graphs of the training sizes single operations are too small to be cut up among threads; a batch is not. The process
that trains leads; every follower computes the gradient of its share and takes the same step (distributed.py). They are
Python processes of their own, not copies: a script that trains needs no `__main__` guard.
"""

import contextlib
import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from nar.system import allocator
from nar.training.distributed import PATIENCE, Disconnected, Ranks, abandoned

AT_MOST = 4  # processes, where their number is not given: the first steps of a share cost the same, however small it is
WORTH = 300  # steps of a run from which on followers, which need seconds to start, are worth the wait
_START = (
    "import gc, pickle, sys; gc.disable(); sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from nar.training.shared_batch import serve; serve()"
)


class NotStarted(Exception):
    """The followers could not be started, or could not make themselves ready; says why."""


def size(threads: int, batch: int, *, chosen: bool) -> int:
    """Processes for such batches, of which no share is smaller than two; `chosen`: somebody asked for `threads`."""
    possible = os.name == "posix" and sys.executable and not getattr(sys, "frozen", False)
    return max(1, min(threads if chosen else min(threads, AT_MOST), batch // 2)) if possible else 1


@contextlib.contextmanager
def spawned(world: int, follow: Callable[[Any, Ranks], None], task: Any) -> Iterator[Ranks]:
    """`world` - 1 followers that call `follow(task, ranks)`, until the `with` ends; yields the leader's place.

    `follow` must be importable and `task` pickle. It first makes itself ready and then calls `ranks.meet()`: what fails
    before is a NotStarted here, what fails later is raised at the next sum.
    """
    if dist.is_available() and dist.is_initialized():
        raise NotStarted("this program has a process group of its own")
    if abandoned:
        raise NotStarted("in an earlier run of this program, a process died while they met")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nar-")))
        stack.callback(_disconnect)  # when the followers have gone, for whom it would wait
        followers: list[subprocess.Popen] = []

        def watch() -> None:
            if any(process.poll() is not None for process in followers):
                raise Disconnected

        leader = Ranks(0, world, folder, watch)
        try:
            for rank in range(1, world):
                followers.append(stack.enter_context(_spawn(Ranks(rank, world, folder), follow, task)))
            while not all((folder / f"{rank}.ready").exists() for rank in range(1, world)):
                watch()
                time.sleep(0.02)
            leader.meet()
        except Disconnected:
            raise NotStarted(_described(_failure(followers, folder))) from None
        except Exception as error:
            raise NotStarted(_described(error)) from error
        try:
            yield leader
        except Disconnected:
            raise _failure(followers, folder, report=True) from None


@contextlib.contextmanager
def _spawn(ranks: Ranks, follow: Callable[[Any, Ranks], None], task: Any) -> Iterator[subprocess.Popen]:
    # in a group of its own, which Ctrl-C does not reach: the leader ends the run in good order
    process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, process_group=0)
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # a death is noticed when all meet
            for message in (
                [path or os.getcwd() for path in sys.path],
                (ranks, torch.get_default_dtype()),
                (follow, task),
            ):
                pickle.dump(message, process.stdin)
            process.stdin.flush()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started, which may hold its connections open
        process.wait()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def serve() -> None:
    """The life of a follower."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    allocator.keep_freed_memory()
    ranks, dtype = pickle.load(sys.stdin.buffer)
    torch.set_default_dtype(dtype)
    try:
        follow, task = pickle.load(sys.stdin.buffer)
        gc.enable()  # with all imported
        threading.Thread(target=_leave_with_the_leader, args=[ranks.folder], daemon=True).start()
        follow(task, ranks)
    except Disconnected:  # the leader, or another follower, of which the leader says more
        pass
    except Exception as error:
        report = ranks.folder / f"{ranks.rank}.writing"
        report.write_bytes(_pickled(error, traceback.format_exc()))
        report.rename(ranks.folder / f"{ranks.rank}.failed")
    finally:
        _disconnect()


def _disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _leave_with_the_leader(folder: Path) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it ends when the leader does, however that happens
    shutil.rmtree(folder, ignore_errors=True)  # of a leader that was killed
    os._exit(1)


def _pickled(error: Exception, where: str) -> bytes:
    try:
        report = pickle.dumps((error, where))
        pickle.loads(report)
    except Exception:  # not every exception can be pickled
        report = pickle.dumps((RuntimeError(repr(error)), where))
    return report


def _failure(followers: Sequence[subprocess.Popen], folder: Path, *, report: bool = False) -> Exception:
    """Why a follower is gone: what it failed with (`report`: print its traceback), or how it died."""
    for process in followers:
        with contextlib.suppress(
            subprocess.TimeoutExpired
        ):  # a connection closes a moment before the process has ended
            process.wait(PATIENCE.total_seconds())
    for file in sorted(folder.glob("*.failed")):
        error, where = pickle.loads(file.read_bytes())
        if report:
            print(where, file=sys.stderr)
        return error
    code = next((process.returncode for process in followers if process.returncode), None)
    return ChildProcessError(
        f"a process that shared the batches has died (exit code {code}; out of memory?); --resume goes on from the "
        "last checkpoint, with --threads 1 in one process"
    )


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
