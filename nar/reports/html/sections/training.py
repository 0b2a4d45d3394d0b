"""How the training went, run by run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nar.reports.html.axis import linear_axis, log_axis, percent_axis, step_axis
from nar.reports.html.chart import Chart
from nar.reports.html.context import View, chunks, part
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    Panel,
    details,
    figure,
    known,
    number,
    percent,
    table,
)
from nar.reports.html.legend import legend, rule_swatch, swatch
from nar.results.study import Run
from nar.text_format import duration

_POINTS = 120  # of a training curve


def section(view: View) -> Markup | None:
    """Loss and validation against the training step, for everything trained on the same algorithms."""
    groups: dict[str, list[Run]] = {}
    for run in view.study.runs:
        if any(known(row.get("loss")) or known(row.get("validation_score")) for row in run.metrics):
            groups.setdefault("+".join(run.algorithms), []).append(run)
    if not groups:
        return None
    shown, marked = [], False
    for name, runs in groups.items():
        panels = []
        labels = list(dict.fromkeys(run.label for run in runs))
        portions = chunks(labels, 4)
        for index, portion in enumerate(portions):
            chosen = [run for run in runs if run.label in portion]
            single = len(chosen) == 1
            panels.append(_loss_panel(view, chosen, name, index, len(portions)))
            panel = _validation_panel(view, chosen, part("validation score (%)", index, len(portions)), name)
            if panel is not None:
                panels.append(panel)
                marked |= single and known(chosen[0].results["run"].get("best_step"))
        shown.append((name, panels))
    entries = [
        (label, swatch(view.styles[label])) for label in view.labels if any(r.label == label for r in view.study.runs)
    ]
    if marked:
        entries.append(("selected step", rule_swatch()))
    caption = (
        "One line per run, so per seed; losses are running medians. The validation score alone decides which weights "
        "are kept: what was evaluated is not the end of a line but its highest point."
    )
    return figure(shown, caption, legend(entries), details("Every number of this figure", _curves_table(view)))


def _loss_panel(view: View, runs: Sequence[Run], of: str, index: int, count: int) -> Panel:
    lines = [
        (run, _median([(row["step"], row["loss"]) for row in run.metrics if known(row.get("loss"))])) for run in runs
    ]
    found = [value for _, line in lines for _, value in line]
    positive = [value for value in found if value > 0]
    wide = len(positive) > 0.9 * len(found) and max(positive, default=1) > 5 * min(positive, default=1)
    y = log_axis("training loss (log scale)", positive) if wide else linear_axis("training loss", found)
    chart = Chart(step_axis(_last(runs), "training step", first=0), y)
    for run, line in lines:
        kept = [(step, value) for step, value in line if value > 0 or not wide]
        chart.line(kept, view.styles[run.label], faint=len(runs) > 2, markers=False)
        chart.tell(f"{run.label}, seed {run.seed}", kept)
    _selected(chart, runs)
    return chart.panel(part(y.label, index, count), of)


def _validation_panel(view: View, runs: Sequence[Run], title: str, of: str) -> Panel | None:
    lines = [
        (
            run,
            [(float(r["step"]), float(r["validation_score"])) for r in run.metrics if known(r.get("validation_score"))],
        )
        for run in runs
    ]
    found = [value for _, line in lines for _, value in line]
    if not found:
        return None
    chart = Chart(step_axis(_last(runs), "training step", first=0), percent_axis("validation score (%)", found))
    for run, line in lines:
        shown = [(step, 100 * value) for step, value in line]
        chart.line(shown, view.styles[run.label], faint=len(runs) > 2, markers=False)
        chart.tell(f"{run.label}, seed {run.seed}", shown, "%")
    _selected(chart, runs)
    return chart.panel(title, of)


def _selected(chart: Chart, runs: Sequence[Run]) -> None:
    best = runs[0].results["run"].get("best_step")
    if len(runs) == 1 and known(best) and runs[0].results["run"].get("best_validation") is not None:
        chart.rule(best)


def _last(runs: Sequence[Run]) -> int:
    return max((int(row["step"]) for run in runs for row in run.metrics), default=1)


def _median(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Running medians of a noisy line, at most _POINTS of them."""
    window = max(1, math.ceil(len(line) / _POINTS))
    portions = [line[k : k + window] for k in range(0, len(line), window)]
    return [(float(portion[-1][0]), statistics.median(value for _, value in portion)) for portion in portions]


def _curves_table(view: View) -> Markup:
    """What the curves begin with, and what they reach."""
    rows = []
    for run in view.study.runs:
        losses = [float(row["loss"]) for row in run.metrics if known(row.get("loss"))]
        scores = [float(row["validation_score"]) for row in run.metrics if known(row.get("validation_score"))]
        ends = [number(losses[k]) if losses else NOTHING for k in (0, -1)]
        shares = [percent(scores[0]), percent(max(scores)), percent(scores[-1])] if scores else [NOTHING] * 3
        rows.append(("+".join(run.algorithms), run.label, str(run.seed), *ends, *shares))
    header = ("algorithm", "network", "seed", "first loss", "last loss", "first validation (%)", "best (%)", "last (%)")
    return table(header, rows, "Training curves", words=(0, 1))


def runs_table(view: View) -> Markup:
    """One row per run."""
    rows = []
    for run in view.study.runs:
        made = run.results["run"]
        selected = f"{made['best_step']:,}" if made.get("best_validation") is not None else NOTHING
        sizes = {name: ", ".join(map(str, made["train_sizes"].get(name, ()))) for name in run.algorithms}
        same = len(set(sizes.values())) == 1
        trained = next(iter(sizes.values()), NOTHING) if same else "; ".join(f"{k} {v}" for k, v in sizes.items())
        validated = sorted({str(size) for size in (made.get("validation_size") or {}).values()}, key=int)
        steps = f"{made['steps']:,}" + (
            f" of {made['steps_planned']:,}" if made["steps"] < made["steps_planned"] else ""
        )
        rows.append((
            "+".join(run.algorithms), run.label, str(run.seed), number(made.get("parameters")), steps, selected,
            percent(made.get("best_validation")), duration(made.get("train_seconds")), trained, ", ".join(validated),
        ))  # fmt: skip
    header = (
        "algorithm", "network", "seed", "parameters", "steps", "selected", "validation (%)", "time", "n trained on",
        "n validated",
    )  # fmt: skip
    return table(header, rows, "Every run", words=(0, 1, 8))
