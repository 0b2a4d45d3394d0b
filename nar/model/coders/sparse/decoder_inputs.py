"""What decoders are given in the sparse layout: the same as in the dense one, with a row per edge in place of pairs.

Shapes: B graphs, N nodes, E edges, F features, R width of d.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.sparse import choices
from nar.model.coders.sparse.choices import GroupedChoice
from nar.nn.affine import materialize
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList
from nar.nn.sparse.hood import CHUNK_BYTES
from nar.nn.sparse.predictions import EdgePointers, EdgeValues


@dataclasses.dataclass
class SparseDecoderInputs(DecoderInputs):
    """`edges`: features [E, F] of the edges in `edge_list`."""

    edge_list: EdgeList = dataclasses.field(kw_only=True)

    def largest(self) -> Tensor:
        missing_BN1 = ~self.edge_list.exists.unsqueeze(-1)
        return materialize(self.nodes).masked_fill(missing_BN1, -torch.inf).amax(1)

    def among_nodes(self, logits_BN: Tensor) -> Tensor:
        return logits_BN.masked_fill(~self.edge_list.exists, -torch.inf)

    def pairs_of(self, first_BNF: Tensor, second_BNF: Tensor, layer: nn.Linear) -> Tensor:
        edges = self.edge_list
        ends = segments.of_senders(first_BNF.flatten(0, 1), edges) + segments.of_receivers(
            second_BNF.flatten(0, 1), edges
        )
        return ends + self.project_edges(layer)

    def chosen(self, module: nn.Module, *before: Any) -> GroupedChoice:
        return choices.chosen(module, self, self.edge_list)

    def as_predicted(self, values: Tensor) -> EdgeValues:
        return EdgeValues(values, self.edge_list)

    def pointer_scores(
        self, own_BNF: Tensor, other_BNF: Tensor, edge: nn.Linear, weigh: nn.Linear, additive: bool
    ) -> EdgePointers:
        """At the edge j -> i, the score of i pointing to j, which reads the features of that edge."""
        edges = self.edge_list
        own_RF, other_RF = own_BNF.flatten(0, 1), other_BNF.flatten(0, 1)
        rows = max(1, CHUNK_BYTES // (own_RF.shape[1] * own_RF.element_size()))
        if torch.is_grad_enabled() or len(edges) <= rows:
            own_EF, other_EF = segments.of_receivers(own_RF, edges), segments.of_senders(other_RF, edges)
            return EdgePointers(_scored(own_EF, other_EF + self.project_edges(edge), weigh, additive), edges)
        weight_FK, bias_F = self.edges.compose([edge], columns=self.edges.width)
        other_RF, parts = other_RF + bias_F, []
        for first in range(0, len(edges), rows):
            stretch = slice(first, first + rows)
            other_EF = other_RF.index_select(0, edges.senders[stretch])
            other_EF.addmm_(self.edges.channels[stretch], weight_FK.t())
            parts.append(_scored(own_RF.index_select(0, edges.receivers[stretch]), other_EF, weigh, additive))
        return EdgePointers(torch.cat(parts), edges)

    def rows(self, which: slice) -> DecoderInputs:
        raise NotImplementedError("graphs of a sparse batch stay in it")

    def where(self, running_B: Tensor, before: DecoderInputs) -> DecoderInputs:
        if bool(running_B.all()):
            return self
        graph_E = self.edge_list.graph
        nodes, graph = running_B.view(-1, 1, 1), running_B.view(-1, 1)

        def chosen(which: Tensor, new, old):
            if isinstance(new, Tensor):
                return torch.where(which, new, old)
            return new.with_channels(torch.where(which, new.channels, old.channels))

        return dataclasses.replace(
            self,
            nodes=chosen(nodes, self.nodes, before.nodes),
            edges=chosen(running_B.index_select(0, graph_E).unsqueeze(1), self.edges, before.edges),
            graph=chosen(graph, self.graph, before.graph),
        )


def _scored(own_EF: Tensor, other_EF: Tensor, weigh: nn.Linear, additive: bool) -> Tensor:
    together = torch.tanh(own_EF + other_EF) if additive else torch.maximum(own_EF, other_EF)
    return weigh(together).squeeze(-1)
