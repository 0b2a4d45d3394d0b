"""Comparisons of two networks, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

from nar.reports.html.axis import Axis, linear_axis
from nar.reports.html.chart import Chart, Style
from nar.reports.html.context import View, is_share, part, values
from nar.reports.html.elements import (
    Markup,
    Panel,
    details,
    figure,
    known,
    table,
    with_interval,
)
from nar.results import statistics
from nar.results.study import Cell

_ROWS = 12  # comparisons that one panel takes


def compared(view: View) -> list[tuple[Cell, Cell, statistics.Paired]]:
    """Every label with the one of reference, on every algorithm and size, over the seeds that both have."""
    found = []
    for algorithm in view.algorithms:
        labels = view.labels_of(algorithm)
        reference = view.reference(algorithm)
        for first, second in ((reference, label) for label in labels if label != reference):
            for size in view.sizes(algorithm):
                one, other = view.at(algorithm, first, size), view.at(algorithm, second, size)
                if one is None or other is None or not (is_share(one) and is_share(other)):
                    continue
                if one.data.get("sha256") != other.data.get("sha256"):
                    continue  # other graphs: a difference of scores would be one of data as well
                paired = statistics.paired(dict(values(other, "score")), dict(values(one, "score")))
                if paired is not None and len(paired.seeds) > 1 and known(paired.difference.mean):
                    found.append((one, other, paired))
    return found


def section(view: View) -> Markup | None:
    """Differences of two labels, paired by seed."""
    found = compared(view)
    if not found:
        return None
    groups: dict[tuple[str, str, str], list[tuple[Cell, Cell, statistics.Paired]]] = {}
    for one, other, paired in found:
        groups.setdefault((one.algorithm, one.label, other.label), []).append((one, other, paired))
    points = [100 * value for one, other, paired in found for value in _of_seeds(one, other, paired)]
    x = linear_axis("difference of node scores (percentage points)", points)
    by_algorithm: dict[str, list[Panel]] = {}
    for (algorithm, first, second), rows in groups.items():
        portions = [rows[k : k + _ROWS] for k in range(0, len(rows), _ROWS)]
        for index, portion in enumerate(portions):
            title = part(f"{second} minus {first}", index, len(portions))
            by_algorithm.setdefault(algorithm, []).append(_panel(portion, x, title, algorithm))
    caption = (
        "A seed fixes the training data, so two runs with one seed have seen the same graphs. Dots are mean "
        "differences over seeds, pale bars their 95% intervals, rings the seeds; right of zero the first one named is "
        "better. "
        f"p is of a sign-flip test over the seeds; {found[0][2].least_p:.2g} is the least that "
        f"{len(found[0][2].seeds)} pairs can give. Many comparisons are shown: some look clear by chance."
    )
    lines = [
        (
            one.algorithm, f"{other.label} minus {one.label}", str(one.size),
            with_interval(paired.difference.mean, paired.difference.low, paired.difference.high), f"{paired.p:.3g}",
            str(len(paired.seeds)),
        )
        for one, other, paired in found
    ]  # fmt: skip
    header = ("algorithm", "difference", "n", "points", "p", "seeds")
    numbers = table(header, lines, "Differences between labels", words=(0, 1))
    return figure(by_algorithm.items(), caption, None, details("Every number of this figure", numbers), most=24)


def _panel(rows: Sequence[tuple[Cell, Cell, statistics.Paired]], x: Axis, title: str, algorithm: str) -> Panel:
    """One row per size."""
    ticks = [(float(k), str(one.size)) for k, (one, _, _) in enumerate(rows)]
    y = Axis("nodes n", len(rows) - 0.4, -0.6, ticks)  # the first row above
    chart = Chart(x, y, height=76 + 20 * len(rows))
    chart.rule(0.0, "zero")
    style = Style("c6", 0)
    for k, (_, _, paired) in enumerate(rows):
        difference = paired.difference
        by_seed = _of_seeds(rows[k][0], rows[k][1], paired)
        if difference.low is not None and difference.high is not None:
            chart.across(100 * difference.low, 100 * difference.high, k, style)
        chart.dots([(100 * value, k) for value in by_seed], style, small=True)
        chart.dots([(100 * difference.mean, k)], style)
    chart.tell("mean difference by size", [(one.size, 100 * p.difference.mean) for one, _, p in rows], " points")
    return chart.panel(title, algorithm)


def _of_seeds(one: Cell, other: Cell, paired: statistics.Paired) -> list[float]:
    """second - first of every common seed."""
    first, second = dict(values(one, "score")), dict(values(other, "score"))
    return [second[seed] - first[seed] for seed in paired.seeds]
