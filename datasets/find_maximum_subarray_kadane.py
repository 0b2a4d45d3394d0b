"""Maximum subarray in one scan: the best one that ends here, and the best so far."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "J. Bentley, Programming Pearls: Algorithm Design Techniques, CACM 27(9), 1984 (J. B. Kadane's algorithm)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "start": ("output", "node", "mask_one"),
        "end": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "best_low": ("hint", "node", "mask_one"),
        "best_high": ("hint", "node", "mask_one"),
        "best_sum": ("hint", "graph", "scalar"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
        "sum": ("hint", "graph", "scalar"),
    }
)
LARGEST = 1e300  # sums must be finite


def sample(rng, n, low=-1.0, high=1.0):
    return {"A": arrays.uniform(rng, n, low, high)}


def prepare(A):
    A = arrays.check_array(A)
    if np.abs(A).max() > LARGEST:
        raise ValueError(f"A must lie between -{LARGEST} and {LARGEST}, got {A.min()} to {A.max()}")
    return (A,), arrays.probes(A)


@compiled
def find_maximum_subarray_kadane(trace, A):
    n = len(A)
    pred = arrays.predecessors(np.arange(n))
    best_low, best_high, best_sum = 0, 0, A[0]
    i, total = 0, A[0]  # A[i..j], of all that end at j, has the greatest sum
    record(trace, pred, best_low, best_high, best_sum, i, 0, total)
    for j in range(1, n):
        if total + A[j] >= A[j]:
            total += A[j]
        else:
            i, total = j, A[j]
        if total > best_sum:
            best_low, best_high, best_sum = i, j, total
        record(trace, pred, best_low, best_high, best_sum, i, j, total)
    return best_low, best_high


def oracle(A):
    """The greatest sum of a subarray of at least one element: the greatest difference of two sums from the start."""
    sums = np.append(0, np.cumsum(A, dtype=np.float64))
    return {"most": np.max(sums[1:] - np.minimum.accumulate(sums)[:-1])}


def is_valid(A, start, end):
    """Is A[start..end] a subarray of greatest sum, up to rounding?"""
    A = np.asarray(A, dtype=np.float64)
    error = 8 * len(A) * np.finfo(float).eps * np.abs(A).sum()
    return bool(start <= end) and bool(A[start : end + 1].sum() >= oracle(A)["most"] - error)


algorithm = Algorithm(
    name="find_maximum_subarray_kadane",
    spec=SPEC,
    citation=CITATION,
    category="divide and conquer",
    steps=find_maximum_subarray_kadane,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    recover=arrays.recover,
    num_samples_multiplier=32,
    pred_as_input=True,
)
