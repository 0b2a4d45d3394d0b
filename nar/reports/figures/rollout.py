"""What happens along the rollout: the hints, and what a processor says of itself, against the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nar.reports.figures.parts import (
    BLACK,
    DOTTED,
    ERROR_METRICS,
    LABELS,
    MARKERS,
    SERIES,
    VERMILLION,
    legend_above,
    log_axis,
    panels,
    style,
    whole_steps,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def hints_against_step(evaluations: Sequence[Mapping[str, Any]]) -> Figure:
    """Score of every hint at every step of the rollout, one panel per hint, one line per size, for one algorithm.

    A line becomes dotted where fewer than half of the graphs are still running: there it rests on few samples.
    """
    evaluations = sorted((e for e in evaluations if e["hints"]), key=lambda e: e["size"])
    names = list(dict.fromkeys(name for e in evaluations for name in e["hints"]))
    longest = [len(hint["per_step"]) for e in evaluations for hint in e["hints"].values()]
    logarithmic = max(longest) > 8 * max(1, min(longest))
    low = _lower_limit(evaluations)

    with style():
        figure, axes = panels(len(names), height=1.75)
        handles: dict[str, Any] = {}
        few_anywhere = False
        for axis, name in zip(axes, names, strict=True):
            metric = next(e["hints"][name]["metric"] for e in evaluations if name in e["hints"])
            error = metric in ERROR_METRICS
            axis.set_title(name)
            axis.set_ylabel(LABELS.get(metric, str(metric)))
            floor = _floor(v for e in evaluations for v in e["hints"].get(name, {}).get("per_step", ()))
            for index, e in enumerate(evaluations):
                if name in e["hints"]:
                    hint = e["hints"][name]
                    y = np.array([math.nan if v is None else v for v in hint["per_step"]], dtype=float)
                    y = np.maximum(y, floor) if error else 100 * y
                    line, dotted = _step_line(axis, y, hint["live"], index, logarithmic)
                    handles.setdefault(f"n = {e['size']}", line)
                    few_anywhere |= dotted
            if error:
                log_axis(axis, "y")
            else:
                axis.set_ylim(low - 0.04 * (100 - low), 100 + 0.04 * (100 - low))
            if logarithmic:
                log_axis(axis, "x")
            else:
                whole_steps(axis)
        figure.supxlabel("step of the algorithm" + (" (log scale)" if logarithmic else ""), fontsize=10)
        if few_anywhere:
            (handles["under half running"],) = axes[0].plot([], [], color="#555555", lw=1.2, ls=DOTTED)
        legend_above(figure, handles)
    return figure


def measures(
    evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]] = (), best_step: int | None = None
) -> Figure:
    """What a processor says of itself (Step.notes.measure): against the step of the rollout, and over the training.

    Two panels for each measure, the second one, on validation graphs, where metrics.jsonl has a column for it. Both
    have one range, from zero unless there are values below.
    """
    evaluations = sorted((e for e in evaluations if e.get("measures")), key=lambda e: e["size"])
    names = list(dict.fromkeys(name for e in evaluations for name in e["measures"]))
    trained = {name: [(r["step"], r[name]) for r in metrics if r.get(name) is not None] for name in names}
    longest = [len(steps) for e in evaluations for steps in e["measures"].values()]
    logarithmic = max(longest) > 8 * max(1, min(longest))

    with style():
        figure, axes = panels(len(names) + sum(map(bool, trained.values())), height=2.1)
        handles: dict[str, Any] = {}
        few_anywhere, left = False, iter(axes)
        for name in names:
            axis = next(left)
            along = axis
            axis.set_title(f"{name}, along the rollout")
            axis.set_xlabel("step of the algorithm" + (" (log scale)" if logarithmic else ""))
            values = [value for _, value in trained[name]]
            for index, e in enumerate(evaluations):
                if name in e["measures"]:
                    y = np.array(e["measures"][name], dtype=float)
                    values += list(y)
                    line, dotted = _step_line(axis, y, _live(e, len(y)), index, logarithmic)
                    handles.setdefault(f"n = {e['size']}", line)
                    few_anywhere |= dotted
            if logarithmic:
                log_axis(axis, "x")
            else:
                whole_steps(axis)
            if trained[name]:
                axis = next(left)
                axis.set_title(f"{name}, over the training")
                axis.set_xlabel("training step")
                marker = "s" if len(trained[name]) < 30 else None
                (handles["validation"],) = axis.plot(
                    *zip(*trained[name], strict=True), color=BLACK, marker=marker, ms=3.5
                )
                if best_step is not None:
                    handles["selected step"] = axis.axvline(
                        best_step, color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1
                    )
                whole_steps(axis)
            low, high = min([0.0, *values]), max([0.0, *values])
            margin = 0.06 * ((high - low) or 1.0)
            for each in {along, axis}:
                each.set_ylim(low - (margin if low < 0 else margin / 3), high + margin)
        if few_anywhere:
            (handles["under half running"],) = axes[0].plot([], [], color="#555555", lw=1.2, ls=DOTTED)
        legend_above(figure, handles)
    return figure


def _step_line(axis: Axes, y: np.ndarray, live: Sequence[int], index: int, logarithmic: bool) -> tuple[Any, bool]:
    """One size's line; dotted (and True) from the first step at which fewer than half of the graphs are running."""
    color, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]
    step = np.arange(1, len(y) + 1)
    few = next((s for s, count in enumerate(live) if 2 * count < live[0]), len(y))
    if few < len(y):
        axis.plot(step[max(0, few - 1) :], y[max(0, few - 1) :], color=color, lw=1.2, ls=DOTTED)
    places = np.geomspace(1, max(1, len(y)), 12) if logarithmic else np.linspace(1, len(y), min(12, len(y)))
    spots = sorted({int(place) - 1 for place in places if place <= few})  # a dozen markers, evenly over the axis
    (line,) = axis.plot(step[:few], y[:few], color=color, marker=marker, markevery=spots, ms=4)
    return line, few < len(y)


def _live(evaluation: Mapping[str, Any], steps: int) -> Sequence[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    known = next((hint["live"] for hint in evaluation["hints"].values()), [])
    return [*known[:steps], *[known[-1] if known else evaluation["samples"]] * (steps - len(known))]


def _lower_limit(evaluations: Sequence[Mapping[str, Any]]) -> float:
    """Where the percent axes of the hints begin; the same for all, so that panels can be compared."""
    scores = [
        100 * value
        for e in evaluations
        for hint in e["hints"].values()
        if hint["metric"] not in ERROR_METRICS
        for value in hint["per_step"]
        if value is not None
    ]
    return max((limit for limit in (50.0, 80.0, 90.0) if scores and limit <= min(scores)), default=0.0)


def _floor(values: Iterable[float | None]) -> float:
    """Where to draw an error of exactly 0 on a log axis: a decade below the smallest other value."""
    positive = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    return min(positive) / 10 if positive else 1e-8
