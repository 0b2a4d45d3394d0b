"""GATv2 (Brody et al., ICLR 2022, arXiv 2105.14491) in the form of CLRS.

GAT (gat.py) whose logits pass the non-linearity before the heads' weight vectors, so that which sender is preferred can
depend on the receiver:

    q[i, j]     = W1 z_j + W2 z_i + We e[i, j] + Wg g                (F wide, split evenly over the heads)
    logit[i, j] = w_head LeakyReLU_0.01(q_head[i, j]) + b_head

The rest is GAT's. Cost per step: N^2 F (K + 2) multiply-adds for K edge channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Step


class GATv2(Processor):
    """Attention over the graph's edges; `complete`: over all nodes."""

    uses_adjacency = True

    def __init__(self, features: int, *, heads: int = 1, layer_norm: bool = True, complete: bool = False) -> None:
        super().__init__(features)
        if features % heads:
            raise ValueError(f"hidden size {features} cannot be split over {heads} heads; choose a divisor")
        self.value = linear(2 * features, features)  # V
        self.skip = linear(2 * features, features)  # S
        self.sender = linear(2 * features, features)  # W1
        self.receiver = linear(2 * features, features)  # W2
        self.edge = linear(features, features)  # We
        self.graph = linear(features, features)  # Wg
        self.heads = nn.ModuleList(linear(features // heads, 1) for _ in range(heads))
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood.reverse() if self.uses_adjacency else step.hood.complete().reverse()
        maps = [self.sender, self.receiver, self.value, self.skip]
        sender, receiver, value, skip = joint_linear(maps, step.concat(state))
        parts = hood.edges(self.edge) + hood.senders(sender + self.graph(step.graph).unsqueeze(1))
        active = leaky_relu(parts + hood.receivers(receiver)).chunk(len(self.heads), dim=-1)
        logits = torch.cat([head(part) for head, part in zip(self.heads, active, strict=True)], dim=-1)
        return self.norm(torch.relu(hood.attend(logits, value) + skip))
