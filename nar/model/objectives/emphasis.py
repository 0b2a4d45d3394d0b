"""Emphasis on what a step changes: how much more than others some entries of a hint count in its loss.

Most entries of a hint stay as they are in most steps, and a hint that changes once in a trace would teach a hundredth
of what one does that changes in every step. But it may decide an output: whether a node is an articulation point shows
when it is finished, and nowhere else.

Shapes: B graphs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nar.config import Config
from nar.model.batch import Batch
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.options.choice import Choice
from nar.model.postprocess import hard
from nar.nn.sparse.predictions import Chosen
from nar.traces.spec import Probe, Type

RAREST = 1e-3  # a smaller share of entries that change counts as so large


class Emphasis(NamedTuple):
    """The entries that a step changes, or that the network would change, count `weight` times, and at least so many
    times that those which change make up `balance` times as much as all entries of the hint.

    (If what the network would change counted once, it would be cheaper to change an entry too often.)
    """

    weight: float = 1.0
    balance: float = 0.0

    @classmethod
    def of(cls, config: Config) -> Emphasis:
        """That of a run."""
        return cls(config.change_weight, config.change_balance)

    def weights(self, moves: Tensor, share: Tensor) -> Tensor:
        """Of every entry, given which are changed or would be, and the share [] of those that are."""
        return torch.where(moves, (self.balance / share.clamp(min=RAREST)).clamp(min=self.weight), 1.0)


EVEN = Emphasis()


def moves(probe: Probe, predicted: Any, before: Tensor, after: Tensor) -> Tensor:
    """Which entries of a hint a step changes, or would if the prediction were taken."""
    found = before != after
    if isinstance(predicted, Choice | Chosen) or probe.type is not Type.SCALAR:  # what is computed always differs
        found = found | (hard(probe, predicted) != before)
    return found


def share_changed(batch: Batch | SparseBatch, name: str) -> Tensor:
    """The share [] of a hint's entries that the steps of a batch change, over all that have a next moment."""
    hint, changed, count = batch.hints[name], [], []
    before = hint[0]
    for s in range(batch.steps):
        if batch.schedule.num_with_hint(s):
            after = hint[s + 1]
            differ = after != before
            known_B = batch.schedule.with_hint(s, differ.device)
            known = batch.entries(batch.spec[name], known_B) if isinstance(batch, SparseBatch) else known_B
            known = known.view(*known.shape, *[1] * (differ.dim() - known.dim())).expand_as(differ)
            changed.append((differ & known).sum())
            count.append(known.sum())
            before = after
    return torch.stack(changed).sum() / torch.stack(count).sum().clamp(min=1)
