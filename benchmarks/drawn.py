"""The figures of the speed benchmarks, drawn from their result files in the colours of nar/traces/drawing/panels.py.

Readable on a phone: 4.8 inches wide, panels below each other. Colours are Okabe and Ito's, and every series has a
marker of its own, so that no reader depends on colour.
"""

from __future__ import annotations

import math

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from nar.traces.drawing.panels import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION

SERIES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (VERMILLION, "^"), (PURPLE, "v"), (BLACK, "P"))
OURS, THEIRS = (BLUE, "o"), (ORANGE, "s")
WIDTH = 4.8  # inches
STYLE = {
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
}


def save(figure, path):
    with rc_context(STYLE):
        figure.savefig(path, dpi=160)


def plain(value):
    """A number as one reads it: 0.05, 1.5, 20, 1,000."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def log_axis(axis, which="x"):
    """A logarithmic axis with plain numbers, at 1, 2 and 5 where powers of ten alone would be too few."""
    (axis.set_xscale if which == "x" else axis.set_yscale)("log")
    low, high = axis.get_xlim() if which == "x" else axis.get_ylim()
    scale = axis.xaxis if which == "x" else axis.yaxis
    decades = 1.8 if which == "x" else 3  # above, labels at 2 and 5 would be too many
    scale.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 10**decades * low else (1,)))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(lambda value, _: plain(value))


def train_step(result):
    """Ours and dm-clrs's cost of every row, joined by a line and labelled with their ratio, in three panels."""
    rows = sorted(result["rows"], key=lambda row: (row["algo"], row["processor"]))
    training = [row for row in rows if row["what"] == "training step"]
    evaluation = [row for row in rows if row["what"] == "evaluation"]
    panels = [
        ("training step: CPU time, ms", training, "cpu_seconds", 1000, "ratio_cpu"),
        ("training: peak memory, MiB", training, "peak_memory_mb", 1, "ratio_memory"),
        ("evaluation: CPU ms a step", evaluation, "cpu_seconds_per_message_step", 1000, "ratio_cpu"),
    ]
    panels = [panel for panel in panels if panel[1]]
    with rc_context(STYLE):
        heights = [len(rows) + 2.2 for _, rows, *_ in panels]
        figure = Figure(figsize=(WIDTH, 0.5 + 0.2 * sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axis, (title, members, quantity, scale, ratio) in zip(axes, panels, strict=True):
            pairs_panel(axis, members, quantity, scale, ratio)
            sizes = sorted({row["nodes"] for row in members})
            axis.set_title(f"{title} (n = {', '.join(map(str, sizes))})")
        handles = [Line2D([], [], color=color, marker=marker, ls="") for color, marker in (OURS, THEIRS)]
        figure.legend(handles, ["nar", "dm-clrs 2.0.3"], loc="outside upper left", ncols=2)
    return figure


def pairs_panel(axis, rows, quantity, scale, ratio):
    """One line for every row, from ours to dm-clrs's."""
    places = range(len(rows))[::-1]  # the first row on top
    for place, row in zip(places, rows, strict=True):
        ours, theirs = (row[side][quantity] * scale for side in ("ours", "dm_clrs"))
        axis.plot([ours, theirs], [place, place], color="#BBBBBB", lw=1.4, zorder=1)
        for value, (color, marker) in ((ours, OURS), (theirs, THEIRS)):
            axis.plot(value, place, color=color, marker=marker, ms=5.5, zorder=2)
        middle = math.sqrt(ours * theirs)
        axis.text(middle, place + 0.12, f"{row[ratio]:.1f}x", ha="center", va="bottom", fontsize=7.5, color="#444444")
    axis.set_yticks(places, [f"{row['algo']}, {row['processor']}" for row in rows])
    axis.set_ylim(-0.6, len(rows) - 0.25)
    axis.grid(axis="y", visible=False)
    axis.margins(x=0.06)
    log_axis(axis)


def scaling(curves, exponents):
    """Time and memory against n and T, a panel for each that is there, with the fitted exponents in its legend."""
    fitted = {
        tuple(e[name] for name in ("axis", "what", "algo", "processor", "device", "hidden")): e for e in exponents
    }
    panels = []
    for against, what in (("n", "training"), ("n", "evaluation"), ("T", "training"), ("T", "evaluation")):
        keys = [key for key in sorted(curves) if key[:2] == (against, what) and curves[key]["time"]]
        panels += [(quantity, against, what, keys) for quantity in ("time", "memory") if keys]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.2 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axis, (quantity, against, what, keys) in zip(axes, panels, strict=True):
            for (color, marker), key in zip(SERIES, keys, strict=False):
                found = fitted[key]
                x, y = zip(*curves[key][quantity], strict=True)
                y = [value * 1000 for value in y] if quantity == "time" else y
                label = f"{key[3]}{'' if key[4] == 'cpu' else ', ' + key[4]}"
                if found[f"{quantity}_exponent"] is not None:
                    label += f": {against}^{found[f'{quantity}_exponent']:.2f}"
                if found[f"{quantity}_error"] is not None:
                    label += f" ± {found[f'{quantity}_error']:.2f}"
                axis.plot(x, y, color=color, marker=marker, ms=4.5, lw=1.5, label=label)
            unit = (
                "ms per message step" if (quantity, against) == ("time", "n") else "ms" if quantity == "time" else "MiB"
            )
            name = "CPU time" if quantity == "time" and all(key[4] == "cpu" for key in keys) else quantity
            axis.set_title(f"{what}, {keys[0][2]}: {name} ({unit})")
            axis.set_xlabel("nodes n" if against == "n" else "message steps T (mean over the graphs)")
            log_axis(axis, "y")
            axis.set_xscale("log", base=2)
            axis.set_xticks(ticks := sorted({x for key in keys for x, _ in curves[key][quantity]}), map(plain, ticks))
            axis.minorticks_off()
            axis.legend(loc="upper left", handlelength=1.6)
    return figure


def clrs30_cost(result):
    """What the runs of every algorithm cost, by part: a panel for every device and number of stacked seeds."""
    from clrs30_rows import IDENTITY, SEEDS, cost_of
    from traces import CLRS30

    with rc_context(STYLE):
        groups = [[row for row in result["rows"] if same(row, total, IDENTITY[1:])] for total in result["totals"]]
        heights = [len(rows) + 4 for rows in groups]
        figure = Figure(figsize=(WIDTH, 0.6 + 0.17 * sum(heights)), layout="constrained")
        axes = figure.subplots(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
        parts = (("training", BLUE), ("drawing", ORANGE), ("validation", GREEN), ("evaluation", PURPLE))
        for axis, rows, total in zip(axes, groups, result["totals"], strict=True):
            on_cpu = total["device"] == "cpu"
            costs = sorted(((cost_of(row), row["algo"]) for row in rows), key=lambda pair: pair[0]["total"])
            left = [0.0] * len(costs)
            for part, color in parts:
                values = [cost[part] / (3600 if on_cpu else 60) for cost, _ in costs]
                axis.barh(range(len(costs)), values, left=left, color=color, height=0.7)
                left = [a + b for a, b in zip(left, values, strict=True)]
            axis.set_yticks(range(len(costs)), [name for _, name in costs], fontsize=8)
            axis.set_ylim(-0.6, len(costs) - 0.4)
            axis.grid(axis="y", visible=False)
            unit = "CPU-hours" if on_cpu else "GPU-minutes"
            together = f", {total['seeds_together']} seeds together" if total["seeds_together"] > 1 else ""
            whole = plain(total["hours"] if on_cpu else total["minutes"])
            measured = f"{len(rows)} of {len(CLRS30)} algorithms"
            axis.set_title(f"{SEEDS} runs of 10,000 steps, {total['processor']}\n{whole} {unit}, {measured}")
            axis.set_xlabel(f"{unit} ({total['device_name']}){together}")
        figure.legend(
            [Patch(color=color) for _, color in parts], [p for p, _ in parts], loc="outside upper left", ncols=4
        )
    return figure


def same(row, total, names):
    return all(row[name] == total[name] for name in names)
