"""Small inputs of an algorithm, from the smallest size on, each with its trace and its run in plain Python."""

import dataclasses
import functools
from typing import Any

import numpy as np

from nar.analysis.algorithm_contract import plain
from nar.traces.algorithm import Algorithm
from nar.traces.trace import Trace

SIZES = (0, 1, 2, 4, 8, 16)  # above the smallest
PATIENCE = 10  # times the bound, before a run is stopped
SEEDS = 4  # of every size: the distribution of tests and that of training in turn


@dataclasses.dataclass
class Example:
    """One input: how it was drawn, what the run on it wrote down, and the same without the compiler."""

    size: int
    seed: int
    arguments: dict[str, Any]
    trace: Trace
    run: plain.PlainRun

    def __str__(self) -> str:
        return f"size {self.size}, seed {self.seed}"

    @property
    def outputs(self) -> dict[str, Any]:
        """Of the trace, in compact form."""
        return {name: self.trace.compact[name] for name in self.trace.spec.outputs}


@dataclasses.dataclass
class Examples:
    """An algorithm that is being examined, and inputs for it, drawn when they are first asked for."""

    algorithm: Algorithm

    def draw(self, size: int, seed: int) -> dict[str, Any]:
        """Arguments of `run`; every second seed as in training."""
        algorithm = self.algorithm
        params = algorithm.train_params if seed % 2 else {}
        least = max(algorithm.train_sizes[:1]) if seed % 2 and algorithm.train_sizes else 0
        return algorithm.sample(np.random.RandomState(seed), max(size, least), **params)

    @functools.cached_property
    def patient(self) -> Algorithm:
        """The same algorithm, which is not stopped at its bound but far beyond, nor by values that its spec lacks."""
        found = object.__new__(type(self.algorithm))  # a copy is made by name, and is the same one
        vars(found).update(vars(self.algorithm))
        found.checks_ranges = False
        found.bound = lambda nodes: PATIENCE * (self.algorithm.bound(nodes) + 1)
        return found

    @functools.cached_property
    def all(self) -> list[Example]:
        """Every example; raises what drawing or running them raises."""
        found = []
        for above in SIZES:
            for seed in range(SEEDS):
                size = self.algorithm.min_nodes + above
                arguments = self.draw(size, seed)
                trace = self.patient.run(**arguments)
                run = plain.run(self.patient, self.draw(size, seed))
                found.append(Example(size, seed, arguments, trace, run))
        return found
