"""A processor's numbers: gradients reach everything, all stays finite, and every way of computing gives the same.

Each function here is one check of the contract (check.py).
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from nar import datasets
from nar.analysis.contract.fixture import (
    FEATURES,
    ChunkedDense,
    Fixture,
    Inputs,
    UnfusedDense,
    inputs,
    require_equal,
    run_steps,
    state_tensors,
)  # fmt: skip
from nar.analysis.contract.outcome import Failed, Skipped, describe_error
from nar.model.batch import draw, training_spec
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense

IDLE = 1e-12  # gradients below are rounding


def gradients(fixture: Fixture) -> str:
    """Learning an algorithm moves every parameter."""
    algorithm = datasets.get("dag_shortest_paths")  # graph features, pointers, masks, a mask_one and categories
    graphs = draw(algorithm, 6, 4, seed=(1, 2), random_pos=True, p=(0.5,))
    largest: dict[str, float] = {}
    trained: dict[str, nn.Parameter] = {}
    for seed in range(3):  # a unit may be dead by chance
        torch.manual_seed(seed)
        reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, fixture.make(FEATURES)).double().train()
        loss = total_loss(graphs, reasoner(graphs))
        if not torch.isfinite(loss):
            raise Failed(f"the training loss is {loss.item()}")
        loss.backward()
        for name, parameter in reasoner.processor.named_parameters():
            if parameter.requires_grad:
                size = -1.0 if parameter.grad is None else parameter.grad.abs().max().item()
                if size != size:
                    raise Failed(f"the gradient of {name} is NaN")
                largest[name], trained[name] = max(size, largest.get(name, -1.0)), parameter
        if all(size >= IDLE for size in largest.values()):
            break
    if not largest:
        return "there are no parameters"
    idle = [name for name, size in largest.items() if size < IDLE]
    # a bias before a softmax adds the same to all of its logits: connected, but rightly without effect
    excused = [name for name in idle if largest[name] >= 0 and trained[name].dim() == 1]
    if lost := [name for name in idle if name not in excused]:
        raise Failed(f"no gradient reaches {', '.join(lost[:4])}{' ...' if len(lost) > 4 else ''}")
    note = f"; no effect (before a softmax?): {', '.join(excused)}" if excused else ""
    return f"reach all {len(largest)} parameters{note}"


def finite(fixture: Fixture) -> str:
    """Values and gradients stay numbers in float32, in all corners and over many steps."""
    cases = {
        "a single node": inputs(nodes=1, dtype=torch.float32),
        "inputs of zeros": inputs(dtype=torch.float32).map(torch.zeros_like),
        "equal nodes": inputs(dtype=torch.float32).map(torch.ones_like),
        "inputs around 100": inputs(dtype=torch.float32).map(lambda t: 100 * t),
        "64 nodes": inputs(graphs=1, nodes=64, dtype=torch.float32),
    }
    for name, x in cases.items():
        processor = fixture.build(torch.float32)
        leaves = x.map(lambda t: t.clone().requires_grad_())
        result = run_steps(processor, [leaves] * 8)
        numbers = [t for t in result.all_tensors() if t.is_floating_point()]
        if not all(torch.isfinite(t).all() for t in numbers):
            raise Failed(f"after 8 steps on {name}, a result is not a finite number")
        value = sum(t.tanh().sum() for t in numbers)
        if isinstance(value, Tensor) and value.requires_grad:
            value.backward()
        learned = [leaves.nodes, leaves.channels, leaves.graph, *processor.parameters()]
        if not all(t.grad is None or torch.isfinite(t.grad).all() for t in learned):
            raise Failed(f"after 8 steps on {name}, a gradient is not a finite number")
    return f"after 8 steps of {', '.join(cases)}"


@torch.no_grad()
def determinism(fixture: Fixture) -> str:
    """Same inputs, same result, bit for bit; nothing is remembered outside the state, nothing overwritten."""
    processor = fixture.build()
    x = inputs(1)
    state = run_steps(processor, [inputs(2)]).state
    given = [x.nodes, x.channels, x.graph, x.adjacency, *state_tensors(state)]
    copies = [t.clone() for t in given]
    first = [t.clone() for t in run_steps(processor, [x], state).all_tensors()]
    if any(not torch.equal(a, b) for a, b in zip(given, copies, strict=True)):
        raise Failed("forward or readout writes into its inputs or into the last state")
    again = run_steps(processor, [x], state).all_tensors()
    require_equal(again, first, "the same inputs give another result the second time, in evaluation mode", within=0)
    run_steps(processor, [inputs(5, graphs=2, nodes=3)] * 2)
    again = run_steps(processor, [x], state).all_tensors()
    remembers = "results depend on what was computed before: what lasts between steps belongs into the state"
    require_equal(again, first, remembers, within=0)
    return "same inputs, same result; inputs and states are not overwritten"


def pieces(fixture: Fixture) -> str:
    """Fast, plain and chunked evaluation agree, and so do the gradients of the first two."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    found = []
    for layout in (Dense, UnfusedDense):
        leaves = [x.map(lambda t: t.clone().requires_grad_()) for x in per_step]
        result = run_steps(processor, leaves, layout=layout).all_tensors()
        learned = [t for x in leaves for t in (x.nodes, x.channels, x.graph)] + [*processor.parameters()]
        value = sum(t.sin().sum() for t in result if t.is_floating_point())
        slopes = torch.autograd.grad(value, learned, allow_unused=True)  # type: ignore[arg-type]
        found.append(result + [torch.zeros_like(t) if s is None else s for t, s in zip(learned, slopes, strict=True)])
    fast, plain = found
    require_equal(fast, plain, "values or gradients of the fast and of the plain layout differ by {}")
    with torch.no_grad():
        for name, layout in (("without gradients", Dense), ("one receiver at a time", ChunkedDense)):
            result = run_steps(processor, per_step, layout=layout).all_tensors()
            require_equal(result, plain[: len(result)], f"evaluated {name}, the result differs by {{}}")
    return "fast, plain and chunked evaluation agree"


@torch.no_grad()
def compile(fixture: Fixture) -> str:
    """torch.compile gives the same numbers, if it can compile it (nothing in nar depends on that)."""
    processor, x = fixture.build(), inputs(1)

    def forward(state: Any, *given: Tensor) -> Any:
        return processor(Inputs(*given).step(processor.uses_adjacency), state)

    state = run_steps(processor, [inputs(2)]).state
    expected = state_tensors(run_steps(processor, [x], state).state)
    for whole in (True, False):
        try:
            torch._dynamo.reset()
            found = torch.compile(forward, backend="aot_eager", fullgraph=whole)(state, *dataclasses.astuple(x))
            break
        except Exception as error:
            if not whole:
                raise Skipped(f"torch.compile cannot take it: {describe_error(error)}") from None
    require_equal(state_tensors(found), expected, "compiled, the result differs by {}", within=1e-6)
    return f"torch.compile traces it {'as one graph' if whole else 'in several pieces'}, with the same result"
