"""What the figures of a report have in common: colours, type, panels below each other, axes, the legend above them.

Drawn for a phone: 4.8 inches wide, type of 9 points and more, panels below each other, legends above the axes so that
they cover no data. Colours are Okabe and Ito's, which colour-blind readers tell apart; every series has a marker or
a dash pattern of its own as well. matplotlib's Figure is used without pyplot: no window, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]  # one run, as read from its results.json

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)  # yellow is too faint for a line on white
MARKERS = "osD^vPX"
DOTTED = (0, (1, 1.5))
_WIDTH = 4.8  # inches; at 250 dots per inch 1200 pixels, three per point of a phone's screen
LABELS = {"mse": "error (MSE)", "f1": "F1 (%)", "accuracy": "accuracy (%)"}
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


def is_percent(evaluation: Mapping[str, Any], key: str = "score") -> bool:
    """Whether this value is there and a share of 1; a score that contains an error is not."""
    errors = any(output["metric"] in ERROR_METRICS for output in evaluation["outputs"].values())
    return evaluation[key] is not None and not (key == "score" and errors)


def style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """`count` axes below each other, each of the given height in inches, with room for a legend above."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, count * height + 0.7), dpi=250, layout="constrained")
    return figure, [figure.add_subplot(count, 1, index + 1) for index in range(count)]


def whole_steps(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def log_axis(axis: Axes, which: str) -> None:
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


def legend_above(figure: Figure, handles: Mapping[str, Any]) -> None:
    columns = 2 if len(handles) in (2, 4) or max(map(len, handles)) >= 20 else 3
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=min(columns, len(handles)),
        handlelength=2.2, columnspacing=1.4, borderaxespad=0.2,
    )  # fmt: skip
