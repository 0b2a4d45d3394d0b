"""Jarvis's march (gift wrapping): the convex hull, from each corner to the next, looking at all points each time."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays, geometry
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "R. Jarvis. On the identification of the convex hull. Information Processing Letters 2(1), 1973. CLRS 33.3"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "x": ("input", "node", "scalar"),
        "y": ("input", "node", "scalar"),
        "in_hull": ("output", "node", "mask"),
        "pred_h": ("hint", "node", "pointer"),
        "in_hull_h": ("hint", "node", "mask"),
        "best": ("hint", "node", "mask_one"),
        "last_point": ("hint", "node", "mask_one"),
        "endpoint": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "phase": ("hint", "graph", "categorical", 2),
    }
)


def prepare(xs, ys):
    xs, ys = geometry.check_points(xs, ys)
    return (xs, ys), geometry.probes(xs, ys)


@compiled
def jarvis_march(trace, xs, ys):
    n = len(xs)
    pred = arrays.predecessors(np.arange(n))
    in_hull = np.zeros(n, np.int8)
    record(trace, pred, in_hull, 0, 0, 0, 0, 0)

    best = geometry.lowest(xs, ys)
    in_hull[best] = 1
    last_point, endpoint = best, 0
    record(trace, pred, in_hull, best, last_point, endpoint, 0, 1)

    hull = np.empty(n, np.int64)
    size = 0
    while True:  # ends: every time but the last, one more point is marked
        hull[size] = last_point
        size += 1
        for i in range(n):
            if endpoint == last_point or (
                i != last_point and i != endpoint and geometry.cross(xs, ys, last_point, endpoint, i) <= 0
            ):
                endpoint = i
            record(trace, pred, in_hull, best, last_point, endpoint, i, 1)
        if in_hull[endpoint]:
            break
        in_hull[endpoint] = 1
        last_point, endpoint = endpoint, 0
        record(trace, pred, in_hull, best, last_point, endpoint, 0, 1)
    if endpoint != best:
        raise ValueError("xs and ys must have no points twice or on a line where this algorithm gets lost")
    geometry.check_hull(xs, ys, hull[:size])
    return in_hull


algorithm = Algorithm(
    name="jarvis_march",
    spec=SPEC,
    citation=CITATION,
    category="geometry",
    steps=jarvis_march,
    prepare=prepare,
    sampler=geometry.sample_disk,
    bound=lambda n: n * n + n + 1,
    oracle=geometry.hull_oracle,
    validity=geometry.is_hull,
    recover=geometry.recover,
    pred_as_input=True,
)
