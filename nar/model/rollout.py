"""What a rollout is asked for, what it gives, and what may take part in it (rollout_loop.py carries it out).

Shapes: B graphs; L live graphs of a step.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.postprocess import Noise, feed_back
from nar.model.schedule import Schedule
from nar.nn.processor import Step, rows
from nar.traces.spec import Spec


@dataclasses.dataclass(frozen=True)
class RolloutOptions:
    """How a batch is rolled out."""

    teacher_forcing: float = 0.0  # probability of true hints per sample and step, in training mode only
    generator: torch.Generator | None = None  # makes the draws of teacher forcing, masks and Gumbel noise repeatable
    gumbel: Noise = True  # False: no noise in training; a function gives its uniform numbers instead of `generator`
    keep_states: bool = False  # keep the processor's state after every step
    watch: Callable[[int, dict[str, Any]], None] | None = None  # is given step and hints instead of their being kept
    decide_hints: bool = False  # keep predicted hints in compact form (indices, 0 or 1): of edge pointers, N times less
    progress: float = 1.0  # share of the training that is done, for processors that follow a schedule
    recompute: bool = False  # keep only states between steps for the backward pass and compute the rest again
    bf16: bool = False  # the processor's products are computed in bfloat16; its state is kept as it is without
    termination: str = "oracle"  # oracle: the steps of the trace; fixed_point, learned: samples find their end
    limit: int | None = None  # of samples that find their end: the most steps; None: see termination.py


DEFAULTS = RolloutOptions()


@dataclasses.dataclass
class Rollout:
    """What a rollout predicts, as decoded: raw logits and values, or Choices of them (nar/model/options/choice.py)."""

    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)  # [B, ...], each sample's from its own last step
    # of every step s [L, ...]: moment s + 1, for the L samples that have one
    hints: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    states: list[Any] | None = None  # the processor's state after every step, where asked for
    penalties: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # of the processor, for the loss
    measures: dict[str, list[Tensor]] = dataclasses.field(default_factory=dict)  # of the processor, [L] per step
    halts: list[Tensor] = dataclasses.field(default_factory=list)  # logits of the halting head after every step
    step_outputs: list[dict[str, Tensor]] = dataclasses.field(default_factory=list)  # after every step, to ponder on
    taken: Tensor | None = None  # steps [B] until each sample stopped, where that was its own decision


class RolloutExtension:
    """What takes part in one rollout beside encoder, processor and decoder; each method may be left as it is."""

    def before_step(
        self, s: int, step: Step, inputs: DecoderInputs, state: Any, hints: Mapping[str, Tensor]
    ) -> tuple[Step, DecoderInputs]:
        """What processor and decoders are given at step `s`; `hints` are those that were fed in."""
        return step, inputs

    def after_step(self, s: int, inputs: DecoderInputs, predicted: dict[str, Any]) -> None:
        """What the decoders were given at step `s`, and the hints that they predicted."""

    def finish(self, rollout: Rollout) -> None:
        """After the last step: what there is to add to the result."""


class Outputs(RolloutExtension):
    """Decodes every sample's outputs after its own last step; until then what decoders were given there is kept."""

    def __init__(self, schedule: Schedule, decode: Callable[[DecoderInputs], dict[str, Any]]) -> None:
        self.schedule, self.decode = schedule, decode
        self._kept: list[DecoderInputs] = []

    def after_step(self, s: int, inputs: DecoderInputs, predicted: dict[str, Any]) -> None:
        """Of samples that leave, the finished ones are put away, else those that run replaced."""
        schedule = self.schedule
        if schedule.samples_leave:
            stop = schedule.num_running(s)
            start = schedule.num_running(s + 1) if s + 1 < schedule.steps else 0
            if start < stop:
                self._kept.append(inputs.rows(slice(start, stop)))
        elif not self._kept:  # everyone takes the first step
            self._kept = [inputs]
        else:
            self._kept = [inputs.where(schedule.running(s, inputs.graph.device), self._kept[0])]

    def finish(self, rollout: Rollout) -> None:
        *rest, first = self._kept
        rollout.outputs = self.decode(first.map(lambda *parts: torch.cat(parts), *rest[::-1]) if rest else first)


@dataclasses.dataclass
class Hints(RolloutExtension):
    """Keeps the predicted hints of every step, or hands them to `options.watch`."""

    spec: Spec
    schedule: Schedule
    options: RolloutOptions

    def __post_init__(self) -> None:
        self._kept: list[dict[str, Any]] = []

    def after_step(self, s: int, inputs: DecoderInputs, predicted: dict[str, Any]) -> None:
        known = self.schedule.num_with_hint(s)
        if s > 0 and not known:  # a step for outputs
            return
        hints = rows(predicted, slice(0, known))
        hints = feed_back(self.spec, hints, how="hard") if self.options.decide_hints else hints
        if self.options.watch is None:
            self._kept.append(hints)
        else:
            self.options.watch(s, hints)

    def finish(self, rollout: Rollout) -> None:
        rollout.hints = self._kept
