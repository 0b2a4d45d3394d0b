"""A step taken apart: messages on every edge, their aggregation, and the update of states.

A layer makes messages psi(argument of sender, of receiver), aggregates them by +, and updates states by phi(s, m), as
in nar/analysis/asynchrony.py. It is a processor with the methods and the attribute of `MessageLayer`, such as those of
processors/asynchronous.py; MPNN and PGN without triplets are read as one as they stand.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.processor import Step
from nar.nn.reductions import MASKED


class MessageLayer(Protocol):
    """What is needed to take a step apart. `aggregation`: max, min, sum or mean."""

    aggregation: str

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        """Whom a node listens to."""
        ...

    def messages(self, step: Step, senders_BNF: Tensor, receivers_BNF: Tensor) -> Tensor:
        """psi [B, S, R, F] from the arguments of both ends."""
        ...

    def update(self, step: Step, state_BNF: Tensor, message_BNF: Tensor) -> Tensor:
        """phi."""
        ...


class _PGN:
    """The PGN family, taken apart (processors/pgn.py has the equations)."""

    def __init__(self, processor: Any) -> None:
        if processor.edge_readout or not isinstance(processor.reduction, str):
            raise ValueError("only node messages with a reduction by name can be taken apart: leave triplets away")
        self.processor, self.aggregation = processor, processor.reduction

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        return self.processor.neighbours(hood)

    def messages(self, step: Step, senders_BNF: Tensor, receivers_BNF: Tensor) -> Tensor:
        p, hood = self.processor, self.neighbours(step.hood)
        sender = p.sender(torch.cat([step.nodes, senders_BNF], -1)) + p.graph(step.graph).unsqueeze(1)
        receiver = p.receiver(torch.cat([step.nodes, receivers_BNF], -1))
        return p.message(hood.edges(p.edge) + hood.senders(sender) + hood.receivers(receiver))

    def update(self, step: Step, state_BNF: Tensor, message_BNF: Tensor) -> Tensor:
        p, z_BNZ = self.processor, torch.cat([step.nodes, state_BNF], -1)
        update_BNF = p.norm(torch.relu(p.skip(z_BNZ) + p.out(message_BNF)))
        if p.gate is not None:
            gate_BNF = torch.sigmoid(p.gate[2](torch.relu(p.gate[0](z_BNZ) + p.gate[1](message_BNF))))
            update_BNF = state_BNF + gate_BNF * (update_BNF - state_BNF)
        return update_BNF


def layer_of(processor: Any) -> MessageLayer:
    """The processor as messages, aggregation and update; ValueError where it does not say how."""
    if all(hasattr(processor, name) for name in ("aggregation", "neighbours", "messages", "update")):
        return processor
    # by name: the engine reaches networks through their table only; and as long as its step is PGN's own
    for family in type(processor).__mro__:
        if family.__name__ == "PGN" and type(processor).forward is family.forward:
            return _PGN(processor)
    raise ValueError(
        f"{type(processor).__name__} cannot be taken apart; it needs `aggregation`, `neighbours`, `messages` and "
        "`update` (nar.nn.message_layer.MessageLayer)"
    )


def nothing(aggregation: str) -> float:
    """The neutral element of an aggregation, finite as in dm-clrs, so that linear maps of it are."""
    neutral = {"max": MASKED, "min": -MASKED, "sum": 0.0, "mean": 0.0}
    if aggregation not in neutral:
        raise ValueError(f"unknown aggregation {aggregation!r}; choose one of {', '.join(neutral)}")
    return neutral[aggregation]


def aggregate(
    aggregation: str, messages_BSRF: Tensor, mask_BSR: Tensor | None = None, absent: float | None = None
) -> Tensor:
    """The sum, in the layer's own sense, of the messages that each receiver is given.

    `absent`: what the others count as; by default `nothing`.
    """
    neutral = nothing(aggregation) if absent is None else absent
    count = messages_BSRF.new_tensor(messages_BSRF.shape[1])
    if mask_BSR is not None:
        messages_BSRF = messages_BSRF.masked_fill(~mask_BSR.unsqueeze(-1), neutral)
        count = mask_BSR.sum(1).clamp(min=1).unsqueeze(-1)
    if aggregation in ("max", "min"):
        return messages_BSRF.amax(1) if aggregation == "max" else messages_BSRF.amin(1)
    total_BRF = messages_BSRF.sum(1)
    return total_BRF / count if aggregation == "mean" else total_BRF


def all_messages(layer: MessageLayer, step: Step, state_BNF: Tensor) -> Tensor:
    """Messages [B, S, R, F] of these states; those that look at one end only are repeated for the other."""
    nodes = state_BNF.shape[1]
    return layer.messages(step, state_BNF, state_BNF).expand(-1, nodes, nodes, -1)


def present(layer: MessageLayer, step: Step, state_BNF: Tensor) -> Tensor:
    """Which messages exist: [B, S, R]."""
    graphs, nodes = state_BNF.shape[:2]
    hood = layer.neighbours(step.hood)
    if not isinstance(hood, Dense):
        raise ValueError("every node is alone: there are no messages that could be late")
    if hood.adjacency_BNN is not None:
        return hood.adjacency_BNN
    return torch.ones(graphs, nodes, nodes, dtype=torch.bool, device=state_BNF.device)


def combine(aggregation: str, one: Tensor, two: Tensor) -> Tensor:
    """The sum of two, in the layer's own sense."""
    return aggregate(aggregation, torch.stack([one, two], 1).flatten(3).unsqueeze(-1)).squeeze(-1).view_as(one)


def split_messages(layer: MessageLayer, step: Step, state_BNF: Tensor) -> tuple[Tensor, Tensor]:
    """Masks [B, S, R] of the messages from every third sender, and of the rest: parts of unequal size, which a mean
    cannot put together."""
    present_BSR = present(layer, step, state_BNF)
    third_S1 = (torch.arange(state_BNF.shape[1], device=state_BNF.device) % 3 == 0).view(-1, 1)
    return present_BSR & third_S1, present_BSR & ~third_S1


def partial_updates(layer: MessageLayer, step: Step, state_BNF: Tensor) -> tuple[Tensor, Tensor]:
    """Two arguments per node: its state after the messages of some of its senders, and after those of the others."""
    messages_BSRF = all_messages(layer, step, state_BNF)
    one_BSR, two_BSR = split_messages(layer, step, state_BNF)
    return (
        layer.update(step, state_BNF, aggregate(layer.aggregation, messages_BSRF, one_BSR)),
        layer.update(step, state_BNF, aggregate(layer.aggregation, messages_BSRF, two_BSR)),
    )


def multimorphism_gap(layer: MessageLayer, step: Step, one_BNF: Tensor, two_BNF: Tensor) -> Tensor:
    """psi(a + b, c) less psi(a, c) + psi(b, c) with c = a, and the same in the other slot: [2, B, S, R, F].

    Zero for a layer whose messages may be sent early and often instead of once (nar/analysis/asynchrony.py).
    """
    how, messages, both_BNF = layer.aggregation, layer.messages, combine(layer.aggregation, one_BNF, two_BNF)
    slots = (
        (messages(step, both_BNF, one_BNF), messages(step, one_BNF, one_BNF), messages(step, two_BNF, one_BNF)),
        (messages(step, one_BNF, both_BNF), messages(step, one_BNF, one_BNF), messages(step, one_BNF, two_BNF)),
    )
    return torch.stack([whole - combine(how, left, right) for whole, left, right in slots])
