"""Which answers of depth-first search, its relatives and Kruskal are valid; preconditions, samplers, any graph."""

import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from inputs import examples, outputs
from written_graphs import UNDIRECTED, matrix

import nar.datasets

NAMES = ("dfs", "topological_sort", "strongly_connected_components", *UNDIRECTED)


# --- validity ---------------------------------------------------------------------------------------------------------


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


# --- input ------------------------------------------------------------------------------------------------------------


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
