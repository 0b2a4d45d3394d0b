"""Small parts that any processor or decoder can take: a comparison unit, hard minima with gradients, scaling by log n.

Comparison unit, after the Neural Status Register (Faber and Wattenhofer, ICML 2023, arXiv 2004.07085):

    d = A x - B y                                 two learned operands per unit, subtracted
    sign = tanh(l d),  zero = 1 - 2 tanh(l d)^2   the bits: is x more than y, are they the same?
    out = W [sign | zero] + b                     over all units

The sharpness l is a constant: the larger it is, the smaller the differences that are told apart, and the sooner the
gradient vanishes. The paper's pruning of redundant units and its three regularisers are not part of it.

Straight-through minima and maxima (the error-free swap of Kim et al., ICLR 2024): the value is the exact one, the
gradient that of a soft one. Here the soft minimum is -t log sum exp(-x / t), whose gradient softmax(-x / t) is never
negative: more of any operand never counts as less. Not to be confused with sum of softmax(-x / t) x, whose gradient
can be.

Scaling by log n: a softmax over n entries flattens as n grows; logits times s log n, with s learned, keep it as peaked
(length-dependent temperatures, see Chiang and Cholak, ACL 2022). s starts at 1 / log 16: no change at 16 nodes.
"""

import math

import torch
from torch import Tensor, nn

from nar.kernels.vmap_rules import Operation
from nar.nn.layers import linear

REFERENCE_NODES = 16  # where scaling by log n starts as 1: the largest graphs of the training protocol


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, bit for bit, with the gradient of `soft`."""
    return _StraightThrough.apply(hard, soft)  # type: ignore[return-value]


class _StraightThrough(Operation):
    # hard + soft - soft.detach() would round, and turn an infinite entry into NaN
    generate_vmap_rule = True

    @staticmethod
    def forward(hard, soft):  # type: ignore[override]
        return hard.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        return None, grad


def hard_max(x: Tensor, dim: int = -1, *, temperature: float = 1.0) -> Tensor:
    """`x.amax(dim)`; the gradient goes to every entry, in shares softmax(x / temperature)."""
    _positive(temperature)
    return straight_through(x.detach().amax(dim), temperature * torch.logsumexp(x / temperature, dim))


def hard_min(x: Tensor, dim: int = -1, *, temperature: float = 1.0) -> Tensor:
    """`x.amin(dim)`; the gradient goes to every entry, in shares softmax(-x / temperature)."""
    return -hard_max(-x, dim, temperature=temperature)


def argmax(x: Tensor, dim: int = -1, *, temperature: float = 1.0) -> Tensor:
    """A one-hot tensor of the shape of `x` (of ties, the first) with the gradient of softmax(x / temperature)."""
    _positive(temperature)
    one_hot = torch.zeros_like(x).scatter(dim, x.detach().argmax(dim, keepdim=True), 1.0)
    return straight_through(one_hot, torch.softmax(x / temperature, dim))


def argmin(x: Tensor, dim: int = -1, *, temperature: float = 1.0) -> Tensor:
    """A one-hot tensor of the shape of `x` (of ties, the first) with the gradient of softmax(-x / temperature)."""
    return argmax(-x, dim, temperature=temperature)


def _positive(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")


class Comparison(nn.Module):
    """Compares learned operands of two vectors, [..., first] and [..., second], of any shapes that broadcast.

    In a processor: `unit(hood.receivers(z), hood.senders(z))` is a message per edge; with `unit.operands(z, z)` the two
    maps are taken before nodes become pairs, which costs N times less.
    """

    def __init__(self, first: int, second: int, out: int, *, units: int = 8, sharpness: float = 1.0) -> None:
        """`units`: comparisons made side by side; `sharpness`: l of the module's docstring."""
        super().__init__()
        if units < 1 or not sharpness > 0:
            raise ValueError(f"need units >= 1 and sharpness > 0, got {units}, {sharpness}")
        self.first, self.second = linear(first, units), linear(second, units)  # A, B
        self.bits = linear(2 * units, out)  # W, b
        self.sharpness = sharpness

    def operands(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """What is compared: A x and B y."""
        return self.first(first), self.second(second)

    def compare(self, one: Tensor, other: Tensor) -> Tensor:
        """The result for operands."""
        sign = torch.tanh(self.sharpness * (one - other))
        return self.bits(torch.cat([sign, 1 - 2 * sign.square()], dim=-1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.compare(*self.operands(first, second))


class LogScale(nn.Module):
    """Logits over `nodes` entries times s log(nodes), s learned: for attention and for pointers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0 / math.log(REFERENCE_NODES)]))

    def forward(self, logits: Tensor, nodes: int) -> Tensor:
        return logits * (self.scale * math.log(nodes))
