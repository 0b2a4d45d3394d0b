"""Depth-first search, its relatives, and Kruskal: against networkx, brute force, the textbook's figures, by hand."""

import networkx as nx
import numpy as np
import pytest
from inputs import examples, outputs
from written_graphs import UNDIRECTED, matrix

import nar.datasets


def run(name, A):
    return nar.datasets.get(name).run(A=A).compact


def odd_graphs(name):
    """Graphs that the samplers seldom draw: empty, complete, a path, a star, with self-loops or negative weights."""
    rng = np.random.RandomState(0)
    star = np.zeros((7, 7))
    star[3] = 1
    path = np.eye(9, k=1)[np.ix_(order := rng.permutation(9), order)]
    sparse = [rng.binomial(1, density, size=(12, 12)) for density in (0.05, 0.1, 0.2, 0.4)]
    weighted = [A * rng.uniform(-1, 1, size=A.shape) for A in sparse]
    for A in (np.zeros((5, 5)), np.ones((6, 6)), np.ones((1, 1)), star, path, *sparse, *weighted):
        if name == "topological_sort":
            yield np.triu(A, 1)[np.ix_(order := rng.permutation(len(A)), order)]
        else:
            yield np.triu(A) + np.triu(A, 1).T if name in UNDIRECTED else A


def cases(name):
    """Graphs and the outputs that algorithm and oracle find for them, sampled and odd ones."""
    algorithm = nar.datasets.get(name)
    for _, inputs, trace in examples(name):
        yield inputs["A"], trace.compact, algorithm.oracle(**inputs)
    for A in odd_graphs(name):
        trace = algorithm.run(A=A)
        assert trace.length <= algorithm.bound(trace.nodes)
        assert algorithm.is_valid({"A": A}, outputs(trace))
        yield A, trace.compact, algorithm.oracle(A)


# --- right answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dfs", "topological_sort", "articulation_points", "bridges"])
def test_answers_equal_networkx(name):
    for _, trace, want in cases(name):
        for output, value in want.items():
            np.testing.assert_array_equal(trace[output], value)


def test_components_equal_networkx():
    for _, trace, want in cases("strongly_connected_components"):
        _, found = np.unique(trace["scc_id"], return_inverse=True)
        smallest = [np.flatnonzero(found == component).min() for component in found]
        np.testing.assert_array_equal(smallest, want["smallest"])


def test_spanning_forests_weigh_what_networkx_says():
    for A, trace, want in cases("mst_kruskal"):
        forest = np.triu(trace["in_mst"], 1)
        assert forest.sum() == want["edges"]
        assert np.isclose((A * forest).sum(), want["weight"], rtol=1e-12)


def parts(edges):
    """How many connected components these undirected edges leave."""
    return nx.number_connected_components(nx.from_numpy_array(edges))


def test_cut_vertices_and_bridges_by_taking_them_away():
    for A, trace, _ in cases("articulation_points"):
        A = A != 0
        bridges = run("bridges", A)["is_bridge"]
        for u in range(len(A)):
            others = np.arange(len(A)) != u
            alone = not A[u, others].any()
            assert trace["is_cut"][u] == (len(A) > 1 and parts(A[np.ix_(others, others)]) > parts(A) - alone)
            for v in range(len(A)):
                without = A.copy()
                without[u, v] = without[v, u] = False
                want = parts(without) > parts(A) if A[u, v] else -1 if u != v else 0
                assert bridges[u, v] == want


def test_edges_of_negative_weight_are_edges():
    """dm-clrs's Kruskal passes over them."""
    trace = run("mst_kruskal", matrix("abc", {"ab": -1, "bc": 2, "ac": -3}, directed=False))
    assert trace["in_mst"].tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_ties_go_to_the_first_edge():
    """dm-clrs leaves them to numpy's sorting code, which for more than 16 edges differs between processors."""
    trace = run("mst_kruskal", np.ones((9, 9)))
    assert trace["in_mst"].tolist() == matrix("abcdefghi", "ab ac ad ae af ag ah ai", directed=False).tolist()


# --- the steps --------------------------------------------------------------------------------------------------------


def test_times_of_the_textbooks_search():
    """CLRS figure 22.4."""
    trace = run("dfs", matrix("uvwxyz", "uv ux vy wy wz xv yx zz"))
    assert np.round(100 * trace["d"][-1]).tolist() == [1, 2, 9, 4, 3, 10]
    assert np.round(100 * trace["f"][-1]).tolist() == [8, 7, 12, 5, 6, 11]
    assert trace["pi"].tolist() == [0, 0, 2, 4, 1, 2]


def test_components_of_the_textbooks_graph():
    """CLRS figure 22.9."""
    trace = run("strongly_connected_components", matrix("abcdefgh", "ab bc be bf cd cg dc dh ea ef fg gf gh hh"))
    a, b, c, d, e, f, g, h = trace["scc_id"]
    assert a == b == e and c == d and f == g and len({a, c, f, h}) == 4


def test_spanning_tree_of_the_textbooks_graph():
    """CLRS figure 23.4; of the two edges of weight 8 the first one wins."""
    A = matrix(
        "abcdefghi",
        dict(ab=4, ah=8, bc=8, bh=11, cd=7, cf=4, ci=2, de=9, df=14, ef=10, fg=2, gh=1, gi=6, hi=7),
        directed=False,
    )
    trace = run("mst_kruskal", A)
    tree = matrix("abcdefghi", "ab ah cd cf ci de fg gh", directed=False)
    assert trace["in_mst"].tolist() == tree.tolist()
    assert (A * tree).sum() == 2 * 37


def test_depth_first_search_by_hand():
    """0 -> 2, 1 -> 0: found are 0, 2, then 1."""
    trace = run("dfs", matrix("abc", "ac ba"))
    time = np.round(100 * trace["time"]).tolist()
    assert time == [0, 1, 1, 2, 3, 4, 4, 5, 6]
    assert trace["s"].tolist() == [0] * 6 + [1] * 3
    assert trace["u"].tolist() == [0, 0, 0, 2, 2, 0, 1, 1, 1]
    assert trace["v"].tolist() == [0, 0, 2, 2, 2, 2, 1, 1, 2]
    assert trace["s_last"].tolist() == [0, 0, 2, 2, 2, 0, 1, 1, 1]
    assert trace["s_prev"].tolist() == [[0, 1, 2]] * 2 + [[0, 1, 0]] * 3 + [[0, 1, 2]] * 4
    assert trace["color"].tolist() == [
        [0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1], [1, 0, 2], [2, 0, 2], [2, 0, 2], [2, 1, 2], [2, 2, 2]
    ]  # fmt: skip


def test_topological_sort_by_hand():
    """1 -> 0: two searches, and 1 comes first."""
    trace = run("topological_sort", matrix("ab", "ba"))
    assert trace["topo_head_h"].tolist() == [0, 0, 0, 0, 0, 1]
    assert trace["topo_h"].tolist() == [[0, 1]] * 5 + [[0, 0]]
    assert trace["color"].tolist() == [[0, 0], [1, 0], [2, 0], [2, 0], [2, 1], [2, 2]]
    assert (trace["topo"].tolist(), trace["topo_head"].tolist()) == ([0, 0], 1)


def test_components_by_hand():
    """0 <-> 1 -> 2: the first search finishes 2, 1, 0; the second goes against the edges from 0, then from 2."""
    trace = run("strongly_connected_components", matrix("abc", "ab ba bc"))
    assert trace["phase"].tolist() == [0] * 9 + [1] * 8
    assert trace["s"].tolist() == [0] * 14 + [2] * 3
    assert np.round(100 * trace["f"][8]).tolist() == [6, 5, 4]
    assert trace["u"][9:].tolist() == [0, 0, 0, 1, 0, 2, 2, 2]
    assert trace["scc_id_h"][9:].tolist() == [[0, 1, 2]] * 3 + [[0, 0, 2]] * 5
    assert trace["A_t"][0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_articulation_points_and_bridges_by_hand():
    """The path 0 - 1 - 2: on the way back, edges to finished children are looked at once more."""
    A = matrix("abc", "ab bc", directed=False)
    points, edges = run("articulation_points", A), run("bridges", A)
    for trace in (points, edges):
        assert np.round(100 * trace["time"]).tolist() == [0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6]
        assert trace["u"].tolist() == [0, 0, 0, 1, 1, 2, 2, 1, 1, 0, 0]
        assert trace["v"].tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 2, 1, 2]
        assert np.round(100 * trace["low"][-1]).tolist() == [1, 2, 3]
    assert points["is_cut_h"].tolist() == [[0, 0, 0]] * 8 + [[0, 1, 0]] * 3
    assert np.round(100 * points["child_cnt"][-1]).tolist() == [1, 1, 0]
    assert [np.sum(moment == 1) // 2 for moment in edges["is_bridge_h"]] == [0] * 8 + [1] * 2 + [2]
    assert edges["is_bridge"].tolist() == [[0, 1, -1], [1, 0, 1], [-1, 1, 0]]


def test_kruskal_by_hand():
    """A triangle: the heaviest edge closes a cycle; finding its first root takes two hops and shortens the path."""
    trace = run("mst_kruskal", matrix("abc", {"ab": 1, "bc": 2, "ac": 3}, directed=False))
    assert trace["phase"].tolist() == [0, 1, 0, 1, 0, 1, 1, 1, 0]
    assert trace["pi"].tolist() == [[0, 1, 2]] * 2 + [[1, 1, 2]] * 2 + [[1, 2, 2]] * 3 + [[2, 2, 2]] * 2
    assert trace["root_u"].tolist() == [0, 0, 0, 1, 1, 0, 1, 2, 2]
    assert trace["mask_u"][4:].tolist() == [[0, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert trace["in_mst"].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_the_stack_holds_the_grey_nodes():
    for _, _, trace in examples("dfs", sizes=(9,)):
        t = trace.compact
        for color, f, s_prev, s, s_last in zip(t["color"], t["f"], t["s_prev"], t["s"], t["s_last"], strict=True):
            np.testing.assert_array_equal(color == 2, f > 0)
            stack = [s_last]
            while s_prev[stack[-1]] != stack[-1]:
                stack.append(s_prev[stack[-1]])
            assert stack[-1] == s
            on_top = color[s_last] == 1  # else its tree has just been begun, or it has just been finished
            assert set(np.flatnonzero(color == 1)) == set(stack[0 if on_top else 1 :])


def test_a_run_that_needs_more_room_starts_afresh():
    """A trace that turns out longer than expected is made again: nothing of the first attempt may be left."""
    A = np.eye(23, k=1) + np.eye(23, k=-1)
    A[:12, :12] = 1
    for name in UNDIRECTED:
        trace = run(name, A)
        assert len(trace["pi" if name == "mst_kruskal" else "pi_h"]) > 4 * 23 + 16
        first = {"articulation_points": "is_cut_h", "bridges": "is_bridge_h", "mst_kruskal": "in_mst_h"}[name]
        assert trace[first][0].max() == 0


def test_longest_traces():
    """Complete graphs have the most edges to look at. Times never repeat, so components are searched in one order."""
    for name in UNDIRECTED:
        algorithm = nar.datasets.get(name)
        for n in (1, 2, 3, 20):
            assert algorithm.run(A=np.ones((n, n))).length <= algorithm.bound(n)
    for name in ("dfs", "topological_sort"):
        assert nar.datasets.get(name).run(A=np.zeros((5, 5))).length == nar.datasets.get(name).bound(5) == 15
    components = nar.datasets.get("strongly_connected_components").run(A=np.zeros((5, 5)))
    assert components.length == 30 and len(np.unique(components.compact["f"][14])) == 5


def test_memory_of_a_batch_of_components():
    algorithm, rng = nar.datasets.get("strongly_connected_components"), np.random.RandomState(0)
    traces = [algorithm.run(**algorithm.sample(rng, 64)) for _ in range(32)]
    assert sum(array.nbytes for trace in traces for array in trace.compact.values()) < 20e6
    assert all(len(trace.compact["A_t"].values) == 1 for trace in traces)
