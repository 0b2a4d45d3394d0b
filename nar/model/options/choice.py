"""A choice among candidates in two parts: who is eligible, and which number settles it among those.

"The nearest of those that are still in the queue" is a condition, which a network can learn, and a comparison of
numbers, which it can make only as finely as it was trained to. So a candidate j has u_j, learned, above 0 where it is
eligible, and numbers v_jk, exact. A rule settles it: the least v_k, the largest v_k, for any k, or none. Chosen is the
eligible candidate that the likeliest rule prefers. Of equal ones it prefers the first, where candidates have places, as
algorithms do that look through nodes in order; of other equals, and where nobody is eligible, the one with the largest
u. However close numbers lie, the choice is as exact as they are.

A decision counts as eligible who has at least an eighth of the largest u. Training parts the eligible from the others
by a wide gap around 0; what lies just above it, at sizes that were never trained at, is nothing that was learned.

Rules have learned probabilities p_r. The loss asks for what the choice needs and no more. With t the candidate that is
right (several may be: the most eligible one, of those that are `near` if any is),

    softplus(-log sum exp u_t)  +  softplus(log sum over the others of exp(u_j) sum_r p_r [r does not prefer t to j])

t must be eligible; another must not be if it would win: whoever loses by its number may be whatever is easiest to
learn, and the rule that lets most of them lose is the likeliest. (The form, a threshold at 0 with log-sum-exp on both
sides, is that of Su et al. 2022, "ZLPR", arXiv 2208.02955.)

Shapes: C candidates, K numbers of each, R = 2 K + 1 rules.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from nar.kernels.cpu import choices, ranges

NEAR = 2e-6  # a number within NEAR (1 + |y|) of the true y is right
RATE = 30.0  # how much faster rules are learned than weights are


@dataclasses.dataclass(eq=False)
class Choice:
    """A choice among nodes, or, with `values`, among numbers, of which the last is computed by the network."""

    eligible: Tensor  # u [..., C]
    numbers: Tensor  # v [..., C, K]
    rules: Tensor  # [R], log p_r / RATE but for a constant: none, the least of every number, the largest of every one
    values: Tensor | None = None  # [..., C]
    places: Tensor | None = None  # [..., C]
    near: Tensor | None = None  # bool [..., C], in training: of several right candidates, one of these is learned

    def __len__(self) -> int:
        return len(self.eligible)

    def map(self, change: Callable[..., Tensor], *others: Self) -> Self:
        """The choice with all that it says of entries changed, given the same of others behind it."""
        parts: dict[str, Any] = {}
        for name in (field.name for field in dataclasses.fields(self) if field.name != "rules"):
            first, *rest = (getattr(choice, name) for choice in (self, *others))
            parts[name] = None if first is None else change(first, *rest)
        return dataclasses.replace(self, **parts)

    def __getitem__(self, key: slice | Tensor) -> Self:
        return self.map(lambda part: part[key])

    def numel(self) -> int:
        return self.eligible.numel()

    def cpu(self) -> Self:
        return dataclasses.replace(self.map(Tensor.cpu), rules=self.rules.cpu())

    @staticmethod
    def cat(choices: Sequence[Choice]) -> Choice:
        """Those of several batches as one."""
        first, *rest = choices
        return first.map(lambda *parts: torch.cat(parts), *rest)

    @property
    def logits(self) -> Tensor:
        """Of a softmax over the candidates that says how sure the choice is: others are out, or lose."""
        loses = ~self.beats(self.index().unsqueeze(-1))[..., self.rules.argmax()]
        return self.eligible.masked_fill(loses, -torch.inf)

    def index(self) -> Tensor:
        """The candidate that is chosen [...]."""
        return self._index

    @functools.cached_property
    def _index(self) -> Tensor:
        u, numbers, places, rule = self.eligible.detach(), self.numbers.detach(), self.places, self.rules.argmax()
        fits = ranges.usable(u, numbers) and (places is None or places.dtype == u.dtype)
        return (choices.index if fits else _index)(u, numbers, places, rule)

    def beats(self, index: Tensor) -> Tensor:
        """By which rules [..., C, R] every candidate is preferred to, or as good as, the one of this index [..., 1]."""
        less, more = self._compared(index)
        none = torch.ones(*less.shape[:-1], 1, dtype=torch.bool, device=less.device)
        return torch.cat([none, less, more], -1)

    def _compared(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Whose numbers [..., C, K] the rules of the least, and of the largest, do not put behind those of `index`."""
        numbers = self.numbers.detach()
        own = numbers.gather(-2, index.unsqueeze(-1).expand(*index.shape, numbers.shape[-1]))
        if self.places is None:
            return numbers <= own, numbers >= own
        no_later = self.places <= self.places.gather(-1, index)
        equal = (numbers == own) & no_later.unsqueeze(-1)
        return (numbers < own) | equal, (numbers > own) | equal

    def decided(self) -> Tensor:
        """The node, or the number, that is chosen [...]."""
        index = self.index()
        return index if self.values is None else self.values.detach().gather(-1, index.unsqueeze(-1)).squeeze(-1)

    def expected(self) -> Tensor:
        """Of numbers their mean [...], of nodes their probabilities [..., C]."""
        p = torch.softmax(self.logits, -1)
        return p if self.values is None else (p * self.values).sum(-1)

    def losses(self, truth: Tensor) -> Tensor:
        """The loss of the module's docstring [...]; of a computed number its squared error, too."""
        if self.values is None:
            return self._losses(one_hot(truth.long(), self.eligible.shape[-1]).bool())
        right, covered = self.right(truth)
        return torch.where(covered, 0.0, self.missed(truth)) + self._losses(right)

    def missed(self, truth: Tensor) -> Tensor:
        """What it costs [...] that the computed number is not the right one."""
        assert self.values is not None
        return (self.values[..., -1] - truth).square()

    def right(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Which numbers [..., C] are right, and for which entries [...] an exact one is; else the computed one is."""
        assert self.values is not None
        truth = truth.to(self.values.dtype).unsqueeze(-1)
        exact = (self.values[..., :-1].detach() - truth).abs() <= NEAR * (1 + truth.abs())
        covered = exact.any(-1)
        return torch.cat([exact, ~covered.unsqueeze(-1)], -1), covered

    def _losses(self, right: Tensor) -> Tensor:
        learned = right
        if self.near is not None:
            learned = right & self.near
            learned = torch.where(learned.any(-1, keepdim=True), learned, right)
        of_right = self.eligible.masked_fill(~learned, -torch.inf)
        best = of_right.detach().argmax(-1, keepdim=True)
        p = torch.softmax(RATE * self.rules, 0)
        wins = torch.log(self._share(best, p).clamp(min=1e-9))
        others = (self.eligible + wins).masked_fill(right, -torch.inf)
        return softplus(-torch.logsumexp(of_right, -1)) + softplus(torch.logsumexp(others, -1))

    def _share(self, index: Tensor, p: Tensor) -> Tensor:
        """The probability [..., C] of the rules of `beats`."""
        less, more = self._compared(index)
        _, least, largest = p.split([1, less.shape[-1], less.shape[-1]])
        return p[0] + less.to(p.dtype) @ least + more.to(p.dtype) @ largest


def _index(u: Tensor, numbers: Tensor, places: Tensor | None, rule: Tensor) -> Tensor:
    """The plain twin of choices.index."""
    rank = _signed(numbers, rule)
    among = u > u.amax(-1, keepdim=True).clamp(min=0) / choices.SHARE
    best = among & (rank >= rank.masked_fill(~among, -torch.inf).amax(-1, keepdim=True))
    anyone = among.any(-1, keepdim=True)
    if places is not None:
        u = torch.where(anyone & (rule > 0), -places, u)
    return u.masked_fill(anyone & ~best, -torch.inf).argmax(-1)


def _signed(numbers: Tensor, rule: Tensor) -> Tensor:
    """What a rule, given by its index, wants to be large [..., C]: minus a number, a number, or nothing."""
    count = numbers.shape[-1]
    if count == 0:
        return numbers.sum(-1)
    chosen = numbers.index_select(-1, (rule - 1).remainder(count).view(1)).squeeze(-1)
    return torch.where(rule == 0, 0.0, torch.where(rule > count, chosen, -chosen))
