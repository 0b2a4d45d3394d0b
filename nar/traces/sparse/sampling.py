"""Inputs of algorithms on sparse graphs: a graph of a family, weights, a source, as each of them takes.

Graphs are undirected, as in SALSA-CLRS, but where cycles are forbidden; the two directions of an edge share one weight,
of the laws of nar/traces/inputs/weights.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import weights
from nar.traces.sparse import families
from nar.traces.sparse.graph import SparseGraph
from nar.traces.sparse.trace import SparseTrace

FAMILY = "sparse_erdos_renyi"  # on which one trains


def sample(algorithm: Algorithm, rng: np.random.RandomState, n: int, **params: Any) -> dict[str, Any]:
    """Arguments of `run_on_edges`, drawn from `rng`.

    `params`: family and its options; where the algorithm takes weights, law, low, high and scale, as its own sampler.
    """
    algorithm.check_on_edges()
    params = dict(params)
    pairs = families.draw(rng, n, params.pop("family", FAMILY), params.pop("options", None))
    weighted, numbers = "law" in algorithm.params, None
    if unknown := sorted(params.keys() - ({"law", "low", "high", "scale"} if weighted else set())):
        raise ValueError(f"{algorithm.name} takes no parameter {unknown[0]!r} in the sparse layout")
    if weighted:
        numbers = weights.draw(rng, pairs.shape[1:], symmetric=True, **params)
    if algorithm.acyclic:  # every edge leads from the earlier to the later node of a random order
        rank = rng.permutation(n)
        pairs = np.where(rank[pairs[0]] < rank[pairs[1]], pairs, pairs[::-1])
    else:
        pairs, numbers = np.concatenate([pairs, pairs[::-1]], axis=1), None if numbers is None else np.tile(numbers, 2)
    found: dict[str, Any] = {"A": SparseGraph.of(n, pairs, numbers)}
    if "s" in algorithm.arguments:
        found["s"] = int(rng.randint(n))
    if "randomness" in algorithm.arguments:
        found["randomness"] = rng.uniform(size=n)
    return found


def draw(
    algorithm: Algorithm, n: int, samples: int, seed: int, params: Mapping[str, Any] | None = None
) -> Iterator[SparseTrace]:
    """Traces one by one, each from a seed of its own: the i-th is the same whatever comes before it."""
    for i in range(samples):
        yield algorithm.run_on_edges(**sample(algorithm, np.random.RandomState([seed, n, i]), n, **(params or {})))
