"""A choice among candidate numbers: what becomes of it, and what it costs (the candidates: candidates.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

NEAR = 2e-6  # a candidate within NEAR (1 + |y|) of the true y is right


@dataclasses.dataclass(eq=False)
class Choice:
    """A choice among numbers, undecided. The last candidate is the number that the network computed."""

    logits: Tensor  # [..., C]
    values: Tensor  # [..., C]

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, key: slice | Tensor) -> Choice:
        return Choice(self.logits[key], self.values[key])

    def numel(self) -> int:
        return self.logits.numel()

    @staticmethod
    def cat(choices: Sequence[Choice]) -> Choice:
        """Those of several batches as one."""
        return Choice(torch.cat([c.logits for c in choices]), torch.cat([c.values for c in choices]))

    def decided(self) -> Tensor:
        """The number with the largest logit [...]."""
        return self.values.gather(-1, self.logits.argmax(-1, keepdim=True)).squeeze(-1)

    def expected(self) -> Tensor:
        """The mean of the numbers [...]."""
        return (torch.softmax(self.logits, -1) * self.values).sum(-1)

    def losses(self, truth: Tensor) -> Tensor:
        """Minus the logarithm of the probability of all that is right; where nothing is, the computed number must be.

        That then costs its squared error as well.
        """
        right, covered = self.right(truth)
        log_p = torch.log_softmax(self.logits, -1)
        of_right = torch.logsumexp(log_p.masked_fill(~right, -torch.inf), -1)
        error = (self.values[..., -1] - truth).square()
        return torch.where(covered, 0.0, error) - of_right

    def right(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Which candidates [..., C] are right, and for which entries [...] one of the exact ones is."""
        truth = truth.to(self.values.dtype)
        right = (self.values.detach() - truth.unsqueeze(-1)).abs() <= NEAR * (1 + truth.unsqueeze(-1).abs())
        right = torch.cat([right[..., :-1], torch.zeros_like(right[..., -1:])], -1)
        covered = right.any(-1)
        return torch.cat([right[..., :-1], ~covered.unsqueeze(-1)], -1), covered
