"""Compiled CPU kernels (numba) for operations that PyTorch would spread over many passes through memory.

Every kernel has a plain PyTorch twin with which the tests compare values and gradients. A kernel handles the graphs
`first` to `last` on one thread and releases the interpreter's lock; large batches are cut into one range per PyTorch
thread, where sums over graphs go to one slot per range. (numba's own parallel loops keep idle threads spinning, which
made everything around them ten times slower.)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from nar.record import compiled

PARALLEL_FROM = 2**21  # numbers in the largest array below which cutting a batch costs more than it saves
SAFE = {"nsz", "arcp", "contract"}  # what the compiler may assume; NaN and infinity are kept
SUMS = SAFE | {"reassoc"}  # and, where numbers are added up, in any order

_pool: ThreadPoolExecutor | None = None


def usable(*tensors: Tensor) -> bool:
    """Can compiled CPU kernels take these tensors? Others go the plain way."""
    return (
        all(t.device.type == "cpu" for t in tensors)
        and {t.dtype for t in tensors} in ({torch.float32}, {torch.float64})
        and not torch.compiler.is_compiling()
    )


def partials(*shape: int, like: Tensor) -> Tensor:
    """Zeros [threads, *shape]: one slot per range of graphs for what is summed over graphs."""
    return like.new_zeros(torch.get_num_threads(), *shape)


def run(kernel: Callable, *tensors: Tensor, slots: tuple[Tensor, ...] = ()) -> None:
    """Run `kernel(first, last, slot, *tensors, *slots)` over all graphs (the first axis of the first tensor)."""
    global _pool
    arrays = [t.detach().numpy() for t in (*tensors, *slots)]
    graphs = tensors[0].shape[0]
    threads = min(torch.get_num_threads(), graphs)
    if threads <= 1 or max(t.numel() for t in tensors) < PARALLEL_FROM:
        kernel(0, graphs, 0, *arrays)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor()
    bounds = [graphs * t // threads for t in range(threads + 1)]
    list(_pool.map(lambda t: kernel(bounds[t], bounds[t + 1], t, *arrays), range(threads)))


@compiled(nogil=True, fastmath=SAFE)
def _max_plus(first, last, slot, left, right, best, where):
    senders, rows, width = left.shape[1:]
    columns = right.shape[2]
    for b in range(first, last):
        for j in range(rows):
            for k in range(columns):
                for f in range(width):
                    best[b, j, k, f] = left[b, 0, j, f] + right[b, 0, k, f]
                    where[b, j, k, f] = 0
        for i in range(1, senders):
            for j in range(rows):
                for k in range(columns):
                    for f in range(width):
                        candidate = left[b, i, j, f] + right[b, i, k, f]
                        if candidate > best[b, j, k, f] or candidate != candidate:  # NaN wins
                            best[b, j, k, f] = candidate
                            where[b, j, k, f] = i


@compiled(nogil=True)
def _max_plus_backward(first, last, slot, grad, where, left, right):
    rows, columns, width = grad.shape[1:]
    for b in range(first, last):
        for j in range(rows):
            for k in range(columns):
                for f in range(width):
                    i = where[b, j, k, f]
                    left[b, i, j, f] += grad[b, j, k, f]
                    right[b, i, k, f] += grad[b, j, k, f]


def max_plus(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """See nar.aggregate.max_plus; returns the product and the sender [B, N, N, F] that gave each maximum."""
    left, right = left.detach().contiguous(), right.detach().contiguous()
    best = left.new_empty(left.shape[0], left.shape[2], right.shape[2], left.shape[3])
    where = torch.empty(best.shape, dtype=torch.int16)
    run(_max_plus, left, right, best, where)
    return best, where


def max_plus_backward(grad: Tensor, where: Tensor, senders: int) -> tuple[Tensor, Tensor]:
    """Gradients of both factors: each entry's gradient goes to the sender that gave its maximum."""
    grad = grad.contiguous()
    graphs, rows, columns, width = grad.shape
    left, right = grad.new_zeros(graphs, senders, rows, width), grad.new_zeros(graphs, senders, columns, width)
    run(_max_plus_backward, grad, where, left, right)
    return left, right


# The kernels of nar/fused.py, in its notation.


@compiled(nogil=True, fastmath=SAFE)
def message_parts(first, last, slot, channels, edge, senders, receivers, parts):
    """parts[i, j] = ReLU(channels[i, j] edge + senders[i] + receivers[j])."""
    nodes, width, features = channels.shape[1], channels.shape[3], senders.shape[2]
    for b in range(first, last):
        for i in range(nodes):
            for j in range(nodes):
                for f in range(features):
                    parts[b, i, j, f] = senders[b, i, f] + receivers[b, j, f]
                for k in range(width):
                    x = channels[b, i, j, k]
                    for f in range(features):
                        parts[b, i, j, f] += x * edge[k, f]
                for f in range(features):
                    if parts[b, i, j, f] < 0:
                        parts[b, i, j, f] = 0


@compiled(nogil=True, fastmath=SAFE)
def max_over_senders(first, last, slot, messages, mask, pooled, where):
    """Maximum over axis 1 and the sender that gave it; an empty mask lets every sender through."""
    nodes, features = messages.shape[1], messages.shape[3]
    masked = mask.shape[0] > 0
    low = messages.dtype.type(-1e6)
    for b in range(first, last):
        for j in range(nodes):
            for f in range(features):
                pooled[b, j, f] = low if masked and not mask[b, 0, j] else messages[b, 0, j, f]
                where[b, j, f] = 0
        for i in range(1, nodes):
            for j in range(nodes):
                if masked and not mask[b, i, j]:
                    continue  # nodes are their own neighbours, so one sender at least counts, and above -10^6
                for f in range(features):
                    message = messages[b, i, j, f]
                    if message > pooled[b, j, f] or message != message:  # NaN wins
                        pooled[b, j, f] = message
                        where[b, j, f] = i


@compiled(nogil=True, fastmath=SAFE)
def max_backward(first, last, slot, grad, where, hidden, weight, grad_hidden, grad_weight):
    """Backward of max over senders of hidden @ weight.T, where hidden is the result of a ReLU (undone as well)."""
    nodes, features = grad.shape[1:]
    inner = weight.shape[1]
    for b in range(first, last):
        for i in range(nodes):
            for j in range(nodes):
                for c in range(inner):
                    grad_hidden[b, i, j, c] = 0
        for j in range(nodes):
            for f in range(features):
                g = grad[b, j, f]
                i = where[b, j, f]
                for c in range(inner):
                    grad_hidden[b, i, j, c] += g * weight[f, c]
                for c in range(inner):
                    grad_weight[slot, f, c] += g * hidden[b, i, j, c]
        for i in range(nodes):
            for j in range(nodes):
                for c in range(inner):
                    if hidden[b, i, j, c] <= 0:
                        grad_hidden[b, i, j, c] = 0


@compiled(nogil=True, fastmath=SUMS)
def message_parts_backward(
    first, last, slot, grad, parts, channels, edge, grad_channels, grad_senders, grad_receivers, grad_edge
):
    """Backward of message_parts; `grad` is overwritten."""
    nodes, width, features = channels.shape[1], channels.shape[3], parts.shape[3]
    for b in range(first, last):
        for i in range(nodes):
            for j in range(nodes):
                for f in range(features):
                    if parts[b, i, j, f] <= 0:
                        grad[b, i, j, f] = 0
                for f in range(features):
                    grad_senders[b, i, f] += grad[b, i, j, f]
                for f in range(features):
                    grad_receivers[b, j, f] += grad[b, i, j, f]
                for k in range(width):
                    x = channels[b, i, j, k]
                    total = grad[b, i, j, 0] * 0
                    for f in range(features):
                        total += grad[b, i, j, f] * edge[k, f]
                    grad_channels[b, i, j, k] = total
                    if x != 0:
                        for f in range(features):
                            grad_edge[slot, k, f] += x * grad[b, i, j, f]


@compiled(nogil=True, fastmath=SUMS)
def pointer_scores(first, last, slot, channels, edge, states, own, other, weigh, scores):
    """scores[i, j] = weigh . max(own[i], other[j] + channels[j, i] edge + states[j, i]); empty states count as zero."""
    nodes, features = own.shape[1:]
    width = channels.shape[3]
    stateful = states.shape[0] > 0
    pair = own[0, 0].copy() if last > first else own[:0, 0, 0].copy()
    for b in range(first, last):
        for j in range(nodes):
            for i in range(nodes):
                for f in range(features):
                    pair[f] = other[b, j, f]
                if stateful:
                    for f in range(features):
                        pair[f] += states[b, j, i, f]
                for k in range(width):
                    x = channels[b, j, i, k]
                    for f in range(features):
                        pair[f] += x * edge[k, f]
                total = pair[0] * 0
                for f in range(features):
                    total += weigh[f] * max(own[b, i, f], pair[f])
                scores[b, i, j] = total


@compiled(nogil=True, fastmath=SUMS)
def pointer_scores_backward(
    first, last, slot, grad, channels, edge, states, own, other, weigh,
    grad_channels, grad_states, grad_own, grad_other, grad_edge, grad_weigh,
):  # fmt: skip
    """Backward of pointer_scores, which is computed again instead of kept."""
    nodes, features = own.shape[1:]
    width = channels.shape[3]
    stateful = states.shape[0] > 0
    pair = own[0, 0].copy() if last > first else own[:0, 0, 0].copy()
    for b in range(first, last):
        for j in range(nodes):
            for i in range(nodes):
                g = grad[b, i, j]
                for f in range(features):
                    pair[f] = other[b, j, f]
                if stateful:
                    for f in range(features):
                        pair[f] += states[b, j, i, f]
                for k in range(width):
                    x = channels[b, j, i, k]
                    for f in range(features):
                        pair[f] += x * edge[k, f]
                for f in range(features):
                    grad_weigh[slot, f] += g * max(own[b, i, f], pair[f])
                for f in range(features):
                    part = g * weigh[f]
                    through = part if pair[f] > own[b, i, f] else part * 0
                    grad_own[b, i, f] += part - through
                    pair[f] = through
                for f in range(features):
                    grad_other[b, j, f] += pair[f]
                if stateful:
                    for f in range(features):
                        grad_states[b, j, i, f] = pair[f]
                for k in range(width):
                    x = channels[b, j, i, k]
                    total = pair[0] * 0
                    for f in range(features):
                        total += pair[f] * edge[k, f]
                    grad_channels[b, j, i, k] = total
                    if x != 0:
                        for f in range(features):
                            grad_edge[slot, k, f] += x * pair[f]
