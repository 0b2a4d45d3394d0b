"""Tables as panels of a trace's picture (figure.py): dynamic programming, relations between all nodes."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle

from nar.traces.drawing.graph_panels import GraphPanels
from nar.traces.drawing.panels import BLACK, CHANGED, FAINT, GREY, PALE, SKY, Moment, Panels, base, write
from nar.traces.drawing.text import label, number
from nar.traces.spec import POINTERS, Location, Type
from nar.traces.trace import Trace


class TablePanels(Panels):
    """Matrices: a panel for every hint on edges that is not a mask, and the node inputs as a table of their own."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        hints = [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE and p.type is not Type.MASK]
        others = [n for n, p in trace.spec.items() if p.location is Location.EDGE and p.stage == "output"]
        every = hints or [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE] or others
        self.tables = tuple(dict.fromkeys(map(base, every)))
        self.mask = next((n for n in self._of(Location.EDGE, {Type.MASK}) if trace.spec[n].stage == "hint"), "")
        if self.mask in every:
            self.mask = ""
        n = self.nodes
        self.side = 2.7 if n <= 9 else 4.0 if n <= 16 else 5.0
        drawn = {*self.rings, *self.trivial, self.mask, *trace.spec.inputs}
        self.graph = GraphPanels(trace, self.side) if "adj" in trace.spec.inputs else None
        self.slots = self.tables
        if self.graph is not None:
            self.graph.marked, self.graph.current = {}, []
            self.notes += [note for note in self.graph.notes if note.startswith("not drawn: A ")]
            shown = {*self.graph.masks, *self.graph.classes, *self.graph.written, *self.graph.arrows}
            if shown & trace.spec.hints.keys():  # the graph at every moment, not among the inputs alone
                self.slots = ("", *self.tables)
                drawn |= shown
        self.across = 4 if n <= 9 else 3 if len(self.slots) == 3 else 2
        apart = [n for n, p in trace.spec.items() if base(n) not in self.tables and p.location is not Location.GRAPH]
        self.leave_out([name for name in apart if name not in drawn])
        self.left, self.top = 0.24, self.side - 0.32  # edges of a matrix
        cell = (self.side - self.left - 0.08) / n
        self.cell, self.font = cell * self.top / self.side, min(7.0, 72 * cell / 3.3)
        self.ranges = {}
        for name in trace.spec:
            if base(name) in self.tables and trace.spec[name].type is Type.SCALAR:
                values = np.asarray(trace.compact[name])
                if self.mask and values.ndim == 3:
                    values = values[np.asarray(trace.compact[self.mask]) == 1]
                self.ranges[name] = (float(np.min(values, initial=0.0)), float(np.max(values, initial=1e-9)))

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        inputs = moment.title == "inputs"
        if self.graph is not None and slot == (self.slots[0] if inputs else ""):
            self.graph.draw(axes, moment, slot, width, height)
        elif inputs and self.graph is None:
            columns = [name for name in moment.now if name != "pos" and moment.now[name].ndim == 1]
            if columns and slot == self.slots[0]:
                self._inputs(axes, moment, ["node", *columns])
        elif inputs:
            if slot == self.slots[1] and np.unique(moment.now["A"]).size > 2:
                self._matrix(axes, "A", moment, mask=moment.now["A"] != 0)
        else:
            tables = [name for table in self.tables for name in moment.now if base(name) == table]
            shown = moment.now[self.mask] == 1 if self.mask in moment.now else None
            for name in tables[self.tables.index(slot) :][:1]:  # outputs may be fewer
                self._matrix(axes, name, moment, shown)

    def _matrix(self, axes: Axes, name: str, moment: Moment, mask: np.ndarray | None) -> None:
        left, top, cell = self.left, self.top, self.cell
        values, changed, n = moment.now[name], moment.changed(name), self.nodes
        if mask is not None and moment.before is not None and self.mask in moment.now:
            changed = (changed & mask) | moment.changed(self.mask)
        colors, inks = self._colors(name, values, mask)
        limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
        axes.imshow(colors, extent=(left, left + n * cell, top - n * cell, top), zorder=1, interpolation="nearest")
        axes.set(**limits, aspect="auto")
        write(axes, left + n * cell / 2, top + 0.19, name, 8, va="bottom", fontweight="bold")
        every = 1 if cell >= 0.11 else 4
        marked = {node: ", ".join(k for k, _ in names) for node, names in self.ring_names(moment).items()}
        for v in range(n):
            if v % every == 0 or v in marked:
                middle = (v + 0.5) * cell
                size = min(6.5, 72 * cell * every / 1.6)
                color, weight = (BLACK, "bold") if v in marked else (FAINT, "normal")
                write(axes, left - 0.03, top - middle, str(v), size, ha="right", color=color, fontweight=weight)
                write(axes, left + middle, top + 0.02, str(v), size, va="bottom", color=color, fontweight=weight)

        def frame(row: int, column: int, rows: int, columns: int, **style: Any) -> None:
            low = (left + column * cell, top - (row + rows) * cell)
            axes.add_artist(Rectangle(low, columns * cell, rows * cell, fill=False, **style))

        for node, names in marked.items():
            frame(node, 0, 1, n, lw=1.6, zorder=3)
            frame(0, node, n, 1, lw=1.6, zorder=3)
            write(axes, left + n * cell, top - n * cell - 0.03, f"{names} = {node}", 7, ha="right", va="top")
        grid, style = np.arange(n + 1) * cell, {"color": "white" if n > 20 else "#D0D0D0", "lw": 0.4, "zorder": 2}
        axes.hlines(top - grid, left, left + n * cell, **style)
        axes.vlines(left + grid, top - n * cell, top, **style)
        for u, v in np.argwhere(changed).tolist():
            frame(u, v, 1, 1, edgecolor=CHANGED, lw=1.5, zorder=4)
        for u, v in np.argwhere(np.ones((n, n), bool) if mask is None else mask) if self.font >= 4 else ():
            x, y = left + (v + 0.5) * cell, top - (u + 0.5) * cell
            write(axes, x, y, label(values[u, v], self.spec[name]), self.font, color=inks[u, v], zorder=5)

    def _colors(self, name: str, values: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Colour of every cell and of the type in it."""
        probe, n = self.spec[name], self.nodes
        if probe.type is Type.SCALAR:
            low, high = self.ranges.get(name, (float(values.min()), float(values.max())))
            share = (values - low) / max(high - low, 1e-12)
            colors = matplotlib.colormaps["Blues"](0.75 * np.clip(share, 0, 1))[..., :3]
        elif probe.type is Type.CATEGORICAL:
            colors = np.array([[to_rgb(self.class_color(name, int(c))) for c in row] for row in values])
        elif probe.type is Type.MASK:
            colors = np.where((values == 1)[..., None], to_rgb(SKY), 1.0)
        else:
            colors = matplotlib.colormaps["YlOrBr"](0.4 * values / max(1, n - 1))[..., :3]
        if mask is not None:
            colors = np.where(mask[..., None], colors, to_rgb(PALE))
        dark = (colors @ np.array([0.299, 0.587, 0.114])) < 0.5
        return colors, np.where(dark, "white", BLACK)

    def _inputs(self, axes: Axes, moment: Moment, names: list[str]) -> None:
        """Nodes below each other, one column for their numbers and one for each input."""
        for k, name in enumerate(names):
            x = 0.3 + 0.62 * k
            write(axes, x, self.top + 0.03, name, 7, va="bottom", fontweight="bold")
            for v in range(self.nodes):
                text = label(moment.now[name][v], self.spec[name], letters=True) if k else str(v)
                y = self.top - (v + 0.5) * self.cell
                write(axes, x, y, text, max(4.0, self.font), color=BLACK if k else FAINT)

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        colors: dict[str, str] = {}
        for name, (low, high) in self.ranges.items():
            if self.spec[name].stage == "hint":
                colors[f"{name}: white {number(low)} to blue {number(high)}"] = "#6BAED6"
        for name, probe in self.spec.items():
            if base(name) in self.tables:
                for value in range(probe.classes):
                    colors[f"{base(name)} = {value}"] = self.class_color(name, value)
                if probe.type in POINTERS and probe.stage == "hint":
                    colors[f"{name}: pale 0 to tan {self.nodes - 1}"] = "#FEC44F"
        if self.mask:
            colors[f"{self.mask} = 0"] = PALE
        handles: dict[str, Any] = {text: Patch(facecolor=color, ec=GREY) for text, color in colors.items()}
        shown, notes = self.graph.legend() if self.graph is not None and self.slots != self.tables else ({}, [])
        handles |= shown
        marks = [name for name in self.rings if name in self.spec.hints]
        if marks:
            handles[f"row and column of {', '.join(marks)}"] = Patch(facecolor="none", ec=BLACK, lw=1.6)
        return handles, notes
