"""Traces on edges: those of the algorithms on matrices, moment by moment; graphs, and changes."""

import numpy as np
import pytest
from inputs import size

import nar.datasets
from nar.traces.sparse.changes import Changes, Cursor
from nar.traces.sparse.graph import SparseGraph

NAMES = [name for name in nar.datasets.names() if nar.datasets.get(name).on_edges is not None]


def test_which_algorithms_run_on_edges():
    graphs = "bellman_ford bfs dag_shortest_paths dfs dijkstra eccentricity maximal_independent_set mst_prim"
    assert graphs.split() == NAMES


def on_matrices(trace, name):
    """A probe of a trace on edges as nar.Trace has it, in compact form."""
    probe, values = trace.spec[name], np.asarray(trace.compact[name])
    leading = values.shape[:1] if isinstance(trace.compact[name], Changes) else ()
    if probe.location != "edge":
        return values.reshape((*leading, *probe.shape(trace.nodes)))
    full = np.zeros((*leading, trace.nodes, trace.nodes), values.dtype)
    full[..., trace.graph.senders, trace.graph.receivers] = values
    return full


def same(name, inputs):
    """Both traces, after every probe was compared."""
    algorithm = nar.datasets.get(name)
    dense, sparse = (
        algorithm.run(**inputs),
        algorithm.run_on_edges(**inputs | {"A": SparseGraph.of_matrix(inputs["A"])}),
    )
    assert sparse.length == dense.length and list(sparse.compact) == list(dense.compact)
    for probe in dense.spec:
        if sparse.spec[probe] != dense.spec[probe]:
            continue
        np.testing.assert_array_equal(on_matrices(sparse, probe), np.asarray(dense.compact[probe]), probe)
    return dense, sparse


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_on_edges_is_the_one_on_matrices(name):
    algorithm = nar.datasets.get(name)
    for n in (1, 2, 3, 5, 9, 16):
        for seed in range(6):
            same(name, algorithm.sample(np.random.RandomState(seed), size(algorithm, n)))
    for seed, family in enumerate(["watts_strogatz", "delaunay", "path", "tree", "sparse_erdos_renyi"]):
        params = {"family": family} | ({"law": "integer"} if "law" in algorithm.params else {})
        same(name, algorithm.sample(np.random.RandomState(seed), 30, **params))


@pytest.mark.parametrize("name", ["bfs", "dijkstra", "bellman_ford", "dfs"])
def test_directed_edges_keep_their_directions(name):
    A = np.zeros((4, 4))
    A[0, 1] = A[1, 2] = A[3, 2] = A[2, 2] = 0.5
    inputs = {"A": A} if name == "dfs" else {"A": A, "s": 0}
    dense, sparse = same(name, inputs)
    assert dense.compact["pi"].tolist() == [0, 0, 1, 3]
    assert sparse.graph.senders.tolist() == [0, 1, 0, 1, 2, 1, 2, 3, 2, 3]
    assert sparse.compact["adj"].tolist() == [1, 0, 1, 1, 0, 1, 1, 1, 0, 1]


def test_no_edges_and_nodes_that_are_never_reached():
    for name in ("bfs", "dijkstra", "mst_prim", "eccentricity"):
        same(name, {"A": np.zeros((3, 3)), "s": 1})
    A = np.zeros((5, 5))
    A[0, 1] = A[1, 0] = A[3, 4] = A[4, 3] = 1
    for name in ("bfs", "dijkstra", "mst_prim", "bellman_ford", "eccentricity"):
        _, sparse = same(name, {"A": A, "s": 1})
        if "pi" in sparse.compact:
            assert sparse.compact["pi"].tolist() == [1, 1, 2, 3, 4]


def test_negative_weights_and_negative_cycles():
    A = np.zeros((3, 3))
    A[0, 1], A[1, 2], A[0, 2] = 1.0, -0.75, 0.5
    same("bellman_ford", {"A": A, "s": 0})
    A[2, 0] = -1.0
    with pytest.raises(ValueError, match="negative cycle"):
        nar.datasets.get("bellman_ford").run_on_edges(A=SparseGraph.of_matrix(A), s=0)
    with pytest.raises(ValueError, match="must not be negative"):
        nar.datasets.get("dijkstra").run_on_edges(A=SparseGraph.of_matrix(A), s=0)
    with pytest.raises(ValueError, match="must be symmetric"):
        nar.datasets.get("mst_prim").run_on_edges(A=SparseGraph.of_matrix(A), s=0)


def test_an_algorithm_that_points_anywhere_says_so():
    algorithm = nar.datasets.get("floyd_warshall")
    inputs = algorithm.sample(np.random.RandomState(0), 4)
    with pytest.raises(ValueError, match="floyd_warshall cannot run in the sparse layout"):
        algorithm.run_on_edges(**inputs | {"A": SparseGraph.of_matrix(inputs["A"])})


def test_topological_order_on_edges_is_a_place_in_it():
    algorithm = nar.datasets.get("dag_shortest_paths")
    for seed in range(8):
        dense, sparse = same("dag_shortest_paths", algorithm.sample(np.random.RandomState(seed), 12))
        after, place = dense.compact["topo_h"][-1], np.asarray(sparse.compact["topo_h"])[-1]
        for u in np.flatnonzero(after != np.arange(12)):
            assert place[u] == pytest.approx(place[after[u]] + 1 / 12)
        visited = np.flatnonzero(place)
        assert sorted((place[visited] * 12).round().astype(int)) == list(range(1, len(visited) + 1))
    A = np.zeros((3, 3))
    A[0, 1] = A[1, 2] = A[2, 0] = 1
    with pytest.raises(ValueError, match="acyclic"):
        algorithm.run_on_edges(A=SparseGraph.of_matrix(A), s=1)


@pytest.mark.parametrize(
    ("nodes", "pairs", "weights", "message"),
    [
        (0, [[], []], None, "at least one node"),
        (3, [[0, -1], [1, 2]], None, "nodes 0 to 2, got indices -1 to 2"),
        (3, [[0, 1], [1, 3]], None, "nodes 0 to 2, got indices 0 to 3"),
        (3, [[0, 1, 0], [1, 2, 1]], None, r"every edge once, got \(0, 1\)"),
        (3, [[0, 1]], None, r"shape \[2, E\]"),
        (3, [[0.5, 1], [1, 2]], None, "indices of nodes"),
        (3, [[0, 1], [1, 2]], [1.0], "one weight for each of its 2 edges, got 1"),
        (3, [[0, 1], [1, 2]], [1.0, 0.0], r"weight of edge \(1, 2\).*got 0.0"),
        (3, [[0, 1], [1, 2]], [np.nan, 1.0], r"weight of edge \(0, 1\).*got nan"),
    ],
)
def test_bad_graphs(nodes, pairs, weights, message):
    with pytest.raises(ValueError, match=message):
        SparseGraph.of(nodes, pairs, weights)


def test_a_graph_is_the_matrix_that_it_is_made_of():
    sparse = pytest.importorskip("scipy.sparse")
    for n in (1, 2, 7):
        A = np.random.RandomState(n).randint(-2, 3, (n, n)).astype(float)
        for graph in (SparseGraph.of_matrix(A), SparseGraph.of_matrix(sparse.csr_array(A))):
            np.testing.assert_array_equal(graph.matrix(), A)
            np.testing.assert_array_equal(graph.leaving, A[graph.receivers, graph.senders])
            assert (graph.senders[graph.twins] == graph.receivers).all()
    assert SparseGraph.of(3, []).matrix().tolist() == np.zeros((3, 3)).tolist()
    with pytest.raises(ValueError, match="square"):
        SparseGraph.of_matrix(np.zeros((2, 3)))


def test_changes_are_read_in_any_order():
    #       moments: [0 0], [5 0], [5 0], [7 3]
    changes = Changes(np.zeros(2), np.array([0, 0, 1, 0]), np.array([5.0, 6.0, 3.0, 7.0]), np.array([0, 1, 1, 4]))
    expected = [[0, 0], [5, 0], [5, 0], [7, 3]]
    assert np.asarray(changes).tolist() == expected and len(changes) == 4
    cursor = Cursor(changes)
    for moment in (0, 3, 1, 2, 2, 0, 9):
        assert cursor.at(moment).tolist() == expected[min(moment, 3)]
    assert changes.steps_that_change().tolist() == [True, False, True]


def test_a_change_to_what_is_there_already_is_none():
    changes = Changes(np.zeros(2), np.array([0, 1, 1, 0]), np.array([0.0, 4.0, 0.0, 1.0]), np.array([0, 1, 3, 4]))
    assert changes.steps_that_change().tolist() == [False, False, True]


def test_hints_take_memory_with_their_changes():
    """A path of 2,000 nodes takes 2,001 steps, of which each changes a few numbers."""
    n = 2000
    path = np.stack([np.arange(n - 1), np.arange(1, n)])
    graph = SparseGraph.of(n, np.concatenate([path, path[::-1]], 1))
    trace = nar.datasets.get("dijkstra").run_on_edges(A=graph, s=0)
    assert trace.length == n + 1
    hints = [trace.compact[name] for name in trace.spec.hints]
    assert sum(h.first.nbytes + h.index.nbytes + h.values.nbytes + h.ends.nbytes for h in hints) < 200 * n
    assert trace.compact["pi"].tolist() == [0, *range(n - 1)]
