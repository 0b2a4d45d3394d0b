"""What figures along a rollout share: numbers of several seeds at every step, lines that tell how many are left."""

import dataclasses
import math
from collections.abc import Sequence

from nar.reports.charts.axis import Axis, step_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.charts.shapes import DOTTED, Shape, Style
from nar.reports.number_format import known

Spread = tuple[float, float, float]  # mean, lowest and highest of the seeds at a step
Series = tuple[str, Style, Sequence[Spread], Sequence[int]]  # name, looks, values and running graphs at every step


def spread(rows: Sequence[Sequence[float | None]]) -> list[Spread]:
    """Mean, lowest and highest over rows at every place, of the values that are known; nan where none is."""
    found = []
    for place in range(max(map(len, rows), default=0)):
        values = [row[place] for row in rows if place < len(row)]
        values = [value for value in values if value is not None and known(value)]
        found.append((math.fsum(values) / len(values), min(values), max(values)) if values else (math.nan,) * 3)
    return found


def rollout_panel(series: Sequence[Series], y: Axis, title: str, of: str, floor: float = -math.inf) -> Panel:
    """A panel with line and band of every series, dotted where fewer than half of the graphs are running.

    `floor`: where smaller values are drawn.
    """

    def scaled(value: float) -> float:
        return max(y.factor * value, floor) if known(value) else math.nan

    chart = Chart(step_axis([len(points) for _, _, points, _ in series]), y)
    for name, style, points, running in series:
        places = [(k + 1.0, *map(scaled, triple)) for k, triple in enumerate(points)]
        few = next((k for k, count in enumerate(running) if 2 * count < running[0]), len(places))
        if any(high > low for _, _, low, high in places):
            chart.band([(x, low, high) for x, _, low, high in places], style)
        line = [(x, mean) for x, mean, _, _ in places]
        if few < len(places):
            chart.line(line[max(0, few - 1) :], dataclasses.replace(style, dash=DOTTED))
        chart.line(line[:few], style, markers=True)
        chart.tell(name, [(k + 1, y.factor * mean) for k, (mean, _, _) in enumerate(points)])
    return chart.panel(title, of)


def dotted_legend(panels: Sequence[Panel]) -> list[tuple[str, list[Shape]]]:
    """What dotted lines mean, where there are some."""
    dotted = any(shape.dash == DOTTED for panel in panels for shape in panel.shapes)
    return [("fewer than half of the graphs still running", [Shape("M0 7H28", "plain line", DOTTED)])] if dotted else []
