"""Bubble sort: neighbours that stand in the wrong order are exchanged, from the end to the front."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS Problem 2-2 (Introduction to Algorithms, 3rd edition, 2009)"

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
def bubble_sort(trace, A):
    A = A.copy()  # the caller's array is the input probe `key`
    n = len(A)
    order = np.arange(n)
    pred = arrays.predecessors(order)
    record(trace, pred, 0, 0)
    for i in range(n - 1):
        for j in range(n - 1, i, -1):
            if A[j] < A[j - 1]:
                arrays.exchange(A, order, pred, j, j - 1)
            record(trace, pred, order[i], order[j])
    return pred


algorithm = Algorithm(
    name="bubble_sort",
    spec=SPEC,
    citation=CITATION,
    category="sorting",
    steps=bubble_sort,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=lambda n: 1 + n * (n - 1) // 2,
    oracle=arrays.sorted_list,
    validity=arrays.is_sorted_list,
    recover=arrays.recover,
)
