"""Scores of edge pointers on the CPU: w max(a_ij, q_k) for all triples, without the N N N F numbers in between.

What is kept for the gradient is a and q, N N F and N F numbers. The plain twin is in nar/model/coders/decoder.py; tests
compare values and gradients.

Cost: B N^3 F maxima in either direction.

Shapes: B graphs, N nodes, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import pointers, ranges
from nar.kernels.vmap_rules import Operation, one_by_one


def edge_pointer_scores(pairs_BNNF: Tensor, targets_BNF: Tensor, weigh_F: Tensor) -> Tensor:
    """Scores [b, i, j, k] of the pair (i, j) pointing to node k."""
    return _EdgePointerScores.apply(pairs_BNNF, targets_BNF, weigh_F)[0]  # type: ignore[index]


class _EdgePointerScores(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(pairs, targets, weigh):  # type: ignore[override]
        scores = pairs.new_empty(*pairs.shape[:3], targets.shape[1])
        given = ranges.arrays(pairs.contiguous(), targets.contiguous(), weigh.contiguous(), scores)
        ranges.in_ranges(
            lambda first, last, _: pointers.edge_pointer_scores(first, last, *given),
            len(pairs),
            pairs.numel() * targets.shape[1],
        )
        return (scores,)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        pairs, targets, weigh = (t.contiguous() for t in ctx.saved_tensors)
        grad_pairs, grad_targets = torch.zeros_like(pairs), torch.zeros_like(targets)
        given = ranges.arrays(grad.contiguous(), pairs, targets, grad_pairs, grad_targets)
        ranges.in_ranges(
            lambda first, last, _: pointers.edge_pointer_scores_backward(first, last, *given),
            len(pairs),
            pairs.numel() * targets.shape[1],
        )
        # as for the pointers of nodes: w gets what the two got, times what they are, before w is multiplied in
        rows = grad_pairs.shape[-1]
        of_weigh = (pairs * grad_pairs).view(-1, rows).sum(0) + (targets * grad_targets).view(-1, rows).sum(0)
        return grad_pairs * weigh, grad_targets * weigh, of_weigh
