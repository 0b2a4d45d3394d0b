"""A moving average of the parameters (Polyak and Juditsky 1992; as an exponential one, Izmailov et al. 2018 compare).

Step t takes the share 1 - min(decay, (1 + t) / (10 + t)) of the new parameters: the first steps, which lie far from
where training ends, are soon forgotten. Buffers are not averaged.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Average:
    """The average of the parameters that training changes, and how it takes their place for a while."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after a step, counted from 1."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self.parameters.values()), share)  # pyright: ignore[reportPrivateImportUsage]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts, the network computes with the average."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from values that were kept in a checkpoint."""
        for name, value in self.values.items():
            value.copy_(values[name])
