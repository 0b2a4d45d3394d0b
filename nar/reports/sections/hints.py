"""Hint accuracy against the step of the rollout."""

from __future__ import annotations

from collections.abc import Sequence

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import log_axis, percent_axis
from nar.reports.charts.chart import Panel
from nar.reports.charts.rollout import Series, Spread, dotted_legend, rollout_panel, spread
from nar.reports.context import ReportContext, SizeStyles
from nar.reports.number_format import NOTHING, known, number, percent
from nar.results.schema import ERROR_METRICS
from nar.results.study import SeedGroup

_MOST_PANELS = 36  # of one figure; of larger studies, panels compare labels at one size and take all hints together


def section(context: ReportContext) -> Section | None:
    """Hint accuracy against step."""
    recorded = [group for group in context.groups if _hint_names([group])]
    if not recorded:
        return None
    names = [(a, label, name) for a, label in context.pairs() for name in _hint_names(context.plain(a, label))]
    detailed = len(names) <= _MOST_PANELS
    groups = _each_hint(context, names, recorded) if detailed else _all_hints(context, recorded)
    errors = detailed and any(
        _metric([group], name) in ERROR_METRICS for group in recorded for name in _hint_names([group])
    )
    sentences = (
        "What the model predicted for the state of the algorithm after every step, fed with nothing but its own "
        "predictions of the step before.",
        "Lines are means over seeds, bands go from the lowest seed to the highest."
        if any(len(group.seeds) > 1 for group in recorded)
        else "",
        "A mean squared error (MSE) is an error: lower is better." if errors else "",
        ""
        if detailed
        else "With so many runs, the mean over all hints that have a percentage, at one size of each algorithm.",
        "The numbers below are means over steps, weighted by the graphs still running.",
    )
    legend = (SizeStyles(recorded).legend() if detailed else context.legend()) + dotted_legend(groups)
    figure = Figure("hints", list(groups.items()), " ".join(filter(None, sentences)), legend, [_hint_table(context)])
    return Section("hints", "Along the rollout", [figure])


def _each_hint(
    context: ReportContext, names: Sequence[tuple[str, str, str]], recorded: Sequence[SeedGroup]
) -> dict[str, list[Panel]]:
    """A panel for each hint of each algorithm and label, a line for each size."""
    styles, panels = SizeStyles(recorded), {}
    bounds = [
        low
        for group in recorded
        for name in _hint_names([group])
        if _metric([group], name) not in ERROR_METRICS
        for _, low, _ in _along(group, name)[0]
    ]
    for algorithm, label, name in names:
        groups = [group for group in context.plain(algorithm, label) if name in _hint_names([group])]
        lines = [(f"n = {group.size}", styles[group.size], *_along(group, name)) for group in groups]
        of = f"{algorithm}: {label}"
        panels.setdefault(of, []).append(_panel(name, of, lines, _metric(groups, name), bounds))
    return panels


def _all_hints(context: ReportContext, recorded: Sequence[SeedGroup]) -> dict[str, list[Panel]]:
    """A panel for each algorithm, and in it a line for each label: the mean over all percentages."""
    panels = []
    for algorithm in context.algorithms:
        size = context.headline(algorithm)
        groups = [group for group in recorded if (group.algorithm, group.size) == (algorithm, size)]
        lines = [(group.label, context.styles[group.label], *_mean_of_hints(group)) for group in groups]
        if lines := [line for line in lines if line[2]]:
            bounds = [mean for line in lines for mean, *_ in line[2]]
            panels.append(_panel(f"{algorithm}, n = {size}", "", lines, "accuracy", bounds))
    return {"": panels}


def _hint_names(groups: Sequence[SeedGroup]) -> list[str]:
    """All hints of these groups, in the order of the files."""
    return list(dict.fromkeys(name for group in groups for entry in group.entries for name in entry.get("hints") or ()))


def _metric(groups: Sequence[SeedGroup], name: str) -> str:
    hints = (entry["hints"] for group in groups for entry in group.entries if entry.get("hints"))
    return next((str(hint[name].get("metric")) for hint in hints if name in hint), "accuracy")


def _along(group: SeedGroup, name: str) -> tuple[list[Spread], list[int]]:
    """Of one hint: the seeds' mean, lowest and highest at every step, and how many graphs were running then."""
    hints = [entry["hints"][name] for entry in group.entries if name in (entry.get("hints") or ())]
    return spread([hint.get("per_step") or () for hint in hints]), list(hints[0].get("live") or ()) if hints else []


def _mean_of_hints(group: SeedGroup) -> tuple[list[Spread], list[int]]:
    """The mean over all hints that are percentages."""
    names = [name for name in _hint_names([group]) if _metric([group], name) not in ERROR_METRICS]
    by_seed = []
    for entry in group.entries:
        rows = [entry["hints"][name].get("per_step") or () for name in names if name in (entry.get("hints") or ())]
        by_seed.append([mean for mean, _, _ in spread(rows)])
    return spread(by_seed), _along(group, names[0])[1] if names else []


def _panel(title: str, of: str, lines: Sequence[Series], metric: str, bounds: Sequence[float]) -> Panel:
    """One panel of lines against step; `bounds`: the shares that all percent axes have room for."""
    if metric not in ERROR_METRICS:
        y = percent_axis("F1 (%)" if metric == "f1" else "accuracy (%)", bounds)
        return rollout_panel(lines, y, title, of, 100.0)
    shown = [value for _, _, points, _ in lines for triple in points for value in triple if known(value)]
    # where to draw an error of exactly 0 on a log axis: below the smallest other value
    floor = min((value for value in shown if value > 0), default=1e-8) / 3
    y = log_axis("mean squared error (log scale)", [max(value, floor) for value in shown])
    return rollout_panel(lines, y, title, of, floor=floor)


def _hint_table(context: ReportContext) -> Table:
    rows = []
    for algorithm, label in context.pairs():
        for name in _hint_names(context.plain(algorithm, label)):
            metric = _metric(context.plain(algorithm, label), name)
            write = number if metric in ERROR_METRICS else percent
            groups = [context.at(algorithm, label, size) for size in context.sizes()]
            found = [group.interval(f"hints.{name}.value") if group else None for group in groups]
            rows.append((algorithm, label, name, metric, *(write(one.mean) if one else NOTHING for one in found)))
    header = ("algorithm", "network", "hint", "metric", *(f"n = {size}" for size in context.sizes()))
    return Table("Mean over steps of every hint", header, rows, (0, 1, 2, 3))
