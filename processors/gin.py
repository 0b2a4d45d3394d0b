"""Graph Isomorphism Network (Xu et al., ICLR 2019, arXiv 1810.00826), with edge features as in GINE (Hu et al., ICLR
2020, arXiv 1905.12265).

With z = [x | H] and u = W z, so that nodes and edges have one width:

    message    m[i -> j] = ReLU(u_i + We e[i, j] + Wg g)
    aggregate  s_j       = (1 + epsilon) u_j + sum over neighbours i of m[i -> j]
    update     H'_j      = LayerNorm(ReLU(L2 ReLU(L1 s_j)))

epsilon is learned and starts at 0 (`learn_epsilon=False`: stays as given). The sum tells multisets apart that a maximum
or a mean confuses, hence the name; it also grows with the number of neighbours, so that larger graphs than those
trained on leave the range of values trained on.

Neither paper has CLRS in mind. Our choices: a node is its own neighbour, as everywhere in CLRS, so it also gets a
message from itself (pointers to oneself are hints, and they live on that edge); the graph's features are a part of
every message; LayerNorm (an option) in the place of the papers' batch normalisation, which would mix the graphs of a
batch.

Not to be confused with: the GIN of SALSA-CLRS, which runs on given edges only and sees neither graph features nor
pointers between nodes without an edge.

Cost per step: N^2 F (K + 2) additions and multiplications for K edge channels, and 4 N F^2.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Step


class GIN(Processor):
    """Sums along the graph's edges; `complete`: over all pairs of nodes."""

    uses_adjacency = True

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 0.0,
        learn_epsilon: bool = True,
        layer_norm: bool = True,
        complete: bool = False,
    ) -> None:
        """`epsilon`: its (initial) value; `learn_epsilon`: it is a parameter."""
        super().__init__(features)
        self.node = linear(2 * features, features)  # W
        self.edge = linear(features, features)  # We
        self.graph = linear(features, features)  # Wg
        self.first = linear(features, features)  # L1
        self.second = linear(features, features)  # L2
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        value = torch.tensor(float(epsilon))
        if learn_epsilon:
            self.epsilon = nn.Parameter(value)
        else:
            self.register_buffer("epsilon", value)
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        (node_BNF,) = joint_linear([self.node], step.concat(state))
        pooled_BNF = hood.pool(node_BNF, None, self.edge, self.graph(step.graph), torch.relu, "sum")
        sum_BNF = (1 + self.epsilon) * node_BNF + pooled_BNF
        return self.norm(torch.relu(self.second(torch.relu(self.first(sum_BNF)))))
