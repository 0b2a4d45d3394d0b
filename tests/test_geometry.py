"""Segments and hulls: right answers, hand-worked traces, ties, rounding, samplers and their preconditions."""

import itertools
from typing import Any

import numpy as np
import pytest
from inputs import examples, hint_rows, outputs, run, valid
from scipy.spatial import ConvexHull

import nar.datasets
from nar.traces.inputs import geometry, strings

HULLS = ("graham_scan", "jarvis_march")


def draw(name, n, seed: Any = 0, **params):
    return nar.datasets.get(name).sample(np.random.RandomState(seed), n, **params)


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
    assert hint_rows(trace, "pred_h") == [
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
        assert trace.length <= nar.datasets.get(name).bound(trace.nodes)
    assert refused == 0 if name == "graham_scan" else 0 < refused < 400


def test_graham_scan_step_by_step():
    """A triangle with one point inside; seen from (0, 0), the angles of the others are 0, 45 and 90 degrees."""
    trace = run("graham_scan", [4, 0, 1, 0], [0, 4, 1, 0])
    none, angles = [0, 0, 0, 0], [0, np.pi / 2, np.pi / 4, 0]
    assert hint_rows(trace, "pred_h") == [
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
    assert hint_rows(trace, "pred_h") == [
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
    with pytest.raises(ValueError, match="collineararity_eps must be a number of at least 0"):
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
