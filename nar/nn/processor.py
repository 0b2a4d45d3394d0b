"""The contract of a processor: the network that carries out one step of the algorithm on hidden node states.

At every step of a rollout a processor is given what the encoders made of the inputs and of the current hints (`Step`)
and its own state, and returns its next state. It is written once against a `Neighbourhood`, for every algorithm. A
minimal one:

    class Mean(Processor):
        def __init__(self, features: int) -> None:
            super().__init__(features)
            self.send = nn.Linear(2 * features, features)
            self.edge = nn.Linear(features, features)
            self.keep = nn.Linear(3 * features, features)

        def forward(self, step: Step, state: Tensor) -> Tensor:
            z_BNF = torch.cat([step.nodes, state], dim=-1)
            messages = torch.relu(step.hood.senders(self.send(z_BNF)) + step.hood.edges(self.edge))
            return torch.relu(self.keep(torch.cat([z_BNF, step.hood.reduce(messages, "mean")], dim=-1)))

Shapes: B graphs, N nodes, F features.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from nar.nn.affine import NOT_KEPT, AffineFeatures, ComposedWeights
from nar.nn.edge_states import EdgeStates
from nar.nn.neighbourhood import Neighbourhood


class Notes:
    """What a processor says of its steps beside their results: penalties for the loss, measures for the report."""

    def __init__(self) -> None:
        self.penalties: dict[str, list[Tensor]] = {}
        self.measures: dict[str, list[Tensor]] = {}

    def penalty(self, name: str, value: Tensor) -> None:
        """Add a scalar, already weighted, to the loss; several of one name are averaged over the rollout."""
        self.penalties.setdefault(name, []).append(value)

    def measure(self, name: str, value_B: Tensor) -> None:
        """Keep a number per graph of this step, such as how far a gate is open; reports draw it against the step."""
        self.measures.setdefault(name, []).append(value_B.detach())

    def add(self, other: Notes) -> None:
        """The notes of another step, after these."""
        for mine, theirs in ((self.penalties, other.penalties), (self.measures, other.measures)):
            for name, values in theirs.items():
                mine.setdefault(name, []).extend(values)


@dataclasses.dataclass
class Step:
    """What a processor sees at one step: encoded features and the neighbourhood that holds the edges."""

    nodes: Tensor  # [B, N, F]; not to be changed in place
    graph: Tensor  # [B, F]
    hood: Neighbourhood
    notes: Notes = dataclasses.field(default_factory=Notes)
    progress: float = 1.0  # share of the training that is done, for schedules; 1 in evaluation
    features: AffineFeatures | None = None  # the nodes' features as channels, as long as `nodes` are these
    weights: ComposedWeights = NOT_KEPT  # joined weights, kept for the rollout

    def concat(self, *states: Tensor) -> Tensor | AffineFeatures:
        """z = [x | states], as `joint_linear` of affine.py takes it.

        `a, b = joint_linear([self.a, self.b], step.concat(state))` are two maps of it. It need not be built for them,
        which makes that faster than `torch.cat([step.nodes, state], -1)`.
        """
        if self.features is None or self.features.dense() is not self.nodes:
            return torch.cat([self.nodes, *states], dim=-1)
        return self.features.concat(*states)


@dataclasses.dataclass
class Readout:
    """What the decoders see of a processor's state, beside the encoded features themselves."""

    nodes: Tensor  # [B, N, node_readout]
    edges: Tensor | EdgeStates | None = None  # [B, N, N, edge_readout], where the processor makes edge states


class Processor(nn.Module):
    """Base class. A subclass defines `forward`; it may override `initial_state` and `readout`.

    The declared facts are checked by `nar check`, and by the tests over every processor in the table.
    """

    permutation_equivariant: bool = True  # renaming the nodes renames the result
    uses_history: bool = True  # the next state depends on the last one
    uses_edges: bool = True  # the result depends on features of edges: weights, pointers, masks of pairs
    uses_adjacency: bool = False  # messages follow the graph's edges; else all pairs
    needs_pairs: bool = False  # keeps or compares all pairs of nodes by itself, beside what its neighbourhood offers
    masks_decoders: bool = False  # pointers and edge masks off the graph are pushed below all others
    cost: str = "N^2"  # growth of time per step with the number of nodes

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.node_readout = 2 * features  # width of Readout.nodes
        self.edge_readout = 0  # width of Readout.edges; 0: none

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> Any:
        """The state before the first step, of the dtype and device of `like`: zeros [B, N, F] unless overridden.

        A state is a tensor or a plain tuple of tensors (None allowed), the first of them the hidden state of the nodes,
        each with the batch as its first axis.
        """
        return like.new_zeros(graphs, nodes, self.features)

    def forward(self, step: Step, state: Any) -> Any:
        """The next state."""
        raise NotImplementedError

    def readout(self, step: Step, before: Any, after: Any) -> Readout:
        """What the decoders see after a step; CLRS shows them the hidden state before and after it."""
        before, after = (state[0] if isinstance(state, tuple) else state for state in (before, after))
        return Readout(torch.cat([before, after], dim=-1))


def rows(state: Any, which: slice) -> Any:
    """The same state (or anything else per graph) for some of the graphs; used to drop finished ones."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(rows(part, which) for part in state)
    if isinstance(state, dict):
        return {name: rows(part, which) for name, part in state.items()}
    # a slice of everything is an operation as well, whose gradient is a copy
    return state if which == slice(0, len(state)) else state[which]
