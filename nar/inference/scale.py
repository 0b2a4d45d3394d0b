"""How large the numbers of an input are beside those of training, and the same input in units that training knew.

A network has seen numbers of one scale, while many algorithms, such as shortest paths and sorting, answer the same
whatever the unit: only numbers among their hints and outputs change with it. Inputs are multiplied by a power of two,
which rounds nothing: whether answers depend on the unit is found by running the algorithm on both, bit for bit.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nar.evaluation import own_traces
from nar.text_format import listed
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Stage, Type
from nar.traces.trace import Trace

DRAWN = 16  # inputs as in training, the largest number of which counts
FAR = (1 / 8, 3)  # shares of training's scale below and above which an input is told to be far from it
MOST = 1e30  # sums of millions of numbers up to this are numbers in single precision, too
POWERS = 4  # a number may grow like the unit to the power 0, 1, ...: ranks, sums, areas, volumes


@dataclasses.dataclass(frozen=True)
class Scale:
    """The largest number, by absolute value, that an input holds and that inputs of training held.

    `factor`: by what the input was multiplied before the reasoner saw it; 1 where nobody asked for that.
    """

    given: float
    trained: float
    factor: float = 1.0

    @property
    def is_far(self) -> bool:
        """Has the reasoner been given numbers of another size than those it has learned from?"""
        return not FAR[0] <= self.given * self.factor / self.trained <= FAR[1]

    def __str__(self) -> str:
        times = "" if self.factor == 1 else f", given to the model times {self.factor:g}"
        return f"numbers up to {self.given:.3g}{times}; trained on numbers up to {self.trained:.3g}"


def of(trace: Trace, trained: float | None) -> Scale | None:
    """The scale of a trace's inputs; None where they or those of training hold no numbers but zeros."""
    given = largest(trace)
    return Scale(given, trained) if given and trained else None


@functools.lru_cache(maxsize=64)
def of_training(algorithm: Algorithm, size: int) -> float | None:
    """The largest number among inputs of this size as training draws them; None where there are no numbers."""
    rng = np.random.RandomState(0)
    return max(
        largest(algorithm.run(**algorithm.sample(rng, size, **algorithm.train_params))) for _ in range(DRAWN)
    ) or None  # fmt: skip


@functools.lru_cache(maxsize=64)
def of_traces(folder: Path, algorithm: Algorithm) -> float | None:
    """The same of a run on own traces; None also where they are not there any more."""
    try:
        found = own_traces.read(folder, algorithm)
    except (ValueError, OSError):
        return None
    return max(largest(trace) for traces in found.values() for trace in traces) or None


def normalised(algorithm: Algorithm, trace: Trace, scale: Scale) -> tuple[Trace, float, dict[str, float]]:
    """The trace on the same input in units in which its largest number is at most that of training, and more than half
    of it; the factor; and by what every number of hints and outputs must be multiplied to be in the caller's units.

    ValueError where the algorithm's answers are other ones then.
    """
    exponent = math.floor(math.log2(scale.trained) - math.log2(scale.given))
    if POWERS * abs(exponent) > 1000:  # beyond what a float holds
        given = f"numbers up to {scale.given:g}"
        raise ValueError(f"{algorithm.name} cannot be normalised: {given} are too far from those of training")
    factor = 2.0**exponent
    compact = {n: value * factor if n in _numbers(trace) else value for n, value in trace.compact.items()}
    inputs = dataclasses.replace(trace, compact=compact)
    try:
        found = algorithm.run(**algorithm.arguments_of(inputs))
    except ValueError as error:
        raise ValueError(f"{algorithm.name} cannot be normalised: times {factor:g}, {error}") from None
    units, other = {}, []
    for name, probe in trace.spec.items():
        if probe.stage is Stage.INPUT:
            continue
        ours, theirs = np.asarray(trace.compact[name]), np.asarray(found.compact[name])
        powers = range(POWERS) if probe.type is Type.SCALAR else range(1)
        same = [factor**-p for p in powers if np.array_equal(ours, theirs * (factor**-p))]
        if not same:
            other.append(name)
        elif probe.type is Type.SCALAR:
            units[name] = same[1] if len(same) > 1 else same[0]  # several: zeros
    if other:
        raise ValueError(f"{algorithm.name} cannot be normalised: the unit of its numbers changes {listed(other)}")
    return found, factor, units


def check(trace: Trace) -> None:
    """ValueError where a network of single precision cannot compute with the numbers of a trace."""
    if (given := largest(trace)) > MOST:
        raise ValueError(
            f"numbers up to {given:g} are beyond those that a network computes with ({MOST:g}): divide them, or run "
            "with normalise=True"
        )


def in_units(values: Mapping, units: Mapping[str, float]) -> dict:
    """Values by name, numbers among them multiplied by their unit."""
    return {name: value * units[name] if units.get(name, 1) != 1 else value for name, value in values.items()}


def _numbers(trace: Trace) -> list[str]:
    """The inputs that are numbers with a unit; positions have none."""
    return [name for name, probe in trace.spec.inputs.items() if probe.type is Type.SCALAR and name != "pos"]


def largest(trace: Trace) -> float:
    """The largest number, by absolute value, among the inputs of a trace; 0 where there is none."""
    return max((float(np.abs(trace.compact[name]).max()) for name in _numbers(trace)), default=0.0)
