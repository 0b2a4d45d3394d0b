"""Fused operations on the CPU of what is added up for every pair of nodes and rectified, X of few raw edge channels:

    rectified_pairs   ReLU(X[i, j] We + s_i + r_j)
    rectified_pool    max over senders i of  L ReLU(X[i, j] We + s_i + r_j)

They work through a few rows of senders at a time, which stay in the cache between one operation and the next, and write
in place. The gradient of a maximum reaches only N F of the N N F messages, so L's backward costs N times less than the
dense products that it replaces.

Shapes: B graphs, N nodes, F features, K edge channels; R rows of a block, one per pair.
"""

# pyright: reportCallIssue=false
# (kernels take lists of arrays, unpacked before further arguments, which the type checker cannot count)

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import ranges
from nar.kernels.cpu.ranges import SAFE, SUMS
from nar.kernels.vmap_rules import Operation, contiguous, one_by_one
from nar.traces.record import compiled

BLOCK_BYTES = 2**20  # of a block [graphs, senders, N, F]: larger ones leave the caches, smaller ones cost more calls
LOW = -1e6  # what a message from a node that is no neighbour counts as

Block = tuple[int, int, int, int]  # graphs first to last, senders begin to end: some whole graphs, or a part of one


def _in_blocks(step: Callable[..., None], senders_BNF: Tensor, buffers: int) -> None:
    """`step(block, rows, slot, *buffers)` for all blocks of a batch, one range of graphs per thread.

    `rows`: those of the block among all B N N pairs; `slot`: that of ranges.partials; `buffers`: memory [R, F].
    """
    graphs, nodes, features = senders_BNF.shape
    sender_bytes = max(1, nodes * features * senders_BNF.element_size())
    some = max(1, BLOCK_BYTES // (nodes * sender_bytes)) if nodes else 1
    part = nodes if some > 1 else max(1, min(nodes, BLOCK_BYTES // sender_bytes))

    def work(first: int, last: int, slot: int) -> None:
        memory = [senders_BNF.new_empty(min(some, last - first) * part * nodes, features) for _ in range(buffers)]
        for start in range(first, last, some):
            stop = min(start + some, last)
            for begin in range(0, nodes, part):
                end = min(begin + part, nodes)
                rows = slice((start * nodes + begin) * nodes, ((stop - 1) * nodes + end) * nodes)
                step((start, stop, begin, end), rows, slot, *(own[: rows.stop - rows.start] for own in memory))

    with torch.no_grad():
        ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)


def _parts(block: Block, channels_RK: Tensor, edge: Tensor, senders: Tensor, receivers: Tensor, out_RF: Tensor) -> None:
    """ReLU(X We + s + r) of one block."""
    first, last, begin, end = block
    of_senders, of_receivers = senders[first:last, begin:end].unsqueeze(2), receivers[first:last].unsqueeze(1)
    torch.add(of_senders, of_receivers, out=out_RF.view(last - first, end - begin, *receivers.shape[1:]))
    out_RF.addmm_(channels_RK, edge).relu_()


class _Gradients:
    """Those of X, We, s and r, gathered over the blocks of a batch."""

    def __init__(self, wanted: bool, channels: Tensor, edge: Tensor, senders: Tensor) -> None:
        self.pairs_channels, self.edge = channels.flatten(0, -2), edge
        self.of_channels = torch.empty_like(channels) if wanted else None  # they are data as a rule
        self.of_senders, self.of_receivers = torch.empty_like(senders), torch.zeros_like(senders)
        self.of_edge = ranges.partials(*edge.shape, like=edge)

    def add(self, block: Block, rows: slice, slot: int, grad_RF: Tensor, parts_RF: Tensor) -> None:
        """Those of one block; `grad_RF` is overwritten."""
        first, last, begin, end = block
        torch.ops.aten.threshold_backward.grad_input(grad_RF, parts_RF, 0, grad_input=grad_RF)
        pairs = grad_RF.view(last - first, end - begin, *self.of_receivers.shape[1:])
        torch.sum(pairs, 2, out=self.of_senders[first:last, begin:end])
        self.of_receivers[first:last] += pairs.sum(1)
        self.of_edge[slot].addmm_(self.pairs_channels[rows].t(), grad_RF)
        if self.of_channels is not None:
            torch.mm(grad_RF, self.edge.t(), out=self.of_channels.flatten(0, -2)[rows])

    def found(self) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        return self.of_channels, ranges.total(self.of_edge), self.of_senders, self.of_receivers


def rectified_pairs(channels_BNNK: Tensor, edge_KF: Tensor, senders_BNF: Tensor, receivers_BNF: Tensor) -> Tensor:
    """ReLU(X We + s + r) [B, N, N, F]."""
    return _RectifiedPairs.apply(channels_BNNK, edge_KF, senders_BNF, receivers_BNF)[0]  # type: ignore[index]


class _RectifiedPairs(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(channels, edge, senders, receivers):  # type: ignore[override]
        channels, edge, senders, receivers = contiguous(channels, edge, senders, receivers)
        graphs, nodes, features = senders.shape
        pairs = senders.new_empty(graphs, nodes, nodes, features)
        of_channels, found = channels.flatten(0, -2), pairs.flatten(0, -2)

        def step(block: Block, rows: slice, _: int) -> None:
            _parts(block, of_channels[rows], edge, senders, receivers, found[rows])

        _in_blocks(step, senders, 0)
        return (pairs,)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        grad, channels, edge, senders, pairs = contiguous(grad, *ctx.saved_tensors[:3], ctx.saved_tensors[4])
        gradients = _Gradients(ctx.needs_input_grad[0], channels, edge, senders)
        of_pairs, found = grad.flatten(0, -2), pairs.flatten(0, -2)

        def step(block: Block, rows: slice, slot: int, own: Tensor) -> None:
            gradients.add(block, rows, slot, own.copy_(of_pairs[rows]), found[rows])

        _in_blocks(step, senders, 1)
        return gradients.found()


def rectified_pool(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    senders_BNF: Tensor,
    receivers_BNF: Tensor,
    layer: tuple[Tensor, Tensor],
    mask_BNN: Tensor | None,
) -> Tensor:
    """Pooled messages [B, N, F]; `layer`: weight and bias of L; a masked message counts as -10^6."""
    keep = torch.is_grad_enabled()  # within an autograd function it never is
    found = _RectifiedPool.apply(channels_BNNK, edge_KF, senders_BNF, receivers_BNF, *layer, mask_BNN, keep)
    return found[0]  # type: ignore[index]


class _RectifiedPool(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(channels, edge, senders, receivers, weight, bias, mask, keep):  # type: ignore[override]
        channels, edge, senders, receivers = contiguous(channels, edge, senders, receivers)
        graphs, nodes, features = senders.shape
        of_channels = channels.flatten(0, -2)
        pooled = torch.empty_like(senders)
        where = torch.empty(senders.shape if keep else (0, 0, 0), dtype=torch.int32)
        parts = senders.new_empty(graphs * nodes * nodes if keep else 0, features)

        def step(block: Block, rows: slice, _: int, message: Tensor, *memory: Tensor) -> None:
            first, last, begin, end = block
            part = parts[rows] if keep else memory[0]
            _parts(block, of_channels[rows], edge, senders, receivers, part)
            messages = torch.mm(part, weight.t(), out=message).view(last - first, end - begin, nodes, features)
            if mask is not None:
                messages.masked_fill_(~mask[first:last, begin:end].unsqueeze(-1), LOW)
            if keep:
                _largest(first, begin, 0, *ranges.arrays(messages, pooled, where))
            else:
                own, best = pooled[first:last], messages.amax(1)
                own.copy_(best) if begin == 0 else torch.maximum(own, best, out=own)

        _in_blocks(step, senders, 1 if keep else 2)
        return pooled.add_(bias), parts, where

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):  # type: ignore[override]
        grad, channels, edge, senders, _, weight, *_, parts, where = contiguous(grad, *ctx.saved_tensors)
        nodes, features = grad.shape[1:]
        gradients = _Gradients(ctx.needs_input_grad[0], channels, edge, senders)
        of_weight = ranges.partials(features, features, like=grad)
        weight_array, into_weight, *above = ranges.arrays(weight, of_weight, grad, where)

        def step(block: Block, rows: slice, slot: int, of_parts: Tensor) -> None:
            first, last, begin, end = block
            shape = (last - first, end - begin, nodes, features)
            given, found = (part.numpy().reshape(shape) for part in (parts[rows], of_parts))
            _largest_backward(first, begin, *above, given, weight_array, found, into_weight[slot])
            gradients.add(block, rows, slot, of_parts, parts[rows])

        _in_blocks(step, senders, 1)
        return *gradients.found(), ranges.total(of_weight), grad.sum((0, 1)), None, None


@compiled(nogil=True, fastmath=SAFE)
def _largest(first, begin, zero, messages, pooled, where):
    """The maximum over senders so far, and the sender that gave it; `messages` are of graphs from `first`, of senders
    from `begin`.

    `zero` is 0, and added to what is stored: a stored value that may be the old one becomes a store under a mask, which
    is many times slower on some processors.
    """
    graphs, senders, nodes, features = messages.shape
    nothing, none = messages.dtype.type(zero), np.int32(zero)
    for b in range(graphs):
        best, index = pooled[first + b].reshape(nodes * features), where[first + b].reshape(nodes * features)
        for i in range(senders):
            message, n = messages[b, i].reshape(nodes * features), np.int32(begin + i)
            if n == 0:
                for x in range(nodes * features):
                    best[x] = message[x]
                    index[x] = 0
            else:
                for x in range(nodes * features):
                    value = message[x]
                    better = (value > best[x]) | (value != value)  # NaN wins
                    best[x] = (value if better else best[x]) + nothing
                    index[x] = (n if better else index[x]) + none


@compiled(nogil=True, fastmath=SUMS)
def _largest_backward(first, begin, grad, where, parts, weight, of_parts, of_weight):
    """Backward of the maximum over senders of parts @ weight.T, for those senders of which `parts` are."""
    graphs, senders, nodes, features = parts.shape
    for b in range(graphs):
        of_parts[b] = 0
        for j in range(nodes):
            for f in range(features):
                g, i = grad[first + b, j, f], where[first + b, j, f] - begin
                if g == 0 or i < 0 or i >= senders:
                    continue
                to, of = of_parts[b, i, j], parts[b, i, j]
                for c in range(features):
                    to[c] += g * weight[f, c]
                for c in range(features):
                    of_weight[f, c] += g * of[c]
