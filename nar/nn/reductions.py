"""Reductions over a node's incoming messages, and the max-plus product behind triplet messages.

The max-plus product is one hot operation with two routes that must agree: a plain one in PyTorch, which every device
runs, and a compiled one for the CPU. Both take O(N^2 F) memory where the textbook form builds N x N x N x F numbers.

Shapes: B graphs, N nodes, F features (triplet width, small).
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import ranges
from nar.kernels.triton import dispatch
from nar.kernels.vmap_rules import Operation, folded

MASKED = -1e6  # what dm-clrs puts in the place of a message from a node that is no neighbour


def maximum(messages: Tensor, dim: int, mask: Tensor | None = None) -> Tensor:
    """Maximum over one axis; positions where `mask` is False count as -10^6. Ties share the gradient evenly."""
    if mask is not None:
        messages = messages.masked_fill(~mask.unsqueeze(-1), MASKED)
    return messages.amax(dim)


def total(messages: Tensor, dim: int, mask: Tensor | None = None) -> Tensor:
    """Sum over one axis; positions where `mask` is False count as zero."""
    if mask is not None:
        messages = messages * mask.unsqueeze(-1)
    return messages.sum(dim)


def mean(messages: Tensor, dim: int, mask: Tensor | None = None) -> Tensor:
    """Mean over one axis, over the positions where `mask` is True."""
    if mask is None:
        return messages.mean(dim)
    return total(messages, dim, mask) / mask.sum(dim).unsqueeze(-1)


REDUCTIONS = {"max": maximum, "sum": total, "mean": mean}


def max_plus(left_BNNF: Tensor, right_BNNF: Tensor) -> Tensor:
    """out[b, j, k, f] = max over i of left[b, i, j, f] + right[b, i, k, f].

    A matrix product in the semiring (max, +); the maximum that a triplet message takes over its third node separates
    into it (Dudzik and Velickovic 2022). The gradient of a tie goes to the first maximum.
    """
    if dispatch.usable(left_BNNF, right_BNNF):
        return dispatch.max_plus(left_BNNF, right_BNNF)
    keep = torch.is_grad_enabled()  # within an autograd function it never is
    return _MaxPlus.apply(left_BNNF, right_BNNF, keep)[0]  # type: ignore[index]


class _MaxPlus(Operation):
    rule = staticmethod(folded)

    @staticmethod
    def forward(left, right, keep):  # type: ignore[override]
        if ranges.usable(left, right):
            return ranges.max_plus(left, right, keep=keep)
        return _max_plus_plain(left, right)

    @staticmethod
    def setup_context(ctx, inputs, output):
        where = output[1]
        ctx.mark_non_differentiable(where)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(where)
        ctx.shape = inputs[0].shape

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):  # type: ignore[override]
        (where,) = ctx.saved_tensors
        if ranges.usable(grad):
            return *ranges.max_plus_backward(grad, where, ctx.shape[1]), None
        return *_max_plus_backward_plain(grad, where, ctx.shape[1]), None


def _max_plus_plain(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Best value and the index i that gave it, one sender i at a time."""
    best = left[:, 0].unsqueeze(2) + right[:, 0].unsqueeze(1)
    where = torch.zeros(best.shape, dtype=torch.int16, device=best.device)
    for i in range(1, left.shape[1]):
        candidate = left[:, i].unsqueeze(2) + right[:, i].unsqueeze(1)
        better = candidate > best
        where.masked_fill_(better, i)
        best = torch.where(better, candidate, best)
    return best, where


def _max_plus_backward_plain(grad: Tensor, where: Tensor, senders: int) -> tuple[Tensor, Tensor]:
    left, right = [], []
    for i in range(senders):
        chosen = grad * (where == i)
        left.append(chosen.sum(2))
        right.append(chosen.sum(1))
    return torch.stack(left, 1), torch.stack(right, 1)
