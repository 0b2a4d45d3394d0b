"""Scores of predictions in compact form: accuracy for indices, F1 for masks, squared error for scalars.

A scalar that is an output (the eccentricity of a node) is a whole number and right if it is so after rounding: a score
must grow with what is right. The reference has no such output.

Counts are pooled over the whole evaluation set before any ratio is taken, as in dm-clrs: an F1 averaged over batches
would depend on how the set was cut. A pointer counts as right only if it is exactly the trace's; a permutation is first
joined with the mask_one of its first node, which then points to itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from nar.traces.spec import IGNORED, Probe, Stage, Type

METRIC = {Type.SCALAR: "mse", Type.MASK: "f1"}  # all others: accuracy


@dataclasses.dataclass
class Tally:
    """Counts behind one score; `+` pools two of them. accuracy: (right, all); mse: (sum, all); f1: (tp, fp, fn)."""

    metric: str
    counts: tuple[float, ...]

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.metric, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def value(self) -> float:
        """The score. Precision and recall count as 1 where undefined, F1 as 0 where both are 0, as in dm-clrs."""
        if self.metric != "f1":
            return self.counts[0] / self.counts[1] if self.counts[1] else float("nan")
        true_positive, false_positive, false_negative = self.counts
        precision = true_positive / (true_positive + false_positive) if true_positive + false_positive else 1.0
        recall = true_positive / (true_positive + false_negative) if true_positive + false_negative else 1.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def in_words(self) -> str:
        """7 of 8 right, F1 0.500, squared error 0.25."""
        if self.metric == "accuracy":
            return f"{self.counts[0]:.0f} of {self.counts[1]:.0f} right"
        return f"F1 {self.value():.3f}" if self.metric == "f1" else f"squared error {self.value():.3g}"


def tally(probe: Probe, predicted: Tensor, truth: Tensor) -> Tally:
    """Compare predictions with the truth, both compact."""
    metric = METRIC.get(probe.type, "accuracy")
    if probe.type is Type.SCALAR and probe.stage is Stage.OUTPUT:
        return Tally("accuracy", (((predicted - truth).abs() < 0.5).sum().item(), truth.numel()))
    if probe.type is Type.SCALAR:
        return Tally(metric, ((predicted.double() - truth.double()).square().sum().item(), truth.numel()))
    if probe.type is Type.MASK:
        counted, yes, true = truth != IGNORED, predicted > 0, truth > 0
        counts = (yes & true & counted, yes & ~true & counted, ~yes & true & counted)
        return Tally(metric, tuple(c.sum().item() for c in counts))
    counted = truth != IGNORED
    return Tally(metric, ((predicted.eq(truth) & counted).sum().item(), counted.sum().item()))


def merge_permutations(spec: Mapping[str, Probe], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Permutation pointers joined with their masks into node pointers: the marked node points to itself."""
    merged = {}
    for name, value in values.items():
        if name.endswith("_mask") and spec.get(name[:-5], spec[name]).type is Type.PERMUTATION_POINTER:
            continue
        if spec[name].type is Type.PERMUTATION_POINTER:
            nodes = torch.arange(value.shape[-1], device=value.device)
            first = values[f"{name}_mask"].unsqueeze(-1)
            value = torch.where(nodes == first, nodes, value.long())
        merged[name] = value
    return merged


def correct(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Which graphs [B] have every entry of an output right."""
    return right(probe, predicted, truth).reshape(truth.shape[0], -1).all(-1)


def right(probe: Probe, predicted: Tensor, truth: Tensor) -> Tensor:
    """Which entries of an output are right."""
    if probe.type is Type.SCALAR:
        return (predicted - truth).abs() < 0.5
    return (predicted == truth) | (truth == IGNORED)
