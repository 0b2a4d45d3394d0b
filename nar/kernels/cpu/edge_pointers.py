"""Scores of edge pointers on the CPU: w max(a_ij, q_k) for all triples, without the N N N F numbers in between.

What is kept for the gradient is a and q, N N F and N F numbers. The plain twin is in nar/model/coders/decoder.py; tests
compare values and gradients.

Cost: B N^3 F maxima in either direction.

Shapes: B graphs, N nodes, F features.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.cpu import pointers, ranges
from nar.kernels.vmap_rules import Operation, contiguous, one_by_one


def edge_pointer_scores(pairs_BNNF: Tensor, targets_BNF: Tensor, weigh_F: Tensor) -> Tensor:
    """Scores [b, i, j, k] of the pair (i, j) pointing to node k."""
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
