"""Dominators in a control-flow graph: which blocks lie on every way from the entry, in synchronous passes."""

import numpy as np

from nar.datasets import control_flow
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = (
    "F. E. Allen, J. Cocke. Graph theoretic constructs for program control flow analysis. IBM Research Report RC 3923, "
    "1972; A. V. Aho, M. S. Lam, R. Sethi, J. D. Ullman. Compilers, 2nd edition, 2006, 9.6.1"
)

# dom[v, u]: u dominates v, it lies on every way from s to v. No way leads to an unreachable block, so everything
# dominates it, and so it is at first for blocks that no pass has reached yet. idom[v] is the last dominator of v before
# v itself; s and unreachable blocks point to themselves.
SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "s": ("input", "node", "mask_one"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "dom": ("output", "edge", "mask"),
        "idom": ("output", "node", "pointer"),
        "dom_h": ("hint", "edge", "mask"),
        "reach_h": ("hint", "node", "mask"),
    }
)


def sample(rng, n, branch=0.3, loop=0.15, leave=0.15, goto=0.0):
    A, s = control_flow.program(rng, n, branch, loop, leave, goto)
    return {"A": A, "s": s}


def prepare(A, s):
    A = graphs.check_graph(A)
    s = graphs.check_source(s, len(A))
    return (A, s), graphs.probes(A, s)


@compiled
def dominators(trace, A, s):
    n = len(A)
    dom = np.ones((n, n), np.int8)
    dom[s] = 0
    dom[s, s] = 1
    reach = np.zeros(n, np.int8)
    reach[s] = 1
    sources, targets = np.nonzero(A)
    changed = np.zeros(n, np.int8)  # in the last pass: only what comes after these blocks can change in the next
    changed[s] = 1
    while changed.any():
        record(trace, dom, reach)
        before, prev_dom = changed, dom.copy()
        changed = np.zeros(n, np.int8)
        for e in range(len(sources)):
            p, v = sources[e], targets[e]
            if before[p]:
                # The intersection over all p: sets only ever shrink, so those of unchanged blocks are in already.
                lost = 0
                for u in range(n):
                    keep = prev_dom[p, u] | (u == v)
                    lost |= dom[v, u] & ~keep
                    dom[v, u] &= keep
                if lost or not reach[v]:
                    reach[v] = changed[v] = 1
    # Dominators form a chain: the immediate one has one dominator less than the block itself.
    size = dom.sum(1)
    idom = np.arange(n)
    for v in range(n):
        for u in range(n):
            if reach[v] and dom[v, u] and size[u] == size[v] - 1:
                idom[v] = u
    return dom, idom


def oracle(A, s):
    """Immediate dominators by networkx (Cooper, Harvey and Kennedy's algorithm); the tree of them gives all others."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A) != 0, create_using=nx.DiGraph)
    idom, dom = np.arange(len(graph)), np.ones((len(graph), len(graph)), np.int8)
    tree = {**nx.immediate_dominators(graph, int(s)), s: s}  # whether it names the root depends on networkx's version
    idom[list(tree)] = list(tree.values())
    for v in tree:
        dom[v] = 0
        u = v
        dom[v, u] = 1
        while u != s:
            u = idom[u]
            dom[v, u] = 1
    return {"dom": dom, "idom": idom}


def is_valid(A, s, dom, idom):
    """By the definition: u dominates v if v cannot be reached from s once u is taken away."""
    edges, n = np.asarray(A) != 0, len(A)
    v = np.arange(n)
    weights = edges.astype(np.float32)
    around = (v == s) & (v[:, None] != s)  # around[u, v]: v is reached, u taken away
    around = control_flow.closure(lambda found: (found.astype(np.float32) @ weights > 0) & (v[:, None] != v), around)
    if not np.array_equal(dom, ~around.T):
        return False
    reached = control_flow.closure(lambda found: edges[found].any(0), v == s)
    # Of the dominators of v other than v, the immediate one is dominated by all.
    strict = dom.astype(bool) & (v[:, None] != v)
    rooted = ~reached | (v == s)
    nearest = strict[v, idom] & (strict <= dom[idom].astype(bool)).all(1)
    return bool(np.where(rooted, idom == v, nearest).all())


algorithm = Algorithm(
    name="dominators",
    spec=SPEC,
    citation=CITATION,
    category="data flow",
    steps=dominators,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
)
