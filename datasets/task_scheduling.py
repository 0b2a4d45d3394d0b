"""Task scheduling: unit tasks by falling weight, each run next if it then still meets its deadline.

As in CLRS-30, this is simpler than the greedy of the textbook, which may move tasks taken before to later slots and so
finds a set of greatest weight. Here each task runs in the first slot still free, for good: the tasks taken meet their
deadlines, but others may weigh more. With d = (2, 1) and w = (7, 5) both could be done; here only the first is taken.
"""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays, options
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "E. L. Lawler, 1985; after CLRS 16.5 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "d": ("input", "node", "scalar"),
        "w": ("input", "node", "scalar"),
        "selected": ("output", "node", "mask"),
        "pred_h": ("hint", "node", "pointer"),
        "selected_h": ("hint", "node", "mask"),
        "i": ("hint", "node", "mask_one"),
        "t": ("hint", "graph", "scalar"),
    }
)


def sample(rng, n, max_deadline=None, low=0.0, high=1.0):
    """Deadlines from 1 ... max_deadline (None: n), weights from U[low, high)."""
    if max_deadline is None:
        max_deadline = n
    options.integer("max_deadline", max_deadline, 1)
    d = rng.randint(0, high=max_deadline, size=(n,)) + 1
    return {"d": d, "w": arrays.uniform(rng, n, low, high)}


def prepare(d, w):
    """Task i takes one unit of time, should be done by the time d[i], and is worth w[i] if it is."""
    d = arrays.check_array(d, "d")
    w = arrays.check_array(w, "w")
    if len(d) != len(w):
        raise ValueError(f"d must be as long as w, got {len(d)} and {len(w)}")
    wrong = (d < 1) | (d != np.floor(d))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"d must hold whole numbers of at least 1, got {d[i]} at index {i}")
    if w.min() < 0:
        raise ValueError(f"w must not be negative, got {w.min()} at index {int(np.argmin(w))}")
    return (d, np.argsort(-w, kind="stable")), {"pos": arrays.positions(len(d)), "d": d, "w": w}


@compiled
def task_scheduling(trace, d, order):
    n = len(d)
    pred = arrays.predecessors(np.arange(n))
    selected = np.zeros(n, np.int8)
    t = 0  # slots taken
    record(trace, pred, selected, 0, t)
    for i in order:
        if t < d[i]:
            selected[i] = 1
            t += 1
        record(trace, pred, selected, i, t)
    return selected


def oracle(d, w):
    """The greatest weight of tasks that can all meet their deadlines (scipy: tasks assigned to slots).

    `selected` weighs as much at most, and seldom much less: see the top of this file.
    """
    import scipy.optimize

    d, w = np.asarray(d, dtype=np.float64), np.asarray(w, dtype=np.float64)
    value = w[:, None] * (np.arange(len(d)) < d[:, None])  # of task i in slot t
    return {"weight": value[scipy.optimize.linear_sum_assignment(value, maximize=True)].sum()}


def is_valid(d, w, selected):
    """Can this set come out of going through the tasks by falling weight, equal ones in any order?

    Among equal ones, those taken may always go first, by deadline: the others then find the fewest slots.
    """
    if not np.isin(selected, (0, 1)).all():
        return False
    d, w = np.asarray(d, dtype=np.float64), np.asarray(w, dtype=np.float64)
    t = 0
    for weight in np.unique(w)[::-1]:
        equal = w == weight
        taken = np.sort(d[equal & (selected == 1)])
        if (taken <= t + np.arange(len(taken))).any():
            return False
        t += len(taken)
        if (d[equal & (selected == 0)] > t).any():
            return False
    return True


algorithm = Algorithm(
    name="task_scheduling",
    spec=SPEC,
    citation=CITATION,
    category="greedy",
    steps=task_scheduling,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n + 1,
    oracle=oracle,
    validity=is_valid,
    pred_as_input=True,
)
