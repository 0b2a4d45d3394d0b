"""Activity selection: as many compatible activities as possible, always taking the one that finishes first."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "F. Gavril, SIAM J. Comput. 1(2), 1972; CLRS 16.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "scalar"),
        "f": ("input", "node", "scalar"),
        "selected": ("output", "node", "mask"),
        "pred_h": ("hint", "node", "pointer"),
        "selected_h": ("hint", "node", "mask"),
        "m": ("hint", "node", "mask_one"),
        "k": ("hint", "node", "mask_one"),
    }
)


def sample(rng, n, low=0.0, high=1.0):
    first = arrays.uniform(rng, n, low, high)
    second = arrays.uniform(rng, n, low, high)
    return {"s": np.minimum(first, second), "f": np.maximum(first, second)}


def prepare(s, f):
    """Activity i takes the time [s[i], f[i]). One may begin when another finishes, and may take no time at all."""
    s = arrays.check_array(s, "s")
    f = arrays.check_array(f, "f")
    if len(s) != len(f):
        raise ValueError(f"s must be as long as f, got {len(s)} and {len(f)}")
    late = s > f
    if late.any():
        i = int(np.argmax(late))
        raise ValueError(f"s must not exceed f, got an activity from {s[i]} to {f[i]} at index {i}")
    return (s, f, by_finish(s, f)), {"pos": arrays.positions(len(s)), "s": s, "f": f}


def by_finish(s, f):
    """Order of finishing. Of those at one time, such that take no time come last: others fit only before them."""
    return np.lexsort((s == f, f))


@compiled
def activity_selector(trace, s, f, order):
    n = len(s)
    pred = arrays.predecessors(np.arange(n))
    selected = np.zeros(n, np.int8)
    record(trace, pred, selected, 0, 0)  # as in the reference, nothing is marked yet by marking the first node
    k = order[0]  # the activity selected last
    selected[k] = 1
    record(trace, pred, selected, k, k)
    for m in order[1:]:
        if s[m] >= f[k]:
            selected[m] = 1
            k = m
        record(trace, pred, selected, m, k)
    return selected


def oracle(s, f):
    """The largest number of compatible activities, by dynamic programming over where the last of them starts."""
    s, f = np.asarray(s, dtype=np.float64), np.asarray(f, dtype=np.float64)
    order = np.lexsort((s, f))
    s, f = s[order], f[order]
    most = np.zeros(len(s) + 1, np.int64)  # most[i]: among the first i
    for i in range(len(s)):
        before = np.searchsorted(f[:i], s[i], side="right")
        most[i + 1] = max(most[i], most[before] + 1)
    return {"most": most[-1]}


def is_valid(s, f, selected):
    if not np.isin(selected, (0, 1)).all() or selected.sum() != oracle(s, f)["most"]:
        return False
    s, f = np.asarray(s, dtype=np.float64), np.asarray(f, dtype=np.float64)
    chosen = selected == 1
    s, f = s[chosen], f[chosen]
    order = np.lexsort((f, s))
    return bool((s[order][1:] >= f[order][:-1]).all())


algorithm = Algorithm(
    name="activity_selector",
    spec=SPEC,
    citation=CITATION,
    category="greedy",
    steps=activity_selector,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n + 1,
    oracle=oracle,
    validity=is_valid,
    pred_as_input=True,
)
