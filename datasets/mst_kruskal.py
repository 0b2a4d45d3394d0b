"""Kruskal: minimum spanning forest of an undirected graph, edge by edge from the lightest, with disjoint sets."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "J. B. Kruskal. On the shortest spanning subtree of a graph. Proc. AMS 7(1), 1956. CLRS 23.2 and 21.3"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "in_mst": ("output", "edge", "mask"),
        "in_mst_h": ("hint", "edge", "mask"),
        "pi": ("hint", "node", "pointer"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "root_u": ("hint", "node", "mask_one"),
        "root_v": ("hint", "node", "mask_one"),
        "mask_u": ("hint", "node", "mask"),
        "mask_v": ("hint", "node", "mask"),
        "phase": ("hint", "graph", "categorical", 3),
    }
)

UNION, FIND_U, FIND_V = 0, 1, 2  # phase


def prepare(A):
    A = graphs.check_graph(A, symmetric="spanning trees are defined for undirected graphs")
    return (A,), graphs.probes(A)


@numba.njit
def parent(pi, root, mask):
    """One step towards the root of a set. The nodes passed so far (`mask`) now point there: path compression."""
    root = pi[root]
    for i in range(len(pi)):
        if mask[i]:
            pi[i] = root
    mask[root] = 1
    return root


@compiled
def mst_kruskal(trace, A):
    n = len(A)
    in_mst = np.zeros((n, n), np.int8)
    pi = np.arange(n)  # the disjoint sets: parents
    mask_u = np.zeros(n, np.int8)
    mask_v = np.zeros(n, np.int8)
    record(trace, in_mst, pi, 0, 0, 0, 0, mask_u, mask_v, UNION)
    # dm-clrs passes over edges of negative weight, and leaves the order of equal ones to numpy's sorting code.
    ends = [(u, v) for u in range(n) for v in range(u + 1, n) if A[u, v] != 0]
    weights = np.array([A[u, v] for u, v in ends])
    for edge in np.argsort(weights, kind="mergesort"):
        u, v = root_u, root_v = ends[edge]
        mask_u[:] = 0
        mask_v[:] = 0
        mask_u[u] = mask_v[v] = 1
        record(trace, in_mst, pi, u, v, root_u, root_v, mask_u, mask_v, FIND_U)
        while pi[root_u] != root_u:
            root_u = parent(pi, root_u, mask_u)
            record(trace, in_mst, pi, u, v, root_u, root_v, mask_u, mask_v, FIND_U)
        while pi[root_v] != root_v:
            root_v = parent(pi, root_v, mask_v)
            record(trace, in_mst, pi, u, v, root_u, root_v, mask_u, mask_v, FIND_V)
        if root_u != root_v:
            in_mst[u, v] = in_mst[v, u] = 1
            pi[min(root_u, root_v)] = max(root_u, root_v)
        record(trace, in_mst, pi, u, v, root_u, root_v, mask_u, mask_v, UNION)
    return in_mst


def oracle(A):
    """Weight and number of edges of a minimum spanning forest."""
    import networkx as nx

    A = np.asarray(A, dtype=np.float64)
    forest = nx.minimum_spanning_tree(nx.from_numpy_array(A * ~np.eye(len(A), dtype=bool)))
    return {"weight": np.array(forest.size(weight="weight")), "edges": np.array(forest.number_of_edges())}


def is_valid(A, in_mst):
    """A spanning forest is minimal if Kruskal finds just it when it prefers its edges among those of equal weight."""
    A = np.asarray(A, dtype=np.float64)
    ends = np.argwhere(np.triu(A, 1))
    order = np.lexsort((in_mst[tuple(ends.T)] != 1, A[tuple(ends.T)]))
    component = np.arange(len(A))
    found = np.zeros_like(in_mst)
    for u, v in ends[order]:
        if component[u] != component[v]:
            component[component == component[u]] = component[v]
            found[u, v] = found[v, u] = 1
    return np.array_equal(found, in_mst)


algorithm = Algorithm(
    name="mst_kruskal",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=mst_kruskal,
    prepare=prepare,
    sampler=graphs.sampler(weighted=True, p=(0.2,)),
    # Two records for each of n(n-1)/2 edges, one for each of two hops, and one for every further hop: such a hop makes
    # a node point to one of higher index.
    bound=lambda n: 1 + 5 * n * (n - 1) // 2,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": tuple(p / 2 for p in graphs.TRAIN_P)},
)
