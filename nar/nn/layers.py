"""Linear maps with the initialisation of the reference implementation, and how to choose the fastest exact product.

dm-clrs draws weights from a normal distribution with deviation 1/sqrt(fan_in), truncated at two deviations and not
corrected for the truncation (the deviation that results is 0.88 of the nominal one), and starts biases at zero.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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
    """While it lasts, what is made of the same weights is made once: for a rollout, in which none changes."""
    token = _stacks.set({})
    try:
        yield
    finally:
        _stacks.reset(token)


@dataclasses.dataclass(eq=False)
class Factored:
    """Features [x | rest] whose first ones are an affine map of a few channels, x = c weight + bias.

    Linear maps of x are composed with that map (exact algebra: (c W + b) M = c (W M) + b M), so that products are as
    wide as the channels and not as the features: `stacked` takes Factored wherever it takes a tensor.
    """

    channels: Tensor  # [..., C + R]: c and the rest
    weight_CF: Tensor
    bias_F: Tensor
    _features: Tensor | None = dataclasses.field(default=None, init=False, repr=False)

    def beside(self, *rest: Tensor) -> Factored:
        """The same with further features beside it."""
        return Factored(torch.cat([self.channels, *rest], dim=-1), self.weight_CF, self.bias_F)

    @property
    def features(self) -> Tensor:
        """[x | rest], built, once."""
        if self._features is None:  # torch.compile does not know the lock of functools.cached_property
            width = len(self.weight_CF)
            x = self.channels[..., :width] @ self.weight_CF + self.bias_F
            whole = width == self.channels.shape[-1]
            self._features = x if whole else torch.cat([x, self.channels[..., width:]], dim=-1)
        return self._features


def built(x: Tensor | Factored) -> Tensor:
    """The features as one tensor."""
    return x.features if isinstance(x, Factored) else x


def stacked(layers: Iterable[nn.Linear], x: Tensor | Factored) -> tuple[Tensor, ...]:
    """`[layer(x) for layer in layers]` as one matrix product: faster for many small layers over the same features."""
    layers = list(layers)
    if len(layers) == 1 and isinstance(x, Tensor):
        return (layers[0](x),)
    parameters = [(layer.weight, layer.bias) for layer in layers]
    widths = [layer.out_features for layer in layers]
    if isinstance(x, Tensor):
        weight, bias = _joined(parameters)
        return torch.nn.functional.linear(x, weight, bias).split(widths, dim=-1)
    weight, bias = _joined(parameters, (x.weight_CF, x.bias_F))
    return torch.nn.functional.linear(x.channels, weight, bias).split(widths, dim=-1)


_Map = tuple[Tensor, Tensor]
_Layer = tuple[Tensor, Tensor | None]


def _joined(parameters: Sequence[_Layer], after: _Map | None = None) -> _Map:
    """Weights and biases of several layers as those of one, which follows another map, where there is one."""
    return _once([part for pair in (*parameters, after or ()) for part in pair], lambda: _cat(parameters, after))


def columns_from(layer: nn.Linear, first: int) -> Tensor:
    """The last columns of a layer's weight: `x @ columns_from(layer, n).t()` is what all but n features contribute."""
    return _once([layer.weight], lambda: layer.weight[:, first:], first)


def _once(parameters: list[Tensor | None], make: Callable[[], Any], *options: int) -> Any:
    """What is made of parameters, once for each rollout."""
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled() or (kept := _stacks.get()) is None:
        return make()
    # what is made without gradients has none; the parameters are kept, so that no others take their identities
    key = (*map(id, parameters), *options, torch.is_grad_enabled())
    if key not in kept:
        kept[key] = parameters, make()
    return kept[key][1]


def _cat(parameters: Sequence[_Layer], after: _Map | None) -> _Map:
    weight = torch.cat([weight for weight, _ in parameters])
    bias = torch.cat([w.new_zeros(len(w)) if b is None else b for w, b in parameters])
    if after is None:
        return weight, bias
    weight_CF, bias_F = after
    features = len(bias_F)
    first, rest = weight[:, :features], weight[:, features:]
    return torch.cat([first @ weight_CF.t(), rest], dim=1), bias + first @ bias_F


class MessageMLP(nn.Module):
    """ReLU, linear, ReLU, linear: the message function behind additive parts (CLRS uses two layers of equal width)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = linear(features, features)
        self.second = linear(features, features)

    def forward(self, parts: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(torch.relu(parts))))
