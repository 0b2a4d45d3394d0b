"""Does the result depend on when messages arrive, and on when they are sent? Measured, and tried out.

Dudzik, von Glehn, Pascanu and Velickovic, Asynchronous Algorithmic Alignment with Cocycles (LoG 2023,
arXiv 2306.15632). A layer makes messages psi(argument of sender, of receiver) on every edge, aggregates them by +, and
updates states by phi(s, m). Its result is independent of the order in which messages

    of one aggregation are grouped, if    + is associative and commutative with a neutral element 0        aggregation
    arrive, if                            phi(s, 0) = s  and  phi(phi(s, m), n) = phi(s, m + n)            action
    are emitted, if moreover              delta(s, m + n) = delta(s, m) + delta(phi(s, m), n)              cocycle
                                          psi(a + b, c) = psi(a, c) + psi(b, c), and so for c              multimorphism

where delta(s, m), the argument with which a node sends on, is here its new state phi(s, m), and arguments add up like
messages. `asynchrony_residuals` measures by how much each equation fails. `deliver`, `deliver_singly` and
`run_to_fixed_point` carry a layer out asynchronously; `asynchronous` does so to a whole reasoner at test time, and
`report` sets its scores beside each other.

A layer is a processor with the methods and the attribute of `MessageLayer`, such as those of
processors/asynchronous.py; MPNN and PGN without triplets are read as one as they stand.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from nar.aggregate import MASKED
from nar.encode import EdgeMap, Edges
from nar.neighbourhood import Dense, Neighbourhood
from nar.process import Processor, Readout, Step

if TYPE_CHECKING:
    from nar.algorithm import Algorithm
    from nar.reasoner import Reasoner
    from nar.trace import Trace

EQUATIONS = ("aggregation", "action", "cocycle", "multimorphism")


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
        "`update` (nar.asynchrony.MessageLayer)"
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


# The equations


def update_parts(layer: MessageLayer, step: Step, state_BNF: Tensor) -> tuple[Tensor, Tensor]:
    """Two arguments per node: its state after the messages of some of its senders, and after those of the others."""
    first_BSR, second_BSR = _shares(layer, step, state_BNF)
    messages_BSRF = _expanded(layer.messages(step, state_BNF, state_BNF), state_BNF)
    return tuple(
        layer.update(step, state_BNF, aggregate(layer.aggregation, messages_BSRF, mask))
        for mask in (first_BSR, second_BSR)
    )  # type: ignore[return-value]


def multimorphism_gap(layer: MessageLayer, step: Step, one_BNF: Tensor, two_BNF: Tensor) -> Tensor:
    """psi(a + b, c) less psi(a, c) + psi(b, c) with c = a, and the same in the other slot: [2, B, S, R, F]."""
    both_BNF = _add(layer.aggregation, one_BNF, two_BNF)
    messages = layer.messages
    slots = (
        (messages(step, both_BNF, one_BNF), messages(step, one_BNF, one_BNF), messages(step, two_BNF, one_BNF)),
        (messages(step, one_BNF, both_BNF), messages(step, one_BNF, one_BNF), messages(step, one_BNF, two_BNF)),
    )
    return torch.stack([whole - _add(layer.aggregation, left, right) for whole, left, right in slots])


def asynchrony_residuals(
    processor: Any, step: Step | None = None, state_BNF: Tensor | None = None, *, graphs: int = 4, nodes: int = 8
) -> dict[str, float]:
    """The largest error in each of the four equations: `aggregation`, `action`, `cocycle`, `multimorphism`.

    Of random features and states, the same ones whenever it is asked, for an untrained impression; or at `step` and
    `state_BNF`, those of a trained rollout. Zero to rounding (1e-6 in float32) means that the equation holds.
    """
    layer = layer_of(processor)
    if step is None or state_BNF is None:
        if step is not None or state_BNF is not None:
            raise ValueError("give both a step and a state, or neither")
        step, state_BNF = _random(processor, graphs, nodes)
    if state_BNF.shape[1] < 2:
        raise ValueError(f"need 2 nodes or more to tell one message from another, got {state_BNF.shape[1]}")
    how = layer.aggregation
    with torch.no_grad():
        first_BSR, second_BSR = _shares(layer, step, state_BNF)
        messages_BSRF = _expanded(layer.messages(step, state_BNF, state_BNF), state_BNF)
        one_BNF, two_BNF = (aggregate(how, messages_BSRF, mask) for mask in (first_BSR, second_BSR))
        both_BNF = aggregate(how, messages_BSRF, first_BSR | second_BSR)
        zero_BNF = torch.full_like(one_BNF, nothing(how))
        after_one_BNF = layer.update(step, state_BNF, one_BNF)
        after_two_BNF = layer.update(step, after_one_BNF, two_BNF)
        together_BNF = layer.update(step, state_BNF, both_BNF)
        gaps = {
            "aggregation": [_add(how, one_BNF, two_BNF) - both_BNF, _add(how, one_BNF, zero_BNF) - one_BNF],
            "action": [after_two_BNF - together_BNF, layer.update(step, state_BNF, zero_BNF) - state_BNF],
            "cocycle": [_add(how, after_one_BNF, after_two_BNF) - together_BNF],
            "multimorphism": [multimorphism_gap(layer, step, *update_parts(layer, step, state_BNF))],
        }
        # what is not a number is no result that anything equals
        return {
            name: max(gap.nan_to_num(nan=torch.inf).abs().amax().item() for gap in found)
            for name, found in gaps.items()
        }


def _add(how: str, one: Tensor, two: Tensor) -> Tensor:
    return aggregate(how, torch.stack([one, two], 1).flatten(3).unsqueeze(-1)).squeeze(-1).view_as(one)


def _expanded(messages: Tensor, state_BNF: Tensor) -> Tensor:
    nodes = state_BNF.shape[1]
    return messages.expand(-1, nodes, nodes, -1)


def _present(layer: MessageLayer, step: Step, state_BNF: Tensor) -> Tensor:
    """Which messages exist: [B, S, R]."""
    graphs, nodes = state_BNF.shape[:2]
    hood = layer.neighbours(step.hood)
    if not isinstance(hood, Dense):
        raise ValueError("every node is alone: there are no messages that could be late")
    if hood.adjacency_BNN is not None:
        return hood.adjacency_BNN
    return torch.ones(graphs, nodes, nodes, dtype=torch.bool, device=state_BNF.device)


def _shares(layer: MessageLayer, step: Step, state_BNF: Tensor) -> tuple[Tensor, Tensor]:
    """The messages from every third sender, and the rest: parts of unequal size, which a mean cannot put together."""
    present_BSR = _present(layer, step, state_BNF)
    third_S1 = (torch.arange(state_BNF.shape[1], device=state_BNF.device) % 3 == 0).view(-1, 1)
    return present_BSR & third_S1, present_BSR & ~third_S1


def _random(processor: Any, graphs: int, nodes: int) -> tuple[Step, Tensor]:
    like, features = next(processor.parameters()), processor.features
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(like)

    edges = Edges(
        draw(graphs, nodes, nodes, features),
        EdgeMap(torch.eye(features).to(like), torch.zeros(features).to(like)),
    )
    step = Step(draw(graphs, nodes, features), draw(graphs, features), Dense(edges, nodes))
    return step, draw(graphs, nodes, features)


# Execution


def deliver(layer: MessageLayer, step: Step, state_BNF: Tensor, delivered_BSR: Tensor | None = None) -> Tensor:
    """One step in which only some messages arrive, together; a node that is given none stays as it is."""
    present_BSR = _present(layer, step, state_BNF)
    mask_BSR = present_BSR if delivered_BSR is None else present_BSR & delivered_BSR
    messages_BSRF = _expanded(layer.messages(step, state_BNF, state_BNF), state_BNF)
    return _apply(layer, step, state_BNF, messages_BSRF, mask_BSR)


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
    present_BSR = _present(layer, step, state_BNF)
    messages_BSRF = _expanded(layer.messages(step, state_BNF, state_BNF), state_BNF)
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
    present_BSR = _present(layer, step, state_BNF)
    graphs = state_BNF.shape[0]
    steps_B = torch.full((graphs,), max_steps, device=state_BNF.device)
    converged_B = torch.zeros(graphs, dtype=torch.bool, device=state_BNF.device)
    for s in range(max_steps + 1):
        messages_BSRF = _expanded(layer.messages(step, state_BNF, state_BNF), state_BNF)
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
            shape = _present(self.layer, step, hidden_BNF).shape
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


def report(
    reasoner: Reasoner,
    algorithm: Algorithm,
    traces: Iterable[Trace],
    *,
    probabilities: Iterable[float] = (1.0, 0.7, 0.5, 0.3),
    rounds: int = 1,
    seed: int = 0,
) -> str:
    """Markdown: the four residuals of the processor, and its scores when so many of its messages arrive in time."""
    from nar.evaluate import evaluate

    traces = list(traces)
    lines = ["| equation | largest error |", "|---|---|"]
    lines += [f"| {name} | {value:.2g} |" for name, value in asynchrony_residuals(reasoner.processor).items()]
    lines += ["", f"| messages delivered | rounds per step | score on {algorithm.name} | graphs all right |"]
    lines += ["|---|---|---|---|"]
    for probability in probabilities:
        with asynchronous(reasoner, probability, rounds=rounds, seed=seed):
            found = evaluate(reasoner, algorithm, traces, validity=False)
        lines.append(f"| {probability:.0%} | {rounds} | {found.score:.4f} | {found.exact / found.samples:.1%} |")
    return "\n".join(lines)
