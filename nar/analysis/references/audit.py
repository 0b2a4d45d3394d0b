"""Audits of one reasoner: are its pointers right whichever way ties are broken, and how much precision does it need?

pointers_valid(compiled("bellman_ford", beta=1e4), algorithm, traces)   # share of valid pointers
precision(compiled("bellman_ford"), algorithm, sizes=(16, 64, 256))     # where float32 and bfloat16 leave float64
scales(compiled("bellman_ford"), algorithm)                             # edge weights times 0.001 to 1000
"""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from nar.datasets import canonical
from nar.evaluation.evaluate import TEST_SEED, by_trace, decided_outputs, evaluate, portions, predict, rollouts
from nar.model.batch import Batch, collate
from nar.model.reasoner import Reasoner
from nar.traces.algorithm import Algorithm
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Stage, Type
from nar.traces.trace import Trace

SIZES = (4, 8, 16, 32, 64)
DTYPES: tuple[str, ...] = ("float32", "bfloat16")
SCALES = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


def double(batch: Batch, traces: Sequence[Trace]) -> Batch:
    """The batch with scalars in float64, as the traces have them; collating rounds them to float32."""
    inputs, hints = dict(batch.inputs), dict(batch.hints)
    ordered = [traces[place] for place in batch.order]
    for name, probe in batch.spec.items():
        if probe.type is not Type.SCALAR or name not in ordered[0].compact:
            continue
        parts = [trace.compact[name] for trace in ordered]
        if probe.stage is Stage.INPUT:
            inputs[name] = torch.from_numpy(np.stack(parts))
        elif probe.stage is Stage.HINT and isinstance(parts[0], RunLengthArray):
            hints[name] = RunLengthArray(
                torch.from_numpy(np.concatenate([p.values for p in parts])), batch.hints[name].index
            )
        elif probe.stage is Stage.HINT:
            hints[name] = pad_sequence([torch.from_numpy(part).double() for part in parts])
    return dataclasses.replace(batch, inputs=inputs, hints=hints)


def precision(
    reasoner: Reasoner, algorithm: Algorithm, *, sizes: Sequence[int] = SIZES, samples: int = 8, **params: Any
) -> dict[str, Any]:
    """Outputs in each of DTYPES against float64 on float64 inputs: share of entries that differ, and the first size.

    `first`: the smallest of `sizes` at which any entry differs, None where none does.
    """
    models = {name: copy.deepcopy(reasoner).to(getattr(torch, name)) for name in DTYPES}
    exact = copy.deepcopy(reasoner).double()
    found: dict[str, Any] = {name: {"first": None, "differ": {}} for name in DTYPES}
    for size in sizes:
        differ, total = dict.fromkeys(DTYPES, 0), 0
        for part in portions(canonical.draw(algorithm, size, samples, TEST_SEED, params), reasoner.processor.features):
            batch = collate(part, algorithm)
            truth = _outputs(exact, double(batch, part))
            total += sum(value.numel() for value in truth.values())
            for name, model in models.items():
                outputs = _outputs(model, batch)
                differ[name] += sum(int((outputs[n].cpu() != truth[n].cpu()).sum()) for n in truth)
        for name, entry in found.items():
            entry["differ"][size] = differ[name] / total
            if differ[name] and entry["first"] is None:
                entry["first"] = size
    return found


def _outputs(reasoner: Reasoner, batch: Batch) -> dict[str, torch.Tensor]:
    return decided_outputs(reasoner.specs[batch.algorithm], predict(reasoner, batch, decide_hints=True))


def scales(
    reasoner: Reasoner, algorithm: Algorithm, *, size: int = 64, samples: int = 8
) -> dict[float, dict[str, float]]:
    """Score, whole graphs right and right answers with all weights multiplied: the same graphs at every scale."""
    if "scale" not in algorithm.params:
        raise ValueError(f"{algorithm.name} has no weights to scale; ask an algorithm on weighted graphs")
    found = {}
    for scale in SCALES:
        traces = canonical.draw(algorithm, size, samples, TEST_SEED, {"scale": scale})
        rates = evaluate(reasoner, algorithm, traces).rates()
        found[scale] = {name: rates[name] for name in ("score", "exact", "valid")}
    return found


def pointers_valid(reasoner: Reasoner, algorithm: Algorithm, traces: Iterable[Trace]) -> float:
    """Share of predecessor pointers that end a shortest path, ties broken in any way (sums within 1e-9).

    For bfs, bellman_ford, dijkstra and floyd_warshall. Unlike `Evaluation.valid`, which asks for whole graphs, this
    counts pointers one by one: pi_v = u is valid if the distance of u plus the edge is the distance of v; nodes without
    a path and the source point to themselves (in Floyd-Warshall, entries without a path to their row).
    """
    right = total = 0
    for part, batch, rollout in rollouts(reasoner, algorithm, traces, decide_hints=True):
        for trace, answer in by_trace(batch, part, decided_outputs(reasoner.specs[algorithm.name], rollout)):
            valid = _valid(algorithm, algorithm.arguments_of(trace), answer)
            right, total = right + int(valid.sum()), total + valid.size
    return right / total


def _valid(algorithm: Algorithm, arguments: dict[str, Any], answer: dict[str, np.ndarray]) -> np.ndarray:
    A = np.asarray(arguments["A"], dtype=np.float64)
    distances = algorithm.oracle(**arguments)
    if "Pi" in answer:
        d, pi, source = np.asarray(distances["distances"]), answer["Pi"], np.arange(len(A))
    elif "pi" in answer and "d" in distances:
        d, pi, source = np.asarray(distances["d"])[None], answer["pi"][None], np.asarray([arguments["s"]])
    else:
        raise ValueError(f"pointers_valid knows shortest paths alone, got {algorithm.name}")
    weights = np.where(A != 0, A if "law" in algorithm.params else 1.0, np.inf)
    nodes = np.arange(len(A))
    with np.errstate(invalid="ignore"):
        tight = np.abs(np.take_along_axis(d, pi, 1) + weights[pi, nodes] - d) <= 1e-9 * np.abs(A).max()
    if "Pi" in answer:  # the diagonal, which may hold i or the end of a way round, is not counted
        return np.where(np.isfinite(d), tight, pi == source[:, None])[~np.eye(len(A), dtype=bool)]
    return np.where((nodes == source) | ~np.isfinite(d), pi == nodes, tight)
