"""Eccentricity of a node, how far the farthest node is: waves flood out from it, echoes bring the distances back."""

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse.changes import change, moment
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import Spec

CITATION = (
    "E. J. H. Chang. Echo algorithms: depth parallel operations on general graphs. IEEE TSE 8(4), 1982; "
    "as a task: J. Minder et al. SALSA-CLRS. Learning on Graphs, 2023, arXiv:2309.12253"
)

# SALSA-CLRS's probes in its order.
SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "adj": ("input", "edge", "mask"),
        "A": ("input", "edge", "scalar"),
        "s": ("input", "node", "mask_one"),
        "visited_h": ("hint", "node", "mask"),
        "msgphase_h": ("hint", "node", "mask"),
        "floodstate_h": ("hint", "node", "scalar"),
        "echostate_h": ("hint", "node", "scalar"),
        "tree_h": ("hint", "edge", "mask"),
        "leaf_h": ("hint", "node", "mask"),
        "eccentricity_h": ("hint", "graph", "scalar"),
        "eccentricity": ("output", "graph", "scalar"),
    }
)


def prepare(A, s):
    A = graphs.check_graph(A, symmetric="echoes travel back along the edges that the flood came by")
    s = graphs.check_source(s, len(A))
    if isinstance(A, SparseGraph):
        return (A.with_weights(np.where(A.senders == A.receivers, 0.0, A.weights)), s), graphs.probes(A, s)
    edges = (A != 0).view(np.int8)
    edges.reshape(-1)[:: len(A) + 1] = 0  # a message to oneself says nothing new
    return (edges, s), graphs.probes(A, s)


@numba.njit
def waits(tree, u):
    """Is there an answer to come? Nodes that have sent the flood to each other wait for none."""
    for v in range(len(tree)):
        if tree[u, v] and not tree[v, u]:
            return True
    return False


@compiled
def eccentricity(trace, A, s):
    """Distances count edges and are whole numbers. In every round all nodes act at once, on what they had before it."""
    n = len(A)
    visited = np.zeros(n, np.int8)  # has sent the flood on
    echoing = np.zeros(n, np.int8)  # has had a first echo, or has nothing to wait for
    leaf = np.zeros(n, np.int8)  # has answered
    flood = np.zeros(n)  # distance from s, as the flood told; 0 before
    echo = np.zeros(n)  # largest distance heard of
    tree = np.zeros((n, n), np.int8)  # [u, v]: u sent the flood to v and has had no echo from it
    record(trace, visited, echoing, flood, echo, tree, leaf, echo[s])
    while not leaf[s]:
        sending = np.zeros(n, np.int8)
        answering = np.zeros(n, np.int8)
        for u in range(n):
            sending[u] = not visited[u] and (u == s or flood[u] > 0)
            answering[u] = echoing[u] and not leaf[u] and not waits(tree, u)
        if answering[s]:
            # All have answered; SALSA-CLRS writes the last moment down once more.
            record(trace, visited, echoing, flood, echo, tree, leaf, echo[s])
            break
        told = flood.copy()
        for u in range(n):
            if sending[u]:
                for v in range(n):
                    if A[u, v] and not visited[v]:
                        tree[u, v] = 1
                        if not sending[v]:
                            told[v] = flood[u] + 1
        heard = echo.copy()
        for u in range(n):
            if sending[u] and not waits(tree, u):
                answering[u] = 1
                echoing[u] = 1
                echo[u] = heard[u] = flood[u]
        for u in range(n):
            visited[u] |= sending[u]
            if answering[u]:
                leaf[u] = 1
                for v in range(n):
                    if tree[v, u]:  # nodes as far from s, met by a flood from both sides, tell each other too
                        tree[v, u] = 0
                        echoing[v] = 1
                        heard[v] = max(heard[v], echo[u])
        flood, echo = told, heard
        record(trace, visited, echoing, flood, echo, tree, leaf, echo[s])
    return echo[s]


@compiled
def eccentricity_on_edges(log, starts, neighbours, twins, weights, s):
    """As above. `tree[k]`: the k-th edge, which arrives at u from v, is on the tree as one that v sent the flood by."""
    _, _, _, (visited_h, echoing_h, flood_h, echo_h, tree_h, leaf_h, eccentricity_h) = log
    n = len(starts) - 1
    visited = np.zeros(n, np.bool_)
    echoing = np.zeros(n, np.bool_)
    leaf = np.zeros(n, np.bool_)
    flood = np.zeros(n)
    echo = np.zeros(n)
    tree = np.zeros(len(neighbours), np.bool_)
    moment(log)
    while not leaf[s]:
        sending = np.zeros(n, np.bool_)
        answering = np.zeros(n, np.bool_)
        for u in range(n):
            sending[u] = not visited[u] and (u == s or flood[u] > 0)
            if echoing[u] and not leaf[u]:
                answering[u] = True
                for k in range(starts[u], starts[u + 1]):
                    if tree[twins[k]] and not tree[k]:
                        answering[u] = False
        if answering[s]:
            moment(log)
            break
        told = flood.copy()
        for u in np.flatnonzero(sending):
            for k in range(starts[u], starts[u + 1]):
                v = neighbours[k]
                if weights[k] != 0 and not visited[v]:
                    tree[twins[k]] = True
                    change(tree_h, twins[k], 1)
                    if not sending[v]:
                        told[v] = flood[u] + 1
                        change(flood_h, v, told[v])
        heard = echo.copy()
        for u in np.flatnonzero(sending):
            waiting = False
            for k in range(starts[u], starts[u + 1]):
                waiting |= tree[twins[k]] and not tree[k]
            if not waiting:
                answering[u] = True
                echoing[u] = True
                change(echoing_h, u, 1)
                echo[u] = heard[u] = flood[u]
                change(echo_h, u, echo[u])
        for u in np.flatnonzero(sending):
            visited[u] = True
            change(visited_h, u, 1)
        for u in np.flatnonzero(answering):
            leaf[u] = True
            change(leaf_h, u, 1)
            for k in range(starts[u], starts[u + 1]):
                v = neighbours[k]
                if tree[k]:
                    tree[k] = False
                    change(tree_h, k, 0)
                    echoing[v] = True
                    change(echoing_h, v, 1)
                    heard[v] = max(heard[v], echo[u])
                    change(echo_h, v, heard[v])
        flood, echo = told, heard
        change(eccentricity_h, 0, echo[s])
        moment(log)
    return echo[s]


def oracle(A, s):
    """The largest number of edges on a shortest way from s, among the nodes that can be reached."""
    d = shortest_paths.networkx_distances(np.asarray(A) != 0, s, "dijkstra")
    return {"eccentricity": d[np.isfinite(d)].max()}


def is_valid(A, s, eccentricity):
    """Whole numbers are asked for: an answer counts as the nearest one, as in SALSA-CLRS's scores."""
    return bool(abs(eccentricity - oracle(A, s)["eccentricity"]) < 0.5)


algorithm = Algorithm(
    name="eccentricity",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=eccentricity,
    on_edges=eccentricity_on_edges,
    validity_on_edges=lambda trace, eccentricity: abs(eccentricity - trace.compact["eccentricity"]) < 0.5,
    prepare=prepare,
    sampler=graphs.sampler(source=True, family="sparse_erdos_renyi"),
    bound=lambda n: 2 * n,
    oracle=oracle,
    validity=is_valid,
)
