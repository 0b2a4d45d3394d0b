"""Quickselect: the median, by partitioning only the part that holds it."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "C. A. R. Hoare, Algorithm 65: Find, 1961; CLRS 9.2 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "median": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "p": ("hint", "node", "mask_one"),
        "r": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
        "i_rank": ("hint", "graph", "scalar"),
        "target": ("hint", "graph", "scalar"),
        "pivot": ("hint", "node", "mask_one"),
    }
)


@numba.njit
def partition(trace, A, order, pred, p, r, target):
    """Rearrange A[p..r] around its last element (Lomuto); the position where that one comes to stand."""
    n = len(A)
    x = A[r]
    i = p - 1
    for j in range(p, r):
        if A[j] <= x:
            i += 1
            arrays.exchange(A, order, pred, i, j)
        record(trace, pred, order[p], order[r], order[i + 1], order[j], (i + 1) / n, target / n, order[r])
    arrays.exchange(A, order, pred, i + 1, r)
    # As in the reference, `i_rank` counts from the start of the array above, and from p at the end.
    record(trace, pred, order[p], order[r], order[i + 1], order[r], (i + 1 - p) / n, target / n, order[i + 1])
    return i + 1


@compiled
def quickselect(trace, A):
    A = A.copy()  # the caller's array is the input probe `key`
    n = len(A)
    order = np.arange(n)
    pred = arrays.predecessors(order)
    p, r, target = 0, n - 1, n // 2  # the element wanted has rank `target` in A[p..r], counted from 0
    while True:
        q = partition(trace, A, order, pred, p, r, target)
        rank = q - p
        if target == rank:
            return order[q]
        if target < rank:
            r = q - 1
        else:
            p = q + 1
            target -= rank + 1


def oracle(A):
    """The median: of an even number of elements, the upper one."""
    return {"value": np.sort(A)[len(A) // 2]}


def is_valid(A, median):
    A = np.asarray(A, dtype=np.float64)
    return A[int(median)] == np.sort(A)[len(A) // 2]


algorithm = Algorithm(
    name="quickselect",
    spec=SPEC,
    citation=CITATION,
    category="searching",
    steps=quickselect,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=lambda n: n * (n + 1) // 2,  # every partition may rule out its pivot alone
    oracle=oracle,
    validity=is_valid,
    recover=arrays.recover,
    num_samples_multiplier=64,
)
