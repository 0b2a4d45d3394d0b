"""The figures of benchmarks/clrs30_report.py, in the style of benchmarks/drawn.py: colours and markers of their own.

Two are of small multiples, a panel for each algorithm that has more than one size.
"""

from __future__ import annotations

import statistics

from clrs30_tables import NAMES, PROTOCOL, SIZES, STEP, Table
from drawn import STYLE, log_axis
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nar import datasets
from nar.results import published
from nar.results.statistics import interval
from nar.traces.drawing.panels import BLACK, BLUE, VERMILLION

SERIES = {PROTOCOL: (BLUE, "s", "Triplet-GMPNN, protocol"), STEP: (VERMILLION, "o", "recipe step")}
PUBLISHED = (BLACK, "D", "published Triplet-GMPNN")
GREY = "#888888"
COLUMNS = 5


def percents(found: Table, name: str, made: tuple[str, str], n: int = 64, what: str = "score") -> list[float]:
    return [100 * value for value in found.values(name, made, n, what).values()]


def legend(figure: Figure, *also) -> None:
    marks = [*SERIES.values(), *also]
    handles = [Line2D([], [], color=color, marker=marker, ls="", ms=5) for color, marker, _ in marks]
    figure.legend(handles, [words for *_, words in marks], loc="outside upper left", ncols=len(marks))


def scores(found: Table) -> Figure:
    """Scores at n = 64, an algorithm a row: means with intervals, every seed, and the published mean."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 7.6), layout="constrained")
        axis = figure.subplots()
        for place, name in enumerate(reversed(NAMES)):
            mark = published.ibarz2022(name, "triplet_gmpnn")[0]
            axis.errorbar(mark.mean, place + 0.22, xerr=mark.spread, color=PUBLISHED[0], marker="D", ms=3.5, lw=1)
            for shift, (made, (color, marker, _)) in zip((0.0, -0.22), SERIES.items(), strict=True):
                values, at = percents(found, name, made), place + shift
                if not values:
                    continue
                axis.plot(values, [at] * len(values), color=color, marker="|", ms=6, ls="", alpha=0.5)
                middle = interval(values)
                if middle.low is not None:
                    axis.plot([middle.low, middle.high], [at, at], color=color, lw=1.2)
                axis.plot(middle.mean, at, color=color, marker=marker, ms=4.5)
        axis.set_yticks(range(len(NAMES)), NAMES[::-1], fontsize=8)
        axis.set_ylim(-0.7, len(NAMES) - 0.3)
        axis.set_xlim(0, 101.5)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("node score at n = 64, %")
        legend(figure, PUBLISHED)
    return figure


def against_size(found: Table, what: str = "score") -> Figure:
    """Score, or whole graphs, against n: small multiples, with a line for the mean and a faint mark for each seed."""
    names = [name for name in NAMES if not datasets.get(name).fixed_nodes]
    many = -(-len(names) // COLUMNS)
    with rc_context(STYLE | {"xtick.labelsize": 7, "ytick.labelsize": 7}):
        figure = Figure(figsize=(8.4, 1.25 * many + 0.7), layout="constrained")
        axes = figure.subplots(many, COLUMNS, sharex=True, sharey=True).ravel()
        for axis, name in zip(axes, names, strict=False):
            drawn = False
            for made, (color, marker, _) in SERIES.items():
                points = [(n, percents(found, name, made, n, what)) for n in (*SIZES, 32)]
                points = sorted((n, values) for n, values in points if values)
                for n, values in points:
                    axis.plot([n] * len(values), values, color=color, marker=".", ms=3, ls="", alpha=0.5)
                if points:
                    x, y = zip(*((n, statistics.fmean(values)) for n, values in points), strict=True)
                    axis.plot(x, y, color=color, marker=marker, ms=3.5, lw=1.2)
                    drawn = True
            if what == "score":
                axis.plot(64, published.ibarz2022(name, "triplet_gmpnn")[0].mean, color=BLACK, marker="D", ms=3)
            if not drawn:
                axis.text(0.78, 0.45, "missing", color=GREY, fontsize=8, ha="center", transform=axis.transAxes)
            axis.set_title(name.replace("strongly_connected_components", "strongly_connected").replace(
                "find_maximum_subarray_kadane", "max_subarray_kadane"), fontsize=7.5)  # fmt: skip
        for axis in axes[len(names) :]:
            axis.set_visible(False)
        axes[0].set_xscale("log", base=2)
        axes[0].set_xlim(13, 630)
        axes[0].set_ylim(-4, 104)
        axes[0].set_xticks([16, 64, 256], ["16", "64", "256"])
        axes[0].minorticks_off()
        words = "node score, %" if what == "score" else "graphs with every output right, %"
        figure.supylabel(words, fontsize=9)
        figure.supxlabel("nodes n (log scale; strings: a quarter more); trained on at most 16", fontsize=9)
        legend(figure, *([PUBLISHED] if what == "score" else []))
    return figure


def cost(found: Table) -> Figure:
    """Seconds of training of a run, every seed, an algorithm a row, and what the protocol would take here."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 6.6), layout="constrained")
        axis = figure.subplots()
        for place, name in enumerate(reversed(NAMES)):
            for made, (color, marker, _) in SERIES.items():
                values = [value / 60 for value in found.values(name, made, name="train_seconds").values()]
                axis.plot(values, [place] * len(values), color=color, marker=marker, ms=4.5, ls="")
            if (estimate := estimated_minutes(name)) is not None:
                axis.plot(estimate, place, color=GREY, marker="x", ms=5)
        axis.set_yticks(range(len(NAMES)), NAMES[::-1], fontsize=8)
        axis.set_ylim(-0.7, len(NAMES) - 0.3)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("minutes of training of one run, one core (log scale)")
        log_axis(axis)
        legend(figure, (GREY, "x", "protocol, estimated"))
    return figure


def estimated_minutes(name: str) -> float | None:
    """Training of one run by the protocol, from a slice of it (clrs30_cost.json)."""
    import clrs30_cost
    import result_files

    rows = result_files.load(clrs30_cost.OUTPUT)["rows"]
    row = next((row for row in rows if row["algo"] == name and row["device"] == "cpu"), None)
    return clrs30_cost.cost_of(row)["training"] / clrs30_cost.SEEDS / 60 if row else None


FIGURES = {
    "scores": scores,
    "score_by_size": against_size,
    "exact_by_size": lambda found: against_size(found, "exact"),
    "cost": cost,
}
