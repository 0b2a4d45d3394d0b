"""Recurrent aggregation (RNAR; Xu and Velickovic, LoG 2024 extended abstract, arXiv 2409.07154).

PGN's equations (pgn.py) with everyone as everyone's neighbour, and a recurrent network in the place of the maximum.
It reads the messages in the order of the nodes, which in CLRS is that of `pos`; its last state is the result:

    message    m[i -> j] = L2 ReLU(L1 ReLU(M1 z_j + M2 z_i + Me e[i, j] + Mg g))
    aggregate  (h, c) = (0, 0);   for i = 0 to N - 1: (h, c) <- LSTM(m[i -> j], (h, c));   m_j = h

One network, shared by all receivers and steps; update, gate and triplets are PGN's, the triplets keep their maximum.
L2 goes into the LSTM's input matrix (nar/nn/recurrent.py), so its product is never made.

Renaming the nodes changes the result, and nothing here is invariant: it is the point of the paper.

Not to be confused with: an LSTM over time per node (`use_lstm` of dm-clrs), LSTM aggregation of GraphSAGE (random
order; here an option), or learnable commutative monoids (a tree, close to invariant).

What the paper leaves open, as far as we know it, and what stands here: triplets (off) and gate (off); cell (lstm), its
layers (1) and direction (from the first node to the last); initialisation (Haiku's, the forget gate's bias 1). With
`masked` a node that is no neighbour leaves the state as it is; to read zeros in its place would not be the same.

Cost per step: 2 N^2 F^2 multiply-adds for messages and 8 N^2 F^2 for the LSTM (6 for the GRU), in N dependent steps.
"""

from typing import cast

import torch
from torch import Tensor, nn

from nar.nn.layers import MessageMLP
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.recurrent import GRUAggregator, LSTMAggregator, RecurrentAggregator
from nar.processors.pgn import PGN, TRIPLET_FEATURES

CELLS = {"lstm": LSTMAggregator, "gru": GRUAggregator}


class FirstLayer(nn.Module):
    """The message function up to its last linear map."""

    def __init__(self, first: nn.Linear) -> None:
        super().__init__()
        self.first = first  # L1

    def forward(self, parts: Tensor) -> Tensor:
        return torch.relu(self.first(torch.relu(parts)))


class LastLayer(nn.Module):
    """The message function's last linear map and the aggregator, as one product."""

    def __init__(self, second: nn.Linear, cell: RecurrentAggregator) -> None:
        super().__init__()
        self.second = second  # L2
        self.cell = cell

    def forward(self, inner_BSRF: Tensor, mask_BSR: Tensor | None) -> Tensor:
        return self.cell.reduce_dense(inner_BSRF, mask_BSR, after=self.second)


class RNAR(PGN):
    """Messages read one after the other, in the order of the nodes."""

    permutation_equivariant = False
    uses_adjacency = False

    def __init__(
        self,
        features: int,
        *,
        cell: str = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        random_order: bool = False,
        masked: bool = False,
        gated: bool = False,
        triplets: bool = False,
        triplet_features: int = TRIPLET_FEATURES,
        layer_norm: bool = True,
        mask_decoders: bool = False,
    ) -> None:
        """`cell`: lstm or gru; `layers`, `bidirectional`, `random_order` (in training only): RecurrentAggregator's.

        `masked`: messages along the graph's edges only; the others are PGN's options.
        """
        if cell not in CELLS:
            raise ValueError(f"unknown cell {cell!r}; choose one of {', '.join(CELLS)}")
        super().__init__(
            features,
            gated=gated,
            triplets=triplets,
            triplet_features=triplet_features,
            layer_norm=layer_norm,
            mask_decoders=mask_decoders,
        )
        aggregator = CELLS[cell](
            features, features, layers=layers, bidirectional=bidirectional, random_order=random_order
        )
        message = cast(MessageMLP, self.message)  # in two halves from here on
        self.reduction = LastLayer(message.second, aggregator)
        self.message = FirstLayer(message.first)  # type: ignore[assignment]
        self.uses_adjacency = masked

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        return hood if self.uses_adjacency else hood.complete()
