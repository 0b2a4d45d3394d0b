"""What decoders are given: the encoded inputs and hints of a step, and what the processor shows of its state after it.

Outputs are decoded once per sample, after its last step: until then the rollout keeps every finished sample's inputs.

Shapes: B graphs, N nodes, F features, R width of d.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nar.model.options.ways import Least, Way, least
from nar.model.schedule import Schedule
from nar.nn import layers
from nar.nn.affine import AffineFeatures, joint_linear
from nar.nn.edge_states import EdgeStates
from nar.nn.processor import Readout


@dataclasses.dataclass
class DecoderInputs:
    """Everything that decoders look at."""

    nodes: Tensor | AffineFeatures  # d [B, N, R]: before `with_readout`, what was encoded
    edges: AffineFeatures  # what was encoded [B, N, N, F]
    edge_states: Tensor | EdgeStates | None  # the processor's
    graph: Tensor  # [B, F]
    adjacency: Tensor | None = None  # [B, N, N]: off it, pointers and edge masks fall below everything else
    values: dict[str, Tensor] = dataclasses.field(
        default_factory=dict
    )  # inputs and hints that Decoder.reads names, densely
    pairs: Tensor | None = None  # [B, N, N, F], the decoder's own view of pairs (PairView), while it decodes
    _ways: dict[Way, Least] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def with_readout(self, readout: Readout) -> DecoderInputs:
        """d = [x | what the processor shows], and its edge states."""
        nodes = self.nodes
        shown = torch.cat([nodes, readout.nodes], dim=-1) if isinstance(nodes, Tensor) else nodes.concat(readout.nodes)
        return dataclasses.replace(self, nodes=shown, edge_states=readout.edges)

    def least_way(self, way: Way) -> Least:
        """The best way between all pairs (ways.py), looked for once."""
        if way not in self._ways:
            self._ways[way] = least(way, self.values)
        return self._ways[way]

    def project_edges(self, layer: torch.nn.Linear) -> Tensor:
        """`layer` of eps = [e | the processor's edge states]."""
        projected = self.edges.project(layer, columns=self.edges.width)
        if self.edge_states is None:
            return projected
        return projected + self.project_states(layer)

    def project_states(self, layer: torch.nn.Linear) -> Tensor:
        """The part of it that is of the edge states."""
        weight, states = self.states_weight(layer), self.edge_states
        return states.project(weight) if isinstance(states, EdgeStates) else linear(states, weight)  # type: ignore[arg-type]

    def states_weight(self, layer: torch.nn.Linear) -> Tensor:
        """The columns of the layer that are of the edge states."""
        first = self.edges.width
        return self.edges.weights.once([layer.weight], lambda: layer.weight[:, first:], "columns from", first)

    def map(self, change: Callable[..., Tensor], *others: DecoderInputs) -> DecoderInputs:
        """Every part changed, given those of others behind it; features that are unbuilt stay so."""

        def part(*values: Any) -> Any:
            first = values[0]
            if first is None or isinstance(first, Tensor):
                return None if first is None else change(*values)
            return first.with_channels(change(*(value.channels for value in values)))

        every = (self, *others)
        names = ("nodes", "edges", "edge_states", "graph", "adjacency")
        parts = {name: part(*(getattr(inputs, name) for inputs in every)) for name in names}
        return DecoderInputs(**parts, values={name: part(*(i.values[name] for i in every)) for name in self.values})


class LastInputs:
    """What the decoders are given of every sample after its own last step."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._found: list[DecoderInputs] = []

    def add(self, inputs: DecoderInputs, step: int) -> None:
        """After every step. Of samples that leave, the finished ones are put away, else those that run replaced."""
        schedule = self.schedule
        if schedule.samples_leave:
            stop = schedule.num_running(step)
            start = schedule.num_running(step + 1) if step + 1 < schedule.steps else 0
            if start < stop:
                self._found.append(inputs.map(lambda part: part[start:stop].clone()))  # what they are rows of can go
        elif not self._found:  # everyone takes the first step
            self._found = [inputs]
        else:
            running_B = schedule.running(step, inputs.graph.device)

            def latest(new: Tensor, old: Tensor) -> Tensor:
                return torch.where(running_B.view(-1, *[1] * (new.dim() - 1)), new, old)

            self._found = [inputs.map(latest, self._found[0])]

    def joined(self) -> DecoderInputs:
        """All samples as one batch, in its own order."""
        *rest, first = self._found
        return first.map(lambda *parts: torch.cat(parts), *rest[::-1]) if rest else first


class PairView(nn.Module):
    """What several heads read of pairs, made once for all: ReLU(A d_i + B d_j + C eps_ij) [B, N, N, F]."""

    def __init__(self, node_width: int, edge_width: int, features: int) -> None:
        super().__init__()
        self.nodes = nn.ModuleList([layers.linear(node_width, features), layers.linear(node_width, features)])  # A, B
        self.edge = layers.linear(edge_width, features)  # C

    def forward(self, inputs: DecoderInputs) -> Tensor:
        sender, receiver = joint_linear(self.nodes, inputs.nodes, inputs.edges.weights)  # type: ignore[arg-type]
        return torch.relu(sender.unsqueeze(2) + receiver.unsqueeze(1) + inputs.project_edges(self.edge))
