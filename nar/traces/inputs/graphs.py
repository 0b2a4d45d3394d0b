"""Graphs as inputs: sampling, conversion, checking, and what graph algorithms share.

A graph is its adjacency matrix of weights: `A[u, v]` is the weight of the edge from u to v, 0 means that there is none.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from nar.text_format import quoted
from nar.traces.inputs import families, weights
from nar.traces.inputs.arrays import numbers, positions
from nar.traces.sparse.graph import SparseGraph
from nar.traces.trace import index_dtype

if TYPE_CHECKING:
    import networkx as nx

_UNWEIGHTED = object()  # an attribute that no edge has
TRAIN_P = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # edge probabilities of the CLRS training protocol


def check_probabilities(p: Any) -> Sequence[float]:
    """One edge probability or several, as a sequence."""
    values = (p,) if isinstance(p, (int, float)) else p
    try:
        fine = len(values) > 0 and all(0 <= each <= 1 for each in values)
    except TypeError:
        fine = False
    if not fine:
        raise ValueError(f"p must hold edge probabilities in [0, 1], got {p!r}")
    return values


def choose(rng: np.random.RandomState, values: Sequence[float] | float) -> float:
    """One of the values: draws what `rng.choice(values)` draws (nothing for a single value), several times faster."""
    values = check_probabilities(values)
    return values[rng.randint(len(values))] if len(values) > 1 else values[0]


def bernoulli(rng: np.random.RandomState, p: float, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros and ones: draws what `rng.binomial(1, p, shape)` draws, three times faster.

    NumPy inverts the distribution function of the rarer of the two outcomes, at one uniform number per entry, which is
    drawn again where it lies beyond the last value of that function, by rounding.
    """
    rare = min(p, 1.0 - p)
    none = math.exp(math.log(1.0 - rare))
    most = none + rare * none / (1.0 - rare)
    u = rng.random_sample(math.prod(shape))
    while (beyond := u > most).any():
        u = np.concatenate([u[~beyond], rng.random_sample(beyond.sum())])
    return ((u > none) if p <= 0.5 else (u <= none)).astype(np.int64).reshape(shape)


def erdos_renyi(
    rng: np.random.RandomState, n: int, p: Sequence[float] | float, *, directed: bool = False, acyclic: bool = False
) -> np.ndarray:
    """A random graph with n nodes, drawn in the reference's order: p, edges, order of a DAG; integers 0 and 1.

    Undirected graphs keep an edge if it was drawn in both directions, so their density is p squared, and may have
    self-loops.
    """
    p = choose(rng, p)
    A = bernoulli(rng, p, (n, n))
    if not directed:
        A = A & A.T
    elif acyclic:
        A = np.triu(A, k=1)
        order = rng.permutation(n)
        A = A[np.ix_(order, order)]
    return A


def from_family(
    rng: np.random.RandomState,
    n: int,
    family: str,
    options: Mapping[str, Any] | None = None,
    *,
    directed: bool = False,
    acyclic: bool = False,
) -> np.ndarray:
    """A graph of one of families.py, integers 0 and 1; undirected if not said otherwise.

    Of a directed graph, every edge of the family's leads one way, the other, or both, each with probability 1/3: the
    graph stays as connected as it was, if directions are ignored, and even a tree gets cycles. Of an acyclic one, every
    edge leads from the earlier to the later node of a random order.
    """
    A = families.draw(rng, n, family, options)
    if acyclic:
        rank = rng.permutation(n)
        return A * (rank[:, None] < rank)
    if directed:
        way = np.triu(rng.randint(3, size=(n, n)), k=1)  # 0: both, 1: from the first of the two, 2: from the second
        return A * np.where(np.tri(n, k=-1, dtype=bool), way.T != 1, way != 2)
    return A


def sampler(
    *,
    p: tuple[float, ...] = (0.5,),
    directed: bool = False,
    acyclic: bool = False,
    weighted: bool = False,
    source: bool = False,
    family: str = "erdos_renyi",
) -> Callable[..., dict[str, Any]]:
    """The sampler of a graph algorithm: draws `A`, and with `source` a start node `s`.

    Its parameters: `p`, edge probabilities of the reference's random graphs ("erdos_renyi"), of which one is chosen for
    each graph, or `family` and its `options` (families.py); where weighted, the `law` of the weights, its limits
    `low` and `high` where it is "uniform", and their `scale` (weights.py). The given defaults draw what dm-clrs
    draws. A parameter that would change nothing must be left at its default.
    """
    default_p, default_family = p, family

    def graph(rng, n, p, family, options):
        family = families.full_name(family)
        if family == "erdos_renyi":
            if options:
                raise ValueError(f"options must be None for the family 'erdos_renyi', which takes p, got {options!r}")
            return erdos_renyi(rng, n, p, directed=directed, acyclic=acyclic)
        families.check(family)
        if not np.array_equal(check_probabilities(p), default_p):
            raise ValueError(f"p is a parameter of the family 'erdos_renyi' alone, got p={p!r} and family={family!r}")
        return from_family(rng, n, family, options, directed=directed, acyclic=acyclic)

    def finish(rng: np.random.RandomState, A: np.ndarray) -> dict[str, Any]:
        return {"A": A, "s": rng.randint(len(A))} if source else {"A": A}

    def sample(rng, n, p=default_p, family=default_family, options=None):
        return finish(rng, graph(rng, n, p, family, options))

    def sample_weighted(
        rng, n, p=default_p, low=weights.LOW, high=weights.HIGH, family=default_family, options=None, law="uniform",
        scale=1.0,
    ):  # fmt: skip
        A = graph(rng, n, p, family, options)
        W = weights.draw(rng, A.shape, symmetric=not directed, law=law, low=low, high=high, scale=scale)
        return finish(rng, A * W)

    return sample_weighted if weighted else sample


def from_networkx(graph: nx.Graph, weight: str | None = "weight") -> tuple[np.ndarray, list]:
    """Adjacency matrix and the list of nodes in its order; edges without the attribute `weight` weigh 1.

    The position in the list is a node's index: `s = nodes.index(source)`. A directed graph keeps its directions, an
    undirected one gives a symmetric matrix; with weight=None all edges weigh 1. Multigraphs are refused.
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise ValueError(f"graph must be a networkx graph, got {type(graph).__name__}")
    nodes = list(graph.nodes)
    if not nodes:
        raise ValueError("graph must have at least one node, got an empty graph")
    if graph.is_multigraph():
        single = "DiGraph" if graph.is_directed() else "Graph"
        raise ValueError(
            "graph must not be a multigraph: several edges between two nodes do not fit a matrix; "
            f"networkx.{single}(graph) keeps the last of them"
        )
    A, place = np.zeros((len(nodes), len(nodes))), {node: index for index, node in enumerate(nodes)}
    for u, v, value in graph.edges(data=weight or _UNWEIGHTED, default=1):  # pyright: ignore
        try:
            # also Decimal, Fraction and tensors of one number
            number = math.nan if isinstance(value, (str, bytes)) else float(value)
        except (TypeError, ValueError, OverflowError):  # OverflowError: an integer beyond float64
            number = math.nan
        if not math.isfinite(number) or number == 0:
            raise ValueError(
                f"weight of edge {quoted((u, v))} must be a finite number other than 0 (0 means no edge), got "
                f"{quoted(value)}"
            )
        A[place[u], place[v]] = number
        if not graph.is_directed():
            A[place[v], place[u]] = number
    return A, nodes


def check_graph(A: Any, name: str = "A", *, nonnegative: str | None = None, symmetric: str | None = None) -> Any:
    """A float64 copy of an adjacency matrix: square, at least one node, finite, path lengths within float64.

    `nonnegative` and `symmetric`, where required, are the reason to give in the message.
    """
    if isinstance(A, SparseGraph):
        n, values, advice = len(A), A.weights, "give every edge both ways, with one weight"
    else:
        if not isinstance(A, np.ndarray) and hasattr(A, "is_multigraph"):
            call = f"{name}, nodes = graphs.from_networkx(graph)"
            raise ValueError(f"{name} must be a matrix, got a networkx graph: {call}")
        values = A = numbers(A, name)
        n, advice = len(A) if A.ndim else 0, "symmetrise it, for example by np.maximum(A, A.T)"
        if n == 0 or A.shape != (n, n):
            raise ValueError(f"{name} must be a square matrix with at least one node, got shape {A.shape}")
    low, high = float(np.minimum.reduce(values, axis=None)), float(np.maximum.reduce(values, axis=None))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} must be finite, got NaN or infinity (write 0 where there is no edge)")
    if not math.isfinite(max(-low, high) * n):
        raise ValueError(f"{name} must have weights whose sums fit float64, got one of size {max(-low, high)}")
    if nonnegative and low < 0:
        raise ValueError(f"{name} must not be negative: {nonnegative}; got {low}")
    if symmetric and not np.array_equal(values, A.leaving if isinstance(A, SparseGraph) else A.T):
        raise ValueError(f"{name} must be symmetric: {symmetric}; {advice}")
    return A


def check_source(s: Any, n: int, name: str = "s") -> int:
    """The index of an existing node."""
    if isinstance(s, (bool, np.bool_)):
        raise ValueError(f"{name} must be an integer, the index of a node, got {s!r}")
    try:
        index = operator.index(s)
    except TypeError:
        raise ValueError(f"{name} must be an integer, the index of a node, got {s!r}") from None
    if not 0 <= index < n:
        raise ValueError(f"{name} must be the index of one of the {n} nodes, 0 to {n - 1}, got {index}")
    return index


def probes(A: np.ndarray | SparseGraph, s: int | None = None) -> dict[str, np.ndarray]:
    """The input probes `pos`, `s` (where there is a source), `A` and `adj`: the edges and a self-loop on every node."""
    n = len(A)
    if isinstance(A, SparseGraph):
        arrays = {"pos": positions(n), "A": A.weights, "adj": A.adjacency}
    else:
        adj = (A != 0).view(np.int8)
        adj.reshape(-1)[:: n + 1] = 1
        arrays = {"pos": positions(n), "A": A, "adj": adj}
    if s is not None:
        arrays["s"] = np.array(s, dtype=index_dtype(n))
    return arrays


@numba.njit
def extract_min(key, in_queue):
    """Take the queued node with the smallest key (of equals, the first) out of the queue; -1 when it is empty.

    dm-clrs sorts all keys after adding 1e9 to those not queued, which fails for keys of that size, and whose order
    among equals depends on numpy's sorting code.
    """
    u = -1
    for v in range(len(key)):
        if in_queue[v] and (u < 0 or key[v] < key[u]):
            u = v
    if u >= 0:
        in_queue[u] = 0
    return u
