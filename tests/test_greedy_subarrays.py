"""Activities, tasks and maximum subarrays: the textbook's, by hand, all valid answers, ties, dm-clrs's failures."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from inputs import examples, outputs
from optimisation import SUBARRAYS, column, many, small

from nar.datasets import get
from nar.traces.record import TraceRecorder
from nar.traces.trace import compact_dtype


def masks(n):
    return (np.array(bits) for bits in itertools.product((0, 1), repeat=n))


# --- activity_selector ------------------------------------------------------------------------------------------------


def test_the_textbooks_activities():
    """CLRS 16.1: a1, a4, a8 and a11."""
    trace = get("activity_selector").run(s=[1, 3, 0, 5, 3, 5, 6, 8, 8, 2, 12], f=[4, 5, 6, 7, 9, 9, 10, 11, 12, 14, 16])
    assert np.flatnonzero(trace.compact["selected"]).tolist() == [0, 3, 7, 10]


def test_three_activities_by_hand():
    """By finish: 2 (0-1), 0 (0.5-2), 1 (1-3); 0 overlaps, 1 begins as 2 ends."""
    trace = get("activity_selector").run(s=[0.5, 1, 0], f=[2, 3, 1])
    assert column(trace, "selected_h") == [[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 1]]
    assert column(trace, "m") == [0, 2, 0, 1]
    assert column(trace, "k") == [0, 2, 2, 1]
    assert column(trace, "selected") == [0, 1, 1]


def compatible(s, f):
    return all(s[i] >= f[j] or s[j] >= f[i] for i, j in itertools.combinations(range(len(s)), 2))


@many
@hypothesis.given(st.lists(st.tuples(small, small), min_size=1, max_size=6))
def test_exactly_the_largest_compatible_sets_are_valid(times):
    """Many ties, many activities that take no time."""
    s, f = np.array([min(t) for t in times]), np.array([max(t) for t in times])
    algorithm = get("activity_selector")
    fits = {tuple(m): compatible(s[m == 1], f[m == 1]) for m in masks(len(s))}
    most = max(sum(mask) for mask, fit in fits.items() if fit)
    assert algorithm.oracle(s=s, f=f)["most"] == most
    assert sum(column(algorithm.run(s=s, f=f), "selected")) == most
    for mask, fit in fits.items():
        assert algorithm.is_valid({"s": s, "f": f}, {"selected": mask}) == (fit and sum(mask) == most)


def test_an_activity_that_takes_no_time_waits_for_others_that_finish_with_it():
    """dm-clrs may take 0 (5-5) first, and then 1 (3-5) no more."""
    trace = get("activity_selector").run(s=[5, 3], f=[5, 5])
    assert column(trace, "selected") == [1, 1]
    assert column(trace, "m") == [0, 1, 0]


def test_ties_of_finish_go_by_position():
    trace = get("activity_selector").run(s=np.zeros(40), f=1 + np.arange(40) % 2)
    assert column(trace, "m") == [0, *range(0, 40, 2), *range(1, 40, 2)]


# --- task_scheduling --------------------------------------------------------------------------------------------------


def test_the_textbooks_tasks():
    """CLRS 16.5 takes a1 to a4 and a7, worth 230; the greedy of CLRS-30 has no slot for a4 and takes a6 instead."""
    inputs = {"d": [4, 2, 4, 3, 1, 4, 6], "w": [70, 60, 50, 40, 30, 20, 10]}
    algorithm = get("task_scheduling")
    trace = algorithm.run(**inputs)
    assert np.flatnonzero(trace.compact["selected"]).tolist() == [0, 1, 2, 5, 6]
    assert algorithm.oracle(**inputs)["weight"] == 230
    assert not algorithm.is_valid(inputs, {"selected": [1, 1, 1, 1, 0, 0, 1]})


def test_three_tasks_by_hand():
    """By weight: 1 (in slot 0), 2 (slot 0 is all it may have), 0 (slot 1)."""
    trace = get("task_scheduling").run(d=[2, 3, 1], w=[5, 9, 7])
    assert column(trace, "i") == [0, 1, 2, 0]
    assert column(trace, "t") == [0, 1, 1, 2]
    assert column(trace, "selected_h") == [[0, 0, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0]]
    assert column(trace, "selected") == [1, 1, 0]


def greedy_sets(d, w):
    """Every set that some order of falling weight takes."""
    found = set()
    for order in itertools.permutations(range(len(d))):
        if all(w[a] >= w[b] for a, b in itertools.pairwise(order)):
            taken = []
            for i in order:
                if d[i] >= len(taken) + 1:  # done by the end of the next slot
                    taken.append(i)
            found.add(tuple(int(i in taken) for i in range(len(d))))
    return found


@many
@hypothesis.given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=5))
def test_exactly_the_sets_of_the_greedy_are_valid(tasks):
    d, w = np.array(tasks).T
    algorithm = get("task_scheduling")
    possible = greedy_sets(d, w)
    assert tuple(column(algorithm.run(d=d, w=w), "selected")) in possible
    for mask in masks(len(d)):
        assert algorithm.is_valid({"d": d, "w": w}, {"selected": mask}) == (tuple(mask.tolist()) in possible)
    best = max(
        sum(w[list(order[:k])])
        for order in itertools.permutations(range(len(d)))
        for k in range(len(d) + 1)
        if all(d[i] > t for t, i in enumerate(order[:k]))
    )
    assert algorithm.oracle(d=d, w=w)["weight"] == best


def test_tasks_taken_meet_their_deadlines_and_weigh_no_more_than_possible():
    worse = 0
    for algorithm, inputs, trace in examples("task_scheduling", seeds=range(12)):
        taken = trace.compact["selected"] == 1
        assert (np.sort(inputs["d"][taken]) > np.arange(taken.sum())).all()
        weight, best = inputs["w"][taken].sum(), algorithm.oracle(**inputs)["weight"]
        assert weight <= best * (1 + 1e-12)
        worse += weight < best * (1 - 1e-12)
    assert worse > 0  # what the file says


def test_ties_of_weight_go_by_position():
    trace = get("task_scheduling").run(d=np.full(40, 40), w=np.arange(40) % 2)
    assert column(trace, "i") == [0, *range(1, 40, 2), *range(0, 40, 2)]


def test_the_latest_deadline_is_a_parameter():
    algorithm = get("task_scheduling")
    d = np.concatenate([algorithm.sample(np.random.RandomState(s), 16, max_deadline=3)["d"] for s in range(4)])
    assert set(d) == {1, 2, 3}
    d = np.concatenate([algorithm.sample(np.random.RandomState(s), 4)["d"] for s in range(20)])
    assert set(d) == {1, 2, 3, 4}
    for wrong in (0, 2.0, True, "3"):
        with pytest.raises(ValueError, match="max_deadline must be an integer of at least 1"):
            algorithm.sample(np.random.RandomState(0), 4, max_deadline=wrong)


# --- maximum subarrays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUBARRAYS)
def test_the_textbooks_subarray(name):
    """CLRS figure 4.3: A[8..11], counted from 1, of sum 43."""
    A = [13, -3, -25, 20, -3, -16, -23, 18, 20, -7, 12, -5, -22, 15, -4, 7]
    trace = get(name).run(A=A)
    assert (trace.compact["start"], trace.compact["end"]) == (7, 10)
    assert get(name).oracle(A=A)["most"] == 43


def test_kadane_by_hand():
    trace = get("find_maximum_subarray_kadane").run(A=[1, -2, 3, 0, 1, -1])
    assert column(trace, "j") == [0, 1, 2, 3, 4, 5]
    assert column(trace, "i") == [0, 0, 2, 2, 2, 2]
    assert column(trace, "sum") == [1, -1, 3, 3, 4, 3]
    assert column(trace, "best_low") == [0, 0, 2, 2, 2, 2]
    assert column(trace, "best_high") == [0, 0, 2, 2, 4, 4]
    assert column(trace, "best_sum") == [1, 1, 3, 3, 4, 4]
    assert get("find_maximum_subarray_kadane").run(A=[0, 1]).compact["start"] == 0  # a sum of 0 is kept


def test_division_by_hand():
    """Two elements: divide; left; its sum back; right; its sum back; scan left, one step; scan right, one step."""
    trace = get("find_maximum_subarray").run(A=[4, 2])
    assert trace.length == 9
    assert column(trace, "phase") == [0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert column(trace, "low") == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert column(trace, "high") == [1, 0, 1, 1, 1, 1, 1, 1, 1]
    assert column(trace, "left_sum") == [0, 0, 4, 0, 4, 4, 4, 4, 4]
    np.testing.assert_allclose(column(trace, "right_sum"), [0, 0, 0, 0, 2, 2, 2, 1.9, 2])
    assert column(trace, "ret_sum") == [0, 4, 0, 2, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(column(trace, "cross_sum"), [5.8, 0, 5.8, 0, 5.8, 5.8, 5.9, 5.9, 6])
    assert column(trace, "sum") == [0, 0, 0, 0, 0, 0, 4, 0, 2]
    assert column(trace, "i") == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert column(trace, "j") == [1, 0, 1, 1, 1, 1, 1, 1, 1]
    assert (trace.compact["start"], trace.compact["end"]) == (0, 1)


@pytest.mark.parametrize(("A", "want"), [([1, -1, 1], (0, 0)), ([0, 1], (1, 1)), ([1, 0], (0, 0)), ([1, 1], (0, 1))])
def test_of_equal_sums_division_prefers_left_then_right_then_across(A, want):
    trace = get("find_maximum_subarray").run(A=A)
    assert (trace.compact["start"], trace.compact["end"]) == want


@many
@hypothesis.given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_exactly_the_subarrays_of_greatest_sum_are_valid(A):
    sums = {(i, j): sum(A[i : j + 1]) for i in range(len(A)) for j in range(i, len(A))}
    for name in SUBARRAYS:
        algorithm = get(name)
        assert algorithm.oracle(A=A)["most"] == max(sums.values())
        found = outputs(algorithm.run(A=A))
        assert sums[int(found["start"]), int(found["end"])] == max(sums.values())
        for i, j in itertools.product(range(len(A)), repeat=2):
            valid = algorithm.is_valid({"A": A}, {"start": i, "end": j})
            assert valid == (sums.get((i, j), -math.inf) == max(sums.values()))


def test_both_ways_find_the_same_sum():
    for algorithm, inputs, trace in examples("find_maximum_subarray", sizes=(2, 7, 16, 33)):
        other = get("find_maximum_subarray_kadane").run(**inputs)
        found = [inputs["A"][t.compact["start"] : t.compact["end"] + 1].sum() for t in (trace, other)]
        np.testing.assert_allclose(found, algorithm.oracle(**inputs)["most"], rtol=1e-12)


@pytest.mark.parametrize("n", [*range(1, 18), 100])
def test_the_bound_of_division_is_met_by_powers_of_two(n):
    algorithm = get("find_maximum_subarray")
    length = algorithm.run(A=np.ones(n)).length
    assert length <= algorithm.bound(n)
    if n > 1 and n & (n - 1) == 0:
        assert length == algorithm.bound(n) - 1  # the whole array's answer is no hint


def test_division_of_large_numbers():
    """0.1 less than 1e17 is 1e17: no element beats what dm-clrs starts its scans with, and it breaks down."""
    trace = get("find_maximum_subarray").run(A=[-1e17, 1e17, 1e17, -1e17])
    assert (trace.compact["start"], trace.compact["end"]) == (1, 2)


def test_division_of_ten_thousand():
    """Nothing is recorded here: hints on so many nodes are gigabytes."""
    n = 10_000
    algorithm = get("find_maximum_subarray")
    A = np.random.RandomState(0).uniform(-1, 1, n)
    layout = [(p.shape(n), compact_dtype(p, n), False) for p in algorithm.spec.hints.values()]
    recorder = TraceRecorder(layout, 1, algorithm.bound(n))
    start, end = algorithm.steps(recorder.trace, A)
    assert algorithm.is_valid({"A": A}, {"start": start, "end": end})
    assert recorder.length > 13 * n
