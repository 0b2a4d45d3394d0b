"""Beyond the algorithm's own distribution: graph families, density, scale, ties."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from nar.evaluation.axes import described
from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import linear_axis, log_axis, row_axis, score_axis
from nar.reports.charts.chart import Chart, Panel, aside, lane
from nar.reports.context import ReportContext, portions
from nar.reports.number_format import known, number, score_text, seeds_text
from nar.results.study import SeedGroup, grouped


def section(context: ReportContext) -> Section | None:
    """One panel for every algorithm, kind of setting and size: a line where the setting is a number, else rows."""
    found = [g for g in context.study.groups if g.setting and g.termination == context.termination[g.algorithm]]
    if not found:
        return None
    panels: list[Panel] = []
    kinds = grouped(found, lambda group: (group.algorithm, tuple(group.setting), group.size))
    for (algorithm, axes, size), groups in kinds.items():
        values = {group.setting[axes[0]] for group in groups} if len(axes) == 1 else set()
        draw = _line_chart if len(values) > 1 and all(map(known, values)) else _row_chart
        labels = [label for label in context.labels if any(group.label == label for group in groups)]
        for title, portion in portions(f"{', '.join(axes)}, n = {size}", labels):
            chosen = [group for group in groups if group.label in portion]
            own = {label: group for label in portion if (group := context.at(algorithm, label, size)) is not None}
            panels.append(draw(context, portion, chosen, own).panel(title, algorithm))
    caption = (
        "The node score where the test graphs come from another family, density, scale or law of weights, at one "
        "size. Markers are means over seeds, pale bars 95% intervals, rings seeds. 'own' is the algorithm's own "
        "distribution at that size; in panels with lines, it is the dashed level of the same colour."
    )
    own = {(g.algorithm, g.label, g.size): context.at(g.algorithm, g.label, g.size) for g in found}
    rows = [
        (group.algorithm, group.label, described(group.setting), str(group.size), score_text(group), seeds_text(group),
         score_text(group, "exact"), score_text(group, "valid"), f"{group.samples:,}")
        for group in sorted([*filter(None, own.values()), *found],
                            key=lambda g: (g.algorithm, g.label, g.size, bool(g.setting), described(g.setting)))
    ]  # fmt: skip
    header = ("algorithm", "network", "setting", "n", "score (%)", "every seed", "exact (%)", "valid (%)", "graphs")
    numbers = Table("Scores on other distributions", header, rows, (0, 1, 2))
    legend = context.legend({group.label for group in found})
    return Section("settings", "Other distributions", [Figure("settings", panels, caption, legend, [numbers])])


def _line_chart(
    context: ReportContext, labels: Sequence[str], groups: Sequence[SeedGroup], own: dict[str, SeedGroup]
) -> Chart:
    """Score against a setting that is a number."""
    (name,) = groups[0].setting
    at = [float(group.setting[name]) for group in groups]
    wide = min(at) > 0 and max(at) > 20 * min(at)
    x = log_axis(f"{name} (log scale)", at) if wide else linear_axis(name, at, zero=False)
    y = score_axis([*groups, *own.values()])
    chart = Chart(x, y)
    for place, label in enumerate(labels):
        style = context.styles[label]
        if label in own and (mean := own[label].interval("score")) is not None:
            level = y.factor * mean.mean
            chart.line([(x.low, level), (x.high, level)], dataclasses.replace(style, dash="3 3"), faint=True)
        points = sorted((float(g.setting[name]), g.by_seed("score")) for g in groups if g.label == label)
        chart.means(points, style, label, aside(place, len(labels)))
    return chart


def _row_chart(
    context: ReportContext, labels: Sequence[str], groups: Sequence[SeedGroup], own: dict[str, SeedGroup]
) -> Chart:
    """One row per setting, the own distribution first."""
    rows = {_row_name(setting): setting for setting in ({}, *(group.setting for group in groups))}
    x = score_axis([*groups, *own.values()])
    chart = Chart.of_rows(x, row_axis(list(rows)), len(labels))
    for place, label in enumerate(labels):
        told = []
        for k, (name, setting) in enumerate(rows.items()):
            found = [g for g in groups if g.label == label and g.setting == setting] if setting else [own.get(label)]
            if found and found[0] is not None and (seeds := found[0].by_seed("score")):
                mean = chart.mean(k, seeds, context.styles[label], f"{label}, {name}", lane(place, len(labels)))
                told.append(f"{name} {number(mean)}")
        chart.sentences.append(f"{label}: {', '.join(told)}.")
    return chart


def _row_name(setting: dict[str, Any]) -> str:
    """A setting of one axis by its value alone: the panel's title has the name."""
    name = described(setting)
    if len(setting) == 1:
        (value,) = setting.values()
        name = f"{value:g}" if isinstance(value, float) else str(value)
    return name.replace("_", " ") if len(name) <= 22 else name[:21] + "…"
