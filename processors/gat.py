"""Graph Attention Network (Velickovic et al., ICLR 2018, arXiv 1710.10903) in the form of CLRS.

With z = [x | H], receiver i, sender j, and the maps a., V, S (one logit per head):

    logit[i, j] = LeakyReLU_0.01(a1 z_i + a2 z_j + ae e[i, j] + ag g)
    H'_i        = LayerNorm(ReLU(concatenated heads of sum over j of softmax_j(logit[i, .])[j] V z_j  +  S z_i))

Edges are read from the receiver to the sender, the other way round than in PGN and MPNN, as in dm-clrs. Edge features
enter the logits only, never the values. No gate, no edge state.

Cost per step: N^2 (F + K H) multiply-adds for K edge channels and H heads.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Step


class GAT(Processor):
    """Attention over the graph's edges; `complete`: over all nodes."""

    uses_adjacency = True

    def __init__(self, features: int, *, heads: int = 1, layer_norm: bool = True, complete: bool = False) -> None:
        super().__init__(features)
        if features % heads:
            raise ValueError(f"hidden size {features} cannot be split over {heads} heads; choose a divisor")
        self.value = linear(2 * features, features)  # V
        self.skip = linear(2 * features, features)  # S
        self.receiver = linear(2 * features, heads)  # a1
        self.sender = linear(2 * features, heads)  # a2
        self.edge = linear(features, heads)  # ae
        self.graph = linear(features, heads)  # ag
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood.reverse() if self.uses_adjacency else step.hood.complete().reverse()
        maps = [self.sender, self.receiver, self.value, self.skip]
        sender, receiver, value, skip = joint_linear(maps, step.concat(state))
        parts = hood.senders(sender) + hood.receivers(receiver)
        logits = leaky_relu(parts + hood.edges(self.edge) + hood.graph(self.graph(step.graph)))
        return self.norm(torch.relu(hood.attend(logits, value) + skip))
