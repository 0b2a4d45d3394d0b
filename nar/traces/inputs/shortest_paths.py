"""Shortest paths as pointers: are they right, and how long are they? What shortest-path algorithms share.

`A` is an adjacency matrix of weights as in graphs.py. numpy and numba only: nothing here may import torch.
"""

import numba
import numpy as np


@numba.njit
def check_tree(pi, root):
    """Follow every pointer to the root or to a node of its own; a loop means that a cycle made paths ever shorter."""
    for v in range(len(pi)):
        u, hops = v, 0
        while u != root and pi[u] != u:
            u = pi[u]
            hops += 1
            if hops > len(pi):
                raise ValueError("A must not have a negative cycle, got one (or one that float64 cannot tell from 0)")


def networkx_distances(A: np.ndarray, s: int, method: str) -> np.ndarray:
    """Shortest distances from s by networkx (`method`: dijkstra or bellman_ford), infinite where there is no path."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A, dtype=np.float64), create_using=nx.DiGraph)
    distances = np.full(len(graph), np.inf)
    for v, d in getattr(nx, f"single_source_{method}_path_length")(graph, s).items():
        distances[v] = d
    return distances


def path_weights(A: np.ndarray, pi: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Weight of the path that the pointers describe from root to node; infinite where they do not describe one.

    `pi[..., v]` points to the node before v on the way from `roots[...]`. A node without a path points to itself.
    """
    return summed(A[pi, np.arange(len(A))], pi, roots)


def summed(last: np.ndarray, pi: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """The same from the weight `last[..., v]` of the edge from pi[..., v] to v, 0 where there is none.

    Pointers are doubled: log2(n) rounds for paths of any length.
    """
    v = np.arange(pi.shape[-1])
    at_root = v == roots[..., None]
    ancestor = np.where(at_root, v, pi)
    weight = np.where(at_root, 0.0, np.where((last != 0) & (pi != v), last, np.inf))
    with np.errstate(over="ignore", invalid="ignore"):  # pointers that run in circles
        for _ in range(len(v).bit_length()):
            weight = weight + np.take_along_axis(weight, ancestor, -1)
            ancestor = np.take_along_axis(ancestor, ancestor, -1)
    return np.where(ancestor == roots[..., None], weight, np.inf)


def are_shortest_paths(A: np.ndarray, pi: np.ndarray, roots: np.ndarray) -> bool:
    """Do the pointers describe a shortest path from root to every node that has one, and themselves for the others?

    No oracle is needed: path weights are shortest if no edge leads to a shorter one.
    Sums are compared within 1e-9 of the largest weight.
    """
    A = np.asarray(A, dtype=np.float64)
    v = np.arange(len(A))
    weights = path_weights(A, pi, roots)
    reached = np.isfinite(weights)
    if not (reached | (pi == v)).all() or not (pi == v)[v == roots[..., None]].all():
        return False
    tolerance = 1e-9 * np.abs(A).max()
    edges = np.where(A != 0, A, np.inf)
    # A row of paths at a time: [n, n] extensions of paths by one edge.
    return all(
        ((w[:, None] + edges).min(0) >= np.where(np.isfinite(w), w - tolerance, np.inf)).all()
        for w in weights.reshape(-1, len(A))
    )
