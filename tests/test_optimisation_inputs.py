"""Preconditions of algorithms that optimise: what is refused, what is answered at the limits, the smallest inputs."""

import numpy as np
import pytest
from inputs import outputs
from optimisation import SUBARRAYS, column

from nar.datasets import get


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        (
            "matrix_chain_order",
            {"p": [2, -1]},
            "p must hold dimensions of at least 0 and at most .*, got -1.0 to 2.0",
        ),
        ("matrix_chain_order", {"p": [1e150, 1e150, 1e150]}, "p must hold dimensions of at least 0 and at most 1e.100"),
        ("matrix_chain_order", {"p": []}, "p must be a one-dimensional array with at least one element"),
        ("optimal_bst", {"p": [0.5], "q": [0.5]}, "q must have one element more than p, got 1 and 1"),
        ("optimal_bst", {"p": [-0.5], "q": [1, 0.5]}, "p must lie between 0 and 1e.290, got -0.5"),
        ("optimal_bst", {"p": [0.5], "q": [1, -0.5]}, "q must lie between 0 and 1e.290, got -0.5 to 1.0"),
        ("optimal_bst", {"p": [1e300], "q": [1, 1]}, "p must lie between 0 and 1e.290"),
        ("optimal_bst", {"p": [], "q": [1]}, "p must be a one-dimensional array with at least one element"),
        ("activity_selector", {"s": [0, 2], "f": [1, 1]}, r"s must not exceed f, .* from 2.0 to 1.0 at index 1"),
        ("activity_selector", {"s": [0], "f": [1, 1]}, "s must be as long as f, got 1 and 2"),
        ("activity_selector", {"s": [0], "f": [np.inf]}, "f must be finite"),
        ("task_scheduling", {"d": [1, 0], "w": [1, 1]}, "d must hold whole numbers of at least 1, got 0.0 at index 1"),
        ("task_scheduling", {"d": [1.5], "w": [1]}, "d must hold whole numbers of at least 1, got 1.5"),
        ("task_scheduling", {"d": [1, 1], "w": [1]}, "d must be as long as w, got 2 and 1"),
        ("task_scheduling", {"d": [1, 1], "w": [1, -2]}, "w must not be negative, got -2.0 at index 1"),
        *((name, {"A": [1e308, 1e308]}, "A must lie between -1e.300 and 1e.300") for name in SUBARRAYS),
        *((name, {"A": [0, np.nan]}, "A must be finite, got NaN") for name in SUBARRAYS),
    ],
)
def test_inputs_without_an_answer_are_refused(name, inputs, message):
    with pytest.raises(ValueError, match=message):
        get(name).run(**inputs)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("matrix_chain_order", {"p": np.full(5, 1e100)}),
        ("optimal_bst", {"p": np.full(5, 1e290), "q": np.full(6, 1e290)}),
        ("optimal_bst", {"p": [0, 0], "q": [0, 0, 0]}),
        ("activity_selector", {"s": [-1e308, -5], "f": [-2, 1e308]}),
        ("task_scheduling", {"d": [10**9, 1e300], "w": [0, 1e308]}),
        *((name, {"A": [1e300, -1e300, 1e300, 1e300]}) for name in SUBARRAYS),
    ],
)
def test_inputs_at_the_limits_are_answered(name, inputs):
    algorithm = get(name)
    trace = algorithm.run(**inputs)
    assert all(np.isfinite(np.asarray(values)).all() for values in trace.compact.values())
    assert algorithm.is_valid(inputs, outputs(trace))


@pytest.mark.parametrize("name", ["activity_selector", "task_scheduling"])
def test_selections_hold_zeros_and_ones(name):
    algorithm = get(name)
    inputs = algorithm.sample(np.random.RandomState(0), 5)
    right = outputs(algorithm.run(**inputs))["selected"].astype(int)
    for other in (-1, 2):
        assert not algorithm.is_valid(inputs, {"selected": np.where(right, right, other)})


def test_one_node_or_key_is_enough():
    assert get("matrix_chain_order").run(p=[3]).length == 1
    assert column(get("optimal_bst").run(p=[1], q=[1, 1]), "root") == [[0, 0], [0, 0]]
    assert column(get("activity_selector").run(s=[1], f=[1]), "selected") == [1]
    assert column(get("task_scheduling").run(d=[1], w=[0]), "selected") == [1]
    for name in SUBARRAYS:
        trace = get(name).run(A=[-2])
        assert (trace.length, trace.compact["start"], trace.compact["end"]) == (1, 0, 0)
