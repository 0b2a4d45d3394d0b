"""Several rounds of message passing in one step, over all pairs: for steps that are learned exactly, without history.

With x the encoded nodes and graph, e the encoded edges, in each of the rounds (of weights of their own):

    m_ij = O ReLU(A x_i + B x_j + C e_ij)             from sender i to receiver j
    x_j := x_j + M ReLU(LayerNorm(S x_j + max over i of m_ij))

One round cannot say "the least of those that are neighbours of u": who is eligible takes one, the competition another.
The state is the nodes' result; nothing of the last step is read.

Made for relations and candidates (nar/model/options), with which it is right at any size; it runs without them, too.

Cost per step: rounds * N^2 features^2.

Shapes: B graphs, N nodes, F features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from nar.nn.affine import joint_linear
from nar.nn.layers import RectifiedLinear, linear
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Processor, Readout, Step


class Relational(Processor):
    """See the top of this file. `rounds`: of message passing in a step."""

    uses_history = False

    def __init__(self, features: int, *, rounds: int = 3, layer_norm: bool = True) -> None:
        super().__init__(features)
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {rounds}")
        self.node_readout = features
        self.rounds = nn.ModuleList(Round(features, layer_norm) for _ in range(rounds))
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()

    def forward(self, step: Step, state: Tensor) -> Tensor:
        x_BNF = step.nodes + step.graph.unsqueeze(1)
        for one in self.rounds:
            x_BNF = one(x_BNF, step.hood)
        return self.norm(x_BNF)

    def readout(self, step: Step, before: Any, after: Tensor) -> Readout:
        return Readout(after)


class Round(nn.Module):
    """One round."""

    def __init__(self, features: int, layer_norm: bool) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(linear(features, features) for _ in range(3))  # A, B, S
        self.edge = linear(features, features)  # C
        self.message = RectifiedLinear(features)  # O
        self.update = linear(features, features)  # M
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()

    def forward(self, x_BNF: Tensor, hood: Neighbourhood) -> Tensor:
        sender, receiver, own = joint_linear(self.nodes, x_BNF)  # type: ignore[arg-type]
        none = x_BNF.new_zeros(len(x_BNF), x_BNF.shape[-1])
        best = hood.pool(sender, receiver, self.edge, none, self.message)
        return x_BNF + self.update(torch.relu(self.norm(own + best)))
