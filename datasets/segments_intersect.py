"""Do two segments intersect? Each one's ends are compared with the line through the other's."""

from fractions import Fraction

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import geometry
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 33.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "x": ("input", "node", "scalar"),
        "y": ("input", "node", "scalar"),
        "intersect": ("output", "graph", "mask"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
        "k": ("hint", "node", "mask_one"),
        "dir": ("hint", "node", "scalar"),
        "on_seg": ("hint", "node", "mask"),
    }
)


def prepare(xs, ys):
    """One segment joins points 0 and 1, the other 2 and 3."""
    xs, ys = geometry.check_points(xs, ys)
    if len(xs) != 4:
        raise ValueError(f"xs and ys must hold the four ends of two segments, got {len(xs)} points")
    return (xs, ys), geometry.probes(xs, ys)


@compiled
def segments_intersect(trace, xs, ys):
    direction = np.zeros(4)  # on which side of the other segment's line each end is; 0 on the line
    on_seg = np.zeros(4, np.int8)  # is it within the other segment's bounding box?
    record(trace, 0, 0, 0, direction, on_seg)
    for k in range(4):
        i, j = (2, 3) if k < 2 else (0, 1)
        if not geometry.is_certain(xs, ys, i, j, k):
            raise ValueError("xs and ys must have no three points so nearly on a line that rounding decides")
        direction[k] = (xs[k] - xs[i]) * (ys[j] - ys[i]) - (xs[j] - xs[i]) * (ys[k] - ys[i])
        on_seg[k] = geometry.on_segment(xs, ys, i, j, k)
        record(trace, i, j, k, direction, on_seg)
    side = np.sign(direction)
    if side[0] * side[1] < 0 and side[2] * side[3] < 0:
        return 1
    return int(np.any((direction == 0) & (on_seg == 1)))


def oracle(xs, ys):
    """Solve p + t r = q + u s with 0 <= t, u <= 1 in exact arithmetic."""
    x, y = geometry.exact(xs), geometry.exact(ys)
    r, s, qp = (x[1] - x[0], y[1] - y[0]), (x[3] - x[2], y[3] - y[2]), (x[2] - x[0], y[2] - y[0])

    def wedge(v, w):
        return v[0] * w[1] - v[1] * w[0]

    if wedge(r, s) != 0:
        t, u = wedge(qp, s) / wedge(r, s), wedge(qp, r) / wedge(r, s)
        return {"intersect": np.array(0 <= t <= 1 and 0 <= u <= 1, np.int8)}
    # Parallel, or one of them a point: they meet only on one common line, where their shadows on it overlap.
    line = r if r != (0, 0) else s if s != (0, 0) else qp
    if wedge(qp, line) != 0:
        return {"intersect": np.array(0, np.int8)}
    shadow: list[Fraction] = [line[0] * x[i] + line[1] * y[i] for i in range(4)]
    overlap = max(min(shadow[:2]), min(shadow[2:])) <= min(max(shadow[:2]), max(shadow[2:]))
    return {"intersect": np.array(overlap, np.int8)}


def is_valid(xs, ys, intersect):
    return int(intersect) == oracle(xs, ys)["intersect"]


algorithm = Algorithm(
    name="segments_intersect",
    spec=SPEC,
    citation=CITATION,
    category="geometry",
    steps=segments_intersect,
    prepare=prepare,
    sampler=geometry.sample_segments,
    bound=lambda n: 5,
    oracle=oracle,
    validity=is_valid,
    recover=geometry.recover,
    fixed_nodes=4,
    num_samples_multiplier=64,
)
