"""Fused operations on the CPU: the two places where all pairs of nodes meet, without passes over [B, N, N, F] tensors.

    message_pool    max over senders i of  L2 ReLU(L1 ReLU(X[i, j] We + s_i + r_j))
    pointer_scores  w max(a_i, c_j + X[j, i] We + E[j, i])

and the place where all triples do, without N N N F numbers in between:

    edge_pointer_scores  w max(a_ij, q_k)

X are the few raw edge channels (nar/nn/affine.py); E is given, or made on the way as P ReLU(O t[j, i]) of few channels
t (nar/nn/edge_states.py). Each is one autograd function made of compiled kernels (messages.py, pointers.py) and matrix
products. The first two work through a small block of pairs at a time, so that what lies between kernels stays in the
cache, and cut a batch into one range of graphs per thread. What they save, beside memory traffic:

- the gradient of a maximum reaches only N F of the N N F messages, so the last linear map's backward costs N times less
  than the two dense products it replaces;
- for the gradient, messages keep L1's result only, pointers one byte per number that says who was larger, edge pointers
  only what they were given.

The plain twins are what nar/nn/neighbourhood.py and nar/model/coders/decoder.py do on other devices; tests compare
values and gradients.

Shapes: B graphs, N nodes, F features, K edge channels, t triplet features; R rows of a block.
"""

# pyright: reportCallIssue=false
# (kernels take lists of arrays, unpacked before further arguments, which the type checker cannot count)

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import messages, pointers, ranges
from nar.kernels.vmap_rules import Operation, contiguous, one_by_one

BLOCK_BYTES = 2**19  # of a block [graphs, N, nodes, F]: a quarter of a typical second-level cache


def _in_blocks(step: Callable[..., None], nodes_BNF: Tensor, buffers: int) -> None:
    """`step(block, rows, slot, *buffers)` for all blocks of a batch, one range of graphs per thread.

    A block is some whole graphs, or part of one: then its `rows` of all N N are those of its receivers, whoever sends.
    `block` is the first and last graph, the first and last receiver (or target); `slot` that of ranges.partials;
    `buffers` memory [R, F] that the steps of a thread share.
    """
    graphs, nodes, features = nodes_BNF.shape
    graph_bytes = max(1, nodes * nodes * features * nodes_BNF.element_size())
    some = max(1, BLOCK_BYTES // graph_bytes)
    part = max(1, min(nodes, BLOCK_BYTES * nodes // graph_bytes)) if some == 1 else nodes

    def work(first: int, last: int, slot: int) -> None:
        most = min(some, last - first) * part * nodes
        memory = [nodes_BNF.new_empty(most, features) for _ in range(buffers)]
        for start in range(first, last, some):
            stop = min(start + some, last)
            for begin in range(0, nodes, part):
                end = min(begin + part, nodes)
                base = start * nodes * nodes
                lines = (stop - start - 1) * nodes + end  # of N rows each
                rows = slice(base + begin * nodes, base + lines * nodes)
                step((start, stop, begin, end), rows, slot, *(own[: rows.stop - rows.start] for own in memory))

    ranges.in_ranges(work, graphs, graphs * nodes * nodes * features)


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
        channels, edge, senders, receivers, bias1, bias2 = contiguous(channels, edge, senders, receivers, bias1, bias2)
        mask = mask.contiguous() if mask is not None else torch.empty(0, 0, 0, dtype=torch.bool)
        graphs, nodes, features = senders.shape
        pooled = torch.empty_like(senders)
        where = torch.empty(senders.shape if keep else (0, 0, 0), dtype=torch.int32)
        v_all = senders.new_empty(graphs * nodes * nodes if keep else 0, features)
        given = ranges.arrays(channels, edge, senders, receivers)
        bias1_array, *results = ranges.arrays(bias1, bias2, mask, pooled, where)

        def step(block: tuple, rows: slice, _: int, u: Tensor, message: Tensor, *forgotten: Tensor) -> None:
            v = v_all[rows] if keep else forgotten[0]
            shape = (block[1] - block[0], nodes, -1, features)
            messages.message_parts(*block, *given, u.numpy().reshape(shape))
            torch.mm(u, weight1.t(), out=v)
            messages.add_and_rectify(v.numpy(), bias1_array)
            torch.mm(v, weight2.t(), out=message)
            messages.max_over_senders(*block, message.numpy().reshape(shape), *results)

        _in_blocks(step, senders, 2 if keep else 3)
        return pooled, v_all, where

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):  # type: ignore[override]
        saved = contiguous(grad, *ctx.saved_tensors)
        grad, channels, edge, senders, receivers, weight1, _, weight2, _, _, v_all, where = saved
        nodes, features = grad.shape[1:]
        grad_channels = torch.empty_like(channels)
        grad_senders, grad_receivers = torch.zeros_like(grad), torch.zeros_like(grad)
        grad_weight1, grad_weight2 = (ranges.partials(features, features, like=grad) for _ in range(2))
        grad_bias1, grad_edge = ranges.partials(features, like=grad), ranges.partials(*edge.shape, like=grad)
        given = ranges.arrays(channels, edge, senders, receivers)
        weight2_array, v_rows, *above = ranges.arrays(weight2, v_all, grad, where)
        results = ranges.arrays(grad_channels, grad_senders, grad_receivers)
        sums = ranges.arrays(grad_weight2, grad_bias1, grad_edge)

        def step(block: tuple, rows: slice, slot: int, u: Tensor, gu: Tensor, gv: Tensor) -> None:
            into_weight2, into_bias1, into_edge = (total[slot] for total in sums)
            shape = (block[1] - block[0], nodes, -1, features)
            u_array, gu_array, gv_array = (t.numpy().reshape(shape) for t in (u, gu, gv))
            v = v_rows[rows]
            messages.max_backward(*block, *above, v.reshape(shape), weight2_array, gv_array, into_weight2)
            messages.rectified_backward(gv.numpy(), v, into_bias1)
            messages.message_parts(*block, *given, u_array)  # once more: cheaper than to keep
            grad_weight1[slot].addmm_(gv.t(), u)
            torch.mm(gv, weight1, out=gu)
            messages.message_parts_backward(*block, gu_array, u_array, *given[:2], *results, into_edge)

        _in_blocks(step, grad, 3)
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
        channels, edge, states, own, other, weigh, narrow, bias = contiguous(
            channels, edge, states, own, other, weigh, narrow, bias
        )
        graphs, nodes, features = own.shape
        scores = own.new_empty(graphs, nodes, nodes)
        above = torch.empty((graphs, nodes, nodes, features) if keep else (0, 0, 0, 0), dtype=torch.uint8)
        state_rows, bias_array, *given = ranges.arrays(states.view(-1, features), bias, channels, edge)
        rest = ranges.arrays(own, other, weigh, scores, above)

        def step(block: tuple, rows: slice, _: int, *buffers: Tensor) -> None:
            shape = (block[1] - block[0], -1, nodes, features)
            state = state_rows[rows].reshape(shape)
            if buffers:
                opened, projected = buffers
                _open(narrow, rows, weight, bias_array, opened)
                torch.mm(opened, onto.t(), out=projected)
                state = projected.numpy().reshape(shape)
            pointers.pointer_scores(*block, *given, state, *rest)

        _in_blocks(step, own, 2 if len(narrow) > 0 else 0)
        return scores, above

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):  # type: ignore[override]
        saved = contiguous(grad, *ctx.saved_tensors)
        grad, channels, edge, states, own, other, weigh, narrow, weight, bias, onto, above = saved
        nodes, features = own.shape[1:]
        opens = len(narrow) > 0
        weighted_onto = weigh.unsqueeze(1) * onto if opens else onto
        grad_channels, grad_states, grad_narrow = (torch.empty_like(t) for t in (channels, states, narrow))
        grad_own, grad_other = torch.zeros_like(own), torch.zeros_like(other)
        grad_edge, grad_weigh, grad_weight, grad_bias, grad_onto = partials = [
            ranges.partials(*t.shape, like=own) for t in (edge, weigh, weight, bias, onto)
        ]
        given = ranges.arrays(grad, channels, edge, weigh * edge)
        above_array, own_array, other_array, bias_array = ranges.arrays(above, own, other, bias)
        state_rows, pair_rows = ranges.arrays(states.view(-1, features), grad_states.view(-1, features))
        results = ranges.arrays(grad_channels, grad_own, grad_other)
        sums = ranges.arrays(grad_edge, grad_weigh, grad_bias)

        def step(block: tuple, rows: slice, slot: int, *buffers: Tensor) -> None:
            into_edge, into_weigh, into_bias = (total[slot] for total in sums)
            shape = (block[1] - block[0], -1, nodes, features)
            state, pairs = state_rows[rows].reshape(shape), pair_rows[rows].reshape(shape)
            if opens:
                pairs = buffers[0].numpy().reshape(shape)
            pointers.pointer_scores_backward(
                *block, *given, state, above_array, own_array, other_array, pairs, *results, into_edge, into_weigh
            )
            if opens:
                of_pairs, of_opened, opened = buffers
                narrow_rows = narrow.view(-1, narrow.shape[-1])[rows]
                _open(narrow, rows, weight, bias_array, opened)
                grad_onto[slot].addmm_(of_pairs.t(), opened)
                torch.mm(of_pairs, weighted_onto, out=of_opened)
                messages.rectified_backward(of_opened.numpy(), opened.numpy(), into_bias)
                grad_weight[slot].addmm_(of_opened.t(), narrow_rows)
                torch.mm(of_opened, weight, out=grad_narrow.view(-1, narrow.shape[-1])[rows])

        _in_blocks(step, own, 3 if opens else 0)
        of_edge, of_weigh, of_weight, of_bias, of_onto = map(ranges.total, partials)
        pointers.weigh(*ranges.arrays(weigh, own, grad_own, other, grad_other, edge, of_edge, onto, of_onto, of_weigh))
        if len(states) > 0:
            grad_states *= weigh
        return (
            grad_channels, of_edge, grad_states, grad_own, grad_other, of_weigh, grad_narrow, of_weight, of_bias,
            of_onto, None,
        )  # fmt: skip


def _open(narrow_BNNt: Tensor, rows: slice, weight: Tensor, bias, out: Tensor) -> None:
    """ReLU(O t) of some rows of pairs."""
    torch.mm(narrow_BNNt.view(-1, narrow_BNNt.shape[-1])[rows], weight.t(), out=out)
    messages.add_and_rectify(out.numpy(), bias)


def edge_pointer_scores(pairs_BNNF: Tensor, targets_BNF: Tensor, weigh_F: Tensor) -> Tensor:
    """Scores [b, i, j, k] of the pair (i, j) pointing to node k: B N^3 F maxima in either direction."""
    return _EdgePointerScores.apply(pairs_BNNF, targets_BNF, weigh_F)[0]  # type: ignore[index]


class _EdgePointerScores(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(pairs, targets, weigh):  # type: ignore[override]
        scores = pairs.new_empty(*pairs.shape[:3], targets.shape[1])
        pairs, targets, weigh = contiguous(pairs, targets, weigh)
        ranges.run(pointers.edge_pointer_scores, pairs.numel() * targets.shape[1], pairs, targets, weigh, scores)
        return (scores,)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        grad, pairs, targets, weigh = contiguous(grad, *ctx.saved_tensors)
        grad_pairs, grad_targets = torch.zeros_like(pairs), torch.zeros_like(targets)
        given = (grad, pairs, targets, grad_pairs, grad_targets)
        ranges.run(pointers.edge_pointer_scores_backward, pairs.numel() * targets.shape[1], *given)
        # as for the pointers of nodes: w gets what the two got, times what they are, before w is multiplied in
        rows = grad_pairs.shape[-1]
        of_weigh = (pairs * grad_pairs).view(-1, rows).sum(0) + (targets * grad_targets).view(-1, rows).sum(0)
        return grad_pairs * weigh, grad_targets * weigh, of_weigh
