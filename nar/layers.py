"""Linear maps with the initialisation of the reference implementation, and how to choose the fastest exact product.

dm-clrs draws weights from a normal distribution with deviation 1/sqrt(fan_in), truncated at two deviations and not
corrected for the truncation (the deviation that results is 0.88 of the nominal one), and starts biases at zero.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


def linear(in_features: int, out_features: int, *, std: float | None = None, bias: float = 0.0) -> nn.Linear:
    """A linear map with truncated-normal weights (deviation `std`, default 1/sqrt(fan_in)) and constant bias."""
    layer = nn.Linear(in_features, out_features)
    std = 1.0 / math.sqrt(max(in_features, 1)) if std is None else std
    with torch.no_grad():
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        layer.bias.fill_(bias)
    return layer


_stacks: contextvars.ContextVar[dict | None] = contextvars.ContextVar("stacks", default=None)


@contextlib.contextmanager
def stacks_kept() -> Iterator[None]:
    """While it lasts, `stacked` joins the weights of the same layers once: for a rollout, in which none changes."""
    token = _stacks.set({})
    try:
        yield
    finally:
        _stacks.reset(token)


def stacked(layers: Iterable[nn.Linear], x: Tensor) -> tuple[Tensor, ...]:
    """`[layer(x) for layer in layers]` as one matrix product: faster for many small layers over the same features."""
    layers = list(layers)
    if len(layers) == 1:
        return (layers[0](x),)
    weight, bias = _joined([(layer.weight, layer.bias) for layer in layers])
    return torch.nn.functional.linear(x, weight, bias).split([layer.out_features for layer in layers], dim=-1)


def _joined(parameters: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    kept = _stacks.get()
    if kept is None or torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
        return _cat(parameters)
    # what is joined without gradients has none; the parameters are kept, so that no others take their identities
    key = (*((id(weight), id(bias)) for weight, bias in parameters), torch.is_grad_enabled())
    if key not in kept:
        kept[key] = parameters, _cat(parameters)
    return kept[key][1]


def _cat(parameters: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    weights, biases = zip(*parameters, strict=True)
    return torch.cat(weights), torch.cat(biases)


class MessageMLP(nn.Module):
    """ReLU, linear, ReLU, linear: the message function behind additive parts (CLRS uses two layers of equal width)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = linear(features, features)
        self.second = linear(features, features)

    def forward(self, parts: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(torch.relu(parts))))
