"""Graphs, and points in the plane, as panels of a trace's picture (figure.py).

Nothing here may import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nar.traces.drawing.layout import nodes_in_a_box
from nar.traces.drawing.palette import BLACK, GREEN, ORANGE, YELLOW
from nar.traces.drawing.panels import CHANGED, GREY, Moment, Panels, base, styles, write_number
from nar.traces.drawing.text import number
from nar.traces.spec import POINTERS, Location, Type
from nar.traces.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class GraphPanels(Panels):
    """Nodes and edges, or points in the plane where the inputs are `x` and `y`."""

    def __init__(self, trace: Trace, side: float | None = None) -> None:
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
        self.side = side or (2.9 if n <= 10 else 3.6 if n <= 16 else 4.6 if n <= 32 else 6.2)
        self.across = 4 if n <= 10 else 3 if n <= 32 else 2
        self.radius = 0.135 if n <= 16 else 0.115 if n <= 32 else 0.1
        self.font = 7.5 if n <= 32 else 6
        if self.plane:
            self.radius = 0.09
            self.font = 7
        self.segments = self.plane and n == 4 and all(p.location is Location.GRAPH for p in trace.spec.outputs.values())
        self.written = self.scalars if n <= 32 else []
        if len(self.written) < len(self.scalars):
            self.notes.append(f"not drawn: {', '.join(self.scalars)} (numbers fit up to 32 nodes; see the text).")
        self.at = nodes_in_a_box(self.edges, self.side, xy)
        self.number_side, self.name_side = self._free_sides()
        masks = [name for name in self._of(Location.EDGE, {Type.MASK}) if name not in trace.spec.inputs]
        self.current = [name for name in masks if shows_the_graph(trace, name)]
        self.marked = styles([name for name in masks if name not in self.current], (ORANGE, GREEN))
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
        self.draw_graph(axes, moment)

    def draw_graph(self, axes: Axes, moment: Moment) -> None:
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
        bases = list(dict.fromkeys(map(base, self.arrows)))
        for name in self.arrows:
            k = bases.index(base(name))
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
        if self.segments:
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
                axes.add_artist(
                    FancyArrowPatch(
                        tuple(self.at[v]), tuple(self.at[u]), arrowstyle="-|>,head_length=3.6,head_width=1.9",
                        connectionstyle=f"arc3,rad={bend}", shrinkA=72 * self.radius, shrinkB=72 * self.radius + 0.5,
                        color=CHANGED if changed[v] else color, linestyle=dashes, lw=1.9 if changed[v] else 1.5,
                        zorder=2, mutation_scale=1,
                    )
                )  # fmt: skip

    def _nodes(self, axes: Axes, moment: Moment) -> None:
        from matplotlib.patches import Wedge

        rings = self.ring_names(moment)
        filled = [name for name in (*self.masks, *self.classes) if name in moment.now]
        new = np.any([moment.changed(name) for name in filled], axis=0) if filled else np.zeros(self.nodes, bool)
        fills = [self.fills(moment, v) or ["#FFFFFF"] for v in range(self.nodes)]
        axes.scatter(
            *self.at.T, s=(144 * self.radius) ** 2, c=[colors[0] if len(colors) == 1 else "none" for colors in fills],
            edgecolors=[CHANGED if changed else BLACK for changed in new], zorder=5,
            linewidths=[2.4 if v in rings else 1.7 if changed else 0.8 for v, changed in enumerate(new)],
        )  # fmt: skip
        for v, (x, y) in enumerate(self.at):
            part = 360 / len(fills[v])
            for k, color in enumerate(fills[v] if part < 360 else ()):  # a half, a third, ... for each mask
                start = 90 + k * part
                axes.add_artist(Wedge((x, y), self.radius, start, start + part, facecolor=color, lw=0, zorder=4))
            write_number(axes, x, y - 0.004, self.names[v], fills[v], self.font if not self.plane else 6.2)
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
            handles.setdefault(f"{base(name)} = 1 (edge)", Line2D([], [], color=color, lw=3.2))
        if self.current_edge:
            handles["the edge from u to v"] = Line2D([], [], color=YELLOW, lw=7)
        notes = self.parts("Counterclockwise from the top, the parts of a node")
        written = list(dict.fromkeys(name for name in self.written if self.spec[name].stage == "hint"))
        inputs = [name for name in self.written if self.spec[name].stage == "input"]
        if written:
            notes.append(f"Numbers beside a node: {' / '.join(written)}.")
        if inputs:
            notes.append(f"Numbers beside a node of the inputs: {' / '.join(inputs)}.")
        if self.plane:
            hull = any(name.startswith("in_hull") for name in self.masks)
            notes += ["Grey: the hull of the marked points."] if hull else []
            notes += ["Grey: the segments, from 0 to 1 and from 2 to 3."] if self.segments else []
        if self.current:
            notes.append(f"The edges drawn are those of {', '.join(self.current)}.")
        return handles, [*notes, *self.common_notes()]


def shows_the_graph(trace: Trace, name: str) -> bool:
    """Is this hint the graph as it is now (transposed, residual)? Then it begins with the edges of the inputs."""
    if trace.spec[name].stage != "hint" or not trace.length:
        return False
    apart = ~np.eye(trace.nodes, dtype=bool)
    first, edges = ((np.asarray(a) == 1) & apart for a in (trace.compact[name][0], trace.compact["adj"]))
    return bool(edges.any() and np.array_equal(first | first.T, edges | edges.T))


def relates_any_nodes(trace: Trace, name: str) -> bool:
    """Does this mask on edges mark pairs of nodes that no edge joins? Then it is a table rather than marked edges."""
    edges = (np.asarray(trace.compact["adj"]) != 0) | np.eye(trace.nodes, dtype=bool)
    return bool(((_values_of(trace, name) == 1) & ~(edges | edges.T)).any())


def _values_of(trace: Trace, name: str) -> np.ndarray:
    """Every value that the probe takes, some perhaps once only."""
    values = trace.compact[name]
    return np.asarray(getattr(values, "values", values))
