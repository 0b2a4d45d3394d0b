"""What is counted of a reasoner on some graphs, and how the counts of several parts of a set are pooled."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.objectives.metrics import Tally, merge_permutations, right, tally
from nar.text_format import html_table
from nar.traces.spec import Probe, Type

T = TypeVar("T")


@dataclasses.dataclass
class Evaluation:
    """Everything counted over some graphs: a batch, a share of one, a whole set. `+` pools two of them."""

    samples: int
    outputs: dict[str, Tally]
    hints: dict[str, list[Tally]]  # by step
    num_running: list[int]  # by step, the graphs whose hints are compared: trace and rollout both have it
    exact: int  # graphs with every output right
    valid: int | None  # graphs whose outputs are a correct answer, where that can be said
    lengths: list[int]  # hint snapshots of every sample, the initial one included
    taken: list[int]  # steps that the reasoner took, in the same order
    first_errors: list[int | None] | None  # of every trace, in order: see `evaluate`; None without hints to compare
    notes: dict[str, list[list[float]]]  # what the processor says of itself (Step.notes), by step, of running graphs
    seconds: float  # of the rollouts, outputs decided; without drawing data, scoring and checking
    summed_loss: float = float("nan")  # over samples; nan where not asked for
    peak_memory: float | None = None  # during the rollouts, in MB (peak_memory.py); None where not asked for
    # Would a halting head have ended every rollout where it was told to end? None: there is none, or it did end them.
    ends_as_told: bool | None = None

    def __add__(self, other: Evaluation) -> Evaluation:
        errors: list[list[int | None]] = [e.first_errors or [None] * e.samples for e in (self, other)]
        peaks = [e.peak_memory for e in (self, other) if e.peak_memory is not None]
        return Evaluation(
            samples=self.samples + other.samples,
            outputs=_joined(self.outputs, other.outputs, Tally.__add__),
            hints=_joined(self.hints, other.hints, _by_step),
            num_running=_by_step(self.num_running, other.num_running),
            exact=self.exact + other.exact,
            valid=None if self.valid is None or other.valid is None else self.valid + other.valid,
            lengths=self.lengths + other.lengths,
            taken=self.taken + other.taken,
            first_errors=errors[0] + errors[1] if self.first_errors or other.first_errors else None,
            notes=_joined(self.notes, other.notes, _by_step),
            seconds=self.seconds + other.seconds,
            summed_loss=self.summed_loss + other.summed_loss,
            peak_memory=max(peaks, default=None),
            ends_as_told=None if None in (ends := (self.ends_as_told, other.ends_as_told)) else all(ends),
        )

    def ended_by_itself(self, more: int) -> Evaluation:
        """The same rollouts as the reasoner's own end gives them, if it ends them as told; `more`: steps for outputs,
        which are not counted where the number of steps is given."""
        return dataclasses.replace(self, taken=[steps + more for steps in self.taken], ends_as_told=None)

    @property
    def score(self) -> float:
        """The CLRS score: the mean over outputs."""
        return sum(t.value() for t in self.outputs.values()) / len(self.outputs)

    @property
    def loss(self) -> float:
        """The mean over samples; of shares of a batch, which are losses of the whole, it is that of their sum alone."""
        return self.summed_loss / self.samples

    @property
    def measures(self) -> dict[str, list[float]]:
        """What the processor says of itself: the mean over running graphs, by step."""
        return {name: [sum(v) / len(v) for v in steps if v] for name, steps in self.notes.items()}

    def _repr_html_(self) -> str:
        """What notebooks show."""
        rows = [("score", f"{self.score:.4g}"), ("every output right", f"{self.exact} of {self.samples} graphs")]
        rows += [("a right answer", f"{self.valid} of {self.samples} graphs")] * (self.valid is not None)
        rows += [(f"output {name}", found.in_words()) for name, found in self.outputs.items()]
        return html_table(f"{self.samples} graphs, {max(self.lengths) - 1} steps at most", ("", ""), rows)

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        hints = {}
        for name, tallies in self.hints.items():
            weights = self.num_running[: len(tallies)]
            values = [t.value() for t in tallies]
            mean = sum(v * n for v, n in zip(values, weights, strict=True)) / max(1, sum(weights))
            hints[name] = {"metric": tallies[0].metric, "value": mean, "per_step": values, "live": weights}
        steps = [max(1, length - 1) for length in self.lengths]
        found = {
            "samples": self.samples,
            **self.rates(),
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

    def rates(self) -> dict[str, Any]:
        """The answers alone: score, shares of graphs all right and of right answers, each output's score."""
        return {
            "score": self.score,
            "exact": self.exact / self.samples,
            "valid": None if self.valid is None else self.valid / self.samples,
            "outputs": {name: {"metric": t.metric, "value": t.value()} for name, t in self.outputs.items()},
        }


class Comparison:
    """What is right of the hints, step by step: after a rollout, or while it goes on (`RolloutOptions.watch`).

    Then a step's hints are compared with the trace's and let go: memory is that of one step, however many there are.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.tallies: dict[str, list[Tally]] = {}
        self.num_running: list[int] = []
        device = next(iter(batch.inputs.values())).device
        self.first_B = torch.zeros(len(batch), dtype=torch.int64, device=device)  # 0: none so far

    def __call__(self, s: int, decided: Mapping[str, Tensor], taken_B: Tensor | None = None) -> None:
        """The hints that step `s` predicted. They are compared as long as the trace goes on, and the rollout, where
        samples stayed in it after the steps that they have `taken`."""
        batch, spec, schedule = self.batch, self.batch.spec, self.batch.schedule
        kept = schedule.num_with_hint(s) if taken_B is None else len(batch)
        graphs_B = schedule.with_hint(s, self.first_B.device)[:kept]
        if taken_B is not None:
            graphs_B = graphs_B & (taken_B > s)
        if not (running := int(graphs_B.sum())):
            return
        self.num_running.append(running)
        true = merge_permutations(spec, {n: batch.hints[n][s + 1][: len(value)] for n, value in decided.items()})
        for name, value in merge_permutations(spec, decided).items():
            self.tallies.setdefault(name, []).append(counted(batch, spec[name], value, true[name], graphs_B))
            if spec[name].type is not Type.SCALAR:
                first_B = self.first_B[:kept]
                wrong = graphs_B & (first_B == 0) & ~batch.all_of(spec[name], right(spec[name], value, true[name]))
                first_B[wrong] = s + 1

    def first_errors(self) -> list[int | None] | None:
        """Of every trace, in the order in which they were given; None where no hint can be compared exactly."""
        if all(self.batch.spec[name].type is Type.SCALAR for name in self.tallies):
            return None
        found = zip(self.batch.order, self.first_B.tolist(), strict=True)
        return [step or None for _, step in sorted(found)]


def counted(batch: Batch, probe: Probe, predicted: Tensor, truth: Tensor, graphs_B: Tensor) -> Tally:
    """Predictions compared with the truth, both compact, at the entries that these graphs have."""
    there = batch.entries(probe, graphs_B)
    return tally(probe, predicted[there], truth[there])


def _joined(one: Mapping[str, T], other: Mapping[str, T], join: Callable[[T, T], T]) -> dict[str, T]:
    """Both dicts, with what they share joined."""
    return {**one, **{name: join(one[name], value) if name in one else value for name, value in other.items()}}


def _by_step(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Sums step by step; either may go on for longer."""
    pairs = itertools.zip_longest(one, other)
    return [b if a is None else a if b is None else a + b for a, b in pairs]
