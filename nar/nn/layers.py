"""Linear maps with the initialisation of the reference implementation, and the message function made of them.

dm-clrs draws weights from a normal distribution with deviation 1/sqrt(fan_in), truncated at two deviations and not
corrected for the truncation (the deviation that results is 0.88 of the nominal one), and starts biases at zero.
"""

import math

import torch
from torch import Tensor, nn


def linear(in_features: int, out_features: int, *, std: float | None = None, bias: float = 0.0) -> nn.Linear:
    """A linear map with truncated-normal weights (deviation `std`, default 1/sqrt(fan_in)) and constant bias."""
    return initialize(nn.Linear(in_features, out_features), std=std, bias=bias)


def initialize(layer: nn.Linear, *, std: float | None = None, bias: float = 0.0) -> nn.Linear:
    """The same of a layer that is there already."""
    std = 1.0 / math.sqrt(max(layer.in_features, 1)) if std is None else std
    with torch.no_grad():
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        layer.bias.fill_(bias)
    return layer


def module_key(name: str) -> str:
    """An algorithm's name as a module's: PyTorch allows no dots there, addresses of users' own algorithms have some."""
    return name.replace(".", "/")


class RectifiedLinear(nn.Linear):
    """ReLU, linear: the message function of one layer behind additive parts."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features)
        initialize(self)

    def forward(self, parts: Tensor) -> Tensor:
        return super().forward(torch.relu(parts))


class MessageMLP(nn.Module):
    """ReLU, linear, ReLU, linear: the message function behind additive parts (CLRS uses two layers of equal width)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = linear(features, features)
        self.second = linear(features, features)

    def forward(self, parts: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(torch.relu(parts))))
