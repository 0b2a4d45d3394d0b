"""How a halting head (nar/model/termination.py) is trained: supervised, or to halt where outputs are good (PonderNet).

Supervised, it is told at every step whether the algorithm has ended after it. In PonderNet (Banino, Balaguer and
Blundell 2021, arXiv 2107.05407) outputs are decoded after every step, their losses are weighted by the probability of
halting exactly there, and the distribution of halting is drawn towards a geometric one. Its mean is here the number of
steps that the graph needs, which grows with the graph; in the paper it is one number for all.

Shapes: B graphs, S steps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, pad

from nar.model.batch import Batch
from nar.model.objectives.probe_loss import graph_losses

PONDER_WEIGHT = 0.01  # of the divergence from the geometric distribution, as in the paper


def halting_loss(halts: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """The sum of the cross-entropies of all live graphs and steps, and their number.

    `halts`: logits [live] of each step.
    """
    sums, counts = [], []
    for s, logits in enumerate(halts):
        schedule, live = batch.schedule, batch.schedule.num_running(s)
        ends, running = (when(s, logits.device)[:live].to(logits.dtype) for when in (schedule.ends, schedule.running))
        losses = binary_cross_entropy_with_logits(logits[:live], ends, reduction="none")
        sums.append((losses * running).sum())
        counts.append(running.sum())
    return torch.stack(sums).sum(), torch.stack(counts).sum()


def ponder_losses(
    halts: list[Tensor], outputs: list[dict[str, Tensor]], batch: Batch
) -> dict[str, tuple[Tensor, Tensor]]:
    """The losses of PonderNet as (sum over graphs, number of graphs), by output and for the distribution of halting.

    `halts`, `outputs`: logits of halting [live] and decoded outputs [live, ...] after each step.
    """
    steps_B = torch.tensor([max(1, length - 1) for length in batch.lengths], device=halts[0].device)
    lives = [batch.schedule.num_running(s) for s in range(len(halts))]
    logits_SB = torch.stack([pad(h[:live], (0, len(batch) - live)) for h, live in zip(halts, lives, strict=True)])
    chances_SB = halting_chances(logits_SB, steps_B)
    count = chances_SB.new_tensor(len(batch))
    found = {}
    for name in outputs[0]:
        expected = []
        for s, (decoded, live) in enumerate(zip(outputs, lives, strict=True)):
            losses = graph_losses(batch.spec[name], decoded[name][:live], batch.outputs[name][:live])
            expected.append((chances_SB[s, :live] * losses).sum())
        found[name] = torch.stack(expected).sum(), count
    wanted_SB = geometric(steps_B, len(halts), chances_SB.dtype)
    divergence = torch.xlogy(chances_SB, chances_SB) - torch.xlogy(chances_SB, wanted_SB.clamp(min=1e-12))
    return found | {"halting": (PONDER_WEIGHT * divergence.sum(), count)}


def halting_chances(logits_SB: Tensor, steps_B: Tensor) -> Tensor:
    """The probability [S, B] of halting after exactly each step; a graph's last step takes what is left."""
    place_S1 = torch.arange(len(logits_SB), device=steps_B.device).unsqueeze(1)
    stop = logsigmoid(logits_SB)
    go_on = logsigmoid(-logits_SB)
    survived = torch.cat([torch.zeros_like(go_on[:1]), go_on[:-1].cumsum(0)])
    found = torch.where(place_S1 == steps_B - 1, survived, survived + stop).exp()
    return torch.where(place_S1 < steps_B, found, 0.0)


def geometric(steps_B: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """The geometric distribution [length, B] with a mean of `steps_B`; a graph's last step takes the rest."""
    stop_B = 1.0 / steps_B.to(dtype)
    place_S1 = torch.arange(length, device=steps_B.device).unsqueeze(1)
    survived = (1 - stop_B) ** place_S1
    found = torch.where(place_S1 == steps_B - 1, survived, survived * stop_B)
    return torch.where(place_S1 < steps_B, found, 0.0)
