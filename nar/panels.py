"""The panels that a trace's pictures (nar/drawing.py) are made of: graphs and points, rows of boxes, tables.

Each kind says how large a panel is, draws one moment on axes whose unit is the inch, and explains its marks. Colours
are those of nar/figures.py, which colour-blind readers tell apart; no meaning rests on colour alone.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nar.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from nar.layout import nodes_in_a_box
from nar.show import linked_list, list_hint, number
from nar.spec import IGNORED, POINTERS, Location, Probe, Type
from nar.trace import Trace

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
    slots: tuple[str, ...] = ("",)  # panels per moment: the tables' names

    def __init__(self, trace: Trace) -> None:
        self.trace, self.spec, self.nodes = trace, trace.spec, trace.nodes
        self.title = f"{trace.algorithm}, {trace.nodes} nodes, {trace.length} steps"
        self.trivial = [name for name in self._of(Location.NODE, POINTERS) if self._is_trivial(name)]
        pointers = [name for name in self._of(Location.NODE, POINTERS) if name not in self.trivial]
        self.arrows = _styles([*pointers, *self._of(Location.EDGE, {Type.MASK_ONE})], ARROWS)
        self.masks = _styles(self._of(Location.NODE, {Type.MASK}), FILLS)
        self.classes = self._of(Location.NODE, {Type.CATEGORICAL})
        self.rings = self._of(Location.NODE, {Type.MASK_ONE})
        self.scalars = [name for name in self._of(Location.NODE, {Type.SCALAR}) if name not in self.unlabelled()]
        self.notes: list[str] = []  # what is left out, and why

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
        return bool(chain) and self.spec[name].stage == "hint" and _base(name) not in self.spec.outputs

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
        hints = [name for name in self.spec.hints if name in self.masks or name in self.classes]
        return [f"{where}: {', '.join(hints)}."] if len(hints) > 1 else []

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
            key = f"{_base(name)}: {arrow}"
            handles.setdefault(key, Line2D([], [], color=color, ls=dashes, lw=1.6, marker=">", ms=4))
        for name, color in self.masks.items():
            handles.setdefault(f"{_base(name)} = 1", Patch(facecolor=color, edgecolor=BLACK, lw=0.7))
        for name in self.classes:
            for value in range(self.spec[name].classes if not self._is_text(name) else 0):
                patch = Patch(facecolor=self.class_color(name, value), edgecolor=BLACK, lw=0.7)
                handles.setdefault(f"{_base(name)} = {value}", patch)
        if self.rings:
            handles["name: " + mark] = Line2D([], [], ls="", marker="o", mfc="none", mec=BLACK, mew=2, ms=7)
        if self.trace.length > 1:
            handles["red: changed since the panel before"] = Line2D([], [], color=CHANGED, lw=2.2)
        return handles

    def _is_text(self, name: str) -> bool:
        """Letters of a string: written, not coloured."""
        return False

    def common_notes(self) -> list[str]:
        found = list(self.notes)
        for name in self.trivial:
            found.append(f"{name} is not drawn: it never changes, every node points to its left neighbour.")
        return found


class GraphPanels(Panels):
    """Nodes and edges, or points in the plane where the inputs are `x` and `y`."""

    def __init__(self, trace: Trace) -> None:
        self.plane = "adj" not in trace.spec.inputs
        super().__init__(trace)
        if self.plane:
            self.edges = np.zeros((self.nodes, self.nodes), bool)
            xy = np.stack([trace.compact["x"], trace.compact["y"]], -1)
        else:
            self.edges = np.asarray(trace.compact["adj"]) == 1
            np.fill_diagonal(self.edges, False)
            xy = None
        n = self.nodes
        self.side = 2.9 if n <= 10 else 3.6 if n <= 16 else 4.6 if n <= 32 else 6.2
        self.across = 4 if n <= 10 else 3 if n <= 32 else 2
        self.radius = 0.135 if n <= 16 else 0.115 if n <= 32 else 0.1
        self.font = 7.5 if n <= 32 else 6
        if self.plane:
            self.radius = 0.09
            self.font = 7
        self.written = self.scalars if n <= 32 else []
        if len(self.written) < len(self.scalars):
            self.notes.append(f"not drawn: {', '.join(self.scalars)} (numbers fit up to 32 nodes; see the text).")
        self.at = nodes_in_a_box(self.edges, self.side, xy)
        self.number_side, self.name_side = self._free_sides()
        masks = self._of(Location.EDGE, {Type.MASK})
        first = {name: _first(trace, name) for name in masks if name not in trace.spec.inputs}
        # A mask that begins with most edges is the graph as it is now (transposed, residual), else it marks edges.
        half = 0.5 * max(1, self.edges.sum())
        self.current = [name for name, m in first.items() if trace.spec[name].stage == "hint" and (m == 1).sum() > half]
        self.marked = _styles([name for name in first if name not in self.current], (ORANGE, GREEN))
        left = [n for n in self._of(Location.EDGE, {Type.SCALAR, Type.CATEGORICAL, *POINTERS}) if n != "A"]
        if left:
            self.notes.append(f"not drawn: {', '.join(left)} (see the text).")
        self.current_edge = {"u", "v"} <= set(self.rings) and not self.plane

    def unlabelled(self) -> tuple[str, ...]:
        return ("pos", "x", "y") if self.plane else ("pos",)

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        self.head = self.heading_height(shown, self.side)
        return self.side, [self.side + self.head] * len(shown)

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        self.write_heading(axes, moment, width, height)
        edges = self.edges
        for name in self.current:
            if name in moment.now:
                edges = (moment.now[name] == 1) & ~np.eye(self.nodes, dtype=bool)
        self._edges(axes, edges, "#B8B8B8", 0.9)
        if moment.title == "inputs" and "A" in self.spec:
            self._weights(axes, moment.now["A"], edges)
        if self.plane:
            self._plane(axes, moment)
        for name, color in self.marked.items():
            if name in moment.now:
                self._edges(axes, moment.now[name] == 1, color, 3.2, zorder=1.5)
        if self.current_edge and {"u", "v"} <= moment.now.keys():
            u, v = int(moment.now["u"]), int(moment.now["v"])
            if edges[u, v] or edges[v, u]:
                axes.plot(*self.at[[u, v]].T, color=YELLOW, lw=7, solid_capstyle="round", zorder=1.2)
        bases = list(dict.fromkeys(map(_base, self.arrows)))
        for name in self.arrows:
            k = bases.index(_base(name))
            if name in moment.now:
                self._pointers(axes, moment, name, (0.1 + 0.14 * k) * (-1) ** k)
        self._nodes(axes, moment)

    def _free_sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions [n, 2] in which a node's numbers and names stand: away from its edges and from other nodes."""
        compass = np.array([(0, -1), (0, 1), (0.8, -0.6), (-0.8, -0.6), (0.8, 0.6), (-0.8, 0.6), (1, 0), (-1, 0)])
        numbers, names = np.zeros((self.nodes, 2)), np.zeros((self.nodes, 2))
        for v in range(self.nodes):
            along = self.at - self.at[v]
            distance = np.linalg.norm(along, axis=1)
            near = (self.edges[v] | self.edges[:, v] | (distance < 0.5)) & (distance > 0)
            cosine = compass @ (along[near] / distance[near, None]).T  # 1: an edge runs where the text would stand
            cost = np.maximum(cosine.max(1, initial=-1.0), -0.2) + 0.02 * np.arange(len(compass))
            end = self.at[v] + 0.45 * compass
            cost += 2.0 * ((end < 0) | (end > self.side)).any(1)
            numbers[v] = compass[cost.argmin()]
            if len(self.written) > 2:
                numbers[v] = compass[cost[:2].argmin()]  # long: above or below
            names[v] = compass[(cost[:2] + 3.0 * (compass[:2] @ numbers[v] > 0.5)).argmin()]
        return numbers, names

    def _label(self, axes: Axes, v: int, direction: np.ndarray, text: str, new: bool, **style: Any) -> None:
        """Text beside a node, within the panel."""
        (dx, dy), half = direction, 0.5 * len(text) * 0.0092 * style["fontsize"]
        x, y = self.at[v] + direction * (self.radius + 0.03)
        x = min(max(x + half * np.sign(dx), half), self.side - half)
        va = "center" if abs(dy) < 0.3 else "bottom" if dy > 0 else "top"
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8}
        axes.text(x, y, text, ha="center", va=va, color=CHANGED if new else "#222222", bbox=white, **style)

    def _edges(self, axes: Axes, edges: np.ndarray, color: str, lw: float, zorder: float = 1) -> None:
        from matplotlib.collections import LineCollection

        both = edges & edges.T
        pairs = np.argwhere(np.triu(both, 1))
        axes.add_collection(LineCollection(list(self.at[pairs]), colors=color, linewidths=lw, zorder=zorder))
        single = np.argwhere(edges & ~edges.T)
        if len(single):
            start, end = self.at[single[:, 0]], self.at[single[:, 1]]
            along = end - start
            length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
            start = start + along / length * self.radius
            along = along * np.maximum(0.02, 1 - 2 * self.radius / length)
            axes.quiver(
                *start.T, *along.T, angles="xy", scale_units="xy", scale=1, color=color, units="inches",
                width=lw / 72, headwidth=6 if lw < 2 else 3, headlength=7 if lw < 2 else 3.5, headaxislength=6,
                zorder=zorder, minlength=0,
            )  # fmt: skip

    def _weights(self, axes: Axes, A: np.ndarray, edges: np.ndarray) -> None:
        symmetric = bool((edges == edges.T).all() and np.array_equal(A, A.T))
        pairs = np.argwhere(np.triu(edges) if symmetric else edges)
        if len(pairs) > 26 or np.unique(A[A != 0]).size <= 1:
            return
        for u, v in pairs:
            x, y = self.at[u] + (self.at[v] - self.at[u]) * (0.5 if symmetric else 0.42)
            axes.text(
                x, y, number(float(A[u, v])), fontsize=6.2, ha="center", va="center", color="#333333", zorder=3,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
            )  # fmt: skip

    def _plane(self, axes: Axes, moment: Moment) -> None:
        """The hull through the marked points; two segments where the whole graph has one answer."""
        if all(p.location is Location.GRAPH for p in self.spec.outputs.values()) and self.nodes == 4:
            for pair in ([0, 1], [2, 3]):
                axes.plot(*self.at[pair].T, color=GREY, lw=2, zorder=1)
        for name in self.masks:
            if name in moment.now and name.startswith("in_hull"):
                points = self.at[np.asarray(moment.now[name]) == 1]
                if len(points) > 1:
                    angle = np.arctan2(*(points - points.mean(0)).T[::-1])
                    ring = points[np.argsort(angle)]
                    axes.fill(*ring.T, facecolor="none", edgecolor=GREY, lw=1.6, zorder=1)

    def _pointers(self, axes: Axes, moment: Moment, name: str, bend: float) -> None:
        from matplotlib.patches import FancyArrowPatch

        color, dashes = self.arrows[name]
        changed = moment.changed(name)
        for v, u in enumerate(moment.now[name].tolist()):
            if u != v:
                axes.add_patch(
                    FancyArrowPatch(
                        tuple(self.at[v]), tuple(self.at[u]), arrowstyle="-|>,head_length=3.6,head_width=1.9",
                        connectionstyle=f"arc3,rad={bend}", shrinkA=72 * self.radius, shrinkB=72 * self.radius + 0.5,
                        color=CHANGED if changed[v] else color, linestyle=dashes, lw=1.9 if changed[v] else 1.5,
                        zorder=2, mutation_scale=1,
                    )
                )  # fmt: skip

    def _nodes(self, axes: Axes, moment: Moment) -> None:
        from matplotlib.patches import Circle, Wedge

        rings = self.ring_names(moment)
        for v, (x, y) in enumerate(self.at):
            fills = self.fills(moment, v) or ["#FFFFFF"]
            part = 360 / len(fills)
            for k, color in enumerate(fills):  # a half, a third, ... for each mask
                start = 90 + k * part
                axes.add_patch(Wedge((x, y), self.radius, start, start + part, facecolor=color, lw=0, zorder=4))
            axes.add_patch(Circle((x, y), self.radius, fill=False, lw=2.4 if v in rings else 0.8, zorder=5))
            _number(axes, x, y - 0.004, str(v), fills, self.font if not self.plane else 6.2)
            if v in rings:
                names = ", ".join(name for name, _ in rings[v])
                new = any(new for _, new in rings[v])
                self._label(axes, v, self.name_side[v], names, new, fontsize=7.5, fontweight="bold", zorder=8)
            values = [(number(moment.now[n][v]), moment.changed(n)[v]) for n in self.written if n in moment.now]
            if values:
                text = " / ".join(value for value, _ in values)
                new = any(new for _, new in values)
                self._label(axes, v, self.number_side[v], text, new, fontsize=6.6, zorder=7)

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        from matplotlib.lines import Line2D

        handles = self.common_legend("the ringed node", "points to (no arrow: to itself)")
        for name, color in self.marked.items():
            handles.setdefault(f"{_base(name)} = 1 (edge)", Line2D([], [], color=color, lw=3.2))
        if self.current_edge:
            handles["the edge from u to v"] = Line2D([], [], color=YELLOW, lw=7)
        notes = self.parts("A node's parts, counterclockwise from the top")
        written = list(dict.fromkeys(name for name in self.written if self.spec[name].stage == "hint"))
        inputs = [name for name in self.written if self.spec[name].stage == "input"]
        if written:
            notes.append(f"Numbers beside a node: {' / '.join(written)}.")
        if inputs:
            notes.append(f"Numbers beside a node of the inputs: {' / '.join(inputs)}.")
        if self.current:
            notes.append(f"The edges drawn are those of {', '.join(self.current)}.")
        return handles, [*notes, *self.common_notes()]


class BoxPanels(Panels):
    """A row of boxes, one per node: what it holds inside, pointers as arcs above, marks below.

    Where a pointer says in which order the elements stand now, so stand the boxes.
    """

    across = 1

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.order = list_hint(trace)
        inputs = [name for name in trace.spec.inputs if name in self.scalars]
        self.texts = [*(name for name in self.classes if self._is_text(name)), *inputs]
        self.classes = [name for name in self.classes if not self._is_text(name)]
        self.extra = [name for name in self.scalars if trace.spec[name].stage != "input"]
        self.masks.pop("string", None)
        self.lists = [name for name in self.arrows if name in trace.spec.outputs and self._orders(name)]
        self.arrows = _styles([name for name in self.arrows if name not in (self.order, *self.lists)], ARROWS)
        names = max((len(n) for n in self.rings), default=1)
        n = self.nodes
        longest = max([2, *(len(label(v, trace.spec[t])) for t in self.texts for v in trace.compact[t])])
        wanted = max(0.45, 0.06 * longest + 0.1, 0.068 * names + 0.05)
        self.box = min(wanted, max(14 / n, 0.13))
        self.upright = 0.068 * names + 0.03 > self.box  # names do not fit side by side: turned, they do
        self.font = min(7.5, 72 * (self.box - 0.06) / (0.62 * longest))
        left = [name for name in trace.spec if trace.spec[name].location is Location.EDGE]
        if left:
            self.notes.append(f"not drawn: {', '.join(left)} (see the text).")

    def _orders(self, name: str) -> bool:
        """An output that says in which order the elements stand in the end."""
        return self.order is not None and linked_list(np.asarray(self.trace.compact[name])) is not None

    def _is_text(self, name: str) -> bool:
        return self.spec[name].stage == "input"

    def size(self, shown: list[Moment]) -> tuple[float, list[float]]:
        width = max(4.8, self.nodes * self.box + 0.3 + self.gap(self.nodes - 1))
        return width, [sum(self._parts(moment, width)) for moment in shown]

    def _parts(self, moment: Moment, width: float) -> tuple[float, float, float, float]:
        """Heights of heading, arcs, boxes and marks."""
        arcs = 0.08 + max((self._arc(a) for a in self._spans(moment)), default=0.0)
        boxes = 0.12 + 0.15 * max(1, len(self.texts) + len(self.extra))
        lines = [[name for name, _ in names] for names in self.ring_names(moment).values()]
        if self.upright:
            marks = max((0.066 * len(", ".join(names)) + 0.32 for names in lines), default=0.14)
        else:
            marks = max((0.135 * len(names) + 0.3 for names in lines), default=0.14)
        return self.heading_height([moment], width), arcs, boxes, marks

    def gap(self, place: int) -> float:
        """Two strings stand apart."""
        if "string" not in self.spec.inputs:
            return 0.0
        string = np.asarray(self.trace.compact["string"])
        return 0.25 * int((string[1 : place + 1] != string[:place]).sum())

    def _places(self, moment: Moment) -> np.ndarray:
        """Where each node stands, from the left."""
        orders = [*([self.order] if self.order else []), *self.lists]
        order = next((moment.now[name] for name in orders if name in moment.now), None)
        listed = linked_list(np.asarray(order)) if order is not None else None
        places = np.empty(self.nodes, int)
        places[np.arange(self.nodes) if listed is None else listed] = np.arange(self.nodes)
        return places

    def _spans(self, moment: Moment) -> list[float]:
        at = self._x(moment)
        drawn = [moment.now[name] for name in self.arrows if name in moment.now]
        return [abs(at[u] - at[v]) for pointer in drawn for v, u in enumerate(pointer)]

    def _x(self, moment: Moment) -> np.ndarray:
        """The middle of each node's box."""
        return np.array([0.15 + (p + 0.5) * self.box + self.gap(p) for p in self._places(moment).tolist()])

    @staticmethod
    def _arc(span: float) -> float:
        return min(0.6, 0.12 + 0.1 * span) if span else 0.0

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        self.write_heading(axes, moment, width, height)
        head, arcs, boxes, _ = self._parts(moment, width)
        top = height - head - arcs
        bottom = top - boxes
        at = self._x(moment)
        self._boxes(axes, moment, at, top, bottom)
        self._arcs(axes, moment, at, top)
        for v, names in self.ring_names(moment).items():
            y = bottom - 0.2
            axes.plot(at[v], y + 0.01, marker="^", color=BLACK, ms=3.5, zorder=5)
            if self.upright:
                new = any(new for _, new in names)
                text = ", ".join(name for name, _ in names)
                color = CHANGED if new else BLACK
                axes.text(at[v], y - 0.05, text, rotation=90, fontsize=7, va="top", ha="center", color=color)
            else:
                for k, (name, new) in enumerate(names):
                    color = CHANGED if new else BLACK
                    axes.text(
                        at[v], y - 0.04 - 0.135 * k, name, fontsize=7.5, va="top", ha="center", color=color,
                        fontweight="bold",
                    )  # fmt: skip

    def _boxes(self, axes: Axes, moment: Moment, at: np.ndarray, top: float, bottom: float) -> None:
        from matplotlib.patches import Rectangle

        rings, tall = self.ring_names(moment), top - bottom
        moved = self._moved(moment)
        for v, x in enumerate(at):
            fills = self.fills(moment, v) or ["#FFFFFF"]
            left, part = x - self.box / 2, self.box / len(fills)
            for k, color in enumerate(fills):
                axes.add_patch(Rectangle((left + k * part, bottom), part, tall, facecolor=color, lw=0, zorder=2))
            edge = CHANGED if moved[v] else BLACK
            lw = 2.0 if v in rings or moved[v] else 0.7
            axes.add_patch(
                Rectangle((left, bottom), self.box, tall, fill=False, edgecolor=edge, lw=lw, zorder=4 if lw > 1 else 3)
            )
            lines = [label(self.trace.compact[name][v], self.spec[name], self._is_text(name)) for name in self.texts]
            lines += [label(moment.now[name][v], self.spec[name]) for name in self.extra if name in moment.now]
            for k, line in enumerate(lines if self.font >= 3.5 else ()):
                _number(axes, x, top - 0.06 - 0.075 - 0.15 * k, line, fills, self.font)
            if self.box >= 0.12:
                size = min(6.2, 72 * self.box / 1.6)
                axes.text(x, bottom - 0.02, str(v), fontsize=size, ha="center", va="top", color="#666666")

    def _moved(self, moment: Moment) -> np.ndarray:
        """Boxes that stand elsewhere than in the panel before, or whose colour or number changed."""
        moved = np.zeros(self.nodes, bool)
        if moment.before is not None:
            if self.order is not None:
                moved |= self._places(moment) != self._places(Moment("", moment.before))
            for name in (*self.masks, *self.classes, *self.extra):
                if name in moment.now:
                    moved |= moment.changed(name)
        return moved

    def _arcs(self, axes: Axes, moment: Moment, at: np.ndarray, top: float) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        for name, (color, dashes) in self.arrows.items():
            if name not in moment.now:
                continue
            changed = moment.changed(name)
            for v, u in enumerate(moment.now[name].tolist()):
                if u != v:
                    rise = self._arc(abs(at[u] - at[v])) / 0.75
                    start, end = at[v], at[u] + 0.12 * self.box * np.sign(at[v] - at[u])
                    path = Path(
                        [(start, top + 0.02), (start, top + rise), (end, top + rise), (end, top + 0.02)], [1, 4, 4, 4]
                    )  # fmt: skip
                    axes.add_patch(
                        FancyArrowPatch(
                            path=path, arrowstyle="-|>,head_length=3.2,head_width=1.7", mutation_scale=1,
                            color=CHANGED if changed[v] else color, linestyle=dashes,
                            lw=1.5 if changed[v] else 1.1, zorder=3,
                        )
                    )  # fmt: skip

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        handles = self.common_legend("", "points to (no arc: to itself)")
        handles.pop("name: ", None)
        notes = self.parts("A box's colours, from the left")
        inside = [*self.texts, *self.extra]
        if inside:
            notes.append(f"In a box: {', '.join(inside)}; below it the node's number and the names of what marks it.")
        if self.order is not None:
            notes.append(f"The boxes stand in the order of {self.order}: each points to the one on its left.")
        return handles, [*notes, *self.common_notes()]


class TablePanels(Panels):
    """Matrices: a panel for every hint on edges that is not a mask, and the node inputs as a table of their own."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        hints = [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE and p.type is not Type.MASK]
        others = [n for n, p in trace.spec.items() if p.location is Location.EDGE and p.stage == "output"]
        every = hints or [n for n, p in trace.spec.hints.items() if p.location is Location.EDGE] or others
        self.slots = tuple(dict.fromkeys(map(_base, every)))
        self.mask = next((n for n in self._of(Location.EDGE, {Type.MASK}) if trace.spec[n].stage == "hint"), None)
        if self.mask in every:
            self.mask = None
        n = self.nodes
        self.side = 2.7 if n <= 9 else 4.0 if n <= 16 else 5.0
        self.across = 4 if n <= 9 else 3 if len(self.slots) == 3 else 2
        drawn = {*self.rings, *self.trivial, self.mask, *trace.spec.inputs}
        left = [n for n in trace.spec if _base(n) not in self.slots and n not in drawn]
        left = [n for n in left if trace.spec[n].location is not Location.GRAPH]
        if left:
            self.notes.append(f"not drawn: {', '.join(left)} (see the text).")
        self.ranges = {}
        for name in trace.spec:
            if _base(name) in self.slots and trace.spec[name].type is Type.SCALAR:
                values = _every(trace, name)
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
            if columns and slot == self.slots[0]:
                self._inputs(axes, moment, columns)
            elif "A" in moment.now and slot == self.slots[1 if columns and len(self.slots) > 1 else 0]:
                self._matrix(axes, "A", moment, mask=moment.now["A"] != 0)
            return
        tables = [name for base in self.slots for name in moment.now if _base(name) == base]
        place = self.slots.index(slot)
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
            changed = changed | (moment.changed(self.mask) & mask)
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
                axes.add_patch(Rectangle(low, size[0] * cell, size[1] * cell, fill=False, lw=1.6, zorder=3))
            if node < n:
                axes.text(left + n * cell, top - n * cell - 0.03, f"{names} = {node}", fontsize=7, ha="right", va="top")
        grid = np.arange(n + 1) * cell
        axes.hlines(top - grid, left, left + n * cell, color="white" if n > 20 else "#D0D0D0", lw=0.4, zorder=2)
        axes.vlines(left + grid, top - n * cell, top, color="white" if n > 20 else "#D0D0D0", lw=0.4, zorder=2)
        for u, v in np.argwhere(changed).tolist():
            box = (left + v * cell, top - (u + 1) * cell)
            axes.add_patch(Rectangle(box, cell, cell, fill=False, edgecolor=CHANGED, lw=1.5, zorder=4))
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
            if _base(name) in self.slots and self.spec[name].type is Type.CATEGORICAL:
                for value in range(self.spec[name].classes):
                    patch = Patch(facecolor=self.class_color(name, value), edgecolor=GREY)
                    handles.setdefault(f"{_base(name)} = {value}", patch)
            if _base(name) in self.slots and self.spec[name].type in POINTERS and self.spec[name].stage == "hint":
                handles[f"{name}: pale 0 to tan {self.nodes - 1}"] = Patch(facecolor="#FEC44F", ec=GREY)
        if self.mask:
            handles[f"{self.mask} = 0"] = Patch(facecolor=PALE, ec=GREY)
        if self.rings:
            handles[f"row and column of {', '.join(self.rings)}"] = Patch(facecolor="none", ec=BLACK, lw=1.6)
        if self.trace.length > 1:
            handles["changed since the panel before"] = Patch(facecolor="none", ec=CHANGED, lw=1.5)
        return handles, self.common_notes()


def label(value: Any, probe: Probe, letters: bool = False) -> str:
    """One value as short text; classes as letters where they are characters of a string."""
    if probe.type is Type.SCALAR:
        return number(value)
    if probe.type is Type.CATEGORICAL and letters and 0 <= value < 26:
        return "abcdefghijklmnopqrstuvwxyz"[int(value)]
    return "-" if value == IGNORED else str(int(value))


def _base(name: str) -> str:
    """A hint and the output that it becomes share their name: pi_h and pi."""
    return name.removesuffix("_h")


def _styles(names: list[str], styles: tuple) -> dict[str, Any]:
    """A style for every name, the same for a hint and its output."""
    bases = list(dict.fromkeys(map(_base, names)))
    return {name: styles[bases.index(_base(name)) % len(styles)] for name in names}


def _first(trace: Trace, name: str) -> np.ndarray:
    """The probe's first value."""
    values = trace.compact[name]
    return np.asarray(values[0]) if trace.spec[name].stage == "hint" else np.asarray(values)


def _every(trace: Trace, name: str) -> np.ndarray:
    return np.asarray(trace.compact[name])


def _number(axes: Axes, x: float, y: float, text: str, fills: list[str], size: float) -> None:
    """Type that can be read on these colours: white on dark ones, with a rim where some are dark and some are not."""
    from matplotlib.patheffects import withStroke

    dark = [_luminance(color) < 0.45 for color in fills]
    ink, rim = ("white", BLACK) if all(dark) else (BLACK, "white")
    effects = [withStroke(linewidth=2, foreground=rim)] if any(dark) and not all(dark) else []
    axes.text(x, y, text, fontsize=size, ha="center", va="center", color=ink, zorder=6, path_effects=effects)


def _luminance(color: str) -> float:
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
