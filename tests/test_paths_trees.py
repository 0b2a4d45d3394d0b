"""Shortest paths, spanning trees, and the first of sorting and searching: right answers, validity, preconditions."""

import numpy as np
import pytest
from inputs import examples, outputs

import nar.datasets
from nar.traces.inputs import shortest_paths

PATHS = ("bellman_ford", "bfs", "dag_shortest_paths", "dijkstra")
ROOTED = (*PATHS, "mst_prim")
ARRAYS = ("insertion_sort", "minimum")
NAMES = (*ROOTED, "floyd_warshall", *ARRAYS)


# --- right answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_distances_equal_networkx(name):
    for algorithm, inputs, trace in examples(name):
        want = algorithm.oracle(**inputs)["d"]
        A = trace.compact["A"]
        got = shortest_paths.path_weights(A != 0 if name == "bfs" else A, trace.compact["pi"], np.array(inputs["s"]))
        np.testing.assert_allclose(got, want, rtol=1e-12)
        if name != "bfs":
            last = trace.compact["d"][-1]
            np.testing.assert_allclose(np.where(np.isfinite(want), last, np.inf), want, rtol=1e-12)


def test_spanning_trees_weigh_what_networkx_says():
    for algorithm, inputs, trace in examples("mst_prim"):
        want = algorithm.oracle(**inputs)
        pi, A = trace.compact["pi"], trace.compact["A"]
        children = np.flatnonzero(pi != np.arange(trace.nodes))
        assert np.isclose(A[pi[children], children].sum(), want["weight"], rtol=1e-12)
        np.testing.assert_array_equal(trace.compact["mark"][-1], want["spanned"])


def test_all_distances_equal_networkx():
    for algorithm, inputs, trace in examples("floyd_warshall"):
        want = algorithm.oracle(**inputs)["distances"]
        i = np.arange(trace.nodes)
        Pi = trace.compact["Pi"]
        no_path = (Pi == i[:, None]) & (trace.compact["adj"] == 0)
        got = shortest_paths.path_weights(trace.compact["A"], np.where(no_path, i, Pi), i)
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_sorting_equals_numpy():
    for algorithm, inputs, trace in examples("insertion_sort"):
        np.testing.assert_array_equal(trace.compact["pred"], algorithm.oracle(**inputs)["pred"])


def test_sorting_is_stable():
    trace = nar.datasets.get("insertion_sort").run(A=[2, 1, 2, 1])
    assert trace.compact["pred"].tolist() == [3, 1, 0, 1]  # order 1, 3, 0, 2


def test_minimum_equals_numpy():
    for algorithm, inputs, trace in examples("minimum"):
        assert inputs["A"][trace.compact["min"]] == algorithm.oracle(**inputs)["least"]


def test_breadth_first_search_on_a_path_takes_a_step_per_edge():
    trace = nar.datasets.get("bfs").run(A=np.eye(4, k=1), s=0)
    assert trace.compact["reach_h"].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert trace.compact["pi"].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra"])
def test_distances_move_with_the_nodes(name):
    """Real-valued weights leave no ties, so renaming the nodes renames the answer and nothing else."""
    for algorithm, inputs, trace in examples(name, sizes=(9,)):
        order = np.random.RandomState(0).permutation(9)
        new = np.argsort(order)  # node order[i] is now called i
        moved = algorithm.run(A=inputs["A"][np.ix_(order, order)], s=new[inputs["s"]])
        assert moved.length == trace.length
        np.testing.assert_array_equal(moved.compact["d"], trace.compact["d"][:, order])
        np.testing.assert_array_equal(moved.compact["pi"], new[trace.compact["pi"][order]])


@pytest.mark.parametrize("name", NAMES)
def test_no_trace_is_longer_than_promised(name):
    for algorithm, _, trace in examples(name):
        assert trace.length <= algorithm.bound(trace.nodes)
    if name in ROOTED:  # the bound is reached: on a path, except for Prim, which wants an undirected one
        path = np.eye(7, k=1) + (np.eye(7, k=-1) if name == "mst_prim" else 0)
        assert algorithm.run(A=path, s=0).length == algorithm.bound(7)


# --- where the reference is wrong or does not end --------------------------------------------------------------------


def test_bellman_ford_goes_on_past_a_node_at_distance_zero():
    A = np.zeros((4, 4))
    A[0, 1], A[1, 2], A[2, 3] = 1, -1, 5
    trace = nar.datasets.get("bellman_ford").run(A=A, s=0)
    assert trace.compact["pi"].tolist() == [0, 0, 1, 2]
    assert trace.compact["d"][-1].tolist() == [0, 1, 0, 5]


@pytest.mark.parametrize("name", ["dijkstra", "mst_prim"])
def test_large_weights_do_not_disturb_the_queue(name):
    A = 1e10 * np.array([[0, 1, 3], [1, 0, 1], [3, 1, 0]])
    trace = nar.datasets.get(name).run(A=A, s=0)
    assert trace.compact["u"].tolist() == [0, 0, 1, 2]
    assert trace.compact["pi"].tolist() == [0, 0, 1]


def test_a_cycle_out_of_reach_does_no_harm():
    A = np.zeros((4, 4))
    A[0, 1], A[2, 3], A[3, 2] = 1, -1, -1
    for name in ("dag_shortest_paths", "bellman_ford"):
        assert nar.datasets.get(name).run(A=A, s=0).compact["pi"].tolist() == [0, 0, 2, 3]


# --- validity --------------------------------------------------------------------------------------------------------


def corruptions(name, inputs, trace):
    """Outputs that are certainly wrong, by construction."""
    n, A = trace.nodes, trace.compact.get("A")
    ((output, right),) = outputs(trace).items()
    if name == "minimum":
        yield from ({output: i} for i in range(n) if inputs["A"][i] > inputs["A"][right])
        return
    if name == "insertion_sort":
        for i in range(n):
            wrong = right.copy()
            wrong[i] = (wrong[i] + 1) % n
            yield {output: wrong}
        return
    for v in np.ndindex(right.shape):
        source, target = (inputs["s"], v[0]) if name in ROOTED else v
        if source == target and name == "floyd_warshall":
            continue
        for u in range(n):
            no_edge = u not in (target, source) and A[u, target] == 0
            reached_not = u == target and right[v] != target
            if no_edge or reached_not or (target == source and u != source):
                wrong = right.copy()
                wrong[v] = u
                yield {output: wrong}


@pytest.mark.parametrize("name", NAMES)
def test_a_corrupted_output_is_not_valid(name):
    seen = 0
    for algorithm, inputs, trace in examples(name, sizes=(5, 8), seeds=range(4)):
        for wrong in corruptions(name, inputs, trace):
            seen += 1
            assert not algorithm.is_valid(inputs, wrong), (inputs, wrong)
    assert seen > 20


@pytest.mark.parametrize("name", NAMES)
def test_no_pointer_but_the_best_is_valid(name):
    """Real-valued inputs have one answer (breadth-first search aside): every single change of it is wrong."""
    if name == "bfs":
        pytest.skip("any node of the level before is a right answer")
    for algorithm, inputs, trace in examples(name, sizes=(6,), seeds=range(4)):
        ((output, right),) = outputs(trace).items()
        for v in np.ndindex(right.shape):
            if name == "floyd_warshall" and v[0] == v[1]:
                continue  # two conventions hold there; see its is_valid
            for u in set(range(6)) - {int(right[v])}:
                wrong = right.copy()
                wrong[v] = u
                assert not algorithm.is_valid(inputs, {output: wrong}), (v, u)


def test_ties_may_be_broken_either_way():
    diamond = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]])
    for name in ("bellman_ford", "bfs", "dijkstra"):
        algorithm = nar.datasets.get(name)
        inputs = {"A": diamond, "s": 0}
        assert algorithm.is_valid(inputs, {"pi": [0, 0, 0, 1]}) and algorithm.is_valid(inputs, {"pi": [0, 0, 0, 2]})
        assert not algorithm.is_valid(inputs, {"pi": [0, 0, 0, 0]})
        assert not algorithm.is_valid(inputs, {"pi": [0, 3, 0, 1]})  # 1 and 3 point to each other
    prim = nar.datasets.get("mst_prim")
    for pi in ([0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 3, 1], [0, 3, 0, 2]):
        assert prim.is_valid({"A": diamond, "s": 0}, {"pi": pi})
    heavy = diamond.copy()
    heavy[0, 1] = heavy[1, 0] = 2
    assert not prim.is_valid({"A": heavy, "s": 0}, {"pi": [0, 0, 0, 1]})
    assert prim.is_valid({"A": heavy, "s": 0}, {"pi": [0, 3, 0, 2]})
    sort = nar.datasets.get("insertion_sort")
    assert sort.is_valid({"A": [1, 1]}, {"pred": [0, 0]}) and sort.is_valid({"A": [1, 1]}, {"pred": [1, 1]})
    assert nar.datasets.get("minimum").is_valid({"A": [2, 1, 1]}, {"min": 2})


def test_indexes_that_do_not_exist_are_not_valid():
    algorithm = nar.datasets.get("bfs")
    assert not algorithm.is_valid({"A": np.eye(3), "s": 0}, {"pi": [0, 1, 3]})
    assert not algorithm.is_valid({"A": np.eye(3), "s": 0}, {"pi": [0, 1, -1]})
    with pytest.raises(ValueError, match=r"output pi: got shape \(2,\), required \(3,\)"):
        algorithm.is_valid({"A": np.eye(3), "s": 0}, {"pi": [0, 1]})
    with pytest.raises(ValueError, match=r"outputs of bfs: got \['p'\], required \['pi'\]"):
        algorithm.is_valid({"A": np.eye(3), "s": 0}, {"p": [0, 1, 2]})


# --- bad input -------------------------------------------------------------------------------------------------------

NAN = np.array([[0, np.nan], [1, 0]])
NEGATIVE = np.array([[0, -1], [-1, 0]])
CYCLE = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("bellman_ford", {"A": NEGATIVE, "s": 0}, "A must not have a negative cycle reachable from s"),
        ("bellman_ford", {"A": [[-1]], "s": 0}, "A must not have a negative cycle reachable from s"),
        ("floyd_warshall", {"A": NEGATIVE}, "A must not have a negative cycle"),
        ("bfs", {"A": NEGATIVE, "s": 0}, "A must not be negative: .* got -1"),
        ("dijkstra", {"A": NEGATIVE, "s": 0}, "A must not be negative: .*bellman_ford.* got -1"),
        ("mst_prim", {"A": [[0, 1], [0, 0]], "s": 0}, "A must be symmetric"),
        ("dag_shortest_paths", {"A": CYCLE, "s": 0}, "A must be acyclic, got a cycle"),
        ("dag_shortest_paths", {"A": [[0, 1], [0, 2]], "s": 0}, "A must be acyclic, got a cycle .or self-loop"),
        ("dag_shortest_paths", {"A": np.eye(1), "s": 0}, "A must be acyclic"),
        ("insertion_sort", {"A": [1, np.nan]}, "A must be finite, got NaN or infinity at index 1"),
        ("insertion_sort", {"A": []}, r"A must be a one-dimensional array .* got shape \(0,\)"),
        ("minimum", {"A": [[1, 2]]}, r"A must be a one-dimensional array .* got shape \(1, 2\)"),
        ("minimum", {"A": ["a"]}, "A must be an array of integers or floats, got dtype"),
        ("minimum", {"A": [[1], [1, 2]]}, "A must be an array of numbers, got list"),
        ("minimum", {"A": None}, "A must be an array of integers or floats, got a NoneType"),
        ("minimum", {"A": [1 + 2j]}, "A must be an array of integers or floats, got dtype complex"),
        ("minimum", {}, r"minimum takes the inputs \['A'\], got \[\]"),
        ("minimum", {"A": [1], "s": 0}, r"minimum takes the inputs \['A'\], got \['A', 's'\]"),
    ],
)
def test_preconditions(name, inputs, message):
    with pytest.raises(ValueError, match=message):
        nar.datasets.get(name).run(**inputs)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ARRAYS])
@pytest.mark.parametrize(
    ("A", "message"),
    [
        (NAN, "A must be finite, got NaN or infinity"),
        ([[0, np.inf], [np.inf, 0]], "A must be finite, got NaN or infinity .write 0 where there is no edge"),
        (np.zeros((0, 0)), r"A must be a square matrix with at least one node, got shape \(0, 0\)"),
        (np.zeros((2, 3)), r"A must be a square matrix .* got shape \(2, 3\)"),
        (np.zeros(4), r"A must be a square matrix .* got shape \(4,\)"),
        (3.0, r"A must be a square matrix .* got shape \(\)"),
        (np.full((3, 3), 1e308), "A must have weights whose sums fit float64, got one of size 1e"),
    ],
)
def test_graph_preconditions(name, A, message):
    with pytest.raises(ValueError, match=message):
        nar.datasets.get(name).run(**({"A": A, "s": 0} if name in ROOTED else {"A": A}))


@pytest.mark.parametrize("name", ROOTED)
@pytest.mark.parametrize("s", [-1, 2, 0.0, True, "0", None, [0]])
def test_the_source_must_exist(name, s):
    with pytest.raises(ValueError, match=r"^s must be (an integer|the index of one of the 2 nodes, 0 to 1)"):
        nar.datasets.get(name).run(A=np.zeros((2, 2)), s=s)
