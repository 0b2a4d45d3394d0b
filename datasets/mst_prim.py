"""Prim: minimum spanning tree of the part of an undirected graph that can be reached from s."""

import heapq

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.spec import Spec

CITATION = "R. C. Prim. Shortest connection networks and some generalizations. Bell System Tech. J. 36, 1957. CLRS 23.2"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "pi": ("output", "node", "pointer"),
        "pi_h": ("hint", "node", "pointer"),
        "key": ("hint", "node", "scalar"),
        "mark": ("hint", "node", "mask"),
        "in_queue": ("hint", "node", "mask"),
        "u": ("hint", "node", "mask_one"),
    }
)


def prepare(A, s):
    A = graphs.check_graph(A, symmetric="spanning trees are defined for undirected graphs")
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def mst_prim(trace, A, s):
    n = len(A)
    key = np.zeros(n)  # weight of the lightest edge to the tree
    pi = np.arange(n)
    mark = np.zeros(n, np.int8)  # in the tree
    in_queue = np.zeros(n, np.int8)
    in_queue[s] = 1
    record(trace, pi, key, mark, in_queue, s)
    u = graphs.extract_min(key, in_queue)
    while u >= 0:
        mark[u] = 1
        for v in range(n):
            if A[u, v] != 0 and not mark[v] and (not in_queue[v] or A[u, v] < key[v]):
                pi[v] = u
                key[v] = A[u, v]
                in_queue[v] = 1
        record(trace, pi, key, mark, in_queue, u)
        u = graphs.extract_min(key, in_queue)
    return pi


@compiled
def mst_prim_on_edges(log, starts, neighbours, twins, weights, s):
    _, _, _, (pi_h, key_h, mark_h, in_queue_h, u_h) = log
    n = len(starts) - 1
    key = np.zeros(n)
    pi = np.arange(n)
    mark = np.zeros(n, np.bool_)
    in_queue = np.zeros(n, np.bool_)
    in_queue[s] = True
    change(in_queue_h, s, 1)
    change(u_h, 0, s)
    moment(log)
    queue = [(0.0, s)]  # with entries of before a key fell, which are passed over
    while len(queue) > 0:
        least, u = heapq.heappop(queue)
        if not in_queue[u] or least != key[u]:
            continue
        in_queue[u] = False
        change(in_queue_h, u, 0)
        mark[u] = True
        change(mark_h, u, 1)
        for k in range(starts[u], starts[u + 1]):
            v, w = neighbours[k], weights[k]
            if w != 0 and not mark[v] and (not in_queue[v] or w < key[v]):
                pi[v] = u
                change(pi_h, v, u)
                key[v] = w
                change(key_h, v, key[v])
                heapq.heappush(queue, (key[v], np.int64(v)))  # type: ignore[arg-type]
                if not in_queue[v]:
                    in_queue[v] = True
                    change(in_queue_h, v, 1)
        change(u_h, 0, u)
        moment(log)
    return pi


def oracle(A, s):
    """Total weight of a minimum spanning tree, and the nodes that it spans."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A, dtype=np.float64))
    nodes = sorted(nx.node_connected_component(graph, s))
    tree = nx.minimum_spanning_tree(graph.subgraph(nodes))
    spanned = np.zeros(len(graph), dtype=bool)
    spanned[nodes] = True
    return {"weight": np.array(tree.size(weight="weight")), "spanned": spanned}


def is_valid(A, s, pi):
    """A spanning tree is minimal if no edge is lighter than the heaviest one on the tree's path between its ends."""
    A, v = np.asarray(A, dtype=np.float64), np.arange(len(A))
    hops = shortest_paths.path_weights(A != 0, pi, np.array(s))
    spanned = np.isfinite(hops)
    if not (spanned | (pi == v)).all() or pi[s] != s or (A[spanned][:, ~spanned] != 0).any():
        return False
    heaviest = np.full(A.shape, -np.inf)  # on the tree's path between two nodes; filled in from the root outwards
    done = np.array([], dtype=np.int64)
    for child in np.argsort(hops, kind="stable")[: spanned.sum()]:
        parent = pi[child]
        if child != s:
            heaviest[child, done] = heaviest[done, child] = np.maximum(heaviest[parent, done], A[parent, child])
        done = np.append(done, child)
    return bool((A >= heaviest)[(A != 0) & (v[:, None] != v)].all())


algorithm = Algorithm(
    name="mst_prim",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=mst_prim,
    on_edges=mst_prim_on_edges,
    validity_on_edges=answers.is_minimum_tree,
    prepare=prepare,
    sampler=graphs.sampler(weighted=True, source=True),
    bound=lambda n: n + 1,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
