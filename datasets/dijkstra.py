"""Dijkstra: single-source shortest paths, weights not negative."""

import heapq

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.spec import Spec

CITATION = "E. W. Dijkstra. A note on two problems in connexion with graphs. Numerische Mathematik 1, 1959. CLRS 24.3"

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
        "in_queue": ("hint", "node", "mask"),
        "u": ("hint", "node", "mask_one"),
    }
)


def prepare(A, s):
    A = graphs.check_graph(A, nonnegative="dijkstra would settle nodes too early (bellman_ford takes such weights)")
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def dijkstra(trace, A, s):
    n = len(A)
    d = np.zeros(n)
    pi = np.arange(n)
    mark = np.zeros(n, np.int8)  # settled
    in_queue = np.zeros(n, np.int8)
    in_queue[s] = 1
    record(trace, pi, d, mark, in_queue, s)
    u = graphs.extract_min(d, in_queue)
    while u >= 0:
        mark[u] = 1
        for v in range(n):
            if A[u, v] != 0 and not mark[v] and (not in_queue[v] or d[u] + A[u, v] < d[v]):
                pi[v] = u
                d[v] = d[u] + A[u, v]
                in_queue[v] = 1
        record(trace, pi, d, mark, in_queue, u)
        u = graphs.extract_min(d, in_queue)
    return pi


@compiled
def dijkstra_on_edges(log, starts, neighbours, twins, weights, s):
    _, _, _, (pi_h, d_h, mark_h, in_queue_h, u_h) = log
    n = len(starts) - 1
    d = np.zeros(n)
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
        if not in_queue[u] or least != d[u]:
            continue
        in_queue[u] = False
        change(in_queue_h, u, 0)
        mark[u] = True
        change(mark_h, u, 1)
        for k in range(starts[u], starts[u + 1]):
            v, w = neighbours[k], weights[k]
            if w != 0 and not mark[v] and (not in_queue[v] or d[u] + w < d[v]):
                pi[v] = u
                change(pi_h, v, u)
                d[v] = d[u] + w
                change(d_h, v, d[v])
                heapq.heappush(queue, (d[v], np.int64(v)))  # type: ignore[arg-type]
                if not in_queue[v]:
                    in_queue[v] = True
                    change(in_queue_h, v, 1)
        change(u_h, 0, u)
        moment(log)
    return pi


def oracle(A, s):
    """Shortest distances from s; infinite where there is no path."""
    return {"d": shortest_paths.networkx_distances(A, s, "dijkstra")}


def is_valid(A, s, pi):
    return shortest_paths.are_shortest_paths(A, pi, np.array(s))


algorithm = Algorithm(
    name="dijkstra",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=dijkstra,
    on_edges=dijkstra_on_edges,
    validity_on_edges=answers.are_shortest_paths,
    prepare=prepare,
    sampler=graphs.sampler(weighted=True, source=True),
    bound=lambda n: n + 1,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
