"""Insertion sort."""

import numpy as np

from nar import arrays
from nar.algorithm import Algorithm
from nar.record import compiled, record
from nar.spec import Spec

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


def sample(rng, n, low=0.0, high=1.0):
    return {"A": arrays.uniform(rng, n, low, high)}


def prepare(A):
    A = arrays.check_array(A)
    return (A,), arrays.probes(A)


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


def oracle(A):
    """The sorted numbers, and the same as pointers where no two are equal (ties in order of position)."""
    order = np.argsort(A, kind="stable")
    pred = np.empty_like(order)
    pred[order] = order[np.maximum(np.arange(len(order)) - 1, 0)]
    return {"sorted": np.sort(A), "pred": pred}


def is_valid(A, pred):
    return arrays.is_sorted_list(A, pred)


algorithm = Algorithm(
    name="insertion_sort",
    spec=SPEC,
    citation=CITATION,
    category="sorting",
    steps=insertion_sort,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    recover=arrays.recover,
)
