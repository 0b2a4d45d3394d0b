"""Relational Transformer (Diao and Loynd, ICLR 2023, arXiv 2210.05062, "Relational Attention").

Attention whose queries, keys and values have a part from the edge, and edges with a state of their own that every layer
updates and every step hands on. With x, e, g the encoded nodes, edges and graph, H and E the last hidden states of
nodes and edges, node i attending to node j, heads of width d:

    start      n_i = N [x_i | H_i | g],  e_ij = M [e[i -> j] | E_ij | g]
    attention  q_ij = Q n_i + Qe e_ij,   k_ij = K n_j + Ke e_ij,   v_ij = V n_j + Ve e_ij
               n_i  <- LayerNorm(n_i + O sum over j of softmax_j(q_ij . k_ij / sqrt(d)) v_ij)          (per head)
    nodes      n_i  <- LayerNorm(n_i + F2 ReLU(F1 n_i))
    edges      e_ij <- LayerNorm(e_ij + G2 ReLU(G1 [e_ij | e_ji | n_j | n_i])),
               e_ij <- LayerNorm(e_ij + J2 ReLU(J1 e_ij))
    end        H' = n, E' = e after the last layer; decoders see E'

All pairs of nodes attend to each other. The edge that i reads when it attends to j is i -> j, as in GAT and in the
authors' code, not the edge that comes in as in PGN.

Not to be confused with: a transformer with edge bias (transformer.py), or relational attention without edge states
(Shaw et al. 2018). The authors decode node pointers from edge vectors alone; here the decoders are those of CLRS, to
which E' is one more input. Their settings, the defaults here: 3 layers, heads of width 16 (12 of them), networks of
width 32 (nodes), 16 (G) and 8 (J). Their dropout is the rollout's; the width of their edge vectors we do not know: here
it is F. g joins nodes and edges as in their default; their other choice, g in queries, keys and values, is not built.

Exact shortcut: Ve is applied to the weighted sum of the e_ij, N times fewer vectors than the e_ij themselves.

Cost per step and layer: N^2 F (2 F + 2 H + 64) multiply-adds for H heads; 8 N^2 F numbers of memory while training.

Shapes: B graphs, N nodes, F features, H heads, D features of a head; I the node that attends, J the other.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import NOT_KEPT, ComposedWeights, joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Readout, Step
from nar.processors.transformer import HEAD_FEATURES, FeedForward, number_of_heads


class RelationalAttention(nn.Module):
    """What every node hears from all others: [B, N, F] from nodes [B, N, F] and edges [B, I, J, F]."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.nodes = nn.ModuleList(linear(features, features) for _ in range(3))  # Q, K, V
        self.edges = nn.ModuleList(linear(features, features) for _ in range(3))  # Qe, Ke, Ve

    def forward(self, nodes_BNF: Tensor, edges_BIJF: Tensor, weights: ComposedWeights = NOT_KEPT) -> Tensor:
        query, key, value = joint_linear(self.nodes, nodes_BNF, weights)  # type: ignore[arg-type]
        edge_query, edge_key = joint_linear(list(self.edges)[:2], edges_BIJF, weights)  # type: ignore[arg-type]
        match_BIJF = (query.unsqueeze(2) + edge_query) * (key.unsqueeze(1) + edge_key)
        logits_BIJH = match_BIJF.unflatten(-1, (self.heads, -1)).sum(-1) * (query.shape[-1] // self.heads) ** -0.5
        weights_BIJH = torch.softmax(logits_BIJH, dim=2)
        from_nodes_BIHD = torch.einsum("bijh,bjhd->bihd", weights_BIJH, value.unflatten(-1, (self.heads, -1)))
        # weights sum to one, so the mean of Ve e_ij is Ve of the mean, bias included
        mean_BIHF = torch.einsum("bijh,bijf->bihf", weights_BIJH, edges_BIJF)
        last: nn.Linear = self.edges[2]  # type: ignore[assignment]
        from_edges_BIHD = torch.einsum("bihf,hdf->bihd", mean_BIHF, last.weight.unflatten(0, (self.heads, -1)))
        return (from_nodes_BIHD + from_edges_BIHD).flatten(2) + last.bias


class EdgeUpdate(nn.Module):
    """The new edge states from both directions of an edge and from its two nodes."""

    def __init__(self, features: int, width: int, network: int) -> None:
        super().__init__()
        # one map of four concatenated vectors, in four parts
        self.parts = nn.ModuleList(linear(features, width, std=(4 * features) ** -0.5) for _ in range(4))
        self.out = linear(width, features)
        self.norm = nn.LayerNorm(features)
        self.network = FeedForward(features, network)

    def forward(self, nodes_BNF: Tensor, edges_BIJF: Tensor, weights: ComposedWeights = NOT_KEPT) -> Tensor:
        there, back = joint_linear(list(self.parts)[:2], edges_BIJF, weights)  # type: ignore[arg-type]
        other, own = joint_linear(list(self.parts)[2:], nodes_BNF, weights)  # type: ignore[arg-type]
        joined = there + back.transpose(1, 2) + other.unsqueeze(1) + own.unsqueeze(2)
        return self.network(self.norm(edges_BIJF + self.out(torch.relu(joined))))


class Layer(nn.Module):
    """Relational attention, then the updates of nodes and edges: see the module's docstring."""

    def __init__(self, features: int, heads: int, node_network: int, edge_update: int, edge_network: int) -> None:
        super().__init__()
        self.attention = RelationalAttention(features, heads)
        self.out = linear(features, features)
        self.norm = nn.LayerNorm(features)
        self.network = FeedForward(features, node_network)
        self.edges = EdgeUpdate(features, edge_update, edge_network)

    def forward(
        self, nodes_BNF: Tensor, edges_BIJF: Tensor, weights: ComposedWeights = NOT_KEPT
    ) -> tuple[Tensor, Tensor]:
        nodes_BNF = self.network(self.norm(nodes_BNF + self.out(self.attention(nodes_BNF, edges_BIJF, weights))))
        return nodes_BNF, self.edges(nodes_BNF, edges_BIJF, weights)


class RelationalTransformer(Processor):
    """Relational attention between all pairs of nodes, with recurrent edge states."""

    def __init__(
        self,
        features: int,
        *,
        layers: int = 3,
        head_features: int = HEAD_FEATURES,
        node_network: int = 32,
        edge_update: int = 16,
        edge_network: int = 8,
    ) -> None:
        """`layers` per step; `head_features`: width of a head; the rest: widths of the networks F, G and J."""
        super().__init__(features)
        widths = (node_network, edge_update, edge_network)
        if min(layers, *widths) < 1:
            raise ValueError(f"layers and the widths of networks must be at least 1, got {layers}, {widths}")
        heads = number_of_heads(features, head_features)
        self.node = linear(3 * features, features)  # N
        # M: one map of three concatenated vectors, in three parts
        std = (3 * features) ** -0.5
        self.edge, self.edge_state, self.graph = (linear(features, features, std=std) for _ in range(3))
        self.layers = nn.ModuleList(
            Layer(features, heads, node_network, edge_update, edge_network) for _ in range(layers)
        )
        self.edge_readout = features

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(graphs, nodes, nodes, self.features)

    def forward(self, step: Step, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden_BNF, edge_hidden_BIJF = state
        hood = step.hood.complete()
        graph_BNF = step.graph.unsqueeze(1).expand_as(step.nodes)
        nodes_BNF = self.node(torch.cat([step.nodes, hidden_BNF, graph_BNF], dim=-1))
        edges_BIJF = hood.edges(self.edge) + self.edge_state(edge_hidden_BIJF) + hood.graph(self.graph(step.graph))
        for layer in self.layers:
            nodes_BNF, edges_BIJF = layer(nodes_BNF, edges_BIJF, step.weights)
        return nodes_BNF, edges_BIJF

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(torch.cat([before[0], after[0]], dim=-1), after[1])
