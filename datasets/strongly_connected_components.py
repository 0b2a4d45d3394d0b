"""Strongly connected components: depth-first search of the graph, then of its transpose, latest finished first."""

import numpy as np

from nar.datasets.dfs import DISCOVER, DONE, FINISH, ROOT, TREE_EDGE, WHITE, advance, reachable
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.inputs.options import is_integer
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "A. V. Aho, J. E. Hopcroft, J. D. Ullman. The Design and Analysis of Computer Algorithms, 1974. CLRS 22.5"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "scc_id": ("output", "node", "pointer"),
        "scc_id_h": ("hint", "node", "pointer"),
        "A_t": ("hint", "edge", "mask"),
        "color": ("hint", "node", "categorical", 3),
        "d": ("hint", "node", "scalar"),
        "f": ("hint", "node", "scalar"),
        "s_prev": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "u": ("hint", "node", "mask_one"),
        "v": ("hint", "node", "mask_one"),
        "s_last": ("hint", "node", "mask_one"),
        "time": ("hint", "graph", "scalar"),
        "phase": ("hint", "graph", "mask"),
    }
)


other_families = graphs.sampler(directed=True)


def sample(rng, n, k=4, p=(0.5,), eps=0.01, family="communities", options=None):
    """A graph of `family` with its `options` (nar/traces/inputs/families.py), or the reference's:

    k communities (at most n) of equal size, random graphs of density p each, in a row; then every edge within one
    or from one to a later one is added or taken away with probability eps, so that no new cycle joins two."""
    if family != "communities":
        if (k, eps) != (4, 0.01):
            raise ValueError(f"k and eps are parameters of the family 'communities' alone, got k={k!r} and eps={eps!r}")
        return other_families(rng, n, p, family, options)
    if options:
        raise ValueError(f"options must be None for the family 'communities': it takes k, p and eps, got {options!r}")
    if not is_integer(k, 1):
        raise ValueError(f"k must be an integer of at least 1, the number of communities, got {k!r}")
    if not isinstance(eps, (int, float)) or not 0 <= eps <= 1:
        raise ValueError(f"eps must be a probability in [0, 1], got {eps!r}")
    p = graphs.choose(rng, p)
    k = min(int(k), n)  # dm-clrs refuses graphs of fewer than k nodes
    community = np.minimum(np.arange(n) // (n // k), k - 1)
    A = np.zeros((n, n), dtype=np.int64)
    for i in range(k):
        low, high = np.searchsorted(community, (i, i + 1))
        A[low:high, low:high] = graphs.erdos_renyi(rng, high - low, p, directed=True)
    toggle = graphs.erdos_renyi(rng, n, eps, directed=True)
    A ^= toggle * (community[:, None] <= community)
    order = rng.permutation(n)
    return {"A": A[np.ix_(order, order)]}


def prepare(A):
    A = graphs.check_graph(A)
    probes = graphs.probes(A)
    return (probes["adj"], np.ascontiguousarray(probes["adj"].T)), probes


@compiled
def strongly_connected_components(trace, adj, A_t):
    n = len(adj)
    scc_id = np.arange(n)
    color = np.zeros(n, np.int8)
    d = np.zeros(n)
    f = np.zeros(n)
    s_prev = np.arange(n)
    time = 0.0
    for phase in range(2):
        graph = adj if phase == 0 else A_t
        order = np.arange(n) if phase == 0 else np.argsort(-f)  # all times differ
        color[:] = WHITE
        for s in order:
            if color[s] == WHITE:
                event, u, v = ROOT, s, s
                while event != DONE:
                    # The second search gives new times to all nodes when they finish, but to roots alone when found.
                    found = event == DISCOVER and (phase == 0 or u == s)
                    if found:
                        time += 0.01
                        d[u] = time
                    elif event == FINISH:
                        time += 0.01
                        f[u] = time
                    if event == DISCOVER and phase == 1:
                        scc_id[u] = s
                    if found or event in (ROOT, TREE_EDGE, FINISH):
                        s_last = v if event == TREE_EDGE else u
                        record(trace, scc_id, A_t, color, d, f, s_prev, s, u, v, s_last, time, phase)
                    event, u, v = advance(graph, color, s_prev, event, u, v)
    return scc_id


def oracle(A):
    """For every node the smallest one of its component."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0, create_using=nx.DiGraph)
    smallest = np.arange(len(graph))
    for component in nx.strongly_connected_components(graph):
        smallest[list(component)] = min(component)
    return {"smallest": smallest}


def is_valid(A, scc_id):
    """Do exactly those nodes that can reach each other point to the same one, and is it one of them?"""
    reach = reachable(np.asarray(A) != 0) | np.eye(len(scc_id), dtype=bool)
    same = scc_id[:, None] == scc_id
    return bool(((reach & reach.T) == same).all() and (scc_id[scc_id] == scc_id).all())


algorithm = Algorithm(
    name="strongly_connected_components",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=strongly_connected_components,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: 6 * n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
