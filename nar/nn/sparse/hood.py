"""The sparse layout: message parts are rows of an edge list.

Shapes: B graphs, N nodes, E edges, F features, H heads. Message parts are [E, F].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nar.nn.affine import AffineFeatures
from nar.nn.neighbourhood import Neighbourhood, Reduction, SelfLoops
from nar.nn.reductions import REDUCTIONS
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList

CHUNK_BYTES = 4 * 2**20  # of messages that are made at a time without gradients: what a cache holds


class Sparse(Neighbourhood):
    """Messages along the edges of a list. `edges`: the encoded features [E, F] of these; `asker`: who runs on it."""

    def __init__(self, edges: AffineFeatures, edge_list: EdgeList, asker: str = "this processor") -> None:
        self.edge_features, self.edge_list, self.nodes, self.asker = edges, edge_list, edge_list.nodes, asker

    def senders(self, x_BNF: Tensor) -> Tensor:
        return segments.of_senders(self._rows(x_BNF), self.edge_list)

    def receivers(self, x_BNF: Tensor) -> Tensor:
        return segments.of_receivers(self._rows(x_BNF), self.edge_list)

    def edges(self, layer: nn.Linear) -> Tensor:
        return self.edge_features.project(layer)

    def graph(self, x_BF: Tensor) -> Tensor:
        return segments.of_graphs(x_BF, self.edge_list)

    def reduce(self, messages: Tensor, how: Reduction) -> Tensor:
        edges = self.edge_list
        if isinstance(how, str):
            if how not in REDUCTIONS:
                raise ValueError(f"unknown reduction {how!r}; choose one of {', '.join(REDUCTIONS)}")
            found = segments.reduce(messages, how, edges.starts)
        else:
            found = _by_degree(messages.__getitem__, how, edges)
        return found.view(len(edges.sizes), edges.nodes, -1)

    def attend(self, logits: Tensor, values_BNF: Tensor) -> Tensor:
        weights_EH = segments.log_softmax(logits, self.edge_list).exp()
        values_EHV = self.senders(values_BNF).unflatten(-1, (logits.shape[-1], -1))
        return self.reduce((weights_EH.unsqueeze(-1) * values_EHV).flatten(1), "sum")

    def pool(
        self,
        senders_BNF: Tensor,
        receivers_BNF: Tensor | None,
        edge: nn.Linear,
        graph_BF: Tensor,
        message: Callable[[Tensor], Tensor],
        how: Reduction = "max",
    ) -> Tensor:
        edges, width = self.edge_list, senders_BNF.shape[-1]
        most = max(1, CHUNK_BYTES // (width * senders_BNF.element_size()))
        if torch.is_grad_enabled() or len(edges) <= most:
            return super().pool(senders_BNF, receivers_BNF, edge, graph_BF, message, how)
        if isinstance(how, str) and how not in REDUCTIONS:
            raise ValueError(f"unknown reduction {how!r}; choose one of {', '.join(REDUCTIONS)}")
        weight_FK, bias_F = self.edge_features.compose([edge])
        senders_RF = self._rows(senders_BNF + (graph_BF + bias_F).unsqueeze(1))
        receivers_RF = None if receivers_BNF is None else self._rows(receivers_BNF)

        def messages(which: slice | Tensor) -> Tensor:
            """Those of some of the edges."""
            part_EF = senders_RF.index_select(0, edges.senders[which])
            if receivers_RF is not None:
                part_EF += receivers_RF.index_select(0, edges.receivers[which])
            return message(part_EF.addmm_(self.edge_features.channels[which], weight_FK.t()))

        if isinstance(how, str):
            found = torch.cat([segments.reduce(messages(part), how, starts) for part, starts in edges.chunks(most)])
        else:
            found = _by_degree(lambda places: messages(places.flatten()).unflatten(0, places.shape), how, edges, most)
        return found.view(*senders_BNF.shape[:2], -1)

    def reverse(self) -> Sparse:
        turned = self.edge_features.with_channels(segments.of_twins(self.edge_features.channels, self.edge_list))
        return Sparse(turned, self.edge_list, self.asker)

    def complete(self) -> Neighbourhood:
        raise ValueError(
            f"{self.asker} needs all pairs of nodes, which the sparse layout does not have; choose a processor that "
            "follows the graph's edges (pgn, gat, gin, lcm_masked, rnar_masked, ...) or --layout dense"
        )

    def alone(self) -> Neighbourhood:
        edges = self.edge_list
        loops = edges.senders == edges.receivers
        features = self.edge_features
        channels_BNK = features.channels.new_zeros(edges.rows, features.channels.shape[-1])
        channels_BNK = channels_BNK.index_put((edges.receivers[loops],), features.channels[loops])
        return SelfLoops(features.with_channels(channels_BNK.view(len(edges.sizes), edges.nodes, -1)), self)

    def _rows(self, x_BNF: Tensor) -> Tensor:
        return x_BNF.expand(len(self.edge_list.sizes), -1, -1).flatten(0, 1)


def _by_degree(
    messages: Callable[[Tensor], Tensor],
    how: Callable[[Tensor, Tensor | None], Tensor],
    edges: EdgeList,
    most: int | None = None,
) -> Tensor:
    """What a function of [B, S, R, F] and a mask makes [R, F] of every receiver's messages, senders in their order.

    `messages` of edges [S, G] are [S, G, F]; at `most` so many at a time, if there is a choice.
    """
    reduced, rows = [], []
    for rows_G, places_GS, here_GS in edges.groups:
        some = len(rows_G) if most is None else max(1, most // places_GS.shape[1])
        for row, places, here in zip(*(part.split(some) for part in (rows_G, places_GS, here_GS)), strict=True):
            reduced.append(how(messages(places.t()).unsqueeze(0), here.t().unsqueeze(0)).squeeze(0))
            rows.append(row)
    reduced_GF = torch.cat(reduced)
    return reduced_GF.new_zeros(edges.rows, reduced_GF.shape[-1]).index_copy(0, torch.cat(rows), reduced_GF)
