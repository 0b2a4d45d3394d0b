"""Evaluation in the sparse layout: test sets of large graphs, and scores taken while a rollout goes on.

A step's hints are compared with the trace's and let go, so memory is that of one step, however many there are.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.datasets import canonical
from nar.device import tiny_numbers_are_zero, untouched
from nar.evaluation import axes
from nar.evaluation.evaluation import Evaluation
from nar.evaluation.peak_memory import PeakMemory
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.objectives.losses import total_loss
from nar.model.objectives.metrics import Tally, tally
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.traces.algorithm import Algorithm
from nar.traces.sparse import families, sampling
from nar.traces.sparse.trace import SparseTrace
from nar.traces.spec import Probe, Type

BATCH_BYTES, GPU = 8 * 2**20, 12  # a batch is cut so that the messages of a step stay below this, on a GPU GPU times it


def parameters(algorithm: Algorithm, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for sampling.sample that draw this setting (axes.py); ValueError where it cannot be drawn."""
    if "density" in setting:
        raise ValueError("density is one of random graphs over all pairs of nodes; the sparse layout has families")
    if (family := setting.get("family", sampling.FAMILY)) not in families.TABLE:
        raise ValueError(f"family {family} is not drawn in the sparse layout; it has {', '.join(families.TABLE)}")
    found = axes.parameters(algorithm, setting)
    return {name: value for name, value in found.items() if name != "p"} | {"family": family}


def test_set(
    algorithm: Algorithm, size: int, samples: int, seed: int, setting: Mapping[str, Any]
) -> tuple[Iterable[SparseTrace], dict[str, Any]]:
    """Test traces and their manifest; they are drawn again whenever they are gone through."""
    params = parameters(algorithm, setting)

    class Drawn:
        def __iter__(self) -> Iterator[SparseTrace]:
            return sampling.draw(algorithm, size, samples, seed, params)

    digest = hashlib.sha256()
    for i in range(samples):  # of the inputs, from which all else follows
        inputs = sampling.sample(algorithm, np.random.RandomState([seed, size, i]), size, **params)
        graph = inputs.pop("A")
        for array in (graph.starts, graph.senders, graph.weights, *inputs.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
    manifest = canonical.manifest(algorithm, size, samples, seed, params, digest.hexdigest(), name="nar/sparse")
    return Drawn(), manifest | {"params": params}  # of its own sampler's, there are none


def portions(traces: Iterable[SparseTrace], features: int, device: str = "cpu") -> Iterator[list[SparseTrace]]:
    """The traces in portions of similar sizes that fit into memory as one batch each."""
    part: list[SparseTrace] = []
    taken, limit = 0, BATCH_BYTES * (1 if device == "cpu" else GPU)
    for trace in traces:
        size = len(trace.graph.senders) * features * 4
        alike = not part or max(p.nodes for p in (*part, trace)) <= 2 * min(p.nodes for p in (*part, trace))
        if part and (taken + size > limit or not alike):
            yield part
            part, taken = [], 0
        part.append(trace)
        taken += size
    if part:
        yield part


def one_by_one(traces: Iterable[SparseTrace], *_: Any) -> Iterator[list[SparseTrace]]:
    """Every trace as a batch of its own."""
    return ([trace] for trace in traces)


class Comparison:
    """What is right of the hints, step by step, while a rollout goes on."""

    def __init__(self, batch: SparseBatch) -> None:
        self.batch = batch
        self.tallies: dict[str, list[Tally]] = {}
        self.num_running: list[int] = []
        self.first_B = torch.zeros(len(batch), dtype=torch.int64, device=batch.edges.senders.device)  # 0: none so far

    def __call__(self, s: int, decided: Mapping[str, Tensor]) -> None:
        """The hints that step `s` predicted. They are compared as long as the trace goes on, by whomever the rollout
        is ended."""
        batch, graphs_B = self.batch, self.batch.schedule.with_hint(s, self.first_B.device)
        if not (live := int(graphs_B.sum())):
            return
        self.num_running.append(live)
        for name, value in decided.items():
            probe, truth = batch.spec[name], batch.hints[name][s + 1]
            self.tallies.setdefault(name, []).append(counted(batch, probe, value, truth, graphs_B))
            if probe.type is not Type.SCALAR:
                wrong = graphs_B & (self.first_B == 0) & ~batch.all_of(probe, (value == truth) | (truth == -1))
                self.first_B = torch.where(wrong, s + 1, self.first_B)

    def first_errors(self) -> list[int | None] | None:
        """Of every trace, in the order in which they were given; None where no hint can be compared exactly."""
        if all(self.batch.spec[name].type is Type.SCALAR for name in self.tallies):
            return None
        found = zip(self.batch.order, self.first_B.tolist(), strict=True)
        return [step or None for _, step in sorted(found)]


def counted(batch: SparseBatch, probe: Probe, predicted: Tensor, truth: Tensor, graphs_B: Tensor) -> Tally:
    """Predictions compared with the truth, both compact, at the entries that these graphs have."""
    there = batch.entries(probe, graphs_B)
    return tally(probe, predicted[there], truth[there])


def evaluate_batch(
    reasoner: Reasoner,
    algorithm: Algorithm,
    batch: SparseBatch,
    traces: Sequence[SparseTrace] | None,
    *,
    loss: bool = False,
    memory: bool = False,
    **ending: Any,
) -> Evaluation:
    """One batch scored, as nar.evaluation.evaluate does it in the dense layout."""
    device, spec = next(reasoner.parameters()).device, batch.spec
    moved: Any = batch.to(device)
    batch, peak = moved, PeakMemory(device)
    everyone_B = torch.ones(len(batch), dtype=torch.bool, device=device)
    comparison = Comparison(batch)
    training, began = reasoner.training, time.perf_counter()
    reasoner.eval()
    alone = untouched(next(reasoner.parameters()).dtype)
    with alone, torch.no_grad(), tiny_numbers_are_zero(), peak.watched() if memory else contextlib.nullcontext():
        watch = {} if loss else {"watch": comparison, "decide_hints": True}
        rollout = reasoner(batch, **watch, **ending)
        decided = {name: hard(spec[name], value) for name, value in rollout.outputs.items()}
    reasoner.train(training)
    seconds = time.perf_counter() - began
    summed_loss = float("nan")
    if loss:
        summed_loss = total_loss(batch, rollout).item() * len(batch)
        for s, hints in enumerate(rollout.hints):
            comparison(s, {name: hard(spec[name], value) for name, value in hints.items()})
    right_B = everyone_B
    for name, value in decided.items():
        probe, truth = spec[name], batch.outputs[name]
        same = (value - truth).abs() < 0.5 if probe.type is Type.SCALAR else (value == truth) | (truth == -1)
        right_B = right_B & batch.all_of(probe, same)
    taken = [max(1, n - 1) for n in batch.lengths] if rollout.taken is None else rollout.taken.tolist()
    return Evaluation(
        samples=len(batch),
        outputs={n: counted(batch, spec[n], value, batch.outputs[n], everyone_B) for n, value in decided.items()},
        hints=comparison.tallies,
        num_running=comparison.num_running,
        exact=int(right_B.sum()),
        valid=None if traces is None else sum(_valid(algorithm, batch, traces, decided)),
        lengths=list(batch.lengths),
        taken=taken,
        first_errors=comparison.first_errors(),
        notes={
            name: _by_step(values, taken, reasoner.message_passing_steps) for name, values in rollout.measures.items()
        },
        seconds=seconds,
        summed_loss=summed_loss,
        peak_memory=peak.megabytes,
    )


def _valid(
    algorithm: Algorithm, batch: SparseBatch, traces: Sequence[SparseTrace], decided: Mapping[str, Tensor]
) -> Iterator[bool]:
    """Is the answer right? Of every graph, in the order of the batch."""
    arrays = {name: value.cpu().numpy() for name, value in decided.items()}
    for row, place in enumerate(batch.order):
        nodes = traces[place].nodes
        yield algorithm.is_valid_on_edges(
            traces[place],
            {name: value[row][:nodes] if value.ndim > 1 else value[row] for name, value in arrays.items()},
        )


def _by_step(values: list[Tensor], taken: list[int], passes: int) -> list[list[float]]:
    """A measure of the processor, by step, of graphs that still run."""
    return [
        [v for v, steps in zip(value.tolist(), taken, strict=False) if steps > s // passes]
        for s, value in enumerate(values)
    ]
