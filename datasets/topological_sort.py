"""Topological sort: nodes of a directed acyclic graph, latest finished by depth-first search first."""

import numpy as np

from nar.datasets.dfs import BLACK, DISCOVER, DONE, FINISH, GREY, OTHER_EDGE, ROOT, TREE_EDGE, WHITE, advance
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "D. E. Knuth. The Art of Computer Programming 1: Fundamental Algorithms, 2nd edition, 1973. CLRS 22.4"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "topo": ("output", "node", "pointer"),
        "topo_head": ("output", "node", "mask_one"),
        "topo_h": ("hint", "node", "pointer"),
        "topo_head_h": ("hint", "node", "mask_one"),
        "color": ("hint", "node", "categorical", 3),
        "s_prev": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
    }
)


def prepare(A):
    A = graphs.check_graph(A)
    return (A,), graphs.probes(A)


@compiled
def topological_sort(trace, A):
    n = len(A)
    topo = np.arange(n)  # the node after this one; the last points to itself
    topo_head = 0
    color = np.zeros(n, np.int8)
    s_prev = np.arange(n)
    for s in range(n):
        if color[s] == WHITE:
            event, u, v = ROOT, s, s
            while event != DONE:
                if event == OTHER_EDGE and color[v] == GREY:  # dm-clrs answers as if the edge were not there
                    raise ValueError("A must be acyclic, got a cycle (or self-loop)")
                if event == FINISH:
                    if color[topo_head] == BLACK:
                        topo[u] = topo_head
                    topo_head = u
                # A child was coloured, and recorded, when its parent found it.
                if event != OTHER_EDGE and (event != DISCOVER or u == s):
                    s_last = v if event == TREE_EDGE else u
                    record(trace, topo, topo_head, color, s_prev, s, u, v, s_last)
                event, u, v = advance(A, color, s_prev, event, u, v)
    return topo, topo_head


def oracle(A):
    """The order if roots and neighbours are visited in the order of their indices."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0, create_using=nx.DiGraph)
    order = np.array(list(nx.dfs_postorder_nodes(graph)))[::-1]
    topo = np.empty_like(order)
    topo[order] = np.append(order[1:], order[-1])
    return {"topo": topo, "topo_head": order[0]}


def is_valid(A, topo, topo_head):
    """Do the pointers lead from the head through all nodes, and every edge forwards?"""
    n = len(topo)
    order = [int(topo_head)]
    while len(order) < n:
        order.append(int(topo[order[-1]]))
    position = np.full(n, -1)
    position[order] = np.arange(n)
    u, v = np.nonzero(np.asarray(A))
    return bool((position >= 0).all() and topo[order[-1]] == order[-1] and (position[u] < position[v]).all())


algorithm = Algorithm(
    name="topological_sort",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=topological_sort,
    prepare=prepare,
    sampler=graphs.sampler(directed=True, acyclic=True),
    bound=lambda n: 3 * n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
