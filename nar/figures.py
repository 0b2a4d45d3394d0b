"""The pictures of a report, drawn from the dicts of results.json and metrics.jsonl; every function returns a Figure.

Drawn for a phone: 4.8 inches wide, type of 9 points and more, panels below each other, legends above the axes so that
they cover no data. Colours are Okabe and Ito's, which colour-blind readers tell apart; every series has a marker or
a dash pattern of its own as well. matplotlib's Figure is used without pyplot: no window, no global state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]  # one run, as read from its results.json

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
_SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)  # yellow is too faint for a line on white
_MARKERS = "osD^vPX"
_DOTTED = (0, (1, 1.5))
_WIDTH = 4.8  # inches; at 250 dots per inch 1200 pixels, three per point of a phone's screen
_LABELS = {"mse": "error (MSE)", "f1": "F1 (%)", "accuracy": "accuracy (%)"}
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
}

ERROR_METRICS = frozenset({"mse"})  # lower is better, no upper bound: never on one axis with accuracies


def score_against_size(runs: Sequence[Results], published: Mapping[str, Any] | None = None) -> Figure:
    """Score and exact match against the number of nodes, one panel for each (algorithm, processor) among `runs`.

    Runs that differ in the seed alone share a panel: each seed is a thin line, their mean a thick one. `published`
    (nar/published.json) adds the score printed in the literature for that algorithm and processor, where there is one.
    """
    panels: dict[tuple[str, str], list[Results]] = {}
    for run in runs:
        for algorithm in dict.fromkeys(e["algorithm"] for e in run["evaluations"]):
            panels.setdefault((algorithm, run["run"]["processor"]), []).append(run)

    with _style():
        figure, axes = _panels(len(panels), height=2.9)
        handles: dict[str, Any] = {}
        for axis, ((algorithm, processor), members) in zip(axes, panels.items(), strict=True):
            if len(panels) > 1:
                axis.set_title(f"{algorithm}, {processor}")
            trained = [size for run in members for size in run["run"]["train_sizes"]]
            shade = axis.axvspan(min(trained), max(trained), color="#EFEFEF", zorder=0, lw=0)
            rows = [[e for e in run["evaluations"] if e["algorithm"] == algorithm] for run in members]
            for name, key, color, marker in (
                ("node score", "score", BLUE, "o"),
                ("exact graphs", "exact", ORANGE, "s"),
            ):
                curves = [sorted((e["size"], 100 * e[key]) for e in row if is_percent(e, key)) for row in rows]
                handles |= _with_seeds(axis, curves, name, color, marker)
            evaluations = [e for row in rows for e in row]
            handles["sizes trained on"] = shade
            handles |= _published_mark(axis, algorithm, processor, published, evaluations)
            _size_axis(axis, trained, evaluations)
            axis.set_ylim(-4, 104)
            axis.set_ylabel("score (%)")
        _legend_above(figure, handles)
    return figure


def hints_against_step(evaluations: Sequence[Mapping[str, Any]]) -> Figure:
    """Score of every hint at every step of the rollout, one panel per hint, one line per size, for one algorithm.

    A line becomes dotted where fewer than half of the graphs are still running: there it rests on few samples.
    """
    evaluations = sorted((e for e in evaluations if e["hints"]), key=lambda e: e["size"])
    names = list(dict.fromkeys(name for e in evaluations for name in e["hints"]))
    longest = [len(hint["per_step"]) for e in evaluations for hint in e["hints"].values()]
    logarithmic = max(longest) > 8 * max(1, min(longest))
    low = _lower_limit(evaluations)

    with _style():
        figure, axes = _panels(len(names), height=1.75)
        handles: dict[str, Any] = {}
        few_anywhere = False
        for axis, name in zip(axes, names, strict=True):
            metric = next(e["hints"][name]["metric"] for e in evaluations if name in e["hints"])
            error = metric in ERROR_METRICS
            axis.set_title(name)
            axis.set_ylabel(_LABELS.get(metric, str(metric)))
            floor = _floor(v for e in evaluations for v in e["hints"].get(name, {}).get("per_step", ()))
            for index, e in enumerate(evaluations):
                if name in e["hints"]:
                    hint = e["hints"][name]
                    y = np.array([math.nan if v is None else v for v in hint["per_step"]], dtype=float)
                    y = np.maximum(y, floor) if error else 100 * y
                    line, dotted = _step_line(axis, y, hint["live"], index, logarithmic)
                    handles.setdefault(f"n = {e['size']}", line)
                    few_anywhere |= dotted
            if error:
                _log_axis(axis, "y")
            else:
                axis.set_ylim(low - 0.04 * (100 - low), 100 + 0.04 * (100 - low))
            if logarithmic:
                _log_axis(axis, "x")
            else:
                _whole_steps(axis)
        figure.supxlabel("step of the algorithm" + (" (log scale)" if logarithmic else ""), fontsize=10)
        if few_anywhere:
            (handles["under half running"],) = axes[0].plot([], [], color="#555555", lw=1.2, ls=_DOTTED)
        _legend_above(figure, handles)
    return figure


def measures(
    evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]] = (), best_step: int | None = None
) -> Figure:
    """What a processor says of itself (Step.notes.measure): against the step of the rollout, and over the training.

    Two panels for each measure, the second one, on validation graphs, where metrics.jsonl has a column for it. Both
    have one range, from zero unless there are values below.
    """
    evaluations = sorted((e for e in evaluations if e.get("measures")), key=lambda e: e["size"])
    names = list(dict.fromkeys(name for e in evaluations for name in e["measures"]))
    trained = {name: [(r["step"], r[name]) for r in metrics if r.get(name) is not None] for name in names}
    longest = [len(steps) for e in evaluations for steps in e["measures"].values()]
    logarithmic = max(longest) > 8 * max(1, min(longest))

    with _style():
        figure, axes = _panels(len(names) + sum(map(bool, trained.values())), height=2.1)
        handles: dict[str, Any] = {}
        few_anywhere, left = False, iter(axes)
        for name in names:
            axis = next(left)
            along = axis
            axis.set_title(f"{name}, along the rollout")
            axis.set_xlabel("step of the algorithm" + (" (log scale)" if logarithmic else ""))
            values = [value for _, value in trained[name]]
            for index, e in enumerate(evaluations):
                if name in e["measures"]:
                    y = np.array(e["measures"][name], dtype=float)
                    values += list(y)
                    line, dotted = _step_line(axis, y, _live(e, len(y)), index, logarithmic)
                    handles.setdefault(f"n = {e['size']}", line)
                    few_anywhere |= dotted
            if logarithmic:
                _log_axis(axis, "x")
            else:
                _whole_steps(axis)
            if trained[name]:
                axis = next(left)
                axis.set_title(f"{name}, over the training")
                axis.set_xlabel("training step")
                marker = "s" if len(trained[name]) < 30 else None
                (handles["validation"],) = axis.plot(
                    *zip(*trained[name], strict=True), color=BLACK, marker=marker, ms=3.5
                )
                if best_step is not None:
                    handles["selected step"] = axis.axvline(
                        best_step, color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1
                    )
                _whole_steps(axis)
            low, high = min([0.0, *values]), max([0.0, *values])
            margin = 0.06 * ((high - low) or 1.0)
            for each in {along, axis}:
                each.set_ylim(low - (margin if low < 0 else margin / 3), high + margin)
        if few_anywhere:
            (handles["under half running"],) = axes[0].plot([], [], color="#555555", lw=1.2, ls=_DOTTED)
        _legend_above(figure, handles)
    return figure


def training(metrics: Sequence[Mapping[str, Any]], best_step: int | None = None) -> Figure:
    """Training loss above, validation score below, against the training step; the selected step is marked in both."""
    loss = [(row["step"], row["loss"]) for row in metrics if row.get("loss") is not None]
    validation = [(r["step"], 100 * r["validation_score"]) for r in metrics if r.get("validation_score") is not None]

    with _style():
        figure, axes = _panels(2 if validation else 1, height=2.0)
        handles: dict[str, Any] = {}
        x, y = np.array(loss, dtype=float).reshape(-1, 2).T
        window = max(1, len(y) // 40)
        (handles["loss"],) = axes[0].plot(x, y, color=SKY, lw=0.8, alpha=0.7 if window > 1 else 1.0)
        if window > 1:
            (handles[f"median of {window}"],) = axes[0].plot(x, _running_median(y, window), color=BLUE)
        if np.all(y > 0) and max(y) > 5 * min(y):
            _log_axis(axes[0], "y")
        axes[0].set_ylabel("training loss")
        if validation:
            x, y = np.array(validation, dtype=float).T
            (handles["validation"],) = axes[1].plot(x, y, color=GREEN, marker="o" if len(y) < 30 else None, ms=3.5)
            low = np.nanmin(y) if np.isfinite(y).any() else 0.0
            axes[1].set_ylim(low - 0.05 * (100 - low) - 0.1, 100 + 0.05 * (100 - low) + 0.1)
            axes[1].set_ylabel("validation (%)")
        if best_step is not None:
            for axis in axes:
                handles["selected step"] = axis.axvline(best_step, color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1)
        for axis in axes:
            _whole_steps(axis)
        figure.supxlabel("training step", fontsize=10)
        _legend_above(figure, handles)
    return figure


def is_percent(evaluation: Mapping[str, Any], key: str = "score") -> bool:
    """Whether this value is there and a share of 1; a score that contains an error is not."""
    errors = any(output["metric"] in ERROR_METRICS for output in evaluation["outputs"].values())
    return evaluation[key] is not None and not (key == "score" and errors)


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """`count` axes below each other, each of the given height in inches, with room for a legend above."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, count * height + 0.7), dpi=250, layout="constrained")
    return figure, [figure.add_subplot(count, 1, index + 1) for index in range(count)]


def _with_seeds(axis: Axes, curves: Sequence[Sequence[tuple]], name: str, color: str, marker: str) -> dict[str, Any]:
    """One curve, or every seed's curve thinly and their mean thickly; returns what belongs into the legend."""
    curves = [curve for curve in curves if curve]
    if len(curves) == 1:
        (line,) = axis.plot(*zip(*curves[0], strict=True), color=color, marker=marker, zorder=3)
        return {name: line}
    handles = {}
    for curve in curves:
        x, y = zip(*curve, strict=True)
        (handles[f"{name}, one seed"],) = axis.plot(x, y, color=color, marker=marker, ms=3, lw=0.7, alpha=0.55)
    sizes = sorted({size for curve in curves for size, _ in curve})
    means = [np.mean([y for curve in curves for x, y in curve if x == size]) for size in sizes]
    if curves:
        (handles[f"{name}, mean"],) = axis.plot(sizes, means, color=color, lw=2.2, zorder=3)
    return handles


def _published_mark(
    axis: Axes, algorithm: str, processor: str, published: Mapping[str, Any] | None, evaluations: Sequence[Any]
) -> dict[str, Any]:
    """An open diamond around our point; nothing where the literature has no score on a set that we evaluated."""
    sizes = [e["size"] for e in evaluations if published and e["data"]["set"] == published["set"]]
    if published is None or not sizes:
        return {}
    for row in published["scores"]:
        if (row["algorithm"], row["processor"]) == (algorithm, processor):
            mark = axis.errorbar(
                sizes[0], row["mean"], yerr=row["spread"], fmt="D", ms=8, mfc="none", mec=BLACK, ecolor=BLACK,
                elinewidth=1, capsize=3, zorder=4, clip_on=False,
            )  # fmt: skip
            return {published["short"]: mark}
    return {}


def _size_axis(axis: Axes, trained: Sequence[int], evaluations: Iterable[Mapping[str, Any]]) -> None:
    """log2 axis with a tick at every size evaluated, and under it how many graphs the score is a mean of."""
    samples: dict[int, set[int]] = {}
    for e in evaluations:
        samples.setdefault(e["size"], set()).add(e["samples"])
    sizes = sorted(samples)
    axis.set_xscale("log", base=2)
    axis.minorticks_off()
    labels, previous = [], -math.inf
    span = math.log2(max(sizes[-1], max(trained)) / min(sizes[0], min(trained))) or 1.0
    for size in sizes:
        counts = "-".join(f"{n:,}" for n in (min(samples[size]), max(samples[size]))[: len(samples[size])])
        crowded = (math.log2(size) - previous) / span < 0.09  # 64 beside 80: the second label goes below the first
        labels.append(("\n\n" if crowded else "") + f"{size}\n({counts})")
        previous = -math.inf if crowded else math.log2(size)
    axis.set_xticks(sizes, labels)
    axis.set_xlabel("nodes n, log scale (in brackets: graphs evaluated)")


def _step_line(axis: Axes, y: np.ndarray, live: Sequence[int], index: int, logarithmic: bool) -> tuple[Any, bool]:
    """One size's line; dotted (and True) from the first step at which fewer than half of the graphs are running."""
    color, marker = _SERIES[index % len(_SERIES)], _MARKERS[index % len(_MARKERS)]
    step = np.arange(1, len(y) + 1)
    few = next((s for s, count in enumerate(live) if 2 * count < live[0]), len(y))
    if few < len(y):
        axis.plot(step[max(0, few - 1) :], y[max(0, few - 1) :], color=color, lw=1.2, ls=_DOTTED)
    places = np.geomspace(1, max(1, len(y)), 12) if logarithmic else np.linspace(1, len(y), min(12, len(y)))
    spots = sorted({int(place) - 1 for place in places if place <= few})  # a dozen markers, evenly over the axis
    (line,) = axis.plot(step[:few], y[:few], color=color, marker=marker, markevery=spots, ms=4)
    return line, few < len(y)


def _live(evaluation: Mapping[str, Any], steps: int) -> Sequence[int]:
    """How many graphs are running at each of the first `steps` steps, as far as the hints say."""
    known = next((hint["live"] for hint in evaluation["hints"].values()), [])
    return [*known[:steps], *[known[-1] if known else evaluation["samples"]] * (steps - len(known))]


def _whole_steps(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _log_axis(axis: Axes, which: str) -> None:
    """A log axis labelled in plain numbers, at 1, 2 and 5 where it is too short for powers of ten alone."""
    from matplotlib.ticker import LogLocator, NullLocator

    (axis.set_xscale if which == "x" else axis.set_yscale)("log")
    low, high = axis.get_xlim() if which == "x" else axis.get_ylim()
    scale = axis.xaxis if which == "x" else axis.yaxis
    scale.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(
        lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:.0e}" if value < 1e-3 else f"{value:g}"
    )


def _lower_limit(evaluations: Sequence[Mapping[str, Any]]) -> float:
    """Where the percent axes of the hints begin; the same for all, so that panels can be compared."""
    scores = [
        100 * value
        for e in evaluations
        for hint in e["hints"].values()
        if hint["metric"] not in ERROR_METRICS
        for value in hint["per_step"]
        if value is not None
    ]
    return max((limit for limit in (50.0, 80.0, 90.0) if scores and limit <= min(scores)), default=0.0)


def _floor(values: Iterable[float | None]) -> float:
    """Where to draw an error of exactly 0 on a log axis: a decade below the smallest other value."""
    positive = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    return min(positive) / 10 if positive else 1e-8


def _running_median(y: np.ndarray, window: int) -> np.ndarray:
    half = window // 2
    return np.array([np.nanmedian(part) if np.isfinite(part).any() else math.nan
                     for part in (y[max(0, i - half) : i + half + 1] for i in range(len(y)))])  # fmt: skip


def _legend_above(figure: Figure, handles: Mapping[str, Any]) -> None:
    columns = 2 if len(handles) in (2, 4) or max(map(len, handles)) >= 20 else 3
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=min(columns, len(handles)),
        handlelength=2.2, columnspacing=1.4, borderaxespad=0.2,
    )  # fmt: skip
