"""The algorithms: one file each, or one per family sharing sampler and spec. Imported as `nar.datasets`.

To add one, write its file and add its line to the table below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if __name__ != "nar.datasets":
    raise ImportError(f"this folder is imported as nar.datasets, not as {__name__}; install nar with: pip install -e .")

from nar.names import suggest

if TYPE_CHECKING:
    from nar.algorithm import Algorithm

# name -> module:attribute, loaded on demand
TABLE = {
    "bellman_ford": "nar.datasets.bellman_ford:algorithm",
    "bfs": "nar.datasets.bfs:algorithm",
    "dag_shortest_paths": "nar.datasets.dag_shortest_paths:algorithm",
    "dijkstra": "nar.datasets.dijkstra:algorithm",
    "floyd_warshall": "nar.datasets.floyd_warshall:algorithm",
    "insertion_sort": "nar.datasets.insertion_sort:algorithm",
    "minimum": "nar.datasets.minimum:algorithm",
    "mst_prim": "nar.datasets.mst_prim:algorithm",
}


def names() -> list[str]:
    """Names of all algorithms, sorted."""
    return sorted(TABLE)


def get(name: str) -> Algorithm:
    """The algorithm of this name; ValueError with a suggestion if there is none."""
    if name not in TABLE:
        raise ValueError(suggest("algorithm", str(name), names(), "nar list"))
    module, attribute = TABLE[name].split(":")
    return getattr(importlib.import_module(module), attribute)
