"""Strings and geometry: right answers, hand-worked traces, ties, odd inputs, samplers and their preconditions."""

import itertools
from typing import Any

import numpy as np
import pytest
from inputs import examples, outputs
from scipy.spatial import ConvexHull

import nar.datasets
from nar.traces.inputs import geometry, strings

MATCHERS = ("naive_string_matcher", "kmp_matcher")
HULLS = ("graham_scan", "jarvis_march")


def run(name, *values):
    algorithm = nar.datasets.get(name)
    return algorithm.run(**dict(zip(algorithm.arguments, values, strict=True)))


def valid(name, values, answer):
    algorithm = nar.datasets.get(name)
    (output,) = algorithm.spec.outputs
    return algorithm.is_valid(dict(zip(algorithm.arguments, values, strict=True)), {output: np.array(answer)})


def hints(trace):
    """One row per moment: every hint in the spec's order, arrays as lists; without `pred_h`, which never changes."""
    columns = [np.asarray(trace.compact[name]).tolist() for name in trace.spec.hints if name != "pred_h"]
    return [list(row) for row in zip(*columns, strict=True)]


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
        assert longest[n] <= algorithm.max_steps(n)
    if name == "naive_string_matcher":  # 0 0 0 ... and 0 ... 0 1: its bound is reached
        assert all(longest[n] == algorithm.max_steps(n) for n in range(2, 7))


def test_worst_cases_stay_within_the_bound():
    for nodes in (2, 3, 4, 10, 25, 64):
        for m in range(1, nodes // 2 + 1):
            T, P = [0] * (nodes - m), [0] * (m - 1) + [1]
            for name in MATCHERS:
                assert run(name, T, P).length <= nar.datasets.get(name).max_steps(nodes)
    assert run("kmp_matcher", [0] * 40, [0] * 23 + [1]).length > 2 * 64 - 30  # the bound is no wild guess


def test_naive_string_matcher_step_by_step():
    """1 in place 2 of 0 1 1 fits twice; 1 2 nowhere."""
    trace = run("naive_string_matcher", [0, 1, 1, 2], [1, 2])
    assert hints(trace) == [
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
    assert hints(trace) == [
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
            assert trace.length <= algorithm.max_steps(trace.nodes)
            longest = max(longest, trace.length)
    assert longest == algorithm.max_steps(7)  # reached


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


# --- segments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "want"),
    [
        ([(0, 0), (2, 2), (0, 2), (2, 0)], 1),  # cross
        ([(0, 0), (1, 1), (0, 2), (2, 2)], 0),
        ([(0, 0), (2, 0), (1, 0), (1, 5)], 1),  # an end on the other segment
        ([(0, 0), (2, 0), (3, 0), (3, 5)], 0),  # on its line only
        ([(0, 0), (2, 0), (1, 0), (3, 0)], 1),  # on one line, overlapping
        ([(0, 0), (1, 1), (2, 2), (3, 3)], 0),  # on one line, apart
        ([(0, 0), (1, 1), (1, 1), (5, 0)], 1),  # one end in common
        ([(0, 0), (1, 0), (0, 1), (1, 1)], 0),  # parallel
        ([(1, 1), (1, 1), (0, 0), (2, 2)], 1),  # a point on a segment
        ([(1, 1), (1, 1), (0, 0), (2, 1)], 0),
        ([(1, 1), (1, 1), (1, 1), (1, 1)], 1),  # a point twice
        ([(1, 1), (1, 1), (2, 2), (2, 2)], 0),
    ],
)
def test_segments(ends, want):
    """Also with points, segments and axes exchanged."""
    for order in ((0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)):
        xs, ys = np.array(ends)[list(order)].T
        for pair in ((xs, ys), (ys, xs), (-xs, ys)):
            assert run("segments_intersect", *pair).compact["intersect"] == want
            assert nar.datasets.get("segments_intersect").oracle(*pair)["intersect"] == want
            assert valid("segments_intersect", pair, want) and not valid("segments_intersect", pair, 1 - want)


def test_segments_on_a_grid_equal_exact_arithmetic():
    rng, seen = np.random.RandomState(0), set()
    for _ in range(500):
        xs, ys = rng.randint(0, 4, (2, 4))
        found = int(run("segments_intersect", xs, ys).compact["intersect"])
        assert found == nar.datasets.get("segments_intersect").oracle(xs, ys)["intersect"]
        seen.add(found)
    assert seen == {0, 1}


def test_segments_step_by_step():
    trace = run("segments_intersect", [0, 2, 0, 3], [0, 2, 2, 0])
    assert hints(trace) == [
        [0, 0, 0, [0, 0, 0, 0], [0, 0, 0, 0]],
        [2, 3, 0, [6, 0, 0, 0], [1, 0, 0, 0]],  # 0 * -2 - 3 * -2, and (0, 0) is a corner of the other one's box
        [2, 3, 1, [6, -4, 0, 0], [1, 1, 0, 0]],  # 2 * -2 - 3 * 0
        [0, 1, 2, [6, -4, -4, 0], [1, 1, 1, 0]],  # 0 * 2 - 2 * 2
        [0, 1, 3, [6, -4, -4, 6], [1, 1, 1, 0]],  # 3 * 2 - 2 * 0
    ]
    assert trace.compact["intersect"] == 1


def test_half_of_the_sampled_segments_intersect():
    answers = [int(trace.compact["intersect"]) for *_, trace in examples("segments_intersect", (1,), range(400))]
    assert 160 < sum(answers) < 240
    first, second = draw("segments_intersect", 1, 5), draw("segments_intersect", 64, 5)  # n is not looked at
    assert all(np.array_equal(first[key], second[key]) and len(first[key]) == 4 for key in first)


def test_segments_preconditions():
    with pytest.raises(ValueError, match="xs and ys must hold the four ends of two segments, got 3 points"):
        run("segments_intersect", [0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="xs and ys must have equal lengths, got 4 and 3"):
        run("segments_intersect", [0, 1, 2, 3], [0, 1, 2])
    with pytest.raises(ValueError, match="low and high must be far enough apart for segments to intersect"):
        for seed in range(8):  # it asks for an intersection every other time only
            draw("segments_intersect", 4, seed, low=1, high=1)


# --- what rounding must not decide -----------------------------------------------------------------------------------


def test_signs_are_certain_or_named_uncertain():
    """Every sign called certain is that of exact arithmetic; whole numbers are certain, and so are random points."""
    rng, uncertain = np.random.RandomState(0), 0
    for trial in range(3000):
        xs, ys = rng.uniform(size=(2, 3))
        if trial % 3 == 1:  # nearly on a line
            t = rng.uniform(-2, 2)
            xs[2], ys[2] = xs[0] + t * (xs[1] - xs[0]), ys[0] + t * (ys[1] - ys[0])
        elif trial % 3 == 2:
            xs, ys = rng.randint(-(2**24), 2**24, 3) * 1.0, rng.randint(-2, 3, 3) * 1.0
        x, y = geometry.exact(xs), geometry.exact(ys)
        true = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
        certain = geometry.is_certain(xs, ys, 0, 1, 2)
        if certain:
            assert np.sign(geometry.cross(xs, ys, 0, 1, 2)) == (true > 0) - (true < 0)
        uncertain += not certain
        assert certain or trial % 3 == 1
    assert uncertain > 500


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_numbers_whose_products_vanish_or_overflow_are_refused(scale):
    for name in (*HULLS, "segments_intersect"):
        with pytest.raises(ValueError, match="xs and ys must have no "):
            run(name, np.array([0, 1, 1, 0]) * scale, np.array([0, 1, 0, 1]) * scale)


def test_products_are_rounded_one_by_one():
    """A fused multiply-add would see the rest: (1 + e)(1 - e) - 1 * 1 = -e^2, but 0 once the product is rounded."""
    e = 2.0**-30
    xs, ys = np.array([0, 1 + e, 1]), np.array([0, 1, 1 - e])
    assert geometry.cross(xs, ys, 0, 1, 2) == 0
    assert not geometry.is_certain(xs, ys, 0, 1, 2) and not geometry.is_certain(ys, xs, 0, 1, 2)
    assert geometry.has_collinear(xs, ys, 1e-300) and not geometry.has_collinear(xs, ys, 0.0)


# --- convex hulls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HULLS)
def test_hulls_equal_scipy_and_exact_arithmetic(name):
    for algorithm, inputs, trace in examples(name, sizes=(3, 5, 16, 40), seeds=range(8)):
        corners = ConvexHull(np.stack([inputs["xs"], inputs["ys"]], 1)).vertices
        assert set(np.flatnonzero(trace.compact["in_hull"])) == set(corners)
        np.testing.assert_array_equal(trace.compact["in_hull"], algorithm.oracle(**inputs)["in_hull"])


@pytest.mark.parametrize("name", HULLS)
def test_points_on_a_grid(name):
    """Ties of every kind: a valid hull, or, sometimes, a refusal; Graham's scan refuses nothing here."""
    rng, refused = np.random.RandomState(0), 0
    for trial in range(600):
        xs, ys = rng.randint(0, 2 + trial % 5, (2, 1 + trial % 9))
        try:
            trace = run(name, xs, ys)
        except ValueError as error:
            assert str(error).startswith("xs and ys must have no points twice or on a line")
            refused += 1
            continue
        assert nar.datasets.get(name).is_valid({"xs": xs, "ys": ys}, outputs(trace)), (xs, ys)
        assert trace.length <= nar.datasets.get(name).max_steps(trace.nodes)
    assert refused == 0 if name == "graham_scan" else 0 < refused < 400


def test_graham_scan_step_by_step():
    """A triangle with one point inside; seen from (0, 0), the angles of the others are 0, 45 and 90 degrees."""
    trace = run("graham_scan", [4, 0, 1, 0], [0, 4, 1, 0])
    none, angles = [0, 0, 0, 0], [0, np.pi / 2, np.pi / 4, 0]
    assert hints(trace) == [
        # best atans in_hull_h stack_prev last_stack i phase
        [0, none, [0, 0, 0, 0], [0, 1, 2, 3], 0, 0, 0],
        [3, none, [0, 0, 0, 1], [0, 1, 2, 3], 3, 3, 1],
        [3, angles, [0, 0, 0, 1], [0, 1, 2, 3], 3, 3, 2],
        [3, angles, [1, 0, 0, 1], [3, 1, 2, 3], 0, 0, 4],
        [3, angles, [1, 0, 1, 1], [3, 1, 0, 3], 2, 2, 4],
        [3, angles, [1, 0, 0, 1], [3, 1, 2, 3], 0, 1, 3],  # (1, 1) is taken back
        [3, angles, [1, 1, 0, 1], [3, 0, 2, 3], 1, 1, 4],
    ]
    assert trace.compact["in_hull"].tolist() == [1, 1, 0, 1]


def test_jarvis_march_step_by_step():
    trace = run("jarvis_march", [0, 2, 0], [0, 0, 2])
    assert hints(trace) == [
        # in_hull_h best last_point endpoint i phase
        [[0, 0, 0], 0, 0, 0, 0, 0],
        [[1, 0, 0], 0, 0, 0, 0, 1],
        [[1, 0, 0], 0, 0, 0, 0, 1],
        [[1, 0, 0], 0, 0, 1, 1, 1],
        [[1, 0, 0], 0, 0, 1, 2, 1],  # 2 is to the left of 0 -> 1
        [[1, 1, 0], 0, 1, 0, 0, 1],
        [[1, 1, 0], 0, 1, 0, 0, 1],
        [[1, 1, 0], 0, 1, 0, 1, 1],
        [[1, 1, 0], 0, 1, 2, 2, 1],
        [[1, 1, 1], 0, 2, 0, 0, 1],
        [[1, 1, 1], 0, 2, 0, 0, 1],
        [[1, 1, 1], 0, 2, 0, 1, 1],
        [[1, 1, 1], 0, 2, 0, 2, 1],
    ]
    assert trace.compact["pred_h"].tolist() == [[0, 0, 1]] * 13
    assert trace.compact["in_hull"].tolist() == [1, 1, 1]


def test_degenerate_hulls():
    """One point, two, the same twice, and all on a line, on which dm-clrs's scan never ends."""
    for name in HULLS:
        assert run(name, [5], [5]).compact["in_hull"].tolist() == [1]
        assert run(name, [5, 6], [5, 9]).compact["in_hull"].tolist() == [1, 1]
        assert valid(name, ([5, 5], [5, 5]), run(name, [5, 5], [5, 5]).compact["in_hull"])
    for order in itertools.permutations(range(4)):
        line = np.array(order)
        trace = run("graham_scan", line, 2 * line)
        assert trace.compact["in_hull"][[order.index(0), order.index(3)]].tolist() == [1, 1]
        assert trace.compact["in_hull"].sum() <= 3
    with pytest.raises(ValueError, match="xs and ys must have no points twice or on a line where this algorithm gets"):
        run("jarvis_march", [2, 0, 1, 0], [0, 0, 0, 5])  # from (0, 0) to (1, 0) and on to (0, 5), past (2, 0)


def test_points_on_the_boundary_may_be_marked_or_not():
    """A square with the middle of one side, its centre, and one corner twice."""
    xs, ys = [0, 2, 2, 0, 1, 1, 0], [0, 0, 2, 2, 0, 1, 0]
    for name in HULLS:
        for middle, twin in itertools.product((0, 1), ((0, 1), (1, 0), (1, 1))):
            assert valid(name, (xs, ys), [twin[0], 1, 1, 1, middle, 0, twin[1]])
        assert not valid(name, (xs, ys), [1, 1, 1, 1, 0, 1, 0])  # the centre
        assert not valid(name, (xs, ys), [0, 1, 1, 1, 0, 0, 0])  # a corner is missing
        assert not valid(name, (xs, ys), [1, 0, 1, 1, 1, 0, 0])
        assert not valid(name, (xs, ys), [1, 1, 1, 1, 0, -1, 0])


def test_a_wrong_walk_is_no_hull():
    """check_hull, on which both algorithms rely: the square, and walks that miss or leave something."""
    xs, ys = np.array([0.0, 4, 4, 0, 2]), np.array([0.0, 0, 4, 4, 1])
    geometry.check_hull(xs, ys, np.array([0, 1, 2, 3]))
    for walk in ([0, 1, 2], [3, 2, 1, 0], [0, 2], [0, 4, 1, 2, 3], [0]):
        with pytest.raises(ValueError, match="gets lost"):
            geometry.check_hull(xs, ys, np.array(walk))
    for line in ((np.arange(4.0), np.zeros(4)), (np.zeros(4), np.arange(4.0))):
        geometry.check_hull(*line, np.array([0, 3]))
        for walk in ([0, 2], [1, 3]):
            with pytest.raises(ValueError, match="gets lost"):
                geometry.check_hull(*line, np.array(walk))


def test_the_disk_sampler_rejects_points_on_a_line():
    """By a tolerance so large that most draws fail: the draw returned is the first that passes, by numpy's cross."""
    name, eps = "graham_scan", 0.3
    for seed in range(5):
        found = draw(name, 5, seed, collineararity_eps=eps)
        rng, rejected = np.random.RandomState(seed), 0
        while True:
            thetas, rs = rng.uniform(0.0, 2.0 * np.pi, 5), 2.0 * np.sqrt(rng.uniform(0.0, 1.0, 5))
            xs, ys = rs * np.cos(thetas), rs * np.sin(thetas)
            triples = [list(t) for t in itertools.combinations(range(5), 3)]
            areas = [np.linalg.det(np.stack([np.ones(3), xs[t], ys[t]])) for t in triples]
            if min(np.abs(areas)) > eps:
                break
            rejected += 1
        assert np.array_equal(found["xs"], xs) and np.array_equal(found["ys"], ys)
    assert rejected > 0
    moved = draw(name, 9, origin_x=100.0, origin_y=-7.0, radius=0.5)
    assert (np.hypot(moved["xs"] - 100, moved["ys"] + 7) <= 0.5).all()


@pytest.mark.parametrize("name", HULLS)
def test_disk_preconditions(name):
    for bad in ({"radius": -1.0}, {"radius": np.nan}, {"origin_x": None}, {"origin_y": "0"}):
        (argument,) = bad
        with pytest.raises(ValueError, match=f"{argument} must "):
            draw(name, 5, **bad)
    with pytest.raises(ValueError, match="collineararity_eps must not be negative"):
        draw(name, 5, collineararity_eps=-1e-12)
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="collinearity_resampling_attempts must be an integer of at least 1"):
            draw(name, 5, collinearity_resampling_attempts=bad)
    for how in ({"radius": 0.0}, {"origin_x": 1e20}, {"collineararity_eps": 10.0}):
        with pytest.raises(ValueError, match=r"radius must be large enough .* got none in 20 attempts"):
            draw(name, 5, collinearity_resampling_attempts=20, **how)


def test_parts_of_strings_are_found_again():
    inputs = strings.probes(np.array([3, 1, 2], np.int8), np.array([0, 1], np.int8))
    assert [part.tolist() for part in strings.split(inputs)] == [[3, 1, 2], [0, 1]]
    assert strings.predecessors(3, 2).tolist() == [0, 0, 1, 3, 3]
