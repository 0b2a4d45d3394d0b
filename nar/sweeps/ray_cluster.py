"""The runs of a sweep on a Ray cluster, of this machine or of many; `pip install ray` brings it.

Every machine of the cluster needs nar installed and sees the folder of the sweep under the same path.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Generator, Sequence
from typing import Any

from nar.sweeps.jobs import RETRIES, Event, cores
from nar.sweeps.plan import Outcome, Run, execute
from nar.training.interrupt import interruptible


def over_ray(
    runs: Sequence[Run],
    command: str,
    *,
    address: str | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    at_once: int = 0,
) -> Generator[Event]:
    """Every run is a Ray task that needs so many CPUs and so much of a GPU; a run whose worker dies is resumed.

    `address`: of a running cluster; None = one is started on this machine, and ended afterwards. `at_once`: so many
    runs are handed to Ray at a time; 0 = all. ValueError where Ray is missing, does not answer or has no such GPUs.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("--engine ray needs Ray, which is not installed: pip install ray") from None
    here = address is None and os.environ.get("RAY_ADDRESS") is None
    try:
        if here:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING, num_cpus=cores())
        else:
            ray.init(address=address, log_to_driver=False)
    except Exception as error:  # Ray raises many kinds, plain Exception among them
        ray.shutdown()
        where = "started on this machine" if here else f"reached at {address or os.environ['RAY_ADDRESS']}"
        raise ValueError(f"Ray could not be {where}: {error}") from error
    if here and gpus > (there := ray.cluster_resources().get("GPU", 0)):
        ray.shutdown()
        raise ValueError(f"--gpus-per-run {gpus:g}: this machine has {there:g} GPUs that Ray can see")
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_execute_in)
    waiting = list(runs)[::-1]  # the next one last
    deaths: dict[str, int] = {}
    pending: dict[Any, tuple[Run, float]] = {}
    cancelled = False
    try:
        with interruptible(None) as stop:
            while pending or (waiting and not stop.is_set()):
                while waiting and not stop.is_set() and (not at_once or len(pending) < at_once):
                    run = waiting.pop()
                    pending[task.remote(run, command, os.getcwd())] = run, time.perf_counter()
                    yield Event("started", run)
                if stop.is_set() and not cancelled:
                    cancelled = True
                    for reference in pending:
                        ray.cancel(reference)  # as Ctrl-C to those that run; the others never start
                done, _ = ray.wait(list(pending), timeout=0.5)
                for reference in done:
                    run, since = pending.pop(reference)
                    seconds = time.perf_counter() - since
                    try:
                        yield Event("ended", run, ray.get(reference))
                    except RayError as error:
                        if stop.is_set():
                            yield Event("ended", run, Outcome("interrupted", seconds))
                            continue
                        deaths[run.name] = deaths.get(run.name, 0) + 1
                        reason = f"its worker died ({type(error).__name__})"
                        if deaths[run.name] <= RETRIES:
                            yield Event("died", run, reason=reason)
                            waiting.append(run)
                        else:
                            yield Event(
                                "ended", run, Outcome("failed", seconds, f"{reason}, {deaths[run.name]} time(s)")
                            )
    finally:
        ray.shutdown()


def _execute_in(run: Run, command: str, folder: str) -> Outcome:
    """`execute` on a worker, with paths and the user's own modules found from the folder of the command."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with contextlib.chdir(folder):
        return execute(run, command)
