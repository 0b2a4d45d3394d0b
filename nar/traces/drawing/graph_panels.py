"""Graphs, and points in the plane, as panels of a trace's picture (figure.py)."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Wedge

from nar.traces.drawing.layout import nodes_in_a_box
from nar.traces.drawing.panels import BLACK, CHANGED, EDGES, GREY, YELLOW, Moment, Panels, base, joined, styles, write
from nar.traces.drawing.text import every_value, number
from nar.traces.spec import POINTERS, Location, Type
from nar.traces.trace import Trace

MOST_WEIGHTS = 40  # of edges, that can still be read
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8}  # behind text that edges may cross


class GraphPanels(Panels):
    """Nodes and edges, or points in the plane where the inputs are `x` and `y`."""

    def __init__(self, trace: Trace, side: float | None = None) -> None:
        self.plane = "adj" not in trace.spec.inputs
        self.unlabelled = ("pos", "x", "y") if self.plane else ("pos",)
        super().__init__(trace)
        n = self.nodes
        apart = ~np.eye(n, dtype=bool)
        self.edges = np.zeros((n, n), bool) if self.plane else (np.asarray(trace.compact["adj"]) == 1) & apart
        xy = np.stack([trace.compact["x"], trace.compact["y"]], -1) if self.plane else None
        self.side = side or (2.9 if n <= 10 else 3.6 if n <= 16 else 4.6 if n <= 32 else 6.2)
        self.across = 4 if n <= 10 else 3 if n <= 32 else 2
        self.radius = 0.09 if self.plane else 0.135 if n <= 16 else 0.115 if n <= 32 else 0.1
        self.font = 6.2 if self.plane else 7.5 if n <= 32 else 6
        self.segments = self.plane and n == 4 and all(p.location is Location.GRAPH for p in trace.spec.outputs.values())
        self.written = self.scalars if n <= 32 else []
        self.leave_out([] if self.written else self.scalars, "numbers fit up to 32 nodes; see the text")
        self.at = nodes_in_a_box(self.edges, self.side, xy)
        self.number_side, self.name_side = self._free_sides()
        masks = [name for name in self._of(Location.EDGE, {Type.MASK}) if name not in trace.spec.inputs]
        self.current = [name for name in masks if shows_the_graph(trace, name)]
        self.marked = styles([name for name in masks if name not in self.current], EDGES)
        self.leave_out([n for n in self._of(Location.EDGE, {Type.SCALAR, Type.CATEGORICAL, *POINTERS}) if n != "A"])
        self.weighted = self._weighted()
        if len(self.weighted) > MOST_WEIGHTS:
            self.leave_out(["A"], f"weights fit on up to {MOST_WEIGHTS} edges, here are {len(self.weighted)}")
            self.weighted = self.weighted[:0]
        self.current_edge = {"u", "v"} <= set(self.rings) and not self.plane

    def draw(self, axes: Axes, moment: Moment, slot: str, width: float, height: float) -> None:
        edges = self.edges
        for name in moment.given(self.current):
            edges = (moment.now[name] == 1) & ~np.eye(self.nodes, dtype=bool)
        self._edges(axes, edges, "#B8B8B8", 0.9)
        if moment.title == "inputs" and "A" in self.spec:
            self._weights(axes, moment.now["A"])
        if self.plane:
            self._plane(axes, moment)
        for name in moment.given(self.marked):
            self._edges(axes, moment.now[name] == 1, self.marked[name], 3.2, zorder=1.5)
        if self.current_edge and {"u", "v"} <= moment.now.keys():
            u, v = int(moment.now["u"]), int(moment.now["v"])
            if edges[u, v] or edges[v, u]:
                axes.plot(*self.at[[u, v]].T, color=YELLOW, lw=7, solid_capstyle="round", zorder=1.2)
        bends = styles(list(self.arrows), tuple((0.1 + 0.14 * k) * (-1) ** k for k in range(len(self.arrows))))
        shrink = {"shrinkA": 72 * self.radius, "shrinkB": 72 * self.radius + 0.5}

        def bent(name: str, v: int, u: int) -> dict[str, Any]:
            ends = {"posA": tuple(self.at[v]), "posB": tuple(self.at[u])}
            return {**ends, **shrink, "connectionstyle": f"arc3,rad={bends[name]}"}

        self.draw_arrows(axes, moment, bent)
        self._nodes(axes, moment)

    def _free_sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions [n, 2] in which a node's numbers and names stand: away from its edges and from other nodes."""
        compass = np.array([(0, -1), (0, 1), (0.8, -0.6), (-0.8, -0.6), (0.8, 0.6), (-0.8, 0.6), (1, 0), (-1, 0)])
        numbers, names = np.zeros((self.nodes, 2)), np.zeros((self.nodes, 2))
        for v, place in enumerate(self.at):
            along = self.at - place
            distance = np.linalg.norm(along, axis=1)
            near = (self.edges[v] | self.edges[:, v] | (distance < 0.5)) & (distance > 0)
            cosine = compass @ (along[near] / distance[near, None]).T  # 1: an edge runs where the text would stand
            cost = np.maximum(cosine.max(1, initial=-1.0), -0.2) + 0.02 * np.arange(len(compass))
            end = place + 0.45 * compass
            cost += 2.0 * ((end < 0) | (end > self.side)).any(1)
            numbers[v] = compass[cost[: 2 if len(self.written) > 2 else None].argmin()]  # long ones: above or below
            names[v] = compass[(cost[:2] + 3.0 * (compass[:2] @ numbers[v] > 0.5)).argmin()]
        return numbers, names

    def _labels(self, axes: Axes, moment: Moment, v: int, names: list[tuple[str, bool]]) -> None:
        """Numbers and names beside a node, within the panel; red where one of them is new."""
        numbers = [(number(moment.now[name][v]), bool(moment.changed(name)[v])) for name in moment.given(self.written)]
        for direction, parts, space, size, weight in (
            (self.number_side[v], numbers, " / ", 6.6, "normal"), (self.name_side[v], names, ", ", 7.5, "bold"),
        ):  # fmt: skip
            if parts:
                text, color = joined(parts, space)
                (dx, dy), half = direction, 0.5 * len(text) * 0.0092 * size
                x, y = self.at[v] + direction * (self.radius + 0.03)
                x = min(max(x + half * np.sign(dx), half), self.side - half)
                va = "center" if abs(dy) < 0.3 else "bottom" if dy > 0 else "top"
                write(axes, x, y, text, size, va=va, color=color, bbox=WHITE, fontweight=weight, zorder=7)

    def _edges(self, axes: Axes, edges: np.ndarray, color: str, lw: float, zorder: float = 1) -> None:
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

    def _weighted(self) -> np.ndarray:
        """The pairs of nodes [E, 2] between which weights are written: every edge, or none if all weigh the same."""
        A = np.asarray(self.trace.compact["A"]) if "A" in self.spec.inputs else np.zeros((0, 0))
        if np.unique(A[A != 0]).size <= 1 or self.plane:
            return np.zeros((0, 2), int)
        return np.argwhere(np.triu(self.edges) if np.array_equal(A, A.T) else self.edges)

    def _weights(self, axes: Axes, A: np.ndarray) -> None:
        place = 0.5 if np.array_equal(A, A.T) else 0.42
        for u, v in self.weighted:
            x, y = self.at[u] + (self.at[v] - self.at[u]) * place
            write(axes, x, y, number(float(A[u, v])), 6.2, color="#333333", zorder=3, bbox=WHITE)

    def _plane(self, axes: Axes, moment: Moment) -> None:
        """The hull through the marked points; two segments where the whole graph has one answer."""
        if self.segments:
            for pair in ([0, 1], [2, 3]):
                axes.plot(*self.at[pair].T, color=GREY, lw=2, zorder=1)
        for name in moment.given(name for name in self.masks if name.startswith("in_hull")):
            points = self.at[np.asarray(moment.now[name]) == 1]
            if len(points) > 1:
                angle = np.arctan2(*(points - points.mean(0)).T[::-1])
                axes.fill(*points[np.argsort(angle)].T, facecolor="none", edgecolor=GREY, lw=1.6, zorder=1)

    def _nodes(self, axes: Axes, moment: Moment) -> None:
        rings = self.ring_names(moment)
        new = self.outlined(moment)
        fills = [self.fills(moment, v) for v in range(self.nodes)]
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
            write(axes, x, y - 0.004, self.names[v], self.font, fills[v])
            self._labels(axes, moment, v, rings.get(v, []))

    def legend(self) -> tuple[dict[str, Any], list[str]]:
        handles = self.common_legend("points to (no arrow: to itself)")
        if self.rings:
            handles["name: the ringed node"] = Line2D([], [], ls="", marker="o", mfc="none", mec=BLACK, mew=2, ms=7)
        for name, color in self.marked.items():
            handles.setdefault(f"{base(name)} = 1 (edge)", Line2D([], [], color=color, lw=3.2))
        if self.current_edge:
            handles["the edge from u to v"] = Line2D([], [], color=YELLOW, lw=7)
        notes = self.parts("Counterclockwise from the top, the parts of a node")
        for stage, where in (("hint", "a node"), ("input", "a node of the inputs")):
            written = [name for name in self.written if self.spec[name].stage == stage]
            notes += [f"Numbers beside {where}: {' / '.join(written)}."] if written else []
        if self.plane:
            hull = any(name.startswith("in_hull") for name in self.masks)
            notes += ["Grey: the hull of the marked points."] if hull else []
            notes += ["Grey: the segments, from 0 to 1 and from 2 to 3."] if self.segments else []
        if self.current:
            notes.append(f"The edges drawn are those of {', '.join(self.current)}.")
        return handles, notes


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
    return bool(((every_value(trace, name) == 1) & ~(edges | edges.T)).any())
