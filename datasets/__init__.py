"""The algorithms: one file each, or one per family sharing sampler and spec. Imported as `nar.datasets`.

To add one, write its file and add its line to the table below.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import TYPE_CHECKING

if __name__ != "nar.datasets":
    raise ImportError(f"this folder is imported as nar.datasets, not as {__name__}; install nar with: pip install -e .")

from nar.lookup import address_of, addressed, suggest

if TYPE_CHECKING:
    from nar.traces.algorithm import Algorithm

# name -> module:attribute, loaded on demand
TABLE = {
    "activity_selector": "nar.datasets.activity_selector:algorithm",
    "articulation_points": "nar.datasets.articulation_points:algorithm",
    "automaton": "nar.datasets.automaton:algorithm",
    "bellman_ford": "nar.datasets.bellman_ford:algorithm",
    "bfs": "nar.datasets.bfs:algorithm",
    "binary_search": "nar.datasets.binary_search:algorithm",
    "bridges": "nar.datasets.bridges:algorithm",
    "bubble_sort": "nar.datasets.bubble_sort:algorithm",
    "dag_shortest_paths": "nar.datasets.dag_shortest_paths:algorithm",
    "dfs": "nar.datasets.dfs:algorithm",
    "dijkstra": "nar.datasets.dijkstra:algorithm",
    "dominators": "nar.datasets.dominators:algorithm",
    "eccentricity": "nar.datasets.eccentricity:algorithm",
    "find_maximum_subarray": "nar.datasets.find_maximum_subarray:algorithm",
    "find_maximum_subarray_kadane": "nar.datasets.find_maximum_subarray_kadane:algorithm",
    "floyd_warshall": "nar.datasets.floyd_warshall:algorithm",
    "graham_scan": "nar.datasets.graham_scan:algorithm",
    "heapsort": "nar.datasets.heapsort:algorithm",
    "insertion_sort": "nar.datasets.insertion_sort:algorithm",
    "jarvis_march": "nar.datasets.jarvis_march:algorithm",
    "kmp_matcher": "nar.datasets.kmp_matcher:algorithm",
    "lcs_length": "nar.datasets.lcs_length:algorithm",
    "liveness": "nar.datasets.liveness:algorithm",
    "matrix_chain_order": "nar.datasets.matrix_chain_order:algorithm",
    "maximal_independent_set": "nar.datasets.maximal_independent_set:algorithm",
    "minimum": "nar.datasets.minimum:algorithm",
    "mst_kruskal": "nar.datasets.mst_kruskal:algorithm",
    "mst_prim": "nar.datasets.mst_prim:algorithm",
    "naive_string_matcher": "nar.datasets.naive_string_matcher:algorithm",
    "optimal_bst": "nar.datasets.optimal_bst:algorithm",
    "quickselect": "nar.datasets.quickselect:algorithm",
    "quicksort": "nar.datasets.quicksort:algorithm",
    "reachability": "nar.datasets.reachability:algorithm",
    "segments_intersect": "nar.datasets.segments_intersect:algorithm",
    "strongly_connected_components": "nar.datasets.strongly_connected_components:algorithm",
    "task_scheduling": "nar.datasets.task_scheduling:algorithm",
    "topological_sort": "nar.datasets.topological_sort:algorithm",
}


def names() -> list[str]:
    """Names of all algorithms, sorted."""
    return sorted(TABLE)


@functools.cache
def get(name: str) -> Algorithm:
    """The algorithm of this name, or your own behind `module:name`; ValueError with a suggestion if there is none.

    Your own is named by its address, so that runs and checkpoints find it again.
    """
    from nar.traces.algorithm import Algorithm

    if name in TABLE:
        return addressed("algorithm", TABLE[name], "")
    if isinstance(name, str) and name.partition("-")[0] == "automaton":  # with the rule that its name says
        return importlib.import_module("nar.datasets.automaton").named(name)
    if not isinstance(name, str) or ":" not in name:
        if meant := address_of(str(name)):
            raise ValueError(f"unknown algorithm {name!r}; did you mean {meant!r}?")
        raise ValueError(suggest("algorithm", str(name), names(), "nar list, or my_module:algorithm for your own"))
    found = addressed("algorithm", name, "my_module:algorithm")
    if not isinstance(found, Algorithm):
        module, attribute = name.split(":", 1)
        raise ValueError(
            f"algorithm {name!r}: {attribute} in {module} is a {type(found).__name__}, not a nar.Algorithm"
        )
    return dataclasses.replace(found, name=name)
