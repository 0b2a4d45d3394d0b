"""What all kernels of messages are made of (messages.py): a tile of receivers, and u of one sender to it.

Shapes: N nodes, F features, K edge channels.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false

from __future__ import annotations

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
