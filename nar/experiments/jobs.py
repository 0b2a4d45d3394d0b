"""Where the runs of a sweep are carried out: in this process, or in several worker processes that may die.

An engine takes runs and yields events: a run has started, its worker has died and it is resumed, it has ended. Every
engine gives the same results, because a run is a pure function of its settings and is trained with the same threads.
"""

import abc
import collections
import concurrent.futures
import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, Literal

from nar.experiments.sweep import Outcome, SweepJob, execute
from nar.system import allocator, collector, limits
from nar.training.interrupt import interruptible

RETRIES = 2  # of a run whose worker died

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy threads' locks and a CUDA context


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened to a run; `outcome` where it has ended, `reason` where its worker died."""

    kind: Literal["started", "died", "ended"]
    run: SweepJob
    outcome: Outcome | None = None
    reason: str = ""


def in_process(runs: Sequence[SweepJob], command: str) -> Generator[Event]:
    """One run after the other, here. Ctrl-C ends the one under way in good order, and then there are no more."""
    for run in runs:
        yield Event("started", run)
        outcome = execute(run, command)
        yield Event("ended", run, outcome)
        if outcome.kind == "interrupted":
            return


class Workers(abc.ABC):
    """Who carries runs out elsewhere."""

    death: type[Exception]
    """What the future of a run raises whose worker has died."""

    @abc.abstractmethod
    def submit(self, run: SweepJob, command: str) -> Future[Outcome]:
        """Start a run, or go on with it."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Ctrl-C for the runs under way."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nobody is left behind; runs that are under way end at once."""


def carry_out(runs: Sequence[SweepJob], command: str, workers: Workers, at_once: int) -> Generator[Event]:
    """So many runs at once (0: all). A run whose worker dies is resumed by another one.

    Ctrl-C ends the runs under way in good order; pressed again, at once.
    """
    waiting = collections.deque(runs)
    deaths: collections.Counter[str] = collections.Counter()
    busy: dict[Future[Outcome], tuple[SweepJob, float]] = {}
    interrupted = False
    try:
        with interruptible(None) as stop:
            while busy or (waiting and not stop.is_set()):
                while waiting and not stop.is_set() and (not at_once or len(busy) < at_once):
                    run = waiting.popleft()
                    busy[workers.submit(run, command)] = run, time.perf_counter()
                    yield Event("started", run)
                if stop.is_set() and not interrupted:
                    interrupted = True
                    workers.interrupt()
                done, _ = concurrent.futures.wait(
                    busy, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
                )  # to hear Ctrl-C in time
                for future in done:
                    run, since = busy.pop(future)
                    try:
                        yield Event("ended", run, future.result())
                        continue
                    except workers.death as error:
                        reason = f"its worker process died ({type(error).__name__}; out of memory?)"
                    seconds = time.perf_counter() - since
                    deaths[run.name] += 1
                    if stop.is_set():
                        yield Event("ended", run, Outcome("interrupted", seconds))
                    elif deaths[run.name] <= RETRIES:
                        waiting.appendleft(run)
                        yield Event("died", run, reason=reason)
                    else:
                        yield Event("ended", run, Outcome("failed", seconds, f"{reason}, {deaths[run.name]} time(s)"))
    finally:
        workers.close()


class Processes(Workers):
    """Processes of this machine: executors of one each, as the death of one breaks all that an executor does."""

    death = BrokenProcessPool

    def __init__(self) -> None:
        self.idle: list[tuple[ProcessPoolExecutor, Connection]] = []
        self.busy: dict[Future[Outcome], tuple[ProcessPoolExecutor, Connection]] = {}

    def submit(self, run: SweepJob, command: str) -> Future[Outcome]:
        for future in [future for future in self.busy if future.done()]:
            self.idle.append(self.busy.pop(future))
        while self.idle:
            executor, line = self.idle.pop()
            try:
                return self._give(run, command, executor, line)
            except BrokenProcessPool:  # it has died
                executor.shutdown()
        theirs, line = _CONTEXT.Pipe(duplex=False)
        return self._give(run, command, ProcessPoolExecutor(1, _CONTEXT, _obey, (theirs,)), line)

    def _give(self, run: SweepJob, command: str, executor: ProcessPoolExecutor, line: Connection) -> Future[Outcome]:
        future = executor.submit(execute, run, command)
        self.busy[future] = executor, line
        return future

    def interrupt(self) -> None:
        """Training listens to SIGTERM and ends in good order; a worker that is not training ends at once."""
        for future, (_, line) in self.busy.items():
            if not future.done():
                line.send(signal.SIGTERM)

    def close(self) -> None:
        """Idle workers may tidy up."""
        for future, (executor, line) in self.busy.items():
            if not future.done():
                line.close()
            executor.shutdown()
        for executor, _ in self.idle:
            executor.shutdown()


def _obey(line: Connection) -> None:
    """In a worker: signals come through a line, and it ends with the sweep, even with one that was killed: two must
    never write one run.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the sweep alone, which passes it on
    allocator.keep_freed_memory()
    collector.no_search_at_the_end()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                os.kill(os.getpid(), line.recv())
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


class RayTasks(Workers):
    """Tasks of a Ray cluster, of this machine or of many, each with so many CPUs and so much of a GPU.

    Every machine needs nar installed and sees the folder of the sweep under the same path. What has not begun when
    Ctrl-C comes never does.
    """

    def __init__(self, address: str | None, cpus: float, gpus: float) -> None:
        """`address`: of a running cluster; None = one is started on this machine, and ended afterwards.

        ValueError where Ray is missing, does not answer or has no such GPUs.
        """
        self.check()
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]

        self.ray, self.death = ray, RayError
        here = address is None and os.environ.get("RAY_ADDRESS") is None
        try:
            if here:
                quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.WARNING}
                ray.init(num_cpus=limits.cores(), **quiet)
            else:
                ray.init(address=address, log_to_driver=False)
        except Exception as error:  # Ray raises many kinds, plain Exception among them
            ray.shutdown()
            where = "started on this machine" if here else f"reached at {address or os.environ['RAY_ADDRESS']}"
            raise ValueError(f"Ray could not be {where}: {error}") from error
        if here and gpus > (there := ray.cluster_resources().get("GPU", 0)):
            ray.shutdown()
            raise ValueError(f"--gpus-per-run {gpus:g}: this machine has {there:g} GPUs that Ray can see")
        self.task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_execute_in)
        self.references: dict[Future[Outcome], Any] = {}

    @staticmethod
    def check() -> None:
        """ValueError where Ray is not installed."""
        try:
            import ray  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ValueError("--engine ray needs Ray, which is not installed: pip install ray") from None

    def submit(self, run: SweepJob, command: str) -> Future[Outcome]:
        reference = self.task.remote(run, command, os.getcwd())
        future = reference.future()
        self.references[future] = reference
        return future

    def interrupt(self) -> None:
        for future, reference in self.references.items():
            if not future.done():
                self.ray.cancel(reference)  # as Ctrl-C to those that run

    def close(self) -> None:
        self.ray.shutdown()


def _execute_in(run: SweepJob, command: str, folder: str) -> Outcome:
    """`execute` on a worker, with paths and the user's own modules found from the folder of the command."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with contextlib.chdir(folder):
        return execute(run, command)
