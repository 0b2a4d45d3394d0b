"""Score and steps with the oracle that ends rollouts and without it."""

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import Axis, log_axis, score_axis, size_axis
from nar.reports.charts.chart import Chart, Panel, aside
from nar.reports.charts.shapes import Style, named_style, swatch
from nar.reports.context import ReportContext, by_network
from nar.reports.number_format import score_text, with_interval
from nar.results.study import SeedGroup


def section(context: ReportContext) -> Section | None:
    own = context.study.select(setting={})
    ends = sorted({group.termination for group in own}, key=lambda end: (end != "oracle", end))
    if not set(ends) - {"oracle"}:
        return None
    styles = {end: named_style(k) for k, end in enumerate(ends)}
    panels, rows = [], []
    for (algorithm, label), groups in by_network(own).items():
        if {group.termination for group in groups} <= {"oracle"}:
            continue
        of = f"{algorithm}: {label}"
        y = score_axis(groups)
        panels.append(_panel(groups, styles, y, "score", y.label if y.factor == 100 else "score", of))
        if steps := [value for group in groups for value in group.values("steps_taken.mean")]:
            needed = [value for group in groups for value in group.values("steps_mean")]
            y = log_axis("mean steps taken (log scale)", [*steps, *needed])
            panels.append(_panel(groups, styles, y, "steps", y.label, of))
        rows += [
            (
                algorithm, label, str(group.size), group.termination.replace("_", " "), score_text(group),
                score_text(group, "exact"), *(with_interval(group.interval(name), False, brief=True)
                                              for name in ("steps_mean", _taken(group))),
            )
            for group in sorted(groups, key=lambda group: (group.size, ends.index(group.termination)))
        ]  # fmt: skip
    caption = (
        "With the oracle of CLRS, the model is told how many steps the algorithm takes; otherwise it ends by itself: "
        "at a fixed point, when its predictions stop to change, or learned, when it says so. Steps of the oracle are "
        "the steps needed; steps are means per graph. What a model loses without the oracle is what it did not learn "
        "about stopping."
    )
    header = ("algorithm", "network", "n", "ended by", "score (%)", "exact (%)", "steps needed", "steps taken")
    legend = [(end.replace("_", " "), swatch(style)) for end, style in styles.items()]
    figure = Figure("termination", panels, caption, legend, [Table("Termination", header, rows, (0, 1, 3))])
    return Section("termination", "Who ends the rollout", [figure])


def _panel(groups: list[SeedGroup], styles: dict[str, Style], y: Axis, name: str, title: str, of: str) -> Panel:
    chart = Chart(size_axis([group.size for group in groups]), y)
    for place, (end, style) in enumerate(styles.items()):
        points = [
            (float(group.size), group.by_seed(_taken(group) if name == "steps" else name))
            for group in groups
            if group.termination == end
        ]
        chart.means(points, style, end.replace("_", " "), aside(place, len(styles)))
    return chart.panel(title, of)


def _taken(group: SeedGroup) -> str:
    """Where the steps taken are; the oracle takes those needed."""
    return "steps_taken.mean" if group.values("steps_taken.mean") else "steps_mean"
