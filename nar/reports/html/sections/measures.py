"""What processors say of themselves, along the rollout and over the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nar.reports.html.axis import linear_axis, step_axis
from nar.reports.html.chart import Chart, ordered_style
from nar.reports.html.context import View
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    Panel,
    details,
    figure,
    join,
    known,
    number,
    table,
)
from nar.reports.html.legend import dotted_swatch, legend, swatch
from nar.reports.html.steps import draw, spread, steps_axis
from nar.results.study import Cell

_EMPTY: tuple[float, ...] = ()


def section(view: View) -> Markup | None:
    """What processors say of themselves, along the rollout and over the training."""
    cells = [cell for cell in view.cells if any(entry.get("measures") for entry in cell.entries)]
    if not cells:
        return None
    sizes = sorted({cell.size for cell in cells})
    groups: dict[str, list[Panel]] = {}
    rows, dotted = [], False
    for algorithm, label in view.pairs():
        found = [cell for cell in view.plain(algorithm, label) if cell in cells]
        for name in dict.fromkeys(n for cell in found for entry in cell.entries for n in entry.get("measures") or ()):
            lines = []
            for cell in found:
                points = spread([(entry.get("measures") or {}).get(name) or () for entry in cell.entries])
                lines.append((cell, points, _live(cell, len(points))))
                mean = [triple[0] for triple in points if known(triple[0])]
                text = number(math.fsum(mean) / len(mean)) if mean else NOTHING
                rows.append((algorithm, label, name, str(cell.size), text))
            trained = _over_training(view, algorithm, label, name)
            shown = [v for _, points, _ in lines for triple in points for v in triple if known(v)]
            y = linear_axis(name, [*shown, *(value for line in trained for _, value in line)])
            chart = Chart(steps_axis([len(points) for _, points, _ in lines]), y)
            for cell, points, live in lines:
                style = ordered_style(sizes.index(cell.size), len(sizes))
                dotted |= draw(chart, style, points, live, lambda value: value)
                chart.tell(f"n = {cell.size}", [(k + 1, mean) for k, (mean, _, _) in enumerate(points)])
            of = f"{algorithm}: {label}"
            groups.setdefault(of, []).append(chart.panel(f"{name}, along the rollout", of))
            if trained:
                last = max(step for line in trained for step, _ in line)
                chart = Chart(step_axis(int(last), "training step", first=0), y)
                for line in trained:
                    chart.line(line, view.styles[label], faint=len(trained) > 1, markers=False)
                    chart.tell("one run", line)
                groups[of].append(chart.panel(f"{name}, over the training", of))
    entries = [(f"n = {size}", swatch(ordered_style(k, len(sizes)))) for k, size in enumerate(sizes)]
    if dotted:
        entries.append(("fewer than half of the graphs still running", dotted_swatch()))
    caption = join(
        "What a processor says of itself (a gate, a residual), as a mean over the graphs still running; along the "
        "rollout by step of the algorithm, and over the training on validation graphs, one line per run.",
    )
    numbers = table(("algorithm", "network", "measure", "n", "mean over steps"), rows, "Measures", words=(0, 1, 2))
    return figure(groups.items(), caption, legend(entries), details("Every number of this figure", numbers))


def _live(cell: Cell, steps: int) -> list[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    hints: Mapping[str, Any] = next((entry["hints"] for entry in cell.entries if entry.get("hints")), {})
    live = list(next((hint.get("live") or () for hint in hints.values()), _EMPTY))
    return [int(count) for count in [*live[:steps], *[live[-1] if live else cell.samples] * (steps - len(live))]]


def _over_training(view: View, algorithm: str, label: str, name: str) -> list[list[tuple[float, float]]]:
    lines = [
        [(float(row["step"]), float(row[name])) for row in run.metrics if known(row.get(name))]
        for run in view.runs(algorithm, label)
    ]
    return [line for line in lines if line]
