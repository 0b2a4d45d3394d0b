"""Along the rollout: hint accuracy against its steps, and what processors say of themselves."""

import dataclasses
import math
from collections.abc import Sequence

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import Axis, linear_axis, log_axis, percent_axis, step_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.charts.shapes import DOTTED, Shape, Style
from nar.reports.context import ReportContext, SizeStyles, by_network
from nar.reports.number_format import NOTHING, known, number, percent
from nar.reports.sections.training import column, curves_panel
from nar.results.schema import ERROR_METRICS
from nar.results.study import SeedGroup

Spread = tuple[float, float, float]  # mean, lowest and highest of the seeds at a step
Series = tuple[str, Style, Sequence[Spread], Sequence[int]]  # name, looks, values and running graphs at every step
_MOST_PANELS = 36  # of one figure; of larger studies, panels compare labels at one size and take all hints together


def section(context: ReportContext) -> Section | None:
    """Hint accuracy against step."""
    recorded = [group for group in context.groups if _hint_names([group])]
    if not recorded:
        return None
    names = [(a, label, name) for a, label in context.pairs() for name in _hint_names(context.plain(a, label))]
    detailed, styles = len(names) <= _MOST_PANELS, SizeStyles(recorded)
    panels = _each_hint(context, names, styles) if detailed else _all_hints(context, recorded)
    errors = any(_metric([group], name) in ERROR_METRICS for group in recorded for name in _hint_names([group]))
    several, many = any(len(group.seeds) > 1 for group in recorded), not detailed
    sentences = (
        "What the model predicted for the state of the algorithm after every step, fed with nothing but its own "
        "predictions of the step before.",
        "Lines are means over seeds, bands go from the lowest seed to the highest." * several,
        "A mean squared error (MSE) is an error: lower is better." * (detailed and errors),
        "With so many runs, the mean over all hints that have a percentage, at one size of each algorithm." * many,
        "The numbers below are means over steps, weighted by the graphs still running.",
    )
    legend = (styles.legend() if detailed else context.legend()) + dotted_legend(panels)
    figure = Figure("hints", panels, " ".join(filter(None, sentences)), legend, [_hint_table(context)])
    return Section("hints", "Along the rollout", [figure])


def _each_hint(context: ReportContext, names: Sequence[tuple[str, str, str]], styles: SizeStyles) -> list[Panel]:
    """A panel for each hint of each algorithm and label, a line for each size."""
    drawn, bounds = [], []
    for algorithm, label, name in names:
        groups = [group for group in context.plain(algorithm, label) if name in _hint_names([group])]
        lines = [(f"n = {group.size}", styles[group.size], *_along(group, name)) for group in groups]
        drawn.append((name, f"{algorithm}: {label}", lines, metric := _metric(groups, name)))
        bounds += [low for _, _, points, _ in lines for _, low, _ in points if metric not in ERROR_METRICS]
    return [_panel(name, title, lines, metric, bounds) for name, title, lines, metric in drawn]


def _all_hints(context: ReportContext, recorded: Sequence[SeedGroup]) -> list[Panel]:
    """A panel for each algorithm, and in it a line for each label: the mean over all percentages."""
    panels = []
    for algorithm in context.algorithms:
        size = context.headline(algorithm)
        groups = [group for group in recorded if (group.algorithm, group.size) == (algorithm, size)]
        lines = [(group.label, context.styles[group.label], *_mean_of_hints(group)) for group in groups]
        if lines := [line for line in lines if line[2]]:
            bounds = [mean for line in lines for mean, *_ in line[2]]
            panels.append(_panel(f"{algorithm}, n = {size}", "", lines, "accuracy", bounds))
    return panels


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
        return rollout_panel(lines, y, title, of)
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


def measures(context: ReportContext) -> Section | None:
    """What processors say of themselves, along the rollout and over the training."""
    recorded = [group for group in context.groups if any(entry.get("measures") for entry in group.entries)]
    if not recorded:
        return None
    styles, panels, rows = SizeStyles(recorded), [], []
    for (algorithm, label), groups in by_network(recorded).items():
        of = f"{algorithm}: {label}"
        for name in dict.fromkeys(name for g in groups for entry in g.entries for name in entry.get("measures") or ()):
            lines = [(g, spread([(e.get("measures") or {}).get(name) or () for e in g.entries])) for g in groups]
            runs = [run for run in context.runs(algorithm, label) if column(run, name)]
            trained = [column(run, name) for run in runs]
            shown = [value for _, points in lines for triple in points for value in triple]
            y = linear_axis(name, [*shown, *(value for line in trained for _, value in line)])
            for group, points in lines:
                means = [mean for mean, _, _ in points if known(mean)]
                mean = number(math.fsum(means) / len(means) if means else None)
                rows.append((algorithm, label, name, str(group.size), mean))
            series = [(f"n = {g.size}", styles[g.size], points, _running(g, len(points))) for g, points in lines]
            panels.append(rollout_panel(series, y, f"{name}, along the rollout", of))
            if runs:
                panels.append(curves_panel(context, runs, trained, y, f"{name}, over the training", of))
    caption = (
        "What a processor says of itself (a gate, a residual), as a mean over the graphs still running; along the "
        "rollout by step of the algorithm, and over the training on validation graphs, one line per run."
    )
    header = ("algorithm", "network", "measure", "n", "mean over steps")
    numbers = Table("Measures", header, rows, (0, 1, 2))
    legend = styles.legend() + dotted_legend(panels)
    figure = Figure("measures", panels, caption, legend, [numbers])
    return Section("measures", "Inside the processor", [figure])


def _running(group: SeedGroup, steps: int) -> list[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    running = next((list(hint.get("live") or ()) for entry in group.entries for hint in entry["hints"].values()), [])
    return [*running[:steps], *[running[-1] if running else group.samples] * (steps - len(running))]


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
