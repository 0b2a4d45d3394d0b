"""Shortest paths in a directed acyclic graph: depth-first search from s orders the nodes, then edges are relaxed."""

import numpy as np

from nar.datasets.dfs import BLACK, DISCOVER, DONE, FINISH, GREY, OTHER_EDGE, ROOT, TREE_EDGE, advance
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
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


# On edges: a node points to none that is no neighbour. Instead of the next in topological order it has its place in the
# reverse of it: the share of nodes that are finished, itself included, when it is; the next is the one finished before.
SPEC_ON_EDGES = Spec({**SPEC, "topo_h": ("hint", "node", "scalar")})


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


@compiled
def dag_shortest_paths_on_edges(log, starts, neighbours, twins, weights, s):
    _, _, _, (pi_h, d_h, mark_h, topo_h, topo_head_h, color_h, s_prev_h, u_h, v_h, s_last_h, phase_h) = log
    n = len(starts) - 1
    pi = np.arange(n)
    d = np.zeros(n)
    mark = np.zeros(n, np.bool_)
    color = np.zeros(n, np.int8)
    s_prev = np.arange(n)
    edge = starts[:-1].copy()  # the next one that a node looks at
    finished = np.zeros(n, np.int64)  # nodes in the order in which they are
    count = 0
    change(u_h, 0, s)
    change(v_h, 0, s)
    change(s_last_h, 0, s)
    moment(log)
    color[s] = GREY
    change(color_h, s, GREY)
    moment(log)
    u = s
    while True:
        v = -1
        while v < 0 and edge[u] < starts[u + 1]:
            w = neighbours[edge[u]]
            if weights[edge[u]] != 0:
                if color[w] == GREY:
                    raise ValueError("A must be acyclic, got a cycle (or self-loop) that can be reached from s")
                if color[w] != BLACK:
                    v = w
            edge[u] += 1
        if v >= 0:
            color[v] = GREY
            change(color_h, v, GREY)
            s_prev[v] = u
            change(s_prev_h, v, u)
            change(u_h, 0, u)
            change(v_h, 0, v)
            change(s_last_h, 0, v)
            moment(log)
            u = v
            continue
        color[u] = BLACK
        change(color_h, u, BLACK)
        finished[count] = u
        count += 1
        change(topo_h, u, count / n)
        change(topo_head_h, 0, u)
        change(u_h, 0, u)
        change(v_h, 0, n - 1)
        change(s_last_h, 0, u)
        moment(log)
        below = s_prev[u]
        if below == u:
            break
        s_prev[u] = u
        change(s_prev_h, u, u)
        u = below
    mark[s] = True
    change(mark_h, s, 1)
    change(phase_h, 0, 1)
    for place in range(count - 1, 0, -1):
        u = finished[place]
        moment(log)
        for k in range(starts[u], starts[u + 1]):
            j, w = neighbours[k], weights[k]
            if w != 0 and (not mark[j] or d[u] + w < d[j]):
                d[j] = d[u] + w
                change(d_h, j, d[j])
                pi[j] = u
                change(pi_h, j, u)
                if not mark[j]:
                    mark[j] = True
                    change(mark_h, j, 1)
        change(topo_head_h, 0, finished[place - 1])
    moment(log)
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
    on_edges=dag_shortest_paths_on_edges,
    spec_on_edges=SPEC_ON_EDGES,
    validity_on_edges=answers.are_shortest_paths,
    acyclic=True,
    prepare=prepare,
    sampler=graphs.sampler(directed=True, acyclic=True, weighted=True, source=True),
    bound=lambda n: 3 * n + 1,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
