"""Where errors begin: the share of graphs whose rollout has not left the true trace yet, against step."""

from __future__ import annotations

from collections.abc import Sequence

from nar.reports.html.axis import Axis
from nar.reports.html.chart import Chart, ordered_style
from nar.reports.html.context import View
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    Panel,
    details,
    figure,
    join,
    known,
    percent,
    table,
)
from nar.reports.html.legend import legend, swatch
from nar.reports.html.steps import steps_axis
from nar.results.study import Cell


def section(view: View) -> Markup | None:
    """The share of graphs whose rollout has not left the true trace yet, against step."""
    cells = [cell for cell in view.cells if any(entry.get("first_error") for entry in cell.entries)]
    if not cells:
        return None
    sizes = sorted({cell.size for cell in cells})
    groups: dict[str, list[Panel]] = {}
    rows = []
    for algorithm, label in view.pairs():
        found = [
            cell for cell in view.plain(algorithm, label) if any(entry.get("first_error") for entry in cell.entries)
        ]
        if not found:
            continue
        lengths = [_longest(cell) for cell in found]
        axis = steps_axis(lengths, first=0)
        y = Axis("graphs still on the trace (%)", 0.0, 100.0, [(float(v), str(v)) for v in range(0, 101, 20)])
        chart = Chart(axis, y)
        for cell, length in zip(found, lengths, strict=True):
            style = ordered_style(sizes.index(cell.size), len(sizes))
            steps = first_errors(cell)
            stairs = survival(steps, length)
            chart.line([(max(x, axis.low), 100 * share) for x, share in stairs], style, markers=False)
            chart.dots([(max(stairs[-1][0], axis.low), 100 * stairs[-1][1])], style)
            chart.tell(
                f"n = {cell.size}", [(x, 100 * share) for x, share in survival(steps, length, corners=False)], "%"
            )
            wrong = sorted(step for step in steps if step is not None)
            middle = f"{wrong[(len(wrong) - 1) // 2]:,}" if wrong else NOTHING
            never = percent((len(steps) - len(wrong)) / len(steps))
            rows.append((algorithm, label, str(cell.size), f"{len(steps):,}", never, middle, _earliest(wrong)))
        groups.setdefault(algorithm, []).append(chart.panel(label, algorithm))
    entries = [(f"n = {size}", swatch(ordered_style(k, len(sizes)))) for k, size in enumerate(sizes)]
    caption = join(
        "The share of graphs of which every hint has been right so far (numbers aside, which no network hits exactly), "
        "against step, all seeds together; a graph that ended without an error stays. A steep fall at the start means "
        "a step that is hard in itself; a long slope, errors that come with length. An answer can still be right after "
        "an error on the way.",
    )
    header = ("algorithm", "network", "n", "rollouts", "never wrong (%)", "median first error", "earliest")
    numbers = table(header, rows, "First errors", words=(0, 1))
    return figure(groups.items(), caption, legend(entries), details("Every number of this figure", numbers))


def first_errors(cell: Cell) -> list[int | None]:
    """The first step at which a hint was wrong, of every graph and seed; None = never."""
    return [step for entry in cell.entries for step in entry.get("first_error") or ()]


def _earliest(wrong: Sequence[int]) -> str:
    return f"step {wrong[0]:,} ({wrong.count(wrong[0]):,} of them)" if wrong else NOTHING


def _longest(cell: Cell) -> int:
    steps = [step for step in first_errors(cell) if step is not None]
    most = [entry.get("steps_max") for entry in cell.entries]
    return max([1, *steps, *(int(value) for value in most if value is not None and known(value))])


def survival(steps: Sequence[int | None], length: int, corners: bool = True) -> list[tuple[float, float]]:
    """(step, share of graphs without an error up to and with it), from step 0 on; with `corners`, as stairs."""
    total, left = len(steps), len(steps)
    points = [(0.0, 1.0)]
    for step in sorted({step for step in steps if step is not None}):
        if corners:
            points.append((float(step), left / total))
        left -= steps.count(step)
        points.append((float(step), left / total))
    return [*points, (float(length), left / total)]
