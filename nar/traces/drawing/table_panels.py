"""Tables as panels of a trace's picture (figure.py): dynamic programming, relations between all nodes.

Nothing here may import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nar.traces.drawing.graph_panels import GraphPanels
from nar.traces.drawing.palette import BLACK, SKY
from nar.traces.drawing.panels import CHANGED, GREY, PALE, Moment, Panels, base, label
from nar.traces.drawing.text import number
from nar.traces.spec import POINTERS, Location, Type
from nar.traces.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TablePanels(Panels):
    """Matrices: a panel for every hint on edges that is not a mask, and the node inputs as a table of their own."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        hints = [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE and p.type is not Type.MASK]
        others = [n for n, p in trace.spec.items() if p.location is Location.EDGE and p.stage == "output"]
        every = hints or [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE] or others
        self.tables = tuple(dict.fromkeys(map(base, every)))
        self.mask = next((n for n in self._of(Location.EDGE, {Type.MASK}) if trace.spec[n].stage == "hint"), None)
        if self.mask in every:
            self.mask = None
        n = self.nodes
        self.side = 2.7 if n <= 9 else 4.0 if n <= 16 else 5.0
        drawn = {*self.rings, *self.trivial, self.mask, *trace.spec.inputs}
        self.graph = GraphPanels(trace, self.side) if "adj" in trace.spec.inputs else None
        self.slots = self.tables
        if self.graph is not None:
            self.graph.marked, self.graph.current = {}, []
            shown = {*self.graph.masks, *self.graph.classes, *self.graph.written, *self.graph.arrows}
            if shown & trace.spec.hints.keys():  # the graph at every moment, not among the inputs alone
                self.slots = ("", *self.tables)
                drawn |= shown
        self.across = 4 if n <= 9 else 3 if len(self.slots) == 3 else 2
        left = [n for n in trace.spec if base(n) not in self.tables and n not in drawn]
        left = [n for n in left if trace.spec[n].location is not Location.GRAPH]
        if left:
            self.notes.append(f"not drawn: {', '.join(left)} (see the text).")
        self.ranges = {}
        for name in trace.spec:
            if base(name) in self.tables and trace.spec[name].type is Type.SCALAR:
                values = np.asarray(trace.compact[name])
                if self.mask:
                    values = values[np.asarray(trace.compact[self.mask]) == 1] if values.ndim == 3 else values
                self.ranges[name] = (float(np.min(values, initial=0.0)), float(np.max(values, initial=1e-9)))

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        self.head = self.heading_height(shown, self.side)
        return self.side, [self.side + self.head] * len(shown)

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        if slot == self.slots[0]:
            self.write_heading(axes, moment, width, height)
        if moment.title == "inputs":
            columns = [n for n in moment.now if n != "pos" and moment.now[n].ndim == 1]
            if self.graph is not None:
                if slot == self.slots[0]:
                    self.graph.draw_graph(axes, moment)
                elif slot == self.slots[1] and np.unique(moment.now["A"]).size > 2:
                    self._matrix(axes, "A", moment, mask=moment.now["A"] != 0)
            elif columns and slot == self.slots[0]:
                self._inputs(axes, moment, columns)
            return
        if slot == "" and self.graph is not None:
            self.graph.draw_graph(axes, moment)
            return
        tables = [name for table in self.tables for name in moment.now if base(name) == table]
        place = self.tables.index(slot)
        if place < len(tables):
            shown = moment.now[self.mask] == 1 if self.mask and self.mask in moment.now else None
            self._matrix(axes, tables[place], moment, shown)

    def _cell(self) -> tuple[float, float, float, float]:
        """Left and top edge of a matrix, side of its cells, size of their type."""
        margin = 0.24
        cell = (self.side - margin - 0.08) / self.nodes
        return margin, self.side - 0.32, cell * (self.side - 0.32) / self.side, min(7.0, 72 * cell / 3.3)

    def _matrix(self, axes: Axes, name: str, moment: Moment, mask: np.ndarray | None) -> None:
        from matplotlib.patches import Rectangle

        left, top, cell, font = self._cell()
        values, changed, n = moment.now[name], moment.changed(name), self.nodes
        if mask is not None and moment.before is not None and self.mask and self.mask in moment.now:
            changed = (changed & mask) | moment.changed(self.mask)
        colors, inks = self._colors(name, values, mask)
        axes.imshow(colors, extent=(left, left + n * cell, top - n * cell, top), zorder=1, interpolation="nearest")
        axes.set(xlim=(0, self.side), ylim=(0, self.side + self.head), aspect="auto")
        axes.text(left + n * cell / 2, top + 0.19, name, fontsize=8, ha="center", va="bottom", fontweight="bold")
        every = 1 if cell >= 0.11 else 4
        marked = {node: ", ".join(k for k, _ in names) for node, names in self.ring_names(moment).items()}
        for v in range(n):
            if v % every == 0 or v in marked:
                middle = (v + 0.5) * cell
                tick = {"fontsize": min(6.5, 72 * cell * every / 1.6), "color": BLACK if v in marked else "#666666"}
                tick["fontweight"] = "bold" if v in marked else "normal"
                axes.text(left - 0.03, top - middle, str(v), ha="right", va="center", **tick)
                axes.text(left + middle, top + 0.02, str(v), ha="center", va="bottom", **tick)
        for node, names in marked.items():
            for corner, size in (((0, node), (n, 1)), ((node, 0), (1, n))):
                low = (left + corner[0] * cell, top - (corner[1] + size[1]) * cell)
                axes.add_artist(Rectangle(low, size[0] * cell, size[1] * cell, fill=False, lw=1.6, zorder=3))
            if node < n:
                axes.text(left + n * cell, top - n * cell - 0.03, f"{names} = {node}", fontsize=7, ha="right", va="top")
        grid = np.arange(n + 1) * cell
        axes.hlines(top - grid, left, left + n * cell, color="white" if n > 20 else "#D0D0D0", lw=0.4, zorder=2)
        axes.vlines(left + grid, top - n * cell, top, color="white" if n > 20 else "#D0D0D0", lw=0.4, zorder=2)
        for u, v in np.argwhere(changed).tolist():
            box = (left + v * cell, top - (u + 1) * cell)
            axes.add_artist(Rectangle(box, cell, cell, fill=False, edgecolor=CHANGED, lw=1.5, zorder=4))
        if font >= 4:
            for u in range(n):
                for v in range(n):
                    if mask is None or mask[u, v]:
                        text = label(values[u, v], self.spec[name])
                        axes.text(
                            left + (v + 0.5) * cell, top - (u + 0.5) * cell, text, fontsize=font, ha="center",
                            va="center", color=inks[u, v], zorder=5,
                        )  # fmt: skip

    def _colors(self, name: str, values: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Colour of every cell and of the type in it."""
        import matplotlib
        from matplotlib.colors import to_rgb

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
        """Nodes below each other, one column for each input."""
        _, top, cell, font = self._cell()
        for k, name in enumerate(["node", *names]):
            x = 0.3 + 0.62 * k
            axes.text(x, top + 0.03, name, fontsize=7, ha="center", va="bottom", fontweight="bold")
            for v in range(self.nodes):
                text = str(v) if k == 0 else label(moment.now[name][v], self.spec[name], letters=True)
                color = "#666666" if k == 0 else BLACK
                size = max(4.0, font)
                axes.text(x, top - (v + 0.5) * cell, text, fontsize=size, ha="center", va="center", color=color)

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        from matplotlib.patches import Patch

        handles: dict[str, Any] = {}
        for name, (low, high) in self.ranges.items():
            if self.spec[name].stage == "hint":
                handles[f"{name}: white {number(low)} to blue {number(high)}"] = Patch(facecolor="#6BAED6", ec=GREY)
        for name in self.spec:
            if base(name) in self.tables and self.spec[name].type is Type.CATEGORICAL:
                for value in range(self.spec[name].classes):
                    patch = Patch(facecolor=self.class_color(name, value), edgecolor=GREY)
                    handles.setdefault(f"{base(name)} = {value}", patch)
            if base(name) in self.tables and self.spec[name].type in POINTERS and self.spec[name].stage == "hint":
                handles[f"{name}: pale 0 to tan {self.nodes - 1}"] = Patch(facecolor="#FEC44F", ec=GREY)
        if self.mask:
            handles[f"{self.mask} = 0"] = Patch(facecolor=PALE, ec=GREY)
        if self.graph is not None and self.slots != self.tables:
            found, notes = self.graph.legend()
            handles |= {key: handle for key, handle in found.items() if not key.startswith("red")}
            self.notes += [note for note in notes if "not drawn" not in note and note not in self.notes]
        marks = [name for name in self.rings if name in self.spec.hints]
        if marks:
            handles[f"row and column of {', '.join(marks)}"] = Patch(facecolor="none", ec=BLACK, lw=1.6)
        if self.trace.length > 1 or self.red != Panels.red:
            handles[self.red] = Patch(facecolor="none", ec=CHANGED, lw=1.5)
        return handles, self.common_notes()
