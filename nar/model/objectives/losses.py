"""Losses of hints and outputs, as in dm-clrs 2.0.3: one average per probe, summed over probes without weights.

A hint's average runs over all live samples of all steps at once, so long samples weigh more. (The paper divides by the
number of hints as well; its code does not, and nar follows the code.) What an entry costs:

    scalar                  squared error
    mask                    binary cross-entropy on logits, ignored entries left out
    mask_one, categorical   cross-entropy, ignored entries left out
    pointer                 cross-entropy over nodes
    permutation pointer     minus the log-probability of the true entry

A halting head (nar/model/termination.py) is trained in one of two ways. Supervised, it is told at every step whether
the algorithm has ended after it. In PonderNet (Banino, Balaguer and Blundell 2021, arXiv 2107.05407) outputs are
decoded after every step, their losses are weighted by the probability of halting exactly there, and the distribution of
halting is drawn towards a geometric one. Its mean is here the number of steps that the graph needs, which grows with
the graph; in the paper it is one number for all.

Shapes: B graphs, L live graphs of a step, S steps.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, pad

from nar.model.batch import Batch
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.objectives.emphasis import EVEN, Emphasis, moves, share_changed
from nar.model.options.choice import Choice
from nar.model.rollout import Rollout
from nar.model.schedule import Schedule
from nar.nn.sparse.predictions import Chosen, EdgeValues
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import IGNORED, Probe, Type

PONDER_WEIGHT = 0.01  # of the divergence from the geometric distribution, as in the paper


def losses(batch: Batch, rollout: Rollout, emphasis: Emphasis = EVEN) -> dict[str, Tensor]:
    """The loss of every predicted output and hint by name, and the processor's penalties.

    The losses of all shares of a batch add up to those of the whole.
    """
    if isinstance(batch, SparseBatch):
        return sparse_losses(batch, rollout, emphasis)
    spec, whole = batch.spec, batch.whole or batch
    sums = {
        name: probe_sums(spec[name], value, batch.outputs[name], batch.ends) for name, value in rollout.outputs.items()
    }
    for name in rollout.hints[0] if rollout.hints else ():
        steps: list[Any] = [step[name] for step in rollout.hints]
        predicted = Choice.cat(steps) if isinstance(steps[0], Choice) else torch.cat(steps)
        truth = [batch.hints[name][s + 1, : len(step[name])] for s, step in enumerate(rollout.hints) if len(step[name])]
        after = torch.cat(truth) if truth else batch.hints[name][0, :0]
        weights = None
        if emphasis != EVEN and truth:
            before = torch.cat([batch.hints[name][s, : len(part)] for s, part in enumerate(truth)])
            weights = emphasis.weights(moves(spec[name], predicted, before, after), share_changed(whole, name))
        sums[name] = probe_sums(spec[name], predicted, after, batch.schedule.counting(), weights)
    if rollout.step_outputs:
        sums |= ponder_losses(rollout.halts, rollout.step_outputs, batch)
    elif rollout.halts:
        sums["halting"] = halting_loss(rollout.halts, batch)
    if batch.whole is None:
        found = {name: total / count.clamp(min=1) for name, (total, count) in sums.items()}
    else:
        counts = _counts(batch, batch.whole, rollout)
        found = {name: total / max(counts[name], 1) for name, (total, _) in sums.items()}
    if whole.schedule.num_with_hint(0) == 0:  # without a second snapshot hints have no loss, rather than one of zero
        found = {name: value for name, value in found.items() if name in (*rollout.outputs, "halting")}
    share = len(batch) / len(whole)
    return found | {f"penalty {name}": value * share for name, value in rollout.penalties.items()}


def sparse_losses(batch: SparseBatch, rollout: Rollout, emphasis: Emphasis = EVEN) -> dict[str, Tensor]:
    """`losses` of a sparse batch: the same averages, over entries of the graph's nodes and edges alone."""
    spec, schedule = batch.spec, batch.schedule
    everyone_B = torch.ones(len(batch), dtype=torch.bool, device=batch.edges.senders.device)
    sums: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def add(name: str, predicted: Any, truth: Tensor, graphs_B: Tensor, weights: Tensor | None = None) -> None:
        sums.setdefault(name, []).append(
            probe_sums(spec[name], predicted, truth, batch.entries(spec[name], graphs_B), weights)
        )

    ends_B = everyone_B if batch.ends is None else batch.ends
    for name, value in rollout.outputs.items():
        add(name, value, batch.outputs[name], ends_B)
    names = rollout.hints[0] if rollout.hints and batch.lengths[0] > 1 else ()
    shares = {} if emphasis == EVEN else {name: share_changed(batch, name) for name in names}
    before = {name: batch.hints[name][0] for name in names}
    for s, step in enumerate(rollout.hints if names else ()):
        for name, value in step.items():
            truth, weights = batch.hints[name][s + 1], None
            if shares:
                weights = emphasis.weights(moves(spec[name], value, before[name], truth), shares[name])
            add(name, value, truth, schedule.with_hint(s, everyone_B.device), weights)
            before[name] = truth
    found = {}
    for name, pairs in sums.items():
        totals, counts = zip(*pairs, strict=True)
        found[name] = torch.stack(totals).sum() / torch.stack(counts).sum().clamp(min=1)
    if rollout.halts:
        total, count = halting_loss(rollout.halts, batch)
        found["halting"] = total / count.clamp(min=1)
    return found | {f"penalty {name}": value for name, value in rollout.penalties.items()}


def total_loss(batch: Batch, rollout: Rollout, emphasis: Emphasis = EVEN) -> Tensor:
    """What training minimises: the plain sum."""
    return torch.stack(list(losses(batch, rollout, emphasis).values())).sum()


def _counts(share: Batch, whole: Batch, rollout: Rollout) -> dict[str, int]:
    """Over how many entries the losses of a batch are averaged, of which `rollout` is that of a share."""
    spec = whole.spec
    ends = slice(None) if whole.ends is None else whole.ends
    found = {name: int(entries_each(spec[name], whole.outputs[name], 1)[ends].sum()) for name in rollout.outputs}
    known_TB = torch.arange(whole.lengths[0]).unsqueeze(1) < torch.tensor(whole.lengths)
    known_TB[0] = False  # the first moment is given
    for name in rollout.hints[0] if rollout.hints else ():
        found[name] = int(entries_each(spec[name], whole.hints[name], 2)[known_TB].sum())
    if rollout.step_outputs:
        return found | dict.fromkeys((*rollout.step_outputs[0], "halting"), len(whole))
    schedule = of_halts(whole, len(rollout.halts) - share.steps)
    return found | {"halting": sum(schedule.num_running(s) for s in range(schedule.steps))}


def probe_loss(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Average loss over all entries that count; `predicted` as decoded, `truth` compact; zero where nothing counts."""
    total, count = probe_sums(probe, predicted, truth)
    return total / count.clamp(min=1)


def entry_losses(probe: Probe, predicted: Tensor | Choice, truth: Tensor) -> tuple[Tensor, Tensor | None]:
    """The loss of every entry, and which of them count (None: all)."""
    if isinstance(predicted, Choice | Chosen):
        return predicted.losses(truth), None
    predicted = predicted.logits if isinstance(predicted, EdgeValues) else predicted
    if probe.type is Type.SCALAR:
        return (predicted - truth.to(predicted.dtype)).square(), None
    if probe.type is Type.MASK:
        losses = binary_cross_entropy_with_logits(predicted, truth.to(predicted.dtype), reduction="none")
        return losses, truth != IGNORED
    log_probabilities = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, dim=-1)
    losses = -log_probabilities.gather(-1, truth.long().clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return losses, truth != IGNORED if probe.type is Type.CATEGORICAL else None


def probe_sums(
    probe: Probe,
    predicted: Any,
    truth: Tensor,
    counting: Tensor | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The sum of the losses of all entries that count, and their number.

    `counting` [B], or of the shape of `truth`: only these count; `weights`, of that shape: of the entries in the sum.
    """
    if predicted.numel() == 0:
        predicted = predicted.logits if isinstance(predicted, Choice) else predicted
        return predicted.sum(), predicted.new_zeros(())
    losses, counted = entry_losses(probe, predicted, truth)
    if weights is not None:
        losses = losses * weights
    if counting is not None:
        counting = counting.view(*counting.shape, *[1] * (losses.dim() - counting.dim())).expand_as(losses)
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


def halting_loss(halts: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """The sum of the cross-entropies of all live graphs and steps, and their number.

    `halts`: logits [live] of each step.
    """
    sums, counts, schedule = [], [], of_halts(batch, len(halts) - batch.steps)
    for s, logits in enumerate(halts):
        live = schedule.num_running(s)
        ends, running = schedule.ends(s, logits.device), schedule.running(s, logits.device)[:live].to(logits.dtype)
        if batch.ends is not None:  # parts of traces end where the algorithm does not
            ends = ends & batch.ends
        ends = ends[:live].to(logits.dtype)
        losses = binary_cross_entropy_with_logits(logits[:live], ends, reduction="none")
        sums.append((losses * running).sum())
        counts.append(running.sum())
    return torch.stack(sums).sum(), torch.stack(counts).sum()


def of_halts(batch: Batch, more: int) -> Schedule:
    """Who takes the steps after which the halting head was asked: `more` of them than there are, for the outputs."""
    return batch.schedule.with_output_step() if more == 1 else batch.schedule


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
