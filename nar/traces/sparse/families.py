"""Families of undirected graphs drawn as edges, for any number of nodes.

They are those of nar/traces/inputs/families.py that are sparse, with the same options, and SALSA-CLRS's (Minder et al.
2023, arXiv:2309.12253) among them.

A family is a function `(rng, n, **options)` that returns its edges [2, M], every pair once. Time and memory grow with
the edges. The same seed draws another graph than there, where every pair is looked at.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

from nar.lookup import suggest
from nar.traces.inputs.families import TRIES
from nar.traces.inputs.options import flag, from_choices, from_range, integer


def draw(rng: np.random.RandomState, n: int, family: str, options: Mapping[str, Any] | None = None) -> np.ndarray:
    """Edges [2, M] of a graph of the family, every pair once, its nodes in random order."""
    if not isinstance(family, str) or family not in TABLE:
        raise ValueError(f"family: {suggest('family', str(family), TABLE, 'the sparse layout draws these')}")
    known = list(inspect.signature(TABLE[family]).parameters)[2:]
    for name in options or {}:
        if name not in known:
            raise ValueError(
                f"options: {suggest(f'option of {family}', name, known) if known else f'{family} has none'}"
            )
    pairs = TABLE[family](rng, n, **(options or {}))
    return rng.permutation(n)[pairs]


def sparse_erdos_renyi(rng, n, c=(1.0, 3.0), connected=True):
    """Every pair with probability c ln(n) / n, c drawn from a range: around the threshold of being connected."""
    p = min(1.0, from_range(rng, "c", c, 0.0) * math.log(n) / n)
    return _until(flag("connected", connected), n, lambda: _random_pairs(rng, n, p), "c")


def watts_strogatz(rng, n, k=(4, 6, 8), p=(0.05, 0.2), connected=True):
    """Small world: a ring, each node tied to k // 2 nearest on either side, each tie rewired with probability p."""
    half = min(from_choices(rng, "k", k, 2) // 2, n // 2)
    p = from_range(rng, "p", p, 0.0, 1.0)

    def ring():
        u, j = np.repeat(np.arange(n), half), np.tile(np.arange(1, half + 1), n)
        v = (u + j) % n
        ties = list(
            dict.fromkeys((min(a, b), max(a, b)) for a, b in zip(u.tolist(), v.tolist(), strict=True) if a != b)
        )
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

    return _until(flag("connected", connected), n, ring, "k")


def delaunay(rng, n):
    """Delaunay triangulation of random points of the unit square: planar, connected."""
    x = rng.uniform(size=(n, 2))
    if n < 3:
        return np.array([[0], [1]]) if n == 2 else np.zeros((2, 0), np.int64)
    from matplotlib.tri import Triangulation  # brings Qhull along

    return Triangulation(x[:, 0], x[:, 1]).edges.T.astype(np.int64)


def grid(rng, n, rows=None):
    """Rows of equal length, the last one cut off where n is no multiple; by default as near to a square as can be."""
    rows = math.isqrt(n) if rows is None else min(integer("rows", rows, 1), n)
    columns = -(-n // rows)
    v = np.arange(n)
    right, down = v[(v % columns < columns - 1) & (v + 1 < n)], v[v + columns < n]
    return np.concatenate([[right, right + 1], [down, down + columns]], axis=1)


def path(rng, n):
    """n nodes in a row."""
    return np.stack([np.arange(n - 1), np.arange(1, n)])


def cycle(rng, n):
    """n nodes in a ring; an edge for two nodes, nothing for one."""
    return np.concatenate([path(rng, n), np.array([[n - 1], [0]])[:, : int(n > 2)]], axis=1)


FAMILIES = (cycle, delaunay, grid, path, sparse_erdos_renyi, watts_strogatz)
TABLE: dict[str, Callable[..., np.ndarray]] = {family.__name__: family for family in FAMILIES}


def _random_pairs(rng: np.random.RandomState, n: int, p: float) -> np.ndarray:
    """Every pair of nodes on its own, with probability p: their number first, then which they are."""
    pairs = n * (n - 1) // 2
    if n <= 64:
        return np.stack(np.nonzero(np.triu(rng.uniform(size=(n, n)) < p, k=1)))
    count, keys = rng.binomial(pairs, p), np.zeros(0, np.int64)
    while len(keys) < count:
        u, v = rng.randint(n, size=(2, count - len(keys) + 16))
        new = (np.minimum(u, v) * n + np.maximum(u, v))[u != v]
        keys = np.unique(np.concatenate([keys, new]))
    keys = rng.permutation(keys)[:count]
    return np.stack([keys // n, keys % n])


@numba.njit
def _is_connected(n, first, second):
    """Do the edges leave one part? (Union of sets, in which every node points towards the root of its part.)"""
    root = np.arange(n)
    parts = n
    for k in range(len(first)):
        ends = (first[k], second[k])
        roots = [0, 0]
        for i in range(2):
            u = ends[i]
            while root[u] != u:
                root[u] = root[root[u]]
                u = root[u]
            roots[i] = u
        if roots[0] != roots[1]:
            root[roots[0]] = roots[1]
            parts -= 1
    return parts == 1


def _until(connected: bool, n: int, pairs: Callable[[], np.ndarray], option: str) -> np.ndarray:
    for _ in range(TRIES):
        found = pairs()
        if not connected or _is_connected(n, np.ascontiguousarray(found[0]), np.ascontiguousarray(found[1])):
            return found
    raise ValueError(f"{option} must be larger: none of {TRIES} graphs was connected (or give connected=False)")
