"""Features that are an affine map of a few channels, and linear maps of them without ever building them.

Encoded nodes and edges are x = c W + b of raw channels c, at most six for edges in CLRS-30. A linear map of x is
composed with that map, (c W + b) M = c (W M) + b M (exact algebra), so products are as wide as the channels and not as
the features, and edge features [B, N, N, F] are never built. What is composed, and weights of several layers that are
joined into one product, are made once per rollout: `ComposedWeights` keeps them.

Shapes: C channels, F features, R further features, G results of a map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class ComposedWeights:
    """What is made of weights, made once: for a rollout, in which none changes. Without `keep`, at every use."""

    def __init__(self, *, keep: bool = True) -> None:
        self._kept: dict[tuple, tuple[list, Any]] | None = {} if keep else None

    def once(self, parameters: list[Tensor | None], make: Callable[[], Any], *options: Any) -> Any:
        """`make()`, a function of the parameters (by identity) and of the options, which begin with what it makes."""
        if self._kept is None or torch.compiler.is_compiling():
            return make()
        # what is made without gradients has none; the parameters are kept, so that no others take their identities
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        key = (*map(id, parameters), *options, *modes)
        if key not in self._kept:
            self._kept[key] = parameters, make()
        return self._kept[key][1]


NOT_KEPT = ComposedWeights(keep=False)


@dataclasses.dataclass(eq=False)
class AffineFeatures:
    """Features [x | rest], of which x [..., F] is an affine map of the first channels."""

    channels: Tensor  # [..., C + R]: c and the rest
    weight_CF: Tensor
    bias_F: Tensor
    weights: ComposedWeights = NOT_KEPT
    _dense: Tensor | None = dataclasses.field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, features: Tensor, weights: ComposedWeights = NOT_KEPT) -> AffineFeatures:
        """Features that are there already: all of them are the rest."""
        return cls(features, features.new_zeros(0, 0), features.new_zeros(0), weights)

    @property
    def width(self) -> int:
        """Of the features."""
        return len(self.bias_F) + self.channels.shape[-1] - len(self.weight_CF)

    def dense(self) -> Tensor:
        """The features themselves [..., F + R], made at the first call; of edges, large."""
        if self._dense is None:  # torch.compile does not know the lock of functools.cached_property
            count = len(self.weight_CF)
            x, rest = linear(self.channels[..., :count], self.weight_CF.t(), self.bias_F), self.channels[..., count:]
            self._dense = x if rest.shape[-1] == 0 else rest if not len(self.bias_F) else torch.cat([x, rest], dim=-1)
        return self._dense

    def with_channels(self, channels: Tensor) -> AffineFeatures:
        """The same map of other channels: of some of the graphs, say."""
        return AffineFeatures(channels, self.weight_CF, self.bias_F, self.weights)

    def concat(self, *rest: Tensor) -> AffineFeatures:
        """With further features after these."""
        return self.with_channels(torch.cat([self.channels, *rest], dim=-1))

    def reverse(self) -> AffineFeatures:
        """Edges seen from the other end: [:, a, b] is edge b -> a."""
        return self.with_channels(self.channels.transpose(1, 2))

    def project(self, layer: nn.Linear, columns: int | None = None) -> Tensor:
        """`layer(features)`; `columns`: only the layer's first input columns are of these features."""
        return linear(self.channels, *self.compose([layer], columns))

    def compose(self, layers: Sequence[nn.Linear], columns: int | None = None) -> tuple[Tensor, Tensor]:
        """Weight [G, C + R] and bias [G] from channels to the results of all layers."""
        parameters = _parameters(layers)
        if len(self.bias_F):
            parameters += [self.weight_CF, self.bias_F]
        return self.weights.once(parameters, lambda: self._compose(layers, columns), "composed", columns)

    def _compose(self, layers: Sequence[nn.Linear], columns: int | None) -> tuple[Tensor, Tensor]:
        weight, bias = _join(layers)
        if columns is not None:
            weight = weight[:, :columns]
        features = len(self.bias_F)
        if not features:
            return weight, bias
        of_x, rest = (weight, None) if weight.shape[1] == features else (weight[:, :features], weight[:, features:])
        bias = bias + of_x @ self.bias_F
        if rest is None:  # laid out by channels, as kernels read it
            return (self.weight_CF @ of_x.t()).t(), bias
        return torch.cat([of_x @ self.weight_CF.t(), rest], dim=1), bias


def joint_linear(
    layers: Iterable[nn.Linear], x: Tensor | AffineFeatures, weights: ComposedWeights = NOT_KEPT
) -> tuple[Tensor, ...]:
    """`[layer(x) for layer in layers]` as one matrix product: faster for many small layers over the same features.

    `weights`: where the joined weights are kept (`Step.weights`), if x is a tensor.
    """
    layers = list(layers)
    if isinstance(x, AffineFeatures):
        channels, (weight, bias) = x.channels, x.compose(layers)
    elif len(layers) == 1:
        return (layers[0](x),)
    else:
        channels, (weight, bias) = x, weights.once(_parameters(layers), lambda: _join(layers), "joined")
    return linear(channels, weight, bias).split([layer.out_features for layer in layers], dim=-1)


def materialize(x: Any) -> Tensor:
    """One tensor of what may be unbuilt: AffineFeatures, EdgeStates."""
    return x if isinstance(x, Tensor) else x.dense()


def _parameters(layers: Sequence[nn.Linear]) -> list[Tensor | None]:
    return [part for layer in layers for part in (layer.weight, layer.bias)]


def _join(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Weights and biases of several layers as those of one."""
    biases = [layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]
    if len(layers) == 1:
        return layers[0].weight, biases[0]
    return torch.cat([layer.weight for layer in layers]), torch.cat(biases)
