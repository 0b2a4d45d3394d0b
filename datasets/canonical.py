"""Named benchmark sets, and sets of other sizes, each with a manifest that says exactly what is in it.

There are two generations of CLRS-30, under one name in the literature. Both draw with seeds 1, 2 and 3, sample after
sample from one RandomState, with the sampler's default parameters:

- `clrs30-v1`, the canonical one: the data published with dm-clrs 1.0.0. The length of a string-matching task counts the
  text alone; a pattern of a quarter of that comes on top: 20 nodes in training and validation, 80 in the test.
- `clrs30-v2`: what the samplers of dm-clrs 2 make of the same settings. The length counts text and pattern together,
  16 and 64 nodes, a fifth of them (3 and 12) the pattern.

The other 28 algorithms have the same data in both. (dm-clrs 1.0.0 had no `pivot` among the hints of quickselect.)
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nar.datasets import get
from nar.lookup import suggest
from nar.traces.algorithm import Algorithm
from nar.traces.inputs.options import integer
from nar.traces.trace import Trace


@dataclasses.dataclass(frozen=True)
class Split:
    """Seed, nodes and samples of one split; `multiplied` by the algorithm's num_samples_multiplier or not."""

    seed: int
    length: int
    samples: int
    multiplied: bool


CLRS30 = (
    "activity_selector", "articulation_points", "bellman_ford", "bfs", "binary_search", "bridges", "bubble_sort",
    "dag_shortest_paths", "dfs", "dijkstra", "find_maximum_subarray_kadane", "floyd_warshall", "graham_scan",
    "heapsort", "insertion_sort", "jarvis_march", "kmp_matcher", "lcs_length", "matrix_chain_order", "minimum",
    "mst_kruskal", "mst_prim", "naive_string_matcher", "optimal_bst", "quickselect", "quicksort", "segments_intersect",
    "strongly_connected_components", "task_scheduling", "topological_sort",
)  # fmt: skip

SETS = {
    "clrs30-v1": {
        "train": Split(seed=1, length=16, samples=1000, multiplied=False),
        "val": Split(seed=2, length=16, samples=32, multiplied=True),
        "test": Split(seed=3, length=64, samples=32, multiplied=True),
    }
}

SETS["clrs30-v2"] = SETS["clrs30-v1"]

# (set, split, algorithm) -> length and sampler parameters, where they differ from the split's and the sampler's own.
LENGTHS: dict[tuple[str, str, str], int] = {}
PARAMS: dict[tuple[str, str, str], dict[str, Any]] = {}
for _matcher in ("kmp_matcher", "naive_string_matcher"):
    for _split, _how in SETS["clrs30-v1"].items():
        LENGTHS["clrs30-v1", _split, _matcher] = _how.length + _how.length // 4
        PARAMS["clrs30-v1", _split, _matcher] = {"length_needle": _how.length // 4}


def canonical(set_name: str, split: str, algorithm: Algorithm | str) -> tuple[list[Trace], dict[str, Any]]:
    """All traces of one split of a benchmark set, and its manifest."""
    if set_name not in SETS:
        raise ValueError(suggest("benchmark set", str(set_name), SETS))
    if split not in SETS[set_name]:
        raise ValueError(suggest(f"split of {set_name}", str(split), SETS[set_name]))
    algorithm = get(algorithm) if isinstance(algorithm, str) else algorithm
    if algorithm.name not in CLRS30:
        raise ValueError(suggest(f"algorithm of {set_name}", algorithm.name, CLRS30, "fixed_set draws any other set"))
    how, key = SETS[set_name][split], (set_name, split, algorithm.name)
    samples = how.samples * (algorithm.num_samples_multiplier if how.multiplied else 1)
    length = LENGTHS.get(key, how.length)
    return fixed_set(algorithm, length, samples, how.seed, PARAMS.get(key), name=f"{set_name}/{split}")


def fixed_set(
    algorithm: Algorithm | str,
    n: int,
    samples: int,
    seed: int,
    params: dict[str, Any] | None = None,
    *,
    name: str = "fixed",
) -> tuple[list[Trace], dict[str, Any]]:
    """`samples` traces on n nodes drawn from RandomState(seed), and the manifest; `params` as given to `sample`."""
    algorithm = get(algorithm) if isinstance(algorithm, str) else algorithm
    traces = list(draw(algorithm, n, samples, seed, params))
    return traces, manifest(algorithm, n, samples, seed, params, content_hash(traces), name=name)


def draw(
    algorithm: Algorithm, n: int, samples: int, seed: int, params: dict[str, Any] | None = None
) -> Iterator[Trace]:
    """The traces of `fixed_set`, one by one: at 256 nodes a single trace of floyd_warshall takes 185 MB."""
    integer("samples", samples, 1)
    rng = np.random.RandomState(seed)
    return (algorithm.run(**algorithm.sample(rng, n, **(params or {}))) for _ in range(samples))


def manifest(
    algorithm: Algorithm, n: int, samples: int, seed: int, params: dict[str, Any] | None, sha256: str, *, name: str
) -> dict[str, Any]:
    """What a set is made of, ready for JSON; `params` are all of the sampler's, defaults included."""
    every = {**algorithm.params, **(params or {})}
    return {
        "set": name,
        "generator": f"nar {_version()}",
        "seed": int(seed),
        "length": int(n),
        "params": {key: list(value) if isinstance(value, tuple) else value for key, value in every.items()},
        "samples": int(samples),
        "sha256": sha256,
    }


def content_hash(traces: Iterable[Trace]) -> str:
    """SHA-256 over every probe of every trace: compact arrays, little-endian, by name, with type and shape."""
    digest = hashlib.sha256()
    for trace in traces:
        for name in sorted(trace.compact):
            array = trace.compact[name]
            array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
    return digest.hexdigest()


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("neural-algorithmic-reasoning")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
