"""Binary search: halve a sorted array until one place is left for the number searched for."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS Exercise 2.3-5 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "target": ("input", "graph", "scalar"),
        "return": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "low": ("hint", "node", "mask_one"),
        "high": ("hint", "node", "mask_one"),
        "mid": ("hint", "node", "mask_one"),
    }
)


def sample(rng, n, low=0.0, high=1.0):
    A = arrays.uniform(rng, n, low, high)
    A.sort()
    return {"x": rng.uniform(low=low, high=high), "A": A}


def prepare(x, A):
    x = arrays.check_number(x, "x")
    A = arrays.check_array(A)
    ascending = A[1:] >= A[:-1]
    if not ascending.all():
        i = int(np.argmin(ascending))
        raise ValueError(f"A must be sorted in ascending order, got A[{i}] = {A[i]} > A[{i + 1}] = {A[i + 1]}")
    return (x, A), {**arrays.probes(A), "target": np.float64(x)}


@compiled
def binary_search(trace, x, A):
    n = len(A)
    pred = arrays.predecessors(np.arange(n))
    low, high = 0, n - 1
    record(trace, pred, low, high, (low + high) // 2)
    while low < high:
        mid = (low + high) // 2
        if x <= A[mid]:
            high = mid
        else:
            low = mid + 1
        record(trace, pred, low, high, (low + high) // 2)
    return high


def oracle(x, A):
    """The first index whose number is not below x; the last index where all are."""
    return {"return": np.minimum(np.searchsorted(A, x, side="left"), len(A) - 1)}


def is_valid(x, A, **outputs):  # `return` cannot be written as an argument
    """Is the number there the least that is not below x, or the greatest where all are? Of equal ones, any is right."""
    A = np.asarray(A, dtype=np.float64)
    return A[int(outputs["return"])] == np.min(A, where=A >= float(x), initial=np.max(A))


def recover(inputs):
    return {"x": inputs["target"], "A": inputs["key"]}


algorithm = Algorithm(
    name="binary_search",
    spec=SPEC,
    citation=CITATION,
    category="searching",
    steps=binary_search,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: 1 + (n - 1).bit_length(),
    oracle=oracle,
    validity=is_valid,
    recover=recover,
    num_samples_multiplier=64,
    pred_as_input=True,
)
