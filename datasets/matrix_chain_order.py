"""Matrix-chain multiplication: the cheapest order in which to multiply a chain, for all subchains at once."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "S. Godbole, IEEE Trans. Comput. 22(9), 1973; CLRS 15.2 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "p": ("input", "node", "scalar"),
        "s": ("output", "edge", "pointer"),
        "pred_h": ("hint", "node", "pointer"),
        "m": ("hint", "edge", "scalar"),
        "s_h": ("hint", "edge", "pointer"),
        "msk": ("hint", "edge", "mask"),
    }
)
LARGEST = 1e100  # products of three dimensions, and their sums, must be finite


def sample(rng, n, low=0.0, high=1.0):
    return {"p": arrays.uniform(rng, n, low, high)}


def prepare(p):
    """Matrix i has p[i-1] rows and p[i] columns, i = 1 ... n-1. Costs need no whole ones."""
    p = arrays.check_array(p, "p")
    if p.min() < 0 or p.max() > LARGEST:
        raise ValueError(f"p must hold dimensions of at least 0 and at most {LARGEST}, got {p.min()} to {p.max()}")
    return (p,), {"pos": arrays.positions(len(p)), "p": p}


@compiled
def matrix_chain_order(trace, p):
    n = len(p)
    pred = arrays.predecessors(np.arange(n))
    m = np.zeros((n, n))  # m[i, j]: cost of matrices i ... j; row 0, column 0 and all below the diagonal stay 0
    s = np.zeros((n, n), np.int64)  # s[i, j] = k: the last product is (i ... k) times (k+1 ... j)
    msk = np.zeros((n, n), np.int8)  # which costs are known
    for i in range(1, n):
        msk[i, i] = 1
    while True:  # not by length as in the textbook: each pass improves all chains from the costs of the pass before
        record(trace, pred, m, s, msk)
        prev_m = m.copy()
        prev_msk = msk.copy()
        for i in range(1, n):
            for j in range(i + 1, n):
                for k in range(i, j):
                    if prev_msk[i, k] and prev_msk[k + 1, j]:
                        q = prev_m[i, k] + prev_m[k + 1, j] + p[i - 1] * p[k] * p[j]
                        if not msk[i, j] or q < m[i, j]:
                            m[i, j] = q
                            s[i, j] = k
                            msk[i, j] = 1
        # dm-clrs looks at m alone, so products so small that they are 0 end its search too early.
        if np.all(m == prev_m) and np.all(msk == prev_msk):
            return s


def oracle(p):
    """The least number of multiplications m[i, j] for matrices i ... j, chains in order of their length."""
    p = np.asarray(p, dtype=np.float64)
    n = len(p)
    m = np.zeros((n, n))
    for length in range(1, n - 1):
        for i in range(1, n - length):
            j = i + length
            m[i, j] = np.min(m[i, i:j] + m[i + 1 : j + 1, j] + p[i - 1] * p[i:j] * p[j])
    return {"m": m}


def is_valid(p, s):
    """Is every split of two matrices or more a cheapest one, up to rounding? Entries outside 1 <= i < j say nothing."""
    p = np.asarray(p, dtype=np.float64)
    m = oracle(p)["m"]
    i, j = np.nonzero(np.triu(np.ones_like(m), 1)[1:])
    i += 1
    k = s[i, j]
    if not ((i <= k) & (k < j)).all():
        return False
    cost = m[i, k] + m[k + 1, j] + p[i - 1] * p[k] * p[j]
    return bool((cost <= m[i, j] * (1 + 8 * len(p) * np.finfo(float).eps)).all())


algorithm = Algorithm(
    name="matrix_chain_order",
    spec=SPEC,
    citation=CITATION,
    category="dynamic programming",
    steps=matrix_chain_order,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,  # after k passes, chains of k+1 matrices are right; there are n-1 matrices
    oracle=oracle,
    validity=is_valid,
    pred_as_input=True,
)
