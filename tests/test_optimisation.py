"""Dynamic programming, greedy, divide and conquer: right answers, validity, preconditions, dm-clrs's failures."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from inputs import examples, outputs

import nar.datasets
from nar.traces.record import TraceRecorder
from nar.traces.trace import compact_dtype

SUBARRAYS = ("find_maximum_subarray", "find_maximum_subarray_kadane")

get = nar.datasets.get
many = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
small = st.integers(0, 4)


def column(trace, name):
    return np.asarray(trace.compact[name]).tolist()


def masks(n):
    return (np.array(bits) for bits in itertools.product((0, 1), repeat=n))


# --- matrix_chain_order ----------------------------------------------------------------------------------------------

# CLRS figure 15.5: splits of A1 ... A6, rows i, columns j > i
CLRS_P = (30, 35, 15, 5, 10, 20, 25)
CLRS_S = {1: (1, 1, 3, 3, 3), 2: (2, 3, 3, 3), 3: (3, 3, 3), 4: (4, 5), 5: (5,)}


def test_the_textbooks_chain():
    trace = get("matrix_chain_order").run(p=CLRS_P)
    want = np.zeros((7, 7), int)
    for i, row in CLRS_S.items():
        want[i, i + 1 :] = row
    assert column(trace, "s") == want.tolist()
    assert trace.compact["m"][-1][1, 6] == 15125
    assert trace.compact["m"][-1][2, 5] == 7125


def test_a_chain_of_three_matrices_by_hand():
    """p = (1, 2, 3, 4): A1 A2 costs 6, A2 A3 24, (A1 A2) A3 18, A1 (A2 A3) 32."""
    trace = get("matrix_chain_order").run(p=[1, 2, 3, 4])
    assert trace.length == 3
    costs = [trace.compact["m"][t][[1, 2, 1], [2, 3, 3]].tolist() for t in range(3)]
    assert costs == [[0, 0, 0], [6, 24, 0], [6, 24, 18]]
    assert trace.compact["s_h"][-1].tolist() == [[0, 0, 0, 0], [0, 0, 1, 2], [0, 0, 0, 2], [0, 0, 0, 0]]
    assert [int(trace.compact["msk"][t].sum()) for t in range(3)] == [3, 5, 6]
    assert column(trace, "pred_h") == [[0, 0, 1, 2]] * 3


def cheapest_order(p):
    """Of all orders in which the products of neighbours may be taken."""
    costs = []
    for order in itertools.permutations(range(1, len(p) - 1)):
        left, cost = list(range(len(p))), 0
        for k in order:  # the product that removes dimension k
            at = left.index(k)
            cost += p[left[at - 1]] * p[k] * p[left[at + 1]]
            left.remove(k)
        costs.append(cost)
    return min(costs)


@many
@hypothesis.given(st.lists(st.integers(1, 6), min_size=2, max_size=7))
def test_no_order_of_products_is_cheaper(p):
    algorithm = get("matrix_chain_order")
    trace = algorithm.run(p=p)
    last = len(p) - 1
    assert trace.compact["m"][-1][1, last] == algorithm.oracle(p=p)["m"][1, last] == cheapest_order(p)

    def cost(i, j):  # by the splits of the answer
        k = int(trace.compact["s"][i, j])
        return 0 if i == j else cost(i, k) + cost(k + 1, j) + p[i - 1] * p[k] * p[j]

    assert cost(1, last) == cheapest_order(p)


def test_costs_equal_the_textbooks_order_by_length():
    for algorithm, inputs, trace in examples("matrix_chain_order"):
        np.testing.assert_array_equal(trace.compact["m"][-1], algorithm.oracle(**inputs)["m"])


def test_splits_valid():
    """Dimensions all equal: every split is as cheap as any."""
    algorithm = get("matrix_chain_order")
    inputs = {"p": [2, 2, 2, 2]}
    assert algorithm.run(**inputs).compact["s"][1, 3] == 1  # the first of equals
    s = np.zeros((4, 4), int)
    s[1, 2], s[2, 3] = 1, 2
    for k in range(4):
        s[1, 3] = k
        assert algorithm.is_valid(inputs, {"s": s}) == (k in (1, 2))
    s[1, 3], s[3, 1], s[0, 2] = 1, 3, 2  # entries that say nothing
    assert algorithm.is_valid(inputs, {"s": s})
    s[2, 3] = 3
    assert not algorithm.is_valid(inputs, {"s": s})
    s[2, 3], s[1, 3] = 2, 1
    assert not algorithm.is_valid({"p": [1, 2, 3, 4]}, {"s": s})  # 32 where 18 is possible
    s[1, 3] = 2
    assert algorithm.is_valid({"p": [1, 2, 3, 4]}, {"s": s})


def test_products_that_underflow():
    """Costs that are 0 end dm-clrs's search before any chain of three is looked at."""
    algorithm = get("matrix_chain_order")
    inputs = {"p": np.full(6, 1e-120)}
    trace = algorithm.run(**inputs)
    assert trace.compact["msk"][-1].sum() == 15
    assert algorithm.is_valid(inputs, outputs(trace))


# --- optimal_bst -----------------------------------------------------------------------------------------------------

# CLRS figure 15.10: roots of the trees of keys i ... j, rows i, columns j >= i
CLRS_KEYS = (0.15, 0.10, 0.05, 0.10, 0.20)
CLRS_GAPS = (0.05, 0.10, 0.05, 0.05, 0.05, 0.10)
CLRS_ROOT = {1: (1, 1, 2, 2, 2), 2: (2, 2, 2, 4), 3: (3, 4, 5), 4: (4, 5), 5: (5,)}


def test_the_textbooks_tree():
    trace = get("optimal_bst").run(p=CLRS_KEYS, q=CLRS_GAPS)
    want = np.zeros((6, 6), int)
    for i, row in CLRS_ROOT.items():
        want[i - 1, i:] = np.array(row) - 1
    assert column(trace, "root") == want.tolist()
    np.testing.assert_allclose(trace.compact["e"][-1][0, 5], 2.75, rtol=1e-12)
    np.testing.assert_allclose(trace.compact["w"][-1][0, 5], 1, rtol=1e-12)


def test_a_tree_of_two_keys_by_hand():
    """p = (1, 2), q = (3, 4, 5): one key costs 3 + 4 + (1 + 3 + 4), the other 4 + 5 + (2 + 4 + 5); w of both is 15.

    Rooted at key 0: 3 + 20 + 15 = 38; at key 1: 15 + 5 + 15 = 35.
    """
    trace = get("optimal_bst").run(p=[1, 2], q=[3, 4, 5])
    assert (trace.nodes, trace.length) == (3, 3)
    assert column(trace, "p") == [1, 2, 0]
    assert column(trace, "e")[0] == [[3, 0, 0], [0, 4, 0], [0, 0, 5]]
    assert column(trace, "e")[1] == [[3, 15, 0], [0, 4, 20], [0, 0, 5]]
    assert column(trace, "e")[2] == [[3, 15, 35], [0, 4, 20], [0, 0, 5]]
    assert column(trace, "w")[2] == [[3, 8, 15], [0, 4, 11], [0, 0, 5]]
    assert column(trace, "root") == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert column(trace, "msk")[1] == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def cheapest_tree(p, q):
    """Of the trees that keys inserted in any order build: keys and gaps are searched to their depth, counted from 1."""
    costs = []
    for order in itertools.permutations(range(len(p))):
        depth, cost = dict.fromkeys(range(len(q)), 1), 0  # of the gaps; gap g comes before key g
        ends = {g: (-1, len(p)) for g in depth}  # keys on the path around each gap
        for key in order:
            cost += p[key] * depth[key]
            low, high = ends[key]
            for g in range(low + 1, high + 1):
                depth[g] += 1
                ends[g] = (low, key) if g <= key else (key, high)
        costs.append(cost + sum(q[g] * depth[g] for g in depth))
    return min(costs)


@many
@hypothesis.given(st.lists(st.tuples(small, small), min_size=1, max_size=5), small)
def test_no_search_tree_is_cheaper(keys_and_gaps, last):
    p, q = [k for k, _ in keys_and_gaps], [g for _, g in keys_and_gaps] + [last]
    algorithm = get("optimal_bst")
    trace = algorithm.run(p=p, q=q)
    n = len(p)
    assert trace.compact["e"][-1][0, n] == algorithm.oracle(p=p, q=q)["e"][0, n] == cheapest_tree(p, q)

    def cost(i, j, depth):  # by the roots of the answer
        if i == j:
            return q[i] * depth
        r = int(trace.compact["root"][i, j])
        return p[r] * depth + cost(i, r, depth + 1) + cost(r + 1, j, depth + 1)

    assert cost(0, n, 1) == cheapest_tree(p, q)


def test_expected_costs_equal_the_oracles():
    for algorithm, inputs, trace in examples("optimal_bst"):
        np.testing.assert_allclose(trace.compact["e"][-1], algorithm.oracle(**inputs)["e"], rtol=1e-12)


def test_roots_valid():
    """Two keys alike: either is a best root. Of the two keys worked out by hand above, only the second."""
    algorithm = get("optimal_bst")
    root = np.zeros((3, 3), int)
    root[1, 2] = 1
    for r in range(3):
        root[0, 2] = r
        assert algorithm.is_valid({"p": [1, 1], "q": [0, 0, 0]}, {"root": root}) == (r in (0, 1))
        assert algorithm.is_valid({"p": [1, 2], "q": [3, 4, 5]}, {"root": root}) == (r == 1)
    root[0, 2], root[2, 0], root[1, 1] = 0, 2, 2  # entries that say nothing
    assert algorithm.is_valid({"p": [1, 1], "q": [0, 0, 0]}, {"root": root})
    root[0, 1] = 1
    assert not algorithm.is_valid({"p": [1, 1], "q": [0, 0, 0]}, {"root": root})


def test_costs_beyond_a_thousand_million():
    """dm-clrs starts each minimum at 1e9 and finds no root above it; the unit of p and q is the user's."""
    algorithm = get("optimal_bst")
    small = algorithm.run(p=CLRS_KEYS, q=CLRS_GAPS)
    large = algorithm.run(p=np.array(CLRS_KEYS) * 2.0**40, q=np.array(CLRS_GAPS) * 2.0**40)
    assert column(small, "root_h") == column(large, "root_h")
    np.testing.assert_array_equal(np.asarray(small.compact["e"]) * 2.0**40, np.asarray(large.compact["e"]))


# --- activity_selector -----------------------------------------------------------------------------------------------


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


# --- task_scheduling -------------------------------------------------------------------------------------------------


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


# --- maximum subarrays -----------------------------------------------------------------------------------------------


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


# --- preconditions ---------------------------------------------------------------------------------------------------


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
