"""Insertion sort."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 2.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "pred": ("output", "node", "should_be_permutation"),
        "pred_h": ("hint", "node", "pointer"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
    }
)


@compiled
def insertion_sort(trace, A):
    A = A.copy()  # the caller's array is the input probe `key`
    n = len(A)
    order = np.arange(n)  # order[i]: the element (by its first position) that now stands at i
    record(trace, arrays.predecessors(order), 0, 0)
    for j in range(1, n):
        key = A[j]
        i = j - 1
        while i >= 0 and A[i] > key:
            A[i + 1] = A[i]
            order[i + 1] = order[i]
            i -= 1
        A[i + 1] = key
        displaced = order[i + 1]
        order[i + 1] = j
        record(trace, arrays.predecessors(order), displaced, j)
    return arrays.predecessors(order)


algorithm = Algorithm(
    name="insertion_sort",
    spec=SPEC,
    citation=CITATION,
    category="sorting",
    steps=insertion_sort,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=lambda n: n,
    oracle=arrays.sorted_list,
    validity=arrays.is_sorted_list,
    recover=arrays.recover,
)
