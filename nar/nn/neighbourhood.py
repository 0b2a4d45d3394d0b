"""Who can send to whom, and the operations a processor writes its equations with.

A processor never indexes neighbours itself. It turns node, edge and graph quantities into *message parts* that
broadcast against each other, combines them as it likes, and reduces them to one vector per receiver:

    parts = hood.senders(a) + hood.receivers(b) + hood.edges(layer) + hood.graph(g)  # a row per edge
    pooled = hood.reduce(torch.relu(parts), "max")  # [B, N, F], a row per receiver

`hood.pool(...)` does the same for the one hot combination (additive parts, message MLP, reduction) without keeping the
parts where it need not. Three layouts stand side by side: `Dense`, all ordered pairs of nodes as broadcast views,
`SelfLoops`, every node with itself as its only neighbour, and `Sparse`, a list of edges (nar/nn/sparse).

Shapes: B graphs, N nodes, F features, H heads. Messages are [B, sender, receiver, F] in Dense, [B, N, F] in SelfLoops,
[E, F] in Sparse.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nar.kernels.cpu import fused, ranges, rectified
from nar.kernels.triton import dispatch
from nar.nn.affine import AffineFeatures
from nar.nn.layers import MessageMLP, RectifiedLinear
from nar.nn.reductions import REDUCTIONS

Reduction = str | Callable[[Tensor, Tensor | None], Tensor]

# Without gradients, message tensors above this size are made one group of receivers at a time, on a GPU above GPU times
# as much.
CHUNK_BYTES, GPU = 4 * 2**20, 16


def _reduced(messages_BSRF: Tensor, how: Reduction, mask_BSR: Tensor | None) -> Tensor:
    if not isinstance(how, str):
        return how(messages_BSRF, mask_BSR)
    if how not in REDUCTIONS:
        raise ValueError(f"unknown reduction {how!r}; choose one of {', '.join(REDUCTIONS)}")
    return REDUCTIONS[how](messages_BSRF, 1, mask_BSR)


class Neighbourhood(abc.ABC):
    """What every layout offers. `N` is the number of nodes of each graph."""

    nodes: int

    @abc.abstractmethod
    def senders(self, x_BNF: Tensor) -> Tensor:
        """The message part that the sending node contributes."""

    @abc.abstractmethod
    def receivers(self, x_BNF: Tensor) -> Tensor:
        """The message part that the receiving node contributes."""

    @abc.abstractmethod
    def edges(self, layer: nn.Linear) -> Tensor:
        """`layer` of the encoded features of the edge sender -> receiver."""

    @abc.abstractmethod
    def graph(self, x_BF: Tensor) -> Tensor:
        """The message part that the whole graph contributes."""

    @abc.abstractmethod
    def reduce(self, messages: Tensor, how: Reduction) -> Tensor:
        """One vector per receiver: `how` is max, sum or mean over its neighbours, or a function or module of your own.

        That is called with messages [B, sender, receiver, F] and a mask [B, sender, receiver] of neighbours (None: all
        are), and returns [B, receiver, F].
        """

    @abc.abstractmethod
    def attend(self, logits: Tensor, values_BNF: Tensor) -> Tensor:
        """Attention: softmax of logits [..., H] over each receiver's neighbours, applied to the senders' values.

        Values are split evenly over the H heads; the result [B, N, F] joins them again.
        """

    def pool(
        self,
        senders_BNF: Tensor,
        receivers_BNF: Tensor | None,
        edge: nn.Linear,
        graph_BF: Tensor,
        message: Callable[[Tensor], Tensor],
        how: Reduction = "max",
    ) -> Tensor:
        """Additive message parts, the message function, the reduction: the operation that fast layouts fuse.

        `receivers_BNF` None: who receives a message contributes nothing to it.
        """
        # The graph's part is added to the senders', which are N times fewer than the messages.
        parts = self.edges(edge) + self.senders(senders_BNF + graph_BF.unsqueeze(1))
        parts = parts if receivers_BNF is None else parts + self.receivers(receivers_BNF)
        return self.reduce(message(parts), how)

    @abc.abstractmethod
    def reverse(self) -> Neighbourhood:
        """The same neighbours with every edge feature read from the other end (receiver -> sender)."""

    @abc.abstractmethod
    def complete(self) -> Neighbourhood:
        """Everyone is everyone's neighbour, itself included."""

    @abc.abstractmethod
    def alone(self) -> Neighbourhood:
        """Every node is its own only neighbour."""


class Dense(Neighbourhood):
    """All ordered pairs. `adjacency_BNN` [b, sender, receiver] masks pairs out; None: the complete graph."""

    def __init__(self, edges: AffineFeatures, nodes: int, adjacency_BNN: Tensor | None = None) -> None:
        self.edge_features, self.nodes, self.adjacency_BNN = edges, nodes, adjacency_BNN

    def senders(self, x_BNF: Tensor) -> Tensor:
        return x_BNF.unsqueeze(2)

    def receivers(self, x_BNF: Tensor) -> Tensor:
        return x_BNF.unsqueeze(1)

    def edges(self, layer: nn.Linear) -> Tensor:
        return self.edge_features.project(layer)

    def graph(self, x_BF: Tensor) -> Tensor:
        return x_BF[:, None, None]

    def reduce(self, messages: Tensor, how: Reduction) -> Tensor:
        if how == "max" and self.adjacency_BNN is None:
            return messages.amax(1).expand(-1, self.nodes, -1)
        messages = messages.expand(-1, self.nodes, self.nodes, -1)
        return _reduced(messages, how, self.adjacency_BNN)

    def attend(self, logits: Tensor, values_BNF: Tensor) -> Tensor:
        logits = logits.expand(-1, self.nodes, self.nodes, -1)
        if self.adjacency_BNN is not None:
            logits = logits.masked_fill(~self.adjacency_BNN.unsqueeze(-1), -1e9)
        heads = logits.shape[-1]
        weights_BSRH = torch.softmax(logits, dim=1)
        values_BSHV = values_BNF.unflatten(-1, (heads, -1))
        return torch.einsum("bsrh,bshv->brhv", weights_BSRH, values_BSHV).flatten(2)

    def pool(self, senders_BNF, receivers_BNF, edge, graph_BF, message, how="max"):
        given = (senders_BNF, self.edge_features.channels)
        on_gpu = how in ("max", "sum") and dispatch.usable(*given)
        if type(message) is MessageMLP and (on_gpu or (how == "max" and ranges.usable(*given))):
            weight_FK, bias_F = self.edge_features.compose([edge])
            pool = functools.partial(dispatch.message_pool, how=str(how)) if on_gpu else fused.message_pool
            return pool(
                self.edge_features.channels,
                weight_FK.t(),
                senders_BNF + (graph_BF + bias_F).unsqueeze(1),
                torch.zeros_like(senders_BNF) if receivers_BNF is None else receivers_BNF,
                (message.first.weight, message.first.bias),
                (message.second.weight, message.second.bias),
                self.adjacency_BNN,
            )
        if type(message) is RectifiedLinear and how == "max" and ranges.usable(*given):
            weight_FK, bias_F = self.edge_features.compose([edge])
            return rectified.rectified_pool(
                self.edge_features.channels,
                weight_FK.t(),
                senders_BNF + (graph_BF + bias_F).unsqueeze(1),
                torch.zeros_like(senders_BNF) if receivers_BNF is None else receivers_BNF,
                (message.weight, message.bias),
                self.adjacency_BNN,
            )
        size = senders_BNF.shape[0] * self.nodes * self.nodes * senders_BNF.shape[-1] * senders_BNF.element_size()
        limit = CHUNK_BYTES * (GPU if senders_BNF.is_cuda else 1)
        if torch.is_grad_enabled() or size <= limit:
            return super().pool(senders_BNF, receivers_BNF, edge, graph_BF, message, how)
        step = max(1, self.nodes * limit // size)
        channels, adjacency = self.edge_features.channels, self.adjacency_BNN
        senders = (senders_BNF + graph_BF.unsqueeze(1)).unsqueeze(2)
        pooled = []
        for start in range(0, self.nodes, step):
            columns = slice(start, start + step)
            part = self.edge_features.with_channels(channels[:, :, columns]).project(edge)
            part += senders
            if receivers_BNF is not None:
                part += receivers_BNF[:, None, columns]
            mask = None if adjacency is None else adjacency[:, :, columns]
            pooled.append(_reduced(message(part), how, mask))
        return torch.cat(pooled, dim=1)

    def reverse(self) -> Dense:
        adjacency = None if self.adjacency_BNN is None else self.adjacency_BNN.transpose(1, 2)
        return Dense(self.edge_features.reverse(), self.nodes, adjacency)

    def complete(self) -> Dense:
        return Dense(self.edge_features, self.nodes)

    def alone(self) -> SelfLoops:
        loops = self.edge_features.channels.diagonal(dim1=1, dim2=2).transpose(1, 2)
        return SelfLoops(self.edge_features.with_channels(loops), self)


class SelfLoops(Neighbourhood):
    """Every node with itself: a graph network over it is a network on sets. Message parts are [B, N, F].

    `loops`: features of the self-loops [B, N, F]; `of`: the neighbourhood that they are taken from.
    """

    def __init__(self, loops: AffineFeatures, of: Neighbourhood) -> None:
        self.edge_features, self.nodes, self._of = loops, of.nodes, of

    def senders(self, x_BNF: Tensor) -> Tensor:
        return x_BNF

    def receivers(self, x_BNF: Tensor) -> Tensor:
        return x_BNF

    def edges(self, layer: nn.Linear) -> Tensor:
        return self.edge_features.project(layer)

    def graph(self, x_BF: Tensor) -> Tensor:
        return x_BF.unsqueeze(1)

    def reduce(self, messages: Tensor, how: Reduction) -> Tensor:
        messages = messages.expand(-1, self.nodes, -1)
        # of one message, the maximum, sum and mean are itself
        return messages if isinstance(how, str) and how in REDUCTIONS else _reduced(messages.unsqueeze(1), how, None)

    def attend(self, logits: Tensor, values_BNF: Tensor) -> Tensor:
        return values_BNF

    def reverse(self) -> SelfLoops:
        return self

    def complete(self) -> Neighbourhood:
        return self._of.complete()

    def alone(self) -> SelfLoops:
        return self
