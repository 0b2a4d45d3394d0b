"""Fused operations on the CPU: the two places where all pairs of nodes meet, without passes over [B, N, N, F] tensors.

    message_pool    max over senders i of  L2 ReLU(L1 ReLU(X[i, j] We + s_i + r_j))
    pointer_scores  w max(a_i, c_j + X[j, i] We + E[j, i])

X are the few raw edge channels (nar/nn/affine.py); E is given, or made on the way as P ReLU(O t[j, i]) of few channels
t (nar/nn/edge_states.py). Each is one autograd function made of compiled kernels (messages.py, pointers.py) and matrix
products. Both work through a small block of pairs at a time, so that what lies between kernels stays in the
cache, and cut a batch into one range of graphs per thread. What they save, beside memory traffic:

- the gradient of a maximum reaches only N F of the N N F messages, so the last linear map's backward costs N times less
  than the two dense products it replaces;
- for the gradient, messages keep L1's result only, pointers one byte per number that says who was larger.

The plain twins are what nar/nn/neighbourhood.py and nar/model/coders/decoder.py do on other devices; tests compare
values and gradients.

Shapes: B graphs, N nodes, F features, K edge channels, t triplet features; R rows of a block.
"""

# pyright: reportCallIssue=false
# (kernels take lists of arrays, unpacked before further arguments, which the type checker cannot count)

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import messages, pointers, ranges
from nar.kernels.vmap_rules import Operation, one_by_one

BLOCK_BYTES = 2**19  # of a block [graphs, N, nodes, F]: a quarter of a typical second-level cache

Block = tuple[int, int, int, int]  # graphs first to last, receivers (or targets) begin to end


def _blocks(first: int, last: int, nodes: int, row_bytes: int) -> Iterator[tuple[Block, slice]]:
    """Blocks of graphs `first` to `last`, and which of their N N rows each one holds.

    A block is some whole graphs, or part of one: then its rows are those of its receivers, whoever sends.
    """
    graph_bytes = max(1, nodes * nodes * row_bytes)
    some = max(1, BLOCK_BYTES // graph_bytes)
    part = max(1, min(nodes, BLOCK_BYTES * nodes // graph_bytes)) if some == 1 else nodes
    for start in range(first, last, some):
        stop = min(start + some, last)
        for begin in range(0, nodes, part):
            end = min(begin + part, nodes)
            base = start * nodes * nodes
            lines = (stop - start - 1) * nodes + end  # of N rows each
            yield (start, stop, begin, end), slice(base + begin * nodes, base + lines * nodes)


def _rows_per_block(graphs: int, nodes: int, row_bytes: int) -> int:
    """Of the largest block."""
    return min(graphs * nodes, max(1, BLOCK_BYTES // max(1, nodes * row_bytes))) * nodes


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
    found = _MessagePool.apply(channels_BNNK, edge_KF, senders_BNF, receivers_BNF, *first, *second, mask_BNN, keep)
    return found[0]  # type: ignore[index]


class _MessagePool(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask, keep):  # type: ignore[override]
        channels, edge, senders, receivers = (t.contiguous() for t in (channels, edge, senders, receivers))
        mask = mask.contiguous() if mask is not None else torch.empty(0, 0, 0, dtype=torch.bool)
        graphs, nodes, features = senders.shape
        row_bytes = features * senders.element_size()
        most = _rows_per_block(graphs, nodes, row_bytes)
        pooled = torch.empty_like(senders)
        where = torch.empty(senders.shape if keep else (0, 0, 0), dtype=torch.int32)
        v_all = senders.new_empty(graphs * nodes * nodes if keep else 0, features)
        given = ranges.arrays(channels, edge, senders, receivers)
        biases = ranges.arrays(bias1.contiguous(), bias2.contiguous())
        results = ranges.arrays(mask, pooled, where)

        def work(first: int, last: int, _: int) -> None:
            u_own, v_own, message_own = (senders.new_empty(0 if i == 1 and keep else most, features) for i in range(3))
            for block, rows in _blocks(first, last, nodes, row_bytes):
                count = rows.stop - rows.start
                u, message = u_own[:count], message_own[:count]
                v = v_all[rows] if keep else v_own[:count]
                shape = (block[1] - block[0], nodes, block[3] - block[2], features)
                messages.message_parts(*block, *given, u.numpy().reshape(shape))
                torch.mm(u, weight1.t(), out=v)
                messages.add_and_rectify(v.numpy(), biases[0])
                torch.mm(v, weight2.t(), out=message)
                messages.max_over_senders(*block, message.numpy().reshape(shape), biases[1], *results)

        ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)
        return pooled, v_all, where

    @staticmethod
    def setup_context(ctx, inputs, output):
        channels, edge, senders, receivers, weight1, _, weight2, *_, keep = inputs
        _, v_all, where = output
        ctx.mark_non_differentiable(v_all, where)
        ctx.set_materialize_grads(False)
        if keep:
            ctx.save_for_backward(channels, edge, senders, receivers, weight1, weight2, v_all, where)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):  # type: ignore[override]
        channels, edge, senders, receivers, weight1, weight2, v_all, where = (t.contiguous() for t in ctx.saved_tensors)
        grad = grad.contiguous()
        graphs, nodes, features = grad.shape
        row_bytes = features * grad.element_size()
        most = _rows_per_block(graphs, nodes, row_bytes)
        grad_channels, grad_senders, grad_receivers = (
            torch.empty_like(channels),
            torch.zeros_like(grad),
            torch.zeros_like(grad),
        )
        grad_weight1, grad_weight2 = (ranges.partials(features, features, like=grad) for _ in range(2))
        grad_bias1, grad_edge = ranges.partials(features, like=grad), ranges.partials(*edge.shape, like=grad)
        given = ranges.arrays(channels, edge, senders, receivers)
        above = ranges.arrays(grad, where, weight2)
        results = ranges.arrays(grad_channels, grad_senders, grad_receivers)
        sums = ranges.arrays(grad_weight2, grad_bias1, grad_edge)

        def work(first: int, last: int, slot: int) -> None:
            u_own, gradient_u, gradient_v = (grad.new_empty(most, features) for _ in range(3))
            into_weight2, into_bias1, into_edge = (total[slot] for total in sums)
            for block, rows in _blocks(first, last, nodes, row_bytes):
                count = rows.stop - rows.start
                u, gu, gv = u_own[:count], gradient_u[:count], gradient_v[:count]
                shape = (block[1] - block[0], nodes, block[3] - block[2], features)
                v_array, gv_array = v_all[rows].numpy().reshape(shape), gv.numpy().reshape(shape)
                messages.max_backward(*block, above[0], above[1], v_array, above[2], gv_array, into_weight2, into_bias1)
                u_array = u.numpy().reshape(shape)
                messages.message_parts(*block, *given, u_array)  # once more: cheaper than to keep
                grad_weight1[slot].addmm_(gv.t(), u)
                torch.mm(gv, weight1, out=gu)
                messages.message_parts_backward(
                    *block, gu.numpy().reshape(shape), u_array, given[0], given[1], *results, into_edge
                )

        ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)
        of_weights = (ranges.total(slots) for slots in (grad_weight1, grad_bias1, grad_weight2))
        return (
            grad_channels, ranges.total(grad_edge), grad_senders, grad_receivers, *of_weights, grad.sum((0, 1)),
            None, None,
        )  # fmt: skip


def pointer_scores(
    channels_BNNK: Tensor,
    edge_KF: Tensor,
    edge_states: Tensor | None,
    own_BNF: Tensor,
    other_BNF: Tensor,
    weigh_F: Tensor,
    opened: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
) -> Tensor:
    """Scores [b, i, j] of node i pointing to node j; `edge_states` [b, j, i, F] is E, already projected, or None.

    `opened`, instead of `edge_states`: t [B, N, N, t], weight [F, t] and bias [F] of O, and P [F, F].
    """
    none = own_BNF.new_empty(0, 0, 0, 0)
    states = none if edge_states is None else edge_states
    narrow, weight, bias, onto = (none, none, none, none.view(0, 0)) if opened is None else opened
    found = _PointerScores.apply(
        channels_BNNK, edge_KF, states, own_BNF, other_BNF, weigh_F, narrow, weight, bias, onto,
        torch.is_grad_enabled() and opened is not None,
    )  # fmt: skip
    return found[0]  # type: ignore[index]


class _PointerScores(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(channels, edge, states, own, other, weigh, narrow, weight, bias, onto, keep):  # type: ignore[override]
        channels, edge, states, own, other, weigh, narrow = (
            t.contiguous() for t in (channels, edge, states, own, other, weigh, narrow)
        )
        graphs, nodes, features = own.shape
        row_bytes = features * own.element_size()
        most = _rows_per_block(graphs, nodes, row_bytes)
        scores = own.new_empty(graphs, nodes, nodes)
        above = torch.empty((graphs, nodes, nodes, features) if keep else (0, 0, 0, 0), dtype=torch.uint8)
        opens, stateful = len(narrow) > 0, len(states) > 0
        first_arrays = ranges.arrays(channels, edge)
        (states_array,) = ranges.arrays(states)
        rest = ranges.arrays(own, other, weigh, scores, above)
        bias_array = ranges.arrays(bias.contiguous())[0]

        def work(first: int, last: int, _: int) -> None:
            opened, projected = (own.new_empty(most if opens else 0, features) for _ in range(2))
            for block, rows in _blocks(first, last, nodes, row_bytes):
                count = rows.stop - rows.start
                shape = (block[1] - block[0], -1, nodes, features)
                state = states_array.reshape(-1, features)[rows].reshape(shape) if stateful else states_array
                if opens:
                    _open(narrow, rows, weight, bias_array, opened[:count])
                    torch.mm(opened[:count], onto.t(), out=projected[:count])
                    state = projected[:count].numpy().reshape(shape)
                pointers.pointer_scores(*block, *first_arrays, state, *rest)

        ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)
        return scores, above

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:-1], output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):  # type: ignore[override]
        channels, edge, states, own, other, weigh, narrow, weight, bias, onto, above = (
            t.contiguous() for t in ctx.saved_tensors
        )
        grad = grad.contiguous()
        graphs, nodes, features = own.shape
        row_bytes = features * own.element_size()
        most = _rows_per_block(graphs, nodes, row_bytes)
        opens, stateful = len(narrow) > 0, len(states) > 0
        weighted_onto = weigh.unsqueeze(1) * onto if opens else onto
        grad_channels, grad_states, grad_narrow = (torch.empty_like(t) for t in (channels, states, narrow))
        grad_own, grad_other = torch.zeros_like(own), torch.zeros_like(other)
        grad_edge, grad_weigh = ranges.partials(*edge.shape, like=own), ranges.partials(features, like=own)
        grad_weight, grad_bias, grad_onto = (ranges.partials(*t.shape, like=own) for t in (weight, bias, onto))
        given = ranges.arrays(grad, channels, edge, weigh * edge)
        nodes_arrays = ranges.arrays(own, other)
        states_array, above_array, bias_array = ranges.arrays(states, above, bias)
        results = ranges.arrays(grad_channels, grad_own, grad_other)
        grad_states_array = ranges.arrays(grad_states)[0]
        sums = ranges.arrays(grad_edge, grad_weigh, grad_bias)

        def work(first: int, last: int, slot: int) -> None:
            opened, of_pairs, of_opened = (own.new_empty(most if opens else 0, features) for _ in range(3))
            into_edge, into_weigh, into_bias = (total[slot] for total in sums)
            for block, rows in _blocks(first, last, nodes, row_bytes):
                count = rows.stop - rows.start
                shape = (block[1] - block[0], -1, nodes, features)
                state, pairs = states_array, grad_states_array
                if stateful:
                    state, pairs = (array.reshape(-1, features)[rows].reshape(shape) for array in (state, pairs))
                elif opens:
                    pairs = of_pairs[:count].numpy().reshape(shape)
                pointers.pointer_scores_backward(
                    *block, *given, state, above_array, *nodes_arrays, pairs, *results, into_edge, into_weigh
                )
                if opens:
                    gp, go, o = of_pairs[:count], of_opened[:count], opened[:count]
                    _open(narrow, rows, weight, bias_array, o)
                    grad_onto[slot].addmm_(gp.t(), o)
                    torch.mm(gp, weighted_onto, out=go)
                    pointers.rectified_backward(go.numpy(), o.numpy(), into_bias)
                    grad_weight[slot].addmm_(go.t(), narrow.view(-1, narrow.shape[-1])[rows])
                    torch.mm(go, weight, out=grad_narrow.view(-1, narrow.shape[-1])[rows])

        ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)
        of_edge, of_weigh, of_weight, of_bias, of_onto = (
            ranges.total(slots) for slots in (grad_edge, grad_weigh, grad_weight, grad_bias, grad_onto)
        )
        pointers.weigh(*ranges.arrays(weigh, own, grad_own, other, grad_other, edge, of_edge, onto, of_onto, of_weigh))
        if stateful:
            grad_states *= weigh
        return (
            grad_channels, of_edge, grad_states, grad_own, grad_other, of_weigh, grad_narrow, of_weight, of_bias,
            of_onto, None,
        )  # fmt: skip


def _open(narrow_BNNt: Tensor, rows: slice, weight: Tensor, bias, out: Tensor) -> None:
    """ReLU(O t) of some rows of pairs."""
    torch.mm(narrow_BNNt.view(-1, narrow_BNNt.shape[-1])[rows], weight.t(), out=out)
    messages.add_and_rectify(out.numpy(), bias)
