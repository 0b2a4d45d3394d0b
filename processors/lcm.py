"""Learnable commutative monoid as the aggregator of CLRS's message passing.

Paper: Ong and Velickovic, Learnable Commutative Monoids for Graph Neural Networks, LoG 2022, arXiv 2212.08541.

MPNN's equations (pgn.py) with the maximum replaced by a learned binary operator over a balanced tree
(nar/nn/monoid.py):

    aggregate  m_j = ((m[0 -> j] + m[1 -> j]) + (m[2 -> j] + m[3 -> j])) + ...      senders in the order of the nodes
               a + b = 1/2 (GRU(a, b) + GRU(b, a))

The operator commutes by construction, but is associative only as far as it has learned to be: renaming the nodes
changes the tree, hence the result, and this processor is not permutation equivariant (for two nodes it is, exactly).
`associativity` puts the error of associativity into the loss; `random_order` shuffles the messages in training.

Not to be confused with RNAR (a recurrent network over the messages in node order: depth n instead of log2 n, and no
symmetry at all), or with torch_geometric.nn.LCMAggregation, whose result depends on padding.

Unknown, hence options with our defaults: the regulariser's weight (0: none), gate and triplets (none; the paper is not
about CLRS-30), masking by the graph's edges (none: `lcm` listens to everyone, `lcm_masked` to the graph's neighbours).

Cost per step: that of PGN and 24 N (N - 1) F^2 floating-point operations for the GRUs, in log2 N batched calls.
"""

from typing import Any

from torch import Tensor, nn

from nar.nn.monoid import LCMAggregator
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Step
from nar.processors.pgn import PGN, TRIPLET_FEATURES


class LCM(PGN):
    """Messages between all pairs of nodes (`masked`: along the edges of the graph), joined two by two."""

    permutation_equivariant = False
    uses_adjacency = False

    def __init__(
        self,
        features: int,
        *,
        operator: str | nn.Module = "gru",
        associativity: float = 0.0,
        commutativity: float = 0.0,
        triples: int = 256,
        random_order: bool = False,
        masked: bool = False,
        gated: bool = False,
        triplets: bool = False,
        triplet_features: int = TRIPLET_FEATURES,
        layer_norm: bool = True,
        mask_decoders: bool = False,
    ) -> None:
        """`operator` to `random_order`: see nar.nn.monoid.LCMAggregator; `gated` and those after it: see PGN."""
        monoid = LCMAggregator(
            features,
            operator=operator,
            associativity=associativity,
            commutativity=commutativity,
            triples=triples,
            random_order=random_order,
        )
        super().__init__(
            features,
            gated=gated,
            triplets=triplets,
            triplet_features=triplet_features,
            layer_norm=layer_norm,
            mask_decoders=mask_decoders,
            reduction=monoid,
        )
        self.uses_adjacency = masked

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        return hood if self.uses_adjacency else hood.complete()

    def forward(self, step: Step, state: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Any]:
        after = super().forward(step, state)
        monoid = self.reduction
        if isinstance(monoid, LCMAggregator) and monoid.penalty is not None:
            step.notes.penalty("monoid laws", monoid.penalty)
            monoid.penalty = None  # the rollout holds it now
        return after
