"""The backward kernel of messages (messages.py, which has the equations): it computes u and v again.

The gradient of a maximum reaches one sender per receiver and feature, so it needs no messages, only the senders that
were kept. Each block owns a slice of L1's outputs; what several blocks add to the same place goes to one slot per
block, and the slots are added up afterwards in a fixed order.

Shapes: G stacked models, B graphs, N nodes, F features, K edge channels, H a slice of L1's outputs.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false

import triton
import triton.language as tl

from nar.kernels.triton.messages_forward import parts_of, rectified, rows_of


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
        # Four senders are under way, like three in max_kernel. What begins with zeros adds nothing to any sum.
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
