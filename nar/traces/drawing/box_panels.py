"""Arrays and strings as rows of boxes, the panels of a trace's picture (figure.py)."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.path import Path

from nar.traces.drawing.panels import ARROWS, BLACK, CHANGED, FAINT, Moment, Panels, joined, styles, write
from nar.traces.drawing.text import label, list_hint
from nar.traces.linked_list import linked_list
from nar.traces.spec import Location
from nar.traces.trace import Trace


class BoxPanels(Panels):
    """A row of boxes, one per node: what it holds inside, pointers as arcs above, marks below.

    Where a pointer says in which order the elements stand now, so stand the boxes.
    """

    across = 1

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.order = list_hint(trace)
        self.texts = [name for name in (*self.classes, *self.scalars) if name in trace.spec.inputs]
        self.classes = [name for name in self.classes if name not in self.texts]
        self.extra = [name for name in self.scalars if name not in self.texts]
        self.masks.pop("string", None)
        outputs = [name for name in self.arrows if name in trace.spec.outputs]  # the elements' order in the end
        self.lists = [n for n in outputs if self.order is not None and linked_list(trace.compact[n]) is not None]
        self.arrows = styles([name for name in self.arrows if name not in (self.order, *self.lists)], ARROWS)
        names = max((len(n) for n in self.rings), default=1)
        n = self.nodes
        longest = max([2, *(len(label(v, trace.spec[t])) for t in self.texts for v in trace.compact[t])])
        wanted = max(0.45, 0.06 * longest + 0.1, 0.068 * names + 0.05)
        self.box = min(wanted, max(14 / n, 0.13))
        self.font = min(7.5, 72 * (self.box - 0.06) / (0.62 * longest))
        self.leave_out([name for name, p in trace.spec.items() if p.location is Location.EDGE])
        string = np.asarray(trace.compact["string"] if "string" in trace.spec.inputs else np.zeros(n))
        self.gaps = 0.25 * np.cumsum(np.diff(string, prepend=string[0]) != 0)  # two strings stand apart

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        width = max(4.8, self.nodes * self.box + 0.3 + self.gaps[-1])
        return width, [sum(self._parts(moment, width)) for moment in shown]

    def _parts(self, moment: Moment, width: float) -> tuple[float, float, float, float]:
        """Heights of heading, arcs, boxes and marks."""
        at = self._x(moment)
        spans = [at[u] - at[v] for name in moment.given(self.arrows) for v, u in enumerate(moment.now[name])]
        arcs = 0.08 + max(map(self._arc, spans), default=0.0)
        boxes = 0.12 + 0.15 * max(1, len(self.texts) + len(self.extra))
        lines = [[name for name, _ in names] for names in self.ring_names(moment).values()]
        upright = [0.066 * len(", ".join(names)) + 0.32 for names in lines if self._upright(names)]
        marks = max([0.14, *upright, *(0.135 * len(names) + 0.3 for names in lines if not self._upright(names))])
        return self.heading_height(moment, width), arcs, boxes, marks

    def _upright(self, names: list[str]) -> bool:
        """Names wider than a box are turned."""
        return 0.068 * max(map(len, names)) + 0.03 > self.box

    def _places(self, moment: Moment) -> np.ndarray:
        """Where each node stands, from the left."""
        orders = moment.given([*([self.order] if self.order else []), *self.lists])
        listed = linked_list(np.asarray(moment.now[orders[0]])) if orders else None
        places = np.empty(self.nodes, int)
        places[np.arange(self.nodes) if listed is None else listed] = np.arange(self.nodes)
        return places

    def _x(self, moment: Moment) -> np.ndarray:
        """The middle of each node's box."""
        places = self._places(moment)
        return 0.15 + (places + 0.5) * self.box + self.gaps[places]

    @staticmethod
    def _arc(span: float) -> float:
        return min(0.6, 0.12 + 0.1 * abs(span)) if span else 0.0

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        head, arcs, boxes, _ = self._parts(moment, width)
        top = height - head - arcs
        bottom = top - boxes
        at = self._x(moment)
        self._boxes(axes, moment, at, top, bottom)

        def arc(name: str, v: int, u: int) -> dict[str, Any]:
            start, end = at[v], at[u] + 0.12 * self.box * np.sign(at[v] - at[u])
            foot, rise = top + 0.02, top + self._arc(at[u] - at[v]) / 0.75
            return {"path": Path([(start, foot), (start, rise), (end, rise), (end, foot)], [1, 4, 4, 4])}

        self.draw_arrows(axes, moment, arc)
        for v, names in self.ring_names(moment).items():
            y = bottom - 0.2
            axes.plot(at[v], y + 0.01, marker="^", color=BLACK, ms=3.5, zorder=5)
            upright = self._upright([name for name, _ in names])
            style: dict[str, Any] = {"rotation": 90} if upright else {"fontweight": "bold"}
            for k, line in enumerate([names] if upright else [[name] for name in names]):
                text, color = joined(line, ", ")
                write(axes, at[v], y - 0.045 - 0.135 * k, text, 7 if upright else 7.5, va="top", color=color, **style)

    def _boxes(self, axes: Axes, moment: Moment, at: np.ndarray, top: float, bottom: float) -> None:
        rings, tall = self.ring_names(moment), top - bottom
        moved = self._moved(moment)
        for v, x in enumerate(at):
            fills = self.fills(moment, v)
            left, part = x - self.box / 2, self.box / len(fills)
            for k, color in enumerate(fills):
                axes.add_artist(Rectangle((left + k * part, bottom), part, tall, facecolor=color, lw=0, zorder=2))
            edge = CHANGED if moved[v] else BLACK
            lw = 2.0 if v in rings or moved[v] else 0.7
            axes.add_artist(
                Rectangle((left, bottom), self.box, tall, fill=False, edgecolor=edge, lw=lw, zorder=4 if lw > 1 else 3)
            )
            lines = [label(self.trace.compact[name][v], self.spec[name], letters=True) for name in self.texts]
            lines += [label(moment.now[name][v], self.spec[name]) for name in moment.given(self.extra)]
            for k, line in enumerate(lines if self.font >= 3.5 else ()):
                write(axes, x, top - 0.135 - 0.15 * k, line, self.font, fills)
            if self.box >= 0.12:
                write(axes, x, bottom - 0.02, str(v), min(6.2, 72 * self.box / 1.6), va="top", color=FAINT)

    def _moved(self, moment: Moment) -> np.ndarray:
        """Boxes that stand elsewhere than in the panel before, or whose colour or number changed."""
        moved = self.outlined(moment)
        if moment.before is not None:
            if self.order is not None:
                moved |= self._places(moment) != self._places(Moment("", moment.before))
                if self.order in moment.now and linked_list(moment.now[self.order]) is None:  # a model's: no order
                    moved |= moment.changed(self.order)
            for name in moment.given(self.extra):
                moved |= moment.changed(name)
        return moved

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        handles = self.common_legend("points to (no arc: to itself)")
        notes = self.parts("From the left, the parts of a box")
        inside = [*self.texts, *self.extra]
        if inside:
            notes.append(f"In a box: {', '.join(inside)}; below it the node's number and the names of what marks it.")
        if self.order is not None:
            notes.append(f"The boxes stand in the order of {self.order}: each points to the one on its left.")
        return handles, notes
