"""Gathers and reductions along an edge list: exact, differentiable, and in a fixed order.

Every reduction, in the backward pass too, runs over sorted stretches (`torch.segment_reduce`): no two threads add to
one number, so the result is the same at every run, on a GPU as well. A maximum shares the gradient of a tie evenly, as
in the dense layout.

Shapes: E edges, R rows of nodes, F features.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.nn.sparse.edge_list import EdgeList


def reduce(values_EF: Tensor, how: str, starts: Tensor) -> Tensor:
    """The max, sum or mean [R, F] of every stretch; 0 of one that is empty."""
    if how == "max":
        found = torch.segment_reduce(values_EF, "max", offsets=starts, axis=0, unsafe=True)
        empty_R = starts[1:] == starts[:-1]
        return found.masked_fill(empty_R.view(-1, *[1] * (found.dim() - 1)), 0.0)
    total = torch.segment_reduce(values_EF, "sum", offsets=starts, axis=0, unsafe=True)
    if how == "sum":
        return total
    return total / starts.diff().clamp(min=1).view(-1, *[1] * (total.dim() - 1)).to(total.dtype)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_RF, index, twins, starts):  # type: ignore[override]
        ctx.twins, ctx.starts = twins, starts
        return x_RF.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_EF):  # type: ignore[override]
        grad_EF = grad_EF.contiguous() if ctx.twins is None else grad_EF.index_select(0, ctx.twins)
        return reduce(grad_EF, "sum", ctx.starts), None, None, None


def of_senders(x_RF: Tensor, edges: EdgeList) -> Tensor:
    """Every edge's row [E, F] of its sender."""
    return _Gather.apply(x_RF, edges.senders, edges.twins, edges.starts)  # type: ignore[return-value]


def of_receivers(x_RF: Tensor, edges: EdgeList) -> Tensor:
    """Every edge's row [E, F] of its receiver."""
    return _Gather.apply(x_RF, edges.receivers, None, edges.starts)  # type: ignore[return-value]


class _Twins(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_EF, twins):  # type: ignore[override]
        ctx.twins = twins
        return x_EF.index_select(0, twins)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_EF):  # type: ignore[override]
        return grad_EF.index_select(0, ctx.twins), None


def of_twins(x_EF: Tensor, edges: EdgeList) -> Tensor:
    """What stands at the reverse of every edge."""
    return _Twins.apply(x_EF, edges.twins)  # type: ignore[return-value]


class _OfGraphs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BF, graph, bounds):  # type: ignore[override]
        ctx.bounds = bounds
        return x_BF.index_select(0, graph)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_EF):  # type: ignore[override]
        return reduce(grad_EF.contiguous(), "sum", ctx.bounds), None, None


def of_graphs(x_BF: Tensor, edges: EdgeList) -> Tensor:
    """Every edge's row [E, F] of its graph."""
    return _OfGraphs.apply(x_BF, edges.graph, edges.bounds)  # type: ignore[return-value]


def log_softmax(logits_EH: Tensor, edges: EdgeList) -> Tensor:
    """The logarithm [E, H] of the softmax over the edges that arrive at a node."""
    largest_RH = reduce(logits_EH.detach(), "max", edges.starts)
    shifted_EH = logits_EH - largest_RH.index_select(0, edges.receivers)
    total_RH = reduce(shifted_EH.exp(), "sum", edges.starts)
    # rows beyond the end of a graph have no edges: their logarithm is asked for by nobody
    return shifted_EH - of_receivers(total_RH.clamp(min=torch.finfo(total_RH.dtype).tiny).log(), edges)
