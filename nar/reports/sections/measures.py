"""What processors say of themselves, along the rollout and over the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import linear_axis
from nar.reports.charts.rollout import dotted_legend, rollout_panel, spread
from nar.reports.context import ReportContext, SizeStyles
from nar.reports.number_format import NOTHING, known, number
from nar.reports.sections.training import column, curves_panel
from nar.results.study import SeedGroup


def section(context: ReportContext) -> Section | None:
    """What processors say of themselves, along the rollout and over the training."""
    recorded = [group for group in context.groups if any(entry.get("measures") for entry in group.entries)]
    if not recorded:
        return None
    styles, panels, rows = SizeStyles(recorded), {}, []
    for algorithm, label in dict.fromkeys((group.algorithm, group.label) for group in recorded):
        groups, of = [g for g in recorded if (g.algorithm, g.label) == (algorithm, label)], f"{algorithm}: {label}"
        for name in dict.fromkeys(name for g in groups for entry in g.entries for name in entry.get("measures") or ()):
            lines = [(g, spread([(e.get("measures") or {}).get(name) or () for e in g.entries])) for g in groups]
            runs = [run for run in context.runs(algorithm, label) if column(run, name)]
            trained = [column(run, name) for run in runs]
            shown = [value for _, points in lines for triple in points for value in triple]
            y = linear_axis(name, [*shown, *(value for line in trained for _, value in line)])
            for group, points in lines:
                means = [mean for mean, _, _ in points if known(mean)]
                rows.append((algorithm, label, name, str(group.size),
                             number(math.fsum(means) / len(means)) if means else NOTHING))  # fmt: skip
            series = [(f"n = {g.size}", styles[g.size], points, _running(g, len(points))) for g, points in lines]
            panels.setdefault(of, []).append(rollout_panel(series, y, f"{name}, along the rollout", of))
            if runs:
                panels[of].append(curves_panel(context, runs, trained, y, f"{name}, over the training", of))
    caption = (
        "What a processor says of itself (a gate, a residual), as a mean over the graphs still running; along the "
        "rollout by step of the algorithm, and over the training on validation graphs, one line per run."
    )
    header = ("algorithm", "network", "measure", "n", "mean over steps")
    numbers = Table("Measures", header, rows, (0, 1, 2))
    legend = styles.legend() + dotted_legend(panels)
    figure = Figure("measures", list(panels.items()), caption, legend, [numbers])
    return Section("measures", "Inside the processor", [figure])


def _running(group: SeedGroup, steps: int) -> list[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    hints: Mapping[str, Any] = next((entry["hints"] for entry in group.entries if entry.get("hints")), {})
    running = list(next((hint.get("live") or () for hint in hints.values()), ()))
    return [*running[:steps], *[running[-1] if running else group.samples] * (steps - len(running))]
