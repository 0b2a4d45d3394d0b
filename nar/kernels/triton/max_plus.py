"""The max-plus product behind triplet messages, on CUDA.

    out[b, j, k, f] = max over i of  left[b, i, j, f] + right[b, i, k, f]

A block keeps a tile of the product in registers and walks over i, so that memory is read and written once where the
textbook form builds N^3 F numbers. The first i that gave the maximum is kept; the gradient goes to it alone, and is
summed in a fixed order by blocks that each own a tile of the result. Columns are (k, f) together, because F is small.

Shapes: B graphs, N nodes, F features (triplet width). Models stacked by torch.vmap are more graphs.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false

import torch
import triton
import triton.language as tl
from torch import Tensor

from nar.kernels.triton import launch
from nar.kernels.vmap_rules import Gradients, Operation, contiguous, folded

# Block sizes, best guess first: rows and columns of a tile, warps.
FORWARD = ((32, 128, 4), (16, 128, 4), (32, 64, 4), (64, 128, 8))
BACKWARD = ((32, 64, 4), (16, 128, 4), (64, 64, 4), (16, 64, 4))


@triton.jit
def max_plus_kernel(
    LEFT, RIGHT, BEST, WHERE, senders, rows, columns,
    F: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(2).to(tl.int64)
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    left_at = b * senders * rows * F + row[:, None] * F + (column % F)[None, :]
    right_at = b * senders * columns + column
    left_real, right_real = (row < rows)[:, None] & (column < columns)[None, :], column < columns
    best = tl.full([BLOCK_R, BLOCK_C], float("-inf"), SUMS)
    where = tl.zeros([BLOCK_R, BLOCK_C], tl.int32)
    for i in range(senders):
        left = tl.load(LEFT + left_at + i * rows * F, left_real, 0.0).to(SUMS)
        right = tl.load(RIGHT + right_at + i * columns, right_real, 0.0).to(SUMS)
        candidate = left + right[None, :]
        where = tl.where(candidate <= best, where, i)  # that of a NaN, too
        best = tl.maximum(best, candidate, propagate_nan=tl.PropagateNan.ALL)
    at = (b * rows + row)[:, None] * columns + column[None, :]
    tl.store(BEST + at, best.to(BEST.dtype.element_ty), left_real)
    tl.store(WHERE + at, where.to(tl.int16), left_real)


@triton.jit
def chosen_sums_kernel(
    GRAD, WHERE, OUT, senders, columns, turns, column_stride, turn_stride, graph_stride,
    F: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """OUT[b, i, (x, f)] = sum over y of GRAD[b, x column_stride + y turn_stride + f] where WHERE has i there."""
    b = tl.program_id(2).to(tl.int64)
    i = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    start = b * graph_stride + (column // F) * column_stride + column % F
    total = tl.zeros([BLOCK_R, BLOCK_C], SUMS)
    for y in range(turns):
        grad = tl.load(GRAD + start + y * turn_stride, column < columns, 0.0).to(SUMS)
        where = tl.load(WHERE + start + y * turn_stride, column < columns, -1)
        total += tl.where(where[None, :] == i[:, None], grad[None, :], 0.0)
    at = (b * senders + i)[:, None] * columns + column[None, :]
    tl.store(OUT + at, total.to(OUT.dtype.element_ty), (i < senders)[:, None] & (column < columns)[None, :])


def _run(name: str, table: tuple, rows: int, columns: int, graphs: int, like: Tensor, start) -> None:
    """`start(grid, block sizes)` with the best block sizes for this many rows and columns per graph."""
    candidates = (
        {
            "BLOCK_R": min(block_r, triton.next_power_of_2(rows)),
            "BLOCK_C": min(block_c, triton.next_power_of_2(columns)),
            "num_warps": warps,
            "SUMS": tl.float64 if like.dtype == torch.float64 else tl.float32,
        }
        for block_r, block_c, warps in table
    )

    def run(sizes: launch.BlockSizes) -> None:
        start((triton.cdiv(columns, sizes["BLOCK_C"]), triton.cdiv(rows, sizes["BLOCK_R"]), graphs), sizes)

    launch.launch(name, (*like.shape, rows, like.dtype), candidates, run)


class _MaxPlus(Operation):
    """(product, the i that gave each entry) of left [G, B, I, J, F] and right [G, B, I, K, F]."""

    rule = staticmethod(folded)
    results = 2

    @staticmethod
    def forward(left, right):  # type: ignore[override]
        left, right = contiguous(left, right)
        groups, graphs, senders, rows, width = left.shape
        columns = right.shape[3] * width
        best = left.new_empty(groups, graphs, rows, right.shape[3], width)
        where = torch.empty_like(best, dtype=torch.int16)

        def start(grid: tuple, sizes: dict) -> None:
            max_plus_kernel[grid](left, right, best, where, senders, rows, columns, F=width, **sizes)

        _run("max-plus", FORWARD, rows, columns, groups * graphs, left, start)
        return best, where

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.senders = inputs[0].shape[-3]

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[override]
        return _MaxPlusBackward.apply(grad, *ctx.saved_tensors, ctx.senders)


class _MaxPlusBackward(Gradients):
    rule = staticmethod(folded)
    results = 2

    @staticmethod
    def forward(grad, where, senders):  # type: ignore[override]
        grad, where = contiguous(grad, where)
        groups, graphs, rows, columns, width = grad.shape
        found = []
        # left sums over k and keeps (j, f), right sums over j and keeps (k, f): only the strides differ
        for kept, summed, kept_stride, summed_stride in (
            (rows, columns, columns * width, width),
            (columns, rows, width, columns * width),
        ):
            out = grad.new_empty(groups, graphs, senders, kept, width)

            def start(grid, sizes, out=out, kept=kept, summed=summed, strides=(kept_stride, summed_stride)) -> None:
                chosen_sums_kernel[grid](
                    grad, where, out, senders, kept * width, summed, *strides, rows * columns * width, F=width, **sizes
                )

            name = f"max-plus, backward, stride {kept_stride}"
            _run(name, BACKWARD, senders, kept * width, groups * graphs, grad, start)
            found.append(out)
        return tuple(found)


def max_plus(left_BNNF: Tensor, right_BNNF: Tensor) -> Tensor:
    """See nar.nn.reductions.max_plus."""
    left, right = launch.cast(left_BNNF, right_BNNF)
    return _MaxPlus.apply(left.unsqueeze(0), right.unsqueeze(0))[0].squeeze(0)  # type: ignore[union-attr, index]
