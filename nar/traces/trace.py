"""Traces: what one run of an algorithm wrote down, in compact form (spec.py), and the one-hot form of dm-clrs."""

import dataclasses
import html
import importlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from nar.traces.run_length import RunLengthArray
from nar.traces.spec import IGNORED, POINTERS, Location, Probe, Spec, Stage, Type


def index_dtype(nodes: int) -> type:
    """The smallest signed type that holds every node index."""
    return np.int16 if nodes < 2**15 else np.int32


def compact_dtype(probe: Probe, nodes: int) -> type:
    if probe.type is Type.SCALAR:
        return np.float64
    return index_dtype(nodes) if probe.is_index else np.int8


@dataclasses.dataclass(eq=False, slots=True, repr=False)
class Trace:
    """One run of one algorithm: every probe by name, in the spec's order, in compact form; hints lead with the T axis.

    Hints on edges are kept as RunLengthArrays (run_length.py), everything else as arrays.

    `length` is T, the number of hint snapshots, the initial one included. `inputs`, `hints` and `outputs` are the same
    numbers in dm-clrs's shapes for one sample: one-hot rows, hints time-first, no batch axis.
    """

    algorithm: str
    spec: Spec
    nodes: int
    length: int
    compact: dict[str, Any]

    def __repr__(self) -> str:
        return f"Trace({self.algorithm}, nodes={self.nodes}, length={self.length})"

    def _repr_html_(self) -> str:
        """What notebooks show: the steps of a short trace, the first and the last of a long one."""
        text = importlib.import_module("nar.traces.drawing.text").text(self, steps=12)  # which reads traces
        return f'<pre style="max-height: 30em; overflow: auto">{html.escape(text)}</pre>'

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.INPUT)

    @property
    def hints(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.HINT)

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.OUTPUT)

    def _dense(self, stage: Stage) -> dict[str, np.ndarray]:
        return {
            name: to_dense(np.asarray(self.compact[name]), probe, self.nodes)
            for name, probe in self.spec.stage(stage).items()
        }

    @classmethod
    def from_dense(
        cls, algorithm: str, spec: Spec, inputs: Mapping[str, Any], hints: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> Self:
        """The trace with these dense forms; ValueError where they are not dm-clrs-shaped probes of `spec`."""
        given = {Stage.INPUT: inputs, Stage.HINT: hints, Stage.OUTPUT: outputs}
        for stage, arrays in given.items():
            want = spec.stage(stage)
            if set(arrays) != set(want):
                raise ValueError(f"{stage}s of {algorithm}: got {sorted(arrays)}, the spec requires {sorted(want)}")
        arrays = {name: np.asarray(given[probe.stage][name]) for name, probe in spec.items()}
        nodes = _count_nodes(spec, arrays)
        length = next((len(arrays[name]) for name in spec.hints if arrays[name].ndim), 0)
        compact = {}
        for name, probe in spec.items():
            leading = (length,) if probe.stage is Stage.HINT else ()
            want = (*leading, *probe.dense_shape(nodes))
            if arrays[name].shape != want:
                raise ValueError(f"probe {name} of {algorithm}: got shape {arrays[name].shape}, required {want}")
            compact[name] = as_stored(from_dense(arrays[name], probe, nodes, name), probe)
        return cls(algorithm, spec, nodes, length, compact)


def check_ranges(algorithm: str, spec: Spec, nodes: int, compact: Mapping[str, Any]) -> None:
    """ValueError where a probe in compact form holds what its type does not have: the node 9 of 8, a sixth class of
    five."""
    for name, probe in spec.items():
        (low, high), values = probe.limits(nodes), compact[name]
        found = values.values if isinstance(values, RunLengthArray) else values
        if probe.type is not Type.SCALAR and found.size and not (low <= found.min() and found.max() <= high):
            wrong = (np.asarray(values) < low) | (np.asarray(values) > high)
            place = np.unravel_index(int(wrong.argmax()), wrong.shape)
            at = f" at moment {place[0]}" if probe.stage is Stage.HINT else ""
            raise ValueError(
                f"{algorithm}: {name} is {np.asarray(values)[place]}{at}; a {probe.type} of "
                f"{f'{probe.classes} classes' if probe.classes else f'{nodes} nodes'} holds {low} to {high}"
            )


def is_run_length(probe: Probe) -> bool:
    """Is this probe kept as a RunLengthArray?"""
    return probe.stage is Stage.HINT and probe.location is Location.EDGE and probe.type is not Type.MASK_ONE


def as_stored(values: np.ndarray, probe: Probe) -> np.ndarray | RunLengthArray:
    """A probe's compact form as a trace keeps it."""
    return RunLengthArray.of(values) if is_run_length(probe) else values


def to_dense(compact: np.ndarray, probe: Probe, nodes: int) -> np.ndarray:
    """Compact to dense for any leading axes: pointers become int64, everything else float64."""
    if probe.type in (Type.MASK_ONE, Type.PERMUTATION_POINTER):
        return (compact[..., None] == np.arange(nodes)).astype(np.float64)
    if probe.type is Type.CATEGORICAL:
        dense = (compact[..., None] == np.arange(probe.classes)).astype(np.float64)
        dense[..., -1] -= compact == IGNORED  # an ignored row is marked by -1 in its last class
        return dense
    return compact.astype(np.int64 if probe.type in POINTERS else np.float64)


def from_dense(dense: np.ndarray, probe: Probe, nodes: int, name: str) -> np.ndarray:
    """Dense to compact; ValueError where the values are not of the probe's type. The shape has been checked."""
    dtype = compact_dtype(probe, nodes)
    if dense.dtype.kind not in "buif":
        raise ValueError(f"probe {name}: got dtype {dense.dtype}, required numbers")
    if not np.isfinite(dense).all():
        raise ValueError(f"probe {name}: got NaN or infinity, required finite numbers")
    if probe.type is Type.SCALAR:
        return dense.astype(dtype)
    if probe.dense_shape(nodes) == probe.shape(nodes):
        return _whole_numbers(dense, *probe.limits(nodes), name).astype(dtype)
    values = _whole_numbers(dense, -1, 1, name)
    if not (np.abs(values).sum(-1) == 1).all():
        raise ValueError(f"probe {name}: got rows that are not one-hot, required exactly one marked entry per row")
    index = np.abs(values).argmax(-1)
    ignored = values.sum(-1) == -1
    if probe.type is Type.CATEGORICAL:
        index[ignored] = IGNORED
    elif ignored.any():
        raise ValueError(f"probe {name}: got -1 in a {probe.type}, required 0 or 1")
    return index.astype(dtype)


def _whole_numbers(dense: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    values = dense.astype(np.int64)
    if (values != dense).any() or (values < low).any() or (values > high).any():
        raise ValueError(
            f"probe {name}: got values in [{dense.min()}, {dense.max()}], required whole numbers {low} to {high}"
        )
    return values


def _count_nodes(spec: Spec, arrays: Mapping[str, np.ndarray]) -> int:
    for name, probe in spec.items():
        hint = probe.stage is Stage.HINT
        if probe.dense_shape(1) and arrays[name].ndim > hint:
            return arrays[name].shape[int(hint)]
    raise ValueError("no probe of the spec has a node axis: the number of nodes is unknown")
