"""Score and steps with the oracle that ends rollouts and without it."""

from __future__ import annotations

from nar.reports.html.axis import Axis, linear_axis, log_axis, percent_axis, size_axis
from nar.reports.html.chart import Chart, Style, named_style
from nar.reports.html.context import View, interval, is_share, values, written
from nar.reports.html.elements import (
    Markup,
    Panel,
    details,
    figure,
    number,
    table,
)
from nar.reports.html.legend import legend, swatch
from nar.results.study import Cell


def section(view: View) -> Markup | None:
    """Score and steps with and without the oracle."""
    ends = list(dict.fromkeys(cell.termination for cell in view.study.cells if not cell.setting))
    if len(ends) < 2:
        return None
    ends.sort(key=lambda end: (end != "oracle", end))
    styles = {end: named_style(k) for k, end in enumerate(ends)}
    groups, rows = [], []
    for algorithm, label in [(a, label) for a in view.algorithms for label in view.labels]:
        panels = []
        by_end = {
            end: sorted(view.study.select(algorithm, label, setting={}, termination=end), key=lambda cell: cell.size)
            for end in ends
        }
        cells = [cell for found in by_end.values() for cell in found]
        if sum(map(bool, by_end.values())) < 2:
            continue
        share = all(map(is_share, cells))
        factor = 100.0 if share else 1.0
        found = [value for cell in cells for _, value in values(cell, "score")]
        sizes = size_axis([cell.size for cell in cells])
        y = percent_axis("node score (%)", found) if share else linear_axis("score (lower is better)", found)
        panels.append(
            _by_end(
                "node score (%)" if share else "score",
                f"{algorithm}: {label}",
                sizes,
                y,
                by_end,
                styles,
                "score",
                factor,
            )
        )
        steps = [v for cell in cells for name in ("steps_mean", "steps_taken.mean") for _, v in values(cell, name)]
        if any(values(cell, "steps_taken.mean") for cell in cells):
            y = log_axis("mean steps taken (log scale)", steps)
            panels.append(_by_end(y.label, f"{algorithm}: {label}", sizes, y, by_end, styles, "steps_taken.mean", 1.0))
        for size in sorted({cell.size for cell in cells}):
            for end in ends:
                for cell in (cell for cell in by_end[end] if cell.size == size):
                    needed, taken = (
                        interval(cell, "steps_mean"),
                        interval(cell, "steps_taken.mean") or interval(cell, "steps_mean"),
                    )
                    rows.append((
                        algorithm, label, str(size), end.replace("_", " "), written(cell), written(cell, "exact"),
                        number(needed.mean if needed else None), number(taken.mean if taken else None),
                    ))  # fmt: skip
        groups.append((f"{algorithm}: {label}", panels))
    if not groups:
        return None
    caption = (
        "With the oracle of CLRS, the model is told how many steps the algorithm takes; otherwise it ends by itself: "
        "at a fixed point, when its predictions stop to change, or learned, when it says so. Steps of the oracle are "
        "the steps needed. What a model loses without the oracle is what it did not learn about stopping."
    )
    header = ("algorithm", "network", "n", "ended by", "score (%)", "exact (%)", "steps needed", "steps taken")
    numbers = table(header, rows, "Termination", words=(0, 1, 3))
    entries = [(end.replace("_", " "), swatch(styles[end])) for end in ends]
    return figure(groups, caption, legend(entries), details("Every number of this figure", numbers))


def _by_end(
    title: str,
    of: str,
    x: Axis,
    y: Axis,
    by_end: dict[str, list[Cell]],
    styles: dict[str, Style],
    name: str,
    factor: float,
) -> Panel:
    chart = Chart(x, y)
    for place, (end, cells) in enumerate(by_end.items()):
        shift, means = 5.0 * (place - (len(by_end) - 1) / 2), []
        for cell in cells:
            found = interval(cell, name) or (interval(cell, "steps_mean") if name.startswith("steps") else None)
            if found is not None:
                means.append((float(cell.size), factor * found.mean))
                if found.low is not None and found.high is not None:
                    chart.interval(cell.size, factor * found.low, factor * found.high, styles[end], shift)
        chart.line(means, styles[end], markers=False, shift=shift)
        chart.dots(means, styles[end], shift=(shift, 0.0))
        chart.tell(end.replace("_", " "), means, "%" if factor == 100 else "")
    return chart.panel(title, of)
