"""What processors say of themselves, along the rollout and over the training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import Axis, linear_axis, step_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.charts.rollout import draw, spread, steps_axis
from nar.reports.charts.shapes import DOTTED_SWATCH, Style
from nar.reports.context import ReportContext, SizeStyles
from nar.reports.number_format import NOTHING, known, number
from nar.results.study import SeedGroup


def section(context: ReportContext) -> Section | None:
    """What processors say of themselves, along the rollout and over the training."""
    recorded = [group for group in context.groups if any(entry.get("measures") for entry in group.entries)]
    if not recorded:
        return None
    styles, panels, rows, dotted = SizeStyles(recorded), {}, [], False
    for algorithm, label in dict.fromkeys((group.algorithm, group.label) for group in recorded):
        groups, of = [g for g in recorded if (g.algorithm, g.label) == (algorithm, label)], f"{algorithm}: {label}"
        for name in dict.fromkeys(name for g in groups for entry in g.entries for name in entry.get("measures") or ()):
            lines = [(g, spread([(e.get("measures") or {}).get(name) or () for e in g.entries])) for g in groups]
            trained = _over_training(context, algorithm, label, name)
            shown = [value for _, points in lines for triple in points for value in triple]
            y = linear_axis(name, [*shown, *(value for line in trained for _, value in line)])
            chart = Chart(steps_axis([len(points) for _, points in lines]), y)
            for group, points in lines:
                means = [mean for mean, _, _ in points if known(mean)]
                rows.append((algorithm, label, name, str(group.size),
                             number(math.fsum(means) / len(means)) if means else NOTHING))  # fmt: skip
                dotted |= draw(chart, styles[group.size], points, _running(group, len(points)), lambda value: value)
                chart.tell(f"n = {group.size}", [(k + 1, mean) for k, (mean, _, _) in enumerate(points)])
            panels.setdefault(of, []).append(chart.panel(f"{name}, along the rollout", of))
            if trained:
                best = [run.results["run"]["best_step"] for run in context.runs(algorithm, label)]
                panel = _training_panel(trained, y, context.styles[label], best, f"{name}, over the training", of)
                panels[of].append(panel)
    caption = (
        "What a processor says of itself (a gate, a residual), as a mean over the graphs still running; along the "
        "rollout by step of the algorithm, and over the training on validation graphs, one line per run."
    )
    header = ("algorithm", "network", "measure", "n", "mean over steps")
    numbers = Table("Measures", header, rows, (0, 1, 2))
    legend = styles.legend() + [("fewer than half of the graphs still running", DOTTED_SWATCH)] * dotted
    return Section(
        "measures", "Inside the processor", [Figure("measures", list(panels.items()), caption, legend, [numbers])]
    )


def _training_panel(
    lines: Sequence[Sequence[tuple[float, float]]],
    y: Axis,
    style: Style,
    best: Sequence[int | None],
    title: str,
    of: str,
) -> Panel:
    """One line per run; of a single run the selected step is marked."""
    last = max(step for line in lines for step, _ in line)
    chart = Chart(step_axis(int(last), "training step", first=0), y)
    for line in lines:
        chart.line(line, style, faint=len(lines) > 1, markers=False)
        chart.tell("one run", line)
    if len(best) == 1 and best[0] is not None:
        chart.rule(best[0])
    return chart.panel(title, of)


def _running(group: SeedGroup, steps: int) -> list[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    hints: Mapping[str, Any] = next((entry["hints"] for entry in group.entries if entry.get("hints")), {})
    running = list(next((hint.get("live") or () for hint in hints.values()), ()))
    return [*running[:steps], *[running[-1] if running else group.samples] * (steps - len(running))]


def _over_training(context: ReportContext, algorithm: str, label: str, name: str) -> list[list[tuple[float, float]]]:
    lines = [
        [(float(row["step"]), float(row[name])) for row in run.metrics if known(row.get(name))]
        for run in context.runs(algorithm, label)
    ]
    return [line for line in lines if line]
