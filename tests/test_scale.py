"""Numbers far from those of training: a prediction says so, and gives the same answer in units that training knew."""

import networkx as nx
import numpy as np
import pytest
from answers import exact, perfect, untrained
from inputs import size

import nar
from nar.inference import scale as scales


def test_what_the_model_is_given_and_what_comes_back(roads):
    """Distances in miles; the model reads 1/1024 of them."""
    A = 1000 * nx.to_numpy_array(roads, weight="miles")
    trained = scales.of_training(nar.datasets.get("dijkstra"), 16)
    assert 0.9 < trained < 1
    solver = exact("dijkstra")
    found, plain = solver.run(A, source=2, normalise=True), solver.run(A, source=2)
    assert found.scale.given == plain.scale.given == A.max() and found.scale.trained == trained
    assert plain.scale.factor == 1 and found.scale.factor == 2.0 ** np.floor(np.log2(trained / A.max()))
    assert trained / 2 < A.max() * found.scale.factor <= trained
    assert found.outputs == plain.outputs and found.exact and found.valid
    np.testing.assert_allclose(found.hints["d"], plain.hints["d"], rtol=1e-6)
    np.testing.assert_array_equal(found.true_hints["d"], plain.true_hints["d"])
    np.testing.assert_array_equal(found.trace.compact["A"], A)
    told = perfect("dijkstra")
    told.run_many([A, A / 8], source=[2, 2], normalise=True)
    assert (told.reasoner.seen.inputs["A"] == 2 * A.max() * found.scale.factor).sum() == 0
    np.testing.assert_allclose(told.reasoner.seen.inputs["A"][0], A * found.scale.factor, rtol=1e-6)
    np.testing.assert_array_equal(told.reasoner.seen.inputs["A"][0], told.reasoner.seen.inputs["A"][1])


def test_the_same_as_dividing_by_hand(roads):
    A = nx.to_numpy_array(roads, weight="miles")
    A *= 0.9 / A.max()
    solver = untrained("mst_prim")
    by_hand, found = solver.run(A, source=0), solver.run(64 * A, source=0, normalise=True)
    assert found.scale.factor == 1 / 64 and by_hand.scale.factor == 1
    assert found.outputs == by_hand.outputs and found.confidence == by_hand.confidence
    np.testing.assert_array_equal(found.hints["key"], 64 * by_hand.hints["key"])
    assert found.score == by_hand.score and found.first_error == by_hand.first_error
    small = solver.run(A / 64, source=0, normalise=True)
    assert small.scale.factor == 64 and small.confidence == by_hand.confidence


def test_a_printed_prediction_says_what_it_was_given(roads):
    A = nx.to_numpy_array(roads, weight="miles") / 10
    solver = untrained("dijkstra")
    far = str(solver.run(700 * A, source=0))
    assert "trained on numbers up to 0.994: run(..., normalise=True) answers the same question" in far
    for near in (solver.run(A / A.max(), source=0), solver.run(700 * A, source=0, normalise=True)):
        assert "trained on" not in str(near)
    far = str(untrained("find_maximum_subarray").run([9.0, -8.0, 7.0, 1.0]))
    assert "(find_maximum_subarray cannot be normalised: the unit of its numbers changes" in far


# hints and outputs that change with the unit, and with which power of it; others stay
POWERS = {
    "bellman_ford": {"d": 1},
    "floyd_warshall": {"D": 1},
    "mst_prim": {"key": 1},
    "find_maximum_subarray_kadane": {"best_sum": 1, "sum": 1},
    "graham_scan": {"atans": 0},
    "articulation_points": {"time": 0, "d": 0},
    "insertion_sort": {},
    "binary_search": {},
    "jarvis_march": {},
}


@pytest.mark.parametrize("name", nar.datasets.names())
def test_units_are_found_or_refused(name):
    """What is said to stay the same does; what depends on the unit, such as the states of an automaton, is refused."""
    algorithm = nar.datasets.get(name)
    rng = np.random.RandomState(5)
    trace = algorithm.run(**algorithm.sample(rng, size(algorithm, 8)))
    found = scales.of(trace, 1.0)
    assert (found is None) == (name in ("kmp_matcher", "naive_string_matcher", "lcs_length"))
    if found is None:
        assert scales.of_training(algorithm, size(algorithm, 24)) is None
        return
    try:
        other, factor, units = scales.normalised(algorithm, trace, scales.Scale(found.given, found.given / 4))
    except ValueError as error:
        assert name in ("automaton", "find_maximum_subarray", "task_scheduling", "liveness") and name in str(error)
        return
    assert factor == 1 / 4
    for hint, power in POWERS.get(name, {}).items():
        assert units[hint] == 4**power
        np.testing.assert_array_equal(np.asarray(other.compact[hint]) * 4**power, trace.compact[hint])


def test_what_holds_no_numbers_has_no_scale():
    matcher = untrained("naive_string_matcher", "deepsets").run(T=[0, 1, 1], P=[1], normalise=True)
    assert matcher.scale is None and "trained on" not in str(matcher)
    assert untrained("minimum").run([0.0, 0.0], normalise=True).scale is None


def test_numbers_beyond_those_that_a_network_computes_with():
    solver = untrained("dijkstra")
    A = 0.5 * (np.ones((4, 4)) - np.eye(4))
    with pytest.raises(ValueError, match=r"numbers up to 5e\+37 are beyond .*divide them, or run with normalise=True"):
        solver.run(1e38 * A, source=0)
    assert solver.run(2.0**120 * A, source=0, normalise=True).outputs == solver.run(A, source=0, normalise=True).outputs
    for far in (1e300, 1e-320):
        with pytest.raises(ValueError, match=r"cannot be normalised: numbers up to .* are too far from those"):
            solver.run(far * A, source=0, normalise=True)
