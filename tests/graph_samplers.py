"""Algorithms that sample graphs, and graphs of a family, for test_families.py and test_samplers.py."""

import networkx as nx
import numpy as np

import nar.datasets
from nar.traces.inputs import families

SIZES = (1, 2, 3, 4, 5, 7, 12, 30)
CONNECTED = set(families.TABLE) - {"random_geometric", "community"}
SAMPLED = {name: nar.datasets.get(name) for name in nar.datasets.names()}
SAMPLED = {name: algorithm for name, algorithm in SAMPLED.items() if {"family", "options"} <= set(algorithm.params)}
WEIGHTED = [name for name, algorithm in SAMPLED.items() if "law" in algorithm.params]
OWN = ("bellman_ford", "bfs", "dag_shortest_paths", "dfs", "dijkstra", "eccentricity", "floyd_warshall",
       "maximal_independent_set", "mst_prim")  # fmt: skip


def rng(seed=0):
    return np.random.RandomState(seed)


def drawn(family, n, seed=0, **options):
    return families.draw(rng(seed), n, family, options)


def graph(family, n, seed=0, **options):
    return nx.from_numpy_array(drawn(family, n, seed, **options))
