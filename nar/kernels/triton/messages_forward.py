"""The forward kernels of messages (messages.py, which has the equations): their maximum and their sum.

A block owns a tile of receivers and walks over the senders: it builds a tile of u from its parts, multiplies twice, and
keeps the running maximum in registers with the sender that gave it. For the sum, L2 is linear and comes after: the
kernel adds up v. Where there are too few receivers to fill the device, the senders are split among several blocks.
First come the parts that the backward kernel has as well: a tile of receivers, and u of one sender to it.

Shapes: G stacked models, B graphs, N nodes, F features, K edge channels, H a slice of L1's outputs.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false

import triton
import triton.language as tl


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
