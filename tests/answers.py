"""Solvers that need no training, for tests of predictions: one that is never wrong, and ones that know nothing.

And graphs with names for them, and what it means that two predictions are the same.
"""

import networkx as nx
import numpy as np
import torch

import nar
from nar.analysis.references import compiled
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner, Rollout
from nar.traces.spec import Type


class Perfect(Reasoner):
    """Answers with what is in the batch, as logits: every step right, every probability near 1."""

    def forward(self, batch, *, decide_hints=False, **_):
        assert not self.training and decide_hints
        self.seen = batch

        def logits(name, truth):
            probe = batch.spec[name]
            if probe.type is Type.SCALAR:
                return truth.float()
            if probe.type is Type.MASK:
                return 40.0 * truth.float() - 20.0
            return 40.0 * torch.nn.functional.one_hot(truth.long().clamp(min=0), probe.classes or batch.nodes).float()

        def moment(s):
            left = sum(length > s for length in batch.lengths)
            found = {name: logits(name, value[s, :left]) for name, value in batch.hints.items()}
            return feed_back(batch.spec, found, how="hard")

        outputs = {name: logits(name, value) for name, value in batch.outputs.items()}
        return Rollout(outputs, [moment(s + 1) for s in range(batch.steps)])


def perfect(*algorithms):
    return nar.Solver(Perfect.build(algorithms, "deepsets", hidden=4))


def exact(algorithm):
    """The compiled reference."""
    return nar.Solver(compiled.compiled(algorithm))


def untrained(algorithm, processor="mpnn", seed=0, **options):
    torch.manual_seed(seed)
    return nar.Solver(Reasoner.build(algorithm, processor, hidden=16, **options))


def path_length(graph, pointers, node, source, weight):
    total = 0.0
    while node != source:
        total += graph[pointers[node]][node][weight]
        node = pointers[node]
    return total


def mixed(count=9):
    """Connected graphs of three sizes with names of their own, in no order of size, and a source in each."""
    graphs = []
    for i in range(count):
        graph = nx.gnp_random_graph(4 + 3 * (i % 3), 0.5, seed=i)
        nx.add_path(graph, range(len(graph)))
        for k, (u, v) in enumerate(graph.edges):
            graph[u][v]["weight"] = 1 + (7 * k + i) % 11
        graphs.append(nx.relabel_nodes(graph, {v: (i, "xyz"[v % 3] + str(v)) for v in graph}))
    return graphs, [list(graph)[i % len(graph)] for i, graph in enumerate(graphs)]


def same_prediction(one, other, rtol=1e-5):
    assert one.outputs == other.outputs and one.truth == other.truth and one.nodes == other.nodes
    assert (one.steps, one.valid, one.correct) == (other.steps, other.valid, other.correct)
    for name, sure in one.confidence.items():
        sure = [list(c.values()) if isinstance(c, dict) else c for c in (sure, other.confidence[name])]
        np.testing.assert_allclose(*sure, rtol=rtol, atol=1e-6)
    for hints in ("hints", "true_hints"):
        mine, yours = getattr(one, hints), getattr(other, hints)
        assert mine.keys() == yours.keys()
        for name, value in mine.items():
            np.testing.assert_allclose(value, yours[name], rtol=rtol, atol=1e-5)
