"""Articulation points (cut vertices): nodes without which an undirected graph falls apart, by depth-first search."""

import numpy as np

from nar.datasets.dfs import DISCOVER, DONE, FINISH, OTHER_EDGE, ROOT, TREE_EDGE, WHITE, advance
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "J. Hopcroft, R. Tarjan. Algorithm 447: efficient algorithms for graph manipulation, 1973. CLRS problem 22-2"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "is_cut": ("output", "node", "mask"),
        "is_cut_h": ("hint", "node", "mask"),
        "pi_h": ("hint", "node", "pointer"),
        "color": ("hint", "node", "categorical", 3),
        "d": ("hint", "node", "scalar"),
        "f": ("hint", "node", "scalar"),
        "low": ("hint", "node", "scalar"),
        "child_cnt": ("hint", "node", "scalar"),
        "s_prev": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
        "time": ("hint", "graph", "scalar"),
    }
)


def prepare(A):
    A = graphs.check_graph(A, symmetric="articulation points are defined for undirected graphs")
    return (A,), graphs.probes(A)


@compiled
def articulation_points(trace, A):
    n = len(A)
    is_cut = np.zeros(n, np.int8)
    pi = np.arange(n)
    color = np.zeros(n, np.int8)
    d = np.zeros(n)
    f = np.zeros(n)
    low = np.zeros(n)  # the earliest d that can be reached from u's subtree by one edge which is not the tree's
    child_cnt = np.zeros(n)  # in hundredths, like time
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
                    child_cnt[u] += 0.01
                elif event == OTHER_EDGE and v != pi[u]:
                    low[u] = min(low[u], d[v])
                elif event == FINISH:
                    time += 0.01
                    f[u] = time
                    for w in range(n):
                        if pi[w] == u and w != u:
                            low[u] = min(low[u], low[w])
                            if u != s and low[w] >= d[u]:  # no way past u
                                is_cut[u] = 1
                    if u == s and child_cnt[u] > 0.01:
                        is_cut[u] = 1
                if event != OTHER_EDGE or v != pi[u]:
                    s_last = v if event == TREE_EDGE else u
                    record(trace, is_cut, pi, color, d, f, low, child_cnt, s_prev, s, u, v, s_last, time)
                event, u, v = advance(A, color, s_prev, event, u, v)
    return is_cut


def oracle(A):
    """The articulation points according to networkx."""
    import networkx as nx

    A = np.asarray(A) != 0
    is_cut = np.zeros(len(A), np.int8)
    is_cut[list(nx.articulation_points(nx.from_numpy_array(A & ~np.eye(len(A), dtype=bool))))] = 1
    return {"is_cut": is_cut}


def is_valid(A, is_cut):
    return np.array_equal(is_cut, oracle(A)["is_cut"])


algorithm = Algorithm(
    name="articulation_points",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=articulation_points,
    prepare=prepare,
    sampler=graphs.sampler(p=(0.2,)),
    bound=lambda n: 3 * n + 2 * n * n,  # a node looks at its edges once more after every child
    oracle=oracle,
    validity=is_valid,
    train_params={"p": tuple(p / 2 for p in graphs.TRAIN_P)},
)
