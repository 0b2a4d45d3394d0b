"""What the panels of a trace's picture (figure.py) have in common: which probe is drawn by which mark.

The kinds are graph_panels.py, box_panels.py and table_panels.py. Each says how large a panel is, draws one
moment on axes whose unit is the inch, and explains its marks. Colours are those of palette.py, which
colour-blind readers tell apart; what they mean is also written or has a shape. Nothing here may import torch.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nar.traces.drawing.palette import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from nar.traces.drawing.text import number
from nar.traces.spec import IGNORED, POINTERS, Location, Probe, Type
from nar.traces.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, PALE = "#9A9A9A", "#ECECEC"
ARROWS = ((BLUE, "-"), (PURPLE, (0, (4, 1.5))), (GREEN, (0, (1.2, 1.2))), (BLACK, (0, (5, 1.5, 1, 1.5))))
FILLS = (SKY, YELLOW, PURPLE, GREEN)
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


class Panels:
    """What the kinds share: which probe is drawn by which means, and the legend that says so."""

    across = 4  # panels side by side
    red = "changed since the panel before"  # what the colour says
    slots: tuple[str, ...] = ("",)  # panels per moment: the tables' names

    def __init__(self, trace: Trace) -> None:
        self.trace, self.spec, self.nodes = trace, trace.spec, trace.nodes
        self.title = f"{trace.algorithm}, {trace.nodes} nodes, {trace.length} steps"
        self.trivial = [name for name in self._of(Location.NODE, POINTERS) if self._is_trivial(name)]
        pointers = [name for name in self._of(Location.NODE, POINTERS) if name not in self.trivial]
        self.arrows = styles([*pointers, *self._of(Location.EDGE, {Type.MASK_ONE})], ARROWS)
        self.masks = styles(self._of(Location.NODE, {Type.MASK}), FILLS)
        self.classes = self._of(Location.NODE, {Type.CATEGORICAL})
        self.rings = self._of(Location.NODE, {Type.MASK_ONE})
        self.scalars = [name for name in self._of(Location.NODE, {Type.SCALAR}) if name not in self.unlabelled()]
        self.notes: list[str] = []  # what is left out, and why
        self.names = [str(v) for v in range(trace.nodes)]  # written in the nodes of a graph

    def unlabelled(self) -> tuple[str, ...]:
        """Scalars on nodes that are not written."""
        return ("pos",)

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        """Width of all panels and height of each in inches."""
        raise NotImplementedError

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        raise NotImplementedError

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        """Handles by label, and sentences about what needs no mark."""
        raise NotImplementedError

    def _of(self, location: Location, types: Any) -> list[str]:
        return [name for name, p in self.spec.items() if p.location is location and p.type in types]

    def _is_trivial(self, name: str) -> bool:
        """A hint that links each node to its left neighbour and never changes: it only says that this is an array."""
        rows = np.asarray(self.trace.compact[name]).reshape(-1, self.nodes)
        nodes = np.arange(self.nodes)
        chain = (rows == rows[:1]).all() and ((rows == nodes) | (rows == nodes - 1)).all() and (rows != nodes).any()
        return bool(chain) and self.spec[name].stage == "hint" and base(name) not in self.spec.outputs

    def heading(self, moment: Moment) -> str:
        """The panel's title with the numbers that belong to the whole graph."""
        parts = [moment.title.replace(" ", "\u00a0")]
        for name, value in moment.now.items():
            if self.spec[name].location is Location.GRAPH:
                parts.append(f"{name}\u00a0{label(value, self.spec[name])}")
        return "   ".join(parts)

    def write_heading(self, axes: Axes, moment: Moment, width: float, height: float) -> None:
        lines = textwrap.wrap(self.heading(moment), max(12, int(width / 0.075)))
        for k, line in enumerate(lines):
            weight = "bold" if k == 0 else "normal"
            axes.text(0.03, height - 0.04 - 0.15 * k, line, va="top", fontsize=8.5, fontweight=weight)

    def heading_height(self, shown: list[Moment], width: float) -> float:
        rows = max(len(textwrap.wrap(self.heading(m), max(12, int(width / 0.075)))) for m in shown)
        return 0.08 + 0.15 * rows

    def fills(self, moment: Moment, node: int) -> list[str]:
        """Colours of a node, one for each mask and categorical of the moment."""
        found = []
        for name, value in moment.now.items():
            if name in self.masks:
                found.append(self.masks[name] if value[node] == 1 else PALE if value[node] == IGNORED else "#FFFFFF")
            elif name in self.classes:
                found.append(self.class_color(name, int(value[node])))
        return found

    def class_color(self, name: str, value: int) -> str:
        palette = GREYS if self.spec[name].classes <= 3 else CLASSES
        return PALE if value == IGNORED else palette[value % len(palette)]

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
        for name in self.rings:
            if name in moment.now:
                found.setdefault(int(moment.now[name]), []).append((name, bool(moment.changed(name))))
        return found

    def common_legend(self, mark: str, arrow: str) -> dict[str, Any]:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        handles: dict[str, Any] = {}
        for name, (color, dashes) in self.arrows.items():
            key = f"{base(name)}: {arrow}"
            handles.setdefault(key, Line2D([], [], color=color, ls=dashes, lw=1.6, marker=">", ms=4))
        for name, color in self.masks.items():
            handles.setdefault(f"{base(name)} = 1", Patch(facecolor=color, edgecolor=BLACK, lw=0.7))
        palettes: dict[int, list[str]] = {}  # those of equally many classes share their colours
        for name in self.classes:
            if not self._is_text(name):
                palettes.setdefault(self.spec[name].classes, []).append(name)
        for classes, names in palettes.items():
            for value in range(classes):
                patch = Patch(facecolor=self.class_color(names[0], value), edgecolor=BLACK, lw=0.7)
                handles[f"{', '.join(dict.fromkeys(map(base, names)))} = {value}"] = patch
        if self.rings:
            handles["name: " + mark] = Line2D([], [], ls="", marker="o", mfc="none", mec=BLACK, mew=2, ms=7)
        if self.trace.length > 1 or self.red != Panels.red:
            handles[f"red: {self.red}"] = Line2D([], [], color=CHANGED, lw=2.2)
        return handles

    def _is_text(self, name: str) -> bool:
        """Letters of a string: written, not coloured."""
        return False

    def common_notes(self) -> list[str]:
        found = list(self.notes)
        for name in self.trivial:
            found.append(f"{name} is not drawn: it never changes, every node points to its left neighbour.")
        return found


def label(value: Any, probe: Probe, letters: bool = False) -> str:
    """One value as short text; classes as letters where they are characters of a string."""
    if probe.type is Type.SCALAR:
        return number(value)
    if probe.type is Type.CATEGORICAL and letters and 0 <= value < 26:
        return "abcdefghijklmnopqrstuvwxyz"[int(value)]
    return "-" if value == IGNORED else str(int(value))


def base(name: str) -> str:
    """A hint and the output that it becomes share their name: pi_h and pi."""
    return name.removesuffix("_h")


def styles(names: list[str], styles: tuple) -> dict[str, Any]:
    """A style for every name, the same for a hint and its output."""
    bases = list(dict.fromkeys(map(base, names)))
    return {name: styles[bases.index(base(name)) % len(styles)] for name in names}


def write_number(axes: Axes, x: float, y: float, text: str, fills: list[str], size: float) -> None:
    """Type that can be read on these colours: white on dark ones, with a rim where some are dark and some are not."""
    from matplotlib.patheffects import withStroke

    dark = [_luminance(color) < 0.45 for color in fills]
    ink, rim = ("white", BLACK) if all(dark) else (BLACK, "white")
    effects = [withStroke(linewidth=2, foreground=rim)] if any(dark) and not all(dark) else []
    axes.text(x, y, text, fontsize=size, ha="center", va="center", color=ink, zorder=6, path_effects=effects)


def _luminance(color: str) -> float:
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
