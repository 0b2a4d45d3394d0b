"""Evaluation: how well a reasoner does on a fixed set of traces, by output, by hint, by step and by whole graph.

A reasoner is always scored on its own predictions: after the first step it is fed what it predicted. Steps are taken as
many as the trace has (the oracle of CLRS). Counts are pooled over the whole set (nar/metric.py), so that scores do not
depend on how the set is cut into batches; it is cut by memory, longest traces first.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from nar.batch import Batch, collate
from nar.decode import hard
from nar.loss import total_loss
from nar.metric import Tally, correct, merge_permutations, tally
from nar.reasoner import Reasoner
from nar.trace import Algorithm, Trace

TENSOR_BYTES = 96 * 2**20  # a batch is cut so that one [B, N, N, F] tensor stays below this
CANONICAL_SIZE = 64  # graphs of this size come from the canonical CLRS-30 test set
TEST_SEED = 3  # of the canonical test set; sets of other sizes are drawn with it too


def test_set(algorithm: Algorithm, size: int, samples: int = 0) -> tuple[list[Trace], dict[str, Any]]:
    """Test traces of one size and their manifest; at size 64, unless `samples` asks otherwise, the canonical set.

    By default a set has as many samples as CLRS-30's (32 times the algorithm's multiplier), but 32 above size 64.
    """
    from nar.datasets import canonical

    if size == CANONICAL_SIZE and not samples:
        return canonical.canonical("clrs30-v1", "test", algorithm)
    count = samples or 32 * (algorithm.num_samples_multiplier if size <= CANONICAL_SIZE else 1)
    return canonical.fixed_set(algorithm, size, count, TEST_SEED, name="nar/test")


def chunks(traces: Sequence[Trace], features: int) -> Iterable[list[int]]:
    """Indices of the traces in batches that fit into memory, longest traces first."""
    nodes = traces[0].nodes
    size = max(1, TENSOR_BYTES // (nodes * nodes * features * 4))
    order = sorted(range(len(traces)), key=lambda i: -traces[i].length)
    return [order[i : i + size] for i in range(0, len(order), size)]


@dataclasses.dataclass
class Score:
    """Everything counted over one set."""

    outputs: dict[str, Tally]
    hints: dict[str, list[Tally]]  # by step
    exact: int  # graphs with every output right
    valid: int | None  # graphs whose outputs are a correct answer, where that can be said
    samples: int
    loss: float  # mean over samples; nan where not asked for
    steps: list[int]  # taken by every sample
    seconds: float

    @property
    def score(self) -> float:
        """The CLRS score: the mean over outputs."""
        return sum(t.value() for t in self.outputs.values()) / len(self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        hints = {}
        for name, tallies in self.hints.items():
            live = [sum(s > step for s in self.steps) for step in range(len(tallies))]
            values = [t.value() for t in tallies]
            mean = sum(v * n for v, n in zip(values, live, strict=True)) / max(1, sum(live))
            hints[name] = {"metric": tallies[0].metric, "value": mean, "per_step": values, "live": live}
        return {
            "samples": self.samples,
            "score": self.score,
            "exact": self.exact / self.samples,
            "valid": None if self.valid is None else self.valid / self.samples,
            "outputs": {name: {"metric": t.metric, "value": t.value()} for name, t in self.outputs.items()},
            "hints": hints,
            "steps_mean": sum(self.steps) / self.samples,
            "steps_max": max(self.steps),
            "seconds": self.seconds,
        }


@torch.no_grad()
def evaluate(
    reasoner: Reasoner,
    algorithm: Algorithm,
    traces: Sequence[Trace],
    *,
    batches: Sequence[Batch] | None = None,
    loss: bool = False,
    validity: bool = True,
) -> Score:
    """Score a reasoner on traces of one size. `batches`: the same traces, collated beforehand; `loss`: compute it too."""
    device = next(reasoner.parameters()).device
    training = reasoner.training
    reasoner.eval()
    began = time.perf_counter()
    spec = reasoner.specs[algorithm.name]
    outputs: dict[str, Tally] = {}
    hints: dict[str, list[Tally]] = {}
    exact = valid = 0
    summed_loss = 0.0
    if batches is None:
        ready = (
            (part, collate([traces[i] for i in part], algorithm))
            for part in chunks(traces, reasoner.processor.features)
        )
    else:
        ready = ((None, batch) for batch in batches)
    for part, batch in ready:
        batch = batch.to(device)
        rollout = reasoner(batch, decide_hints=not loss)
        if loss:
            summed_loss += total_loss(batch, rollout).item() * len(batch)
        predicted = merge_permutations(spec, {n: hard(spec[n], v) for n, v in rollout.outputs.items()})
        truth = merge_permutations(spec, batch.outputs)
        right = torch.ones(len(batch), dtype=torch.bool, device=device)
        for name in truth:
            _add(outputs, name, tally(spec[name], predicted[name], truth[name]))
            right &= correct(spec[name], predicted[name], truth[name])
        exact += int(right.sum())
        for step, values in enumerate(rollout.hints):
            if loss:
                values = {n: hard(spec[n], v) for n, v in values.items()}
            actual = {n: batch.hints[n][step + 1, : len(v)] for n, v in values.items() if len(v)}
            values = merge_permutations(spec, {n: values[n] for n in actual})
            for name, value in merge_permutations(spec, actual).items():
                steps = hints.setdefault(name, [])
                found = tally(spec[name], values[name], value)
                if step == len(steps):
                    steps.append(found)
                else:
                    steps[step] += found
        if validity and part is not None:
            answers = {name: value.cpu().numpy() for name, value in predicted.items()}
            for row, place in enumerate(batch.order):
                arguments = algorithm.arguments_of(traces[part[place]])
                valid += algorithm.is_valid(arguments, {n: v[row] for n, v in answers.items()})
    reasoner.train(training)
    return Score(
        outputs=outputs,
        hints=hints,
        exact=exact,
        valid=valid if validity and batches is None else None,
        samples=len(traces),
        loss=summed_loss / len(traces) if loss else float("nan"),
        steps=[max(1, trace.length - 1) for trace in traces],
        seconds=time.perf_counter() - began,
    )


def _add(tallies: dict[str, Tally], name: str, found: Tally) -> None:
    tallies[name] = tallies[name] + found if name in tallies else found
