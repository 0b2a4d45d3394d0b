"""A layer carried out asynchronously: messages that arrive one by one, by chance, or until nothing changes any more.

`asynchronous` does so to a whole reasoner at test time. What the result would have to satisfy so that it does not
depend on all this is in asynchrony.py.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nar.model.reasoner import Reasoner
from nar.nn.message_layer import MessageLayer, aggregate, all_messages, layer_of, present
from nar.nn.processor import Processor, Readout, Step


def deliver(layer: MessageLayer, step: Step, state_BNF: Tensor, delivered_BSR: Tensor | None = None) -> Tensor:
    """One step in which only some messages arrive, together; a node that is given none stays as it is."""
    mask_BSR = present(layer, step, state_BNF)
    if delivered_BSR is not None:
        mask_BSR = mask_BSR & delivered_BSR
    return _apply(layer, step, state_BNF, all_messages(layer, step, state_BNF), mask_BSR)


def _apply(layer: MessageLayer, step: Step, state_BNF: Tensor, messages_BSRF: Tensor, mask_BSR: Tensor) -> Tensor:
    # distances may well be infinite: what is not delivered must not count as 10^6
    absent = {"max": -torch.inf, "min": torch.inf}.get(layer.aggregation)
    after_BNF = layer.update(step, state_BNF, aggregate(layer.aggregation, messages_BSRF, mask_BSR, absent))
    return torch.where(mask_BSR.any(1).unsqueeze(-1), after_BNF, state_BNF)


def deliver_singly(
    layer: MessageLayer, step: Step, state_BNF: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """One step whose messages all arrive, but at every node one after the other, in an order of its own."""
    nodes = state_BNF.shape[1]
    present_BSR = present(layer, step, state_BNF)
    messages_BSRF = all_messages(layer, step, state_BNF)
    order_BSR = torch.rand(present_BSR.shape, generator=generator).argsort(1).to(state_BNF.device)
    for turn in range(nodes):
        state_BNF = _apply(layer, step, state_BNF, messages_BSRF, present_BSR & (order_BSR == turn))
    return state_BNF


@dataclasses.dataclass
class Settled:
    """Where `run_to_fixed_point` came to rest."""

    state: Tensor  # [B, N, F]
    steps: Tensor  # [B]: steps until nothing would change any more, or all of them
    converged: Tensor  # [B]


def run_to_fixed_point(
    layer: MessageLayer,
    step: Step,
    state_BNF: Tensor,
    *,
    probability: float = 1.0,
    max_steps: int = 1000,
    generator: torch.Generator | None = None,
) -> Settled:
    """Repeat one step, delivering each message with a `probability` only, until delivering all would change nothing.

    Meaningful for layers that have fixed points: a max-plus layer with a positive cycle grows for ever, unless it is
    bounded, and is then reported as not converged.
    """
    if not 0 < probability <= 1 or max_steps < 1:
        raise ValueError(f"need 0 < probability <= 1 and max_steps >= 1, got {probability} and {max_steps}")
    present_BSR = present(layer, step, state_BNF)
    graphs = state_BNF.shape[0]
    steps_B = torch.full((graphs,), max_steps, device=state_BNF.device)
    converged_B = torch.zeros(graphs, dtype=torch.bool, device=state_BNF.device)
    for s in range(max_steps + 1):
        messages_BSRF = all_messages(layer, step, state_BNF)
        everything_BNF = _apply(layer, step, state_BNF, messages_BSRF, present_BSR)
        still_B = (everything_BNF == state_BNF).flatten(1).all(1)
        steps_B = torch.where(still_B & ~converged_B, s, steps_B)
        converged_B = converged_B | still_B
        if s == max_steps or bool(converged_B.all()):
            break
        if probability == 1:
            state_BNF = everything_BNF
        else:
            arrives = (torch.rand(present_BSR.shape, generator=generator) < probability).to(state_BNF.device)
            state_BNF = _apply(layer, step, state_BNF, messages_BSRF, present_BSR & arrives)
    return Settled(state_BNF, steps_B, converged_B)


class _Late(Processor):
    """A processor, each of whose messages arrives with some probability only, in every of some rounds per step."""

    def __init__(self, processor: Processor, probability: float, rounds: int, generator: torch.Generator) -> None:
        super().__init__(processor.features)
        self.processor, self.layer = processor, layer_of(processor)
        self.probability, self.rounds, self.generator = probability, rounds, generator
        for name in ("uses_adjacency", "masks_decoders", "node_readout", "edge_readout"):
            setattr(self, name, getattr(processor, name))

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> Any:
        return self.processor.initial_state(graphs, nodes, like)

    def readout(self, step: Step, before: Any, after: Any) -> Readout:
        return self.processor.readout(step, before, after)

    def forward(self, step: Step, state: Any) -> Any:
        hidden_BNF, *rest = state if isinstance(state, tuple) else (state,)
        for _ in range(self.rounds):
            shape = present(self.layer, step, hidden_BNF).shape
            arrives = (torch.rand(shape, generator=self.generator) < self.probability).to(hidden_BNF.device)
            hidden_BNF = deliver(self.layer, step, hidden_BNF, arrives)
        return (hidden_BNF, *rest) if isinstance(state, tuple) else hidden_BNF


@contextlib.contextmanager
def asynchronous(reasoner: Reasoner, probability: float = 0.3, *, rounds: int = 1, seed: int = 0) -> Iterator[Reasoner]:
    """For a while, the reasoner's messages arrive with this probability each, in every of `rounds` rounds per step."""
    if not 0 < probability <= 1 or rounds < 1:
        raise ValueError(f"need 0 < probability <= 1 and rounds >= 1, got {probability} and {rounds}")
    processor = reasoner.processor
    reasoner.processor = _Late(processor, probability, rounds, torch.Generator().manual_seed(seed))
    try:
        yield reasoner
    finally:
        reasoner.processor = processor
