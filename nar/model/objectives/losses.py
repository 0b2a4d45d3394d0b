"""Losses of hints and outputs, as in dm-clrs 2.0.3: one average per probe, summed over probes without weights.

A hint's average runs over all live samples of all steps at once, so long samples weigh more. (The paper divides by the
number of hints as well; its code does not, and nar follows the code.) What each entry costs: probe_loss.py.

Shapes: B graphs, L live graphs of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.objectives.halting_loss import halting_loss, ponder_losses
from nar.model.objectives.probe_loss import entries_each, probe_sums
from nar.model.rollout import Rollout


def losses(batch: Batch, rollout: Rollout) -> dict[str, Tensor]:
    """The loss of every predicted output and hint by name, and the processor's penalties.

    The losses of all shares of a batch add up to those of the whole.
    """
    spec, whole = batch.spec, batch.whole or batch
    sums = {name: probe_sums(spec[name], value, batch.outputs[name]) for name, value in rollout.outputs.items()}
    for name in rollout.hints[0] if rollout.hints else ():
        predicted = torch.cat([step[name] for step in rollout.hints])
        truth = [batch.hints[name][s + 1, : len(step[name])] for s, step in enumerate(rollout.hints) if len(step[name])]
        counting = batch.schedule.counting()
        sums[name] = probe_sums(spec[name], predicted, torch.cat(truth) if truth else predicted, counting)
    if rollout.step_outputs:
        sums |= ponder_losses(rollout.halts, rollout.step_outputs, batch)
    elif rollout.halts:
        sums["halting"] = halting_loss(rollout.halts, batch)
    if batch.whole is None:
        found = {name: total / count.clamp(min=1) for name, (total, count) in sums.items()}
    else:
        counts = _counts(batch.whole, rollout)
        found = {name: total / max(counts[name], 1) for name, (total, _) in sums.items()}
    if whole.schedule.num_with_hint(0) == 0:  # without a second snapshot hints have no loss, rather than one of zero
        found = {name: value for name, value in found.items() if name in (*rollout.outputs, "halting")}
    share = len(batch) / len(whole)
    return found | {f"penalty {name}": value * share for name, value in rollout.penalties.items()}


def total_loss(batch: Batch, rollout: Rollout) -> Tensor:
    """What training minimises: the plain sum."""
    return torch.stack(list(losses(batch, rollout).values())).sum()


def _counts(whole: Batch, rollout: Rollout) -> dict[str, int]:
    """Over how many entries the losses of a batch are averaged, of which `rollout` is that of a share."""
    spec = whole.spec
    found = {name: int(entries_each(spec[name], whole.outputs[name], 1).sum()) for name in rollout.outputs}
    known_TB = torch.arange(whole.lengths[0]).unsqueeze(1) < torch.tensor(whole.lengths)
    known_TB[0] = False  # the first moment is given
    for name in rollout.hints[0] if rollout.hints else ():
        found[name] = int(entries_each(spec[name], whole.hints[name], 2)[known_TB].sum())
    if rollout.step_outputs:
        return found | dict.fromkeys((*rollout.step_outputs[0], "halting"), len(whole))
    return found | {"halting": sum(whole.schedule.num_running(s) for s in range(whole.steps))}
