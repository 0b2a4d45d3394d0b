"""Reachable basic blocks of a control-flow graph: forward from a block, in synchronous passes."""

import numpy as np

from nar.datasets import control_flow
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = (
    "C. Cummins et al. ProGraML: A Graph-based Program Representation for Data Flow Analysis and Compiler "
    "Optimizations. ICML 2021 (its task of control reachability)"
)

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "reach": ("output", "node", "mask"),
        "reach_h": ("hint", "node", "mask"),
    }
)


def sample(rng, n, branch=0.3, loop=0.15, leave=0.15, goto=0.0, entry=False):
    """From a block drawn at random, as in ProGraML; from the entry nearly all can be reached, so it teaches little."""
    A, s = control_flow.program(rng, n, branch, loop, leave, goto)
    return {"A": A, "s": s if entry else rng.randint(n)}


def prepare(A, s):
    A = graphs.check_graph(A)
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def reachability(trace, A, s):
    n = len(A)
    reach = np.zeros(n, np.int8)
    reach[s] = 1
    fresh = np.zeros(n, np.int8)  # reached in the last pass: only their edges can lead further
    fresh[s] = 1
    while fresh.any():
        record(trace, reach)
        before = fresh
        fresh = np.zeros(n, np.int8)
        for u in range(n):
            if before[u]:
                for v in range(n):
                    if A[u, v] != 0 and not reach[v]:
                        reach[v] = fresh[v] = 1
    return reach


def oracle(A, s):
    """Which blocks can be reached."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0, create_using=nx.DiGraph)
    reach = np.zeros(len(graph), np.int8)
    reach[[s, *nx.descendants(graph, int(s))]] = 1
    return {"reach": reach}


def is_valid(A, s, reach):
    edges = np.asarray(A) != 0
    reached = control_flow.closure(lambda found: edges[found].any(0), np.arange(len(edges)) == s)
    return np.array_equal(reach, reached)


algorithm = Algorithm(
    name="reachability",
    spec=SPEC,
    citation=CITATION,
    category="data flow",
    steps=reachability,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
)
