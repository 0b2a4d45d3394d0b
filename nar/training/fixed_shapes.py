"""Batches of fixed shape: what several seeds at once, and kernels recorded once, need.

Elsewhere the number of steps and the samples that still run are known to the program, which drops the finished ones.
Where one program stands for many batches (the same kernels for several seeds, a CUDA graph for all later batches), no
step may depend on them: here batches have a FixedShape schedule (nar/model/schedule.py) and are padded to it. Outputs,
losses and gradients are those of the plain batch, up to rounding.

Shapes: S seeds, B graphs, N nodes, T moments, R runs of a hint on edges (nar/traces/run_length.py).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.schedule import FixedShape
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec, Stage, Type


def tensors(batches: Sequence[Batch], moments: int, runs: int, noise: Sequence[Sequence[Tensor]]) -> dict[str, Any]:
    """The data of one batch of each seed [S, ...], as nested dicts and lists of tensors on the batches' device.

    `moments`, `runs`: room for so many hint snapshots and runs (0: none), at least those of every batch; `noise`: that
    of every batch.
    """

    def hint(name: str) -> Any:
        parts = [batch.hints[name] for batch in batches]
        if not isinstance(parts[0], RunLengthArray):
            return torch.stack([_padded(part, moments) for part in parts])
        index = torch.stack([_padded(part.index, moments) for part in parts])
        return {"index": index, "values": torch.stack([_padded(part.values, runs) for part in parts])}

    device = next(iter(batches[0].inputs.values())).device
    return {
        "inputs": {name: torch.stack([b.inputs[name] for b in batches]) for name in batches[0].inputs},
        "hints": {name: hint(name) for name in batches[0].hints},
        "outputs": {name: torch.stack([b.outputs[name] for b in batches]) for name in batches[0].outputs},
        "lengths": torch.tensor([b.lengths for b in batches], device=device),
        "noise": [torch.stack(draws) for draws in zip(*noise, strict=True)],
    }


def batch_of(data: dict[str, Any], like: Batch, moments: int) -> Batch:
    """The batch of one seed's data (without the axis of seeds), all samples staying to the end; `like`: any of them."""
    hints = {n: RunLengthArray(v["values"], v["index"]) if isinstance(v, dict) else v for n, v in data["hints"].items()}
    schedule = FixedShape(data["lengths"], moments)
    return Batch(like.algorithm, like.spec, like.nodes, data["inputs"], hints, data["outputs"], schedule, [])


def replayed(noise: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """The noise of a rollout, given: uniform numbers for the permutations, in the order in which they are decoded."""
    remaining = iter(noise)

    def following(logits: Tensor) -> Tensor:
        found = next(remaining, None)
        if found is None:
            raise ValueError("a permutation is decoded for which no noise was drawn")
        return found

    return following


def most_runs(batch: Batch) -> int:
    """Runs of the batch's hints on edges, the most of any; 0 without such hints."""
    return max((len(value.values) for value in batch.hints.values() if isinstance(value, RunLengthArray)), default=0)


def uniform_numbers(batch: Batch, moments: int, dtype: torch.dtype) -> list[Tensor]:
    """The noise of a rollout of `batch`, drawn from PyTorch's generator as that rollout would, in the same order.

    Samples that the rollout does not keep at a step, and steps after its last, get one half.
    """
    device = next(iter(batch.inputs.values())).device

    def draw(rows: int) -> Tensor:
        drawn = torch.rand(rows, batch.nodes, batch.nodes, dtype=dtype, device=device)
        return torch.cat([drawn, drawn.new_full((len(batch) - rows, *drawn.shape[1:]), 0.5)])

    permutations = list(_permutations(batch.spec, Stage.HINT))
    steps, kept = max(1, moments - 1), batch.schedule.num_kept
    found = [draw(kept(s) if s < batch.steps else 0) for s in range(steps) for _ in permutations]
    return found + [draw(len(batch)) for _ in _permutations(batch.spec, Stage.OUTPUT)]


def _permutations(spec: Spec, stage: Stage) -> Iterator[str]:
    return (n for n, probe in spec.items() if probe.stage is stage and probe.type is Type.PERMUTATION_POINTER)


def _padded(array: Tensor, length: int) -> Tensor:
    """The array with its last entry repeated up to `length`."""
    missing = length - len(array)
    return array if missing == 0 else torch.cat([array, array[-1:].expand(missing, *array.shape[1:])])
