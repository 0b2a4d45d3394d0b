"""Principal Neighbourhood Aggregation (Corso et al., NeurIPS 2020, arXiv 2004.05718) around the messages of CLRS.

With z = [x | H] and d_j the number of neighbours of j, itself included:

    message     m[i -> j] = L2 ReLU(L1 ReLU(M1 z_j + M2 z_i + Me e[i, j] + Mg g))                    (as in pgn.py)
    aggregate   a_j = [mean | min | max | std] over neighbours i of m[i -> j]                        (4 F wide)
    scale       m_j = [a_j | S_j a_j | a_j / S_j],  S_j = log(d_j + 1) / delta                       (12 F wide)
    update      H'_j = LayerNorm(ReLU(O1 z_j + O2 m_j))

The three scalers are identity, amplification and attenuation. The paper takes for delta the mean of log(d + 1) over the
training set. A processor does not see the training set, so delta is an option; its default, 2.33, is that mean over
complete graphs of the protocol's training sizes 4, 7, 11, 13 and 16. O2 can learn any other one: delta decides where
training starts from. On graphs larger than those, amplification exceeds and attenuation falls below the range trained
on, which is what the paper wants of them.

The standard deviation is sqrt(variance + 1e-5), the variance not corrected for the sample size: its gradient is finite
where all messages are equal, as for a node that is alone.

Our choices: CLRS's message function (the paper's is one linear map of [z_i | z_j | e]), one tower, and LayerNorm (an
option) in the place of batch normalisation, which would mix the graphs of a batch. Over all pairs of nodes (`complete`)
every degree is N: scalers are the same for all nodes then, and tell the size of the graph.

Not to be confused with: MPNN with reduction "mean" or "max", which are single columns of this.

Cost per step: 4 N^2 F^2 multiply-adds for messages, 12 N F^2 for O2.

Shapes: B graphs, S senders, R receivers, F features.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import joint_linear
from nar.nn.layers import MessageMLP, linear
from nar.nn.processor import Processor, Step
from nar.nn.reductions import maximum, mean

DELTA = 2.33  # mean of log(n + 1) over n = 4, 7, 11, 13, 16
VARIANCE_FLOOR = 1e-5


class PrincipalAggregation(nn.Module):
    """Messages [B, S, R, F] and a mask [B, S, R] (None: all are neighbours) to [B, R, 12 F].

    Columns: identity, amplification, attenuation; in each of them mean, min, max, standard deviation. `delta`: see the
    module's docstring. Not for receivers without any neighbour: nodes neighbour themselves.
    """

    def __init__(self, delta: float = DELTA) -> None:
        super().__init__()
        if delta <= 0:
            raise ValueError(f"delta is a mean of log(degree + 1), got {delta}; required: a number above 0")
        self.delta = delta

    def forward(self, messages_BSRF: Tensor, mask_BSR: Tensor | None) -> Tensor:
        mean_BRF = mean(messages_BSRF, 1, mask_BSR)
        lowest_BRF = -maximum(-messages_BSRF, 1, mask_BSR)
        highest_BRF = maximum(messages_BSRF, 1, mask_BSR)
        # in two passes: E[m^2] - E[m]^2 cancels where messages are large and alike
        variance_BRF = mean((messages_BSRF - mean_BRF.unsqueeze(1)).square(), 1, mask_BSR)
        spread_BRF = (variance_BRF + VARIANCE_FLOOR).sqrt()
        aggregate = torch.cat([mean_BRF, lowest_BRF, highest_BRF, spread_BRF], dim=-1)
        if mask_BSR is None:
            degree_BR1 = torch.full_like(mean_BRF[..., :1], messages_BSRF.shape[1])
        else:
            degree_BR1 = mask_BSR.sum(1).unsqueeze(-1).to(aggregate.dtype)
        scale_BR1 = torch.log1p(degree_BR1) / self.delta
        return torch.cat([aggregate, aggregate * scale_BR1, aggregate / scale_BR1], dim=-1)


class PNA(Processor):
    """Twelve aggregates along the graph's edges; `complete`: over all pairs of nodes."""

    uses_adjacency = True

    def __init__(self, features: int, *, delta: float = DELTA, layer_norm: bool = True, complete: bool = False) -> None:
        """`delta`: mean of log(degree + 1) over the graphs that one trains on."""
        super().__init__(features)
        self.receiver = linear(2 * features, features)  # M1
        self.sender = linear(2 * features, features)  # M2
        self.edge = linear(features, features)  # Me
        self.graph = linear(features, features)  # Mg
        self.message = MessageMLP(features)  # L1, L2
        self.aggregate = PrincipalAggregation(delta)
        self.skip = linear(2 * features, features)  # O1
        self.out = linear(12 * features, features)  # O2
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        sender, receiver, skip = joint_linear([self.sender, self.receiver, self.skip], step.concat(state))
        pooled = hood.pool(sender, receiver, self.edge, self.graph(step.graph), self.message, self.aggregate)
        return self.norm(torch.relu(skip + self.out(pooled)))
