"""Training steps as CUDA graphs: the kernels of a step are recorded once for each shape of batch and replayed.

These models are small, and on a GPU a step spends most of its time launching hundreds of kernels. A graph launches them
all at once. It reads its data from fixed places, so batches are copied there, and their lengths are rounded up to few
different ones; what is said after a sample's last step counts nowhere (nar/fixed.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nar.batch import Batch
from nar.learner import Stacked

WARM_UPS = 2  # steps of a new shape that are computed without a graph, in which libraries choose their kernels
GRAPHS = 64  # shapes that are recorded at most

Recorder = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]


def rounded(number: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: at most half more."""
    if number <= 2:
        return number
    power = 1 << (number - 1).bit_length()  # the next power of two
    return power * 3 // 4 if number <= power * 3 // 4 else power


class Recorded(Stacked):
    """Stacked, or a single run, with every step that has the shape of an earlier one replayed from a CUDA graph."""

    def __init__(self, *arguments: Any, recorder: Recorder | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.record = recorder or record
        self.seen: dict[tuple, int] = {}
        self.graphs: dict[tuple, tuple[dict[str, Any], Callable[[], None], Tensor]] = {}
        self.usable = True

    def shape(self, batches: Sequence[Batch]) -> tuple[int, int]:
        moments, runs = super().shape(batches)
        return rounded(moments - 1) + 1, rounded(runs)

    def step(self, batches: Sequence[Batch], step: int, *, task: int = 0, progress: float = 1.0) -> Tensor:
        shape, first = self.shape(batches), batches[0]
        key = (first.algorithm, first.nodes, *shape)
        data = self.data(batches, step, task, shape)
        if key not in self.graphs:
            self.seen[key] = self.seen.get(key, 0) + 1
            if not self.usable or self.seen[key] <= WARM_UPS or len(self.graphs) == GRAPHS:
                return self.update(data, first.algorithm, first.spec, first.nodes, shape[0], progress)
            try:
                self.graphs[key] = (
                    data,
                    *self.record(
                        lambda: self.update(data, first.algorithm, first.spec, first.nodes, shape[0], progress)
                    ),
                )
            except RuntimeError as error:
                self.usable = False
                warnings.warn(
                    f"training goes on without CUDA graphs, more slowly: {str(error).splitlines()[0]}", stacklevel=2
                )
                return self.update(data, first.algorithm, first.spec, first.nodes, shape[0], progress)
        place, replay, losses = self.graphs[key]
        _copy(place, data)
        replay()
        return losses.clone()


def record(step: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """A function that computes the step again with the same kernels, and the tensor its result is in.

    The step is recorded, not computed.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()
    return graph.replay, result


def _copy(place: Any, data: Any) -> None:
    """Nested data into the same nested data elsewhere."""
    if isinstance(place, dict):
        for name, part in place.items():
            _copy(part, data[name])
    elif isinstance(place, list):
        for mine, theirs in zip(place, data, strict=True):
            _copy(mine, theirs)
    elif place is not data:
        place.copy_(data)
