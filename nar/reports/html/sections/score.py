"""Score, whole graphs right and validity against size, for every algorithm; and the table of all results."""

from __future__ import annotations

from collections.abc import Sequence

from nar.reports.html.axis import Axis, linear_axis, log_axis, percent_axis, size_axis
from nar.reports.html.chart import Chart
from nar.reports.html.context import (
    View,
    chunks,
    interval,
    is_share,
    mean_written,
    part,
    seeds_written,
    trained_of,
    values,
    written,
)
from nar.reports.html.elements import NOTHING, Markup, Panel, details, element, figure, join, known, number, table
from nar.reports.html.legend import legend, mark_swatch, shade_swatch, swatch
from nar.results import published
from nar.results.published import Score
from nar.results.study import Cell

_NAMES = {"score": "node score", "exact": "exact graphs", "valid": "valid answers"}
_SPREAD = 5.0  # units between labels at one size, so that bars and dots do not cover each other


def section(view: View) -> Markup | None:
    """The figure and its tables; None where nothing was evaluated."""
    if not view.cells:
        return None
    groups, marked = [], []
    for algorithm in view.algorithms:
        panels = []
        for name in ("score", "exact", "valid"):
            made, used = _panels(view, algorithm, name)
            panels += made
            marked += used
        groups.append((algorithm, panels))
    entries = [
        (label, swatch(view.styles[label]))
        for label in view.labels
        if any(view.plain(a, label) for a in view.algorithms)
    ]
    if any(view.trained(algorithm) for algorithm in view.algorithms):
        entries.append(("sizes trained on", shade_swatch()))
    if marked:
        entries.append(("published score", mark_swatch()))
    return join(
        element(
            "p", "How well the networks execute an algorithm on graphs larger than those that they were trained on."
        ),
        figure(
            groups,
            _caption(view, bool(marked)),
            legend(entries),
            details("Every number of this figure, seed by seed", results_table(view)),
            _published_table(view),
            most=120,
        ),
    )


def _caption(view: View, marked: bool) -> Markup:
    several = any(len(cell.seeds) > 1 for cell in view.cells)
    seeds = (
        "Lines join means over seeds, pale bars are 95% intervals of the mean, rings are single seeds. "
        if several
        else "One seed each, so there is no interval. "
    )
    return join(
        seeds,
        "The node score is the mean over the algorithm's outputs, where a pointer counts only if it is exactly the "
        "right node, and a mask by its F1. Exact graphs are those with every output of every node right. ",
        "Valid answers are right if ties may be broken in another way. "
        if any(values(cell, "valid") for cell in view.cells)
        else "",
        f"{_ended(view.termination)} ",
        "Diamonds are scores printed in the literature, from the canonical test set, with their printed spread. "
        if marked
        else "",
        "Percent axes begin above 0 where nothing lies below.",
    )


def _ended(termination: str) -> str:
    if termination == "oracle":
        return "The number of steps is told to the model (the oracle termination of CLRS)."
    return f"Rollouts end by {termination.replace('_', ' ')}."


def _panels(view: View, algorithm: str, name: str) -> tuple[list[Panel], list[Score]]:
    """The panels of one quantity, as many as the labels need, and the published numbers in them."""
    labels = [
        label for label in view.labels_of(algorithm) if any(values(cell, name) for cell in view.plain(algorithm, label))
    ]
    if not labels:
        return [], []
    cells = [cell for label in labels for cell in view.plain(algorithm, label)]
    share = all(is_share(cell, name) for cell in cells)
    found = [value for cell in cells for _, value in values(cell, name)]
    if name == "score" and share:
        found += [score.mean / 100 for cell in cells for score in _published(cell)]
    trained, used = view.trained_by_all(algorithm), []
    y = percent_axis(f"{_NAMES[name]} (%)", found) if share else _error_axis(found)
    made = []
    portions = chunks(labels)
    for index, portion in enumerate(portions):
        chart = Chart(size_axis([*view.sizes(algorithm), *trained[:1], *trained[-1:]]), y)
        if trained:
            chart.shade(trained[0], trained[-1])
        for place, label in enumerate(portion):
            shift = (place - (len(portion) - 1) / 2) * min(_SPREAD, 24 / len(portion))
            _series(chart, view, view.plain(algorithm, label), name, label, shift, 100.0 if share else 1.0)
            if name == "score" and share:
                used += _marks(chart, view, algorithm, label, shift)
        made.append(chart.panel(part(y.label if share else "node score", index, len(portions)), algorithm))
    return made, used


def _error_axis(found: Sequence[float]) -> Axis:
    positive = [value for value in found if value > 0]
    label = "score with an error in it: lower is better"
    wide = len(positive) == len(found) and max(positive) > 20 * min(positive)
    return log_axis(label, found) if wide else linear_axis(label, found)


def _series(
    chart: Chart, view: View, cells: Sequence[Cell], name: str, label: str, shift: float, factor: float
) -> None:
    """Line through the means, bars, and every seed as a dot."""
    style, means = view.styles[label], []
    for cell in cells:
        found = interval(cell, name)
        if found is not None:
            means.append((cell.size, factor * found.mean))
    chart.line(means, style, markers=False, shift=shift)
    for cell in cells:
        found, seeds = interval(cell, name), values(cell, name)
        if found is None:
            continue
        if found.low is not None and found.high is not None:
            chart.interval(cell.size, factor * found.low, factor * found.high, style, shift)
            points = [(cell.size, factor * value) for _, value in seeds]
            titles = [f"{label}, n = {cell.size}, seed {seed}: {factor * value:.2f}" for seed, value in seeds]
            chart.dots(points, style, small=True, shift=(shift, 0.0), titles=titles)
        title = f"{label}, n = {cell.size}: {written(cell, name)}"
        chart.dots([(cell.size, factor * found.mean)], style, shift=(shift, 0.0), titles=[title])
    chart.tell(label, means, "%" if factor == 100.0 else "")


def _marks(chart: Chart, view: View, algorithm: str, label: str, shift: float) -> list[Score]:
    """Published scores of the same algorithm and processor on the same set of graphs."""
    used = []
    for cell in view.plain(algorithm, label):
        for score in _published(cell):
            title = f"published, {score.method} on {algorithm}: {score} ({score.source.short})"
            chart.mark(cell.size, score.mean, score.spread, title, view.styles[label], shift)
            chart.sentences.append(f"Published for {score.method}: {score} ({score.source.short}).")
            used.append(score)
    return used


def _published(cell: Cell) -> list[Score]:
    """What is printed for the processor of a cell on the very data of the cell."""
    processors = {run.results["run"]["processor"] for run in cell.runs}
    if cell.data.get("set") is None:
        return []
    found = published.scores(cell.algorithm, benchmark=cell.data["set"])
    return [score for score in found if score.processor in processors]


def results_table(view: View) -> Markup:
    """One row per algorithm, label and size."""
    rows = []
    for algorithm, label in view.pairs():
        for cell in view.plain(algorithm, label):
            trained = sorted({size for run in cell.runs for size in trained_of(run, algorithm)})
            times = f"{cell.size / trained[-1]:.3g}x" if trained else NOTHING
            steps = [cell.entries[0].get(name) for name in ("steps_mean", "steps_max")]
            needed = "/".join(number(value) for value in steps if known(value))
            rows.append((
                algorithm, label, str(cell.size), times, written(cell), seeds_written(cell), written(cell, "exact"),
                written(cell, "valid"), f"{cell.samples:,}", needed,
                ", ".join(map(str, cell.seeds)),
            ))  # fmt: skip
    header = (
        "algorithm", "network", "n", "extrapolation", "score (%)", "every seed", "exact (%)", "valid (%)", "graphs",
        "steps (mean/most)", "seeds",
    )  # fmt: skip
    return table(header, rows, "Scores of every algorithm, label and size", words=(0, 1))


def at_a_glance(view: View) -> Markup | None:
    """Means at every size, one row per algorithm and label, with the interval at the headline size."""
    pairs = view.pairs()
    if not pairs:
        return None
    sizes = sorted({cell.size for cell in view.cells})
    if len(sizes) > 8:
        headlines = {view.headline(algorithm) for algorithm in view.algorithms}
        kept = {sizes[0], sizes[-1], *headlines, *sizes[:: -(-len(sizes) // 6)]}
        sizes = [size for size in sizes if size in kept]
    rows = []
    for algorithm, label in pairs:
        cells = [view.at(algorithm, label, size) for size in sizes]
        rows.append((algorithm, label, *(_glance(view, algorithm, cell) for cell in cells)))
    header = ("algorithm", "network", *(f"n = {size}" for size in sizes))
    return table(header, rows, "Node score at every size", words=(0, 1))


def _glance(view: View, algorithm: str, cell: Cell | None) -> Markup | str:
    if cell is not None and cell.size == view.headline(algorithm):
        return element("strong", written(cell))
    return mean_written(cell)


def _published_table(view: View) -> Markup | None:
    """Everything printed for these algorithms on the sets that were evaluated, other networks included."""
    sets = {(cell.algorithm, cell.data.get("set")): cell.size for cell in view.cells if cell.data.get("set")}
    lines = []
    for (algorithm, name), size in sets.items():
        for score in published.scores(algorithm, benchmark=name):
            source = score.source
            link = (
                element("a", source.short, href=source.url)
                if (source.url or "").startswith("https://")
                else source.short
            )
            spread = f" ± {score.spread:.2f}" if score.spread is not None else ""
            seeds = str(score.seeds) if score.seeds else NOTHING
            lines.append(
                (algorithm, score.method, str(size), f"{score.mean:.2f}{spread}", seeds, name, link, score.remark)
            )
    if not lines:
        return None
    header = ("algorithm", "network", "n", "score (%)", "seeds", "test set", "source", "remark")
    numbers = table(header, lines, "Published scores", words=(0, 1, 5, 6, 7))
    return details("What papers print for these algorithms and test sets, with sources", numbers)
