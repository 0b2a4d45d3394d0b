"""Minimum of an array by one scan."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 9.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "min": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "min_h": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
    }
)


@compiled
def minimum(trace, A):
    n = len(A)
    pred = arrays.predecessors(np.arange(n))
    least = 0
    record(trace, pred, least, 0)
    for i in range(1, n):
        if A[least] > A[i]:
            least = i
        record(trace, pred, least, i)
    return least


def oracle(A):
    """The smallest number."""
    return {"least": np.min(A)}


def is_valid(A, min):
    A = np.asarray(A, dtype=np.float64)  # as the algorithm compares them
    return A[int(min)] == np.min(A)


algorithm = Algorithm(
    name="minimum",
    spec=SPEC,
    citation=CITATION,
    category="searching",
    steps=minimum,
    prepare=arrays.prepare,
    sampler=arrays.sample,
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    recover=arrays.recover,
    num_samples_multiplier=64,
    pred_as_input=True,
)
