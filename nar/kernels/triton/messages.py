"""Messages and their reduction in one kernel: no [B, N, N, F] tensor is ever in memory, forward or backward.

    u[i, j] = X[i, j] We + s_i + r_j        v[i, j] = ReLU(L1 ReLU(u[i, j]))
    max     out_j = max over i of L2 v[i, j]            sum     out_j = sum over i of L2 v[i, j]

X are the few raw edge channels (nar/model/coders/encoder.py). Here the kernels are launched, and made differentiable:
forward in messages_forward.py, backward in messages_backward.py.

Shapes: G stacked models, B graphs, N nodes, F features, K edge channels, H a slice of L1's outputs.
"""

# Kernels are no functions to Python: pyright sees neither their launch nor their constants.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from collections.abc import Iterator
from typing import Any

import torch
import triton
from torch import Tensor

from nar.kernels.triton import launch
from nar.kernels.triton.messages_backward import backward_kernel
from nar.kernels.triton.messages_forward import best_of_parts_kernel, max_kernel, sum_kernel
from nar.kernels.vmap_rules import Gradients, Operation, contiguous, folded

MASKED = -1e6  # what counts as the message of a sender that is no neighbour (nar/nn/reductions.py)

# Block sizes, best guess first: receivers in a tile, L1's outputs at a time, warps. The last fit on small devices.
FORWARD = ((64, 128, 8), (128, 128, 8), (64, 128, 4), (32, 64, 4), (16, 32, 4))
SUM = ((64, 64, 4), (128, 64, 8), (64, 128, 8), (32, 32, 4), (16, 16, 4))
BACKWARD = ((64, 64, 8), (64, 128, 8), (64, 32, 8), (32, 64, 8), (32, 32, 4), (16, 16, 4))


def _candidates(table: tuple[tuple[int, int, int], ...], like: Tensor) -> Iterator[launch.BlockSizes]:
    """The table's block sizes, cut down to the problem."""
    _, graphs, nodes, features = map(triton.next_power_of_2, like.shape)
    for rows, slice_of_outputs, warps in table:
        yield {
            "rows": min(rows, max(16, graphs * nodes)),
            "BLOCK_H": min(slice_of_outputs, max(16, features)),
            "num_warps": warps,
        }


def _plan(sizes: launch.BlockSizes, like: Tensor, slices: int, *, start: int = 3) -> tuple[int, int, int, dict]:
    """Tiles, blocks that share them, parts of the senders, and the kernel's block sizes.

    A tile of `rows` rows has some receivers of one graph, or all of several; `slices` blocks of each model share it.
    """
    groups, graphs, nodes, _ = like.shape
    blocks = dict(sizes)
    rows = blocks.pop("rows")
    block_j = min(rows, triton.next_power_of_2(nodes))
    block_b = rows // block_j
    tiles = -(-graphs // block_b) * -(-nodes // block_j)
    blocks_per_tile = groups * slices
    workers = min(tiles, max(1, 4 * launch.multiprocessors(like.device) // blocks_per_tile))
    parts = launch.splits(workers * blocks_per_tile, nodes, like.device, start=start)
    return tiles, workers, parts, {**blocks, "BLOCK_B": block_b, "BLOCK_J": block_j}


def _shared(channels: Tensor, mask: Tensor | None, like: Tensor) -> tuple[dict[str, Any], tuple]:
    """What every kernel is given: constants, and (channels, stride from model to model), (mask, stride)."""
    precision = launch.precision(like.dtype)
    constants = launch.constants(channels, like) | {"HAS_MASK": mask is not None, "PRECISION": precision}
    seen = launch.grouped(mask.view(torch.uint8)) if mask is not None else (like, 0)
    return constants, (*launch.grouped(channels), *seen)


class _Messages(Operation):
    """(pooled, senders of the maxima) of tensors with a leading axis G; without W2, the sum of v and no senders."""

    rule = staticmethod(folded)
    results = 2

    @staticmethod
    def forward(channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask, keep):  # type: ignore[override]
        edge, senders, receivers, weight1, bias1 = contiguous(edge, senders, receivers, weight1, bias1)
        groups, graphs, nodes, features = senders.shape
        constants, (channels, x_stride, seen, mask_stride) = _shared(channels, mask, senders)
        pooled, no_senders = torch.empty_like(senders), senders.new_empty(groups, 0, dtype=torch.int16)
        where = torch.empty_like(senders, dtype=torch.int16) if keep and weight2 is not None else no_senders
        given = (channels, edge, senders, receivers, weight1, bias1)
        sizes = (graphs, nodes)

        def maximum(config: launch.BlockSizes) -> None:
            tiles, workers, parts, blocks = _plan(config, senders, 1)
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

        def total(config: launch.BlockSizes) -> None:
            slices = -(-features // config["BLOCK_H"])
            tiles, workers, parts, blocks = _plan(config, senders, slices)
            sums = senders.new_empty(parts, *senders.shape, dtype=launch.sums(senders))
            sum_kernel[(workers, parts, groups * slices)](
                *given, seen, sums, x_stride, mask_stride, *sizes, tiles, -(-nodes // parts), **constants, **blocks
            )
            torch.sum(sums, 0, dtype=pooled.dtype, out=pooled)

        kind, table, run = ("sum", SUM, total) if weight2 is None else ("max", FORWARD, maximum)
        launch.launch(f"messages, {kind}", _key(constants, senders, keep), _candidates(table, senders), run)
        return pooled, where

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[override]
        if grad is None:
            return (None,) * 10
        *found, of_weight2 = _MessagesBackward.apply(grad, *ctx.saved_tensors)  # type: ignore[misc]
        of_second = (None, None) if ctx.saved_tensors[6] is None else (of_weight2, grad.sum((1, 2)))
        return *found, *of_second, None, None


class _MessagesBackward(Gradients):
    """Gradients of channels, edge, senders, receivers, weight1, bias1 and weight2 (empty for the sum)."""

    rule = staticmethod(folded)
    results = 7

    @staticmethod
    def forward(grad, channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask, where):  # type: ignore[override]
        kinds = [t.dtype for t in (channels, edge, senders, receivers, weight1, bias1)]
        grad, where, edge, senders, receivers, weight1, bias1 = contiguous(
            grad, where, edge, senders, receivers, weight1, bias1
        )
        groups, graphs, nodes, features = senders.shape
        constants, (channels, x_stride, seen, mask_stride) = _shared(channels, mask, senders)
        last = weight1 if weight2 is None else weight2.contiguous()
        width = channels.shape[-1]

        def run(config: launch.BlockSizes) -> list[Tensor]:
            slices = -(-features // config["BLOCK_H"])
            tiles, workers, parts, blocks = _plan(config, senders, slices, start=5)
            across = -(-nodes // blocks["BLOCK_J"])

            def slots(*shape: int) -> Tensor:
                return senders.new_empty(*shape, dtype=launch.sums(senders))

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

        key = _key(constants, senders, weight2 is None)
        found = launch.launch("messages, backward", key, _candidates(BACKWARD, senders), run)
        return tuple(t.to(kind) for t, kind in zip(found, [*kinds, last.dtype], strict=True))


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
    """Pooled messages [B, N, F], as nar.kernels.cpu.fused.message_pool; `how` is max or sum (masked messages count as
    zero)."""
    given = launch.cast(channels_BNNK, edge_KF, senders_BNF, receivers_BNF, *first, *second)
    grouped = [None if t is None else t.unsqueeze(0) for t in (*given, mask_BNN)]
    if how == "max":
        return _Messages.apply(*grouped, torch.is_grad_enabled())[0].squeeze(0)  # type: ignore[index]
    total_BNF = _Messages.apply(*grouped[:6], None, None, grouped[8], False)[0].squeeze(0)  # type: ignore[index]
    count = senders_BNF.shape[1] if mask_BNN is None else mask_BNN.sum(1).unsqueeze(-1)
    return torch.nn.functional.linear(total_BNF, given[6]) + count * given[7]  # type: ignore[operator]
