"""Named benchmark sets, and sets of other sizes, each with a manifest that says exactly what is in it.

`clrs30-v1` is the canonical CLRS-30 data (the tarball of dm-clrs 1.0.0 and the generator of its versions 2): seeds 1, 2
and 3, drawn one after the other from one RandomState with the sampler's default parameters. The two string matchers of
that set have 80 nodes and a needle of 16 in the test set: such exceptions belong into `LENGTHS` and `PARAMS`.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nar.algorithm import Algorithm
from nar.datasets import get
from nar.names import suggest
from nar.trace import Trace


@dataclasses.dataclass(frozen=True)
class Split:
    """Seed, nodes and samples of one split; `multiplied` by the algorithm's num_samples_multiplier or not."""

    seed: int
    length: int
    samples: int
    multiplied: bool


SETS = {
    "clrs30-v1": {
        "train": Split(seed=1, length=16, samples=1000, multiplied=False),
        "val": Split(seed=2, length=16, samples=32, multiplied=True),
        "test": Split(seed=3, length=64, samples=32, multiplied=True),
    }
}

# (set, split, algorithm) -> length and sampler parameters, where they differ from the split's and the sampler's own.
LENGTHS: dict[tuple[str, str, str], int] = {}
PARAMS: dict[tuple[str, str, str], dict[str, Any]] = {}


def canonical(set_name: str, split: str, algorithm: Algorithm | str) -> tuple[list[Trace], dict[str, Any]]:
    """All traces of one split of a benchmark set, and its manifest."""
    if set_name not in SETS:
        raise ValueError(suggest("benchmark set", str(set_name), SETS))
    if split not in SETS[set_name]:
        raise ValueError(suggest(f"split of {set_name}", str(split), SETS[set_name]))
    algorithm = get(algorithm) if isinstance(algorithm, str) else algorithm
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
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise ValueError(f"samples must be a positive integer, got {samples!r}")
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
