"""What decoders are given: the encoded inputs and hints of a step, and what the processor shows of its state after it.

Shapes: B graphs, N nodes, F features, R width of d.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nar.kernels.cpu import fused, ranges, rectified
from nar.kernels.triton import dispatch
from nar.model.options.ways import Least, Way, least
from nar.nn import layers
from nar.nn.affine import AffineFeatures, joint_linear, materialize
from nar.nn.edge_states import EdgeStates
from nar.nn.processor import Readout
from nar.nn.sparse.predictions import OnEdges


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

    def largest(self) -> Tensor:
        """The maximum of d over the nodes of each graph [B, R]."""
        return materialize(self.nodes).amax(1)

    def among_nodes(self, logits_BN: Tensor) -> Tensor:
        """Logits of a choice of one node, with none of nodes that do not exist."""
        return logits_BN

    def pairs_of(self, first_BNF: Tensor, second_BNF: Tensor, layer: torch.nn.Linear) -> Tensor:
        """first of i + second of j + `layer` of eps_ij [B, N, N, F]."""
        return first_BNF.unsqueeze(2) + second_BNF.unsqueeze(1) + self.project_edges(layer)

    def rectified_pairs(self, first_BNF: Tensor, second_BNF: Tensor, layer: torch.nn.Linear) -> Tensor:
        """ReLU of `pairs_of`."""
        channels = self.edges.channels
        if self.edge_states is None and ranges.usable(first_BNF, channels) and channels.dim() == 4:
            weight_FK, bias_F = self.edges.compose([layer], columns=self.edges.width)
            return rectified.rectified_pairs(channels, weight_FK.t(), first_BNF + bias_F, second_BNF)
        return torch.relu(self.pairs_of(first_BNF, second_BNF, layer))

    def chosen(self, module: nn.Module, *before: Any) -> Any:
        """What a module of candidates or selection chooses; `before`: arguments of it."""
        return module(*before, self)

    def as_predicted(self, values: Tensor) -> Tensor | OnEdges:
        """Logits or values of pairs in the form in which they are fed back and scored."""
        return values

    def pointer_scores(
        self, own_BNF: Tensor, other_BNF: Tensor, edge: nn.Linear, weigh: nn.Linear, additive: bool
    ) -> Tensor | OnEdges:
        """w max(own_i, other_j + P3 eps_ji) + b [B, N, N], or `additive`, w tanh of the sum."""
        if additive:
            sums = self.project_edges(edge) + other_BNF.unsqueeze(2) + own_BNF.unsqueeze(1)
            return weigh(torch.tanh(sums)).squeeze(-1).transpose(1, 2)
        edges, states = self.edges, self.edge_states
        on_gpu = dispatch.usable(own_BNF, edges.channels)
        if on_gpu or ranges.usable(own_BNF, edges.channels):
            weight_FK, bias_F = edges.compose([edge], columns=edges.width)
            opened, projected = None, None
            if isinstance(states, EdgeStates) and not on_gpu:
                opened = (states.channels, states.weight_Ft, states.bias_F, self.states_weight(edge))
            elif states is not None:
                projected = self.project_states(edge)
            given = (edges.channels, weight_FK.t(), projected, own_BNF, other_BNF + bias_F, weigh.weight.flatten())
            scores_BNN = dispatch.pointer_scores(*given) if on_gpu else fused.pointer_scores(*given, opened)
            return scores_BNN + weigh.bias
        # laid out [b, j, i]: the edge features that pointer i -> j reads are those of the edge j -> i
        gap = self.project_edges(edge) + other_BNF.unsqueeze(2) - own_BNF.unsqueeze(1)
        scores_BNN = weigh(torch.relu(gap)).squeeze(-1)
        return scores_BNN.transpose(1, 2) + torch.matmul(own_BNF, weigh.weight.flatten()).unsqueeze(-1)

    def rows(self, which: slice) -> DecoderInputs:
        """Those of some of the graphs, in memory of their own: what they are rows of can go."""
        return self.map(lambda part: part[which].clone())

    def where(self, running_B: Tensor, before: DecoderInputs) -> DecoderInputs:
        """These for graphs that still run, those of before for the others."""
        return self.map(lambda new, old: torch.where(running_B.view(-1, *[1] * (new.dim() - 1)), new, old), before)

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


class PairView(nn.Module):
    """What several heads read of pairs, made once for all: ReLU(A d_i + B d_j + C eps_ij) [B, N, N, F]."""

    def __init__(self, node_width: int, edge_width: int, features: int) -> None:
        super().__init__()
        self.nodes = nn.ModuleList([layers.linear(node_width, features), layers.linear(node_width, features)])  # A, B
        self.edge = layers.linear(edge_width, features)  # C

    def forward(self, inputs: DecoderInputs) -> Tensor:
        sender, receiver = joint_linear(self.nodes, inputs.nodes, inputs.edges.weights)  # type: ignore[arg-type]
        return inputs.rectified_pairs(sender, receiver, self.edge)
