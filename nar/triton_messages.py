"""Messages and their reduction in one kernel: no [B, N, N, F] tensor is ever in memory, forward or backward.

    u[i, j] = X[i, j] We + s_i + r_j        v[i, j] = ReLU(L1 ReLU(u[i, j]))
    max     out_j = max over i of L2 v[i, j]            sum     out_j = sum over i of L2 v[i, j]

X are the few raw edge channels (nar/encode.py). A block owns a tile of receivers and walks over the senders: it builds
a tile of u from its parts, multiplies twice, and keeps the running maximum in registers with the sender that gave it.
For the sum, L2 is linear and comes after: the kernel adds up v. Where there are too few receivers to fill the device,
the senders are split among several blocks.

The backward kernel computes u and v again. The gradient of a maximum reaches one sender per receiver and feature, so it
needs no messages, only the senders that were kept. Each block owns a slice of L1's outputs; what several blocks add to
the same place goes to one slot per block, and the slots are added up afterwards in a fixed order.

Shapes: G stacked models, B graphs, N nodes, F features, K edge channels, H a slice of L1's outputs.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nar import gpu
from nar.mapped import folded

MASKED = -1e6  # what counts as the message of a sender that is no neighbour (nar/aggregate.py)

# Block sizes, best guess first: receivers in a tile, L1's outputs at a time, warps. The last fit on small devices.
FORWARD = ((64, 128, 8), (128, 128, 8), (64, 128, 4), (32, 64, 4), (16, 32, 4))
SUM = ((64, 64, 4), (128, 64, 8), (64, 128, 8), (32, 32, 4), (16, 16, 4))
BACKWARD = ((64, 64, 8), (64, 128, 8), (64, 32, 8), (32, 64, 8), (32, 32, 4), (16, 16, 4))


@triton.jit
def rectified(x):
    return tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def rows_of(tile, graphs, nodes, BLOCK_B: tl.constexpr, BLOCK_J: tl.constexpr):
    """Graph and receiver of every row of a tile, and which rows exist. A tile has several graphs only if it has all
    receivers of each."""
    across = tl.cdiv(nodes, BLOCK_J)
    row = tl.arange(0, BLOCK_B * BLOCK_J)
    b = (tile // across) * BLOCK_B + row // BLOCK_J
    j = (tile % across) * BLOCK_J + row % BLOCK_J
    return b, j, (b < graphs) & (j < nodes)


@triton.jit
def parts_of(
    X, We, S, R, tile, b, j, exists, i, graphs, nodes, column, inside,
    F: tl.constexpr, K: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_J: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """u [rows, F] of the messages from sender i."""
    # A condition on i keeps this load in the loop over i: it comes from the cache, and registers are scarcer.
    real = (exists & (j + i >= 0))[:, None] & inside[None, :]
    u = tl.load(R + (b * nodes + j)[:, None] * F + column[None, :], real, 0.0).to(SUMS)
    if BLOCK_B == 1:  # one graph: one sender for all rows
        graph = tile // tl.cdiv(nodes, BLOCK_J)
        u += tl.load(S + (graph * nodes + i) * F + column, inside, 0.0).to(SUMS)[None, :]
    else:
        u += tl.load(S + (b * nodes + i)[:, None] * F + column[None, :], exists[:, None] & inside[None, :], 0.0).to(
            SUMS
        )
    pair = (b * nodes + i).to(tl.int64) * nodes + j
    for k in tl.static_range(K):
        x = tl.load(X + pair * K + k, exists, 0.0).to(SUMS)
        u += x[:, None] * tl.load(We + k * F + column, inside, 0.0).to(SUMS)[None, :]
    return u


@triton.jit
def larger(
    best, where, message, i, MASK, b, j, exists, nodes, low, bias, HAS_MASK: tl.constexpr, KEEP: tl.constexpr
):  # fmt: skip
    """The running maximum, without the bias that is added to all messages, and the sender that gave it."""
    if HAS_MASK:
        neighbour = tl.load(MASK + (b * nodes + i).to(tl.int64) * nodes + j, exists, 0) != 0
        message = tl.where(neighbour[:, None], message, low - bias[None, :])
    if KEEP:
        where = tl.where(message <= best, where, i)  # that of a NaN, too
    return tl.maximum(best, message, propagate_nan=tl.PropagateNan.ALL), where


@triton.jit
def max_kernel(
    X, We, S, R, W1, B1, W2, B2, MASK, POOLED, WHERE, x_stride, mask_stride, graphs, nodes, tiles, turns, low,
    F: tl.constexpr, K: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_J: tl.constexpr, HAS_MASK: tl.constexpr, KEEP: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """POOLED, WHERE [parts, G, B, N, F]: maximum over a part of the senders, and the sender that gave it."""
    part, g = tl.program_id(1), tl.program_id(2).to(tl.int64)
    rows = g * graphs * nodes * F
    X, We, S, R, MASK = X + g * x_stride, We + g * K * F, S + rows, R + rows, MASK + g * mask_stride
    W1, W2 = W1 + g * F * F, W2 + g * F * F
    out = (part * tl.num_programs(2) + g) * graphs * nodes * F
    column = tl.arange(0, BLOCK_F)
    inside = column < F
    h = tl.arange(0, BLOCK_H)
    if BLOCK_H == BLOCK_F:  # all weights fit beside each other, and stay
        bias1 = tl.load(B1 + g * F + h, h < F, 0.0).to(SUMS)
        w1_FH = tl.load(W1 + h[None, :] * F + column[:, None], (h < F)[None, :] & inside[:, None], 0.0)
        w2_HF = tl.load(W2 + column[None, :] * F + h[:, None], (h < F)[:, None] & inside[None, :], 0.0)
    bias2 = tl.load(B2 + g * F + column, inside, 0.0).to(SUMS)  # added at the end
    first, last = part * turns, min(part * turns + turns, nodes)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        b, j, exists = rows_of(tile, graphs, nodes, BLOCK_B, BLOCK_J)
        best = tl.full([BLOCK_B * BLOCK_J, BLOCK_F], float("-inf"), SUMS)
        where = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_F], tl.int32)
        if BLOCK_H == BLOCK_F:
            u = parts_of(
                X, We, S, R, tile, b, j, exists, min(first, nodes - 1), graphs, nodes, column, inside, F, K, BLOCK_B,
                BLOCK_J, SUMS,
            )  # fmt: skip
            a = rectified(u).to(W1.dtype.element_ty)
            v = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_H], W1.dtype.element_ty)
            # Three senders are under way: u of sender i + 1, L1 of sender i, L2 and the maximum of sender i - 1. What
            # comes from the turn before goes through shared memory: each product is then divided among all warps.
            for i in range(first, last + 1):
                message = tl.dot(v, w2_HF, input_precision=PRECISION, out_dtype=SUMS)
                v = rectified(tl.dot(a, w1_FH, input_precision=PRECISION, out_dtype=SUMS) + bias1[None, :]).to(v.dtype)
                u = parts_of(
                    X, We, S, R, tile, b, j, exists, min(i + 1, nodes - 1), graphs, nodes, column, inside, F, K,
                    BLOCK_B, BLOCK_J, SUMS,
                )  # fmt: skip
                a = rectified(u).to(a.dtype)
                if i > first:
                    best, where = larger(
                        best, where, message, i - 1, MASK, b, j, exists, nodes, low, bias2, HAS_MASK, KEEP
                    )
        else:
            for i in range(first, last):
                u = parts_of(
                    X, We, S, R, tile, b, j, exists, i, graphs, nodes, column, inside, F, K, BLOCK_B, BLOCK_J, SUMS
                )
                a = rectified(u).to(W1.dtype.element_ty)
                message = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_F], SUMS)
                for start in range(0, F, BLOCK_H):
                    at = start + h
                    w1 = tl.load(W1 + at[None, :] * F + column[:, None], (at < F)[None, :] & inside[:, None], 0.0)
                    w2 = tl.load(W2 + column[None, :] * F + at[:, None], (at < F)[:, None] & inside[None, :], 0.0)
                    bias = tl.load(B1 + g * F + at, at < F, 0.0).to(SUMS)
                    v = rectified(tl.dot(a, w1, input_precision=PRECISION, out_dtype=SUMS) + bias[None, :])
                    message = tl.dot(v.to(a.dtype), w2, message, input_precision=PRECISION, out_dtype=SUMS)
                best, where = larger(best, where, message, i, MASK, b, j, exists, nodes, low, bias2, HAS_MASK, KEEP)
        at = out + (b * nodes + j)[:, None] * F + column[None, :]
        tl.store(POOLED + at, (best + bias2[None, :]).to(POOLED.dtype.element_ty), exists[:, None] & inside[None, :])
        if KEEP:
            tl.store(WHERE + at, where.to(tl.int16), exists[:, None] & inside[None, :])


@triton.jit
def best_of_parts_kernel(
    BEST, WHERE, POOLED, CHOSEN, numel, PARTS: tl.constexpr, KEEP: tl.constexpr, BLOCK: tl.constexpr
):
    """Maximum over the first axis of BEST [PARTS, numel] and, with it, what WHERE says."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    best = tl.load(BEST + at, at < numel, 0.0)
    if KEEP:
        where = tl.load(WHERE + at, at < numel, 0)
    for part in tl.static_range(1, PARTS):
        message = tl.load(BEST + part * numel + at, at < numel, 0.0)
        better = (message > best) | (message != message)
        best = tl.where(better, message, best)
        if KEEP:
            where = tl.where(better, tl.load(WHERE + part * numel + at, at < numel, 0), where)
    tl.store(POOLED + at, best, at < numel)
    if KEEP:
        tl.store(CHOSEN + at, where, at < numel)


@triton.jit
def sum_kernel(
    X, We, S, R, W1, B1, MASK, TOTAL, x_stride, mask_stride, graphs, nodes, tiles, turns,
    F: tl.constexpr, K: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_J: tl.constexpr, HAS_MASK: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """TOTAL [parts, G, B, N, F]: sum of v over a part of the senders, a slice of L1's outputs per block."""
    slices: tl.constexpr = (F + BLOCK_H - 1) // BLOCK_H
    part, g = tl.program_id(1), (tl.program_id(2) // slices).to(tl.int64)
    rows = g * graphs * nodes * F
    X, We, S, R, MASK = X + g * x_stride, We + g * K * F, S + rows, R + rows, MASK + g * mask_stride
    out = (part * (tl.num_programs(2) // slices) + g) * graphs * nodes * F
    column = tl.arange(0, BLOCK_F)
    inside = column < F
    h = tl.program_id(2) % slices * BLOCK_H + tl.arange(0, BLOCK_H)
    bias1 = tl.load(B1 + g * F + h, h < F, 0.0).to(SUMS)
    w1_FH = tl.load(W1 + g * F * F + h[None, :] * F + column[:, None], (h < F)[None, :] & inside[:, None], 0.0)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        b, j, exists = rows_of(tile, graphs, nodes, BLOCK_B, BLOCK_J)
        total = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_H], SUMS)
        for i in range(part * turns, min(part * turns + turns, nodes)):
            u = parts_of(
                X, We, S, R, tile, b, j, exists, i, graphs, nodes, column, inside, F, K, BLOCK_B, BLOCK_J, SUMS
            )
            a = rectified(u).to(W1.dtype.element_ty)
            v = rectified(tl.dot(a, w1_FH, input_precision=PRECISION, out_dtype=SUMS) + bias1[None, :])
            if HAS_MASK:
                neighbour = tl.load(MASK + (b * nodes + i).to(tl.int64) * nodes + j, exists, 0) != 0
                v = tl.where(neighbour[:, None], v, 0.0)
            total += v
        at = out + (b * nodes + j)[:, None] * F + h[None, :]
        tl.store(TOTAL + at, total.to(TOTAL.dtype.element_ty), exists[:, None] & (h < F)[None, :])


@triton.jit
def backward_kernel(
    GRAD, WHERE, X, We, S, R, W1, B1, W2, MASK, GX, GWe, GS, GR, GW1, GB1, GW2, x_stride, mask_stride, graphs, nodes,
    tiles, turns, F: tl.constexpr, K: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_H: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr, HAS_MASK: tl.constexpr, MAXIMUM: tl.constexpr,
    PRECISION: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Gradients of everything, in slots that are added up afterwards: slices of L1's outputs (H), tiles, parts.

    GX [H, G, B, N, N, K]; GS [H, tiles across, G, B, N, F]; GR [H, parts, G, B, N, F]; GWe [H, blocks, parts, G, K, F];
    GW1, GW2 [blocks, parts, G, F, F]; GB1 [blocks, parts, G, F]. GRAD is the gradient of the result (max) or of the
    sum of v (sum, where WHERE, W2 and GW2 go unused).
    """
    slices: tl.constexpr = (F + BLOCK_H - 1) // BLOCK_H
    part, groups = tl.program_id(1), tl.num_programs(2) // slices
    piece, g = (tl.program_id(2) % slices).to(tl.int64), (tl.program_id(2) // slices).to(tl.int64)
    rows = g * graphs * nodes * F
    X, We, S, R, MASK = X + g * x_stride, We + g * K * F, S + rows, R + rows, MASK + g * mask_stride
    GRAD, WHERE = GRAD + rows, WHERE + rows
    W1, W2 = W1 + g * F * F, W2 + g * F * F
    across = tl.cdiv(nodes, BLOCK_J)
    slot = (tl.program_id(0) * tl.num_programs(1) + part) * groups + g  # of what is added up over blocks and parts
    GX += (piece * groups + g) * graphs * nodes * nodes * K
    GS += piece * across * groups * graphs * nodes * F + rows
    GR += ((piece * tl.num_programs(1) + part) * groups) * graphs * nodes * F + rows
    GWe += (piece * tl.num_programs(0) * tl.num_programs(1) * groups + slot) * K * F

    column, k = tl.arange(0, BLOCK_F), tl.arange(0, BLOCK_K)
    inside = column < F
    h = piece * BLOCK_H + tl.arange(0, BLOCK_H)
    corner = inside[:, None] & (h < F)[None, :]
    bias1 = tl.load(B1 + g * F + h, h < F, 0.0).to(SUMS)
    w1_FH = tl.load(W1 + h[None, :] * F + column[:, None], corner, 0.0)
    if MAXIMUM:
        w2_FH = tl.load(W2 + column[:, None] * F + h[None, :], corner, 0.0)
        grad_w2_FH = tl.zeros([BLOCK_F, BLOCK_H], SUMS)
    if K > 0:
        we_FK = tl.load(We + k[None, :] * F + column[:, None], (k < K)[None, :] & inside[:, None], 0.0)
        grad_we_KF = tl.zeros([BLOCK_K, BLOCK_F], SUMS)
    grad_w1_FH = tl.zeros([BLOCK_F, BLOCK_H], SUMS)
    grad_bias1 = tl.zeros([BLOCK_H], SUMS)
    first, last = part * turns, min(part * turns + turns, nodes)
    kind = W1.dtype.element_ty
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        b, j, exists = rows_of(tile, graphs, nodes, BLOCK_B, BLOCK_J)
        at = (b * nodes + j)[:, None] * F
        real = exists[:, None] & inside[None, :]
        grad_receivers = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_F], SUMS)
        # Four senders are under way, as in max_kernel. What begins with zeros adds nothing to any sum.
        a = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_F], kind)
        a_before, grad_u = a, a
        v = tl.zeros([BLOCK_B * BLOCK_J, BLOCK_H], kind)
        grad_z = v
        grad, grad_before = a, a
        for i in range(first, last + 3):
            if K > 0:  # sender i - 3: the edge channels
                pair = ((b * nodes + i - 3).to(tl.int64) * nodes + j) * K
                there = exists & (j * 0 + i - 3 >= first)
                x_KJ = tl.load(X + pair[None, :] + k[:, None], there[None, :] & (k < K)[:, None], 0.0)
                grad_we_KF = tl.dot(x_KJ, grad_u, grad_we_KF, input_precision=PRECISION, out_dtype=SUMS)
                grad_x = tl.dot(grad_u, we_FK, input_precision=PRECISION, out_dtype=SUMS)
                tl.store(GX + pair[:, None] + k[None, :], grad_x, there[:, None] & (k < K)[None, :])
            # sender i - 2: both layers' weights, and u
            if MAXIMUM:
                grad_w2_FH = tl.dot(tl.trans(grad_before), v, grad_w2_FH, input_precision=PRECISION, out_dtype=SUMS)
            grad_w1_FH = tl.dot(tl.trans(a_before), grad_z, grad_w1_FH, input_precision=PRECISION, out_dtype=SUMS)
            of_u = tl.dot(grad_z, tl.trans(w1_FH), input_precision=PRECISION, out_dtype=SUMS)
            of_u = tl.where(a_before > 0, of_u, 0.0)
            grad_receivers += of_u
            if BLOCK_B == 1:
                sender = (tile % across * groups * graphs + tile // across) * nodes + i - 2
                within = inside & (column * 0 + i - 2 >= first) & (column * 0 + i - 2 < last)
                tl.store(GS + sender.to(tl.int64) * F + column, tl.sum(of_u, axis=0), within)
            else:
                graph = tile * BLOCK_B + tl.arange(0, BLOCK_B)
                within = (graph < graphs) & (graph * 0 + i - 2 >= first) & (graph * 0 + i - 2 < last)
                summed = tl.sum(tl.reshape(of_u, [BLOCK_B, BLOCK_J, BLOCK_F]), axis=1)
                sender = (graph * nodes + i - 2)[:, None] * F + column[None, :]
                tl.store(GS + sender, summed, within[:, None] & inside[None, :])
            grad_u = of_u.to(kind)
            # sender i - 1: L1, and what comes back to it
            z = tl.dot(a, w1_FH, input_precision=PRECISION, out_dtype=SUMS) + bias1[None, :]
            if MAXIMUM:
                grad_v = tl.dot(grad, w2_FH, input_precision=PRECISION, out_dtype=SUMS)
                v = rectified(z).to(kind)
                grad_before = grad
            else:
                counts = exists & (j * 0 + i > first) & (j * 0 + i <= last)
                if HAS_MASK:
                    counts &= tl.load(MASK + (b * nodes + i - 1).to(tl.int64) * nodes + j, counts, 0) != 0
                grad_v = tl.load(GRAD + at + h[None, :], counts[:, None] & (h < F)[None, :], 0.0).to(SUMS)
            grad_v = tl.where(z > 0, grad_v, 0.0)
            grad_bias1 += tl.sum(grad_v, axis=0)
            grad_z = grad_v.to(kind)
            a_before = a
            # sender i: u, and the gradient where this sender gave the maximum
            u = parts_of(
                X, We, S, R, tile, b, j, exists, min(i, nodes - 1), graphs, nodes, column, inside, F, K, BLOCK_B,
                BLOCK_J, SUMS,
            )  # fmt: skip
            a = rectified(u).to(kind)
            if MAXIMUM:
                counts = exists & (j * 0 + i < last)
                if HAS_MASK:
                    counts &= tl.load(MASK + (b * nodes + i).to(tl.int64) * nodes + j, counts, 0) != 0
                chosen = (tl.load(WHERE + at + column[None, :], real, -1) == i) & counts[:, None]
                grad = tl.where(chosen, tl.load(GRAD + at + column[None, :], real, 0.0), 0.0)
        tl.store(GR + at + column[None, :], grad_receivers, real)
    tl.store(GW1 + slot * F * F + h[None, :] * F + column[:, None], grad_w1_FH, corner)
    tl.store(GB1 + slot * F + h, grad_bias1, h < F)
    if MAXIMUM:
        tl.store(GW2 + slot * F * F + column[:, None] * F + h[None, :], grad_w2_FH, corner)
    if K > 0:
        tl.store(GWe + k[:, None] * F + column[None, :], grad_we_KF, (k < K)[:, None] & inside[None, :])


def _tiles(graphs: int, nodes: int, rows: int) -> tuple[int, int, int]:
    """Graphs and receivers in a tile of `rows` rows, and how many tiles there are."""
    block_j = min(rows, triton.next_power_of_2(nodes))
    block_b = rows // block_j
    return block_b, block_j, -(-graphs // block_b) * -(-nodes // block_j)


def _candidates(table: tuple[tuple[int, int, int], ...], graphs: int, nodes: int, features: int) -> list[gpu.Config]:
    """The table's block sizes, cut down to the problem, without those that are then the same."""
    block_f = max(16, triton.next_power_of_2(features))
    most = max(16, triton.next_power_of_2(graphs) * triton.next_power_of_2(nodes))
    found = []
    for rows, slice_of_outputs, warps in table:
        config = {"rows": min(rows, most), "BLOCK_H": min(slice_of_outputs, block_f), "num_warps": warps}
        if config not in found:
            found.append(config)
    return found


def _plan(
    config: gpu.Config, graphs: int, nodes: int, blocks_per_tile: int, like: Tensor, *, start: int = 3
) -> tuple[int, int, int, dict]:
    """Tiles, blocks that share them, parts of the senders, and the kernel's block sizes."""
    block_b, block_j, tiles = _tiles(graphs, nodes, config["rows"])
    workers = min(tiles, max(1, 4 * gpu.processors(like.device) // blocks_per_tile))
    parts = gpu.splits(workers * blocks_per_tile, nodes, like.device, start=start)
    sizes = {name: value for name, value in config.items() if name != "rows"}
    return tiles, workers, parts, {**sizes, "BLOCK_B": block_b, "BLOCK_J": block_j}


def _shared(channels: Tensor, mask: Tensor | None, like: Tensor) -> tuple[dict[str, Any], tuple]:
    """What every kernel is given: constants, and (channels, stride from model to model), (mask, stride)."""
    features = like.shape[-1]
    constants = {
        "F": features, "K": channels.shape[-1], "BLOCK_F": max(16, triton.next_power_of_2(features)),
        "HAS_MASK": mask is not None, "PRECISION": gpu.precision(like.dtype),
        "SUMS": tl.float64 if like.dtype == torch.float64 else tl.float32,
    }  # fmt: skip
    seen = gpu.grouped(mask.view(torch.uint8)) if mask is not None else (like, 0)
    return constants, (*gpu.grouped(channels), *seen)


class _Messages(torch.autograd.Function):
    """(pooled, senders of the maxima) of tensors with a leading axis G; without W2, the sum of v and no senders."""

    @staticmethod
    def forward(channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask, keep):  # type: ignore[override]
        edge, senders, receivers, weight1, bias1 = (t.contiguous() for t in (edge, senders, receivers, weight1, bias1))
        groups, graphs, nodes, features = senders.shape
        constants, (channels, x_stride, seen, mask_stride) = _shared(channels, mask, senders)
        pooled, no_senders = torch.empty_like(senders), senders.new_empty(groups, 0, dtype=torch.int16)
        where = torch.empty_like(senders, dtype=torch.int16) if keep and weight2 is not None else no_senders
        given = (channels, edge, senders, receivers, weight1, bias1)
        sizes = (graphs, nodes)

        def maximum(config: gpu.Config) -> None:
            tiles, workers, parts, blocks = _plan(config, graphs, nodes, groups, senders)
            stages = 3 if blocks["BLOCK_H"] == constants["BLOCK_F"] else 1  # slices of weights fill the memory once
            best = pooled if parts == 1 else senders.new_empty(parts, *senders.shape)
            chosen = where if parts == 1 or not keep else where.new_empty(parts, *senders.shape)
            max_kernel[(workers, parts, groups)](
                *given, weight2.contiguous(), bias2.contiguous(), seen, best, chosen, x_stride, mask_stride, *sizes,
                tiles, -(-nodes // parts), MASKED, KEEP=keep, num_stages=stages, **constants, **blocks,
            )  # fmt: skip
            if parts > 1:
                best_of_parts_kernel[(triton.cdiv(pooled.numel(), 1024),)](
                    best, chosen, pooled, where, pooled.numel(), PARTS=parts, KEEP=keep, BLOCK=1024
                )

        def total(config: gpu.Config) -> None:
            slices = -(-features // config["BLOCK_H"])
            tiles, workers, parts, blocks = _plan(config, graphs, nodes, groups * slices, senders)
            sums = senders.new_empty(parts, *senders.shape, dtype=_sums(senders))
            sum_kernel[(workers, parts, groups * slices)](
                *given, seen, sums, x_stride, mask_stride, *sizes, tiles, -(-nodes // parts), **constants, **blocks
            )
            torch.sum(sums, 0, dtype=pooled.dtype, out=pooled)

        kind, table, run = ("sum", SUM, total) if weight2 is None else ("max", FORWARD, maximum)
        candidates = _candidates(table, graphs, nodes, features)
        gpu.launch(f"messages, {kind}", _key(constants, senders, keep), candidates, run)
        return pooled, where

    @staticmethod
    def setup_context(ctx, inputs, output):
        channels, edge, senders, receivers, weight1, bias1, weight2, _, mask, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], channels, edge, senders, receivers, weight1, bias1, weight2, mask)

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[override]
        weight2 = ctx.saved_tensors[-2]
        of_channels, of_edge, of_senders, of_receivers, *of_weights = _MessagesBackward.apply(grad, *ctx.saved_tensors)  # type: ignore[misc]
        of_weight1, of_bias1, of_weight2 = of_weights
        of_bias2 = None if weight2 is None else grad.sum((1, 2))
        return (
            of_channels, of_edge, of_senders, of_receivers, of_weight1, of_bias1,
            None if weight2 is None else of_weight2, of_bias2, None, None,
        )  # fmt: skip

    @staticmethod
    def vmap(info, in_dims, *arguments):
        return folded(_Messages, in_dims, arguments, 2)


class _MessagesBackward(torch.autograd.Function):
    """Gradients of channels, edge, senders, receivers, weight1, bias1 and weight2 (empty for the sum)."""

    @staticmethod
    def forward(grad, where, channels, edge, senders, receivers, weight1, bias1, weight2, mask):  # type: ignore[override]
        kinds = [t.dtype for t in (channels, edge, senders, receivers, weight1, bias1)]
        grad, where, edge, senders, receivers, weight1, bias1 = (
            t.contiguous() for t in (grad, where, edge, senders, receivers, weight1, bias1)
        )
        groups, graphs, nodes, features = senders.shape
        constants, (channels, x_stride, seen, mask_stride) = _shared(channels, mask, senders)
        last = weight1 if weight2 is None else weight2.contiguous()
        width = channels.shape[-1]

        def run(config: gpu.Config) -> list[Tensor]:
            slices = -(-features // config["BLOCK_H"])
            tiles, workers, parts, blocks = _plan(config, graphs, nodes, groups * slices, senders, start=5)
            across = -(-nodes // blocks["BLOCK_J"])

            def slots(*shape: int) -> Tensor:
                return senders.new_empty(*shape, dtype=_sums(senders))

            of_channels = slots(slices, groups, graphs, nodes, nodes, width)
            of_edge = slots(slices, workers, parts, groups, width, features)
            of_senders = slots(slices, across, groups, graphs, nodes, features)
            of_receivers = slots(slices, parts, groups, graphs, nodes, features)
            of_weight1 = slots(workers, parts, groups, features, features)
            of_weight2 = torch.empty_like(of_weight1) if weight2 is not None else slots(1, 1, groups, 0)
            of_bias1 = slots(workers, parts, groups, features)
            backward_kernel[(workers, parts, groups * slices)](
                grad, where, channels, edge, senders, receivers, weight1, bias1, last, seen, of_channels, of_edge,
                of_senders, of_receivers, of_weight1, of_bias1, of_weight2, x_stride, mask_stride, graphs, nodes, tiles,
                -(-nodes // parts), BLOCK_K=16, MAXIMUM=weight2 is not None, **constants, **blocks,
            )  # fmt: skip
            return [
                of_channels.sum(0), of_edge.sum((0, 1, 2)), of_senders.sum((0, 1)), of_receivers.sum((0, 1)),
                of_weight1.sum((0, 1)), of_bias1.sum((0, 1)), of_weight2.sum((0, 1)),
            ]  # fmt: skip

        candidates = _candidates(BACKWARD, graphs, nodes, features)
        found = gpu.launch("messages, backward", _key(constants, senders, weight2 is None), candidates, run)
        return tuple(t.to(kind) for t, kind in zip(found, [*kinds, last.dtype], strict=True))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[override]
        raise NotImplementedError("the fused messages have no second derivatives")

    @staticmethod
    def vmap(info, in_dims, *arguments):
        return folded(_MessagesBackward, in_dims, arguments, 7)


def _sums(like: Tensor) -> torch.dtype:
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def _key(constants: dict[str, Any], like: Tensor, kind: bool) -> tuple:
    return (*like.shape, like.dtype, constants["K"], constants["HAS_MASK"], constants["PRECISION"], kind)


def message_pool(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    senders_BNF: Tensor,
    receivers_BNF: Tensor,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    mask_BNN: Tensor | None,
    how: str = "max",
) -> Tensor:
    """Pooled messages [B, N, F], as nar.fused.message_pool; `how` is max or sum (masked messages count as zero)."""
    given = gpu.cast(channels_BNNK, edge_KF, senders_BNF, receivers_BNF, *first, *second, mask_BNN)
    *given, weight2, bias2, _ = given
    grouped = [None if t is None else t.unsqueeze(0) for t in (*given, weight2, bias2, mask_BNN)]
    if how == "max":
        return _Messages.apply(*grouped, torch.is_grad_enabled())[0].squeeze(0)  # type: ignore[index]
    total_BNF = _Messages.apply(*grouped[:6], None, None, grouped[8], False)[0].squeeze(0)  # type: ignore[index]
    count = senders_BNF.shape[1] if mask_BNN is None else mask_BNN.sum(1).unsqueeze(-1)
    return torch.nn.functional.linear(total_BNF, weight2) + count * bias2  # type: ignore[operator]
