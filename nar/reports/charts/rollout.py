"""What figures along a rollout share: numbers of several seeds at every step, lines that tell how many are left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nar.reports.charts.axis import Axis, step_axis
from nar.reports.charts.chart import Chart
from nar.reports.charts.shapes import Style
from nar.reports.number_format import known

Spread = tuple[float, float, float]  # mean, lowest and highest of the seeds at a step


def spread(rows: Sequence[Sequence[float | None]]) -> list[Spread]:
    """Mean, lowest and highest over rows at every place, of the values that are known; nan where none is."""
    found = []
    for place in range(max(map(len, rows), default=0)):
        values = [row[place] for row in rows if place < len(row)]
        values = [value for value in values if value is not None and known(value)]
        found.append((math.fsum(values) / len(values), min(values), max(values)) if values else (math.nan,) * 3)
    return found


def steps_axis(lengths: Sequence[int], first: int = 1) -> Axis:
    """Steps, on a log axis where some rollouts are many times longer than others."""
    lengths = [length for length in lengths if length]
    longest, shortest = max(lengths, default=1), min(lengths, default=1)
    return step_axis(longest, "step of the algorithm", longest > 8 * shortest, first)


def draw(
    chart: Chart, style: Style, points: Sequence[Spread], running: Sequence[int], scaled: Callable[[float], float]
) -> bool:
    """Line and band of one series; dotted (and True) from the first step at which fewer than half are running."""
    places = [(k + 1.0, *map(scaled, triple)) for k, triple in enumerate(points)]
    few = next((k for k, count in enumerate(running) if 2 * count < running[0]), len(places))
    if any(high > low for _, _, low, high in places):
        chart.band([(x, low, high) for x, _, low, high in places], style)
    if few < len(places):
        chart.line([(x, y) for x, y, _, _ in places[max(0, few - 1) :]], style, dotted=True, markers=False)
    chart.line([(x, y) for x, y, _, _ in places[:few]], style)
    return few < len(places)
