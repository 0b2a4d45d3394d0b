"""Bellman-Ford: single-source shortest paths, weights of any sign, in synchronous passes over all edges."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.spec import Spec

CITATION = "R. Bellman. On a routing problem. Quarterly of Applied Mathematics 16(1), 1958. CLRS 24.1"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "pi": ("output", "node", "pointer"),
        "pi_h": ("hint", "node", "pointer"),
        "d": ("hint", "node", "scalar"),
        "msk": ("hint", "node", "mask"),
    }
)


def prepare(A, s):
    A = graphs.check_graph(A)
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def bellman_ford(trace, A, s):
    n = len(A)
    d = np.zeros(n)
    pi = np.arange(n)
    msk = np.zeros(n, np.int8)  # which nodes have been reached
    msk[s] = 1
    for _ in range(n):
        record(trace, pi, d, msk)
        prev_d = d.copy()
        prev_msk = msk.copy()
        for u in range(n):
            for v in range(n):
                if prev_msk[u] and A[u, v] != 0:
                    if not msk[v] or prev_d[u] + A[u, v] < d[v]:
                        d[v] = prev_d[u] + A[u, v]
                        pi[v] = u
                    msk[v] = 1
        # dm-clrs looks at d alone, so a node first reached at distance exactly 0 ends its search too early.
        if np.all(d == prev_d) and np.all(msk == prev_msk):
            break
    else:  # n passes and still shorter; dm-clrs would go on for ever
        raise ValueError("A must not have a negative cycle reachable from s, got one")
    shortest_paths.check_tree(pi, s)
    return pi


@compiled
def bellman_ford_on_edges(log, starts, neighbours, twins, weights, s):
    _, _, _, (pi_h, d_h, msk_h) = log
    n = len(starts) - 1
    d = np.zeros(n)
    pi = np.arange(n)
    msk = np.zeros(n, np.bool_)
    msk[s] = True
    change(msk_h, s, 1)
    active = np.array([s])  # the others have told all that they know
    for _ in range(n):
        moment(log)
        told = d[active]
        changed = np.zeros(n, np.bool_)
        for at in range(len(active)):
            u = active[at]
            for k in range(starts[u], starts[u + 1]):
                v, w = neighbours[k], weights[k]
                if w != 0 and (not msk[v] or told[at] + w < d[v]):
                    if not msk[v] or d[v] != told[at] + w:
                        changed[v] = True
                    d[v] = told[at] + w
                    change(d_h, v, d[v])
                    pi[v] = u
                    change(pi_h, v, u)
                    if not msk[v]:
                        msk[v] = True
                        change(msk_h, v, 1)
        active = np.flatnonzero(changed)
        if len(active) == 0:
            break
    else:
        raise ValueError("A must not have a negative cycle reachable from s, got one")
    shortest_paths.check_tree(pi, s)
    return pi


def oracle(A, s):
    """Shortest distances from s; infinite where there is no path."""
    return {"d": shortest_paths.networkx_distances(A, s, "bellman_ford")}


def is_valid(A, s, pi):
    return shortest_paths.are_shortest_paths(A, pi, np.array(s))


algorithm = Algorithm(
    name="bellman_ford",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=bellman_ford,
    on_edges=bellman_ford_on_edges,
    validity_on_edges=answers.are_shortest_paths,
    prepare=prepare,
    sampler=graphs.sampler(weighted=True, source=True),
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
