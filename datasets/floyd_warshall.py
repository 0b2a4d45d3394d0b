"""Floyd-Warshall: all-pairs shortest paths, weights of any sign."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs, shortest_paths
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "R. W. Floyd. Algorithm 97: Shortest path. Communications of the ACM 5(6), 1962. CLRS 25.2"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "A": ("input", "edge", "scalar"),
        "adj": ("input", "edge", "mask"),
        "Pi": ("output", "edge", "pointer"),
        "Pi_h": ("hint", "edge", "pointer"),
        "D": ("hint", "edge", "scalar"),
        "msk": ("hint", "edge", "mask"),
        "k": ("hint", "node", "mask_one"),
    }
)


def prepare(A):
    A = graphs.check_graph(A)
    probes = graphs.probes(A)
    return (A, probes["adj"]), probes


@compiled
def floyd_warshall(trace, A, adj):
    # D[i, i] starts as the weight of i's self-loop, 0 without one: with self-loops the diagonal ends as the shortest
    # way round from i to i, as in dm-clrs. The other entries never read it.
    n = len(A)
    D = A.copy()
    Pi = np.empty((n, n), np.int64)
    for i in range(n):
        Pi[i] = i
    msk = adj.copy()  # which pairs have a path so far
    for k in range(n):
        record(trace, Pi, D, msk, k)
        # Row and column k do not change in round k (unless D[k, k] < 0, an error below), so D is old and new in one.
        for i in range(n):
            if not msk[i, k]:
                continue
            for j in range(n):
                if msk[k, j]:
                    if not msk[i, j] or D[i, k] + D[k, j] < D[i, j]:
                        D[i, j] = D[i, k] + D[k, j]
                        Pi[i, j] = Pi[k, j]
                    msk[i, j] = 1
    for i in range(n):
        if D[i, i] < 0:
            raise ValueError("A must not have a negative cycle, got one")
        shortest_paths.check_tree(Pi[i], i)
    return Pi


def oracle(A):
    """Shortest distances from row to column, 0 on the diagonal; infinite where there is no path."""
    import networkx as nx

    graph = nx.from_numpy_array(np.asarray(A, dtype=float), create_using=nx.DiGraph)
    return {"distances": np.asarray(nx.floyd_warshall_numpy(graph))}


def is_valid(A, Pi):
    """Off the diagonal, row i must be a shortest-path tree from i. On it, both answers in use are right: i itself
    (nothing to do), or the last step of a shortest way round, which is where dm-clrs ends for nodes with a self-loop.
    """
    A, i = np.asarray(A, dtype=np.float64), np.arange(len(A))
    last = Pi[i, i]
    if ((Pi == i) & (i[:, None] != i)).any():
        return False
    no_path = (Pi == i[:, None]) & (A == 0)  # Pi[i, j] = i without an edge from i to j: the initial value stands
    Pi = np.where(no_path | (i[:, None] == i), i, Pi)
    if not shortest_paths.are_shortest_paths(A, Pi, i):
        return False
    ways_round = shortest_paths.path_weights(A, Pi, i) + np.where(A != 0, A, np.inf).T  # [i, last step]
    shortest = ways_round.min(1) + 1e-9 * np.abs(A).max()
    return bool(((last == i) | (ways_round[i, last] < np.inf) & (ways_round[i, last] <= shortest)).all())


algorithm = Algorithm(
    name="floyd_warshall",
    spec=SPEC,
    citation=CITATION,
    category="graphs",
    steps=floyd_warshall,
    prepare=prepare,
    sampler=graphs.sampler(weighted=True),
    bound=lambda n: n,
    oracle=oracle,
    validity=is_valid,
    train_params={"p": graphs.TRAIN_P},
)
