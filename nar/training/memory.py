"""What training keeps for its backward pass, and whether there is room for it."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.reasoner import Reasoner
from nar.system import limits

SHARE = 0.5  # of the free memory that may be used: gradients and intermediate results need room as well


def kept_bytes(reasoner: Reasoner, batch: Batch) -> int:
    """About how many bytes one training step on this batch keeps for the backward pass.

    Counted for one graph and one step, and for one of either more: what is kept once, per graph and per step.
    """
    one = _counted(reasoner, batch.rows([0]), 2)
    another_graph = _counted(reasoner, batch.rows([0, 1]), 2) - one if len(batch) > 1 else 0
    another_step = _counted(reasoner, batch.rows([0]), 3) - one
    steps = sum(max(1, length - 1) for length in batch.lengths)
    return one + (len(batch) - 1) * another_graph + (steps - len(batch)) * another_step


def _counted(reasoner: Reasoner, batch: Batch, moments: int) -> int:
    """What is kept for the first moments of all graphs of a batch; two moments are one step."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in reasoner.parameters()}
    with left_as_it_is(reasoner), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        rollout = reasoner(batch.with_lengths([min(moments, length) for length in batch.lengths]))
    del rollout
    return sum(size for place, size in storages.items() if place not in own)


@contextlib.contextmanager
def left_as_it_is(reasoner: Reasoner) -> Iterator[None]:
    """In training mode; afterwards PyTorch's generators and the mode are as before."""
    mode = reasoner.training
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        reasoner.train()
        try:
            yield
        finally:
            reasoner.train(mode)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device; on a CPU, what this process may still take."""
    if device.type == "cuda":
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reusable
    return limits.free_memory()


def recompute(
    reasoner: Reasoner, batches: Sequence[Batch], memory: str, device: torch.device, *, stacked: int = 0
) -> bool:
    """Should states between steps be all that is kept?

    `batches`: of every task, one of its largest graphs; `memory`: fast, small or auto; `stacked`: so many seeds at
    once, in batches where every sample stays for the steps of the longest, rounded up by half at most.
    """
    if memory != "auto":
        return memory == "small"
    needed = 0.0
    for batch in batches:
        kept = kept_bytes(reasoner, batch.to(device))
        if stacked:
            ragged = sum(max(1, length - 1) for length in batch.lengths)
            kept = kept * stacked * 1.5 * len(batch) * batch.steps / ragged
        needed = max(needed, kept)
    return needed > SHARE * free_bytes(device)
