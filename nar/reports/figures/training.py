"""Training loss and validation score against the training step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nar.reports.figures.parts import BLUE, GREEN, SKY, VERMILLION, legend_above, log_axis, panels, style, whole_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training(metrics: Sequence[Mapping[str, Any]], best_step: int | None = None) -> Figure:
    """Training loss above, validation score below, against the training step; the selected step is marked in both."""
    loss = [(row["step"], row["loss"]) for row in metrics if row.get("loss") is not None]
    validation = [(r["step"], 100 * r["validation_score"]) for r in metrics if r.get("validation_score") is not None]

    with style():
        figure, axes = panels(2 if validation else 1, height=2.0)
        handles: dict[str, Any] = {}
        x, y = np.array(loss, dtype=float).reshape(-1, 2).T
        window = max(1, len(y) // 40)
        (handles["loss"],) = axes[0].plot(x, y, color=SKY, lw=0.8, alpha=0.7 if window > 1 else 1.0)
        if window > 1:
            (handles[f"median of {window}"],) = axes[0].plot(x, _running_median(y, window), color=BLUE)
        if np.all(y > 0) and max(y) > 5 * min(y):
            log_axis(axes[0], "y")
        axes[0].set_ylabel("training loss")
        if validation:
            x, y = np.array(validation, dtype=float).T
            (handles["validation"],) = axes[1].plot(x, y, color=GREEN, marker="o" if len(y) < 30 else None, ms=3.5)
            low = np.nanmin(y) if np.isfinite(y).any() else 0.0
            axes[1].set_ylim(low - 0.05 * (100 - low) - 0.1, 100 + 0.05 * (100 - low) + 0.1)
            axes[1].set_ylabel("validation (%)")
        if best_step is not None:
            for axis in axes:
                handles["selected step"] = axis.axvline(best_step, color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1)
        for axis in axes:
            whole_steps(axis)
        figure.supxlabel("training step", fontsize=10)
        legend_above(figure, handles)
    return figure


def _running_median(y: np.ndarray, window: int) -> np.ndarray:
    half = window // 2
    return np.array([np.nanmedian(part) if np.isfinite(part).any() else math.nan
                     for part in (y[max(0, i - half) : i + half + 1] for i in range(len(y)))])  # fmt: skip
