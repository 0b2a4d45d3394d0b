"""Graphs written in letters, and the searches that need undirected ones."""

import numpy as np

UNDIRECTED = ("articulation_points", "bridges", "mst_kruskal")


def matrix(nodes, edges, directed=True):
    """Adjacency matrix of edges written like "ab cd", or of (edge, weight)."""
    A = np.zeros((len(nodes), len(nodes)))
    for edge, weight in edges.items() if isinstance(edges, dict) else ((edge, 1) for edge in edges.split()):
        u, v = (nodes.index(node) for node in edge)
        A[u, v] = weight
        if not directed:
            A[v, u] = weight
    return A
