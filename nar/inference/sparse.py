"""Answers on large sparse graphs: `run` of a reasoner in the sparse layout, in memory that grows with the edges.

Graphs are read as edges, whatever form they come in, and rollouts are compared with the algorithm's own steps while
they go on. Of small graphs a prediction has everything that one in the dense layout has, so that it can be drawn.

Shapes: N nodes, E edges, S steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch

from nar.evaluation.evaluate import predict, reasoner_device
from nar.evaluation.evaluation import Comparison, counted
from nar.inference import arguments, containers
from nar.inference.prediction import Prediction, confidence, named
from nar.model.coders.sparse.batch import SparseBatch, collate
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.nn.sparse import segments
from nar.nn.sparse.predictions import EdgePointers
from nar.traces.algorithm import Algorithm
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import Location, Probe, Type

SMALL = 256  # nodes of graphs whose predictions keep their hints


@dataclasses.dataclass(repr=False)
class SparsePrediction(Prediction):
    """A Prediction on a graph of more than SMALL nodes: without hints, and `true_trace` is a SparseTrace."""

    left: int | None = None

    @property
    def first_error(self) -> int | None:
        return self.left

    @property
    def trace(self) -> Any:  # type: ignore[override]
        raise ValueError(f"the predicted trace is kept, and drawn, for graphs of up to {SMALL} nodes")

    def draw(self, *_: Any, **__: Any) -> Any:
        return self.trace

    def summary(self) -> list[str]:
        lines = [f"The model's outputs: {self.in_words()}."]
        at = "never" if self.left is None else f"at step {self.left} of {self.steps}"
        return [*lines, f"A decision on the way is {at} another than the algorithm's."]


def run(
    reasoner: Reasoner,
    algorithm: Algorithm,
    graph: Any,
    source: Any,
    weight: str | None,
    inputs: Mapping[str, Any],
    steps: int | None,
    termination: str,
    normalise: bool = False,
) -> Prediction:
    """The prediction on one graph, given as `Solver.run` takes it."""
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
        raise ValueError(f"steps must be a positive integer, got {steps!r}")
    if normalise:
        raise ValueError("normalise is for the dense layout; in the sparse one divide the weights by hand")
    nodes: list[Hashable] = []
    if arguments.is_trace(graph):
        given = arguments.of_trace(algorithm, graph, {"source": source, **inputs})
        given["A"] = SparseGraph.of_matrix(given["A"])
    else:
        given, nodes = arguments.of_graph(algorithm, graph, source, weight, inputs, edges)
    return answer(reasoner, algorithm, given, nodes, steps, termination)


def edges(graph: Any, weight: str | None, weighted: bool) -> tuple[SparseGraph, list[Hashable]]:
    """A graph of any kind as edges, and the names of its nodes; what containers.matrix is in the dense layout.

    Beside all that is read there: a SparseGraph, or integers [2, E], which are PyTorch Geometric's edge_index.
    """
    found, nodes = _edges(graph, weight, weighted)
    if not weighted or weight is None:
        found = found.with_weights((found.weights != 0).astype(np.float64))
    return found, nodes


def _edges(graph: Any, weight: str | None, weighted: bool) -> tuple[SparseGraph, list[Hashable]]:
    import networkx as nx

    nodes: list[Hashable]
    if isinstance(graph, SparseGraph):
        return graph, [*range(len(graph))]
    if isinstance(graph, nx.Graph):
        nodes = list(graph.nodes)
        if graph.is_multigraph():
            raise ValueError("graph must not be a multigraph: join parallel edges first, as networkx.Graph(graph) does")
        if weighted and weight not in (None, "weight") and graph.size():
            if all(weight not in data for *_, data in graph.edges(data=True)):
                raise ValueError(f"weight: no edge of the graph has an attribute {weight!r}")
        index = {node: i for i, node in enumerate(nodes)}
        values = graph.edges(data=weight, default=1) if weighted and weight else ((*e, 1) for e in graph.edges())
        given = [(index[u], index[v], value) for u, v, value in values]
        if not graph.is_directed():
            given += [(v, u, value) for u, v, value in given if u != v]
        pairs = np.array([(u, v) for u, v, _ in given], np.int64).reshape(-1, 2).T
        return SparseGraph.of(len(nodes), pairs, [value for *_, value in given]), nodes
    if hasattr(graph, "edge_index") and not hasattr(graph, "edge_types"):
        pairs, numbers = containers.edges_of_data(graph, weight if weighted else None)
        nodes = [*range(int(graph.num_nodes or 0))]
        return SparseGraph.of(len(nodes), pairs, numbers), nodes
    if hasattr(graph, "tocoo"):  # scipy's sparse matrices
        entries = graph.tocoo(copy=True)
        entries.sum_duplicates()
        containers.refuse_zeros(entries.row[entries.data == 0], entries.col[entries.data == 0])
        found = SparseGraph.of_matrix(entries)
        return found, [*range(len(found))]
    if isinstance(graph, (torch.Tensor, np.ndarray)) and len(graph.shape) == 2:
        values = containers.plain(graph)
        if values.dtype.kind in "iu" and len(values) == 2 != values.shape[1]:
            nodes = [*range(int(values.max()) + 1 if values.size else 0)]
            return SparseGraph.of(len(nodes), values), nodes
    A, nodes = containers.matrix(graph, weight, weighted)
    return SparseGraph.of_matrix(A), nodes


def answer(
    reasoner: Reasoner,
    algorithm: Algorithm,
    given: Mapping[str, Any],
    nodes: list[Hashable],
    steps: int | None,
    termination: str,
) -> Prediction:
    """The prediction on one graph; `given`: arguments of run_on_edges."""
    trace, spec = algorithm.run_on_edges(**given), reasoner.specs[algorithm.name]
    nodes = nodes or list(range(trace.nodes))
    batch = collate([trace], algorithm)
    timed: Any = batch.with_lengths([max(2, trace.length) if steps is None else int(steps) + 1])
    timed = timed.to(reasoner_device(reasoner))
    comparison, hints, small = Comparison(timed), [], trace.nodes <= SMALL

    def watch(s: int, decided: dict[str, torch.Tensor]) -> None:
        comparison(s, decided)
        if small:
            hints.append({name: _full(spec[name], value, batch) for name, value in decided.items()})

    ends = {} if termination == "oracle" else {"termination": termination, "limit": steps}
    rollout = predict(reasoner, timed, decide_hints=True, watch=watch, **ends)
    taken = timed.lengths[0] - 1 if rollout.taken is None else int(rollout.taken[0])
    everyone = torch.ones(1, dtype=torch.bool)
    logits = {name: value.cpu() for name, value in rollout.outputs.items()}
    decided = {name: hard(spec[name], value) for name, value in logits.items()}
    tallies = {n: counted(batch, spec[n], value, batch.outputs[n], everyone) for n, value in decided.items()}
    compact, truth = ({n: v[0].numpy() for n, v in values.items()} for values in (decided, batch.outputs))
    sure = {
        name: _probabilities(spec[name], value) for name, value in logits.items() if spec[name].type is not Type.SCALAR
    }
    right = {n: bool(batch.all_of(spec[n], _same(spec[n], v, batch.outputs[n]))) for n, v in decided.items()}
    facts: dict[str, Any] = {
        "algorithm": algorithm.name,
        "nodes": nodes,
        "steps": taken,
        "outputs": {name: named(spec[name], value, nodes) for name, value in compact.items()},
        "truth": {name: named(spec[name], value, nodes) for name, value in truth.items()},
        "confidence": {name: confidence(spec[name], compact[name], p, nodes) for name, p in sure.items()},
        "correct": right,
        "valid": algorithm.is_valid_on_edges(trace, compact),
        "score": {name: found.value() for name, found in tallies.items()},
        "compact": compact,
        "tallies": tallies,
    }
    if not small:
        left = (comparison.first_errors() or [None])[0]
        return SparsePrediction(**facts, hints={}, true_hints={}, true_trace=trace, left=left)  # type: ignore[arg-type]
    dense = algorithm.run(**{**given, "A": given["A"].matrix()})
    moments_S = np.arange(1, taken + 1).clip(max=dense.length - 1)
    names = list(hints[0]) if hints else []
    return Prediction(
        **facts,
        hints={name: np.stack([step[name] for step in hints[:taken]]) for name in names},
        true_hints={name: np.asarray(dense.compact[name])[moments_S] for name in names},
        true_trace=dense,
    )


def _same(probe: Probe, predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (predicted - truth).abs() < 0.5 if probe.type is Type.SCALAR else predicted == truth


def _full(probe: Probe, value: torch.Tensor, batch: SparseBatch) -> np.ndarray:
    """A decided hint of the one graph as the dense layout has it."""
    if probe.location is not Location.EDGE:
        return value[0].cpu().numpy()
    full = np.zeros((batch.nodes, batch.nodes), value.cpu().numpy().dtype)
    full[batch.edges.senders.cpu(), batch.edges.receivers.cpu()] = value.cpu().numpy()
    return full


def _probabilities(probe: Probe, logits: Any) -> np.ndarray:
    """The probability that the model gives to every predicted entry of the one graph."""
    if isinstance(logits, EdgePointers):
        return segments.reduce(logits.expected(), "max", logits.edges.starts).numpy()
    if probe.type is Type.MASK:
        return torch.sigmoid(logits.abs())[0].numpy()
    return torch.softmax(logits, -1).amax(-1)[0].numpy()
