"""Where errors begin: the share of graphs whose rollout has not left the true trace yet, against step."""

from collections.abc import Sequence
from statistics import median_low

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import percent_axis, step_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.context import ReportContext, SizeStyles, by_network
from nar.reports.number_format import NOTHING, known, with_interval
from nar.results.statistics import interval
from nar.results.study import SeedGroup


def section(context: ReportContext) -> Section | None:
    recorded = [group for group in context.groups if _first_errors(group)]
    if not recorded:
        return None
    styles = SizeStyles(recorded)
    panels = [_panel(groups, styles, label, algorithm) for (algorithm, label), groups in by_network(recorded).items()]
    caption = (
        "The share of graphs of which every hint has been right so far (numbers aside, which no network hits exactly), "
        "against step, all seeds together; a graph that ended without an error stays. A steep fall at the start means "
        "a step that is hard in itself; a long slope, errors that come with length. An answer can still be right after "
        "an error on the way."
    )
    header = ("algorithm", "network", "n", "rollouts", "never wrong (%)", "median first error", "earliest", "latest")
    numbers = Table("First errors", header, list(map(_row, recorded)), (0, 1))
    figure = Figure("errors", panels, caption, styles.legend(), [numbers])
    return Section("errors", "Where errors begin", [figure])


def _panel(groups: Sequence[SeedGroup], styles: SizeStyles, title: str, algorithm: str) -> Panel:
    """One line per size."""
    lengths = []
    for group in groups:
        most = [int(entry["steps_max"]) for entry in group.entries if known(entry.get("steps_max"))]
        lengths.append(max([1, *filter(None, _first_errors(group)), *most]))
    axis = step_axis(lengths, first=0)
    chart = Chart(axis, percent_axis("graphs still on the trace (%)", []))
    # where any line has a corner, all of them have one: so it is seen where they coincide
    corners = sorted({*lengths, *(step for group in groups for step in _first_errors(group) if step is not None)})
    for group, length in zip(groups, lengths, strict=True):
        steps, style = _first_errors(group), styles[group.size]
        stairs = [(max(x, axis.low), 100 * share) for x, share in survival(steps, length, at=corners)]
        chart.line(stairs, style)
        chart.dot(stairs[-1], style)
        chart.tell(f"n = {group.size}", [(x, 100 * share) for x, share in survival(steps, length)])
    return chart.panel(title, algorithm)


def _row(group: SeedGroup) -> tuple[str, ...]:
    steps = _first_errors(group)
    wrong = [step for step in steps if step is not None]
    by_seed = [entry["first_error"] for entry in group.entries if entry.get("first_error")]
    never = with_interval(interval([seed.count(None) / len(seed) for seed in by_seed]))
    when = [NOTHING] * 3
    if wrong:
        earliest = f"step {min(wrong):,} ({wrong.count(min(wrong)):,} of them)"
        when = [f"{median_low(wrong):,}", earliest, f"step {max(wrong):,}"]
    return group.algorithm, group.label, str(group.size), f"{len(steps):,}", never, *when


def _first_errors(group: SeedGroup) -> list[int | None]:
    """The first step at which a hint was wrong, of every graph and seed; None = never."""
    return [step for entry in group.entries for step in entry.get("first_error") or ()]


def survival(steps: Sequence[int | None], length: int, at: Sequence[int] = ()) -> list[tuple[float, float]]:
    """(step, share of graphs without an error up to and with it), from step 0 on; as stairs with `at`, the steps at
    which these have corners."""
    total, left = len(steps), len(steps)
    points = [(0.0, 1.0)]
    for step in sorted({step for step in steps if step is not None} | {step for step in at if step < length}):
        if at:
            points.append((float(step), left / total))
        if step in steps:
            left -= steps.count(step)
            points.append((float(step), left / total))
    return [*points, (float(length), left / total)]
