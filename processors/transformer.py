"""Graph transformer: attention between all nodes (Vaswani et al., NeurIPS 2017, arXiv 1706.03762), biased by edges.

The bias per head is Graphormer's (Ying et al., NeurIPS 2021, arXiv 2106.05234), made from all that is encoded on an
edge instead of from path lengths; residuals, norms and feed-forward network stand as in Dwivedi and Bresson (AAAI
workshop 2021, arXiv 2012.09699). With x the encoded nodes, e the encoded edges, g the encoded graph, H the last hidden
state, receiver i, sender j, heads of width d:

    start      h_i         = S [x_i | H_i] + Sg g
    attention  logit[i, j] = (Q h_i) . (K h_j) / sqrt(d) + b e[j -> i]           (b: one number per head)
               h_i        <- LayerNorm(h_i + O (heads of sum over j of softmax_j(logit[i, .])[j] V h_j, side by side))
    network    h_i        <- LayerNorm(h_i + F2 ReLU(F1 h_i))
    end        H'_i        = h_i after the last layer

Not to be confused with: the Relational Transformer (relational_transformer.py), whose edges enter queries, keys and
values and have a state of their own; here, as in GAT, an edge only weighs what its sender has to say. Positional
encodings are not needed: the algorithms bring positions as inputs. The papers have 4 to 16 layers of their own and say
nothing about recurrent use: one layer per step is our default, as is 16 for the width of a head.

Keys have no bias and the bias b of edges has none: softmax does not see them.

Cost per step and layer: N^2 (2 F + K H) multiply-adds for K edge channels and H heads, 4 N F^2 for the maps of nodes
and 2 N F^2 times the ratio of the feed-forward network.

Shapes: B graphs, N nodes, F features, H heads, D features of a head; S sender, R receiver.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import NOT_KEPT, ComposedWeights, joint_linear
from nar.nn.layers import linear
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Processor, Step

HEAD_FEATURES = 16


def number_of_heads(features: int, head_features: int) -> int:
    """One head per `head_features` features, and at least one; ValueError if they do not come out even."""
    if head_features < 1:
        raise ValueError(f"head_features must be at least 1, got {head_features}")
    heads = max(1, features // head_features)
    if features % heads:
        raise ValueError(f"{features} features cannot be split into heads of {head_features}; choose a divisor")
    return heads


def unbiased(in_features: int, out_features: int) -> nn.Linear:
    """nar.nn.layers.linear without a bias."""
    layer = linear(in_features, out_features)
    layer.register_parameter("bias", None)
    return layer


class FeedForward(nn.Module):
    """LayerNorm(h + F2 ReLU(F1 h)), for nodes or pairs of nodes."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.first, self.second = linear(features, width), linear(width, features)
        self.norm = nn.LayerNorm(features)

    def forward(self, h: Tensor) -> Tensor:
        return self.norm(h + self.second(torch.relu(self.first(h))))


class Layer(nn.Module):
    """Attention with edge bias, then the feed-forward network: see the module's docstring."""

    def __init__(self, features: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.value = linear(features, features), linear(features, features)  # Q, V
        self.key, self.edge = unbiased(features, features), unbiased(features, heads)  # K, b
        self.out = linear(features, features)  # O
        self.norm = nn.LayerNorm(features)
        self.network = FeedForward(features, width)

    def forward(self, hood: Neighbourhood, h_BNF: Tensor, weights: ComposedWeights = NOT_KEPT) -> Tensor:
        query, value = joint_linear([self.query, self.value], h_BNF, weights)
        query_BRHD, key_BSHD = (part.unflatten(-1, (self.heads, -1)) for part in (query, self.key(h_BNF)))
        logits_BSRH = torch.einsum("bshd,brhd->bsrh", key_BSHD, query_BRHD) * query_BRHD.shape[-1] ** -0.5
        attended_BNF = hood.attend(logits_BSRH + hood.edges(self.edge), value)
        return self.network(self.norm(h_BNF + self.out(attended_BNF)))


class Transformer(Processor):
    """Attention with edge bias over all pairs of nodes; `masked`: over the graph's edges only."""

    needs_pairs = True

    def __init__(
        self,
        features: int,
        *,
        layers: int = 1,
        head_features: int = HEAD_FEATURES,
        network_ratio: int = 2,
        masked: bool = False,
    ) -> None:
        """`layers` per step, each with parameters of its own; `head_features`: width of a head.

        `network_ratio`: width of the feed-forward network, in features.
        """
        super().__init__(features)
        if layers < 1 or network_ratio < 1:
            raise ValueError(f"need layers >= 1 and network_ratio >= 1, got {layers}, {network_ratio}")
        heads = number_of_heads(features, head_features)
        self.start = linear(2 * features, features)  # S
        self.graph = linear(features, features)  # Sg
        self.layers = nn.ModuleList(Layer(features, heads, network_ratio * features) for _ in range(layers))
        if masked:
            self.uses_adjacency = True

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        (h_BNF,) = joint_linear([self.start], step.concat(state))
        h_BNF = h_BNF + self.graph(step.graph).unsqueeze(1)
        for layer in self.layers:
            h_BNF = layer(hood, h_BNF, step.weights)
        return h_BNF
