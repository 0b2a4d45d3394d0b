"""Comparisons of two networks, seed by seed."""

import dataclasses
from collections.abc import Sequence

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import Axis, linear_axis, row_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.charts.shapes import Style
from nar.reports.context import ReportContext, portions
from nar.reports.number_format import with_interval
from nar.results import statistics
from nar.results.study import SeedGroup, grouped

_ROWS = 12  # comparisons that one panel takes

Comparison = tuple[SeedGroup, SeedGroup, statistics.Paired]  # the reference, another one, and their difference


def compared(context: ReportContext) -> list[Comparison]:
    """Every label with the one of reference, on every algorithm and size, over the seeds that both have."""
    found = []
    for algorithm in context.algorithms:
        reference = context.reference(algorithm)
        for label in context.labels_of(algorithm):
            for other in context.plain(algorithm, label) if label != reference else ():
                one = context.at(algorithm, reference, other.size)
                if one is None or one.data.get("sha256") != other.data.get("sha256"):
                    continue  # of other graphs, a difference of scores would be one of data as well
                paired = statistics.paired(other.by_seed("score"), one.by_seed("score"))
                if paired is not None and one.is_share() == other.is_share():
                    found.append((one, other, paired))
    return found


def section(context: ReportContext) -> Section | None:
    """Differences of two labels, paired by seed; drawn where there are several seeds."""
    found = compared(context)
    if not found:
        return None
    drawn = [one for one in found if one[0].is_share() and len(one[2].seeds) > 1]
    points = [100 * value for one in drawn for value in one[2].by_seed.values()]
    x = dataclasses.replace(linear_axis("difference of node scores (percentage points)", points), factor=100.0)
    panels = [
        _panel(rows, x, part, algorithm)
        for (algorithm, difference), found_rows in grouped(drawn, _title).items()
        for part, rows in portions(difference, found_rows, _ROWS)
    ]
    least = min(paired.least_p for _, _, paired in found)
    caption = (
        "A seed fixes the training data, so two runs with one seed have seen the same graphs. Dots are mean "
        "differences over seeds, pale bars their 95% intervals, rings the seeds; right of zero the first one named is "
        "better. p is of a two-sided sign-flip permutation test over the seeds; "
        f"{least:.2g} is the least that so few pairs can give. Of comparisons without any difference, one in twenty "
        f"has p < 0.05; these are {len(found)}."
    )
    lines = [
        (
            *_title((one, other, paired)), str(one.size),
            with_interval(paired.difference, one.is_share()),
            ", ".join(f"{100 * value:.2f}" if one.is_share() else f"{value:.3g}" for value in paired.by_seed.values()),
            f"{paired.p:.3g}", ", ".join(map(str, paired.seeds)),
        )
        for one, other, paired in found
    ]  # fmt: skip
    header = ("algorithm", "difference", "n", "points", "every seed", "p", "seeds")
    numbers = Table("Differences between labels", header, lines, (0, 1))
    figure = Figure("comparisons", panels, caption, [], [numbers], most=24)
    return Section("comparisons", "Compared seed by seed", [figure])


def _title(compared: Comparison) -> tuple[str, str]:
    """The algorithm, and the difference in words."""
    return compared[0].algorithm, f"{compared[1].label} minus {compared[0].label}"


def _panel(rows: Sequence[Comparison], x: Axis, title: str, algorithm: str) -> Panel:
    """One row per size."""
    y = row_axis([str(one.size) for one, _, _ in rows], "nodes n")
    chart = Chart(x, y, height=76 + 20 * len(rows), sideways=True)
    chart.rule(0.0, "zero")
    for k, (one, _, paired) in enumerate(rows):
        chart.mean(k, paired.by_seed, Style("c6", 0), f"n = {one.size}")
    chart.tell("mean difference by size", [(one.size, 100 * p.difference.mean) for one, _, p in rows], " points")
    return chart.panel(title, algorithm)
