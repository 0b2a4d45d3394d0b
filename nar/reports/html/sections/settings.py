"""Beyond the algorithm's own distribution: graph families, density, scale, ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nar.evaluation.axes import described
from nar.reports.html.axis import Axis, linear_axis, log_axis, percent_axis
from nar.reports.html.chart import Chart, Style
from nar.reports.html.context import View, chunks, interval, is_share, part, seeds_written, values, written
from nar.reports.html.elements import (
    Markup,
    Panel,
    details,
    figure,
    known,
    number,
    table,
)
from nar.reports.html.legend import legend, swatch
from nar.results.study import Cell


def section(view: View) -> Markup | None:
    """One panel for every algorithm, kind of setting and size: a line where the setting is a number, else rows."""
    found = [cell for cell in view.study.cells if cell.setting and cell.termination == view.termination]
    if not found:
        return None
    groups: dict[tuple[str, tuple[str, ...], int], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.algorithm, tuple(cell.setting), cell.size), []).append(cell)
    panels: dict[str, list[Panel]] = {}
    for (algorithm, axes, size), cells in groups.items():
        labels = [label for label in view.labels if any(cell.label == label for cell in cells)]
        portions = chunks(labels)
        for index, portion in enumerate(portions):
            title = part(f"{', '.join(axes)}, n = {size}", index, len(portions))
            chosen = [cell for cell in cells if cell.label in portion]
            numeric = len(axes) == 1 and all(known(cell.setting[axes[0]]) for cell in cells)
            several = len({cell.setting[axes[0]] for cell in cells}) > 1
            draw = _line_panel if numeric and several else _row_panel
            panels.setdefault(algorithm, []).append(
                draw(view, algorithm, portion, axes[0] if numeric else "", size, chosen, title)
            )
    entries = [(label, swatch(view.styles[label])) for label in view.labels if any(c.label == label for c in found)]
    caption = (
        "The node score where the test graphs come from another family, density, scale or law of weights, at one "
        "size. Markers are means over seeds, pale bars 95% intervals, rings seeds. 'own' is the algorithm's own "
        "distribution at that size; in panels with lines, it is the dashed level of the same colour."
    )
    rows = [
        (cell.algorithm, cell.label, described(cell.setting), str(cell.size), written(cell), seeds_written(cell),
         written(cell, "exact"), written(cell, "valid"), f"{cell.samples:,}")
        for cell in found
    ]  # fmt: skip
    header = ("algorithm", "network", "setting", "n", "score (%)", "every seed", "exact (%)", "valid (%)", "graphs")
    numbers = table(header, rows, "Scores on other distributions", words=(0, 1, 2))
    return figure(panels.items(), caption, legend(entries), details("Every number of this figure", numbers))


def _score_axis(view: View, algorithm: str, size: int, cells: Sequence[Cell]) -> tuple[Axis, float]:
    """The axis of scores that all of these cells fit on, and the factor of its unit."""
    own = [cell for label in view.labels if (cell := view.at(algorithm, label, size)) is not None]
    found = [value for cell in [*cells, *own] for _, value in values(cell, "score")]
    if all(is_share(cell) for cell in cells):
        return percent_axis("node score (%)", found), 100.0
    return linear_axis("score with an error in it: lower is better", found), 1.0


def _line_panel(
    view: View, algorithm: str, labels: Sequence[str], axis: str, size: int, cells: Sequence[Cell], title: str
) -> Panel:
    """Score against a setting that is a number."""
    at = [float(cell.setting[axis]) for cell in cells]
    wide = min(at) > 0 and max(at) > 20 * min(at)
    x = log_axis(f"{axis} (log scale)", at) if wide else linear_axis(axis, at, zero=False)
    y, factor = _score_axis(view, algorithm, size, cells)
    chart = Chart(x, y)
    for place, label in enumerate(labels):
        style, shift = view.styles[label], 5.0 * (place - (len(labels) - 1) / 2)
        own = interval(view.at(algorithm, label, size), "score")
        if own is not None:
            level = Style(style.color, style.marker, "3 3")
            chart.line([(x.low, factor * own.mean), (x.high, factor * own.mean)], level, faint=True, markers=False)
        row = sorted((cell for cell in cells if cell.label == label), key=lambda cell: float(cell.setting[axis]))
        means = [(float(c.setting[axis]), found.mean) for c in row if (found := interval(c, "score")) is not None]
        chart.line([(at, factor * mean) for at, mean in means], style, markers=False, shift=shift)
        for cell in row:
            value, found = float(cell.setting[axis]), interval(cell, "score")
            if found is None:
                continue
            if found.low is not None and found.high is not None:
                chart.interval(value, factor * found.low, factor * found.high, style, shift)
                seeds = [(value, factor * v) for _, v in values(cell, "score")]
                chart.dots(seeds, style, small=True, shift=(shift, 0.0))
            chart.dots([(value, factor * found.mean)], style, shift=(shift, 0.0), titles=[f"{label}: {written(cell)}"])
        chart.tell(label, [(at, factor * mean) for at, mean in means], "%" if factor == 100 else "")
    return chart.panel(title, algorithm)


def _row_panel(
    view: View, algorithm: str, labels: Sequence[str], axis: str, size: int, cells: Sequence[Cell], title: str
) -> Panel:
    """One row per setting, the own distribution first."""
    settings = [{}, *({tuple(cell.setting.items()): cell.setting for cell in cells}.values())]
    names = [_row_name(setting) for setting in settings]
    y = Axis("", len(names) - 0.4, -0.6, [(float(k), name) for k, name in enumerate(names)])
    x, factor = _score_axis(view, algorithm, size, cells)
    left = min(150, max(40, round(6.2 * max(map(len, names))) + 12))
    chart = Chart(x, y, height=70 + (16 + 9 * len(labels)) * len(names), left=left)
    for place, label in enumerate(labels):
        style, shift, means = view.styles[label], 8.0 * (place - (len(labels) - 1) / 2), []
        for k, setting in enumerate(settings):
            row = [cell for cell in cells if cell.label == label and cell.setting == setting]
            cell = row[0] if row else view.at(algorithm, label, size) if not setting else None
            found = interval(cell, "score")
            if cell is None or found is None:
                continue
            means.append((names[k], factor * found.mean))
            if found.low is not None and found.high is not None:
                chart.across(factor * found.low, factor * found.high, k, style, shift)
                chart.dots([(factor * v, k) for _, v in values(cell, "score")], style, small=True, shift=(0.0, shift))
            chart.dots(
                [(factor * found.mean, k)], style, shift=(0.0, shift), titles=[f"{label}, {names[k]}: {written(cell)}"]
            )
        chart.sentences.append(f"{label}: {', '.join(f'{name} {number(mean)}' for name, mean in means)}.")
    return chart.panel(title, algorithm)


def _row_name(setting: dict[str, Any]) -> str:
    """A setting of one axis by its value alone: the panel's title has the name."""
    if len(setting) == 1:
        (value,) = setting.values()
        name = f"{value:g}" if isinstance(value, float) else str(value)
    else:
        name = described(setting)
    return name.replace("_", " ") if len(name) <= 22 else name[:21] + "…"
