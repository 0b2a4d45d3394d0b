"""Traces as PyTorch Geometric data, and back.

A graph of N nodes and E edges becomes a `TraceData`; T hint snapshots may be padded:

    edge_index        [2, E]        the edges of a graph algorithm (`adj`, loops included); else all pairs, row by row
    input_<probe>     [N] on nodes, [1] on graphs, [N * N] on edges; but [E] for `A` of a graph algorithm
    output_<probe>    likewise
    hint_<probe>      likewise with a last axis for time; after the T-th moment, that one is repeated
    pair_index        [2, N * N]    all pairs, row by row: the rows of probes on edges, where there are any
    length            [1]           T
    algorithm, spec                 name, and JSON of probe -> stage, location, type, classes

Pointers are indices of nodes (int64), a mask_one the index of its node: [1], on edges [N], one per row. All of them
move along with `edge_index` when graphs are batched. `adj` of a graph algorithm is not stored again: it is
`edge_index`. Classes are int64, masks int8, both -1 where ignored.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset

from nar import datasets
from nar.datasets import canonical
from nar.traces.formats import npz
from nar.traces.spec import Location, Probe, Spec, Stage, Type
from nar.traces.trace import Trace, as_stored, compact_dtype


class TraceData(Data):
    """One trace as a graph. Batches of it (PyG's Batch, DataLoader) keep pointers right, and come apart again."""

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        probe = self._probe(key)
        if probe is None:
            return super().__inc__(key, value, *args, **kwargs)
        return self.num_nodes if probe.is_index else 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__cat_dim__(key, value, *args, **kwargs) if self._probe(key) is None else 0

    def _probe(self, key: str) -> Probe | None:
        """The probe that an attribute holds, None for attributes of PyG."""
        stage, _, name = key.partition("_")
        if stage not in tuple(Stage) or "spec" not in self:
            return None
        text = self.spec if isinstance(self.spec, str) else self.spec[0]  # of a batch: one for each graph
        probe = _spec(text).get(name)
        return probe if probe is not None and probe.stage == stage else None


def to_data(trace: Trace, *, steps: int | None = None, dtype: torch.dtype = torch.float64) -> TraceData:
    """The trace as a graph.

    `steps`: moments to pad hints to (default: none); `dtype`: of scalars, float64 loses nothing.
    """
    steps = trace.length if steps is None else steps
    if steps < trace.length:
        raise ValueError(f"steps must be at least the trace's length, {trace.length}, got {steps}")
    spec, nodes = trace.spec, trace.nodes
    edges = trace.compact["adj"] == 1 if _has_edges(spec) else np.ones((nodes, nodes), bool)
    if _has_edges(spec) and (trace.compact["adj"] < 0).any():
        raise ValueError("adj must be 0 or 1 everywhere, got -1 (ignored)")
    data = TraceData(edge_index=torch.from_numpy(np.stack(np.nonzero(edges))), num_nodes=nodes)
    data.algorithm, data.spec = trace.algorithm, json.dumps(spec.to_json())
    data.length = torch.tensor([trace.length])
    for name, probe in spec.items():
        if name == "adj" and _has_edges(spec):
            continue
        values = np.asarray(trace.compact[name])
        if probe.stage is Stage.HINT:
            values = np.moveaxis(values, 0, -1)
            padding = [(0, 0)] * (values.ndim - 1) + [(0, steps - trace.length)]
            values = np.pad(values, padding, mode="edge" if trace.length else "constant")
        if _on_edges(name, spec):
            if values[~edges].any():
                raise ValueError(f"{name} must be 0 where there is no edge, got a number elsewhere")
            values = values[edges]
        elif probe.location is Location.EDGE and probe.type is not Type.MASK_ONE:
            values = values.reshape(nodes * nodes, *values.shape[2:])
            data.pair_index = torch.from_numpy(np.indices((nodes, nodes)).reshape(2, -1))
        elif not probe.shape(nodes):
            values = values[None]
        tensor = torch.from_numpy(np.array(values))  # a copy: data and trace share no memory
        kind = {Type.SCALAR: dtype, Type.MASK: torch.int8}.get(probe.type, torch.int64)
        data[f"{probe.stage}_{name}"] = tensor.to(kind)
    return data


def from_data(data: Data) -> Trace:
    """The trace of one graph made by `to_data`, also of one taken from a batch."""
    if not isinstance(data, Data) or "spec" not in data or not isinstance(data.spec, str):
        raise ValueError("data must be one graph made by to_data; of a batch: each of batch.to_data_list()")
    spec, nodes, length = _spec(data.spec), int(data.num_nodes or 0), int(data.length)
    rows, columns = data["edge_index"].numpy(force=True)
    compact = {}
    for name, probe in spec.items():
        kind, shape = compact_dtype(probe, nodes), probe.shape(nodes)
        is_edges = name == "adj" and _has_edges(spec)
        values = np.ones(len(rows)) if is_edges else data[f"{probe.stage}_{name}"].numpy(force=True)
        if is_edges or _on_edges(name, spec):
            compact[name] = np.zeros((nodes, nodes), kind)
            compact[name][rows, columns] = values
            continue
        if probe.stage is Stage.HINT:
            values = np.moveaxis(values.reshape(*shape, values.shape[-1]), -1, 0)[:length]
        else:
            values = values.reshape(shape)
        compact[name] = as_stored(np.array(values, kind, order="C"), probe)
    return Trace(data.algorithm, spec, nodes, length, compact)


def to_batch(traces: Sequence[Trace], *, dtype: torch.dtype = torch.float64) -> Batch:
    """Traces of one algorithm, sizes mixed, as one batch; hints are padded to the longest."""
    names = sorted({trace.algorithm for trace in traces})
    if len(names) != 1:
        raise ValueError(f"traces must be of one algorithm, got {', '.join(names) or 'none'}")
    steps = max(trace.length for trace in traces)
    return Batch.from_data_list([to_data(trace, steps=steps, dtype=dtype) for trace in traces])


class TraceDataset(InMemoryDataset):
    """`samples` traces of an algorithm on n nodes, drawn from RandomState(seed) as the reference draws them.

    The traces are kept in an archive (npz.py) below `root`, named after everything that they depend on: the
    arguments, the version of nar, and the algorithm's own code. Scalars are float32 unless `dtype` says otherwise.
    """

    def __init__(
        self,
        root: str,
        algorithm: str,
        n: int,
        samples: int,
        seed: int = 0,
        params: Mapping[str, Any] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        transform: Callable | None = None,
    ) -> None:
        self.algorithm = datasets.get(algorithm)
        arguments = (self.algorithm, n, samples, seed, dict(params or {}))
        about = {**canonical.manifest(*arguments, "", name="pyg"), "version": npz.VERSION}
        about |= {"algorithm": algorithm, "spec": json.dumps(self.algorithm.spec.to_json())}
        about["code"] = self.algorithm.steps.__qualname__  # carries a hash of its sources: nar/traces/record.py
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        self._file = f"{algorithm}-n{n}-{key}.npz"
        super().__init__(root, transform)
        path = Path(self.processed_paths[0])
        # Not through `process`: PyG would keep pickles beside the file, and read them back.
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            traces, manifest = canonical.fixed_set(*arguments, name="pyg")
            npz.save(traces, path, manifest)
        traces = npz.load(path)
        self.manifest = npz.describe(path)["manifest"]
        steps = max(trace.length for trace in traces)
        self.data, self.slices = self.collate([to_data(trace, steps=steps, dtype=dtype) for trace in traces])

    @property
    def processed_file_names(self) -> str:
        return self._file


def _has_edges(spec: Spec) -> bool:
    """Are the edges of a graph among the inputs?"""
    return spec.get("adj") == Probe(Stage.INPUT, Location.EDGE, Type.MASK)


def _on_edges(name: str, spec: Spec) -> bool:
    """Does this probe live on the graph's edges alone?"""
    return _has_edges(spec) and name == "A" and spec[name] == Probe(Stage.INPUT, Location.EDGE, Type.SCALAR)


@functools.lru_cache(maxsize=256)
def _spec(text: str) -> Spec:
    return Spec(json.loads(text))
