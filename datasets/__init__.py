"""The algorithms: one file each, or one per family sharing sampler and spec. Imported as `nar.datasets`.

To add one, write its file and add its line to the table below.
"""

import difflib
import importlib

if __name__ != "nar.datasets":
    raise ImportError("this folder is imported as nar.datasets: run `pip install -e .`, then `import nar.datasets`")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nar.trace import Algorithm

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


def get(name: str) -> "Algorithm":
    """The algorithm of this name."""
    if name not in TABLE:
        close = difflib.get_close_matches(str(name), TABLE, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown algorithm {name!r}; {hint}(known: {', '.join(names())})")
    module, attribute = TABLE[name].split(":")
    return getattr(importlib.import_module(module), attribute)
