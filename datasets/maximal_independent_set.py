"""Maximal independent set, all nodes at once: who has the smallest number among its neighbours joins, they leave."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays, graphs
from nar.traces.record import compiled, record
from nar.traces.sparse import answers
from nar.traces.sparse.changes import change, moment
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import Spec

CITATION = (
    "M. Luby. A simple parallel algorithm for the maximal independent set problem. SIAM J. Comput. 15(4), 1986; "
    "as a task: J. Minder et al. SALSA-CLRS. Learning on Graphs, 2023, arXiv:2309.12253"
)

# SALSA-CLRS's probes in its order; its name for the task is fast_mis.
SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "randomness": ("input", "node", "scalar"),
        "Ain_h": ("hint", "edge", "mask"),
        "alive_h": ("hint", "node", "mask"),
        "phase_h": ("hint", "graph", "mask"),
        "inmis_h": ("hint", "node", "mask"),
        "inmis": ("output", "node", "mask"),
        "adj": ("input", "edge", "mask"),
    }
)

draw_graph = graphs.sampler(family="sparse_erdos_renyi")


def sample(rng, n, p=(0.5,), family="sparse_erdos_renyi", options=None):
    """The graph, then a number in [0, 1) for every node."""
    A = draw_graph(rng, n, p=p, family=family, options=options)["A"]
    return {"A": A, "randomness": rng.uniform(size=n)}


def prepare(A, randomness):
    A = graphs.check_graph(A, symmetric="independent sets are defined for undirected graphs")
    randomness = arrays.check_array(randomness, "randomness")
    if len(randomness) != len(A):
        raise ValueError(f"randomness must hold a number for each of the {len(A)} nodes, got {len(randomness)}")
    probes = graphs.probes(A)
    del probes["A"]
    if isinstance(A, SparseGraph):
        return (A.with_weights(np.where(A.senders == A.receivers, 0.0, A.weights)), randomness), {
            **probes,
            "randomness": randomness,
        }
    edges = probes["adj"].copy()
    edges.reshape(-1)[:: len(A) + 1] = 0  # self-loops do not count
    return (edges, randomness), {**probes, "randomness": randomness}


@compiled
def maximal_independent_set(trace, A, randomness):
    """SALSA-CLRS draws new numbers for every round, a column of an input that grows with the number of rounds (Metivier
    et al. 2011). Here every node keeps its one number, as its input is one number: the set is then the one found by
    going through the nodes in the order of their numbers, after O(log n) rounds too (Blelloch et al. 2012, Fischer and
    Noever 2018). All else is equal: two moments a round, before and after, told apart by `phase_h`.
    """
    n = len(A)
    Ain = A.copy()  # edges between nodes still in the game
    alive = np.ones(n, np.int8)
    inmis = np.zeros(n, np.int8)
    while alive.any():
        record(trace, Ain, alive, 0, inmis)
        for u in range(n):
            if alive[u]:
                inmis[u] = 1
                for v in range(n):
                    if Ain[u, v] and (randomness[v] < randomness[u] or (randomness[v] == randomness[u] and v > u)):
                        inmis[u] = 0
        for u in range(n):
            if alive[u] and inmis[u]:
                alive[u] = 0
                for v in range(n):
                    if Ain[u, v]:
                        alive[v] = 0
        for u in range(n):
            if not alive[u]:
                Ain[u, :] = 0
                Ain[:, u] = 0
        record(trace, Ain, alive, 1, inmis)
    return inmis


@compiled
def maximal_independent_set_on_edges(log, starts, neighbours, twins, weights, randomness):
    _, _, _, (Ain_h, alive_h, phase_h, inmis_h) = log
    n = len(starts) - 1
    inside = weights != 0  # edges between nodes still in the game
    for k in np.flatnonzero(inside):
        change(Ain_h, k, 1)
    for u in range(n):
        change(alive_h, u, 1)
    alive = np.ones(n, np.bool_)
    inmis = np.zeros(n, np.bool_)
    playing = np.arange(n)
    while len(playing) > 0:
        change(phase_h, 0, 0)
        moment(log)
        for u in playing:
            inmis[u] = True
            for k in range(starts[u], starts[u + 1]):
                v = neighbours[k]
                if inside[k] and (randomness[v] < randomness[u] or (randomness[v] == randomness[u] and v > u)):
                    inmis[u] = False
            if inmis[u]:
                change(inmis_h, u, 1)
        for u in playing:
            if inmis[u]:
                alive[u] = False
                for k in range(starts[u], starts[u + 1]):
                    if inside[k]:
                        alive[neighbours[k]] = False
        for u in playing:
            if not alive[u]:
                change(alive_h, u, 0)
                for k in range(starts[u], starts[u + 1]):
                    for e in (k, twins[k]):
                        if inside[e]:
                            inside[e] = False
                            change(Ain_h, e, 0)
        change(phase_h, 0, 1)
        moment(log)
        playing = playing[alive[playing]]
    return inmis


def recover(inputs):
    adj = np.array(inputs["adj"])
    np.fill_diagonal(adj, 0)
    return {"A": adj, "randomness": inputs["randomness"]}


def oracle(A, randomness):
    """The set that has every node, in the order of their numbers, whose neighbours before it are not in it."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0)
    inmis = np.zeros(len(graph), dtype=bool)
    for u in sorted(graph, key=lambda u: (randomness[u], -u)):
        inmis[u] = not any(inmis[v] for v in graph[u] if v != u)
    return {"inmis": inmis}


def is_valid(A, randomness, inmis):
    """Any maximal independent set: no two are neighbours, and every other node has one of them as a neighbour."""
    edges = np.asarray(A) != 0
    edges = edges & ~np.eye(len(edges), dtype=bool)
    member = inmis == 1
    return bool(((inmis == 0) | member).all() and (edges[member].any(0) == ~member).all())


algorithm = Algorithm(
    name="maximal_independent_set",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=maximal_independent_set,
    on_edges=maximal_independent_set_on_edges,
    validity_on_edges=answers.is_maximal_independent,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: 2 * n,
    oracle=oracle,
    validity=is_valid,
    recover=recover,
)
