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


def tensors(
    batches: Sequence[Batch], moments: int, runs: int, noise: Sequence[Sequence[Tensor]], graphs: int = 0
) -> dict[str, Any]:
    """The data of one batch of each seed [S, ...], as nested dicts and lists of tensors on the batches' device.

    `moments`, `runs`, `graphs`: room for so many hint snapshots, runs (0: none) and samples, at least those of every
    batch, but that 0 samples are as many as there are; `noise`: that of every batch. A sample that is none has no
    snapshot, and counts nowhere.
    """
    graphs = graphs or max(len(batch) for batch in batches)
    device = next(iter(batches[0].inputs.values())).device

    def stacked(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([_padded(part, graphs) for part in parts])

    def of_moments(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([_padded(_padded(part, moments), graphs, 1) for part in parts])

    def none_after(fact: Tensor) -> Tensor:
        return torch.cat([fact, fact.new_zeros(graphs - len(fact), *fact.shape[1:])])

    def hint(name: str) -> Any:
        parts = [batch.hints[name] for batch in batches]
        if not isinstance(parts[0], RunLengthArray):
            return of_moments(parts)
        index = of_moments([part.index for part in parts])
        return {"index": index, "values": torch.stack([_padded(part.values, runs) for part in parts])}

    return {
        "inputs": {name: stacked([b.inputs[name] for b in batches]) for name in batches[0].inputs},
        "hints": {name: hint(name) for name in batches[0].hints},
        "outputs": {name: stacked([b.outputs[name] for b in batches]) for name in batches[0].outputs},
        "lengths": torch.tensor([b.lengths + [0] * (graphs - len(b)) for b in batches], device=device),
        "noise": [stacked(draws) for draws in zip(*noise, strict=True)],
        # a sample that is none ends nothing
        "facts": {name: torch.stack([none_after(b.facts()[name]) for b in batches]) for name in batches[0].facts()},
    }


def batch_of(data: dict[str, Any], like: Batch, moments: int) -> Batch:
    """The batch of one seed's data (without the axis of seeds), all samples staying to the end; `like`: any of them."""
    hints = {n: RunLengthArray(v["values"], v["index"]) if isinstance(v, dict) else v for n, v in data["hints"].items()}
    schedule = FixedShape(data["lengths"], moments)
    parts = data["inputs"], hints, data["outputs"]
    return Batch(like.algorithm, like.spec, like.nodes, *parts, schedule, [], **data["facts"])


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


def _padded(array: Tensor, length: int, axis: int = 0) -> Tensor:
    """The array with its last entry along an axis repeated up to `length`."""
    missing, last = length - array.shape[axis], array.narrow(axis, -1, 1)
    return array if missing == 0 else torch.cat([array, *[last] * missing], axis)
