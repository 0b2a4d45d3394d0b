"""Are answers on sparse graphs right, ties broken in any way? In time that grows with the edges.

Shapes: N nodes, E edges.
"""

import numpy as np

from nar.traces.inputs import shortest_paths
from nar.traces.sparse.graph import SparseGraph
from nar.traces.sparse.trace import SparseTrace


def path_weights(graph: SparseGraph, weights: np.ndarray, pi: np.ndarray, s: int) -> np.ndarray:
    """Weight [N] of the path that the pointers describe from s to every node; infinite where they describe none.

    `weights` [E], 0 where there is no edge.
    """
    place = edge_of(graph, pi, np.arange(len(graph)))
    return shortest_paths.summed(np.where(place >= 0, weights[place], 0.0), pi, np.array(s))


def edge_of(graph: SparseGraph, senders: np.ndarray, receivers: np.ndarray) -> np.ndarray:
    """The place of the edge between every two nodes; -1 where there is none."""
    n = len(graph)
    keys = graph.receivers.astype(np.int64) * n + graph.senders
    wanted = receivers * n + senders
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def are_shortest_paths(trace: SparseTrace, pi: np.ndarray, *, hops: bool = False) -> bool:
    """Do pointers describe a shortest path from s to every node that has one, and themselves for the others?

    `hops`: every edge counts as 1. Path weights are shortest if no edge leads to a shorter one.
    """
    graph, s, nodes = trace.graph, int(trace.compact["s"]), np.arange(trace.nodes)
    weights = (graph.weights != 0).astype(np.float64) if hops else graph.weights
    found = path_weights(graph, weights, pi, s)
    reached = np.isfinite(found)
    if not (reached | (pi == nodes)).all() or pi[s] != s:
        return False
    there = weights != 0
    ways = found[graph.senders[there]] + weights[there]
    now = found[graph.receivers[there]]
    return bool((ways >= np.where(np.isfinite(now), now - 1e-9 * np.abs(weights).max(), np.inf)).all())


def is_minimum_tree(trace: SparseTrace, pi: np.ndarray) -> bool:
    """Do pointers describe a tree that spans what s reaches, of the weight of the algorithm's own?"""
    graph, s, nodes, true = trace.graph, int(trace.compact["s"]), np.arange(trace.nodes), trace.compact["pi"]
    hops = path_weights(graph, (graph.weights != 0).astype(np.float64), pi, s)
    spanned = (true != nodes) | (nodes == s)
    if pi[s] != s or not np.array_equal(np.isfinite(hops), spanned) or not (spanned | (pi == nodes)).all():
        return False

    def total(pointers: np.ndarray) -> float:
        child = np.flatnonzero(pointers != nodes)
        return float(graph.weights[edge_of(graph, pointers[child], child)].sum())

    return abs(total(pi) - total(true)) <= 1e-9 * max(1.0, float(np.abs(graph.weights).max())) * trace.nodes


def is_maximal_independent(trace: SparseTrace, inmis: np.ndarray) -> bool:
    """No two members are neighbours, and every other node has a member as one."""
    graph = trace.graph
    between = (graph.weights != 0) & (graph.senders != graph.receivers)
    member = inmis == 1
    beside = np.zeros(trace.nodes, bool)
    beside[graph.receivers[between & member[graph.senders]]] = True
    return bool(((inmis == 0) | member).all() and (beside == ~member).all())


def is_depth_first(trace: SparseTrace, pi: np.ndarray) -> bool:
    """A forest that a depth-first search finds; of a graph with one-way edges, the algorithm's own alone.

    If all edges go both ways: no edge leads from one branch of the forest to another.
    """
    graph, nodes = trace.graph, np.arange(trace.nodes)
    if not np.array_equal(graph.weights != 0, graph.leaving != 0):
        return np.array_equal(pi, trace.compact["pi"])
    child = np.flatnonzero(pi != nodes)
    place = edge_of(graph, pi[child], child)
    if (place < 0).any() or (graph.weights[place] == 0).any():
        return False
    children: list[list[int]] = [[] for _ in nodes]
    for v in child.tolist():
        children[pi[v]].append(v)
    enter, leave, clock = np.full(len(nodes), -1), np.zeros(len(nodes), np.int64), 0
    for root in np.flatnonzero(pi == nodes).tolist():
        stack = [(root, False)]
        while stack:
            v, done = stack.pop()
            clock += 1
            if done:
                leave[v] = clock
                continue
            enter[v] = clock
            stack += [(v, True), *((w, False) for w in children[v])]
    if (enter < 0).any():  # pointers that run in circles
        return False
    there = graph.weights != 0
    u, v = graph.senders[there], graph.receivers[there]
    inside = (enter[u] <= enter[v]) & (leave[v] <= leave[u])
    return bool((inside | ((enter[v] <= enter[u]) & (leave[u] <= leave[v]))).all())
