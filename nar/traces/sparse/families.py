"""Families of undirected graphs drawn as edges, for any number of nodes.

They are those of nar/traces/inputs/families.py that are sparse, with the same options, and SALSA-CLRS's (Minder et al.
2023, arXiv:2309.12253) among them. Where functions there look at every pair of nodes, those here take their place: time
and memory grow with the edges, and the same seed draws another graph.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nar.lookup import suggest
from nar.traces.inputs.families import cycle, delaunay, edges, grid, path, random_pairs, until_connected
from nar.traces.inputs.options import from_choices, from_range


def draw(rng: np.random.RandomState, n: int, family: str, options: Mapping[str, Any] | None = None) -> np.ndarray:
    """Edges [2, M] of a graph of the family, every pair once, its nodes in random order."""
    if not isinstance(family, str) or family not in TABLE:
        raise ValueError(f"family: {suggest('family', str(family), TABLE, 'the sparse layout draws these')}")
    pairs = edges(TABLE[family], rng, n, options)
    return rng.permutation(n)[pairs]


def sparse_erdos_renyi(rng, n, c=(1.0, 3.0), connected=True):
    """Every pair with probability c ln(n) / n, c drawn from a range: around the threshold of being connected."""
    p = min(1.0, from_range(rng, "c", c, 0.0) * math.log(n) / n)
    return until_connected(connected, n, lambda: _random_pairs(rng, n, p), "c")


def watts_strogatz(rng, n, k=(4, 6, 8), p=(0.05, 0.2), connected=True):
    """Small world: a ring, each node tied to k // 2 nearest on either side, each tie rewired with probability p."""
    half = min(from_choices(rng, "k", k, 2) // 2, n // 2)
    p = from_range(rng, "p", p, 0.0, 1.0)

    def ring():
        u, j = np.repeat(np.arange(n), half), np.tile(np.arange(1, half + 1), n)
        v = (u + j) % n
        both = np.sort([u, v], axis=0)[:, u != v]  # not the node itself, half around a small ring
        ties = list(dict.fromkeys(zip(*both.tolist(), strict=True)))
        there = set(ties)
        neighbours = np.bincount(np.array(ties, np.int64).reshape(-1), minlength=n)
        for i in np.flatnonzero(rng.uniform(size=len(ties)) < p).tolist():
            a, b = ties[i]
            if neighbours[a] >= n - 1:
                continue  # it is everyone's neighbour already
            w = a
            while w == a or (min(a, w), max(a, w)) in there:
                w = int(rng.randint(n))
            there.remove(ties[i])
            ties[i] = min(a, w), max(a, w)
            there.add(ties[i])
            neighbours[b] -= 1
            neighbours[w] += 1
        return np.array(ties, np.int64).reshape(-1, 2).T

    return until_connected(connected, n, ring, "k")


FAMILIES = (cycle, delaunay, grid, path, sparse_erdos_renyi, watts_strogatz)
TABLE: dict[str, Callable[..., np.ndarray]] = {family.__name__: family for family in FAMILIES}


def _random_pairs(rng: np.random.RandomState, n: int, p: float) -> np.ndarray:
    """Every pair of nodes on its own, with probability p: their number first, then which they are."""
    if n <= 64:
        return random_pairs(rng, n, p)
    count, keys = rng.binomial(n * (n - 1) // 2, p), np.zeros(0, np.int64)
    while len(keys) < count:
        u, v = rng.randint(n, size=(2, count - len(keys) + 16))
        new = (np.minimum(u, v) * n + np.maximum(u, v))[u != v]
        keys = np.unique(np.concatenate([keys, new]))
    keys = rng.permutation(keys)[:count]
    return np.stack([keys // n, keys % n])
