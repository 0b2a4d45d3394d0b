"""Live variables: at which ends of which basic blocks a variable's value may still be read, in synchronous passes."""

import numpy as np

from nar.datasets import control_flow
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.inputs.arrays import numbers
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "A. V. Aho, M. S. Lam, R. Sethi, J. D. Ullman. Compilers, 2nd edition, 2006, 9.2.5"

# One variable per trace: variables do not influence one another, so the analysis of V of them is V analyses on the same
# graph, and the facts about one are masks on blocks, whatever V.
# `use`: the block reads the variable before it writes it. `define`: it writes the variable.
SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "use": ("input", "node", "mask"),
        "define": ("input", "node", "mask"),
        "live_in": ("output", "node", "mask"),
        "live_out": ("output", "node", "mask"),
        "live_in_h": ("hint", "node", "mask"),
        "live_out_h": ("hint", "node", "mask"),
    }
)


def sample(rng, n, branch=0.3, loop=0.15, leave=0.15, goto=0.0, use=0.15, define=0.15):
    control_flow.check_share(use, "use")
    control_flow.check_share(define, "define")
    A, _ = control_flow.program(rng, n, branch, loop, leave, goto)
    drawn = rng.random_sample((2, n))
    return {"A": A, "use": (drawn[0] < use).astype(np.int8), "define": (drawn[1] < define).astype(np.int8)}


def prepare(A, use, define):
    A = graphs.check_graph(A)
    use, define = check_mask(use, len(A), "use"), check_mask(define, len(A), "define")
    return (A, use, define), {**graphs.probes(A), "use": use, "define": define}


def check_mask(value, n, name):
    mask = numbers(value, name)
    if mask.shape != (n,):
        raise ValueError(f"{name} must be a mask of shape {(n,)}, one entry per block, got shape {mask.shape}")
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"{name} must hold 0 or 1 only, got {mask.tolist()}")
    return mask.astype(np.int8)


@compiled
def liveness(trace, A, use, define):
    n = len(A)
    live_in = np.zeros(n, np.int8)
    live_out = np.zeros(n, np.int8)
    record(trace, live_in, live_out)
    fresh = use.copy()  # live at the entry of the block since this pass
    live_in |= use
    lives = use.any()
    while lives:
        record(trace, live_in, live_out)
        before = fresh
        fresh = np.zeros(n, np.int8)
        lives = False
        for w in range(n):
            if before[w]:
                for v in range(n):
                    if A[v, w] != 0 and not live_out[v]:
                        live_out[v] = 1
                        lives = True
                        if not define[v] and not live_in[v]:
                            live_in[v] = fresh[v] = 1
    return live_in, live_out


def oracle(A, use, define):
    """Live at entry: there is a way to a use on which no block before it writes the variable."""
    import networkx as nx

    edges = np.asarray(A) != 0
    graph = nx.from_numpy_array(edges & (np.asarray(define) == 0)[:, None], create_using=nx.DiGraph)
    live_in = np.zeros(len(edges), np.int8)
    for w in np.flatnonzero(use):
        live_in[[w, *nx.ancestors(graph, int(w))]] = 1
    return {"live_in": live_in, "live_out": (edges & (live_in == 1)).any(1).astype(np.int8)}


def is_valid(A, use, define, live_in, live_out):
    edges, passes = np.asarray(A) != 0, np.asarray(define) == 0
    live = control_flow.closure(lambda found: edges[:, found].any(1) & passes, np.asarray(use) == 1)
    return np.array_equal(live_in, live) and np.array_equal(live_out, edges[:, live].any(1))


algorithm = Algorithm(
    name="liveness",
    spec=SPEC,
    citation=CITATION,
    category="data flow",
    steps=liveness,
    prepare=prepare,
    sampler=sample,
    bound=lambda n: n + 2,
    oracle=oracle,
    validity=is_valid,
)
