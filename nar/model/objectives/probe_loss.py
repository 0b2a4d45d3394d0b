"""The loss of one probe, entry by entry, as in dm-clrs 2.0.3.

scalar                  squared error
mask                    binary cross-entropy on logits, ignored entries left out
mask_one, categorical   cross-entropy, ignored entries left out
pointer                 cross-entropy over nodes
permutation pointer     minus the log-probability of the true entry
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nar.traces.run_length import RunLengthArray
from nar.traces.spec import IGNORED, Probe, Type


def probe_loss(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Average loss over all entries that count; `predicted` as decoded, `truth` compact; zero where nothing counts."""
    total, count = probe_sums(probe, predicted, truth)
    return total / count.clamp(min=1)


def entry_losses(probe: Probe, predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor | None]:
    """The loss of every entry, and which of them count (None: all)."""
    if probe.type is Type.SCALAR:
        return (predicted - truth.to(predicted.dtype)).square(), None
    if probe.type is Type.MASK:
        losses = binary_cross_entropy_with_logits(predicted, truth.to(predicted.dtype), reduction="none")
        return losses, truth != IGNORED
    log_probabilities = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, dim=-1)
    losses = -log_probabilities.gather(-1, truth.long().clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return losses, truth != IGNORED if probe.type is Type.CATEGORICAL else None


def probe_sums(probe: Probe, predicted: Tensor, truth: Tensor, counting: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The sum of the losses of all entries that count, and their number; `counting` [B]: only these graphs' entries."""
    if predicted.numel() == 0:
        return predicted.sum(), predicted.new_zeros(())
    losses, counted = entry_losses(probe, predicted, truth)
    if counting is not None:
        counting = counting.view(-1, *[1] * (losses.dim() - 1)).expand_as(losses)
        counted = counting if counted is None else counted & counting
    if counted is None:
        return losses.sum(), losses.new_tensor(losses.numel())
    return torch.where(counted, losses, 0.0).sum(), counted.to(losses.dtype).sum()


def entries_each(probe: Probe, truth: Any, leading: int) -> Tensor:
    """How many entries count, for every place of the first `leading` axes of `truth` (an array or a RunLengthArray)."""
    if isinstance(truth, RunLengthArray):
        return entries_each(probe, truth.values, 1)[truth.index]
    values = truth.unsqueeze(-1).flatten(leading)
    if probe.type in (Type.MASK, Type.CATEGORICAL):
        return (values != IGNORED).sum(-1)
    return torch.full(values.shape[:-1], values.shape[-1])


def graph_losses(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """The mean over the entries that count of every graph [B]."""
    losses, counted = entry_losses(probe, predicted, truth)
    losses = losses.reshape(len(losses), -1)
    if counted is None:
        return losses.mean(1)
    counted = counted.reshape(losses.shape)
    return torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp(min=1)
