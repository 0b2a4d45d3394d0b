"""Heapsort: build a max-heap, then move its root behind it again and again."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "J. W. J. Williams, Algorithm 232: Heapsort, 1964; CLRS 6.4 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "pred": ("output", "node", "should_be_permutation"),
        "pred_h": ("hint", "node", "pointer"),
        "parent": ("hint", "node", "pointer"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
        "largest": ("hint", "node", "mask_one"),
        "heap_size": ("hint", "node", "mask_one"),
        "phase": ("hint", "graph", "categorical", 3),
    }
)

BUILD, EXTRACT, RESTORE = 0, 1, 2  # the classes of `phase`


@numba.njit
def parents(order, heap_size):
    """Pointers from each element of the heap to its parent; the root and what is outside point to themselves."""
    parent = np.arange(len(order))
    for i in range(1, heap_size):
        parent[order[i]] = order[(i - 1) // 2]
    return parent


@numba.njit
def max_heapify(trace, A, order, pred, i, heap_size, start, phase):
    """Let A[i] sink until no child is larger; `start` is the position that the hint `i` shows meanwhile."""
    while True:
        left, right = 2 * i + 1, 2 * i + 2
        largest = i
        if left < heap_size and A[left] > A[i]:
            largest = left
        if right < heap_size and A[right] > A[largest]:
            largest = right
        if largest != i:
            arrays.exchange(A, order, pred, i, largest)
        parent = parents(order, heap_size)
        record(trace, pred, parent, order[start], order[i], order[largest], order[heap_size - 1], phase)
        if largest == i:
            return
        i = largest


@compiled
def heapsort(trace, A):
    A = A.copy()  # the caller's array is the input probe `key`
    n = len(A)
    order = np.arange(n)
    pred = arrays.predecessors(order)
    record(trace, pred, parents(order, n), n - 1, n - 1, n - 1, n - 1, BUILD)
    for i in range(n - 1, -1, -1):
        max_heapify(trace, A, order, pred, i, n, i, BUILD)
    for i in range(n - 1, 0, -1):
        arrays.exchange(A, order, pred, 0, i)
        # `largest` has no meaning yet: the reference marks the first node of the input here
        record(trace, pred, parents(order, i), order[0], order[i], 0, order[i - 1], EXTRACT)
        max_heapify(trace, A, order, pred, 0, i, i, RESTORE)
    return pred


def bound(n):
    # Sinking from height h takes at most h + 1 moments. The heights of a heap add up to less than n, and the root of
    # the heaps left after an extraction is at most floor(log2(n - 1)) high.
    return 1 + 2 * n + (n - 1) * (1 + (n - 1).bit_length())


algorithm = Algorithm(
    name="heapsort",
    spec=SPEC,
    citation=CITATION,
    category="sorting",
    steps=heapsort,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=bound,
    oracle=arrays.sorted_list,
    validity=arrays.is_sorted_list,
    recover=arrays.recover,
)
