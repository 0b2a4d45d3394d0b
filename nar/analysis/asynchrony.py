"""Does the result depend on when messages arrive, and on when they are sent? Measured, and tried out.

Dudzik, von Glehn, Pascanu and Velickovic, Asynchronous Algorithmic Alignment with Cocycles (LoG 2023,
arXiv 2306.15632). A layer makes messages psi(argument of sender, of receiver) on every edge, aggregates them by +, and
updates states by phi(s, m). Its result is independent of the order in which messages

    of one aggregation are grouped, if    + is associative and commutative with a neutral element 0        aggregation
    arrive, if                            phi(s, 0) = s  and  phi(phi(s, m), n) = phi(s, m + n)            action
    are emitted, if moreover              delta(s, m + n) = delta(s, m) + delta(phi(s, m), n)              cocycle
                                          psi(a + b, c) = psi(a, c) + psi(b, c), and so for c              multimorphism

where delta(s, m), the argument with which a node sends on, is here its new state phi(s, m), and arguments add up like
messages. `asynchrony_residuals` measures by how much each equation fails, `report` sets beside it how a reasoner scores
when its messages come late. The deliver functions carry out a layer with messages that arrive one by one, by chance, or
until nothing changes any more; `asynchronous` does so to a whole reasoner. Layers: nar/nn/message_layer.py.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from nar.evaluation.evaluate import evaluate
from nar.model.reasoner import Reasoner
from nar.nn import message_layer
from nar.nn.affine import AffineFeatures
from nar.nn.message_layer import MessageLayer, aggregate, all_messages, combine, layer_of, present, split_messages
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.text_format import markdown_table
from nar.traces.algorithm import Algorithm
from nar.traces.trace import Trace


def asynchrony_residuals(
    processor: Any, step: Step | None = None, state_BNF: Tensor | None = None, *, nodes: int = 8
) -> dict[str, float]:
    """The largest error in each of the four equations: `aggregation`, `action`, `cocycle`, `multimorphism`.

    Of random features and states, the same ones whenever it is asked, for an untrained impression; or at `step` and
    `state_BNF`, those of a trained rollout. Zero to rounding (1e-6 in float32) means that the equation holds.
    """
    layer = layer_of(processor)
    if step is None or state_BNF is None:
        if step is not None or state_BNF is not None:
            raise ValueError("give both a step and a state, or neither")
        step, state_BNF = _random(processor, nodes)
    if state_BNF.shape[1] < 2:
        raise ValueError(f"need 2 nodes or more to tell one message from another, got {state_BNF.shape[1]}")
    how = layer.aggregation
    with torch.no_grad():
        first_BSR, second_BSR = split_messages(layer, step, state_BNF)
        messages_BSRF = all_messages(layer, step, state_BNF)
        one_BNF, two_BNF = (aggregate(how, messages_BSRF, mask) for mask in (first_BSR, second_BSR))
        both_BNF = aggregate(how, messages_BSRF, first_BSR | second_BSR)
        zero_BNF = torch.full_like(one_BNF, message_layer.nothing(how))
        after_one_BNF = layer.update(step, state_BNF, one_BNF)
        after_two_BNF = layer.update(step, after_one_BNF, two_BNF)
        together_BNF = layer.update(step, state_BNF, both_BNF)
        gaps = {
            "aggregation": [combine(how, one_BNF, two_BNF) - both_BNF, combine(how, one_BNF, zero_BNF) - one_BNF],
            "action": [after_two_BNF - together_BNF, layer.update(step, state_BNF, zero_BNF) - state_BNF],
            "cocycle": [combine(how, after_one_BNF, after_two_BNF) - together_BNF],
            "multimorphism": [
                message_layer.multimorphism_gap(layer, step, after_one_BNF, layer.update(step, state_BNF, two_BNF))
            ],
        }
        # what is not a number is no result that anything equals
        return {
            name: max(gap.nan_to_num(nan=torch.inf).abs().amax().item() for gap in found)
            for name, found in gaps.items()
        }


def _random(processor: Any, nodes: int, graphs: int = 4) -> tuple[Step, Tensor]:
    like, features = next(processor.parameters()), processor.features
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(like)

    edges = AffineFeatures.of(draw(graphs, nodes, nodes, features))
    step = Step(draw(graphs, nodes, features), draw(graphs, features), Dense(edges, nodes))
    return step, draw(graphs, nodes, features)


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
        arrives = (torch.rand(present_BSR.shape, generator=generator) < probability).to(state_BNF.device)
        state_BNF = _apply(layer, step, state_BNF, messages_BSRF, present_BSR & arrives)
    return Settled(state_BNF, steps_B, converged_B)


@contextlib.contextmanager
def asynchronous(reasoner: Reasoner, probability: float = 0.3, *, rounds: int = 1, seed: int = 0) -> Iterator[None]:
    """For a while, the reasoner's messages arrive with this probability each, in every of `rounds` rounds per step."""
    if not 0 < probability <= 1 or rounds < 1:
        raise ValueError(f"need 0 < probability <= 1 and rounds >= 1, got {probability} and {rounds}")
    layer, generator = layer_of(reasoner.processor), torch.Generator().manual_seed(seed)

    def forward(step: Step, state: Any) -> Any:
        hidden_BNF, *rest = state if isinstance(state, tuple) else (state,)
        for _ in range(rounds):
            shape = present(layer, step, hidden_BNF).shape
            arrives = (torch.rand(shape, generator=generator) < probability).to(hidden_BNF.device)
            hidden_BNF = deliver(layer, step, hidden_BNF, arrives)
        return (hidden_BNF, *rest) if isinstance(state, tuple) else hidden_BNF

    with mock.patch.object(reasoner.processor, "forward", forward):
        yield


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
    traces = list(traces)
    residuals = asynchrony_residuals(reasoner.processor)
    rows = []
    for probability in probabilities:
        with asynchronous(reasoner, probability, rounds=rounds, seed=seed):
            found = evaluate(reasoner, algorithm, traces, validity=False)
        rows.append([f"{probability:.0%}", str(rounds), f"{found.score:.4f}", f"{found.exact / found.samples:.1%}"])
    header = ["messages delivered", "rounds per step", f"score on {algorithm.name}", "graphs all right"]
    equations = markdown_table(["equation", "largest error"], [(name, f"{v:.2g}") for name, v in residuals.items()])
    return f"{equations}\n\n{markdown_table(header, rows)}"
