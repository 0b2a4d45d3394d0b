"""Products over a semiring: the reduction over a third node behind triplet messages, and linear maps over features.

    product   out[b, j, k, f] = SUM over i of  left[b, i, j, f] TIMES right[b, i, k, f]
    linear    out[..., o]     = SUM over i of  x[..., i] TIMES weight[i, o]

    name           SUM         TIMES   the network that it makes of triplets
    max_plus       max         +       V^3 (Dudzik and Velickovic, NeurIPS 2022, arXiv 2203.15544); longest paths
    min_plus       min         +       shortest paths: Floyd-Warshall
    sum_product    sum         *       PPGN (Maron et al., NeurIPS 2019, arXiv 1905.11136)
    logsumexp      logsumexp   +       a smooth max_plus

Any other semiring is a `Semiring` of one's own. The textbook form of the product builds N x N x N x F numbers; here
memory is O(N^2 F) in both directions. max_plus and min_plus keep the best third node only (nar.nn.reductions.max_plus),
sum_product is a batch of matrix products, everything else is computed a few rows at a time and once more in backward.
Gradients are exact; where a maximum is a tie, max_plus and min_plus give the gradient to the first one.

Cost: N^3 F operations for a product, whatever the semiring.

Shapes: B graphs, N nodes (I third, J first and K second node of a triple), F features.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nar.kernels.vmap_rules import Operation, one_by_one
from nar.nn.reductions import MASKED, max_plus

CHUNK_BYTES = 8 * 2**20  # of the numbers of all triples that are made at once


@dataclasses.dataclass(frozen=True)
class Semiring:
    """How to multiply, how to add up along an axis, and what a factor must be for its product not to count.

    `absent` is finite, as masks are in dm-clrs: infinities make the gradients of sums that have nothing else undefined.
    `mean` turns a sum of `count` equal terms into one of them, where sums grow with their number.
    """

    name: str
    times: Callable[[Tensor, Tensor], Tensor]
    total: Callable[[Tensor, int], Tensor]
    absent: float
    mean: Callable[[Tensor, Tensor | int], Tensor] = lambda value, count: value
    fast: Callable[[Tensor, Tensor], Tensor] | None = None  # the product, where there is a better way


def _less_log(value: Tensor, count: Tensor | int) -> Tensor:
    return value - (torch.log(count.to(value.dtype)) if isinstance(count, Tensor) else math.log(count))


def _matrix_products(left_BIJF: Tensor, right_BIKF: Tensor) -> Tensor:
    left_BFJI, right_BFIK = left_BIJF.permute(0, 3, 2, 1), right_BIKF.permute(0, 3, 1, 2)
    return torch.matmul(left_BFJI, right_BFIK).permute(0, 2, 3, 1)


SEMIRINGS = {
    semiring.name: semiring
    for semiring in (
        Semiring("max_plus", torch.add, torch.amax, MASKED, fast=max_plus),
        # the negated product of negated factors: exact, since negation is
        Semiring("min_plus", torch.add, torch.amin, -MASKED, fast=lambda left, right: -max_plus(-left, -right)),
        Semiring("sum_product", torch.mul, torch.sum, 0.0, lambda value, count: value / count, _matrix_products),
        Semiring("logsumexp", torch.add, torch.logsumexp, MASKED, _less_log),
    )
}


def get(semiring: str | Semiring) -> Semiring:
    """A semiring by name; ValueError lists the names."""
    if isinstance(semiring, Semiring):
        return semiring
    if semiring not in SEMIRINGS:
        raise ValueError(f"unknown semiring {semiring!r}; choose one of {', '.join(SEMIRINGS)}")
    return SEMIRINGS[semiring]


def full_product(left_BIJF: Tensor, right_BIKF: Tensor, semiring: str | Semiring = "max_plus") -> Tensor:
    """`product` as it is defined, with all triples in memory at once."""
    semiring = get(semiring)
    return semiring.total(semiring.times(left_BIJF.unsqueeze(3), right_BIKF.unsqueeze(2)), 1)


def product(
    left_BIJF: Tensor, right_BIKF: Tensor, semiring: str | Semiring = "max_plus", mask_BIJ: Tensor | None = None
) -> Tensor:
    """out[b, j, k, f] = SUM over i of left[b, i, j, f] TIMES right[b, i, k, f], in O(N^2 F) memory.

    `mask_BIJ`: third nodes i that count for j; where none does, the result is that of absent factors.
    """
    semiring = get(semiring)
    if left_BIJF.dim() != 4 or right_BIKF.dim() != 4 or not _fit(left_BIJF.shape, right_BIKF.shape):
        raise ValueError(
            f"need left [B, I, J, F] and right [B, I, K, F], got {tuple(left_BIJF.shape)} and {tuple(right_BIKF.shape)}"
        )
    if mask_BIJ is not None:
        left_BIJF = left_BIJF.masked_fill(~mask_BIJ.unsqueeze(-1), semiring.absent)
    if semiring.fast is not None:
        return semiring.fast(left_BIJF, right_BIKF)
    # rows j are independent of each other: their triples are made, added up and forgotten chunk by chunk
    rows = left_BIJF.shape[2]
    return _in_chunks(
        lambda part, whole: full_product(part, whole, semiring), left_BIJF, 2, right_BIKF, rows * right_BIKF.numel()
    )


def linear(x: Tensor, weight_IO: Tensor, semiring: str | Semiring = "max_plus") -> Tensor:
    """out[..., o] = SUM over i of x[..., i] TIMES weight[i, o]: with max_plus, a tropical linear map."""
    semiring = get(semiring)
    if x.shape[-1] != weight_IO.shape[0]:
        raise ValueError(f"need x [..., I] and weight [I, O], got {tuple(x.shape)} and {tuple(weight_IO.shape)}")
    x_RI = x.reshape(-1, x.shape[-1])

    def some(part_RI: Tensor, weight_IO: Tensor) -> Tensor:
        return semiring.total(semiring.times(part_RI.unsqueeze(-1), weight_IO), -2)

    out_RO = _in_chunks(some, x_RI, 0, weight_IO, x_RI.shape[0] * weight_IO.numel(), joined=0)
    return out_RO.view(*x.shape[:-1], weight_IO.shape[1])


def _fit(left: torch.Size, right: torch.Size) -> bool:
    return (left[0], left[1], left[3]) == (right[0], right[1], right[3])


def _in_chunks(
    function: Callable[[Tensor, Tensor], Tensor], cut: Tensor, dim: int, whole: Tensor, numbers: int, joined: int = 1
) -> Tensor:
    """`function(cut, whole)`, which makes so many `numbers` on its way, in parts of `cut` along `dim`."""
    rows = cut.shape[dim]
    chunks = -(-numbers * cut.element_size() // CHUNK_BYTES)
    if chunks <= 1 or rows <= 1:
        return function(cut, whole)
    return _Chunks.apply(function, cut, dim, whole, -(-rows // chunks), joined)[0]  # type: ignore[index]


class _Chunks(Operation):
    """Parts of a function, each forgotten when done and computed again in backward."""

    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(function, cut, dim, whole, size, joined):  # type: ignore[override]
        return (torch.cat([function(part, whole) for part in cut.split(size, dim)], joined),)

    @staticmethod
    def setup_context(ctx, inputs, output):
        function, cut, dim, whole, size, joined = inputs
        ctx.save_for_backward(cut, whole)
        ctx.how = function, dim, size, joined

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        cut, whole = ctx.saved_tensors
        function, dim, size, joined = ctx.how
        into_cut, into_whole = torch.empty_like(cut), torch.zeros_like(whole)
        whole = whole.detach().requires_grad_()
        pieces = zip(cut.detach().split(size, dim), into_cut.split(size, dim), grad.split(size, joined), strict=True)
        for part, into_part, after in pieces:
            part = part.requires_grad_()
            with torch.enable_grad():
                value = function(part, whole)
            found, found_whole = torch.autograd.grad(value, (part, whole), after)
            into_part.copy_(found)
            into_whole += found_whole
        return None, into_cut, None, into_whole, None, None
