"""Points in the plane as inputs: sampling, checking, probes, and what is true of a convex hull, exactly.

Compiled code computes with rounding, as dm-clrs does. Where rounding could decide an answer it is refused: `check_hull`
accepts a hull only if every sign on which it rests is certain. Oracles compute with whole numbers of any size.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numba
import numpy as np

from nar.traces.inputs import arrays
from nar.traces.inputs.options import integer, number

# Of a*b - c*d, each of a..d a rounded difference, relative to |a*b| + |c*d| (Shewchuk, 1997: 3 + 16 eps times 2^-53)
ROUNDING = 4e-16
SMALLEST, LARGEST = 1e-140, 1e140  # differences of coordinates whose products neither vanish nor overflow


def sample_disk(
    rng: np.random.RandomState,
    n: int,
    origin_x: float = 0.0,
    origin_y: float = 0.0,
    radius: float = 2.0,
    collinearity_resampling_attempts: int = 1000,
    collineararity_eps: float = 1e-12,  # spelled as in dm-clrs
) -> dict[str, np.ndarray]:
    """n points, uniform over a disk, no three of them on a line (the cross product of each three is at least eps)."""
    arrays.check_number(origin_x, "origin_x")
    arrays.check_number(origin_y, "origin_y")
    number("radius", radius, 0.0)
    number("collineararity_eps", collineararity_eps, 0.0)
    attempts = integer("collinearity_resampling_attempts", collinearity_resampling_attempts, 1)
    for _ in range(attempts):
        thetas = rng.uniform(low=0.0, high=2.0 * np.pi, size=(n,))
        rs = radius * np.sqrt(rng.uniform(low=0.0, high=1.0, size=(n,)))
        xs, ys = rs * np.cos(thetas) + origin_x, rs * np.sin(thetas) + origin_y
        if not has_collinear(xs, ys, collineararity_eps):
            return {"xs": xs, "ys": ys}
    raise ValueError(
        f"radius must be large enough against origin_x, origin_y and collineararity_eps for {n} points of which no "
        f"three are on a line, got none in {attempts} attempts with radius={radius}"
    )


def sample_segments(rng: np.random.RandomState, n: int, low: float = 0.0, high: float = 1.0) -> dict[str, np.ndarray]:
    """The four ends of two segments, uniform over a square; every second pair intersects. n is not looked at."""
    arrays.check_range(low, high)
    intersect = bool(rng.binomial(1, 0.5))
    for _ in range(1000):  # 23 % of all pairs intersect
        points = rng.uniform(low=low, high=high, size=(8,))
        if _cross_each_other(*points.tolist()) == intersect:
            return {"xs": points[:4].copy(), "ys": points[4:].copy()}
    raise ValueError(f"low and high must be far enough apart for segments to intersect, got low={low}, high={high}")


def _cross_each_other(x0, x1, x2, x3, y0, y1, y2, y3):
    def left(xa, ya, xb, yb, xc, yc):
        return (yc - ya) * (xb - xa) > (yb - ya) * (xc - xa)

    apart = left(x0, y0, x2, y2, x3, y3) != left(x1, y1, x2, y2, x3, y3)
    return apart and left(x0, y0, x1, y1, x2, y2) != left(x0, y0, x1, y1, x3, y3)


def check_points(xs: Any, ys: Any) -> tuple[np.ndarray, np.ndarray]:
    """float64 copies of the coordinates of at least one point, all finite."""
    xs, ys = arrays.check_array(xs, "xs"), arrays.check_array(ys, "ys")
    if len(xs) != len(ys):
        raise ValueError(f"xs and ys must have equal lengths, got {len(xs)} and {len(ys)}")
    return xs, ys


def probes(xs: np.ndarray, ys: np.ndarray) -> dict[str, np.ndarray]:
    """The input probes."""
    return {"pos": arrays.positions(len(xs)), "x": xs, "y": ys}


def recover(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The coordinates of a trace."""
    return {"xs": inputs["x"], "ys": inputs["y"]}


def angles(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Direction of every point as seen from the lowest, in radians; 0 for that one itself.

    By math.atan2: numpy's arctan2 may differ in the last bit.
    """
    best = lowest(xs, ys)
    x, y = xs.tolist(), ys.tolist()
    return np.array([math.atan2(b - y[best], a - x[best]) for a, b in zip(x, y, strict=True)])


@numba.njit
def lowest(xs, ys):
    """The point of least y; of several, that of least x."""
    best = 0
    for i in range(len(xs)):
        if ys[i] < ys[best] or (ys[i] == ys[best] and xs[i] < xs[best]):
            best = i
    return best


@numba.njit
def cross(xs, ys, i, j, k):
    """Twice the signed area of the triangle i, j, k: positive if one turns left at j."""
    return (xs[j] - xs[i]) * (ys[k] - ys[i]) - (ys[j] - ys[i]) * (xs[k] - xs[i])


@numba.njit
def _moderate(difference):
    return difference == 0 or SMALLEST < abs(difference) < LARGEST


@numba.njit
def _is_exact_difference(a, b):  # Knuth's two-sum has no rest
    difference = a - b
    virtual = a - difference
    return a - (difference + virtual) == 0 and virtual - b == 0


@numba.njit
def _is_exact_product(a, b):  # Dekker's product of halves has no rest
    product = a * b
    split_a, split_b = 134217729.0 * a, 134217729.0 * b
    high_a, high_b = split_a - (split_a - a), split_b - (split_b - b)
    low_a, low_b = a - high_a, b - high_b
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b == 0


@numba.njit
def is_certain(xs, ys, i, j, k):
    """Is the sign of `cross` the true one, in spite of rounding? Always so for whole numbers below 2^25."""
    a, b = xs[j] - xs[i], ys[k] - ys[i]
    c, d = ys[j] - ys[i], xs[k] - xs[i]
    if not (_moderate(a) and _moderate(b) and _moderate(c) and _moderate(d)):
        return False
    if abs(a * b - c * d) > ROUNDING * (abs(a * b) + abs(c * d)):
        return True
    for p, q in ((xs[j], xs[i]), (ys[k], ys[i]), (ys[j], ys[i]), (xs[k], xs[i])):
        if not _is_exact_difference(p, q):
            return False
    return _is_exact_product(a, b) and _is_exact_product(c, d)


@numba.njit
def on_segment(xs, ys, i, j, k):
    """Is k, which is on the line through i and j, between them? Both ends count."""
    return min(xs[i], xs[j]) <= xs[k] <= max(xs[i], xs[j]) and min(ys[i], ys[j]) <= ys[k] <= max(ys[i], ys[j])


@numba.njit
def check_hull(xs, ys, hull):
    """Raise ValueError unless the closed walk along `hull` is the boundary of the convex hull, for certain.

    It is if it leaves no point to its right. Points that are all on one line it must reach from end to end besides.
    """
    for h in range(len(hull)):
        i, j = hull[h], hull[(h + 1) % len(hull)]
        if xs[i] == xs[j] and ys[i] == ys[j]:
            continue
        for k in range(len(xs)):
            if k != i and k != j:
                if not is_certain(xs, ys, i, j, k):
                    raise ValueError("xs and ys must have no three points so nearly on a line that rounding decides")
                if cross(xs, ys, i, j, k) < 0:
                    raise ValueError("xs and ys must have no points twice or on a line where this algorithm gets lost")
    x, y = xs[hull], ys[hull]
    if x.min() > xs.min() or x.max() < xs.max() or y.min() > ys.min() or y.max() < ys.max():
        raise ValueError("xs and ys must have no points twice or on a line where this algorithm gets lost")


@numba.njit
def has_collinear(xs, ys, eps):
    """Are there three points whose cross product is smaller than eps? Rounded as by np.cross."""
    n = len(xs)
    for i in range(n):
        for j in range(i + 1, n):
            a, c = xs[j] - xs[i], ys[j] - ys[i]
            found = False
            for k in range(j + 1, n):  # without a way out in the middle: the processor compares many at once
                found |= abs(a * (ys[k] - ys[i]) - c * (xs[k] - xs[i])) < eps
            if found:
                return True
    return False


def exact(values: Any) -> list[Fraction]:
    """The same numbers as fractions."""
    return [Fraction(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def whole(xs: Any, ys: Any) -> list[tuple[int, int]]:
    """The points, scaled such that all coordinates are whole numbers: signs of cross products then are exact."""
    fractions = exact(xs) + exact(ys)
    scale = max(f.denominator for f in fractions)  # powers of two: the largest is a multiple of all
    numbers = [int(f * scale) for f in fractions]
    return list(zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :], strict=True))


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def corners(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The corners of the convex hull, counter-clockwise (A. Andrew's monotone chain, 1979)."""
    ordered = sorted(set(points))
    if len(ordered) == 1:
        return ordered
    chains = []
    for way in (ordered, ordered[::-1]):
        chain: list[tuple[int, int]] = []
        for point in way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains += chain[:-1]
    return chains


def hull_oracle(xs: Any, ys: Any) -> dict[str, np.ndarray]:
    """Which points are corners of the convex hull; of equal points, all."""
    points = whole(xs, ys)
    found = set(corners(points))
    return {"in_hull": np.array([point in found for point in points], np.int8)}


def is_hull(xs: Any, ys: Any, in_hull: np.ndarray) -> bool:
    """Are all corners of the convex hull marked, and of the other points only such as are on its boundary?

    A point in the interior of an edge may be marked or not; of several equal points, one will do.
    """
    if not np.isin(in_hull, (0, 1)).all():
        return False
    points = whole(xs, ys)
    marked = {point for point, mark in zip(points, in_hull, strict=True) if mark}
    hull = corners(points)
    edges = list(zip(hull, hull[1:] + hull[:1], strict=True))
    return marked >= set(hull) and all(any(_turn(a, b, point) == 0 for a, b in edges) for point in marked)
