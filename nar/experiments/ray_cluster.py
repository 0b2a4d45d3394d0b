"""The runs of a sweep on a Ray cluster, of this machine or of many; `pip install ray` brings it.

Every machine of the cluster needs nar installed and sees the folder of the sweep under the same path.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from concurrent.futures import Future
from typing import Any

from nar.experiments.jobs import Workers, cores
from nar.experiments.sweep import Outcome, SweepJob, execute


class RayTasks(Workers):
    """Tasks of a cluster, each with so many CPUs and so much of a GPU. Those not begun when Ctrl-C comes never do."""

    def __init__(self, address: str | None, cpus: float, gpus: float) -> None:
        """`address`: of a running cluster; None = one is started on this machine, and ended afterwards.

        ValueError where Ray is missing, does not answer or has no such GPUs.
        """
        try:
            import ray  # pyright: ignore[reportMissingImports]
            from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ValueError("--engine ray needs Ray, which is not installed: pip install ray") from None
        self.ray, self.death = ray, RayError
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
        self.task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_execute_in)
        self.references: dict[Future[Outcome], Any] = {}

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
