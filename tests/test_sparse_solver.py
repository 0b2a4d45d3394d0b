"""Graphs of one's own in the sparse layout: every form is the same graph, large ones, those that are refused."""

import networkx as nx
import numpy as np
import pytest
import torch

from nar.inference.solver import Solver
from nar.model.reasoner import Reasoner
from nar.traces.sparse.graph import SparseGraph


@pytest.fixture(scope="module")
def solver():
    torch.manual_seed(0)
    return Solver(Reasoner.build("dijkstra", "pgn", hidden=8, layout="sparse", hint_feedback="hard"))


def test_any_form_of_a_graph_is_the_same_graph(solver):
    sparse = pytest.importorskip("scipy.sparse")
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader

    G = nx.les_miserables_graph()
    A = nx.to_numpy_array(G)
    pairs = np.stack(np.nonzero(A))
    data = Data(edge_index=torch.from_numpy(pairs), edge_weight=torch.from_numpy(A[A != 0]), num_nodes=len(G))
    forms = [A, sparse.csr_matrix(A), data, SparseGraph.of(len(G), pairs, A[A != 0])]
    expected = solver.run(G, source="Valjean")
    s = list(G).index("Valjean")
    assert expected.true_trace.compact["A"].tolist() == A.tolist()
    assert expected.outputs["pi"]["Valjean"] in G and 0 <= expected.score["pi"] <= 1
    for form in forms:
        found = solver.run(form, source=s)
        assert found.compact["pi"].tolist() == expected.compact["pi"].tolist()
        assert found.steps == expected.steps and found.score == expected.score
    loader = DataLoader([data, data, data], batch_size=2)
    assert [p.score for p in solver.run_many(loader, source=[s] * 3)] == [expected.score] * 3
    index = solver.run(torch.from_numpy(pairs), source=s, weight=None)
    assert index.compact["pi"].tolist() == solver.run(G, source="Valjean", weight=None).compact["pi"].tolist()


def test_a_prediction_is_that_of_the_dense_layout_in_form(solver):
    found = solver.run(nx.path_graph(4), source=0)
    assert found.hints["pi_h"].shape == (found.steps, 4) and found.hints.keys() == found.true_hints.keys()
    assert found.trace.length == found.steps + 1 and found.confidence["pi"].keys() == {0, 1, 2, 3}
    assert "right" in str(found)
    mis = Solver(Reasoner.build("maximal_independent_set", "gin", hidden=8, layout="sparse"))
    made = mis.run(nx.path_graph(5), randomness=[0.5, 0.1, 0.3, 0.2, 0.4])
    assert made.hints["Ain_h"].shape == (made.steps, 5, 5)


def test_large_graphs_are_answered_without_hints(solver):
    G = nx.random_regular_graph(3, 400, seed=1)
    found = solver.run(G, source=7, steps=4)
    assert found.steps == 4 and found.hints == {} and len(found.outputs["pi"]) == 400
    assert found.first_error is None or 1 <= found.first_error <= 4
    assert "of 400 right" in found.in_words() and found.summary()
    with pytest.raises(ValueError, match="up to 256 nodes"):
        found.draw()


def test_bad_graphs_of_ones_own(solver):
    from torch_geometric.data import Data

    with pytest.raises(ValueError, match="edge_index must hold indices of the 3 nodes, got 0 to 3"):
        solver.run(Data(edge_index=torch.tensor([[0], [3]]), num_nodes=3), source=0)
    with pytest.raises(ValueError, match=r"every edge once, got \(0, 1\) several times"):
        solver.run(Data(edge_index=torch.tensor([[0, 0], [1, 1]]), num_nodes=3), source=0)
    with pytest.raises(ValueError, match="multigraph"):
        solver.run(nx.MultiGraph([(0, 1), (0, 1)]), source=0)
    with pytest.raises(ValueError, match="nodes 0 to 2, got indices -1 to 2"):
        solver.run(torch.tensor([[0, -1, 1], [1, 2, 0]]), source=0, weight=None)
    with pytest.raises(ValueError, match="at least one node"):
        solver.run(nx.Graph(), source=0)
    with pytest.raises(ValueError, match="must not be negative"):
        solver.run(nx.Graph([(0, 1, {"weight": -1.0})]), source=0)
    alone = solver.run(nx.empty_graph(3), source=1)
    assert alone.truth["pi"] == {0: 0, 1: 1, 2: 2} and alone.outputs["pi"] == alone.truth["pi"] and alone.valid
