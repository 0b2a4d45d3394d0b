"""Fused operations on the CPU: the two places where all pairs of nodes meet, without passes over [B, N, N, F] tensors.

    message_pool    max over senders i of  L2 ReLU(L1 ReLU(X[i, j] We + s_i + r_j))
    pointer_scores  w max(a_i, c_j + X[j, i] We + E[j, i])

X are the few raw edge channels (nar/encode.py). Each is one autograd function made of compiled kernels (nar/cpu.py) and
matrix products. Both work through a few graphs at a time, so that what lies between kernels stays in the cache. What
they save, beside memory traffic: the gradient of a maximum reaches only N F of the N N F messages, so the last linear
map's backward costs N times less than the two dense products it replaces.

The plain twins are what nar/neighbourhood.py and nar/decode.py do on other devices; tests compare values and gradients.

Shapes: B graphs, N nodes, F features, K edge channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar import cpu

BLOCK_BYTES = 2**19  # of one [graphs, N, N, F] block per thread: half of a typical second-level cache


def _blocks(graphs: int, bytes_per_graph: int) -> list[tuple[int, int]]:
    size = max(1, BLOCK_BYTES * torch.get_num_threads() // max(1, bytes_per_graph))
    return [(start, min(start + size, graphs)) for start in range(0, graphs, size)]


def message_pool(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    senders_BNF: Tensor,
    receivers_BNF: Tensor,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    mask_BNN: Tensor | None,
) -> Tensor:
    """Pooled messages [B, N, F]; `first`, `second`: weight and bias of L1 and L2; a masked message counts as -10^6."""
    keep = torch.is_grad_enabled()  # within an autograd function it never is
    return _MessagePool.apply(channels_BNNK, edge_KF, senders_BNF, receivers_BNF, *first, *second, mask_BNN, keep)  # type: ignore[return-value]


class _MessagePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask, keep):  # type: ignore[override]
        channels, edge, senders, receivers = (t.contiguous() for t in (channels, edge, senders, receivers))
        mask = mask.contiguous() if mask is not None else torch.empty(0, 0, 0, dtype=torch.bool)
        graphs, nodes, features = senders.shape
        keep = keep and any(ctx.needs_input_grad)
        row_bytes = nodes * nodes * features * senders.element_size()
        blocks = _blocks(graphs, row_bytes)
        largest = max((last - start for start, last in blocks), default=0) * nodes * nodes
        pooled = torch.empty_like(senders)
        where = torch.empty(senders.shape if keep else (0, 0, 0), dtype=torch.int16)
        rows = (graphs if keep else 0) * nodes * nodes
        u_all, v_all = senders.new_empty(rows, features), senders.new_empty(rows, features)
        u_one, v_one, message = (senders.new_empty(0 if keep and i < 2 else largest, features) for i in range(3))
        for start, last in blocks:
            span, count = slice(start * nodes * nodes, last * nodes * nodes), (last - start) * nodes * nodes
            u, v = (u_all[span], v_all[span]) if keep else (u_one[:count], v_one[:count])
            part = [t[start:last] for t in (channels, senders, receivers, pooled)]
            cpu.run(cpu.message_parts, part[0], edge, part[1], part[2], u.view(-1, nodes, nodes, features))
            torch.addmm(bias1, u, weight1.t(), out=v).relu_()
            torch.addmm(bias2, v, weight2.t(), out=message[:count])
            block = message[:count].view(-1, nodes, nodes, features)
            if keep:
                cpu.run(cpu.max_over_senders, block, mask[start:last], part[3], where[start:last])
            elif len(mask):
                pooled[start:last] = block.masked_fill(~mask[start:last].unsqueeze(-1), -1e6).amax(1)
            else:
                torch.amax(block, 1, out=part[3])
        if keep:
            ctx.save_for_backward(channels, edge, weight1, weight2, u_all, v_all, where)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        channels, edge, weight1, weight2, u_all, v_all, where = ctx.saved_tensors
        grad = grad.contiguous()
        graphs, nodes, features = grad.shape
        weight2 = weight2.contiguous()
        width = channels.shape[3]
        grad_channels, grad_senders, grad_receivers = (
            torch.empty_like(channels),
            torch.zeros_like(grad),
            torch.zeros_like(grad),
        )
        grad_weight1, grad_bias1 = torch.zeros_like(weight1), grad.new_zeros(features)
        grad_weight2 = cpu.partials(features, features, like=grad)
        grad_edge = cpu.partials(width, features, like=grad)
        blocks = _blocks(graphs, nodes * nodes * features * grad.element_size())
        largest = max((last - start for start, last in blocks), default=0) * nodes * nodes
        gradient_v, gradient_u = grad.new_empty(largest, features), grad.new_empty(largest, features)
        for start, last in blocks:
            span, count = slice(start * nodes * nodes, last * nodes * nodes), (last - start) * nodes * nodes
            u, v, gv, gu = u_all[span], v_all[span], gradient_v[:count], gradient_u[:count]
            shape = (-1, nodes, nodes, features)
            cpu.run(
                cpu.max_backward,
                grad[start:last],
                where[start:last],
                v.view(shape),
                weight2,
                gv.view(shape),
                slots=(grad_weight2,),
            )
            grad_weight1.addmm_(gv.t(), u)
            grad_bias1 += gv.sum(0)
            torch.mm(gv, weight1, out=gu)
            cpu.run(
                cpu.message_parts_backward, gu.view(shape), u.view(shape), channels[start:last], edge,
                grad_channels[start:last], grad_senders[start:last], grad_receivers[start:last], slots=(grad_edge,),
            )  # fmt: skip
        return (
            grad_channels, grad_edge.sum(0), grad_senders, grad_receivers, grad_weight1, grad_bias1,
            grad_weight2.sum(0), grad.sum((0, 1)), None, None,
        )  # fmt: skip


def pointer_scores(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    edge_states: Tensor | None,
    own_BNF: Tensor,
    other_BNF: Tensor,
    weigh_F: Tensor,
) -> Tensor:
    """Scores [b, i, j] of node i pointing to node j; `edge_states` [b, j, i, F] is E, already projected, or None."""
    states = edge_states if edge_states is not None else own_BNF.new_empty(0, 0, 0, 0)
    return _PointerScores.apply(channels_BNNK, edge_KF, states, own_BNF, other_BNF, weigh_F)  # type: ignore[return-value]


class _PointerScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, channels, edge, states, own, other, weigh):  # type: ignore[override]
        tensors = [t.contiguous() for t in (channels, edge, states, own, other, weigh)]
        graphs, nodes, _ = own.shape
        scores = own.new_empty(graphs, nodes, nodes)
        cpu.run(cpu.pointer_scores, *tensors, scores)
        ctx.save_for_backward(*tensors)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        channels, edge, states, own, other, weigh = ctx.saved_tensors
        width, features = edge.shape
        grad_channels, grad_states = torch.empty_like(channels), torch.empty_like(states)
        grad_own, grad_other = torch.zeros_like(own), torch.zeros_like(other)
        grad_edge, grad_weigh = cpu.partials(width, features, like=own), cpu.partials(features, like=own)
        cpu.run(
            cpu.pointer_scores_backward, grad.contiguous(), channels, edge, states, own, other, weigh,
            grad_channels, grad_states, grad_own, grad_other, slots=(grad_edge, grad_weigh),
        )  # fmt: skip
        return grad_channels, grad_edge.sum(0), grad_states, grad_own, grad_other, grad_weigh.sum(0)
