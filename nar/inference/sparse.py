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
from nar.evaluation.evaluation import Comparison
from nar.inference import arguments, containers
from nar.inference.cases import Case
from nar.inference.prediction import Prediction, of_outputs
from nar.model.coders.sparse.batch import SparseBatch, collate
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.traces.algorithm import Algorithm
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import Location, Probe

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

    def summary(self) -> list[str]:
        lines = [f"The model's outputs: {self.in_words()}."]
        at = "never" if self.left is None else f"at step {self.left} of {self.steps}"
        return [*lines, f"A decision on the way is {at} another than the algorithm's."]


def make(
    algorithm: Algorithm, graph: Any, source: Any, inputs: Mapping[str, Any], *, weight: str | None, normalise: bool
) -> Case:
    """What cases.make is in the dense layout."""
    if normalise:
        raise ValueError("normalise is for the dense layout; in the sparse one divide the weights by hand")
    nodes: list[Hashable] = []
    if arguments.is_trace(graph):
        given = arguments.of_trace(algorithm, graph, {"source": source, **inputs})
        given["A"] = SparseGraph.of_matrix(given["A"])
    else:
        given, nodes = arguments.of_graph(algorithm, graph, source, weight, inputs, edges)
    trace: Any = algorithm.run_on_edges(**given)
    return Case(given, trace, nodes or list(range(trace.nodes)), trace, None)


def edges(graph: Any, weight: str | None, weighted: bool) -> tuple[SparseGraph, list[Hashable]]:
    """A graph of any kind as edges, and the names of its nodes; what containers.matrix is in the dense layout.

    Beside all that is read there: a SparseGraph, or integers [2, E], which are PyTorch Geometric's edge_index.
    """
    found, nodes = _edges(graph, weight, weighted)
    if not weighted or weight is None:
        found = found.with_weights((found.weights != 0).astype(np.float64))
    return found, nodes or list(range(len(found)))


def _edges(graph: Any, weight: str | None, weighted: bool) -> tuple[SparseGraph, list[Hashable]]:
    """The same before weights are left away, with no names where they are the nodes' numbers."""
    import networkx as nx

    if isinstance(graph, SparseGraph):
        return graph, []
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
        return SparseGraph.of(int(graph.num_nodes or 0), pairs, numbers), []
    if hasattr(graph, "tocoo"):  # scipy's sparse matrices
        entries = graph.tocoo(copy=True)
        entries.sum_duplicates()
        containers.refuse_zeros(entries.row[entries.data == 0], entries.col[entries.data == 0])
        return SparseGraph.of_matrix(entries), []
    if isinstance(graph, (torch.Tensor, np.ndarray)) and len(graph.shape) == 2:
        values = containers.plain(graph)
        if values.dtype.kind in "iu" and len(values) == 2 != values.shape[1]:
            return SparseGraph.of(int(values.max()) + 1 if values.size else 0, values), []
    A, nodes = containers.matrix(graph, weight, weighted)
    return SparseGraph.of_matrix(A), nodes


def answer(reasoner: Reasoner, algorithm: Algorithm, case: Case, steps: int | None, termination: str) -> Prediction:
    """The prediction on one graph."""
    trace: Any = case.trace
    spec, small = reasoner.specs[algorithm.name], trace.nodes <= SMALL
    batch = collate([trace], algorithm)
    timed: Any = batch.with_lengths([max(2, trace.length) if steps is None else int(steps) + 1])
    timed = timed.to(reasoner_device(reasoner))
    comparison, hints = Comparison(timed), []

    def watch(s: int, decided: dict[str, torch.Tensor]) -> None:
        comparison(s, decided)
        if small:
            hints.append({name: _full(spec[name], value, batch) for name, value in decided.items()})

    ends = {} if termination == "oracle" else {"termination": termination, "limit": steps}
    rollout = predict(reasoner, timed, decide_hints=True, watch=watch, **ends)
    taken = timed.lengths[0] - 1 if rollout.taken is None else int(rollout.taken[0])
    logits = {name: value.cpu() for name, value in rollout.outputs.items()}
    decided = {name: hard(spec[name], value) for name, value in logits.items()}
    facts = of_outputs(spec, logits, decided, batch.outputs, case.nodes)
    facts |= {"algorithm": algorithm.name, "nodes": case.nodes, "steps": taken}
    facts["valid"] = algorithm.is_valid_on_edges(trace, facts["compact"])
    if not small:
        left = (comparison.first_errors() or [None])[0]
        return SparsePrediction(**facts, hints={}, true_hints={}, true_trace=trace, left=left)
    dense = algorithm.run(**{**case.given, "A": case.given["A"].matrix()})
    moments_S = np.arange(1, taken + 1).clip(max=dense.length - 1)
    names = list(hints[0]) if hints else []
    return Prediction(
        **facts,
        hints={name: np.stack([step[name] for step in hints[:taken]]) for name in names},
        true_hints={name: np.asarray(dense.compact[name])[moments_S] for name in names},
        true_trace=dense,
    )


def _full(probe: Probe, value: torch.Tensor, batch: SparseBatch) -> np.ndarray:
    """A decided hint of the one graph as the dense layout has it."""
    if probe.location is not Location.EDGE:
        return value[0].cpu().numpy()
    full = np.zeros((batch.nodes, batch.nodes), value.cpu().numpy().dtype)
    full[batch.edges.senders.cpu(), batch.edges.receivers.cpu()] = value.cpu().numpy()
    return full
