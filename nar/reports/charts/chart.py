"""One panel of a report: axes, lines, bands, dots and marks, as shapes in the units of SVG; no markup yet.

A panel is drawn for a phone, 340 units wide, and shown at about that many pixels on every screen: type keeps its size,
larger screens have more panels beside each other. Titles and legends are not in it: they wrap. `Chart.panel` says what
the panel shows in its text alternative.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from nar.reports.charts.axis import Axis
from nar.reports.charts.coincidence import DrawnLines, dashes
from nar.reports.charts.shapes import Shape, Style, marker
from nar.reports.number_format import known, number, percent, with_interval
from nar.results.statistics import interval

WIDTH, HEIGHT = 340, 220  # units of the view box
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 22, 38  # around the plot
LETTER = 6.2  # units, about the width of one character of the tick labels
LANE = 9  # units between the lanes of a row
LONGEST = 160  # points of a line; longer ones are thinned out evenly

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Label:
    """A word in a panel; `anchor` as in SVG, `role`: "ticks" or "names" of axes."""

    text: str
    x: float
    y: float
    anchor: str
    role: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """A finished chart with its title and the heading of its group, "" for none; the view box begins at (0, top)."""

    title: str
    group: str
    alternative: str
    top: int
    height: int
    shapes: Sequence[Shape]
    labels: Sequence[Label]
    width: int = WIDTH


class Chart:
    """A panel that grows by what is drawn into it; later parts lie above earlier ones."""

    def __init__(self, x: Axis, y: Axis, height: int = HEIGHT, left: int = LEFT, sideways: bool = False) -> None:
        """`sideways`: y has rows, and values lie along x."""
        self.x, self.y, self.height, self.left, self.sideways = x, y, height, left, sideways
        self.shapes: list[Shape] = []
        self.sentences: list[str] = []  # of the text alternative
        self.drawn = DrawnLines()

    @classmethod
    def of_rows(cls, x: Axis, rows: Axis, lanes: int) -> Self:
        """A chart with a row for each tick of y and so many lanes in it; as high, and left as free, as these need."""
        left = min(150, max(LEFT, round(LETTER * max(len(name) for _, name in rows.ticks)) + 12))
        return cls(x, rows, height=70 + (16 + LANE * lanes) * len(rows.ticks), left=left, sideways=True)

    def line(
        self, points: Iterable[Point], style: Style, *, faint: bool = False, markers: bool = False, shift: float = 0.0
    ) -> None:
        """A line through points, `shift` units to the right; a gap where a value is not known. `faint`: one seed of
        several."""
        points = _thinned(points)
        placed = [(self._x(x), self._y(y)) if known(y) else None for x, y in points]
        paths: dict[int, str] = {}
        for covered, part in (DrawnLines() if faint else self.drawn).add(placed, shift):
            path = "M" + "L".join(f"{x + shift:.1f} {y:.1f}" for x, y in part)
            paths[covered] = paths.get(covered, "") + path
        for covered, path in sorted(paths.items()):
            kind = "line faint" if faint else "line striped" if covered else "line"
            self.shapes.append(Shape(path, f"{style.color} {kind}", dashes(covered) or style.dash))
        if not markers:  # a point that stands alone is no line
            for before, point, after in zip([None, *placed], points, [*placed[1:], None], strict=False):
                if before is None and after is None and known(point[1]):
                    self.dot(point, style, "seed" if faint else "dot", (shift, 0.0))
        shown = [point for point in points if known(point[1])] if markers else []
        for place, point in enumerate(shown[:: max(1, math.ceil(len(shown) / 10))]):
            if self.drawn.shows_marker(self._at(point, (0.0, 0.0)), place):
                self.dot(point, style)

    def band(self, points: Iterable[tuple[float, float, float]], style: Style) -> None:
        """The area between (x, low, high)."""
        points = _thinned(p for p in points if known(p[1]) and known(p[2]))
        if len(points) > 1:
            border = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
            path = "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in border)
            self.shapes.append(Shape(f"M{path}Z", f"{style.color} band"))

    def dot(self, point: Point, style: Style, kind: str = "dot", shift: Point = (0.0, 0.0), title: str = "") -> None:
        """A marker: a "dot", a "seed", which is small, or a "hollow" one. `title`: what a pointing device is told."""
        at = self._at(point, shift)
        path = marker(0, *at, 1.7) if kind == "seed" else marker(style.marker, *at, 3.4)
        self.shapes.append(Shape(path, f"{style.color} {'dot' if kind == 'dot' else 'seed'}", title=title))

    def mean(
        self,
        at: float,
        seeds: Mapping[Any, float],
        style: Style,
        name: str,
        shift: float = 0.0,
        rings: bool = True,
        hollow: bool = False,
    ) -> float:
        """The mean of values by seed with its interval as a broad pale bar and, of several, each seed as a ring.

        `shift`: to the right, or downwards in a row. Returns the mean in the axis's unit.
        """
        factor = (self.x if self.sideways else self.y).factor
        found, write = interval(list(seeds.values())), percent if factor == 100 else number

        def point(value: float) -> Point:
            return (factor * value, at) if self.sideways else (at, factor * value)

        aside = (0.0, shift) if self.sideways else (shift, 0.0)
        if found.low is not None and found.high is not None:
            (x, y), (end_x, end_y) = (self._at(point(value), aside) for value in (found.low, found.high))
            end = f"H{end_x:.1f}" if self.sideways else f"V{end_y:.1f}"
            self.shapes.append(Shape(f"M{x:.1f} {y:.1f}{end}", f"{style.color} bar"))
            if rings:
                for seed, value in seeds.items():
                    self.dot(point(value), style, "seed", aside, f"{name}, seed {seed}: {write(value)}")
        title = f"{name}: {with_interval(found, factor == 100)}"
        self.dot(point(found.mean), style, "hollow" if hollow else "dot", aside, title)
        return factor * found.mean

    def means(self, points: Sequence[tuple[float, Mapping[Any, float]]], style: Style, name: str, shift: float) -> None:
        """A line through the means of values by seed, with their intervals and seeds."""
        points = [(x, seeds) for x, seeds in points if seeds]
        line = [(x, self.y.factor * interval(list(seeds.values())).mean) for x, seeds in points]
        self.line(line, style, shift=shift)
        for x, seeds in points:
            self.mean(x, seeds, style, f"{name} at {number(x)}", shift=shift)
        self.tell(name, line)

    def mark(self, x: float, y: float, spread: float | None, title: str, style: Style, shift: float = 0.0) -> None:
        """A published number: an open diamond with its printed spread."""
        at, middle = self._x(x) + shift, self._y(y)
        path = f"M{at:.1f} {middle - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
        if spread and known(spread):
            path += f"M{at:.1f} {self._y(y + spread):.1f}V{self._y(y - spread):.1f}"
        self.shapes.append(Shape(path, f"{style.color} mark", title=title))

    def shade(self, low: float, high: float) -> None:
        """The range trained on; widened to be visible where it is a single size."""
        start, end = self._x(low), self._x(high)
        if end - start < 6:
            start, end = start - 3, end + 3
        path = f"M{start:.1f} {TOP}H{end:.1f}V{self.height - BOTTOM}H{start:.1f}z"
        self.shapes.insert(0, Shape(path, "shade"))

    def rule(self, x: float, kind: str = "rule") -> None:
        """A vertical line over the whole height."""
        self.shapes.append(Shape(f"M{self._x(x):.1f} {TOP}V{self.height - BOTTOM}", kind))

    def tell(self, name: str, points: Iterable[Point], unit: str | None = None) -> None:
        """Adds a series to the text alternative: every point of a short one, of a long one begin, end and extremes.

        `unit`: by default that of the y axis.
        """
        unit = ("%" if self.y.factor == 100 else "") if unit is None else unit
        shown = [point for point in points if known(point[1])]
        if not shown:
            return

        def said(point: Point) -> str:
            return f"{number(point[1])}{unit} at {number(point[0])}"

        if len(shown) <= 8:
            text = ", ".join(map(said, shown))
        else:
            low, high = min(shown, key=lambda p: p[1]), max(shown, key=lambda p: p[1])
            text = f"from {said(shown[0])} to {said(shown[-1])}, lowest {said(low)}, highest {said(high)}"
        self.sentences.append(f"{name}: {text}.")

    def panel(self, title: str, group: str = "") -> Panel:
        """The finished panel; the heading of its `group` is said in its text alternative, too."""
        about = f"{group}, {title}" if group else title
        axes = f"{self.y.label} against {self.x.label}" if self.y.label else self.x.label
        alternative = f"{about}: {axes}. {' '.join(self.sentences)}".strip()
        named = bool(self.y.label) and self.y.label not in title  # else the title names the y axis
        top = 0 if named else TOP - 12
        shapes = [*self._axis_lines(), *self.shapes]
        return Panel(title, group, alternative, top, self.height - top, shapes, list(self._labels(named)))

    def _at(self, point: Point, shift: Point) -> Point:
        return self._x(point[0]) + shift[0], self._y(point[1]) + shift[1]

    def _x(self, value: float) -> float:
        return self.left + self.x.place(value) * (WIDTH - self.left - RIGHT)

    def _y(self, value: float) -> float:
        return self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)

    def _axis_lines(self) -> list[Shape]:
        floor, end = self.height - BOTTOM, WIDTH - RIGHT
        grid = "".join(f"M{self.left} {self._y(value):.1f}H{end}" for value, _ in self.y.ticks)
        ticks = "".join(f"M{self._x(value):.1f} {floor}v4" for value, _ in self.x.ticks)
        return [Shape(grid or f"M{self.left} {floor}", "grid"), Shape(f"M{self.left} {floor}H{end}{ticks}", "axis")]

    def _labels(self, named: bool) -> Iterable[Label]:
        """Ticks and the names of the axes, that of y if `named`; labels that would touch their left neighbour are left
        away."""
        floor, free = self.height - BOTTOM, -math.inf
        for value, text in self.x.ticks:
            at, half = self._x(value), LETTER * len(text) / 2
            if text and at - half > free:
                at = min(at, WIDTH - half)
                yield Label(text, round(at, 1), floor + 15, "middle", "ticks")
                free = at + half + 4
        for value, text in self.y.ticks:
            yield Label(text, self.left - 5, round(self._y(value) + 3.5, 1), "end", "ticks")
        yield Label(self.x.label, (self.left + WIDTH - RIGHT) / 2, self.height - 5, "middle", "names")
        if named:
            yield Label(self.y.label, 2, 11, "start", "names")


def _thinned(points: Iterable[Any]) -> list[Any]:
    points = list(points)
    if len(points) <= LONGEST:
        return points
    return [points[round(k * (len(points) - 1) / (LONGEST - 1))] for k in range(LONGEST)]


def aside(place: int, count: int) -> float:
    """How far to move one of several series at the same places, so that they do not cover each other."""
    return (place - (count - 1) / 2) * min(5.0, 24 / count)


def lane(place: int, count: int) -> float:
    """How far below the middle of a row a lane lies."""
    return (place - (count - 1) / 2) * LANE
