"""SALSA-CLRS's two tasks: maximal independent set and eccentricity."""

import networkx as nx
import numpy as np
import pytest
from inputs import examples, outputs

import nar.datasets
from nar.traces.inputs import families

MIS = nar.datasets.get("maximal_independent_set")
ECCENTRICITY = nar.datasets.get("eccentricity")


def path(n):
    return nx.to_numpy_array(nx.path_graph(n), dtype=int)


def graphs_of_all_families(n):
    for seed, family in enumerate(families.TABLE):
        yield families.draw(np.random.RandomState(seed), n, family)


def permuted(A, order):
    return A[np.ix_(order, order)]


# --- maximal independent set -----------------------------------------------------------------------------------------


def test_independent_set_worked_out_by_hand():
    """0 - 1 - 2 - 3 - 4 with numbers 3 1 2 4 5: node 1 joins, 0 and 2 leave; of 3 and 4 left over, 3 joins."""
    trace = MIS.run(A=path(5), randomness=[0.3, 0.1, 0.2, 0.4, 0.5])
    assert trace.outputs["inmis"].tolist() == [0, 1, 0, 1, 0]
    assert trace.hints["phase_h"].tolist() == [0, 1, 0, 1]
    assert trace.hints["inmis_h"].tolist() == [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 1, 0]]
    assert trace.hints["alive_h"].tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    edges = [{(int(u), int(v)) for u, v in np.argwhere(Ain) if u < v} for Ain in trace.hints["Ain_h"]]
    assert edges == [{(0, 1), (1, 2), (2, 3), (3, 4)}, {(3, 4)}, {(3, 4)}, set()]
    assert trace.inputs["randomness"].tolist() == [0.3, 0.1, 0.2, 0.4, 0.5]
    np.testing.assert_array_equal(trace.inputs["adj"], path(5) + np.eye(5))


def test_numbers_in_order_along_a_path_take_a_round_each():
    trace = MIS.run(A=path(7), randomness=np.arange(7))
    assert trace.outputs["inmis"].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert trace.length == 8


def test_of_equal_numbers_the_last_node_wins():
    trace = MIS.run(A=path(4), randomness=[0, 0, 0, 0])
    assert trace.outputs["inmis"].tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(trace.outputs["inmis"], MIS.oracle(A=path(4), randomness=[0, 0, 0, 0])["inmis"])


def test_the_set_is_the_one_of_the_greedy_algorithm():
    for n in (1, 2, 3, 8, 20):
        for A in graphs_of_all_families(n):
            randomness = np.random.RandomState(n).uniform(size=n)
            trace = MIS.run(A=A, randomness=randomness)
            np.testing.assert_array_equal(trace.outputs["inmis"], MIS.oracle(A=A, randomness=randomness)["inmis"])
            chosen = np.flatnonzero(trace.outputs["inmis"])
            G = nx.from_numpy_array(A)
            assert not G.subgraph(chosen).size() and nx.is_dominating_set(G, chosen)


def test_networkx_sets_are_valid_others_are_not():
    for seed, A in enumerate(graphs_of_all_families(9)):
        inputs = {"A": A, "randomness": np.arange(9)}
        inmis = np.zeros(9)
        inmis[nx.maximal_independent_set(nx.from_numpy_array(A), seed=seed)] = 1
        assert MIS.is_valid(inputs, {"inmis": inmis})
        for u in range(9):  # one node fewer is not maximal, one more not independent
            other = inmis.copy()
            other[u] = 1 - other[u]
            assert not MIS.is_valid(inputs, {"inmis": other})
        other = inmis.copy()
        other[np.argmin(inmis)] = -1
        assert not MIS.is_valid(inputs, {"inmis": other})


def test_weights_and_self_loops_do_not_count_for_independent_sets():
    A = path(5) * -2.5
    A += 3 * np.eye(5)
    inputs = {"A": A, "randomness": [0.3, 0.1, 0.2, 0.4, 0.5]}
    trace = MIS.run(**inputs)
    assert trace.outputs["inmis"].tolist() == [0, 1, 0, 1, 0] and not trace.hints["Ain_h"].diagonal(0, 1, 2).any()
    assert MIS.is_valid(inputs, outputs(trace))


def test_rounds_grow_slowly():
    """At most 2 + 2 log2(n) rounds in these: a path in the order of its numbers would take n / 2."""
    for _, _, trace in examples("maximal_independent_set", sizes=(8, 64)):
        assert trace.length / 2 <= 2 + 2 * np.log2(trace.nodes)


@pytest.mark.parametrize(
    ("A", "randomness", "message"),
    [
        ([[0, 1], [0, 0]], [1, 2], "A must be symmetric: independent sets"),
        (path(3), [1, 2], "randomness must hold a number for each of the 3 nodes, got 2"),
        (path(3), [1, np.nan, 2], "randomness must be finite"),
        (path(3), 0.5, "randomness must be a one-dimensional array"),
    ],
)
def test_preconditions_of_independent_sets(A, randomness, message):
    with pytest.raises(ValueError, match=message):
        MIS.run(A=A, randomness=randomness)


# --- eccentricity ----------------------------------------------------------------------------------------------------


def test_eccentricity_worked_out_by_hand():
    """0 - 1 - 2 - 3 from node 1. Flood: 0 and 2 at distance 1, 3 at 2. Leaf 0 echoes 1 at once, leaf 3 echoes 2."""
    trace = ECCENTRICITY.run(A=path(4), s=1)
    assert trace.outputs["eccentricity"] == 2
    hints = {name: value.tolist() for name, value in trace.hints.items()}
    assert hints["visited_h"] == [[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert hints["floodstate_h"] == [[0, 0, 0, 0], [1, 0, 1, 0], *[[1, 0, 1, 2]] * 4]
    assert hints["leaf_h"] == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 1, 1], [1, 0, 1, 1]]
    assert hints["msgphase_h"] == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], *[[1, 1, 1, 1]] * 3]
    assert hints["echostate_h"] == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 2, 2], [1, 2, 2, 2], [1, 2, 2, 2]]
    assert hints["eccentricity_h"] == [0, 0, 1, 1, 2, 2]
    trees = [{(int(u), int(v)) for u, v in np.argwhere(tree)} for tree in trace.hints["tree_h"]]
    assert trees == [set(), {(1, 0), (1, 2)}, {(1, 2), (2, 3)}, {(1, 2)}, set(), set()]


def test_a_triangle_floods_from_both_sides():
    """1 and 2 are equally far from 0: they send the flood to each other, and wait for no answer to that."""
    trace = ECCENTRICITY.run(A=1 - np.eye(3), s=0)
    assert (trace.outputs["eccentricity"], trace.length) == (1, 4)
    assert trace.hints["leaf_h"].tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert trace.hints["tree_h"].sum((1, 2)).tolist() == [0, 2, 0, 0]


def test_eccentricity_equals_networkx():
    for n in (2, 3, 8, 20):
        for A in graphs_of_all_families(n):
            G = nx.from_numpy_array(A)
            for s in range(0, n, 3):
                trace = ECCENTRICITY.run(A=A, s=s)
                part = G.subgraph(nx.node_connected_component(G, s))
                want = nx.eccentricity(part, s)
                assert trace.outputs["eccentricity"] == want == ECCENTRICITY.oracle(A=A, s=s)["eccentricity"]
                # the flood goes out and comes back; in between, every node knows its distance
                assert trace.length == (2 * want + 2 if want else 2)
                distances = nx.single_source_shortest_path_length(G, s)
                flood = trace.hints["floodstate_h"][-1]
                assert {v: flood[v] for v in part} == distances
                reached = np.isin(np.arange(n), list(part))
                np.testing.assert_array_equal(trace.hints["visited_h"][-1], reached)
                assert trace.hints["leaf_h"][-1].sum() == reached.sum() - (want > 0)
                assert not trace.hints["tree_h"][-1].any()


def test_a_node_on_its_own_has_eccentricity_zero():
    """SALSA-CLRS waits for ever for an answer."""
    for A in ([[0]], [[1]], np.zeros((3, 3)), [[0, 0, 0], [0, 0, 1], [0, 1, 0]]):
        trace = ECCENTRICITY.run(A=A, s=0)
        assert trace.outputs["eccentricity"] == 0 and trace.length == 2
        assert trace.hints["leaf_h"][-1][0] == 1


def test_renaming_nodes_renames_the_traces():
    order = np.random.RandomState(1).permutation(12)
    place = np.argsort(order)
    for A in graphs_of_all_families(12):
        trace, renamed = ECCENTRICITY.run(A=A, s=5), ECCENTRICITY.run(A=permuted(A, order), s=place[5])
        for name in ("visited_h", "msgphase_h", "floodstate_h", "echostate_h", "leaf_h"):
            np.testing.assert_array_equal(renamed.hints[name], trace.hints[name][:, order])
        np.testing.assert_array_equal(renamed.hints["tree_h"], trace.hints["tree_h"][:, order][:, :, order])
        np.testing.assert_array_equal(renamed.hints["eccentricity_h"], trace.hints["eccentricity_h"])
        numbers = np.random.RandomState(2).uniform(size=12)
        trace, renamed = MIS.run(A=A, randomness=numbers), MIS.run(A=permuted(A, order), randomness=numbers[order])
        np.testing.assert_array_equal(renamed.hints["inmis_h"], trace.hints["inmis_h"][:, order])
        np.testing.assert_array_equal(renamed.hints["alive_h"], trace.hints["alive_h"][:, order])


def test_eccentricities_are_rounded_before_they_are_judged():
    inputs = {"A": path(4), "s": 1}
    for answer, right in ((2, True), (2.4, True), (1.6, True), (2.6, False), (1, False), (3, False), (np.nan, False)):
        assert ECCENTRICITY.is_valid(inputs, {"eccentricity": answer}) is right


def test_weights_and_self_loops_do_not_count_for_eccentricity():
    A = path(4) * -3.0 + 2 * np.eye(4)
    weighted, plain = ECCENTRICITY.run(A=A, s=1), ECCENTRICITY.run(A=path(4), s=1)
    for name, value in plain.hints.items():
        np.testing.assert_array_equal(weighted.hints[name], value)
    np.testing.assert_array_equal(weighted.inputs["A"], A)


def test_preconditions_of_eccentricity():
    with pytest.raises(ValueError, match="A must be symmetric: echoes travel back"):
        ECCENTRICITY.run(A=[[0, 1], [0, 0]], s=0)
    with pytest.raises(ValueError, match="s must be the index of one of the 3 nodes"):
        ECCENTRICITY.run(A=path(3), s=3)


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", (MIS, ECCENTRICITY), ids=repr)
def test_graphs_are_sparse_and_connected_by_default(algorithm):
    for seed in range(30):
        A = algorithm.sample(np.random.RandomState(seed), 16)["A"]
        np.testing.assert_array_equal(A, families.draw(np.random.RandomState(seed), 16, "sparse_erdos_renyi"))
        assert nx.is_connected(nx.from_numpy_array(A))


def test_every_node_draws_a_number_after_the_graph():
    rng = np.random.RandomState(4)
    found = MIS.sample(np.random.RandomState(4), 9, family="cycle")
    np.testing.assert_array_equal(found["A"], families.draw(rng, 9, "cycle"))
    np.testing.assert_array_equal(found["randomness"], rng.uniform(size=9))
