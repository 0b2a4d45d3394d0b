"""Losses of hints and outputs, as in dm-clrs 2.0.3: one average per probe, summed over probes without weights.

    scalar                  squared error
    mask                    binary cross-entropy on logits, ignored entries left out
    mask_one, categorical   cross-entropy, ignored entries left out
    pointer                 cross-entropy over nodes
    permutation pointer     minus the log-probability of the true entry

A hint's average runs over all live samples of all steps at once, so long samples weigh more. (The paper divides by the
number of hints as well; its code does not, and nar follows the code.)

Shapes: B graphs, L live graphs of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nar.batch import Batch
from nar.parallel import Ranks
from nar.rollout import Rollout
from nar.spec import IGNORED, Probe, Type

ALONE = Ranks()


def probe_loss(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Average loss over all entries that count; `predicted` as decoded, `truth` compact; zero where nothing counts."""
    total, count = probe_sums(probe, predicted, truth)
    return total / count.clamp(min=1)


def probe_sums(probe: Probe, predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the losses of all entries that count, and their number."""
    if predicted.numel() == 0:
        return predicted.sum(), predicted.new_zeros(())
    if probe.type is Type.SCALAR:
        losses = (predicted - truth.to(predicted.dtype)).square()
        return losses.sum(), losses.new_tensor(losses.numel())
    if probe.type is Type.MASK:
        counted = (truth != IGNORED).to(predicted.dtype)
        losses = binary_cross_entropy_with_logits(predicted, truth.to(predicted.dtype), reduction="none")
        return (losses * counted).sum(), counted.sum()
    log_probabilities = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, dim=-1)
    index = truth.long().unsqueeze(-1)
    if probe.type is not Type.CATEGORICAL:
        losses = -log_probabilities.gather(-1, index)
        return losses.sum(), losses.new_tensor(losses.numel())
    counted = (index != IGNORED).to(predicted.dtype)
    chosen = log_probabilities.gather(-1, index.clamp(min=0))
    return -(chosen * counted).sum(), counted.sum()


def losses(batch: Batch, rollout: Rollout, ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """The loss of every predicted output and hint by name, and the processor's penalties.

    Where `ranks` share a batch, the losses of all of them add up to those of the whole.
    """
    spec = batch.spec
    sums = {name: probe_sums(spec[name], value, batch.outputs[name]) for name, value in rollout.outputs.items()}
    for name in rollout.hints[0] if rollout.hints else ():
        predicted = torch.cat([step[name] for step in rollout.hints])
        truth = [batch.hints[name][s + 1, : len(step[name])] for s, step in enumerate(rollout.hints) if len(step[name])]
        sums[name] = probe_sums(spec[name], predicted, torch.cat(truth) if truth else predicted)
    counts = ranks.sum(torch.stack([count for _, count in sums.values()])).clamp(min=1).unbind()
    found = {name: total / count for (name, (total, _)), count in zip(sums.items(), counts, strict=True)}
    if ranks.world == 1 and not (batch.lengths[0] > 1):
        found = {name: value for name, value in found.items() if name in rollout.outputs}
    return found | {f"penalty {name}": value / ranks.world for name, value in rollout.penalties.items()}


def total_loss(batch: Batch, rollout: Rollout, ranks: Ranks = ALONE) -> Tensor:
    """What training minimises: the plain sum."""
    return torch.stack(list(losses(batch, rollout, ranks).values())).sum()
