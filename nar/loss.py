"""Losses of hints and outputs, as in dm-clrs 2.0.3: one average per probe, summed over probes without weights.

A hint's average runs over all live samples of all steps at once, so long samples weigh more. (The paper divides by the
number of hints as well; its code does not, and nar follows the code.) What each entry costs: nar/probe_loss.py.

Shapes: B graphs, L live graphs of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nar.batch import Batch
from nar.halting import halting_loss, ponder_losses
from nar.parallel import Ranks
from nar.probe_loss import probe_sums
from nar.rollout import Rollout

ALONE = Ranks()


def losses(batch: Batch, rollout: Rollout, ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """The loss of every predicted output and hint by name, and the processor's penalties.

    Where `ranks` share a batch, the losses of all of them add up to those of the whole.
    """
    spec = batch.spec
    sums = {name: probe_sums(spec[name], value, batch.outputs[name]) for name, value in rollout.outputs.items()}
    for name in rollout.hints[0] if rollout.hints else ():
        predicted = torch.cat([step[name] for step in rollout.hints])
        truth = [batch.hints[name][s + 1, : len(step[name])] for s, step in enumerate(rollout.hints) if len(step[name])]
        sums[name] = probe_sums(spec[name], predicted, torch.cat(truth) if truth else predicted, batch.counting())
    if rollout.step_outputs:
        sums |= ponder_losses(rollout.halts, rollout.step_outputs, batch)
    elif rollout.halts:
        sums["halting"] = halting_loss(rollout.halts, batch)
    counts, told, share = torch.stack([count for _, count in sums.values()]), batch.told(0) > 0, 1.0
    if ranks.world > 1:
        of_all = ranks.sum(torch.cat([counts, counts.new_tensor([told, len(batch)])]))
        counts, share = of_all[:-2], len(batch) / of_all[-1]
        told = of_all.device.type != "cpu" or bool(of_all[-2] > 0)  # a GPU would be waited for
    weighed = zip(sums.items(), counts.clamp(min=1).unbind(), strict=True)
    found = {name: total / count for (name, (total, _)), count in weighed}
    if not told:  # no sample has a second snapshot: then hints have no loss, rather than one of zero
        found = {name: value for name, value in found.items() if name in (*rollout.outputs, "halting")}
    return found | {f"penalty {name}": value * share for name, value in rollout.penalties.items()}


def total_loss(batch: Batch, rollout: Rollout, ranks: Ranks = ALONE) -> Tensor:
    """What training minimises: the plain sum."""
    return torch.stack(list(losses(batch, rollout, ranks).values())).sum()
