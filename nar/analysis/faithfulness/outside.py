"""Does a reasoner execute the algorithm, or does it only arrive at its answers? Measured from outside and from inside.

    found = nar.analysis.faithfulness.report.measure(nar.load("runs/NAME"), nar.datasets.get("bfs"))

- external: how often the hints that it predicts are the trace's, step by step, fed with nothing but its own;
- interventions: an edge is changed; where the algorithm does not care the answer must stay as it is, where the
  algorithm's answer changes it must change to the same. Needs no look inside, so any network can be asked;
- sources: how much of what a node listens to comes from a neighbour that the algorithm could have used at that step
  (any of them, ties are not errors): attention weights, or with a maximum the share of features that a sender wins;
- probes: is a hint a linear function of the hidden states? Fitted on small graphs, scored on large ones.

No number says much alone: a report puts beside them those of an untrained network, of another seed, of the compiled
reference (1 everywhere) and of the same weights shuffled. The questions are those of Saldyt and Kambhampati (arXiv
2505.18623), the measures are nar's own. Unlike distances between attention maps they treat all exact solutions alike.

Shapes: B graphs, N nodes, S senders, R receivers, F features, T moments.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.evaluation.evaluate import TEST_SEED, decided_outputs, predict, rollouts
from nar.model.objectives.metrics import merge_permutations
from nar.model.reasoner import Reasoner
from nar.traces.algorithm import Algorithm
from nar.traces.spec import IGNORED, Location, Probe, Type
from nar.traces.trace import Trace

FAITHFUL = 0.99  # share of right entries that counts as all of them
EACH = 2  # interventions of a kind per graph
TOLERANCE = 0.01  # scalar hints agree within this share of the largest of the graph


@dataclasses.dataclass
class Curve:
    """Right entries per step, pooled over graphs; `acting` counts those alone that the algorithm changes then."""

    counts: list[tuple[float, float]] = dataclasses.field(default_factory=list)  # by step: right ones, all

    def add(self, step: int, right: Tensor, counted: Tensor) -> None:
        self.counts += [(0.0, 0.0)] * (step + 1 - len(self.counts))
        before, total = self.counts[step]
        self.counts[step] = before + (right & counted).sum().item(), total + counted.sum().item()

    def per_step(self) -> list[float | None]:
        return [right / total if total else None for right, total in self.counts]

    def mean(self) -> float | None:
        """Over all entries of all steps."""
        everything = sum(total for _, total in self.counts)
        return sum(right for right, _ in self.counts) / everything if everything else None


def _same(probe: Probe, a: Tensor, b: Tensor) -> Tensor:
    """Which entries agree; scalars within TOLERANCE of the graph's largest in `b`."""
    if probe.type is not Type.SCALAR:
        return a == b
    largest = b.abs().flatten(1).amax(1).view(-1, *[1] * (b.dim() - 1))
    return (a - b).abs() <= TOLERANCE * torch.where(largest > 0, largest, 1.0)


def external(
    reasoner: Reasoner, algorithm: Algorithm, traces: Iterable[Trace], against: Reasoner | None = None
) -> dict[str, Any]:
    """Hint agreement per step, F_ext(t), with the traces, or with what another reasoner predicts (`against`).

    `area` is the mean over all graphs and steps; `below`: the first step where F_ext falls under FAITHFUL; `acting`:
    the same agreement on those entries alone that the algorithm changes in that step.
    """
    spec = reasoner.specs[algorithm.name]
    curves, acting, outputs = defaultdict(Curve), defaultdict(Curve), Curve()
    num_running: list[int] = []
    for _, batch, rollout in rollouts(reasoner, algorithm, traces, decide_hints=True):
        truth, other = merge_permutations(spec, batch.outputs), None
        if against is not None:
            other = predict(against, batch, decide_hints=True)
            truth = decided_outputs(spec, other)
        for step, values in enumerate(rollout.hints):
            for name, value in values.items():
                count = len(value)
                now, before = batch.hints[name][step + 1, :count], batch.hints[name][step, :count]
                right = _same(spec[name], value, now if other is None else other.hints[step][name][:count])
                counted = torch.ones_like(right)
                if spec[name].type in (Type.MASK, Type.CATEGORICAL):
                    counted = now != IGNORED
                curves[name].add(step, right, counted)
                acting[name].add(step, right, counted & (now != before))
            num_running += [0] * (step + 1 - len(num_running))
            num_running[step] += len(next(iter(values.values()), ()))
        for name, value in decided_outputs(spec, rollout).items():
            outputs.add(0, _same(spec[name], value, truth[name]), truth[name] != IGNORED)
    curve = [_mean(values) for values in zip(*(c.per_step() for c in curves.values()), strict=True)]
    weight = [n for n, value in zip(num_running, curve, strict=True) if value is not None]
    known = [value for value in curve if value is not None]
    return {
        "per_step": curve,
        "live": num_running,
        "area": float(np.average(known, weights=weight)) if known else None,
        "below": next((s + 1 for s, value in enumerate(curve) if value is not None and value < FAITHFUL), None),
        "acting": _mean([c.mean() for c in acting.values()]),
        "hints": {
            name: {"mean": c.mean(), "acting": acting[name].mean(), "per_step": c.per_step()}
            for name, c in curves.items()
        },
        "outputs": outputs.mean(),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# Interventions


def interventions(reasoner: Reasoner, algorithm: Algorithm, *, size: int = 16, samples: int = 32) -> dict[str, Any]:
    """Change one edge (both directions of an undirected one), EACH times an irrelevant and a relevant one per graph.

    Of a weighted graph the edge becomes as long as the longest, of another it is taken away. Irrelevant: the trace
    stays the same (scalars on edges, which hold the edge itself, aside), so must the answer (`ignored`) and all
    predicted masks, classes and pointers of every step (`ignored_throughout`). Relevant: the answer changes; where it
    does, the prediction must have been the old answer and become the new one (`followed`). Rates are over
    interventions.
    """
    if not on_graphs(algorithm):
        raise ValueError(f"interventions change edges, {algorithm.name} has none; ask an algorithm on graphs")
    rng = np.random.RandomState(TEST_SEED)
    before: list[Trace] = []
    cases: list[tuple[int, bool, Trace]] = []
    for place in range(samples):
        inputs = algorithm.sample(rng, size)
        before.append(algorithm.run(**inputs))
        missing = {False: EACH, True: EACH}
        for relevant, trace in _changed_edges(algorithm, inputs, before[-1], rng):
            if missing[relevant]:
                missing[relevant] -= 1
                cases.append((place, relevant, trace))
            if not any(missing.values()):
                break
    old, new = (_answers(reasoner, algorithm, traces) for traces in (before, [trace for *_, trace in cases]))
    counts: dict[str, list[bool]] = {"ignored": [], "ignored_throughout": [], "followed": []}
    for (place, relevant, trace), (answer, hints) in zip(cases, new, strict=True):
        was, hints_before = old[place]
        if relevant:
            old_truth, truth = ({name: np.asarray(t.compact[name]) for name in was} for t in (before[place], trace))
            moved = {name: truth[name] != old_truth[name] for name in was}
            was_right = all((was[n][moved[n]] == old_truth[n][moved[n]]).all() for n in was)
            is_right = all((answer[n][moved[n]] == truth[n][moved[n]]).all() for n in was)
            counts["followed"].append(was_right and is_right)
        else:
            same = all(np.array_equal(answer[name], was[name]) for name in was)
            counts["ignored"].append(same)
            counts["ignored_throughout"].append(same and all(map(np.array_equal, hints, hints_before)))
    rates = {name: sum(found) / len(found) if found else None for name, found in counts.items()}
    return rates | {"irrelevant": len(counts["ignored"]), "relevant": len(counts["followed"]), "size": size}


def on_graphs(algorithm: Algorithm) -> bool:
    """Does the algorithm read a matrix of edges?"""
    return "A" in algorithm.arguments and "A" in algorithm.spec and algorithm.spec["A"].location is Location.EDGE


def _changed_edges(
    algorithm: Algorithm, inputs: dict[str, Any], trace: Trace, rng: np.random.RandomState, tries: int = 60
) -> Iterator[tuple[bool, Trace]]:
    """Traces with one edge changed, in random order, and whether the answer is another; other cases are left out."""
    A = np.asarray(inputs["A"])
    undirected = np.array_equal(A, A.T)
    length = A.max() if "law" in algorithm.params else 0.0
    starts, ends = np.nonzero(np.triu(A, 1) if undirected else A * (1 - np.eye(len(A))))
    for edge in rng.permutation(len(starts))[:tries]:
        changed = A.copy()
        changed[starts[edge], ends[edge]] = length
        if undirected:
            changed[ends[edge], starts[edge]] = length
        try:
            other = algorithm.run(**(inputs | {"A": changed}))
        except ValueError:  # a graph that the algorithm does not take
            continue
        if any(not np.array_equal(other.compact[name], trace.compact[name]) for name in algorithm.spec.outputs):
            yield True, other
        elif other.length == trace.length and all(
            np.array_equal(np.asarray(other.compact[name]), np.asarray(trace.compact[name]))
            for name, probe in algorithm.spec.hints.items()
            if not (probe.type is Type.SCALAR and probe.location is Location.EDGE)
        ):
            yield False, other


def _answers(
    reasoner: Reasoner, algorithm: Algorithm, traces: Sequence[Trace]
) -> list[tuple[dict[str, np.ndarray], list[np.ndarray]]]:
    """Of every trace, in order: outputs by name, and the discrete hints of all steps."""
    found: list[Any] = []
    spec = reasoner.specs[algorithm.name]
    for part, batch, rollout in rollouts(reasoner, algorithm, traces, decide_hints=True):
        outputs = {n: v.cpu().numpy() for n, v in decided_outputs(spec, rollout).items()}
        hints = [v.cpu().numpy() for s in rollout.hints for n, v in s.items() if spec[n].type is not Type.SCALAR]
        rows: list[Any] = [None] * len(part)
        for b, place in enumerate(batch.order):
            rows[place] = {n: v[b] for n, v in outputs.items()}, [value[b] for value in hints if b < len(value)]
        found += rows
    return found
