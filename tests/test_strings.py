"""Strings: right answers, hand-worked traces, odd inputs, samplers and their preconditions."""

import itertools
from typing import Any

import numpy as np
import pytest
from inputs import examples, hint_rows, outputs, run, valid

import nar.datasets

MATCHERS = ("naive_string_matcher", "kmp_matcher")


def draw(name, n, seed: Any = 0, **params):
    return nar.datasets.get(name).sample(np.random.RandomState(seed), n, **params)


# --- string matching -------------------------------------------------------------------------------------------------


def words(alphabet, longest):
    return [word for n in range(1, longest + 1) for word in itertools.product(range(alphabet), repeat=n)]


@pytest.mark.parametrize("name", MATCHERS)
def test_every_small_match(name):
    """All texts of up to 6 and patterns of up to 3 characters of two kinds, against a plain scan; within the bound."""
    algorithm, longest = nar.datasets.get(name), {}
    for T in words(2, 6):
        for P in words(2, 3):
            if len(P) > len(T) and name == "naive_string_matcher":
                continue
            trace = run(name, T, P)
            shifts = [s for s in range(len(T) - len(P) + 1) if T[s : s + len(P)] == P]
            first = shifts[0] if shifts else len(T)
            assert trace.compact["match"] == algorithm.oracle(T=T, P=P)["match"] == first, (T, P)
            right = shifts or [len(T)]
            assert [s for s in range(trace.nodes) if valid(name, (T, P), s)] == right
            longest[trace.nodes] = max(longest.get(trace.nodes, 0), trace.length)
    for n in range(2, 7):
        assert longest[n] <= algorithm.bound(n)
    if name == "naive_string_matcher":  # 0 0 0 ... and 0 ... 0 1: its bound is reached
        assert all(longest[n] == algorithm.bound(n) for n in range(2, 7))


def test_worst_cases_stay_within_the_bound():
    for nodes in (2, 3, 4, 10, 25, 64):
        for m in range(1, nodes // 2 + 1):
            T, P = [0] * (nodes - m), [0] * (m - 1) + [1]
            for name in MATCHERS:
                assert run(name, T, P).length <= nar.datasets.get(name).bound(nodes)
    assert run("kmp_matcher", [0] * 40, [0] * 23 + [1]).length > 2 * 64 - 30  # the bound is no wild guess


def test_naive_string_matcher_step_by_step():
    """1 in place 2 of 0 1 1 fits twice; 1 2 nowhere."""
    trace = run("naive_string_matcher", [0, 1, 1, 2], [1, 2])
    assert hint_rows(trace, "pred_h") == [
        # s  i  j
        [0, 0, 4],  # 0 is not 1
        [1, 1, 4],
        [1, 2, 5],  # 1 is not 2
        [2, 2, 4],
        [2, 3, 5],
    ]
    assert trace.compact["match"] == 2
    assert trace.compact["pred_h"][0].tolist() == [0, 0, 1, 2, 4, 4]
    assert trace.compact["string"].tolist() == [0, 0, 0, 0, 1, 1]
    assert trace.compact["pos"].tolist() == [0, 0.25, 0.5, 0.75, 0, 0.5]
    assert trace.inputs["key"].argmax(-1).tolist() == [0, 1, 1, 2, 1, 2]
    assert run("naive_string_matcher", [0, 1, 1], [1, 2]).compact["match"] == 3  # no match: the pattern's first node


def test_kmp_matcher_step_by_step():
    """The pattern 0 0 1 in 0 0 0 1: borders of its prefixes are none, 0, none; after 0 0 0 the scan goes back."""
    trace = run("kmp_matcher", [0, 0, 0, 1], [0, 0, 1])
    own = [0, 1, 2, 3]  # every character of the text points to itself in pi
    assert hint_rows(trace, "pred_h") == [
        # pi            is_reset               k  k_reset q  q_reset s  i  phase
        [[*own, 4, 5, 6], [0, 0, 0, 0, 1, 0, 0], 4, 1, 5, 1, 0, 0, 0],
        [[*own, 4, 4, 6], [0, 0, 0, 0, 1, 0, 0], 4, 0, 5, 1, 0, 0, 0],  # 0 0 has the border 0: its last index is 0
        [[*own, 4, 4, 6], [0, 0, 0, 0, 1, 0, 0], 4, 1, 6, 1, 0, 0, 0],  # P[1] is not 1, and no shorter border
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 6, 1, 0, 0, 0],
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 4, 1, 0, 0, 1],
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 4, 0, 0, 1, 1],
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 5, 0, 0, 2, 1],
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 4, 0, 0, 2, 1],  # P[2] is not T[2]: back to the border of 0 0
        [[*own, 4, 4, 4], [0, 0, 0, 0, 1, 0, 1], 4, 1, 5, 0, 1, 3, 1],
    ]
    assert trace.compact["match"] == 1


def test_prefix_functions_hold_the_longest_borders():
    for P in words(2, 7):
        trace = run("kmp_matcher", [0], P)
        pi, empty = trace.compact["pi"][-1], trace.compact["is_reset"][-1]
        for q in range(len(P)):
            prefix = P[: q + 1]
            border = max(k for k in range(q + 1) if prefix[:k] == prefix[q + 1 - k :])
            assert empty[1 + q] == (border == 0)
            assert pi[1 + q] - 1 == max(border - 1, 0)


def test_both_matchers_agree_on_samples():
    for _, inputs, trace in examples(MATCHERS[0], sizes=(5, 20, 64), seeds=range(10)):
        other = run(MATCHERS[1], inputs["T"], inputs["P"])
        assert trace.compact["match"] == other.compact["match"] < len(inputs["T"])
        for probe in ("string", "pos", "key"):
            np.testing.assert_array_equal(trace.compact[probe], other.compact[probe])


def test_needles_have_the_lengths_asked_for():
    name = "naive_string_matcher"
    assert [len(draw(name, n)["P"]) for n in (3, 4, 5, 9, 10, 20, 80)] == [1, 1, 1, 1, 2, 4, 16]
    assert len(draw(name, 33, length_needle=16)["P"]) == 16
    lengths = {len(draw(name, 20, seed, length_needle=-8)["P"]) for seed in range(100)}
    assert lengths == set(range(1, 9))
    assert set(draw(name, 50, chars=2)["T"]) == {0, 1}
    for n, needle in ((4, 2), (20, 10), (16, -8), (4, -8), (3, 100)):
        with pytest.raises(ValueError, match=f"length_needle must be less than half of n, got .*={needle} and n={n}"):
            draw(name, n, length_needle=needle)
    for needle in (0, 1.5, "3", True):
        with pytest.raises(ValueError, match="length_needle must be an integer other than 0, or None"):
            draw(name, 20, length_needle=needle)


@pytest.mark.parametrize("name", [*MATCHERS, "lcs_length"])
def test_strings_are_checked(name):
    first, second = nar.datasets.get(name).arguments
    for bad in ([0, 4], [-1], [0.5], [np.nan], [np.inf]):
        with pytest.raises(ValueError, match=f"{first} must be a string of characters 0 to 3 .*, got .* at index"):
            run(name, bad, [0])
    with pytest.raises(ValueError, match=f"{second} must be an array of integers or floats, got dtype <U4"):
        run(name, [0, 1, 2], "ACGT")
    for bad in ([], [[0, 1]], 3):
        with pytest.raises(ValueError, match=f"{second} must be a one-dimensional array with at least one element"):
            run(name, [0, 1, 2], bad)
    for chars in (0, 5, 2.0, None):
        with pytest.raises(ValueError, match="chars must be an integer from 1 to 4"):
            draw(name, 12, chars=chars)


def test_the_naive_matcher_needs_room_for_the_pattern():
    with pytest.raises(ValueError, match="T must be at least as long as P, got lengths 1 and 2"):
        run("naive_string_matcher", [0], [0, 1])
    assert run("kmp_matcher", [0], [0, 1]).compact["match"] == 1


# --- longest common subsequence --------------------------------------------------------------------------------------


def lcs_by_force(x, y):
    """Over all subsequences of x."""
    for length in range(len(x), 0, -1):
        for chosen in itertools.combinations(x, length):
            rest = iter(y)
            if all(character in rest for character in chosen):
                return length
    return 0


def follow(x, y, b):
    """The matches that the arrows lead through from the last pair of prefixes."""
    i, j, found = len(x) - 1, len(y) - 1, 0
    while i >= 0 and j >= 0:
        arrow = b[i, len(x) + j]
        if arrow == 0:
            assert x[i] == y[j]
            found += 1
        i, j = i - (arrow != 2), j - (arrow != 1)
    return found


def test_every_small_lcs():
    algorithm = nar.datasets.get("lcs_length")
    longest = 0
    for x in words(2, 4):
        for y in words(3, 3):
            trace, length = run("lcs_length", x, y), lcs_by_force(x, y)
            assert algorithm.oracle(x=x, y=y)["length"] == length
            assert trace.compact["c"][-1][len(x) - 1, -1] == length
            assert follow(x, y, trace.compact["b"]) == length
            assert algorithm.is_valid({"x": x, "y": y}, outputs(trace))
            assert trace.length <= algorithm.bound(trace.nodes)
            longest = max(longest, trace.length)
    assert longest == algorithm.bound(7)  # reached


def test_lcs_tables_are_right_exactly_when_all_arrows_are():
    """One arrow at a time turned every way: valid if and only if a table with it still leads to the right length."""
    x, y = (0, 1, 0), (1, 0, 2)
    b, n = run("lcs_length", x, y).compact["b"], 3
    c = {(i, j): lcs_by_force(x[: i + 1], y[: j + 1]) for i in range(-1, 3) for j in range(-1, 3)}
    accepted = 0
    for i, j, arrow in itertools.product(range(3), range(3), (-1, 0, 1, 2, 3)):
        changed = b.copy()
        changed[i, n + j] = arrow
        steps = {0: (x[i] == y[j]) + c[i - 1, j - 1], 1: c[i - 1, j], 2: c[i, j - 1]}
        right = arrow in steps and steps[arrow] == c[i, j] and (arrow > 0 or x[i] == y[j])
        assert valid("lcs_length", (x, y), changed) == right, (i, j, arrow)
        accepted += right
    assert accepted > 9  # some ties


def test_lcs_step_by_step():
    """x = 0 1, y = 1 1."""
    trace = run("lcs_length", [0, 1], [1, 1])
    assert trace.length == 2
    no = [-1, -1, -1, -1]
    assert np.asarray(trace.compact["b_h"]).tolist() == [
        [[-1, -1, 1, 1], [-1, -1, 0, 0], no, no],
        [[-1, -1, 1, 1], [-1, -1, 0, 0], no, no],
    ]
    assert trace.compact["c"][0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert trace.compact["c"][1].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert trace.outputs["b"][0, 0].tolist() == trace.outputs["b"][2, 3].tolist() == [0, 0, 0, -1]  # ignored
    assert trace.outputs["b"][0, 2].tolist() == [0, 1, 0, 0]


def test_edges_that_are_not_asked_for_do_not_make_a_table_wrong():
    algorithm, (x, y) = nar.datasets.get("lcs_length"), ([0, 1, 1], [1, 0])
    b = run("lcs_length", x, y).compact["b"].copy()
    b[b == -1] = 2  # as a model answers, which knows four classes everywhere
    assert algorithm.is_valid({"x": x, "y": y}, {"b": b})
    b[:3, 3:] = 2
    assert not algorithm.is_valid({"x": x, "y": y}, {"b": b})


def test_lcs_samples():
    assert [len(s) for s in draw("lcs_length", 7).values()] == [4, 3]
    assert [len(s) for s in draw("lcs_length", 7, length_2=9).values()] == [7, 9]
    for bad in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="length_2 must be a positive integer or None"):
            draw("lcs_length", 7, length_2=bad)
