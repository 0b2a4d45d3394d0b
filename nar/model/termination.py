"""When a rollout ends: what there is beside the oracle of CLRS, which takes as many steps as the trace has.

    fixed_point   a graph stops after a step that changes none of its decided hints (numbers: by more than TOLERANCE)
    learned       a graph stops when the halting head says so with a probability above one half

The halting head is a logit per graph, linear in the maximum over nodes of what the decoders see and in the graph's own
features (Velickovic et al., ICLR 2020, arXiv 1910.10593, has one of this kind); nar/model/objectives/losses.py
says how it is trained. Without an end of its own a rollout is stopped after `limit` steps.

Shapes: B graphs, N nodes, F features, R width of what decoders see of a node.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nar.lookup import suggest
from nar.model.batch import Batch
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.objectives.metrics import merge_permutations
from nar.model.postprocess import feed_back
from nar.model.rollout import Rollout, RolloutExtension
from nar.nn.layers import linear
from nar.traces.spec import Spec, Type

TERMINATIONS = ("oracle", "fixed_point", "learned")  # of a rollout
HALTING = ("none", "supervised", "ponder")  # how the halting head is trained
TOLERANCE = 1e-2  # a number that changes by less, of the largest one of its hint in the graph, has not changed
ROOM = 4  # the limit of a rollout without one: so many times the steps that the longest graph needs


class Halting(nn.Module):
    """The halting head of one algorithm: a logit per graph."""

    def __init__(self, features: int, node_width: int) -> None:
        super().__init__()
        self.nodes, self.graph = linear(node_width, 1), linear(features, 1)

    def forward(self, largest_BR: Tensor, graph_BF: Tensor) -> Tensor:
        """`largest_BR`: the maximum over nodes of what the decoders see."""
        return (self.nodes(largest_BR) + self.graph(graph_BF)).squeeze(-1)


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


class HaltingRecord(RolloutExtension):
    """What the halting head says after every step, and where `decode` is given, the outputs that a graph would have."""

    def __init__(self, head: Halting, decode: Callable[[DecoderInputs], dict[str, Tensor]] | None = None) -> None:
        self.head, self.decode = head, decode
        self.logits: list[Tensor] = []
        self.outputs: list[dict[str, Tensor]] = []

    def after_step(self, s: int, inputs: DecoderInputs, predicted: dict[str, Any]) -> None:
        self.logits.append(self.head(inputs.largest(), inputs.graph))
        if self.decode is not None:
            self.outputs.append(self.decode(inputs))

    def finish(self, rollout: Rollout) -> None:
        rollout.halts, rollout.step_outputs = self.logits, self.outputs

    def says_stop(self, predicted: Mapping[str, Tensor]) -> Tensor:
        """Which graphs [B] are done: the rule of an OpenEnd."""
        return self.logits[-1] > 0


class FixedPoint:
    """The rule of an OpenEnd by which graphs stop when no decided hint changes."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.decided = batch, {name: value[0] for name, value in batch.hints.items()}

    def __call__(self, predicted: Mapping[str, Tensor]) -> Tensor:
        before = self.decided
        self.decided = feed_back(self.batch.spec, predicted, how="hard", before=before)
        return unchanged(self.batch.spec, before, self.decided, self.batch.all_of)


def unchanged(
    spec: Spec, before: Mapping[str, Tensor], after: Mapping[str, Tensor], all_of: Callable = Batch.all_of
) -> Tensor:
    """Which graphs [B] have the same decided hints before and after a step; `all_of`: whose entries are all true."""
    before, after = merge_permutations(spec, before), merge_permutations(spec, after)
    same = []
    for name, value in after.items():
        if spec[name].type is Type.SCALAR:
            scale = torch.maximum(value.abs(), before[name].abs()).reshape(len(value), -1).amax(1)
            scale = scale.view(-1, *[1] * (value.dim() - 1))
            equal = (value - before[name]).abs() <= TOLERANCE * scale
        else:
            equal = value == before[name]
        same.append(all_of(spec[name], equal))
    return torch.stack(same).all(0)
