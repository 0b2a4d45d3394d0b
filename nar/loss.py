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
from nar.rollout import Rollout
from nar.spec import IGNORED, Probe, Type


def probe_loss(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Average loss over all entries that count; `predicted` as decoded, `truth` compact; zero where nothing counts."""
    if predicted.numel() == 0:
        return predicted.sum()
    if probe.type is Type.SCALAR:
        return (predicted - truth.to(predicted.dtype)).square().mean()
    if probe.type is Type.MASK:
        counted = (truth != IGNORED).to(predicted.dtype)
        losses = binary_cross_entropy_with_logits(predicted, truth.to(predicted.dtype), reduction="none")
        return (losses * counted).sum() / counted.sum().clamp(min=1e-12)
    log_probabilities = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, dim=-1)
    index = truth.long().unsqueeze(-1)
    if probe.type is not Type.CATEGORICAL:
        return -log_probabilities.gather(-1, index).mean()
    counted = (index != IGNORED).to(predicted.dtype)
    chosen = log_probabilities.gather(-1, index.clamp(min=0))
    return -(chosen * counted).sum() / counted.sum().clamp(min=1e-12)


def losses(batch: Batch, rollout: Rollout) -> dict[str, Tensor]:
    """The loss of every predicted output and hint by name, and the processor's penalties."""
    found = {name: probe_loss(batch.spec[name], value, batch.outputs[name]) for name, value in rollout.outputs.items()}
    if rollout.hints and batch.lengths[0] > 1:
        for name in rollout.hints[0]:
            predicted = torch.cat([step[name] for step in rollout.hints])
            truth = torch.cat([batch.hints[name][s + 1, : len(step[name])] for s, step in enumerate(rollout.hints)])
            found[name] = probe_loss(batch.spec[name], predicted, truth)
    return found | {f"penalty {name}": value for name, value in rollout.penalties.items()}


def total_loss(batch: Batch, rollout: Rollout) -> Tensor:
    """What training minimises: the plain sum."""
    return torch.stack(list(losses(batch, rollout).values())).sum()
