"""Edge-centric networks: edge states from pairs, from triples, and from products of pairs.

Dudzik and Velickovic, Graph Neural Networks are Dynamic Programmers (NeurIPS 2022, arXiv 2203.15544); PPGN: Maron et
al., Provably Powerful Graph Networks (NeurIPS 2019, arXiv 1905.11136). Node states are those of MPNN (mpnn.py). Beside
them every ordered pair of nodes has a state s, at first zero. With z = [x | H], encoded edges e, encoded graph g, and
eps[u, v] standing for an affine function of the pair's encoded edge and state (each letter with a map of its own):

    V2      t[u, v]  =  T2 z_u + T3 z_v + E3 eps[u, v] + G g
    V3      t[u, v]  =  that  +  SUM over w of  (T1 z_w + E1 eps[w, u]) TIMES E2 eps[w, v]
    PPGN    t[u, v]  =  that  +  mean over w of  P[u, w] * Q[w, v],     P, Q = two-layer networks of z_u, z_v, eps, g
    all     s'[u, v] =  LayerNorm(ReLU(O t[u, v]))

V3's semiring (nar/nn/semiring.py) is max_plus as in the paper; the sum over triples (w, u, v) is a matrix product over
it, and nothing of size N^3 is built. V3 without recurrence is the triplet part of Triplet-GMPNN, number for number. V2
is the honest control of V3: the same without third nodes.

Not to be confused with: triplet_mpnn (its edge state is rebuilt from nothing at every step, and without LayerNorm);
the Relational Transformer and FloydNet (attention over pairs).

What the papers leave open, or what we could not read, is an option:

    recurrent=True        edge states enter the next step; in public code of the reference they do not
    feed_nodes=False      messages between nodes see the last edge states, too
    through=False         w -> u and w -> v as in that code; True: u -> w and w -> v, as Floyd-Warshall goes
    semiring="max_plus"   min_plus, sum_product and logsumexp are there; sums are divided by N with `normalise`
    masked=False          nodes listen to neighbours only, and w must be a neighbour of u (itself is one)
    layer_norm=True       of nodes, and of edge states where they are recurrent: products of products grow fast

Unknown in PPGN's use for algorithms: widths, and where node features go (on the diagonal in the original; here both
ends' enter every factor). Its first skip connection and last network are here one linear map with ReLU.

Declared: permutation equivariant, uses history, masked only with `masked`. Cost per step beside MPNN's: for width t,
N^3 t additions (V3; products for PPGN) and N^2 F t for every map of edge states; V2 the latter only.

Shapes: B graphs, N nodes, F features, t triplet features.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from nar.nn import semiring
from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.neighbourhood import Dense, Neighbourhood, Reduction
from nar.nn.processor import Processor, Readout, Step
from nar.processors.mpnn import MPNN
from nar.processors.pgn import PGN, TRIPLET_FEATURES


class Pairs(nn.Module):
    """An affine function [B, N, N, t] of ordered pairs a -> b: of z at a and b, where asked for, edge, state, graph."""

    def __init__(
        self, features: int, width: int, *, first: bool = False, second: bool = False, graph: bool = False
    ) -> None:
        super().__init__()
        self.first = linear(2 * features, width) if first else None
        self.second = linear(2 * features, width) if second else None
        self.edge = linear(features, width)
        self.graph = linear(features, width) if graph else None

    def forward(self, step: Step, z_BNZ: Tensor, of_states_BNNt: Tensor | None) -> Tensor:
        hood = step.hood.complete()
        parts = hood.edges(self.edge)
        if self.first is not None:
            of_first = self.first(z_BNZ)
            if self.graph is not None:
                of_first = of_first + self.graph(step.graph).unsqueeze(1)
            parts = parts + hood.senders(of_first)
        if self.second is not None:
            parts = parts + hood.receivers(self.second(z_BNZ))
        return parts if of_states_BNNt is None else parts + of_states_BNNt


class EdgeCentric(Processor):
    """What V2, V3 and PPGN share. Subclasses say in `pairs` which functions of pairs they need, and combine them."""

    def __init__(
        self,
        features: int,
        *,
        triplet_features: int = TRIPLET_FEATURES,
        recurrent: bool = True,
        feed_nodes: bool = False,
        masked: bool = False,
        gated: bool = False,
        layer_norm: bool = True,
        reduction: Reduction = "max",
    ) -> None:
        super().__init__(features)
        if feed_nodes and not recurrent:
            raise ValueError("feed_nodes=True has no effect without recurrent edge states; leave it away")
        width = triplet_features
        self.nodes = (PGN if masked else MPNN)(features, gated=gated, layer_norm=layer_norm, reduction=reduction)
        self.functions = nn.ModuleList(self.pairs(features, width))
        self.states = nn.ModuleList(linear(features, width) for _ in self.functions) if recurrent else None
        self.feed = linear(features, features) if feed_nodes else None
        self.out = linear(width, features)  # O
        self.norm = nn.LayerNorm(features) if recurrent and layer_norm else nn.Identity()
        self.edge_readout = features
        self.recurrent, self.masked = recurrent, masked
        self.uses_adjacency = masked

    def pairs(self, features: int, width: int) -> list[Pairs]:
        """The functions of pairs whose values `combine` is given."""
        raise NotImplementedError

    def combine(self, values: list[Tensor], mask_BNN: Tensor | None) -> Tensor:
        """t [B, N, N, t] from them; `mask_BNN` [b, w, u]: the edges w -> u (None: all pairs)."""
        raise NotImplementedError

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
        pairs = like.new_zeros(graphs, nodes, nodes, self.features) if self.recurrent else None
        return like.new_zeros(graphs, nodes, self.features), pairs

    def forward(self, step: Step, state: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        hidden_BNF, states_BNNF = state
        z_BNZ = torch.cat([step.nodes, hidden_BNF], dim=-1)
        mask_BNN = step.hood.adjacency_BNN if self.masked and isinstance(step.hood, Dense) else None
        of_states: list[Tensor | None] = [None] * len(self.functions)
        if self.states is not None:
            assert states_BNNF is not None
            of_states = list(joint_linear(self.states, states_BNNF, step.weights))  # type: ignore[arg-type]
        values = [function(step, z_BNZ, part) for function, part in zip(self.functions, of_states, strict=True)]
        pairs_BNNF = self.norm(torch.relu(self.out(self.combine(values, mask_BNN))))
        if self.feed is not None:
            step = dataclasses.replace(step, hood=_Fed(step.hood, self.feed(states_BNNF)))  # type: ignore[arg-type]
        return self.nodes(step, (hidden_BNF, None))[0], pairs_BNNF

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(torch.cat([before[0], after[0]], dim=-1), after[1])


class V2(EdgeCentric):
    """Edge states from the two nodes, the edge and the last state of the pair itself."""

    def pairs(self, features: int, width: int) -> list[Pairs]:
        return [Pairs(features, width, first=True, second=True, graph=True)]

    def combine(self, values: list[Tensor], mask_BNN: Tensor | None) -> Tensor:
        return values[0]


class V3(EdgeCentric):
    """Edge states from all triples of nodes, by a product over a semiring."""

    cost = "N^3"

    def __init__(
        self, features: int, *, semiring: str = "max_plus", normalise: bool = True, through: bool = False, **options
    ) -> None:
        """`semiring`: of the triplet product; `normalise`: means where sums would grow with N; `through`: u, w, v."""
        super().__init__(features, **options)
        self.ring, self.normalise, self.through = _ring(semiring), normalise, through
        if not normalise and semiring in ("max_plus", "min_plus"):
            raise ValueError(f"normalise=False has no effect on {semiring}; leave it away")

    def pairs(self, features: int, width: int) -> list[Pairs]:
        left, right = Pairs(features, width, first=True), Pairs(features, width)
        return [left, right, Pairs(features, width, first=True, second=True, graph=True)]

    def combine(self, values: list[Tensor], mask_BNN: Tensor | None) -> Tensor:
        left_BNNt, right_BNNt, rest_BNNt = values
        if self.through:  # the left pair is u -> w
            left_BNNt, mask_BNN = left_BNNt.transpose(1, 2), None if mask_BNN is None else mask_BNN.transpose(1, 2)
        return _third_nodes(self.ring, left_BNNt, right_BNNt, mask_BNN, self.normalise) + rest_BNNt


class PPGN(EdgeCentric):
    """Edge states from matrix products of pair features."""

    cost = "N^3"

    def __init__(self, features: int, *, normalise: bool = True, **options) -> None:
        """`normalise`: divide the products by the number of third nodes."""
        super().__init__(features, **options)
        width = self.out.in_features
        self.factors = nn.ModuleList(linear(width, width) for _ in range(2))
        self.normalise = normalise

    def pairs(self, features: int, width: int) -> list[Pairs]:
        return [Pairs(features, width, first=True, second=True, graph=True) for _ in range(3)]

    def combine(self, values: list[Tensor], mask_BNN: Tensor | None) -> Tensor:
        left, right = (factor(torch.relu(value)) for factor, value in zip(self.factors, values[:2], strict=True))
        mask_BNN = None if mask_BNN is None else mask_BNN.transpose(1, 2)
        return _third_nodes(_ring("sum_product"), left.transpose(1, 2), right, mask_BNN, self.normalise) + values[2]


def _ring(name: str) -> semiring.Semiring:
    return semiring.get(name)


def _third_nodes(
    ring: semiring.Semiring, left_BNNt: Tensor, right_BNNt: Tensor, mask_BNN: Tensor | None, normalise: bool
) -> Tensor:
    """SUM, or mean, over w of left[w, u] TIMES right[w, v]; `mask_BNN` [b, w, u]: which w count for u."""
    total_BNNt = semiring.product(left_BNNt, right_BNNt, ring, mask_BNN)
    if not normalise:
        return total_BNNt
    count = left_BNNt.shape[1] if mask_BNN is None else mask_BNN.sum(1)[:, :, None, None]
    return ring.mean(total_BNNt, count)


class _Fed(Dense):
    """A neighbourhood whose messages have one more part, from the states of the pairs."""

    def __init__(self, hood: Neighbourhood, part_BNNF: Tensor) -> None:
        assert isinstance(hood, Dense)
        super().__init__(hood.edge_features, hood.nodes, hood.adjacency_BNN)
        self.part_BNNF = part_BNNF

    def complete(self) -> _Fed:
        return _Fed(super().complete(), self.part_BNNF)

    def pool(self, senders_BNF, receivers_BNF, edge, graph_BF, message, how="max"):
        parts = self.edges(edge) + self.senders(senders_BNF + graph_BF.unsqueeze(1)) + self.receivers(receivers_BNF)
        return self.reduce(message(parts + self.part_BNNF), how)
