"""Traces on edges as one batch: graphs of any sizes, their edges as one list.

Nodes are [B, N] with room for the largest graph, edges [E]. Hints are read moment by moment: `batch.hints[name][t]`
makes the tensor of moment t, where graphs that have ended keep their last one.

Shapes: B graphs, N nodes of the largest, E edges of all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.model.batch import Batch, random_positions, training_spec
from nar.model.schedule import SortedLengths
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList
from nar.traces.sparse.changes import Changes, Cursor
from nar.traces.sparse.trace import SparseTrace, check_spec
from nar.traces.spec import POINTERS, Location, Probe, Stage, Type
from nar.traces.trace import compact_dtype


class EveryoneStays(SortedLengths):
    """Graphs that have ended stay in the batch, whose edges are one list; what is said after their end counts nowhere.

    `output_step`: everyone takes one step more, which reads the outputs off the last hints.
    """

    samples_leave = False

    def __init__(self, lengths: Sequence[int], output_step: bool = False) -> None:
        super().__init__(lengths)
        self.more = int(output_step)
        self.steps = self.lengths[0] if output_step else self.steps

    def with_output_step(self) -> EveryoneStays:
        return EveryoneStays(self.lengths, output_step=True)

    def num_running(self, step: int) -> int:
        return len(self)

    def num_with_hint(self, step: int) -> int:
        return len(self) if self.lengths[0] > step + 1 else 0

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.tensor([step == 0 or length + self.more > step + 1 for length in self.lengths], device=device)

    def ends(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.tensor([max(0, length + self.more - 2) == step for length in self.lengths], device=device)

    def with_hint(self, step: int, device: torch.device | None = None) -> Tensor:
        """Which graphs [B] have hints of the moment after `step`."""
        return torch.tensor([length > step + 1 for length in self.lengths], device=device)


class Moments:
    """A hint of all graphs of a batch, [moment] by moment."""

    def __init__(self, changes: Sequence[Changes], now: np.ndarray, starts: Sequence[int]) -> None:
        """`now`: room for a moment, with what nodes have that do not exist; `starts`: where each graph begins in it."""
        self.made_of = changes, now.copy(), starts
        self.now, flat = now, now.reshape(-1)
        self.cursors = [
            Cursor(one, flat[start : start + len(one.first)]) for one, start in zip(changes, starts, strict=True)
        ]
        self.device: torch.device | str = "cpu"

    def __getitem__(self, key: int | tuple[int, slice]) -> Tensor:
        """A moment, or some of the graphs' rows of it."""
        moment, *rest = key if isinstance(key, tuple) else (key,)
        for cursor in self.cursors:
            cursor.at(moment)
        return _tensor(self.now.copy()).to(self.device)[tuple(rest)]

    def __reduce__(self) -> Any:
        return Moments, self.made_of  # on its way from another process: cursors write into `now`

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Moments:
        """The same with tensors on another device; what is kept stays where it is."""
        self.device = device
        return self

    def pin_memory(self) -> Moments:
        return self

    def record_stream(self, stream: Any) -> None:
        return None


@dataclasses.dataclass
class SparseBatch(Batch):
    """Inputs [B], [B, N] or [E], hints as Moments, outputs like inputs; `edges`: which there are."""

    edges: EdgeList = dataclasses.field(kw_only=True)

    def with_lengths(self, lengths: Sequence[int]) -> SparseBatch:
        return dataclasses.replace(self, schedule=EveryoneStays(lengths))

    def map(self, change: Callable[[Tensor], Tensor]) -> SparseBatch:
        return dataclasses.replace(super().map(change), edges=self.edges.map(change))  # type: ignore[type-var]

    def entries(self, probe: Probe, graphs_B: Tensor) -> Tensor:
        """Which entries of a probe there are, of these graphs: [B], [B, N] or [E]."""
        if probe.location is Location.EDGE:
            return graphs_B.index_select(0, self.edges.graph)
        if probe.location is Location.NODE and probe.type is not Type.MASK_ONE:
            return self.edges.exists & graphs_B.unsqueeze(1)
        return graphs_B

    def all_of(self, probe: Probe, true: Tensor) -> Tensor:
        """For which graphs [B] every entry is true."""
        if probe.location is Location.EDGE:
            return segments.reduce((~true).double(), "sum", self.edges.bounds) == 0
        if probe.location is Location.NODE and probe.type is not Type.MASK_ONE:
            return (true | ~self.edges.exists).all(1)
        return true


def collate(
    traces: Sequence[SparseTrace], algorithm: Any, *, random_pos: np.random.RandomState | None = None
) -> SparseBatch:
    """Traces on edges, of one algorithm and any sizes, as one batch (on the CPU); see nar.model.batch.collate."""
    spec = traces[0].spec
    check_spec(algorithm.name, spec)
    order = sorted(range(len(traces)), key=lambda i: -traces[i].length)
    traces = [traces[i] for i in order]
    nodes, graphs = max(trace.nodes for trace in traces), len(traces)
    edges = EdgeList.of([(t.nodes, torch.from_numpy(np.stack([t.graph.senders, t.graph.receivers]))) for t in traces])
    bounds = edges.bounds.tolist()
    data: dict[Stage, dict[str, Any]] = {stage: {} for stage in Stage}
    for name, probe in spec.items():
        parts = [trace.compact[name] for trace in traces]
        on_nodes = probe.location is Location.NODE and probe.type is not Type.MASK_ONE
        if probe.location is Location.EDGE:
            shape, starts = (len(edges),), bounds[:-1]
        else:
            shape = (graphs, nodes) if on_nodes else (graphs,)
            starts = [b * nodes for b in range(graphs)] if on_nodes else list(range(graphs))
        joined = np.zeros(shape, compact_dtype(probe, nodes))
        if on_nodes and probe.type in POINTERS:  # nodes that do not exist point to themselves
            joined[...] = np.arange(nodes)
        if probe.stage is Stage.HINT:
            data[Stage.HINT][name] = Moments(parts, joined, starts)
            continue
        if name == "pos" and random_pos is not None:
            parts = [random_positions(part[None], random_pos)[0] for part in parts]
        flat = joined.reshape(-1)
        for start, part in zip(starts, parts, strict=True):
            flat[start : start + np.size(part)] = part
        data[probe.stage][name] = _tensor(joined)
    return SparseBatch(
        algorithm=algorithm.name,
        spec=training_spec(algorithm, "sparse"),
        nodes=nodes,
        inputs=data[Stage.INPUT],
        hints=data[Stage.HINT],
        outputs=data[Stage.OUTPUT],
        schedule=EveryoneStays([trace.length for trace in traces]),
        order=order,
        edges=edges,
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) if values.dtype == np.float64 else values)
