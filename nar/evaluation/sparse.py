"""Evaluation in the sparse layout: test sets of large graphs, and how they are cut into batches."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nar.datasets import canonical
from nar.evaluation import axes
from nar.traces.algorithm import Algorithm
from nar.traces.sparse import families, sampling
from nar.traces.sparse.trace import SparseTrace

BATCH_BYTES, GPU = 8 * 2**20, 12  # a batch is cut so that the messages of a step stay below this, on a GPU GPU times it


def parameters(algorithm: Algorithm, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for sampling.sample that draw this setting (axes.py); ValueError where it cannot be drawn."""
    if "density" in setting:
        raise ValueError("density is one of random graphs over all pairs of nodes; the sparse layout has families")
    if (family := setting.get("family", sampling.FAMILY)) not in families.TABLE:
        raise ValueError(f"family {family} is not drawn in the sparse layout; it has {', '.join(families.TABLE)}")
    found = axes.parameters(algorithm, setting)
    return {name: value for name, value in found.items() if name != "p"} | {"family": family}


def test_set(
    algorithm: Algorithm, size: int, samples: int, seed: int, setting: Mapping[str, Any]
) -> tuple[Iterable[SparseTrace], dict[str, Any]]:
    """Test traces and their manifest; they are drawn again whenever they are gone through."""
    params = parameters(algorithm, setting)

    class Drawn:
        def __iter__(self) -> Iterator[SparseTrace]:
            return sampling.draw(algorithm, size, samples, seed, params)

    digest = hashlib.sha256()
    for i in range(samples):  # of the inputs, from which all else follows
        inputs = sampling.sample(algorithm, np.random.RandomState([seed, size, i]), size, **params)
        graph = inputs.pop("A")
        for array in (graph.starts, graph.senders, graph.weights, *inputs.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
    manifest = canonical.manifest(algorithm, size, samples, seed, params, digest.hexdigest(), name="nar/sparse")
    return Drawn(), manifest | {"params": params}  # of its own sampler's, there are none


def portions(traces: Iterable[SparseTrace], features: int, device: str = "cpu") -> Iterator[list[SparseTrace]]:
    """The traces in portions of similar sizes that fit into memory as one batch each."""
    part: list[SparseTrace] = []
    taken, limit = 0, BATCH_BYTES * (1 if device == "cpu" else GPU)
    for trace in traces:
        size = len(trace.graph.senders) * features * 4
        alike = not part or max(p.nodes for p in (*part, trace)) <= 2 * min(p.nodes for p in (*part, trace))
        if part and (taken + size > limit or not alike):
            yield part
            part, taken = [], 0
        part.append(trace)
        taken += size
    if part:
        yield part
