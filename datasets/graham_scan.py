"""Graham's scan: the convex hull by a walk around the lowest point, taking back every step that does not turn left."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import geometry
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "R. Graham. An efficient algorithm for determining the convex hull. Inf. Proc. Letters 1(4), 1972. CLRS 33.3"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "x": ("input", "node", "scalar"),
        "y": ("input", "node", "scalar"),
        "in_hull": ("output", "node", "mask"),
        "best": ("hint", "node", "mask_one"),
        "atans": ("hint", "node", "scalar"),
        "in_hull_h": ("hint", "node", "mask"),
        "stack_prev": ("hint", "node", "pointer"),
        "last_stack": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "phase": ("hint", "graph", "categorical", 5),
    }
)


def prepare(xs, ys):
    xs, ys = geometry.check_points(xs, ys)
    return (xs, ys, geometry.angles(xs, ys)), geometry.probes(xs, ys)


@compiled
def graham_scan(trace, xs, ys, angles):
    n = len(xs)
    atans = np.zeros(n)
    in_hull = np.zeros(n, np.int8)
    stack_prev = np.arange(n)  # what is on the stack, from the top down; the lowest point and all others: themselves
    record(trace, 0, atans, in_hull, stack_prev, 0, 0, 0)

    best = geometry.lowest(xs, ys)
    in_hull[best] = 1
    top = best
    record(trace, best, atans, in_hull, stack_prev, top, best, 1)

    # Of points in the same direction the nearest comes first, as a right answer needs; dm-clrs leaves that to chance.
    near_first = np.argsort(np.abs(xs - xs[best]) + np.abs(ys - ys[best]), kind="mergesort")
    atans = angles.copy()
    atans[best] = -np.inf
    order = near_first[np.argsort(atans[near_first], kind="mergesort")]
    atans[best] = 0
    record(trace, best, atans, in_hull, stack_prev, top, best, 2)

    for step in range(1, n):
        i = order[step]
        # Nothing is taken back for the second and third point. The lowest point stays: where all points so far are on
        # one line with it, dm-clrs would take it back for ever.
        while step >= 3 and top != best and geometry.cross(xs, ys, stack_prev[top], top, i) <= 0:
            removed = top
            top = stack_prev[top]
            stack_prev[removed] = removed
            in_hull[removed] = 0
            record(trace, best, atans, in_hull, stack_prev, top, i, 3)
        in_hull[i] = 1
        stack_prev[i] = top
        top = i
        record(trace, best, atans, in_hull, stack_prev, top, i, 4)

    hull = np.empty(n, np.int64)  # from the top of the stack down, hence turned round below
    size = 0
    while True:
        hull[size] = top
        size += 1
        if top == best:
            break
        top = stack_prev[top]
    geometry.check_hull(xs, ys, hull[:size][::-1])
    return in_hull


algorithm = Algorithm(
    name="graham_scan",
    spec=SPEC,
    citation=CITATION,
    category="geometry",
    steps=graham_scan,
    prepare=prepare,
    sampler=geometry.sample_disk,
    bound=lambda n: 2 * n + 1,  # every point is pushed once and taken back at most once
    oracle=geometry.hull_oracle,
    validity=geometry.is_hull,
    recover=geometry.recover,
)
