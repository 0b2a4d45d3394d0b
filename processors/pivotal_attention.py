"""Pivotal attention over a state of pairs (FloydNet: Yu, Zeng and Ye 2026, arXiv 2601.19094), as a processor.

A pair (i, k) attends to the ways from i to k over every node j, the pivot, as Floyd and Warshall do. With P the state
of pairs, x, e, g the encoded nodes, edges and graph, H the last hidden state, z = [x | H], heads of width d:

    start    R_ik = P_ik + E e[i -> k] + U1 z_i + U2 z_k + U3 g + (D z_i + role if i = k)
    block    X    = LayerNorm(R_ik + C R_ki),   (q, k1, k2, v1, v2) = W X
             a_ikj = softmax over j of q_ik . (k1_ij + k2_jk) / sqrt(2 d)                               (per head)
             R_ik <- R_ik + O sum over j of a_ikj (v1_ij + v2_jk)
             R_ik <- R_ik + s F2 SiLU(F1 LayerNorm(R_ik))
    gate     P'_ik = g_ik LayerNorm(R_ik) + (1 - g_ik) P_ik,   g_ik = sigmoid(G [R_ik | P_ik]),   G's bias -3
    end      H'_i  = N [P'_ii | max over k of P'_ik | max over k of P'_ki];   decoders see H and P'

The block is the paper's (equations of the released code, without biases in C, W, O, F). How it becomes one step of an
algorithm is ours, since the authors' settings for CLRS are unpublished: start, gate and end, one block per step, pairs
half as wide as nodes, a feed-forward network of ratio 2 (theirs: 4), LayerNorm (their experiments scale and shift
without normalising: `normalise=False`). Their blocks start as the identity, C, O and F2 at zero, which 32 to 96 blocks
in a row may need; `identity_start=True` does it here. Nodes enter the pairs directly, so there is no supernode. Not
built: the cap on logits, attention over triples.

Not to be confused with: triplets (pgn.py), whose maximum over the third node only decoders see, or axial attention,
where (i, j) and (j, k) are not looked at together.

Memory: no N x N x N x F numbers, nor for gradients: attention is computed for some rows i at a time over all pivots j,
and again in the backward pass. With `pivots="max"` attention gives way to max over j of ReLU(v1_ij + v2_jk), a
max-plus product.

Cost per step and block at pair width P: (7 + 2 ratio) N^2 P^2 + 4 N^3 P multiply-adds; at N=64 the maps still dominate.

Shapes: B graphs, N nodes, F features, P features of a pair, H heads, D features of a head; I, K a pair, J the pivot.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from nar.kernels.vmap_rules import Operation, folded
from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Readout, Step
from nar.nn.reductions import max_plus
from nar.processors.transformer import HEAD_FEATURES, number_of_heads, unbiased

CHUNK_BYTES = 64 * 2**20  # attention weights of so many rows i are made at a time
TRAINING_SIZE = 16  # where the scaling by log n is 1


def pivotal_attention(query: Tensor, key_1: Tensor, key_2: Tensor, value_1: Tensor, value_2: Tensor) -> Tensor:
    """sum over j of softmax_j(query_ik . (key_1_ij + key_2_jk)) (value_1_ij + value_2_jk), all [B, N, N, H, D]."""
    return _Pivotal.apply(query, key_1, key_2, value_1, value_2)[0]  # type: ignore[index]


def _match(x_BIKHD: Tensor, first_BIJHD: Tensor, second_BJKHD: Tensor) -> Tensor:
    """x_ik . (first_ij + second_jk)."""
    return torch.einsum("bikhd,bijhd->bhikj", x_BIKHD, first_BIJHD).add_(
        torch.einsum("bikhd,bjkhd->bhikj", x_BIKHD, second_BJKHD)
    )


def _collect(weights_BHIKJ: Tensor, first_BIJHD: Tensor, second_BJKHD: Tensor) -> Tensor:
    """The sum over j of weights_ikj (first_ij + second_jk)."""
    return torch.einsum("bhikj,bijhd->bikhd", weights_BHIKJ, first_BIJHD).add_(
        torch.einsum("bhikj,bjkhd->bikhd", weights_BHIKJ, second_BJKHD)
    )


def _to_first(weights_BHIKJ: Tensor, x_BIKHD: Tensor) -> Tensor:
    return torch.einsum("bhikj,bikhd->bijhd", weights_BHIKJ, x_BIKHD)


def _to_second(weights_BHIKJ: Tensor, x_BIKHD: Tensor) -> Tensor:
    return torch.einsum("bhikj,bikhd->bjkhd", weights_BHIKJ, x_BIKHD)


def _rows(like_BIKHD: Tensor) -> list[slice]:
    """Groups of rows i. A group holds all pivots of its pairs, so its softmax is complete."""
    graphs, nodes, _, heads, _ = like_BIKHD.shape
    step = max(1, CHUNK_BYTES // (graphs * heads * nodes * nodes * like_BIKHD.element_size()))
    return [slice(start, start + step) for start in range(0, nodes, step)]


class _Pivotal(Operation):
    rule = staticmethod(folded)

    @staticmethod
    def forward(query, key_1, key_2, value_1, value_2):  # type: ignore[override]
        found = []
        for i in _rows(query):
            weights = torch.softmax(_match(query[:, i], key_1[:, i], key_2), dim=-1)
            found.append(_collect(weights, value_1[:, i], value_2))
        return (torch.cat(found, dim=1),)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        query, key_1, key_2, value_1, value_2 = ctx.saved_tensors
        of_query, of_key_1, of_value_1 = [], [], []
        of_key_2, of_value_2 = torch.zeros_like(key_2), torch.zeros_like(value_2)
        for i in _rows(query):
            weights = torch.softmax(_match(query[:, i], key_1[:, i], key_2), dim=-1)
            of_value_1.append(_to_first(weights, grad[:, i]))
            of_value_2 += _to_second(weights, grad[:, i])
            of_weights = _match(grad[:, i], value_1[:, i], value_2)
            of_logits = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True))
            of_query.append(_collect(of_logits, key_1[:, i], key_2))
            of_key_1.append(_to_first(of_logits, query[:, i]))
            of_key_2 += _to_second(of_logits, query[:, i])
        return torch.cat(of_query, 1), torch.cat(of_key_1, 1), of_key_2, torch.cat(of_value_1, 1), of_value_2


class Affine(nn.Module):
    """Scale and shift without normalisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class Block(nn.Module):
    """Attention over pivots, then the feed-forward network: see the module's docstring."""

    def __init__(
        self, width: int, heads: int, ratio: int, pivots: str, scaled: bool, normalise: bool, identity: bool
    ) -> None:
        super().__init__()
        self.heads, self.pivots, self.scaled = heads, pivots, scaled
        norm = nn.LayerNorm if normalise else Affine
        self.turn = unbiased(width, width)  # C
        self.norm = norm(width)
        self.maps = unbiased(width, (5 if pivots == "softmax" else 2) * width)  # W
        self.out = unbiased(width, width)  # O
        self.network_norm = norm(width)
        self.first, self.second = unbiased(width, ratio * width), unbiased(ratio * width, width)  # F1, F2
        self.scale = nn.Parameter(torch.ones(()))  # s
        if identity:
            for layer in (self.turn, self.out, self.second):
                nn.init.zeros_(layer.weight)

    def forward(self, pairs_BNNP: Tensor) -> Tensor:
        mixed_BNNP = self.norm(pairs_BNNP + self.turn(pairs_BNNP.transpose(1, 2)))
        parts = self.maps(mixed_BNNP).split(pairs_BNNP.shape[-1], dim=-1)
        pairs_BNNP = pairs_BNNP + self.out(self._over_pivots(parts))
        return pairs_BNNP + self.scale * self.second(silu(self.first(self.network_norm(pairs_BNNP))))

    def _over_pivots(self, parts: tuple[Tensor, ...]) -> Tensor:
        if self.pivots == "max":
            return torch.relu(max_plus(parts[0].transpose(1, 2), parts[1]))
        query, *rest = (part.unflatten(-1, (self.heads, -1)) for part in parts)
        scale = (2 * query.shape[-1]) ** -0.5
        if self.scaled:
            scale *= math.log(query.shape[1]) / math.log(TRAINING_SIZE)
        return pivotal_attention(query * scale, *rest).flatten(-2)


class PivotalAttention(Processor):
    """A recurrent state of pairs, updated by attention over pivots."""

    cost = "N^3"

    def __init__(
        self,
        features: int,
        *,
        pair_features: int | None = None,
        blocks: int = 1,
        head_features: int = HEAD_FEATURES,
        network_ratio: int = 2,
        pivots: str = "softmax",
        scaled: bool = False,
        normalise: bool = True,
        identity_start: bool = False,
    ) -> None:
        """`pair_features`: width of a pair (default: half of `features`); `blocks` per step.

        `head_features`: width of a head; `network_ratio`: of the feed-forward network, in widths of a pair; `pivots`:
        softmax or max; `scaled`: logits times log n / log 16, against attention that spreads as graphs grow;
        `normalise`, `identity_start`: see above.
        """
        super().__init__(features)
        width = max(1, features // 2) if pair_features is None else pair_features
        for name, value in (("pair_features", width), ("blocks", blocks), ("network_ratio", network_ratio)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if pivots not in ("softmax", "max"):
            raise ValueError(f"unknown pivots {pivots!r}; choose softmax or max")
        if scaled and pivots == "max":
            raise ValueError("scaled has no effect with pivots='max', which has no logits; leave it away")
        heads = number_of_heads(width, head_features) if pivots == "softmax" else 1
        self.first, self.second, self.both = (linear(2 * features, width) for _ in range(3))  # U1, U2, D (bias: role)
        self.edge, self.graph = linear(features, width), linear(features, width)  # E, U3
        self.blocks = nn.ModuleList(
            Block(width, heads, network_ratio, pivots, scaled, normalise, identity_start) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.gate = linear(2 * width, width, bias=-3.0)  # G
        self.node = linear(3 * width, features)  # N
        self.edge_readout = width

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(graphs, nodes, nodes, self.edge_readout)

    def forward(self, step: Step, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden_BNF, before_BNNP = state
        hood = step.hood.complete()
        first, second, both = joint_linear([self.first, self.second, self.both], step.concat(hidden_BNF))
        eye_NN1 = torch.eye(hood.nodes, dtype=hidden_BNF.dtype, device=hidden_BNF.device).unsqueeze(-1)
        pairs_BNNP = before_BNNP + hood.edges(self.edge) + hood.senders(first)
        pairs_BNNP = pairs_BNNP + hood.receivers(second + self.graph(step.graph).unsqueeze(1))
        pairs_BNNP = pairs_BNNP + eye_NN1 * both.unsqueeze(2)
        for block in self.blocks:
            pairs_BNNP = block(pairs_BNNP)
        gate_BNNP = torch.sigmoid(self.gate(torch.cat([pairs_BNNP, before_BNNP], dim=-1)))
        # the update is normalised: pairs stay as large as they are, however many steps follow
        after_BNNP = before_BNNP + gate_BNNP * (self.norm(pairs_BNNP) - before_BNNP)
        own_BNP = after_BNNP.diagonal(dim1=1, dim2=2).transpose(1, 2)
        return self.node(torch.cat([own_BNP, after_BNNP.amax(2), after_BNNP.amax(1)], dim=-1)), after_BNNP

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(torch.cat([before[0], after[0]], dim=-1), after[1])
