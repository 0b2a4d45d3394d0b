"""Where the runs of a sweep are carried out: in this process, or in several worker processes that may die.

An engine takes runs and yields events: a run has started, its worker has died and it is resumed, it has ended. Every
engine gives the same results, because a run is a pure function of its settings and is trained with the same threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import queue
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, Literal

from nar.sweeps.plan import Outcome, Run, execute
from nar.training.interrupt import interruptible

RETRIES = 2  # of a run whose worker died

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy threads' locks and a CUDA context


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened to a run; `outcome` where it has ended, `reason` where its worker died."""

    kind: Literal["started", "died", "ended"]
    run: Run
    outcome: Outcome | None = None
    reason: str = ""


def in_process(runs: Sequence[Run], command: str) -> Generator[Event]:
    """One run after the other, here. Ctrl-C ends the one under way in good order, and then there are no more."""
    for run in runs:
        yield Event("started", run)
        outcome = execute(run, command)
        yield Event("ended", run, outcome)
        if outcome.kind == "interrupted":
            return


def in_workers(runs: Sequence[Run], command: str, jobs: int) -> Generator[Event]:
    """So many runs at once, each in a process of its own. A run whose worker dies is resumed by another one.

    Ctrl-C ends the runs under way in good order; pressed again, at once.
    """
    waiting = list(runs)[::-1]  # the next one last
    deaths: dict[str, int] = {}
    workers: list[_Worker] = []
    try:
        with interruptible(None) as stop:
            while True:
                while waiting and not stop.is_set():
                    worker = next((worker for worker in workers if worker.run is None), None)
                    if worker is None:
                        if len(workers) == jobs:
                            break
                        workers.append(worker := _Worker())
                    worker.give(run := waiting.pop(), command)
                    yield Event("started", run)
                if stop.is_set():
                    for worker in workers:
                        worker.ask_to_stop()
                busy: dict[Any, _Worker] = {worker.pipe: worker for worker in workers if worker.run is not None}
                if not busy:
                    return
                for pipe in multiprocessing.connection.wait(list(busy), timeout=0.5):  # to hear Ctrl-C in time
                    worker = busy[pipe]
                    run, worker.run = worker.run, None
                    assert run is not None
                    try:
                        yield Event("ended", run, worker.pipe.recv())
                        continue
                    except (EOFError, OSError):  # it has died
                        workers.remove(worker)
                        code = worker.kill()
                    deaths[run.name] = deaths.get(run.name, 0) + 1
                    reason = f"its worker process died (exit code {code}; out of memory?)"
                    if stop.is_set():
                        yield Event("ended", run, Outcome("interrupted", worker.seconds))
                    elif deaths[run.name] <= RETRIES:
                        waiting.append(run)
                        yield Event("died", run, reason=reason)
                    else:
                        error = f"{reason}, {deaths[run.name]} time(s)"
                        yield Event("ended", run, Outcome("failed", worker.seconds, error))
    finally:
        for worker in workers:
            worker.end()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process, the pipe to it, and the run that it carries out (None: idle)."""

    def __init__(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.run: Run | None = None
        self.asked = False
        self.since = time.perf_counter()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()  # so that its death closes the pipe

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.since

    def give(self, run: Run, command: str) -> None:
        self.run, self.since = run, time.perf_counter()
        with contextlib.suppress(OSError):  # it has died; the closed pipe says so when it is read
            self.pipe.send((run, command))

    def ask_to_stop(self) -> None:
        """Training listens to SIGTERM and ends in good order; a worker that is not training ends at once."""
        if not self.asked:
            self.asked = True
            self.process.terminate()

    def end(self) -> None:
        """An idle worker is dismissed, so that it can tidy up; any other one is killed."""
        if self.run is None:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
                self.process.join(timeout=5)
        self.kill()

    def kill(self) -> int | None:
        self.pipe.close()
        self.process.kill()
        self.process.join()
        return self.process.exitcode


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    """The life of a worker. It ends with the sweep, even with one that was killed: two must never write one run."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the sweep alone, which passes it on
    given: queue.SimpleQueue[tuple[Run, str] | None] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                given.put(pipe.recv())
            except (EOFError, OSError):
                os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    while (task := given.get()) is not None:
        pipe.send(execute(*task))
