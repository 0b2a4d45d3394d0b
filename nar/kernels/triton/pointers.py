"""Pointer scores in one kernel: s[i, j] = w . max(a_i, c_j + X[j, i] We + E[j, i]), without a [B, N, N, F] tensor.

(E, the processor's edge states already projected, is such a tensor where there is one; it is read once.) A block holds
a tile of nodes i and walks over j. It writes scores [j, i], which are read transposed. The backward kernel computes the
maximum again; of a tie everything goes to a. What several blocks add to the same place goes to one slot per block, and
the slots are added up afterwards in a fixed order.

Shapes: G stacked models, B graphs, N nodes, F features, K edge channels.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from nar.kernels.triton import launch
from nar.kernels.vmap_rules import Gradients, Operation, contiguous, folded

# Block sizes, best guess first: nodes in a tile, warps.
FORWARD = ((64, 8), (32, 4), (16, 4))
BACKWARD = ((64, 8), (32, 8), (16, 4))


@triton.jit
def pair_of(
    X, We, E, OTHER, b, i, j, exists, nodes, column, inside,
    F: tl.constexpr, K: tl.constexpr, HAS_STATES: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """c_j + X[j, i] We + E[j, i] for a tile of nodes i."""
    row = (b * nodes + j) * nodes + i
    pair = tl.load(OTHER + (b * nodes + j) * F + column, inside, 0.0).to(SUMS)[None, :]
    if HAS_STATES:
        pair += tl.load(E + row[:, None] * F + column[None, :], exists[:, None] & inside[None, :], 0.0).to(SUMS)
    for k in tl.static_range(K):
        x = tl.load(X + row * K + k, exists, 0.0).to(SUMS)
        pair += x[:, None] * tl.load(We + k * F + column, inside, 0.0).to(SUMS)[None, :]
    return pair


@triton.jit
def scores_kernel(
    X, We, E, OWN, OTHER, WEIGH, SCORES, x_stride, e_stride, graphs, nodes, turns,
    F: tl.constexpr, K: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_I: tl.constexpr, HAS_STATES: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    """SCORES [G, B, j, i]."""
    across = tl.cdiv(nodes, BLOCK_I)
    part, g = tl.program_id(1), tl.program_id(2).to(tl.int64)
    b = (tl.program_id(0) // across).to(tl.int64)
    i = tl.program_id(0) % across * BLOCK_I + tl.arange(0, BLOCK_I)
    rows = g * graphs * nodes * F
    X, We, E, OWN, OTHER = X + g * x_stride, We + g * K * F, E + g * e_stride, OWN + rows, OTHER + rows
    column = tl.arange(0, BLOCK_F)
    inside, exists = column < F, i < nodes
    weigh = tl.load(WEIGH + g * F + column, inside, 0.0).to(SUMS)
    own = tl.load(
        OWN + (b * nodes + i)[:, None] * F + column[None, :], exists[:, None] & inside[None, :], 0.0
    ).to(SUMS)  # fmt: skip
    for j in range(part * turns, min(part * turns + turns, nodes)):
        pair = pair_of(X, We, E, OTHER, b, i, j, exists, nodes, column, inside, F, K, HAS_STATES, SUMS)
        largest = tl.maximum(own, pair, propagate_nan=tl.PropagateNan.ALL)
        score = tl.sum(largest * weigh[None, :], axis=1)
        tl.store(SCORES + ((g * graphs + b) * nodes + j) * nodes + i, score.to(SCORES.dtype.element_ty), exists)


@triton.jit
def scores_backward_kernel(
    GRAD, X, We, E, OWN, OTHER, WEIGH, GX, GWe, GE, GOWN, GOTHER, GWEIGH, x_stride, e_stride, graphs, nodes, turns,
    F: tl.constexpr, K: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_I: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_STATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """GX [G, B, j, i, K], GE [G, B, j, i, F]; in slots GOWN [parts, G, B, N, F], GOTHER [tiles, G, B, N, F],
    GWe [tiles of all graphs, parts, G, K, F], GWEIGH [tiles of all graphs, parts, G, F]. GRAD is [G, B, j, i]."""
    across = tl.cdiv(nodes, BLOCK_I)
    part, g, groups = tl.program_id(1), tl.program_id(2).to(tl.int64), tl.num_programs(2)
    b, tile = (tl.program_id(0) // across).to(tl.int64), tl.program_id(0) % across
    i = tile * BLOCK_I + tl.arange(0, BLOCK_I)
    rows = g * graphs * nodes * F
    pairs = (g * graphs + b) * nodes * nodes
    slot = (tl.program_id(0) * tl.num_programs(1) + part) * groups + g
    X, We, E, OWN, OTHER = X + g * x_stride, We + g * K * F, E + g * e_stride, OWN + rows, OTHER + rows
    column, k = tl.arange(0, BLOCK_F), tl.arange(0, BLOCK_K)
    inside, exists = column < F, i < nodes
    real = exists[:, None] & inside[None, :]
    weigh = tl.load(WEIGH + g * F + column, inside, 0.0).to(SUMS)
    own = tl.load(OWN + (b * nodes + i)[:, None] * F + column[None, :], real, 0.0).to(SUMS)
    grad_own = tl.zeros([BLOCK_I, BLOCK_F], SUMS)
    grad_weigh = tl.zeros([BLOCK_I, BLOCK_F], SUMS)
    if K > 0:
        we_FK = tl.load(We + k[None, :] * F + column[:, None], (k < K)[None, :] & inside[:, None], 0.0)
        grad_we_KF = tl.zeros([BLOCK_K, BLOCK_F], SUMS)
    first, last = part * turns, min(part * turns + turns, nodes)
    through = tl.zeros([BLOCK_I, BLOCK_F], SUMS)
    for j in range(first, last + 1):
        if K > 0:
            # Products are of the turn before: what they take then goes through shared memory, instead of forcing the
            # layout that they want on everything else.
            row = (j - 1) * nodes + i
            there = exists & (i * 0 + j > first)
            operand = through.to(We.dtype.element_ty)
            x_KI = tl.load(
                X + (b * nodes * nodes + row)[None, :] * K + k[:, None], there[None, :] & (k < K)[:, None], 0.0
            )
            grad_we_KF = tl.dot(x_KI, operand, grad_we_KF, input_precision=PRECISION, out_dtype=SUMS)
            grad_x = tl.dot(operand, we_FK, input_precision=PRECISION, out_dtype=SUMS).to(GX.dtype.element_ty)
            tl.store(GX + (pairs + row)[:, None] * K + k[None, :], grad_x, there[:, None] & (k < K)[None, :])
        here = exists & (i * 0 + j < last)
        pair = pair_of(X, We, E, OTHER, b, i, min(j, nodes - 1), here, nodes, column, inside, F, K, HAS_STATES, SUMS)
        grad = tl.load(GRAD + pairs + j * nodes + i, here, 0.0).to(SUMS)[:, None]
        grad_weigh += grad * tl.maximum(own, pair, propagate_nan=tl.PropagateNan.ALL)
        grad_largest = grad * weigh[None, :]
        through = tl.where(pair > own, grad_largest, 0.0)
        grad_own += grad_largest - through
        other = ((tile * groups + g) * graphs + b) * nodes + j
        tl.store(GOTHER + other * F + column, tl.sum(through, axis=0), inside & (column * 0 + j < last))
        if HAS_STATES:
            row = pairs + j * nodes + i
            tl.store(
                GE + row[:, None] * F + column[None, :],
                through.to(GE.dtype.element_ty),
                here[:, None] & inside[None, :],
            )
    tl.store(GOWN + ((part * groups + g) * graphs + b) * nodes * F + i[:, None] * F + column[None, :], grad_own, real)
    tl.store(GWEIGH + slot * F + column, tl.sum(grad_weigh, axis=0), inside)
    if K > 0:
        tl.store(GWe + slot * K * F + k[:, None] * F + column[None, :], grad_we_KF, (k < K)[:, None] & inside[None, :])


def _plan(sizes: launch.BlockSizes, own: Tensor) -> tuple[int, int]:
    """Tiles of all graphs, and parts of the loop over j."""
    groups, graphs, nodes, _ = own.shape
    tiles = graphs * -(-nodes // sizes["BLOCK_I"])
    return tiles, launch.splits(tiles * groups, nodes, own.device)


def _candidates(table: tuple[tuple[int, int], ...], nodes: int) -> Iterator[launch.BlockSizes]:
    most = triton.next_power_of_2(nodes)
    return ({"BLOCK_I": max(16, min(block, most)), "num_warps": warps} for block, warps in table)


class _PointerScores(Operation):
    """Scores [G, B, j, i] of tensors with a leading axis G; `states` may be None."""

    rule = staticmethod(folded)

    @staticmethod
    def forward(channels, edge, states, own, other, weigh):  # type: ignore[override]
        edge, own, other, weigh = contiguous(edge, own, other, weigh)
        groups, graphs, nodes, _ = own.shape
        constants = launch.constants(channels, own) | {"HAS_STATES": states is not None}
        channels, x_stride = launch.grouped(channels)
        edge_states, e_stride = launch.grouped(states) if states is not None else (own, 0)
        scores = own.new_empty(groups, graphs, nodes, nodes)

        def run(sizes: launch.BlockSizes) -> None:
            tiles, parts = _plan(sizes, own)
            scores_kernel[(tiles, parts, groups)](
                channels, edge, edge_states, own, other, weigh, scores, x_stride, e_stride, graphs, nodes,
                -(-nodes // parts), **constants, **sizes,
            )  # fmt: skip

        key = (*own.shape, own.dtype, channels.shape[-1], states is None)
        launch.launch("pointer scores", key, _candidates(FORWARD, nodes), run)
        return (scores,)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        has_states = ctx.saved_tensors[2] is not None
        of_channels, of_edge, of_states, *rest = _PointerScoresBackward.apply(grad, *ctx.saved_tensors)  # type: ignore[misc]
        return of_channels, of_edge, of_states if has_states else None, *rest


class _PointerScoresBackward(Gradients):
    """Gradients of channels, edge, states (empty without them), own, other and weigh."""

    rule = staticmethod(folded)
    results = 6

    @staticmethod
    def forward(grad, channels, edge, states, own, other, weigh):  # type: ignore[override]
        grad, edge, own, other, weigh = contiguous(grad, edge, own, other, weigh)
        groups, graphs, nodes, features = own.shape
        constants = launch.constants(channels, own) | {
            "HAS_STATES": states is not None, "BLOCK_K": 16, "PRECISION": launch.precision(own.dtype),
        }  # fmt: skip
        channels, x_stride = launch.grouped(channels)
        edge_states, e_stride = launch.grouped(states) if states is not None else (own, 0)
        width = channels.shape[-1]
        sums = launch.sums(own)
        of_channels = torch.empty(channels.shape, dtype=channels.dtype, device=own.device)
        of_states = own.new_empty(groups, *([0] if states is None else states.shape[1:]))

        def run(sizes: launch.BlockSizes) -> list[Tensor]:
            tiles, parts = _plan(sizes, own)
            of_own = own.new_empty(parts, *own.shape, dtype=sums)
            of_other = own.new_empty(tiles // graphs, *own.shape, dtype=sums)
            of_edge = own.new_empty(tiles, parts, groups, width, features, dtype=sums)
            of_weigh = own.new_empty(tiles, parts, groups, features, dtype=sums)
            scores_backward_kernel[(tiles, parts, groups)](
                grad, channels, edge, edge_states, own, other, weigh, of_channels, of_edge, of_states, of_own, of_other,
                of_weigh, x_stride, e_stride, graphs, nodes, -(-nodes // parts), **constants, **sizes,
            )  # fmt: skip
            summed = (of_edge.sum((0, 1)), of_own.sum(0), of_other.sum(0), of_weigh.sum((0, 1)))
            return [t.to(own.dtype) for t in summed]

        key = (*own.shape, own.dtype, width, states is None, constants["PRECISION"])
        of_edge, *rest = launch.launch("pointer scores, backward", key, _candidates(BACKWARD, nodes), run)
        return of_channels, of_edge, of_states, *rest


def pointer_scores(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    edge_states: Tensor | None,
    own_BNF: Tensor,
    other_BNF: Tensor,
    weigh_F: Tensor,
) -> Tensor:
    """Scores [b, i, j] of node i pointing to node j, as nar.kernels.cpu.fused.pointer_scores."""
    given = launch.cast(channels_BNNK, edge_KF, edge_states, own_BNF, other_BNF, weigh_F)
    grouped = [None if t is None else t.unsqueeze(0) for t in given]
    return _PointerScores.apply(*grouped)[0].squeeze(0).transpose(1, 2)  # type: ignore[union-attr]
