"""Breadth-first search, one level per step."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.spec import Spec

CITATION = "E. F. Moore. The shortest path through a maze. Symposium on the Theory of Switching, 1959. CLRS 22.2"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "pi": ("output", "node", "pointer"),
        "reach_h": ("hint", "node", "mask"),
        "pi_h": ("hint", "node", "pointer"),
    }
)


def prepare(A, s):
    # dm-clrs follows positive entries only but shows all others as edges too.
    A = graphs.check_graph(A, nonnegative="bfs takes every entry other than 0 as an edge, of length 1")
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def bfs(trace, A, s):
    n = len(A)
    pi = np.arange(n)
    reach = np.zeros(n, np.int8)
    reach[s] = 1
    while True:
        record(trace, reach, pi)
        prev_reach = reach.copy()
        for i in range(n):
            for j in range(n):
                if A[i, j] > 0 and prev_reach[i]:
                    if pi[j] == j and j != s:
                        pi[j] = i
                    reach[j] = 1
        if np.all(reach == prev_reach):
            break
    return pi


@compiled
def bfs_on_edges(log, starts, neighbours, twins, weights, s):
    _, _, _, (reach_h, pi_h) = log
    n = len(starts) - 1
    pi = np.arange(n)
    change(reach_h, s, 1)
    frontier = np.array([s])
    while len(frontier) > 0:
        moment(log)
        found = np.zeros(n, np.bool_)
        for i in frontier:
            for k in range(starts[i], starts[i + 1]):
                j = neighbours[k]
                if weights[k] > 0 and pi[j] == j and j != s:
                    pi[j] = i
                    change(pi_h, j, i)
                    change(reach_h, j, 1)
                    found[j] = True
        frontier = np.flatnonzero(found)
    return pi


def oracle(A, s):
    """Number of edges on the shortest way from s; infinite where there is none."""
    return {"d": shortest_paths.networkx_distances(np.asarray(A) != 0, s, "dijkstra")}


def is_valid(A, s, pi):
    return shortest_paths.are_shortest_paths(np.asarray(A) != 0, pi, np.array(s))


algorithm = Algorithm(
    name="bfs",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=bfs,
    on_edges=bfs_on_edges,
    validity_on_edges=lambda trace, pi: answers.are_shortest_paths(trace, pi, hops=True),
    prepare=prepare,
    sampler=graphs.sampler(source=True),
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
