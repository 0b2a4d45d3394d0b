"""Pointer Graph Network (Velickovic et al., NeurIPS 2020, arXiv 2006.06380) in the form of CLRS, and its relatives.

With z = [x | H], x the encoded nodes, e the encoded edges, g the encoded graph and H the last hidden state:

    message    m[i -> j] = L2 ReLU(L1 ReLU(M1 z_j + M2 z_i + Me e[i, j] + Mg g))
    aggregate  m_j       = max over neighbours i of m[i -> j]        (per feature; every node neighbours itself)
    update     r_j       = LayerNorm(ReLU(O1 z_j + O2 m_j))
    gate       H'_j      = gate_j r_j + (1 - gate_j) H_j,  gate_j = sigmoid(G3 ReLU(G1 z_j + G2 m_j)),  G3's bias -3

Triplets (Dudzik and Velickovic, NeurIPS 2022, arXiv 2203.15544) add an edge state that only the decoders see:

    e'[j, k] = ReLU(O3 max over i of (T1 z_i + T2 z_j + T3 z_k + E1 e[i, j] + E2 e[i, k] + E3 e[j, k] + Tg g))

The maximum over i is a max-plus product, so nothing of size N^3 is built. Triplets run over all nodes, never masked.

Not to be confused with: masking of messages by -infinity (here a masked message counts as -10^6, as in dm-clrs), or the
edge-recurrent networks of Dudzik and Velickovic (their edge state is fed back; this one is not).

Cost per step: 4 N^2 F^2 multiply-adds for messages; triplets add N^3 t additions at width t.

Shapes: B graphs, N nodes, F features, t triplet features.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import joint_linear
from nar.nn.edge_states import EdgeStates
from nar.nn.layers import MessageMLP, linear
from nar.nn.neighbourhood import Neighbourhood, Reduction
from nar.nn.processor import Processor, Readout, Step
from nar.nn.reductions import max_plus

TRIPLET_FEATURES = 8


class Triplets(nn.Module):
    """Edge states from all triples of nodes: see the module's docstring."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(linear(2 * features, width) for _ in range(3))  # T1, T2, T3
        self.edges = nn.ModuleList(
            linear(features, width) for _ in range(3)
        )  # E1 of (i, j), E2 of (i, k), E3 of (j, k)
        self.graph = linear(features, width)
        self.out = linear(width, features)

    def forward(self, step: Step, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        """What O3 is applied to [B, N, N, t]; `first`, `second` and `third` are T1 z, T2 z and T3 z [B, N, t]."""
        hood = step.hood.complete()
        to_second, to_third, between = (hood.edges(layer) for layer in self.edges)  # type: ignore[arg-type]
        best_BNNt = max_plus(hood.senders(first) + to_second, to_third)
        rest = between + hood.senders(second + self.graph(step.graph).unsqueeze(1)) + hood.receivers(third)
        return best_BNNt + rest

    def states(self, narrow_BNNt: Tensor) -> EdgeStates:
        """The edge states e' that `forward` found, made where they are read."""
        return EdgeStates(narrow_BNNt, self.out.weight, self.out.bias)


class PGN(Processor):
    """Messages along the graph's edges (inputs, pointers and edge masks, as seen in the current hints)."""

    uses_adjacency = True

    def __init__(
        self,
        features: int,
        *,
        gated: bool = False,
        triplets: bool = False,
        triplet_features: int = TRIPLET_FEATURES,
        layer_norm: bool = True,
        mask_decoders: bool = False,
        reduction: Reduction = "max",
    ) -> None:
        """`gated`: the update gate; `triplets`: edge states for the decoders, `triplet_features` wide.

        `mask_decoders`: pointers and edge masks off the graph are decoded below all others; `reduction`: max, sum,
        mean or an aggregator (Neighbourhood.reduce).
        """
        super().__init__(features)
        if triplet_features != TRIPLET_FEATURES and not triplets:
            raise ValueError(f"triplet_features {triplet_features} has no effect without triplets; leave it away")
        self.receiver = linear(2 * features, features)  # M1
        self.sender = linear(2 * features, features)  # M2
        self.edge = linear(features, features)  # Me
        self.graph = linear(features, features)  # Mg
        self.message = MessageMLP(features)  # L1, L2
        self.skip = linear(2 * features, features)  # O1
        self.out = linear(features, features)  # O2
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        self.gate = (
            nn.ModuleList(
                [linear(2 * features, features), linear(features, features), linear(features, features, bias=-3.0)]
            )
            if gated
            else None
        )
        self.triplets = Triplets(features, triplet_features) if triplets else None
        self.edge_readout = features if triplets else 0
        self.masks_decoders = mask_decoders
        self.reduction = reduction
        if triplets:
            self.cost = "N^3"

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        """Whom a node listens to: the difference between PGN, MPNN and Deep Sets."""
        return hood

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """Hidden state, and what O3 makes edge states of: N N t numbers per graph where the states are N N F."""
        return like.new_zeros(graphs, nodes, self.features), None

    def forward(self, step: Step, state: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        hidden_BNF = state[0]
        # every map of z in one product: sender, receiver, skip, then the gate's and the triplets', where there are any
        of_z = [self.sender, self.receiver, self.skip]
        of_pooled = [self.out]
        if self.gate is not None:
            of_z.append(self.gate[0])  # type: ignore[arg-type]
            of_pooled.append(self.gate[1])  # type: ignore[arg-type]
        if self.triplets is not None:
            of_z += self.triplets.nodes  # type: ignore[arg-type]
        sender, receiver, skip, *rest = joint_linear(of_z, step.concat(hidden_BNF))
        pooled_BNF = self.neighbours(step.hood).pool(
            sender, receiver, self.edge, self.graph(step.graph), self.message, self.reduction
        )
        out, *gate_out = joint_linear(of_pooled, pooled_BNF, step.weights)
        update_BNF = self.norm(torch.relu(skip + out))
        if self.gate is not None:
            gate_BNF = torch.sigmoid(self.gate[2](torch.relu(rest[0] + gate_out[0])))
            update_BNF = hidden_BNF + gate_BNF * (update_BNF - hidden_BNF)
        return update_BNF, None if self.triplets is None else self.triplets(step, *rest[-3:])

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(torch.cat([before[0], after[0]], dim=-1), self.edge_states(after[1]))

    def edge_states(self, narrow_BNNt: Tensor | None) -> EdgeStates | None:
        """Of the state's second part, what decoders see."""
        return None if self.triplets is None or narrow_BNNt is None else self.triplets.states(narrow_BNNt)
