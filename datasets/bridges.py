"""Bridges: edges without which an undirected graph falls apart, by depth-first search."""

import numpy as np

from nar.datasets.dfs import DISCOVER, DONE, FINISH, OTHER_EDGE, ROOT, TREE_EDGE, WHITE, advance
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "R. E. Tarjan. A note on finding the bridges of a graph. Inf. Process. Letters 2(6), 1974. CLRS problem 22-2"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "is_bridge": ("output", "edge", "mask"),
        "is_bridge_h": ("hint", "edge", "mask"),
        "pi_h": ("hint", "node", "pointer"),
        "color": ("hint", "node", "categorical", 3),
        "d": ("hint", "node", "scalar"),
        "f": ("hint", "node", "scalar"),
        "low": ("hint", "node", "scalar"),
        "s_prev": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
        "time": ("hint", "graph", "scalar"),
    }
)


def prepare(A):
    A = graphs.check_graph(A, symmetric="bridges are defined for undirected graphs")
    probes = graphs.probes(A)
    return (A, probes["adj"]), probes


@compiled
def bridges(trace, A, adj):
    n = len(A)
    is_bridge = (adj - 1).astype(np.int8)  # -1, ignored, where there is neither edge nor self-loop
    pi = np.arange(n)
    color = np.zeros(n, np.int8)
    d = np.zeros(n)
    f = np.zeros(n)
    low = np.zeros(n)  # the earliest d that can be reached from u's subtree by one edge which is not the tree's
    s_prev = np.arange(n)
    time = 0.0
    for s in range(n):
        if color[s] == WHITE:
            event, u, v = ROOT, s, s
            while event != DONE:
                if event == DISCOVER:
                    time += 0.01
                    d[u] = low[u] = time
                elif event == TREE_EDGE:
                    pi[v] = u
                elif event == OTHER_EDGE and v != pi[u]:
                    low[u] = min(low[u], d[v])
                elif event == FINISH:
                    time += 0.01
                    f[u] = time
                    for w in range(n):
                        if pi[w] == u and w != u:
                            low[u] = min(low[u], low[w])
                            if low[w] > d[u]:  # no way around the edge
                                is_bridge[u, w] = is_bridge[w, u] = 1
                if event != OTHER_EDGE or v != pi[u]:
                    s_last = v if event == TREE_EDGE else u
                    record(trace, is_bridge, pi, color, d, f, low, s_prev, s, u, v, s_last, time)
                event, u, v = advance(A, color, s_prev, event, u, v)
    return is_bridge


def oracle(A):
    """The bridges according to networkx; -1 where there is no edge."""
    import networkx as nx

    A = np.asarray(A) != 0
    is_bridge = (A | np.eye(len(A), dtype=bool)).astype(np.int8) - 1
    for u, v in nx.bridges(nx.from_numpy_array(A & ~np.eye(len(A), dtype=bool))):
        is_bridge[u, v] = is_bridge[v, u] = 1
    return {"is_bridge": is_bridge}


def is_valid(A, is_bridge):
    """Only edges and self-loops are asked for: what an answer says of other pairs is ignored, as in loss and score."""
    want = oracle(A)["is_bridge"]
    return np.array_equal(is_bridge[want >= 0], want[want >= 0])


algorithm = Algorithm(
    name="bridges",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=bridges,
    prepare=prepare,
    sampler=graphs.sampler(p=(0.2,)),
    bound=lambda n: 3 * n + 2 * n * n,  # a node looks at its edges once more after every child
    oracle=oracle,
    validity=is_valid,
    train_params={"p": tuple(p / 2 for p in graphs.TRAIN_P)},
)
