"""Bellman-Ford: single-source shortest paths, weights of any sign, in synchronous passes over all edges."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
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
    prepare=prepare,
    sampler=graphs.sampler(weighted=True, source=True),
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
