"""What is counted of a reasoner on one set of traces, and how the counts of parts of a set are pooled."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from nar.model.objectives.metrics import Tally


@dataclasses.dataclass
class Score:
    """Everything counted over one set."""

    outputs: dict[str, Tally]
    hints: dict[str, list[Tally]]  # by step
    exact: int  # graphs with every output right
    valid: int | None  # graphs whose outputs are a correct answer, where that can be said
    samples: int
    loss: float  # mean over samples; nan where not asked for
    lengths: list[int]  # hint snapshots of every sample, the initial one included
    taken: list[int]  # steps that the reasoner took, in the same order
    live: list[int]  # by step, the graphs whose hints are compared: both the trace and the rollout have this step
    measures: dict[str, list[float]]  # what the processor says of itself (Step.notes), mean per step over live graphs
    seconds: float  # of the rollouts, outputs decided; without drawing data, scoring and checking
    first_errors: list[int | None] | None  # of every trace, in order: see `evaluate`; None without hints to compare
    peak_memory: float | None  # during the rollouts, in MB (peak_memory.py); None where not asked for

    @property
    def score(self) -> float:
        """The CLRS score: the mean over outputs."""
        return sum(t.value() for t in self.outputs.values()) / len(self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        hints = {}
        for name, tallies in self.hints.items():
            live = self.live[: len(tallies)]
            values = [t.value() for t in tallies]
            mean = sum(v * n for v, n in zip(values, live, strict=True)) / max(1, sum(live))
            hints[name] = {"metric": tallies[0].metric, "value": mean, "per_step": values, "live": live}
        steps = [max(1, length - 1) for length in self.lengths]
        found = {
            "samples": self.samples,
            "score": self.score,
            "exact": self.exact / self.samples,
            "valid": None if self.valid is None else self.valid / self.samples,
            "outputs": {name: {"metric": t.metric, "value": t.value()} for name, t in self.outputs.items()},
            "hints": hints,
            "steps_mean": sum(steps) / self.samples,
            "steps_max": max(steps),
            "steps_taken": {"mean": sum(self.taken) / self.samples, "max": max(self.taken)},
            "measures": self.measures,
            "seconds": self.seconds,
        }
        if self.first_errors is not None:
            found["first_error"] = self.first_errors
        if self.peak_memory is not None:
            found["peak_memory_mb"] = round(self.peak_memory, 1)
        return found


def pooled(parts: Sequence[Score]) -> Score:
    """The score of a set from those of its shares, whose losses add up to that of the set
    (nar/training/distributed.py).

    Of several, first errors, which are in the order of the set's traces, and the peak of memory are left away.
    """
    if len(parts) == 1:
        return parts[0]
    outputs: dict[str, Tally] = {}
    hints: dict[str, list[Tally]] = {}
    for part in parts:
        for name, found in part.outputs.items():
            add(outputs, name, found)
        for name, tallies in part.hints.items():
            pooled_so_far = hints.setdefault(name, [])
            pooled_so_far[:] = [a + b if a and b else a or b for a, b in itertools.zip_longest(pooled_so_far, tallies)]

    def along(name: str) -> list[float]:
        """A measure, weighed by the graphs that take the step; a step may have several (message_passing_steps)."""
        sums: list[list[float]] = []
        for part in parts:
            values = part.measures.get(name, [])
            each = max(1, len(values) // max(part.taken, default=1))
            for s, value in enumerate(values):
                count = sum(steps > s // each for steps in part.taken)
                if s == len(sums):
                    sums.append([0.0, 0.0])
                sums[s] = [sums[s][0] + value * count, sums[s][1] + count]
        return [total / max(1, count) for total, count in sums]

    return Score(
        outputs=outputs,
        hints=hints,
        exact=sum(part.exact for part in parts),
        valid=None if any(part.valid is None for part in parts) else sum(part.valid or 0 for part in parts),
        samples=sum(part.samples for part in parts),
        loss=sum(part.loss for part in parts),
        lengths=[length for part in parts for length in part.lengths],
        taken=[steps for part in parts for steps in part.taken],
        live=[sum(counts) for counts in itertools.zip_longest(*(part.live for part in parts), fillvalue=0)],
        measures={name: along(name) for name in dict.fromkeys(name for part in parts for name in part.measures)},
        seconds=sum(part.seconds for part in parts),
        first_errors=None,
        peak_memory=None,
    )


def add(tallies: dict[str, Tally], name: str, found: Tally) -> None:
    tallies[name] = tallies[name] + found if name in tallies else found
