"""How the training went, run by run."""

import math
import statistics
from collections.abc import Sequence

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import Axis, linear_axis, log_axis, percent_axis, step_axis
from nar.reports.charts.chart import Chart, Panel, Point
from nar.reports.charts.shapes import RULE_SWATCH
from nar.reports.context import ReportContext, portions
from nar.reports.number_format import NOTHING, known, number, percent
from nar.results.study import StoredRun, grouped

_POINTS = 120  # of a curve of losses


def section(context: ReportContext) -> Section | None:
    """Loss and validation against the training step, for everything trained on the same algorithms."""
    recorded = [run for run in context.study.runs if column(run, "loss") or column(run, "validation_score")]
    if not recorded:
        return None
    groups, panels = grouped(recorded, lambda run: run.title), []
    for name, runs in groups.items():
        for part, portion in portions("", list(dict.fromkeys(run.label for run in runs)), 4):
            panels += _panels(context, [run for run in runs if run.label in portion], name, part)
    marked = any(_selected(runs) is not None for runs in groups.values())
    legend = context.legend(run.label for run in context.study.runs) + [("selected step", RULE_SWATCH)] * marked
    caption = (
        "One line per run, so per seed; losses are running medians. The validation score alone decides which weights "
        "are kept: what was evaluated is not the end of a line but its highest point."
    )
    figure = Figure("training", panels, caption, legend, [_curves_table(context)])
    return Section("training", "Training", [figure])


def _panels(context: ReportContext, runs: Sequence[StoredRun], of: str, part: str) -> list[Panel]:
    """Losses, and validation scores where there are some."""
    losses = [_medians(column(run, "loss")) for run in runs]
    found = [value for line in losses for _, value in line]
    positive = [value for value in found if value > 0]
    wide = len(positive) > 0.9 * len(found) and max(positive, default=1) > 5 * min(positive, default=1)
    y = log_axis("training loss (log scale)", positive) if wide else linear_axis("training loss", found)
    losses = [[point for point in line if point[1] > 0 or not wide] for line in losses]
    panels = [curves_panel(context, runs, losses, y, f"{y.label}{part}", of)]
    scores = [column(run, "validation_score") for run in runs]
    if any(scores):
        y = percent_axis("validation score (%)", [value for line in scores for _, value in line])
        in_percent = [[(step, 100 * value) for step, value in line] for line in scores]
        panels.append(curves_panel(context, runs, in_percent, y, f"{y.label}{part}", of))
    return panels


def curves_panel(
    context: ReportContext, runs: Sequence[StoredRun], lines: Sequence[Sequence[Point]], y: Axis, title: str, of: str
) -> Panel:
    """One line per run; of a single one, the selected step is marked."""
    last = max((int(row["step"]) for run in runs for row in run.metrics), default=1)
    chart = Chart(step_axis([last], 0, "training step"), y)
    for run, line in zip(runs, lines, strict=True):
        chart.line(line, context.styles[run.label], faint=len(runs) > 2)
        chart.tell(f"{run.label}, seed {run.seed}", line)
    if (best := _selected(runs)) is not None:
        chart.rule(best)
    return chart.panel(title, of)


def _selected(runs: Sequence[StoredRun]) -> int | None:
    """The step of a single run that was chosen by validation."""
    run = runs[0].results["run"]
    return run["best_step"] if len(runs) == 1 and run["best_validation"] is not None else None


def column(run: StoredRun, name: str) -> list[Point]:
    """(step, value) of one column of a run's metrics, where it is known."""
    return [(float(row["step"]), float(row[name])) for row in run.metrics if known(row.get(name))]


def _medians(line: Sequence[Point]) -> list[Point]:
    """Running medians of a noisy line, at most _POINTS of them."""
    window = max(1, math.ceil(len(line) / _POINTS))
    parts = [line[k : k + window] for k in range(0, len(line), window)]
    return [(part[-1][0], statistics.median(value for _, value in part)) for part in parts]


def _curves_table(context: ReportContext) -> Table:
    """What the curves begin with, and what they reach."""
    rows = []
    for run in context.study.runs:
        losses, scores = ([value for _, value in column(run, name)] for name in ("loss", "validation_score"))
        ends = [number(losses[0]), number(losses[-1])] if losses else [NOTHING] * 2
        shares = [percent(scores[0]), percent(max(scores)), percent(scores[-1])] if scores else [NOTHING] * 3
        rows.append((run.title, run.label, str(run.seed), *ends, *shares))
    header = ("algorithm", "network", "seed", "first loss", "last loss", "first validation (%)", "best (%)", "last (%)")
    return Table("Training curves", header, rows, (0, 1))
