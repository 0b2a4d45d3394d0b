"""Optimal binary search tree: the root of every subtree that makes the expected search cheapest."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "A. V. Aho, J. E. Hopcroft, J. D. Ullman, 1974; CLRS 15.5 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "p": ("input", "node", "scalar"),
        "q": ("input", "node", "scalar"),
        "root": ("output", "edge", "pointer"),
        "pred_h": ("hint", "node", "pointer"),
        "root_h": ("hint", "edge", "pointer"),
        "e": ("hint", "edge", "scalar"),
        "w": ("hint", "edge", "scalar"),
        "msk": ("hint", "edge", "mask"),
    }
)
LARGEST = 1e290  # expected costs, at most about n * n times as large, must be finite


def sample(rng, n):
    """n keys, hence n + 1 nodes: one for every gap between keys."""
    probabilities = rng.uniform(low=0.0, high=1.0, size=(2 * n + 1,))
    probabilities /= np.sum(probabilities)
    return {"p": probabilities[:n], "q": probabilities[n:]}


def prepare(p, q):
    """p[k]: how often key k is searched; q[k]: the gap before key k. In any unit: they need not sum to 1."""
    p = arrays.check_array(p, "p")
    q = arrays.check_array(q, "q")
    if len(q) != len(p) + 1:
        raise ValueError(f"q must have one element more than p, got {len(q)} and {len(p)}")
    for name, array in (("p", p), ("q", q)):
        if array.min() < 0 or array.max() > LARGEST:
            raise ValueError(f"{name} must lie between 0 and {LARGEST}, got {array.min()} to {array.max()}")
    padded = np.zeros(len(q))  # the last node has no key
    padded[:-1] = p
    return (p, q), {"pos": arrays.positions(len(q)), "p": padded, "q": q}


def recover(inputs):
    return {"p": inputs["p"][:-1], "q": inputs["q"]}


@compiled
def optimal_bst(trace, p, q):
    n = len(p)
    pred = arrays.predecessors(np.arange(n + 1))
    e = np.zeros((n + 1, n + 1))  # e[i, j]: expected cost of the tree of keys i ... j-1; e[i, i]: of gap i alone
    w = np.zeros((n + 1, n + 1))  # w[i, j]: how often that tree is searched
    root = np.zeros((n + 1, n + 1), np.int64)
    msk = np.zeros((n + 1, n + 1), np.int8)  # which entries are known
    for i in range(n + 1):
        e[i, i] = q[i]
        w[i, i] = q[i]
        msk[i, i] = 1
    record(trace, pred, root, e, w, msk)
    for length in range(1, n + 1):
        for i in range(n - length + 1):
            j = i + length
            e[i, j] = np.inf  # dm-clrs begins at 1e9, and never gets below where costs are higher
            w[i, j] = w[i, j - 1] + p[j - 1] + q[j]
            for r in range(i, j):
                t = e[i, r] + e[r + 1, j] + w[i, j]
                if t < e[i, j]:
                    e[i, j] = t
                    root[i, j] = r
            msk[i, j] = 1
        record(trace, pred, root, e, w, msk)
    return root


def oracle(p, q):
    """The least expected cost e[i, j] of a search tree of keys i ... j-1, gaps counted as leaves; 0 where j < i."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    n = len(p)
    e = np.diag(q)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n + 1):
            e[i, j] = np.min(e[i, i:j] + e[i + 1 : j + 1, j]) + p[i:j].sum() + q[i : j + 1].sum()
    return {"e": e}


def is_valid(p, q, root):
    """Is every tree's root a best one, up to rounding? Entries on and below the diagonal say nothing."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    e = oracle(p, q)["e"]
    i, j = np.nonzero(np.triu(np.ones_like(e), 1))
    r = root[i, j]
    if not ((i <= r) & (r < j)).all():
        return False
    keys, gaps = np.append(0, np.cumsum(p)), np.append(0, np.cumsum(q))
    frequency = keys[j] - keys[i] + gaps[j + 1] - gaps[i]
    # The sums are differences: their rounding is that of the whole.
    error = 8 * len(q) * np.finfo(float).eps * (e[i, j] + keys[-1] + gaps[-1])
    return bool((e[i, r] + e[r + 1, j] + frequency <= e[i, j] + error).all())


algorithm = Algorithm(
    name="optimal_bst",
    spec=SPEC,
    citation=CITATION,
    category="dynamic programming",
    steps=optimal_bst,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,  # one for each length of 0 ... n-1 keys
    oracle=oracle,
    validity=is_valid,
    recover=recover,
    pred_as_input=True,
)
