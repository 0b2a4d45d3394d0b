"""Predictions for several graphs at once are those for each alone."""

import networkx as nx
import numpy as np
import pytest
import torch
from answers import exact, mixed, path_length, perfect, same_prediction, untrained
from torch_geometric.data import Batch as PygBatch
from torch_geometric.data import Data

import nar
from nar.evaluation import evaluate
from nar.traces.formats import pyg


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("make", [exact, lambda name: untrained(name, "triplet_gmpnn")])
def test_each_of_a_batch_is_answered_as_if_alone(make, steps):
    solver = make("dijkstra")
    solver.reasoner.double()
    graphs, sources = mixed()
    together = solver.run_many(graphs, source=sources, steps=steps)
    assert len({(len(found.nodes), found.steps) for found in together}) >= 3
    for graph, source, found in zip(graphs, sources, together, strict=True):
        same_prediction(found, solver.run(graph, source=source, steps=steps))
    backwards = solver.run_many(graphs[::-1], source=sources[::-1], steps=steps)
    for one, other in zip(together, backwards[::-1], strict=True):
        same_prediction(one, other)


def test_a_batch_gives_networkx_shortest_paths(monkeypatch):
    monkeypatch.setattr(evaluate, "TENSOR_BYTES", 2000)  # several batches of one size
    graphs, sources = mixed()
    solver = exact("bellman_ford")
    for graph, source, found in zip(graphs, sources, solver.run_many(graphs, source=sources), strict=True):
        distances = nx.single_source_dijkstra_path_length(graph, source)
        for node in graph:
            assert path_length(graph, found.outputs["pi"], node, source, "weight") == distances[node]
        assert found.valid


def test_traces_of_one_moment_among_longer_ones():
    lonely, path = nx.empty_graph(4), nx.path_graph(4)
    found = untrained("bfs").run_many([path, lonely, path], source=[0, 0, 1])
    assert [p.steps for p in found] == [3, 1, 2]
    for prediction, graph, source in zip(found, (path, lonely, path), (0, 0, 1), strict=True):
        same_prediction(prediction, untrained("bfs").run(graph, source=source))


def test_batches_of_other_inputs():
    sizes = [5, 3, 5]
    arrays = [np.random.RandomState(i).uniform(size=n) for i, n in enumerate(sizes)]
    for values, found in zip(arrays, perfect("insertion_sort").run_many(arrays), strict=True):
        assert found.outputs["pred"] == np.argsort(values).tolist()
    texts, patterns = [[0, 1, 1, 2], [2, 2, 1]], [[1, 2], [2, 1]]
    matches = perfect("naive_string_matcher").run_many(T=texts, P=patterns)
    assert [found.outputs["match"] for found in matches] == [2, 1]
    traces = [nar.datasets.get("minimum").run(A=values) for values in arrays]
    for data in (traces, pyg.to_batch(traces)):
        found = perfect("minimum", "bfs").run_many(data)
        assert [p.outputs["min"] for p in found] == [int(values.argmin()) for values in arrays]
    plain = PygBatch.from_data_list([Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=n) for n in (2, 3)])
    assert [p.outputs["pi"] for p in perfect("bfs").run_many(plain, source=[0, 2])] == [
        {0: 0, 1: 0},
        {0: 0, 1: 1, 2: 2},
    ]
    assert perfect("minimum").run_many([]) == []


def test_one_value_is_for_all_graphs():
    solver, graphs = untrained("bfs"), [nx.path_graph(n) for n in (3, 5, 3)]
    expected = solver.run_many(graphs, source=[0, 0, 0])
    for source in (0, torch.tensor(0), np.int64(0)):
        found = solver.run_many(graphs, source=source)
        assert [p.confidence for p in found] == [p.confidence for p in expected]
    named = [nx.relabel_nodes(graph, {0: ("a", 1)}) for graph in graphs]
    assert [p.outputs["pi"]["a", 1] for p in perfect("bfs").run_many(named, source=("a", 1))] == [("a", 1)] * 3
    searched = perfect("binary_search").run_many([[0.1, 0.4], [0.3, 0.5]], x=0.2)
    assert [p.outputs["return"] for p in searched] == [1, 0]
    (alone,) = perfect("binary_search").run_many(A=[[0.1, 0.4]], x=0.2)
    assert alone.outputs == {"return": 1}


@pytest.mark.parametrize(
    ("graphs", "options", "message"),
    [
        ([nx.path_graph(2)], {"source": [0, 1]}, "source must be a list .* 1 graphs, got 2 entries"),
        ([nx.path_graph(2)] * 2, {"source": (0, 1)}, r"graph 0: source must be one of .* got \(0, 1\)"),
        ([nx.path_graph(2)] * 2, {"source": 7}, r"graph 0: source must be one of .* got 7"),
        ([nx.path_graph(2)] * 2, {"source": [0, 7]}, r"graph 1: source must be one of .* \[0, 1\], got 7"),
        ([nx.path_graph(2)] * 2, {}, "graph 0: bfs needs a source"),
        (nx.path_graph(2), {"source": [0]}, r"run_many takes a list of graphs, got a single one; run takes that"),
        (None, {}, "run_many takes a list of graphs or arrays, or lists of inputs by name; got none"),
    ],
)  # fmt: skip
def test_batches_that_cannot_be(graphs, options, message):
    with pytest.raises(ValueError, match=message):
        untrained("bfs").run_many(graphs, **options)
