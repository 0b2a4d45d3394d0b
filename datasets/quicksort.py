"""Quicksort: partition around the last element, then sort what stands before it and what stands after it."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "C. A. R. Hoare, Quicksort, 1962; CLRS 7.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "pred": ("output", "node", "should_be_permutation"),
        "pred_h": ("hint", "node", "pointer"),
        "p": ("hint", "node", "mask_one"),
        "r": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
    }
)


@numba.njit
def partition(trace, A, order, pred, p, r):
    """Rearrange A[p..r] around its last element (Lomuto); the position where that one comes to stand."""
    x = A[r]
    i = p - 1
    for j in range(p, r):
        if A[j] <= x:
            i += 1
            arrays.exchange(A, order, pred, i, j)
        record(trace, pred, order[p], order[r], order[i + 1], order[j])
    arrays.exchange(A, order, pred, i + 1, r)
    record(trace, pred, order[p], order[r], order[i + 1], order[r])
    return i + 1


@compiled
def quicksort(trace, A):
    A = A.copy()  # the caller's array is the input probe `key`
    n = len(A)
    order = np.arange(n)
    pred = arrays.predecessors(order)
    if n == 1:  # nothing happens; but a trace shows at least one moment (the reference fails here)
        record(trace, pred, 0, 0, 0, 0)
    # The parts still to be sorted, on a stack of our own: on a sorted array the recursion would be n deep.
    # They are disjoint, hence never more than n.
    todo = np.empty((n, 2), np.int64)
    todo[0] = 0, n - 1
    size = 1
    while size > 0:
        size -= 1
        p, r = todo[size]
        if p < r:
            q = partition(trace, A, order, pred, p, r)
            if q + 1 < r:
                todo[size] = q + 1, r
                size += 1
            if p < q - 1:
                todo[size] = p, q - 1
                size += 1
    return pred


algorithm = Algorithm(
    name="quicksort",
    spec=SPEC,
    citation=CITATION,
    category="sorting",
    steps=quicksort,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=lambda n: max(1, n * (n + 1) // 2 - 1),  # parts of n, n - 1, ..., 2 elements: a sorted array
    oracle=arrays.sorted_list,
    validity=arrays.is_sorted_list,
    recover=arrays.recover,
)
