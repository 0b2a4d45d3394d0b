"""Who takes which step of a rollout: how many steps there are, whose samples still run, and who has a hint.

A sample with T hint snapshots takes max(1, T - 1) steps; step s leads to the hints of moment s + 1, which it has if
T > s + 1. Four schedules answer the same questions:

    SortedLengths   samples are ordered by length, longest first, and the finished ones leave from the end
    OutputStep      the same, and one step more
    FixedShape      all stay and lengths are numbers on the device, on which no program depends: for several seeds at
                    once and kernels recorded once. What is said after a sample's last step counts nowhere
    OpenEnd         all stay, and a rule says after every step who has finished (nar/model/termination.py)

Shapes: B graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

GRANULE = 4  # finished samples leave when at least so many can go


class Schedule:
    """What every schedule says; the first `num_running(s)` samples take step s."""

    samples_leave = False  # do finished samples leave the batch?
    steps: int  # of the whole rollout
    steps_taken: Tensor | None = None  # [B], where samples find their end themselves

    def __len__(self) -> int:
        """The number of samples."""
        raise NotImplementedError

    def num_running(self, step: int) -> int:
        """How many samples (always the first ones) take `step`; everyone takes step 0."""
        return len(self)

    def num_with_hint(self, step: int) -> int:
        """How many samples (the first ones) have hints of the moment after `step`: none of those with one snapshot."""
        return len(self)

    def num_kept(self, step: int) -> int:
        """How many samples are computed: matrix libraries prepare a kernel for every new shape that they meet."""
        return min(len(self), -(-self.num_running(step) // GRANULE) * GRANULE)

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        """Which samples [B] take `step`."""
        raise NotImplementedError

    def ends(self, step: int, device: torch.device | None = None) -> Tensor:
        """Which samples [B] have `step` as their last one."""
        raise NotImplementedError

    def with_output_step(self) -> Schedule:
        """The same with one step more, where lengths are known."""
        raise NotImplementedError

    def with_hint(self, step: int, device: torch.device | None = None) -> Tensor:
        """Which samples [B] have hints of the moment after `step`."""
        raise NotImplementedError

    def counting(self) -> Tensor | None:
        """Which predicted hints count, step after step; None: all that there are."""
        return None

    def finished(self, predicted: Mapping[str, Tensor]) -> bool:
        """After a step, with the hints that it predicted: has everyone stopped before the last step?"""
        return False


class SortedLengths(Schedule):
    """Of lengths known to the program, in falling order: finished samples leave."""

    samples_leave = True

    def __init__(self, lengths: Sequence[int]) -> None:
        """`lengths`: hint snapshots per sample, the initial one included; Python ints, never read from a device."""
        self.lengths = list(lengths)
        self.steps = max(1, self.lengths[0] - 1)

    def with_output_step(self) -> SortedLengths:
        """The same with one step more."""
        return OutputStep(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def num_running(self, step: int) -> int:
        return len(self) if step == 0 else self.num_with_hint(step)

    def num_with_hint(self, step: int) -> int:
        return sum(length > step + 1 for length in self.lengths)

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.arange(len(self), device=device) < self.num_running(step)

    def ends(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.tensor([max(0, length - 2) == step for length in self.lengths], device=device)

    def with_hint(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.arange(len(self), device=device) < self.num_with_hint(step)


class OutputStep(SortedLengths):
    """The same with one more step for everyone, which reads the outputs off the last hints and predicts none."""

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__(lengths)
        self.steps = self.lengths[0]

    def num_running(self, step: int) -> int:
        return sum(length > step for length in self.lengths)

    def ends(self, step: int, device: torch.device | None = None) -> Tensor:
        return torch.tensor([length - 1 == step for length in self.lengths], device=device)


class FixedShape(Schedule):
    """Of lengths on the device [B], with room for so many `moments` (hint snapshots)."""

    def __init__(self, lengths_B: Tensor, moments: int) -> None:
        self.lengths_B, self.moments = lengths_B, moments
        self.steps = max(1, moments - 1)

    def __len__(self) -> int:
        return self.lengths_B.shape[0]

    def num_with_hint(self, step: int) -> int:
        return len(self) if step + 1 < self.moments else 0

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        return self.lengths_B > (step + 1 if step else 0)  # everyone takes the first one

    def ends(self, step: int, device: torch.device | None = None) -> Tensor:
        return (self.lengths_B - 2).clamp(min=0) == step

    def with_hint(self, step: int, device: torch.device | None = None) -> Tensor:
        return self.lengths_B > step + 1

    def counting(self) -> Tensor | None:
        if self.moments == 1:  # there are no hints to predict
            return None
        return torch.cat([self.with_hint(step) for step in range(self.moments - 1)])


class OpenEnd(Schedule):
    """Without an end of its own: `stops`, of the hints that a step predicted, says who [B] stops after it."""

    def __init__(
        self, samples: int, limit: int, stops: Callable[[Mapping[str, Tensor]], Tensor], device: torch.device
    ) -> None:
        """`limit`: steps after which everyone has stopped."""
        self.steps, self.stops = limit, stops
        self.running_B = torch.ones(samples, dtype=torch.bool, device=device)
        self.steps_taken = torch.zeros(samples, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return len(self.running_B)

    def running(self, step: int, device: torch.device | None = None) -> Tensor:
        return self.running_B

    def finished(self, predicted: Mapping[str, Tensor]) -> bool:
        self.steps_taken = self.steps_taken + self.running_B  # type: ignore[operator]
        self.running_B = self.running_B & ~self.stops(predicted)
        return not bool(self.running_B.any())
