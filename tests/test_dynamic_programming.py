"""Matrix chains and optimal search trees: the textbook's, by hand, none cheaper, all valid answers, extreme costs."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
from inputs import examples, outputs
from optimisation import column, many, small

from nar.datasets import get

# --- matrix_chain_order -----------------------------------------------------------------------------------------------


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


# --- optimal_bst ------------------------------------------------------------------------------------------------------


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
