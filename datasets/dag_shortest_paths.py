"""Shortest paths in a directed acyclic graph: depth-first search from s orders the nodes, then edges are relaxed."""

import numpy as np

from nar.datasets.dfs import BLACK, DISCOVER, DONE, FINISH, GREY, OTHER_EDGE, ROOT, TREE_EDGE, advance
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 24.2 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "pi": ("output", "node", "pointer"),
        "pi_h": ("hint", "node", "pointer"),
        "d": ("hint", "node", "scalar"),
        "mark": ("hint", "node", "mask"),
        "topo_h": ("hint", "node", "pointer"),
        "topo_head_h": ("hint", "node", "mask_one"),
        "color": ("hint", "node", "categorical", 3),
        "s_prev": ("hint", "node", "pointer"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
        "phase": ("hint", "graph", "mask"),
    }
)


def prepare(A, s):
    A = graphs.check_graph(A)
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def dag_shortest_paths(trace, A, s):
    n = len(A)
    pi = np.arange(n)
    d = np.zeros(n)
    mark = np.zeros(n, np.int8)  # which nodes have a distance
    color = np.zeros(n, np.int8)
    topo = np.arange(n)  # the node after this one in topological order; the last points to itself
    topo_head = 0
    s_prev = np.arange(n)
    event, u, v = ROOT, s, s
    while event != DONE:
        if event == OTHER_EDGE and color[v] == GREY:  # dm-clrs answers as if the edge were not there
            raise ValueError("A must be acyclic, got a cycle (or self-loop) that can be reached from s")
        if event == FINISH:
            if color[topo_head] == BLACK:
                topo[u] = topo_head
            topo_head = u
        # A child was coloured, and recorded, when its parent found it.
        if event != OTHER_EDGE and (event != DISCOVER or u == s):
            s_last = v if event == TREE_EDGE else u
            record(trace, pi, d, mark, topo, topo_head, color, s_prev, u, v, s_last, 0)
        event, u, v = advance(A, color, s_prev, event, u, v)
    mark[s] = 1
    while topo[topo_head] != topo_head:
        record(trace, pi, d, mark, topo, topo_head, color, s_prev, u, v, s_last, 1)
        for j in range(n):
            if A[topo_head, j] != 0 and (not mark[j] or d[topo_head] + A[topo_head, j] < d[j]):
                d[j] = d[topo_head] + A[topo_head, j]
                pi[j] = topo_head
                mark[j] = 1
        topo_head = topo[topo_head]
    record(trace, pi, d, mark, topo, topo_head, color, s_prev, u, v, s_last, 1)
    return pi


def oracle(A, s):
    """Shortest distances from s; infinite where there is no path."""
    return {"d": shortest_paths.networkx_distances(A, s, "bellman_ford")}


def is_valid(A, s, pi):
    return shortest_paths.are_shortest_paths(A, pi, np.array(s))


algorithm = Algorithm(
    name="dag_shortest_paths",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=dag_shortest_paths,
    prepare=prepare,
    sampler=graphs.sampler(directed=True, acyclic=True, weighted=True, source=True),
    bound=lambda n: 3 * n + 1,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
