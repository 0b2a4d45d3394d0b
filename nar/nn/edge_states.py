"""Edge states ReLU(O t) of few channels t: what triplets show to the decoders, made only where and when it is read.

The states are [B, N, N, F], t is [B, N, N, t] with t = 8 of 128: a decoder that works through the pairs block by block
(nar/kernels/cpu/fused.py) never holds more than a block of them. Everything else may treat an `EdgeStates` as the
tensor that it stands for: PyTorch's functions take it, and are given the states themselves; choosing, copying and
joining graphs leaves it as it is.

Shapes: B graphs, N nodes, F features, t triplet features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 64 * 2**20  # without gradients, states beyond this size are projected a few rows of pairs at a time


class EdgeStates:
    """ReLU(layer(narrow)), unevaluated."""

    def __init__(self, narrow_BNNt: Tensor, weight_Ft: Tensor, bias_F: Tensor) -> None:
        self.narrow_BNNt, self.weight_Ft, self.bias_F = narrow_BNNt, weight_Ft, bias_F

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.narrow_BNNt.shape[:-1], len(self.weight_Ft)))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """t, and weight and bias of O."""
        return self.narrow_BNNt, self.weight_Ft, self.bias_F

    def dense(self) -> Tensor:
        """The states [B, N, N, F]."""
        return torch.relu(torch.nn.functional.linear(self.narrow_BNNt, self.weight_Ft, self.bias_F))

    def project(self, weight_GF: Tensor) -> Tensor:
        """A linear map of the states; for few G and without gradients they are never all there at once."""
        graphs, nodes, _, features = self.shape
        row_bytes = graphs * nodes * features * self.narrow_BNNt.element_size()
        if torch.is_grad_enabled() or nodes * row_bytes <= CHUNK_BYTES:
            return torch.nn.functional.linear(self.dense(), weight_GF)
        return torch.cat(
            [
                torch.nn.functional.linear(EdgeStates(some, self.weight_Ft, self.bias_F).dense(), weight_GF)
                for some in self.narrow_BNNt.split(max(1, CHUNK_BYTES // row_bytes), dim=1)
            ],
            dim=1,
        )

    def __getitem__(self, graphs: Any) -> EdgeStates | Tensor:
        if isinstance(graphs, slice):
            return EdgeStates(self.narrow_BNNt[graphs], self.weight_Ft, self.bias_F)
        return self.dense()[graphs]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # nothing that Python itself asks for
            raise AttributeError(name)
        return getattr(self.dense(), name)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.clone:
            states = args[0]
            return cls(states.narrow_BNNt.clone(), states.weight_Ft, states.bias_F)
        if function is torch.cat and not kwargs and len(args) == 1:  # along the axis of graphs
            parts = args[0]
            if all(isinstance(part, cls) and part.weight_Ft is parts[0].weight_Ft for part in parts):
                return cls(torch.cat([part.narrow_BNNt for part in parts]), parts[0].weight_Ft, parts[0].bias_F)
        return function(*map(_dense, args), **{name: _dense(value) for name, value in kwargs.items()})


def _dense(value: Any) -> Any:
    if isinstance(value, EdgeStates):
        return value.dense()
    return type(value)(map(_dense, value)) if type(value) in (list, tuple) else value
