"""When a rollout ends: what there is beside the oracle of CLRS, which takes as many steps as the trace has.

    fixed_point   a graph stops after a step that changes none of its decided hints (numbers: by more than TOLERANCE)
    learned       a graph stops when the halting head says so with a probability above one half

The halting head is a logit per graph, linear in the maximum over nodes of what the decoders see and in the graph's own
features (Velickovic et al., ICLR 2020, arXiv 1910.10593, has one of this kind); nar/model/objectives/halting_loss.py
says how it is trained. Without an end of its own a rollout is stopped after `limit` steps.

Shapes: B graphs, N nodes, F features, R width of what decoders see of a node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nar.lookup import suggest
from nar.model.batch import Batch
from nar.model.objectives.metrics import merge_permutations
from nar.nn.layers import linear
from nar.traces.spec import Spec, Type

TERMINATIONS = ("oracle", "fixed_point", "learned")  # of a rollout
HALTING = ("none", "supervised", "ponder")  # how the halting head is trained
TOLERANCE = 1e-2  # a number that changes by less, of the largest one of its hint in the graph, has not changed
ROOM = 4  # the limit of a rollout without one: so many times the steps that the longest graph needs


def check_termination(termination: str, reasoner: Any, halting: Halting | None) -> None:
    """ValueError where a reasoner cannot end its rollouts in this way."""
    if termination not in TERMINATIONS:
        raise ValueError(suggest("termination", termination, TERMINATIONS))
    if reasoner.training:
        raise ValueError(f"termination {termination} is for evaluation; training takes the steps of the traces")
    if termination == "learned" and halting is None:
        raise ValueError("termination learned needs a halting head: train with --halting supervised (or ponder)")
    if termination == "fixed_point" and reasoner.hint_mode == "none":
        raise ValueError("termination fixed_point needs hints that are predicted; this reasoner has none")


class Halting(nn.Module):
    """The halting head of one algorithm: a logit per graph."""

    def __init__(self, features: int, node_width: int) -> None:
        super().__init__()
        self.nodes, self.graph = linear(node_width, 1), linear(features, 1)

    def forward(self, nodes_BNR: Tensor, graph_BF: Tensor) -> Tensor:
        return (self.nodes(nodes_BNR.amax(1)) + self.graph(graph_BF)).squeeze(-1)


@dataclasses.dataclass
class OpenBatch(Batch):
    """A Batch whose rollout finds its end by itself: all samples stay, and `running_B` says which still count."""

    limit: int
    running_B: Tensor
    taken_B: Tensor  # steps so far

    @classmethod
    def of_batch(cls, batch: Batch, limit: int | None = None) -> OpenBatch:
        """`limit`: steps after which everyone has stopped."""
        device = next(iter(batch.inputs.values())).device
        return cls(
            **{field.name: getattr(batch, field.name) for field in dataclasses.fields(Batch)},
            limit=ROOM * batch.steps if limit is None else limit,
            running_B=torch.ones(len(batch), dtype=torch.bool, device=device),
            taken_B=torch.zeros(len(batch), dtype=torch.long, device=device),
        )

    @property
    def steps(self) -> int:
        return self.limit

    def live(self, step: int) -> int:
        return len(self)

    def told(self, step: int) -> int:
        return len(self)

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        return self.running_B

    def stop(self, stops_B: Tensor) -> bool:
        """After a step: who stops now. True where no one is left."""
        self.taken_B = self.taken_B + self.running_B
        self.running_B = self.running_B & ~stops_B
        return not bool(self.running_B.any())


def unchanged(spec: Spec, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Tensor:
    """Which graphs [B] have the same decided hints before and after a step."""
    before, after = merge_permutations(spec, before), merge_permutations(spec, after)
    same = []
    for name, value in after.items():
        if spec[name].type is Type.SCALAR:
            scale = torch.maximum(value.abs(), before[name].abs()).reshape(len(value), -1).amax(1)
            scale = scale.view(-1, *[1] * (value.dim() - 1))
            equal = (value - before[name]).abs() <= TOLERANCE * scale
        else:
            equal = value == before[name]
        same.append(equal.reshape(len(value), -1).all(1))
    return torch.stack(same).all(0)
