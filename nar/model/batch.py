"""Traces of equal size, stacked, padded in time and moved to the device as one Batch.

The transforms of the CLRS protocol (Ibarz et al. 2022) happen here, on the compact form of spec.py:

- `pos`, given as i/n, is replaced by sorted uniform numbers (training and validation), sorted per segment of a string;
- a hint `pred_h` that never changes becomes the input `pred`, where the algorithm says so;
- predecessor pointers that sort (`should_be_permutation`) become a permutation: the first node points to the last, and
  a mask_one `<name>_mask` marks the first.

Samples are ordered by length, longest first, so that a rollout can drop finished ones from the end.

Shapes: B graphs, N nodes, T hint snapshots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.model.schedule import Schedule, SortedLengths
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Location, Probe, Spec, Stage, Type
from nar.traces.trace import is_run_length

PRED_AS_INPUT = ("pred_h", "pred")  # the hint that becomes an input, and the input's name


@dataclasses.dataclass
class Batch:
    """Inputs [B, ...], hints [T, B, ...], outputs [B, ...] in compact form, and their schedule.

    Hints on edges are RunLengthArrays (nar/traces/run_length.py): every matrix once, and per moment and sample which of
    them holds.
    """

    algorithm: str
    spec: Spec
    nodes: int
    inputs: dict[str, Tensor]
    hints: dict[str, Any]
    outputs: dict[str, Tensor]
    schedule: Schedule  # who takes which step
    order: list[int]  # order[b] is the place in the given traces of sample b
    # of parts of traces (training/moments.py): whose outputs are learned [B] (None: everyone's), whose first hints are
    # those of the moment before (None: nobody's), and where marks of hints, in their order, were before [B, M, N]
    ends: Tensor | None = dataclasses.field(default=None, kw_only=True)
    unchanged: Tensor | None = dataclasses.field(default=None, kw_only=True)
    trails: Tensor | None = dataclasses.field(default=None, kw_only=True)
    # what this is a share of, where several processes compute one batch; it stays on the CPU
    whole: Batch | None = dataclasses.field(default=None, kw_only=True, repr=False)

    def __len__(self) -> int:
        return len(self.schedule)

    @property
    def steps(self) -> int:
        """Rollout steps of the longest sample."""
        return self.schedule.steps

    @property
    def lengths(self) -> list[int]:
        """Hint snapshots per sample, the initial one included, in falling order; of sorted lengths only."""
        assert isinstance(self.schedule, SortedLengths)
        return self.schedule.lengths

    def with_lengths(self, lengths: Sequence[int]) -> Batch:
        """The same samples with other lengths, in falling order."""
        return dataclasses.replace(self, schedule=SortedLengths(lengths))

    def rows(self, which: Sequence[int]) -> Batch:
        """The batch of some of the samples, in rising order."""
        lengths = [self.lengths[b] for b in which]
        index = torch.tensor(list(which))

        def cut(value: Any) -> Any:
            if isinstance(value, RunLengthArray):
                return RunLengthArray(value.values, value.index[: lengths[0], index])
            return value[: lengths[0], index]

        return dataclasses.replace(
            self,
            inputs={name: value[index] for name, value in self.inputs.items()},
            hints={name: cut(value) for name, value in self.hints.items()},
            outputs={name: value[index] for name, value in self.outputs.items()},
            schedule=SortedLengths(lengths),
            order=[self.order[b] for b in which],
            **{name: value[index] for name, value in self.facts().items()},
        )

    def facts(self) -> dict[str, Tensor]:
        """What is known of samples that are parts of traces."""
        found = {"ends": self.ends, "unchanged": self.unchanged, "trails": self.trails}
        return {name: value for name, value in found.items() if value is not None}

    def entries(self, probe: Probe, graphs_B: Tensor) -> Tensor:
        """Which entries of a probe there are, of these graphs."""
        return graphs_B

    @staticmethod
    def all_of(probe: Probe, true: Tensor) -> Tensor:
        """For which graphs [B] every entry is true."""
        return true.reshape(len(true), -1).all(1)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))

    def pinned(self) -> Batch:
        """The same batch in memory that a GPU can copy from while it computes."""
        return self.map(lambda value: value.pin_memory())

    def used_on(self, stream: torch.cuda.Stream) -> Batch:
        """Tell the allocator that a stream other than the one it was made on reads this batch."""

        def record(value: Tensor) -> Tensor:
            value.record_stream(stream)
            return value

        return self.map(record)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""

        def changed(data: dict[str, Any]) -> dict[str, Any]:
            return {
                name: RunLengthArray(change(value.values), change(value.index))
                if isinstance(value, RunLengthArray)
                else change(value)
                for name, value in data.items()
            }

        parts = {part: changed(getattr(self, part)) for part in ("inputs", "hints", "outputs")}
        return dataclasses.replace(self, **parts, **changed(self.facts()))


def training_spec(algorithm: Any, layout: str = "dense") -> Spec:
    """The algorithm's spec after the protocol's transforms: what a Reasoner encodes and decodes."""
    probes: dict[str, Probe] = {}
    spec = (layout == "sparse" and algorithm.spec_on_edges) or algorithm.spec
    for name, probe in spec.items():
        if name == PRED_AS_INPUT[0] and algorithm.pred_as_input:
            probes[PRED_AS_INPUT[1]] = dataclasses.replace(probe, stage=Stage.INPUT)
        elif probe.type is Type.SHOULD_BE_PERMUTATION:
            probes[name] = dataclasses.replace(probe, type=Type.PERMUTATION_POINTER)
            probes[f"{name}_mask"] = dataclasses.replace(probe, type=Type.MASK_ONE)
        else:
            probes[name] = probe
    of_edges = (Stage.INPUT, Location.EDGE, Type.SCALAR)
    indicators = [name for name, p in probes.items() if (p.stage, p.location, p.type) == of_edges]
    return Spec(probes, indicators if algorithm.unweighted else ())


def cyclic_predecessors(pointers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predecessor pointers [..., N] as a cycle (first node points to the last), and the index [...] of the first.

    Exactly one node, the first, points to itself; exactly one, the last, is pointed at by no other node.
    """
    first = (pointers == np.arange(pointers.shape[-1])).argmax(-1)
    pointed = np.zeros(pointers.shape, bool)
    np.put_along_axis(pointed, pointers.astype(np.int64), True, -1)
    last = pointed.argmin(-1)
    cycle = pointers.copy()
    np.put_along_axis(cycle, first[..., None], last[..., None].astype(pointers.dtype), -1)
    return cycle, first


def random_positions(pos_BN: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Sorted uniform numbers in place of `pos`, drawn and sorted per segment; a segment starts where pos is 0."""
    drawn = rng.uniform(size=pos_BN.shape)
    segments_BN = (pos_BN == 0).cumsum(1)
    return np.take_along_axis(drawn, np.lexsort((drawn, segments_BN)), 1)


def collate(traces: Sequence[Any], algorithm: Any, *, random_pos: np.random.RandomState | None = None) -> Batch:
    """Stack traces of one algorithm and one size into a Batch (on the CPU).

    `random_pos`: the generator that replaces positions, or None to keep them.
    Raises ValueError where sizes differ or a `pred_h` that should be constant is not.
    """
    sizes = {trace.nodes for trace in traces}
    if len(sizes) != 1:
        raise ValueError(f"a batch needs graphs of one size, got {sorted(sizes)}; make one batch per size")
    order = sorted(range(len(traces)), key=lambda i: -traces[i].length)
    traces = [traces[i] for i in order]
    lengths = [trace.length for trace in traces]
    spec = algorithm.spec
    data: dict[Stage, dict[str, Any]] = {stage: {} for stage in Stage}
    for name, probe in spec.items():
        parts = [trace.compact[name] for trace in traces]
        if probe.stage is Stage.HINT and name == PRED_AS_INPUT[0] and algorithm.pred_as_input:
            if any((part != part[0]).any() for part in parts):
                raise ValueError(f"{algorithm.name}: hint {name} changes over time and cannot be an input")
            data[Stage.INPUT][PRED_AS_INPUT[1]] = np.stack([part[0] for part in parts])
        elif is_run_length(probe):
            data[Stage.HINT][name] = _joined(parts, lengths)
        elif probe.stage is Stage.HINT:
            stacked = np.zeros((lengths[0], len(parts), *parts[0].shape[1:]), parts[0].dtype)
            for b, part in enumerate(parts):
                stacked[: lengths[b], b] = part
            data[Stage.HINT][name] = stacked
        else:
            data[probe.stage][name] = np.stack(parts)
    for name, probe in spec.items():
        if probe.type is Type.SHOULD_BE_PERMUTATION:
            values = data[probe.stage]
            values[name], values[f"{name}_mask"] = cyclic_predecessors(values[name])
    if random_pos is not None and "pos" in data[Stage.INPUT]:
        data[Stage.INPUT]["pos"] = random_positions(data[Stage.INPUT]["pos"], random_pos)

    def tensors(values: dict[str, Any]) -> dict[str, Any]:
        return {name: _tensor(v) for name, v in values.items()}

    return Batch(
        algorithm=algorithm.name,
        spec=training_spec(algorithm),
        nodes=sizes.pop(),
        inputs=tensors(data[Stage.INPUT]),
        hints=tensors(data[Stage.HINT]),
        outputs=tensors(data[Stage.OUTPUT]),
        schedule=SortedLengths(lengths),
        order=order,
    )


def _joined(parts: Sequence[RunLengthArray], lengths: Sequence[int]) -> RunLengthArray:
    """The runs of several samples as those of a batch; a sample that has ended keeps its last value."""
    index = np.empty((max(lengths), len(parts)), np.int64)
    first = 0
    for b, part in enumerate(parts):
        index[: lengths[b], b] = part.index
        index[lengths[b] :, b] = part.index[-1]
        index[:, b] += first
        first += len(part.values)
    return RunLengthArray(np.concatenate([part.values for part in parts]), index)


def _tensor(value: Any) -> Any:
    if isinstance(value, RunLengthArray):
        return RunLengthArray(_tensor(value.values), torch.from_numpy(value.index))
    return torch.from_numpy(value.astype(np.float32) if value.dtype == np.float64 else np.ascontiguousarray(value))


def draw(algorithm: Any, nodes: int, samples: int, *, seed: Sequence[int], random_pos: bool, **params: Any) -> Batch:
    """A batch drawn on the fly: a pure function of its arguments, whichever process or run makes it.

    `seed` is a sequence of integers, for example (run seed, stream, step).
    """
    rng = np.random.RandomState(list(seed))
    traces = [algorithm.run(**algorithm.sample(rng, nodes, **params)) for _ in range(samples)]
    return collate(traces, algorithm, random_pos=rng if random_pos else None)
