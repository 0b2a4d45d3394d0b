"""Depth-first search, its relatives, and Kruskal: against networkx, brute force, the textbook's figures, by hand."""

import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from inputs import examples, outputs

import nar.datasets

UNDIRECTED = ("articulation_points", "bridges", "mst_kruskal")
NAMES = ("dfs", "topological_sort", "strongly_connected_components", *UNDIRECTED)


def matrix(nodes, edges, directed=True):
    """Adjacency matrix of edges written like "ab cd", or of (edge, weight)."""
    A = np.zeros((len(nodes), len(nodes)))
    for edge, weight in edges.items() if isinstance(edges, dict) else ((edge, 1) for edge in edges.split()):
        u, v = (nodes.index(node) for node in edge)
        A[u, v] = weight
        if not directed:
            A[v, u] = weight
    return A


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


# --- right answers ---------------------------------------------------------------------------------------------------


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


# --- the steps -------------------------------------------------------------------------------------------------------


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


# --- validity --------------------------------------------------------------------------------------------------------


def forests(edges):
    """Every forest that a depth-first search can find, by taking every choice of roots and neighbours."""
    found = set()

    def go(stack, seen, pi):
        if len(seen) == len(edges):
            found.add(tuple(pi))
        elif not stack:
            for s in set(range(len(edges))) - seen:
                go([s], seen | {s}, pi)
        else:
            white = [v for v in np.flatnonzero(edges[stack[-1]]) if v not in seen]
            for v in white:
                go([*stack, v], seen | {v}, [stack[-1] if w == v else p for w, p in enumerate(pi)])
            if not white:
                go(stack[:-1], seen, pi)

    go([], set(), list(range(len(edges))))
    return found


def test_valid_are_just_the_forests_of_some_search():
    """All directed graphs of three nodes, and some of four, with all the pointers that there are."""
    rng = np.random.RandomState(0)
    three = [np.array(bits).reshape(3, 3) for bits in itertools.product([0, 1], repeat=9) if not any(bits[::4])]
    four = [rng.binomial(1, p, size=(4, 4)) for p in (0.2, 0.35, 0.5, 0.7) for _ in range(8)]
    dfs = nar.datasets.get("dfs")
    for edges in [*three, *four]:
        pointers = itertools.product(range(len(edges)), repeat=len(edges))
        assert {pi for pi in pointers if dfs.is_valid({"A": edges}, {"pi": pi})} == forests(edges)


@pytest.mark.parametrize("name", NAMES)
def test_answers_stay_right_when_nodes_are_renamed(name):
    """A search in another order gives another answer, as right as the first."""
    others = 0
    for algorithm, inputs, trace in examples(name, sizes=(9,), seeds=range(12)):
        order = np.random.RandomState(1).permutation(9)
        new = np.argsort(order)  # node order[i] is now called i
        moved = algorithm.run(A=np.asarray(inputs["A"])[np.ix_(order, order)])
        answer = {}
        for output, value in outputs(moved).items():
            value = order[value] if algorithm.spec[output].type in ("pointer", "mask_one") else value
            answer[output] = value if value.ndim == 0 else value[new] if value.ndim == 1 else value[np.ix_(new, new)]
        assert algorithm.is_valid(inputs, answer)
        others += any((answer[output] != value).any() for output, value in outputs(trace).items())
    assert (others > 3) == (name not in UNDIRECTED)  # cuts and bridges are what they are; so is the lightest tree


@pytest.mark.parametrize(
    ("name", "A", "right", "wrong"),
    [
        ("dfs", matrix("abc", "ab ac"), [{"pi": [0, 0, 0]}, {"pi": [0, 1, 0]}, {"pi": [0, 1, 2]}], [{"pi": [1, 1, 2]}]),
        ("dfs", matrix("abc", "ab bc ac"), [{"pi": [0, 0, 1]}, {"pi": [0, 1, 1]}], [{"pi": [0, 1, 0]}]),
        ("dfs", matrix("ab", "ab ba"), [{"pi": [0, 0]}, {"pi": [1, 1]}], [{"pi": [0, 1]}, {"pi": [1, 0]}]),
        (
            "topological_sort",
            matrix("abc", "ac"),
            [{"topo": [2, 0, 2], "topo_head": 1}, {"topo": [1, 2, 2], "topo_head": 0}],
            [
                {"topo": [2, 0, 2], "topo_head": 0},  # leaves 1 out
                {"topo": [1, 2, 0], "topo_head": 0},  # does not end
                {"topo": [0, 0, 1], "topo_head": 2},  # against the edge
            ],
        ),
        (
            "strongly_connected_components",
            matrix("abcd", "ab ba bc cd"),
            [{"scc_id": [0, 0, 2, 3]}, {"scc_id": [1, 1, 2, 3]}],
            [{"scc_id": [0, 1, 2, 3]}, {"scc_id": [0, 0, 2, 2]}, {"scc_id": [1, 0, 2, 3]}, {"scc_id": [0, 0, 3, 2]}],
        ),
        (
            "articulation_points",
            matrix("abc", "ab bc", directed=False),
            [{"is_cut": [0, 1, 0]}],
            [{"is_cut": [0, 0, 0]}, {"is_cut": [1, 1, 0]}],
        ),
        (
            "bridges",
            matrix("abc", "ab", directed=False),
            [{"is_bridge": [[0, 1, -1], [1, 0, -1], [-1, -1, 0]]}, {"is_bridge": [[0, 1, 0], [1, 0, 1], [0, 0, 0]]}],
            [{"is_bridge": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, {"is_bridge": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]}],
        ),
        (
            "mst_kruskal",
            matrix("abc", {"ab": 2, "bc": 2, "ac": 1}, directed=False),
            [{"in_mst": matrix("abc", e, directed=False)} for e in ("ac ab", "ac bc")],
            [{"in_mst": matrix("abc", e, directed=False)} for e in ("ab bc", "ac", "ab bc ac", "ac ab cc")]
            + [{"in_mst": matrix("abc", "ac ab")}],
        ),
    ],
)
def test_validity_by_hand(name, A, right, wrong):
    algorithm = nar.datasets.get(name)
    for answer in right:
        assert algorithm.is_valid({"A": A}, answer), answer
    for answer in wrong:
        assert not algorithm.is_valid({"A": A}, answer), answer


def test_ties_go_to_the_first_edge():
    """dm-clrs leaves them to numpy's sorting code, which for more than 16 edges differs between processors."""
    trace = run("mst_kruskal", np.ones((9, 9)))
    assert trace["in_mst"].tolist() == matrix("abcdefghi", "ab ac ad ae af ag ah ai", directed=False).tolist()


def test_edges_of_negative_weight_are_edges():
    """dm-clrs's Kruskal passes over them."""
    trace = run("mst_kruskal", matrix("abc", {"ab": -1, "bc": 2, "ac": -3}, directed=False))
    assert trace["in_mst"].tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


# --- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNDIRECTED)
def test_undirected_graphs_are_required(name):
    with pytest.raises(ValueError, match=r"A must be symmetric: .* defined for undirected graphs; symmetrise it"):
        nar.datasets.get(name).run(A=[[0, 1], [0, 0]])


@pytest.mark.parametrize("A", [[[1]], [[0, 1], [1, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]], [[0, 0], [0, -1]]])
def test_a_cycle_has_no_topological_order(A):
    with pytest.raises(ValueError, match="A must be acyclic, got a cycle"):
        nar.datasets.get("topological_sort").run(A=A)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("A", [np.zeros((0, 0)), np.zeros((2, 3)), [[np.nan]], [["a"]]])
def test_a_matrix_of_numbers_is_required(name, A):
    with pytest.raises(ValueError, match=r"^A must be"):
        nar.datasets.get(name).run(A=A)


def test_sampled_communities():
    sampler = nar.datasets.get("strongly_connected_components").sample
    oracle = nar.datasets.get("strongly_connected_components").oracle
    apart = sampler(np.random.RandomState(0), 10, k=3, p=(1.0,), eps=0.0)["A"]
    assert sorted(np.unique(oracle(apart)["smallest"], return_counts=True)[1]) == [3, 3, 4]
    assert apart.sum() == 9 + 9 + 16
    joined = sampler(np.random.RandomState(0), 10, k=3, p=(1.0,), eps=1.0)["A"]  # every allowed edge is toggled
    assert joined.sum() == 3 * 3 + 3 * 4 + 3 * 4 and len(np.unique(oracle(joined)["smallest"])) == 10
    few = sampler(np.random.RandomState(0), 2, p=(1.0,), eps=0.0)["A"]  # fewer nodes than communities: one in each
    assert few.tolist() == [[1, 0], [0, 1]]
    for k in (0, -1, 2.0, True, None):
        with pytest.raises(ValueError, match="k must be an integer of at least 1, the number of communities"):
            sampler(np.random.RandomState(0), 8, k=k)
    for eps in (-0.1, 1.1, np.nan, None, "0"):
        with pytest.raises(ValueError, match=r"eps must be a probability in \[0, 1\]"):
            sampler(np.random.RandomState(0), 8, eps=eps)


WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, 1.0, 1.0, -1.0, 2.5, 1e-320, -1e300])


@pytest.mark.parametrize("name", NAMES)
@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
@hypothesis.given(A=st.integers(1, 8).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=WEIGHTS)))
def test_any_graph(name, A):
    if name in UNDIRECTED:
        A = np.triu(A) + np.triu(A, 1).T
    algorithm = nar.datasets.get(name)
    if name == "topological_sort":
        acyclic = nx.is_directed_acyclic_graph(nx.from_numpy_array(A != 0, create_using=nx.DiGraph))
        if not acyclic:
            with pytest.raises(ValueError, match="A must be acyclic"):
                algorithm.run(A=A)
            return
    trace = algorithm.run(A=A)
    assert trace.length <= algorithm.bound(trace.nodes)
    assert algorithm.is_valid({"A": A}, outputs(trace))
