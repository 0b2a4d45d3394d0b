"""Families of undirected graphs, by name: the same algorithm on other topologies than random edges.

A family is a function `(rng, n, **options)` that returns its edges [2, M], every pair of nodes once and none with
itself, for any n of at least 1; where n is too small for what is asked, it comes as near as it can. To add one, write
the function and put it among FAMILIES. `draw` renames the nodes at random, so that functions may number them as suits
them and no algorithm can tell the family, or a node's place in it, from the order of the nodes.

The reference's own random graphs, family "erdos_renyi", are in graphs.py. numpy only, but networkx for trees and
matplotlib for Delaunay.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nar.lookup import suggest
from nar.traces.inputs.options import flag, from_choices, from_range, integer, number

RANDOM = "erdos_renyi"  # of graphs.py
SHORT = {
    "er": RANDOM,
    "ba": "barabasi_albert",
    "ws": "watts_strogatz",
    "rgg": "random_geometric",
    "sbm": "community",
    "sparse_er": "sparse_erdos_renyi",
}
TRIES = 1000  # draws of a graph that must be connected


def draw(rng: np.random.RandomState, n: int, family: str, options: Mapping[str, Any] | None = None) -> np.ndarray:
    """A graph of the family, [n, n] of 0 and 1, its nodes in random order. All randomness is drawn from `rng`."""
    first, second = edges(TABLE[check(full_name(family))], rng, n, options)
    A = np.zeros((n, n), np.int64)
    A[first, second] = A[second, first] = 1
    order = rng.permutation(n)
    return A[np.ix_(order, order)]


def edges(
    family: Callable[..., np.ndarray], rng: np.random.RandomState, n: int, options: Mapping[str, Any] | None
) -> np.ndarray:
    """The edges [2, M] that a family draws; ValueError for options that it does not have."""
    options = {} if options is None else options
    known = list(inspect.signature(family).parameters)[2:]
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise ValueError(f"options must be a dict of the family's options by name, got {options!r}")
    for name in options:
        if name not in known:
            kind = family.__name__
            message = suggest(f"option of {kind}", name, known) if known else f"{kind} has none, got {name!r}"
            raise ValueError(f"options: {message}")
    return family(rng, n, **options)


def full_name(family: Any) -> Any:
    """What a short name such as "ba" stands for; anything else as it is."""
    return SHORT.get(family.lower(), family) if isinstance(family, str) else family


def check(family: Any) -> str:
    """The name of a family of TABLE; ValueError with a suggestion otherwise."""
    if not isinstance(family, str) or family not in TABLE:
        raise ValueError(f"family: {suggest('family', str(family), [RANDOM, *TABLE])}")
    return family


def sparse_erdos_renyi(rng, n, c=(1.0, 3.0), connected=True):
    """Every pair with probability c ln(n) / n, c drawn from a range: around the threshold of being connected.

    With `connected`, drawn again with the same c until it is. SALSA-CLRS (Minder et al. 2023, arXiv:2309.12253).
    """
    p = min(1.0, from_range(rng, "c", c, 0.0) * math.log(n) / n)
    return until_connected(connected, n, lambda: random_pairs(rng, n, p), "c")


def barabasi_albert(rng, n, m=2):
    """Preferential attachment: each new node joins m others with probability proportional to their degrees.

    Starts as a star of m + 1 nodes. A.-L. Barabasi, R. Albert. Emergence of scaling in random networks. Science 1999.
    """
    m = min(from_choices(rng, "m", m, 1), n - 1)
    found = [(0, v) for v in range(1, m + 1)]
    ends = [0] * m + list(range(1, m + 1))  # every node as often as its degree
    for v in range(m + 1, n):
        others: list[int] = []
        while len(others) < m:
            u = ends[rng.randint(len(ends))]
            if u not in others:
                others.append(u)
        found += [(u, v) for u in others]
        ends += others + [v] * m
    return np.array(found, np.int64).reshape(-1, 2).T


def watts_strogatz(rng, n, k=(4, 6, 8), p=(0.05, 0.2), connected=True):
    """Small world: a ring, each node tied to k // 2 nearest on either side, each tie rewired with probability p.

    k is one of several, p drawn from a range, defaults as in SALSA-CLRS; with `connected`, drawn again until it is.
    D. J. Watts, S. H. Strogatz. Collective dynamics of small-world networks. Nature 1998.
    """
    half = min(from_choices(rng, "k", k, 2) // 2, n // 2)
    p = from_range(rng, "p", p, 0.0, 1.0)

    def ring():
        A = np.zeros((n, n), dtype=np.int64)
        u = np.arange(n)
        for j in range(1, half + 1):
            A[u, (u + j) % n] = A[(u + j) % n, u] = 1
        A[u, u] = 0
        for j in range(1, half + 1):
            for u in np.flatnonzero(rng.uniform(size=n) < p):
                v = (u + j) % n
                free = np.flatnonzero(A[u] == 0)
                free = free[free != u]
                if A[u, v] and len(free):
                    w = free[rng.randint(len(free))]
                    A[u, v] = A[v, u] = 0
                    A[u, w] = A[w, u] = 1
        return _where(A)

    return until_connected(connected, n, ring, "k")


def random_geometric(rng, n, radius=None):
    """Points of the unit square, joined where at most `radius` apart; by default sqrt(2 ln(n) / (pi n)).

    Away from the border a node then has 2 ln(n) neighbours on average; the graph need not be connected.
    M. Penrose. Random Geometric Graphs. Oxford University Press, 2003.
    """
    if radius is None:
        radius = math.sqrt(2 * math.log(n) / (math.pi * n))
    radius = min(number("radius", radius, 0.0), 2.0)  # beyond the square's diagonal, nothing changes
    x = rng.uniform(size=(n, 2))
    return _where(((x[:, None] - x) ** 2).sum(-1) <= radius**2)


def delaunay(rng, n):
    """Delaunay triangulation of random points of the unit square: planar, connected."""
    x = rng.uniform(size=(n, 2))
    if n < 3:
        return complete(rng, n)
    from matplotlib.tri import Triangulation  # brings Qhull along

    return Triangulation(x[:, 0], x[:, 1]).edges.T.astype(np.int64)


def grid(rng, n, rows=None):
    """Rows of equal length, the last one cut off where n is no multiple; by default as near to a square as that allows.

    `rows` counts them (at most n; fewer where the last would be empty).
    """
    rows = math.isqrt(n) if rows is None else min(integer("rows", rows, 1), n)
    columns = -(-n // rows)
    v = np.arange(n)
    right, down = v[(v % columns < columns - 1) & (v + 1 < n)], v[v + columns < n]
    return np.concatenate([[right, right + 1], [down, down + columns]], axis=1)


def tree(rng, n):
    """A tree, each of the n^(n-2) equally likely, from its code: H. Pruefer, Archiv der Math. u. Physik 27, 1918."""
    if n < 3:
        return path(rng, n)
    import networkx as nx

    return np.array(nx.from_prufer_sequence(rng.randint(n, size=n - 2).tolist()).edges).T


def path(rng, n):
    """n nodes in a row."""
    return np.stack([np.arange(n - 1), np.arange(1, n)])


def cycle(rng, n):
    """n nodes in a ring; an edge for two nodes, nothing for one."""
    return np.concatenate([path(rng, n), np.array([[n - 1], [0]])[:, : int(n > 2)]], axis=1)


def community(rng, n, k=4, p_in=0.7, p_out=0.05):
    """Planted partition: k groups (at most n) of equal size, give or take one; pairs within a group are joined with
    probability p_in, others with p_out. A. Condon, R. M. Karp. Random Structures & Algorithms 18(2), 2001."""
    k = min(integer("k", k, 1), n)
    p_in, p_out = number("p_in", p_in, 0.0, 1.0), number("p_out", p_out, 0.0, 1.0)
    group = np.arange(n) * k // n
    return random_pairs(rng, n, np.where(group[:, None] == group, p_in, p_out))


def complete(rng, n):
    """Every pair."""
    return np.stack(np.triu_indices(n, 1))


FAMILIES = (
    barabasi_albert, community, complete, cycle, delaunay, grid, path, random_geometric, sparse_erdos_renyi, tree,
    watts_strogatz,
)  # fmt: skip
TABLE: dict[str, Callable[..., np.ndarray]] = {family.__name__: family for family in FAMILIES}


def random_pairs(rng: np.random.RandomState, n: int, p: float | np.ndarray) -> np.ndarray:
    """Every pair of nodes on its own, with probability p."""
    return _where(rng.uniform(size=(n, n)) < p)


def until_connected(connected: bool, n: int, draw: Callable[[], np.ndarray], option: str) -> np.ndarray:
    """Edges as they are drawn: the first ones that join all nodes, if it is asked for. `option`: what to change."""
    flag("connected", connected)
    for _ in range(TRIES):
        found = draw()
        if not connected or is_connected(n, found):
            return found
    raise ValueError(f"{option} must be larger: none of {TRIES} graphs was connected (or give connected=False)")


def is_connected(n: int, pairs: np.ndarray) -> bool:
    """Do these edges [2, M] join all nodes? Each takes over the least name around it until all in a part share one."""
    (u, v), name = pairs, np.arange(n)
    while True:
        before = name.copy()
        np.minimum.at(name, u, before[v])
        np.minimum.at(name, v, before[u])
        name = name[name]  # and that of the node of this name, which has come from farther away
        if np.array_equal(name, before):
            return not name.any()


def _where(A: np.ndarray) -> np.ndarray:
    """The pairs that are marked above the diagonal."""
    return np.stack(np.nonzero(np.triu(A, k=1)))
