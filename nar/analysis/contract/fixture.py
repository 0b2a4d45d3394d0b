"""A processor to be checked: how it is made, inputs without an encoder, a few steps of it, how far results differ.

Shapes: B graphs, N nodes, F features, K raw edge channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from nar.analysis.contract.outcome import EXACT, Failed
from nar.nn import neighbourhood
from nar.nn.affine import AffineFeatures, materialize
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.processor import Processor, Readout, Step

FEATURES = 16  # divisible by what heads there may be
B, N, K = 4, 6, 3


@dataclasses.dataclass
class Inputs:
    """What the encoders could have made of a batch, at one step."""

    nodes: Tensor  # [B, N, F]
    channels: Tensor  # [B, N, N, K]
    graph: Tensor  # [B, F]
    adjacency: Tensor  # bool [B, N, N], symmetric, with self-loops

    def step(self, follow: bool, layout: type[Dense] = Dense) -> Step:
        """As a rollout hands it on; `follow`: with the adjacency."""
        features = self.nodes.shape[-1]
        generator = torch.Generator().manual_seed(9)
        weight = torch.randn(K, features, generator=generator, dtype=torch.float64).to(self.nodes)
        edges = AffineFeatures(self.channels, weight, weight.sum(0) / 2)
        hood = layout(edges, self.nodes.shape[1], self.adjacency if follow else None)
        return Step(self.nodes, self.graph, hood)

    def select(self, which: slice) -> Inputs:
        """Some of the graphs."""
        return Inputs(self.nodes[which], self.channels[which], self.graph[which], self.adjacency[which])

    def map(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """With a change made to all that is not the adjacency."""
        return Inputs(change(self.nodes), change(self.channels), change(self.graph), self.adjacency)


def inputs(
    seed: int = 0, graphs: int = B, nodes: int = N, features: int = FEATURES, dtype: torch.dtype = torch.float64
) -> Inputs:
    """Random inputs; about half of the pairs are linked."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((graphs, nodes, features), (graphs, nodes, nodes, K), (graphs, features))
    x, e, g = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)
    links = torch.rand(graphs, nodes, nodes, generator=generator) < 0.3
    return Inputs(x, e, g, links | links.transpose(1, 2) | torch.eye(nodes, dtype=torch.bool))


@dataclasses.dataclass
class Fixture:
    """A processor that is being examined: `make(features)` builds one."""

    make: Callable[[int], Processor]

    def build(self, dtype: torch.dtype = torch.float64) -> Processor:
        """One with parameters as after some training (vectors are drawn as well), in evaluation mode."""
        torch.manual_seed(3)
        processor = self.make(FEATURES).to(dtype)
        with torch.no_grad():
            for parameter in processor.parameters():
                if parameter.dim() == 1:
                    parameter += 0.3 * torch.randn_like(parameter)
        return processor.eval()


@dataclasses.dataclass
class Result:
    """After some steps: the state, the hidden one in it, and what the decoders see."""

    state: Any
    readout: Readout

    @property
    def hidden(self) -> Tensor:
        return self.state[0] if isinstance(self.state, tuple) else self.state

    def visible(self) -> list[Tensor]:
        """Hidden state and readout: what has nodes for its axes."""
        edges = self.readout.edges
        return [self.hidden, self.readout.nodes, *([] if edges is None else [materialize(edges)])]

    def all_tensors(self) -> list[Tensor]:
        """Parts of a state that are there, and the readout."""
        return [*state_tensors(self.state), *self.visible()[1:]]


def state_tensors(state: Any) -> list[Tensor]:
    """The tensors in a state."""
    if isinstance(state, tuple):
        return [t for part in state for t in state_tensors(part)]
    return [] if state is None else [state]


def run_steps(
    processor: Processor, per_step: list[Inputs], state: Any = None, *, follow: bool | None = None, layout=Dense
) -> Result:
    """One step on each of the inputs, from `state` or from the initial one."""
    follow = processor.uses_adjacency if follow is None else follow
    first = per_step[0].nodes
    state = processor.initial_state(first.shape[0], first.shape[1], first) if state is None else state
    readout = None
    for one_step in per_step:
        step = one_step.step(follow, layout)
        before, state = state, processor(step, state)
        readout = processor.readout(step, before, state)
    assert readout is not None
    return Result(state, readout)


def max_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference, relative to the size of the numbers; infinite where shapes differ or one is NaN."""
    if [t.shape for t in ours] != [t.shape for t in theirs]:
        return float("inf")
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.numel():
            a, b = a.double(), b.double()
            difference = ((a - b).abs().max() / (1 + b.abs().max())).item()
            worst = max(worst, difference if difference == difference else float("inf"))
    return worst


def require_equal(ours: list[Tensor], theirs: list[Tensor], message: str, within: float = EXACT) -> None:
    """Failed where two routes differ by more than rounding; {} in the message stands for the difference."""
    if (difference := max_difference(ours, theirs)) > within:
        raise Failed(message.replace("{}", f"{difference:.2g}"))


class UnfusedDense(Dense):
    """The dense layout with `pool` as the base class states it: nothing fused, nothing in pieces."""

    pool = Neighbourhood.pool

    def reverse(self) -> Dense:
        turned = super().reverse()
        return type(self)(turned.edge_features, turned.nodes, turned.adjacency_BNN)

    def complete(self) -> Dense:
        return type(self)(self.edge_features, self.nodes)


class ChunkedDense(UnfusedDense):
    """The dense layout in the smallest pieces: one receiver at a time, as large graphs are evaluated."""

    def pool(self, senders_BNF, receivers_BNF, edge, graph_BF, message, how="max"):
        with mock.patch.object(neighbourhood, "CHUNK_BYTES", 1):
            # no message function that a fast layout would recognise
            return Dense.pool(self, senders_BNF, receivers_BNF, edge, graph_BF, lambda parts: message(parts), how)
