"""What the panels of a trace's picture (figure.py) have in common: which probe is drawn by which mark.

The kinds are graph_panels.py, box_panels.py and table_panels.py. Each says how large a panel is, draws one
moment on axes whose unit is the inch, and explains its marks. Colours are Okabe and Ito's, which colour-blind
readers tell apart; what they mean is also written or has a shape.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.patheffects import withStroke

from nar.traces.drawing.text import label
from nar.traces.spec import IGNORED, POINTERS, Location, Type
from nar.traces.trace import Trace

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY, PALE, FAINT = "#9A9A9A", "#ECECEC", "#666666"
ARROWS = ((BLUE, "-"), (PURPLE, (0, (4, 1.5))), (GREEN, (0, (1.2, 1.2))), (BLACK, (0, (5, 1.5, 1, 1.5))))
FILLS, EDGES = (SKY, YELLOW, PURPLE, GREEN), (ORANGE, GREEN)  # of masks on nodes and on edges
CLASSES = ("#FFFFFF", SKY, YELLOW, ORANGE, GREEN, PURPLE, "#B5B5B5", VERMILLION, BLUE)
GREYS = ("#FFFFFF", "#BDBDBD", "#4D4D4D")  # the textbook's white, grey and black nodes
CHANGED = VERMILLION


@dataclasses.dataclass
class Moment:
    """What a panel shows: a title, probes by name in compact form, and those of the panel before."""

    title: str
    now: Mapping[str, np.ndarray]
    before: Mapping[str, np.ndarray] | None = None

    def changed(self, name: str) -> np.ndarray:
        """What differs from the panel before, entry by entry."""
        if self.before is None:
            return np.zeros(self.now[name].shape, bool)
        return np.asarray(self.now[name] != self.before[name])

    def given(self, names: Iterable[str]) -> list[str]:
        """Those of these probes that belong to this moment."""
        return [name for name in names if name in self.now]


class Panels:
    """What the kinds share: which probe is drawn by which means, and the legend that says so."""

    across = 4  # panels side by side
    red = "changed since the panel before"  # what the colour says
    slots: tuple[str, ...] = ("",)  # panels per moment: the tables' names
    side: float  # of a square panel in inches, heading apart
    unlabelled: tuple[str, ...] = ("pos",)  # scalars on nodes that are not written

    def __init__(self, trace: Trace) -> None:
        self.trace, self.spec, self.nodes = trace, trace.spec, trace.nodes
        self.title = f"{trace.algorithm}, {trace.nodes} nodes, {trace.length} steps"
        self.trivial = [name for name in self._of(Location.NODE, POINTERS) if self._is_trivial(name)]
        pointers = [name for name in self._of(Location.NODE, POINTERS) if name not in self.trivial]
        self.arrows = styles([*pointers, *self._of(Location.EDGE, {Type.MASK_ONE})], ARROWS)
        self.masks = styles(self._of(Location.NODE, {Type.MASK}), FILLS)
        categoricals = self._of(Location.NODE, {Type.CATEGORICAL})
        self.classes = [name for name in categoricals if self.spec[name].classes <= len(CLASSES)]
        self.rings = self._of(Location.NODE, {Type.MASK_ONE})
        self.scalars = [name for name in self._of(Location.NODE, {Type.SCALAR}) if name not in self.unlabelled]
        self.scalars += [name for name in categoricals if name not in self.classes]  # more than there are colours
        chain = "it never changes, every node points to its left neighbour"
        self.notes = [f"{name} is not drawn: {chain}." for name in self.trivial]  # what is left out, and why
        self.names = [str(v) for v in range(trace.nodes)]  # written in the nodes of a graph

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        """Width of all panels and height of each in inches."""
        head = max(self.heading_height(moment, self.side) for moment in shown)
        return self.side, [self.side + head] * len(shown)

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        """What is below the heading."""
        raise NotImplementedError

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        """Handles by label, and sentences about what needs no mark; without the colour red and `notes`."""
        raise NotImplementedError

    def _of(self, location: Location, types: Any) -> list[str]:
        return [name for name, p in self.spec.items() if p.location is location and p.type in types]

    def _is_trivial(self, name: str) -> bool:
        """A hint that links each node to its left neighbour and never changes: it only says that this is an array."""
        rows = np.asarray(self.trace.compact[name]).reshape(-1, self.nodes)
        nodes = np.arange(self.nodes)
        chain = (rows == rows[:1]).all() and ((rows == nodes) | (rows == nodes - 1)).all() and (rows != nodes).any()
        return bool(chain) and self.spec[name].stage == "hint" and base(name) not in self.spec.outputs

    def heading(self, moment: Moment, width: float) -> list[str]:
        """The panel's title with the numbers that belong to the whole graph, in lines."""
        letters = max(12, int(width / 0.075))
        parts = [moment.title.replace(" ", "\u00a0") if len(moment.title) <= letters else moment.title]
        for name, value in moment.now.items():
            if self.spec[name].location is Location.GRAPH:
                parts.append(f"{name}\u00a0{label(value, self.spec[name])}")
        return textwrap.wrap("   ".join(parts), letters)

    def heading_height(self, moment: Moment, width: float) -> float:
        return 0.08 + 0.15 * len(self.heading(moment, width))

    def draw_arrows(self, axes: Axes, moment: Moment, route: Callable[[str, int, int], dict[str, Any]]) -> None:
        """The pointers of the moment; `route` gives FancyArrowPatch's ends and way for a name and its two nodes."""
        for name in moment.given(self.arrows):
            color, dashes = self.arrows[name]
            for v, (u, new) in enumerate(zip(moment.now[name].tolist(), moment.changed(name), strict=True)):
                if u != v:
                    style = {"color": CHANGED if new else color, "linestyle": dashes, "lw": 1.9 if new else 1.5}
                    arrow = "-|>,head_length=3.6,head_width=1.9"
                    axes.add_artist(
                        FancyArrowPatch(**route(name, v, u), **style, arrowstyle=arrow, mutation_scale=1, zorder=2)
                    )

    def leave_out(self, names: list[str], why: str = "see the text") -> None:
        if names:
            self.notes.append(f"not drawn: {', '.join(names)} ({why}).")

    def fills(self, moment: Moment, node: int) -> list[str]:
        """Colours of a node, one for each mask and categorical of the moment; white where there are none."""
        found = []
        for name, value in moment.now.items():
            if name in self.masks:
                found.append(self.masks[name] if value[node] == 1 else PALE if value[node] == IGNORED else "#FFFFFF")
            elif name in self.classes:
                found.append(self.class_color(name, int(value[node])))
        return found or ["#FFFFFF"]

    def class_color(self, name: str, value: int) -> str:
        palette = GREYS if self.spec[name].classes <= 3 else CLASSES
        return PALE if value == IGNORED else palette[value % len(palette)]

    def outlined(self, moment: Moment) -> np.ndarray:
        """The nodes [n] with a red rim: a mark or class of theirs is new, or a pointer to themselves, which has no
        arrow."""
        new = np.zeros(self.nodes, bool)
        for name in moment.given((*self.masks, *self.classes)):
            new |= moment.changed(name)
        for name in moment.given(name for name in self.arrows if self.spec[name].location is Location.NODE):
            new |= moment.changed(name) & (moment.now[name] == np.arange(self.nodes))
        return new

    def parts(self, where: str) -> list[str]:
        """The sentence that says which part of a node shows what, where there are several."""
        found = []
        for stage, what in (("input", " of the inputs"), ("hint", "")):
            names = [n for n, p in self.spec.items() if p.stage == stage and (n in self.masks or n in self.classes)]
            found += [f"{where}{what}: {', '.join(names)}."] if len(names) > 1 else []
        return found

    def ring_names(self, moment: Moment) -> dict[int, list[tuple[str, bool]]]:
        """Node -> names of the mask_ones that mark it, and whether each has just come there."""
        found: dict[int, list[tuple[str, bool]]] = {}
        for name in moment.given(self.rings):
            found.setdefault(int(moment.now[name]), []).append((name, bool(moment.changed(name))))
        return found

    def common_legend(self, arrow: str) -> dict[str, Any]:
        handles: dict[str, Any] = {}
        for name, (color, dashes) in self.arrows.items():
            key = f"{base(name)}: {arrow}"
            handles.setdefault(key, Line2D([], [], color=color, ls=dashes, lw=1.6, marker=">", ms=4))
        for name, color in self.masks.items():
            handles.setdefault(f"{base(name)} = 1", Patch(facecolor=color, edgecolor=BLACK, lw=0.7))
        palettes: dict[int, list[str]] = {}  # those of equally many classes share their colours
        for name in self.classes:
            palettes.setdefault(self.spec[name].classes, []).append(name)
        for classes, names in palettes.items():
            for value in range(classes):
                patch = Patch(facecolor=self.class_color(names[0], value), edgecolor=BLACK, lw=0.7)
                handles[f"{', '.join(dict.fromkeys(map(base, names)))} = {value}"] = patch
        if any((np.asarray(self.trace.compact[name]) == IGNORED).any() for name in (*self.masks, *self.classes)):
            handles["nothing is asked"] = Patch(facecolor=PALE, edgecolor=BLACK, lw=0.7)
        return handles


def base(name: str) -> str:
    """A hint and the output that it becomes share their name: pi_h and pi."""
    return name.removesuffix("_h")


def styles(names: list[str], styles: tuple) -> dict[str, Any]:
    """A style for every name, the same for a hint and its output."""
    bases = list(dict.fromkeys(map(base, names)))
    return {name: styles[bases.index(base(name)) % len(styles)] for name in names}


def joined(parts: list[tuple[str, bool]], space: str) -> tuple[str, str]:
    """Names or numbers, each with whether it is new, as one text and its colour."""
    return space.join(part for part, _ in parts), CHANGED if any(new for _, new in parts) else BLACK


def write(axes: Axes, x: float, y: float, text: str, size: float, fills: Sequence[str] = (), **style: Any) -> None:
    """Type whose middle is here, unless `style` says otherwise; `fills`: the colours on which it must be read.

    It is white on dark ones, and has a rim where some are dark and some are not.
    """
    dark = [np.dot(to_rgb(color), (0.299, 0.587, 0.114)) < 0.45 for color in fills]  # luminance
    if dark:
        ink, rim = ("white", BLACK) if all(dark) else (BLACK, "white")
        rims = [withStroke(linewidth=2, foreground=rim)] if any(dark) and not all(dark) else []
        style |= {"color": ink, "path_effects": rims, "zorder": 6}
    style = {"ha": "center", "va": "center", **style}
    axes.text(x, y, text, fontsize=size, **style)
