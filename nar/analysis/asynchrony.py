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
when its messages come late (delivery.py). Layers: nar/nn/message_layer.py.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nar.analysis.delivery import asynchronous
from nar.evaluation.evaluate import evaluate
from nar.model.reasoner import Reasoner
from nar.nn.affine import AffineFeatures
from nar.nn.message_layer import (
    aggregate,
    all_messages,
    combine,
    layer_of,
    multimorphism_gap,
    nothing,
    partial_updates,
    split_messages,
)  # fmt: skip
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.text_format import markdown_table
from nar.traces.algorithm import Algorithm
from nar.traces.trace import Trace

EQUATIONS = ("aggregation", "action", "cocycle", "multimorphism")


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
        first_BSR, second_BSR = split_messages(layer, step, state_BNF)
        messages_BSRF = all_messages(layer, step, state_BNF)
        one_BNF, two_BNF = (aggregate(how, messages_BSRF, mask) for mask in (first_BSR, second_BSR))
        both_BNF = aggregate(how, messages_BSRF, first_BSR | second_BSR)
        zero_BNF = torch.full_like(one_BNF, nothing(how))
        after_one_BNF = layer.update(step, state_BNF, one_BNF)
        after_two_BNF = layer.update(step, after_one_BNF, two_BNF)
        together_BNF = layer.update(step, state_BNF, both_BNF)
        gaps = {
            "aggregation": [combine(how, one_BNF, two_BNF) - both_BNF, combine(how, one_BNF, zero_BNF) - one_BNF],
            "action": [after_two_BNF - together_BNF, layer.update(step, state_BNF, zero_BNF) - state_BNF],
            "cocycle": [combine(how, after_one_BNF, after_two_BNF) - together_BNF],
            "multimorphism": [multimorphism_gap(layer, step, *partial_updates(layer, step, state_BNF))],
        }
        # what is not a number is no result that anything equals
        return {
            name: max(gap.nan_to_num(nan=torch.inf).abs().amax().item() for gap in found)
            for name, found in gaps.items()
        }


def _random(processor: Any, graphs: int, nodes: int) -> tuple[Step, Tensor]:
    like, features = next(processor.parameters()), processor.features
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(like)

    edges = AffineFeatures.of(draw(graphs, nodes, nodes, features))
    step = Step(draw(graphs, nodes, features), draw(graphs, features), Dense(edges, nodes))
    return step, draw(graphs, nodes, features)


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
