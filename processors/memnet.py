"""End-to-End Memory Network (Sukhbaatar et al., NeurIPS 2015, arXiv 1503.08895) as a processor, after CLRS.

A node asks its edges: the query is its encoded feature x, the memories are the encoded features of its own row of
edges, e[i, j] for all j. With maps A, B, C to a small embedding, and without biases:

    query      u_i = B x_i
    attention  p[i, j] = softmax over j of ((A e[i, j]) . u_i)
    read       o_i = sum over j of p[i, j] C e[i, j]
    hop        u_i <- R (u_i + o_i), then attend and read again                 (`hops` - 1 times; one hop: never)
    answer     y(u) = W ReLU(H u),   H'_i = y(u_i + o_i) + y(B g)

The graph's feature g is a query that has no memories; its answer is added to every node's. The hidden state is not
read at all: history reaches the decoders only, which see the last state beside the new one, as in CLRS. Other nodes
are seen through edges only (inputs and pointers), so what a node knows travels by hints.

What is wrong in the reference. dm-clrs 2.0.3 (and every public version of it that we found) embeds the features as if
they were words: it rounds them to integers, uses these as indices of embedding tables, and starts all tables at zero.
The read, the query and with them the output are then exactly zero; at zero the ReLU has no gradient, so no table and no
map ever receives one, and rounding keeps the gradient from the encoders: that processor stays zero for ever, a model of
encoders and decoders alone. Its masked neighbours become word 0 and stay in the softmax. Which code the published
Memnet scores come from is not public, and neither is whether it had the masked or the full variant.

Here features are what the paper's embeddings are meant for: a sentence is a vector x (in the paper, of word counts),
its embedding the linear map A x. Maps start like all others of nar, gradients flow to the encoders, and masked
neighbours are left out of the softmax. The paper's position encoding multiplies the columns of A by constants, which a
learned map absorbs; its temporal encoding, a learned vector for every slot of the memory (the reference has 128 slots),
is the option `slots`: it names nodes by their index, so the processor is no longer permutation-equivariant and takes no
graph of more nodes.

Edges are read from a node to the others, e[i, j] by i, the other way round than in PGN, as in dm-clrs (and in GAT).

Not to be confused with: GAT, whose values are the other nodes' features; here they are edge features.

Cost per step: N^2 E (2 K + 3) multiply-adds for K edge channels and embeddings E wide.

Shapes: B graphs, S senders, R receivers, N nodes, F features, E embedding.
"""

import torch
from torch import Tensor, nn

from nar.nn.layers import linear
from nar.nn.processor import Processor, Step


class MemNet(Processor):
    """Attention of a node to its row of edges; `complete`: to all pairs, else to the graph's edges."""

    uses_history = True  # through the decoders, which see the last state beside the new one; `forward` does not read it
    uses_adjacency = True

    def __init__(
        self, features: int, *, embedding: int = 16, hops: int = 1, slots: int = 0, complete: bool = False
    ) -> None:
        """`embedding`: width of queries and memories; `hops`: reads per step; `slots`: see the module's docstring."""
        super().__init__(features)
        if embedding < 1 or hops < 1 or slots < 0:
            raise ValueError(f"need embedding >= 1, hops >= 1, slots >= 0; got {embedding}, {hops}, {slots}")
        self.query = _map(features, embedding)  # B
        self.memory = _map(features, embedding)  # A
        self.content = _map(features, embedding)  # C
        self.hop = _map(embedding, embedding) if hops > 1 else None  # R
        self.answer = nn.Sequential(_map(embedding, features), nn.ReLU(), _map(features, features))  # H, W
        self.slots = nn.Parameter(0.1 * torch.randn(slots, embedding)) if slots else None
        self.hops = hops
        self.permutation_equivariant = not slots
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = (step.hood if self.uses_adjacency else step.hood.complete()).reverse()
        memory, content = hood.edges(self.memory), hood.edges(self.content)
        if self.slots is not None:
            if hood.nodes > len(self.slots):
                raise ValueError(f"a memory of {len(self.slots)} slots cannot hold {hood.nodes} nodes; raise slots")
            memory = memory + hood.senders(self.slots[: hood.nodes].unsqueeze(0))
        query_BNE, of_graph_BE = self.query(step.nodes), self.query(step.graph)
        for hop in range(self.hops):
            if hop > 0 and self.hop is not None:
                query_BNE, of_graph_BE = self.hop(query_BNE), self.hop(of_graph_BE)
            match = (memory * hood.receivers(query_BNE)).sum(-1, keepdim=True)
            query_BNE = query_BNE + hood.reduce(torch.cat([match, content], dim=-1), _read)
        return self.answer(query_BNE) + self.answer(of_graph_BE).unsqueeze(1)


def _map(in_features: int, out_features: int) -> nn.Linear:
    """A linear map without bias."""
    layer = linear(in_features, out_features)
    layer.register_parameter("bias", None)
    return layer


def _read(messages_BSRM: Tensor, mask_BSR: Tensor | None) -> Tensor:
    """Softmax over senders of the first column, applied to the others."""
    match_BSR1, content_BSRE = messages_BSRM[..., :1], messages_BSRM[..., 1:]
    if mask_BSR is not None:
        match_BSR1 = match_BSR1.masked_fill(~mask_BSR.unsqueeze(-1), -1e9)
    return (torch.softmax(match_BSR1, dim=1) * content_BSRE).sum(1)
