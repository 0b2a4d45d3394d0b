"""Hint accuracy against the step of the rollout."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nar.reports.figures import ERROR_METRICS
from nar.reports.html.axis import log_axis, percent_axis
from nar.reports.html.chart import Chart, Style, ordered_style
from nar.reports.html.context import View, interval
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    Panel,
    details,
    figure,
    join,
    known,
    number,
    percent,
    table,
)
from nar.reports.html.legend import dotted_swatch, legend, swatch
from nar.reports.html.steps import Spread, draw, spread, steps_axis
from nar.results.study import Cell

_MOST_PANELS = 36  # of one figure; of larger studies, panels compare labels at one size and take all hints together


def section(view: View) -> Markup | None:
    """Hint accuracy against step."""
    cells = [cell for cell in view.cells if any(entry.get("hints") for entry in cell.entries)]
    if not cells:
        return None
    names = [(a, label, name) for a, label in view.pairs() for name in hint_names(view.plain(a, label))]
    detailed = len(names) <= _MOST_PANELS
    groups: dict[str, list[Panel]] = {}
    dotted = False
    if detailed:
        sizes = sorted({cell.size for cell in cells})
        bounds = [v for cell in cells for name in hint_names([cell]) for v in _percents(cell, name)]
        for algorithm, label, name in names:
            lines = [
                (f"n = {cell.size}", ordered_style(sizes.index(cell.size), len(sizes)), *along(cell, name))
                for cell in view.plain(algorithm, label)
                if name in hint_names([cell])
            ]
            metric = _metric(view.plain(algorithm, label), name)
            of = f"{algorithm}: {label}"
            panel, few = _panel(name, of, lines, metric, bounds)
            groups.setdefault(of, []).append(panel)
            dotted |= few
        entries = [(f"n = {size}", swatch(ordered_style(k, len(sizes)))) for k, size in enumerate(sizes)]
    else:
        for algorithm in view.algorithms:
            size = view.headline(algorithm)
            found = [(label, view.at(algorithm, label, size)) for label in view.labels_of(algorithm)]
            lines = [(label, view.styles[label], *_all_hints(cell)) for label, cell in found if cell is not None]
            lines = [line for line in lines if line[2]]
            if lines:
                bounds = [value for line in lines for value, *_ in line[2]]
                panel, few = _panel(f"{algorithm}, n = {size}", "", lines, "accuracy", bounds)
                groups.setdefault("", []).append(panel)
                dotted |= few
        entries = [(label, swatch(view.styles[label])) for label in view.labels]
    if not groups:
        return None
    if dotted:
        entries.append(("fewer than half of the graphs still running", dotted_swatch()))
    caption = join(
        "What the model predicted for the state of the algorithm after every step, fed with nothing but its own "
        "predictions of the step before. ",
        "Lines are means over seeds, bands go from the lowest seed to the highest. "
        if any(len(cell.seeds) > 1 for cell in cells)
        else "",
        "A mean squared error (MSE) is an error: lower is better. "
        if detailed and any(_metric([cell], name) in ERROR_METRICS for cell in cells for name in hint_names([cell]))
        else "",
        ""
        if detailed
        else "With so many runs, the mean over all hints that have a percentage, at one size of each algorithm. ",
        "The numbers below are means over steps, weighted by the graphs still running.",
    )
    return figure(
        groups.items(), caption, legend(entries), details("Every hint and size in numbers", _hint_table(view))
    )


def hint_names(cells: Sequence[Cell]) -> list[str]:
    """All hints of these cells, in the order of the files."""
    return list(dict.fromkeys(name for cell in cells for entry in cell.entries for name in entry.get("hints") or ()))


def _metric(cells: Sequence[Cell], name: str) -> str:
    found = (
        entry["hints"][name].get("metric")
        for cell in cells
        for entry in cell.entries
        if name in (entry.get("hints") or ())
    )
    return str(next(found, "accuracy"))


def along(cell: Cell, name: str) -> tuple[list[Spread], list[int]]:
    """Of one hint: the seeds' mean, lowest and highest at every step, and how many graphs were running then."""
    hints = [entry["hints"][name] for entry in cell.entries if name in (entry.get("hints") or ())]
    return spread([hint.get("per_step") or () for hint in hints]), list(hints[0].get("live") or ()) if hints else []


def _percents(cell: Cell, name: str) -> list[float]:
    if _metric([cell], name) in ERROR_METRICS:
        return []
    return [low for _, low, _ in along(cell, name)[0] if known(low)]


def _all_hints(cell: Cell) -> tuple[list[Spread], list[int]]:
    """The mean over all hints that are percentages."""
    names = [name for name in hint_names([cell]) if _metric([cell], name) not in ERROR_METRICS]
    by_seed = []
    for entry in cell.entries:
        rows = [entry["hints"][name].get("per_step") or () for name in names if name in (entry.get("hints") or ())]
        by_seed.append([mean for mean, _, _ in spread(rows)])
    return spread(by_seed), along(cell, names[0])[1] if names else []


Line = tuple[str, Style, list[Spread], list[int]]


def _panel(title: str, of: str, lines: Sequence[Line], metric: str, bounds: Sequence[float]) -> tuple[Panel, bool]:
    """One panel of lines against step; True where some of them are dotted."""
    error = metric in ERROR_METRICS
    shown = [value for _, _, points, _ in lines for triple in points for value in triple if known(value)]
    if error:
        floor = min((value for value in shown if value > 0), default=1e-8) / 3
        y, factor, unit = log_axis("mean squared error (log scale)", [max(value, floor) for value in shown]), 1.0, ""
    else:
        floor, factor, unit = -math.inf, 100.0, "%"
        y = percent_axis("F1 (%)" if metric == "f1" else "accuracy (%)", bounds)
    chart = Chart(steps_axis([len(points) for _, _, points, _ in lines]), y)
    few = False
    for name, style, points, live in lines:
        few |= draw(chart, style, points, live, lambda value: max(factor * value, floor) if known(value) else math.nan)
        chart.tell(name, [(k + 1, factor * mean) for k, (mean, _, _) in enumerate(points)], unit)
    return chart.panel(title, of), few


def _hint_table(view: View) -> Markup:
    sizes = sorted({cell.size for cell in view.cells})
    rows = []
    for algorithm, label in view.pairs():
        cells = view.plain(algorithm, label)
        for name in hint_names(cells):
            metric = _metric(cells, name)
            means = []
            for size in sizes:
                found = interval(view.at(algorithm, label, size), f"hints.{name}.value")
                write = number if metric in ERROR_METRICS else percent
                means.append(write(found.mean) if found is not None else NOTHING)
            rows.append((algorithm, label, name, metric, *means))
    header = ("algorithm", "network", "hint", "metric", *(f"n = {size}" for size in sizes))
    return table(header, rows, "Mean over steps of every hint", words=(0, 1, 2, 3))
