"""Depth-first search of the whole graph, event by event; its relatives (CLRS 22.4, 22.5, problem 22-2) build on it."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.spec import Spec

CITATION = "E. F. Moore. The shortest path through a maze. Int. Symposium on the Theory of Switching, 1959. CLRS 22.3"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "pi": ("output", "node", "pointer"),
        "pi_h": ("hint", "node", "pointer"),
        "color": ("hint", "node", "categorical", 3),
        "d": ("hint", "node", "scalar"),
        "f": ("hint", "node", "scalar"),
        "s_prev": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
        "time": ("hint", "graph", "scalar"),
    }
)

WHITE, GREY, BLACK = 0, 1, 2  # color: undiscovered, on the stack, finished

# What happens during the visit of a tree: its root is chosen; the search arrives at u for the first time; it takes the
# edge (u, v) to an undiscovered v, or sees that v is discovered already; u is finished; the tree is.
ROOT, DISCOVER, TREE_EDGE, OTHER_EDGE, FINISH, DONE = range(6)


@numba.njit
def advance(A, color, s_prev, event, u, v):
    """The event after this one and its u and v. Begins with (ROOT, s, s) for a white s, ends with DONE.

    `s_prev` is the stack: the node below this one; the lowest, and those not on it, point to themselves. Its top is u,
    or v right after a tree edge. `color` and `s_prev` are kept up to date.
    """
    if event == ROOT:
        color[u] = GREY
        return DISCOVER, u, v
    if event == TREE_EDGE:
        return DISCOVER, v, v
    if event == FINISH:
        below = s_prev[u]
        if below == u:
            return DONE, u, v
        s_prev[u] = u
        u = below
    # As in dm-clrs, a node that the search returns to looks at its edges again from the first.
    for w in range(v + 1 if event == OTHER_EDGE else 0, len(A)):
        if A[u, w] != 0:
            if color[w] != WHITE:
                return OTHER_EDGE, u, w
            color[w] = GREY
            s_prev[w] = u
            return TREE_EDGE, u, w
    color[u] = BLACK
    return FINISH, u, len(A) - 1


def prepare(A):
    A = graphs.check_graph(A)
    return (A,), graphs.probes(A)


@compiled
def dfs(trace, A):
    n = len(A)
    pi = np.arange(n)
    color = np.zeros(n, np.int8)
    d = np.zeros(n)  # when a node was discovered and finished; time passes in hundredths
    f = np.zeros(n)
    s_prev = np.arange(n)
    time = 0.0
    for s in range(n):
        if color[s] == WHITE:
            event, u, v = ROOT, s, s
            while event != DONE:
                if event == DISCOVER:
                    time += 0.01
                    d[u] = time
                elif event == TREE_EDGE:
                    pi[v] = u
                elif event == FINISH:
                    time += 0.01
                    f[u] = time
                if event != OTHER_EDGE:
                    s_last = v if event == TREE_EDGE else u
                    record(trace, pi, color, d, f, s_prev, s, u, v, s_last, time)
                event, u, v = advance(A, color, s_prev, event, u, v)
    return pi


@compiled
def dfs_on_edges(log, starts, neighbours, twins, weights):
    """The events of `advance`, in its order; a node that the search returns to goes on where it was among its edges, as
    nothing turns white again."""
    _, _, _, (pi_h, color_h, d_h, f_h, s_prev_h, s_h, u_h, v_h, s_last_h, time_h) = log
    n = len(starts) - 1
    pi = np.arange(n)
    color = np.zeros(n, np.int8)
    s_prev = np.arange(n)
    edge = starts[:-1].copy()  # the next one that a node looks at
    time = 0.0
    for s in range(n):
        if color[s] != WHITE:
            continue
        change(s_h, 0, s)
        change(u_h, 0, s)
        change(v_h, 0, s)
        change(s_last_h, 0, s)
        moment(log)
        color[s] = GREY
        change(color_h, s, GREY)
        u, event = s, DISCOVER
        while True:
            if event == DISCOVER:
                time += 0.01
                change(time_h, 0, time)
                change(d_h, u, time)
                change(u_h, 0, u)
                change(v_h, 0, u)
                change(s_last_h, 0, u)
                moment(log)
            v = -1
            while v < 0 and edge[u] < starts[u + 1]:
                if weights[edge[u]] != 0 and color[neighbours[edge[u]]] == WHITE:
                    v = neighbours[edge[u]]
                edge[u] += 1
            if v >= 0:
                color[v] = GREY
                change(color_h, v, GREY)
                s_prev[v] = pi[v] = u
                change(s_prev_h, v, u)
                change(pi_h, v, u)
                change(u_h, 0, u)
                change(v_h, 0, v)
                change(s_last_h, 0, v)
                moment(log)
                u, event = v, DISCOVER
                continue
            color[u] = BLACK
            change(color_h, u, BLACK)
            time += 0.01
            change(time_h, 0, time)
            change(f_h, u, time)
            change(u_h, 0, u)
            change(v_h, 0, n - 1)
            change(s_last_h, 0, u)
            moment(log)
            below = s_prev[u]
            if below == u:
                break
            s_prev[u] = u
            change(s_prev_h, u, u)
            u, event = below, FINISH
    return pi


def oracle(A):
    """The parents if roots and neighbours are visited in the order of their indices."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0, create_using=nx.DiGraph)
    pi = np.arange(len(graph))
    for u, v in nx.dfs_edges(graph):
        pi[v] = u
    return {"pi": pi}


def reachable(edges):
    """Which nodes (columns) can be reached from which (rows) along at least one of the edges, [n, n] of bool."""
    paths = np.asarray(edges, dtype=np.float32)
    for _ in range(len(paths).bit_length()):  # paths of up to 2, 4, 8, ... edges
        paths = np.minimum(paths + paths @ paths, 1)
    return paths > 0


def is_valid(A, pi):
    """Is this a forest that a depth-first search finds, whatever the order of its roots and neighbours?

    An edge from one subtree of a node (or one tree) to another tells that the latter was visited first: otherwise its
    end would have been found through that edge. A search finds the forest if these demands leave an order: no cycle.
    """
    edges, nodes = np.asarray(A) != 0, np.arange(len(pi))
    child = np.flatnonzero(pi != nodes)
    if not edges[pi[child], child].all():
        return False
    parents = np.zeros(edges.shape, dtype=bool)
    parents[child, pi[child]] = True
    above = reachable(parents)
    if above.diagonal().any():  # pointers that run in circles
        return False
    lineage = above | np.eye(len(pi), dtype=bool)  # a node and its ancestors
    ancestor = np.zeros(edges.shape, np.int64)  # of row at depth column
    v, w = np.nonzero(lineage)
    ancestor[v, above.sum(1)[w]] = w
    u, v = np.nonzero(edges & ~lineage & ~lineage.T)
    depth = (lineage[u] & lineage[v]).sum(1)  # of the subtrees: right below the ancestors in common
    first = np.zeros(edges.shape, dtype=bool)
    first[ancestor[v, depth], ancestor[u, depth]] = True
    return not reachable(first).diagonal().any()


algorithm = Algorithm(
    name="dfs",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=dfs,
    on_edges=dfs_on_edges,
    validity_on_edges=answers.is_depth_first,
    prepare=prepare,
    sampler=graphs.sampler(directed=True),
    bound=lambda n: 3 * n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
