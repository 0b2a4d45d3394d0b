"""One run of an algorithm on a sparse graph: the counterpart of nar.Trace."""

import dataclasses
from typing import Any

import numpy as np

from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import POINTERS, Location, Probe, Spec, Type
from nar.traces.trace import compact_dtype


@dataclasses.dataclass(eq=False, slots=True, repr=False)
class SparseTrace:
    """Every probe by name, in the spec's order. Inputs and outputs are arrays, hints `Changes`.

    Compact as in nar/traces/spec.py, but what lives on edges has one number for each edge of the graph. `length` is T,
    the number of hint snapshots, the initial one included.
    """

    algorithm: str
    spec: Spec
    graph: SparseGraph
    length: int
    compact: dict[str, Any]

    @property
    def nodes(self) -> int:
        return len(self.graph)

    def __repr__(self) -> str:
        return f"SparseTrace({self.algorithm}, nodes={self.nodes}, length={self.length})"


def check_spec(algorithm: str, spec: Spec) -> None:
    """ValueError where a probe needs all pairs of nodes."""
    for name, probe in spec.items():
        pairs = probe.location is Location.EDGE and (probe.type in POINTERS or probe.type is Type.MASK_ONE)
        if pairs or probe.type in (Type.PERMUTATION_POINTER, Type.SHOULD_BE_PERMUTATION):
            raise ValueError(
                f"{algorithm} cannot run in the sparse layout: {name} chooses among all nodes, not along edges"
            )


def first_value(probe: Probe, graph: SparseGraph) -> np.ndarray:
    """What a hint is before anything has happened: pointers to oneself, else zeros."""
    nodes = len(graph)
    size = len(graph.senders) if probe.location is Location.EDGE else int(np.prod(probe.shape(nodes)))
    dtype = compact_dtype(probe, nodes)
    return np.arange(nodes, dtype=dtype) if probe.type in POINTERS and size == nodes else np.zeros(size, dtype)
