"""Edge states ReLU(O t) of few channels t: what triplets show to the decoders, made only where and when it is read.

The states are [B, N, N, F], t is [B, N, N, t] with t = 8 of 128: a decoder that works through the pairs block by block
(nar/kernels/cpu/fused.py) never holds more than a block of them. Who wants them all asks for `dense()`.

Shapes: B graphs, N nodes, F features, t triplet features, G results of a map.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import linear

CHUNK_BYTES = 64 * 2**20  # without gradients, states beyond this size are projected a few rows of pairs at a time


@dataclasses.dataclass(eq=False)
class EdgeStates:
    """ReLU(O t), unevaluated."""

    channels: Tensor  # t [B, N, N, t]
    weight_Ft: Tensor
    bias_F: Tensor

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.channels.shape[:-1], len(self.weight_Ft)))

    def with_channels(self, channels: Tensor) -> EdgeStates:
        """The same map of other channels: of some of the graphs, say."""
        return EdgeStates(channels, self.weight_Ft, self.bias_F)

    def dense(self) -> Tensor:
        """The states [B, N, N, F]."""
        return torch.relu(linear(self.channels, self.weight_Ft, self.bias_F))

    def project(self, weight_GF: Tensor) -> Tensor:
        """A linear map of the states; for few G and without gradients they are never all there at once."""
        graphs, nodes, _, features = self.shape
        row_bytes = graphs * nodes * features * self.channels.element_size()
        if torch.is_grad_enabled() or nodes * row_bytes <= CHUNK_BYTES:
            return linear(self.dense(), weight_GF)
        parts = self.channels.split(max(1, CHUNK_BYTES // row_bytes), dim=1)
        return torch.cat([linear(self.with_channels(part).dense(), weight_GF) for part in parts], dim=1)
