"""Training steps as CUDA graphs: the kernels of a step are recorded once for each shape of batch and replayed.

These models are small, and on a GPU a step spends most of its time launching hundreds of kernels. A graph launches them
all at once. It reads its data from fixed places, so batches are copied there, and their lengths are rounded up to few
different ones; what is said after a sample's last step counts nowhere (fixed_shapes.py).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from nar.config import Config
from nar.model.batch import Batch
from nar.model.reasoner import Reasoner
from nar.training.learner import StackedLearner
from nar.training.optimizer.chosen import follow

WARM_UPS = 2  # steps of a new shape that are computed without a graph, in which libraries choose their kernels
GRAPHS = 64  # shapes that are recorded at most

Compute = Callable[[], Tensor]


class CudaGraphRecorder:
    """Computes and records steps. All graphs share their memory: no two run at once, results are copied out at once."""

    def __init__(self, device: torch.device) -> None:
        # what autograd prepares belongs to the stream of its first use, and the default stream cannot be recorded
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def warm_up(self, step: Compute) -> Tensor:
        """The step, computed."""
        before = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(before)
        with torch.cuda.stream(self.stream):
            result = step()
        before.wait_stream(self.stream)
        return result

    def record(self, step: Compute) -> tuple[Callable[[], None], Tensor]:
        """A function that computes the step again, and the tensor its result is in; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: the prefetcher's thread allocates and copies meanwhile
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            result = step()
        return graph.replay, result


def rounded(number: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: at most half more."""
    if number <= 2:
        return number
    power = 1 << (number - 1).bit_length()  # the next power of two
    return power * 3 // 4 if number <= power * 3 // 4 else power


class CudaGraphLearner(StackedLearner):
    """Stacked seeds, or a single run: every step that has the shape of an earlier one is replayed from a CUDA graph."""

    def __init__(
        self, reasoners: Sequence[Reasoner], configs: Sequence[Config], *, recorder: CudaGraphRecorder | None = None
    ) -> None:
        super().__init__(reasoners, configs)
        self.recorder = recorder or CudaGraphRecorder(next(iter(self.parameters.values())).device)
        self.seen: dict[tuple, int] = {}
        self.graphs: dict[tuple, tuple[dict[str, Any], Callable[[], None], Tensor]] = {}
        self.usable = True

    def shape(self, batches: Sequence[Batch]) -> tuple[int, int, int]:
        moments, runs, graphs = super().shape(batches)
        return rounded(moments - 1) + 1, rounded(runs), graphs if batches[0].ends is None else rounded(graphs)

    def step(self, batches: Sequence[Batch], step: int, *, task: int = 0, progress: float = 1.0) -> Tensor:
        shape, first = self.shape(batches), batches[0]
        key = (first.algorithm, first.nodes, *shape)
        data = self.data(batches, step, task, shape, progress)
        follow(self.optimizer, self.configs[0], step)

        def compute() -> Tensor:
            return self.update(data, first, shape[0])

        if key not in self.graphs:
            self.seen[key] = self.seen.get(key, 0) + 1
            if not self.usable or self.seen[key] <= WARM_UPS or len(self.graphs) == GRAPHS:
                return self.recorder.warm_up(compute)
            try:
                self.graphs[key] = data, *self.recorder.record(compute)
            except RuntimeError as error:
                self.usable = False
                reason = str(error).splitlines()[0]
                warnings.warn(f"training goes on without CUDA graphs, more slowly: {reason}", stacklevel=2)
                return self.recorder.warm_up(compute)
        place, replay, losses = self.graphs[key]
        for target, source in zip(tree_leaves(place), tree_leaves(data), strict=True):
            target.copy_(source)  # nothing, where the graph was recorded with these data
        replay()
        return losses.clone()
