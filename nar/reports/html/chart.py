"""One panel of the report page: axes, lines, bands, dots and marks as inline SVG, in the colours of page.css.

A panel is drawn for a phone, 340 units wide, and shown at about that many pixels on every screen: type keeps its size,
larger screens have more panels beside each other. Colours are classes (page.css has them for light and dark pages), and
every series has a marker or a dash pattern of its own, so that nothing rests on colour alone. Titles and legends are
HTML: they wrap. `Chart.svg` writes what the panel shows into its text alternative.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from nar.reports.html.axis import Axis
from nar.reports.html.elements import Markup, Panel, element, known, number

WIDTH, HEIGHT = 340, 220  # units of the view box
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 22, 38  # around the plot
LETTER = 6.2  # units, about the width of one character of the tick labels
LONGEST = 160  # points of a line; longer ones are thinned out evenly
_DASHES = (None, "7 3", "2 2.5", "9 3 2 3")
_MARKERS = 7

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Style:
    """How a series looks: a colour class of page.css, a marker and dashes."""

    color: str
    marker: int
    dash: str | None = None


def named_style(index: int) -> Style:
    """For series without an order, such as processors: seven colours and markers, then again with dashes."""
    return Style(f"c{index % 7}", index % _MARKERS, _DASHES[index // 7 % len(_DASHES)])


def ordered_style(index: int, count: int) -> Style:
    """For series with an order, such as sizes: a ramp of six colours."""
    place = round(5 * index / (count - 1)) if count > 1 else 3
    return Style(f"o{place}", index % _MARKERS, None if count <= 6 else _DASHES[index % 2])


class Chart:
    """A panel that grows by what is drawn into it; later parts lie above earlier ones."""

    def __init__(self, x: Axis, y: Axis, height: int = HEIGHT, left: int = LEFT) -> None:
        self.x, self.y, self.width, self.height, self.left = x, y, WIDTH, height, left
        self.parts: list[Markup] = []
        self.sentences: list[str] = []  # of the text alternative

    def line(
        self,
        points: Iterable[Point],
        style: Style,
        *,
        faint: bool = False,
        dotted: bool = False,
        markers: bool = True,
        shift: float = 0.0,
    ) -> None:
        """A line through points, `shift` units to the right; a gap where a value is not known. `faint`: one seed of
        several."""
        points = list(points)
        if len(points) > LONGEST:
            points = [points[round(k * (len(points) - 1) / (LONGEST - 1))] for k in range(LONGEST)]
        path, pen = [], "M"
        for x, y in points:
            if known(y):
                path.append(f"{pen}{self._x(x) + shift:.1f} {self._y(y):.1f}")
                pen = "L"
            else:
                pen = "M"
        kind = "line faint" if faint else "line"
        dash = "1.5 3" if dotted else style.dash
        self.parts.append(element("path", d="".join(path), class_=f"{style.color} {kind}", stroke_dasharray=dash))
        if markers and not faint:
            shown = [point for point in points if known(point[1])]
            every = max(1, math.ceil(len(shown) / 10))
            self.dots(shown[::every], style, shift=(shift, 0.0))

    def band(self, points: Iterable[tuple[float, float, float]], style: Style) -> None:
        """The area between (x, low, high)."""
        points = [p for p in points if known(p[1]) and known(p[2])]
        if len(points) > LONGEST:
            points = [points[round(k * (len(points) - 1) / (LONGEST - 1))] for k in range(LONGEST)]
        if len(points) > 1:
            border = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
            path = "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in border)
            self.parts.append(element("path", d=f"M{path}Z", class_=f"{style.color} band"))

    def interval(self, x: float, low: float | None, high: float | None, style: Style, shift: float = 0.0) -> None:
        """A broad pale bar from low to high; `shift` in units to the right."""
        if low is None or high is None or not (known(low) and known(high)):
            return
        path = f"M{self._x(x) + shift:.1f} {self._y(low):.1f}V{self._y(high):.1f}"
        self.parts.append(element("path", d=path, class_=f"{style.color} bar"))

    def across(self, low: float | None, high: float | None, y: float, style: Style, shift: float = 0.0) -> None:
        """The same lying; `shift` in units downwards."""
        if low is None or high is None or not (known(low) and known(high)):
            return
        path = f"M{self._x(low):.1f} {self._y(y) + shift:.1f}H{self._x(high):.1f}"
        self.parts.append(element("path", d=path, class_=f"{style.color} bar"))

    def dots(
        self,
        points: Iterable[Point],
        style: Style,
        *,
        small: bool = False,
        hollow: bool = False,
        shift: tuple[float, float] = (0.0, 0.0),
        titles: Sequence[str] = (),
    ) -> None:
        """A marker at every point; `small`: seeds, `hollow`: baselines. `titles`: what a pointing device is told of
        each."""
        for k, (x, y) in enumerate(points):
            if known(x) and known(y):
                at = (self._x(x) + shift[0], self._y(y) + shift[1])
                path = marker(0, *at, 1.7) if small else marker(style.marker, *at, 3.4)
                kind = f"{style.color} {'seed' if small or hollow else 'dot'}"
                if titles:
                    self.parts.append(element("g", element("title", titles[k]), element("path", d=path, class_=kind)))
                else:
                    self.parts.append(element("path", d=path, class_=kind))

    def mark(self, x: float, y: float, spread: float | None, title: str, style: Style, shift: float = 0.0) -> None:
        """A published number: an open diamond with its printed spread."""
        at, middle = self._x(x) + shift, self._y(y)
        path = f"M{at:.1f} {middle - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
        if spread and known(spread):
            path += f"M{at:.1f} {self._y(y + spread):.1f}V{self._y(y - spread):.1f}"
        self.parts.append(element("g", element("title", title), element("path", d=path, class_=f"{style.color} mark")))

    def shade(self, low: float, high: float) -> None:
        """The range trained on; widened to be visible where it is a single size."""
        start, end = self._x(low), self._x(high)
        if end - start < 6:
            start, end = start - 3, end + 3
        self.parts.insert(
            0,
            element("path", d=f"M{start:.1f} {TOP}H{end:.1f}V{self.height - BOTTOM}H{start:.1f}z", class_="shade"),
        )

    def rule(self, x: float, kind: str = "rule") -> None:
        """A vertical line over the whole height."""
        at = f"{self._x(x):.1f}"
        self.parts.append(element("path", d=f"M{at} {TOP}V{self.height - BOTTOM}", class_=kind))

    def tell(self, name: str, points: Iterable[Point], unit: str = "") -> None:
        """Adds a series to the text alternative: every point of a short one, of a long one begin, end and extremes."""
        shown = [point for point in points if known(point[1])]
        if not shown:
            return
        if len(shown) <= 8:
            text = ", ".join(f"{_spoken(y)}{unit} at {_spoken(x)}" for x, y in shown)
        else:
            low, high = min(shown, key=lambda p: p[1]), max(shown, key=lambda p: p[1])
            text = (
                f"from {_spoken(shown[0][1])}{unit} at {_spoken(shown[0][0])} to {_spoken(shown[-1][1])}{unit} at "
                f"{_spoken(shown[-1][0])}, lowest {_spoken(low[1])}{unit} at {_spoken(low[0])}, "
                f"highest {_spoken(high[1])}{unit} at {_spoken(high[0])}"
            )
        self.sentences.append(f"{name}: {text}.")

    def panel(self, title: str, of: str = "") -> Panel:
        """The finished panel; `of`: what its text alternative is to begin with, where that stands above a group."""
        about = f"{of}, {title}" if of else title
        axes = f"{self.y.label} against {self.x.label}" if self.y.label else self.x.label
        alternative = f"{about}: {axes}. {' '.join(self.sentences)}"
        above = 0 if self._named_y(title) else TOP - 12
        return Panel(
            title,
            element(
                "svg",
                self._axes(self._named_y(title)),
                *self.parts,
                viewBox=f"0 {above} {self.width} {self.height - above}",
                role="img",
                aria_label=alternative.strip(),
            ),
        )

    def _named_y(self, title: str) -> bool:
        """Whether the panel has to name its y axis: not where the title does."""
        return bool(self.y.label) and self.y.label not in title

    def _x(self, value: float) -> float:
        return self.left + self.x.place(value) * (self.width - self.left - RIGHT)

    def _y(self, value: float) -> float:
        return self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)

    def _axes(self, named: bool) -> Markup:
        """Grid, ticks and the names of the axes, that of y if `named`; labels that would touch their left neighbour are
        left away."""
        floor, end = self.height - BOTTOM, self.width - RIGHT
        grid = "".join(f"M{self.left} {self._y(value):.1f}H{end}" for value, _ in self.y.ticks)
        ticks = "".join(f"M{self._x(value):.1f} {floor}v4" for value, _ in self.x.ticks)
        parts = [
            element("path", d=grid or f"M{self.left} {floor}", class_="grid"),
            element("path", d=f"M{self.left} {floor}H{end}{ticks}", class_="axis"),
        ]
        texts, free = [], -math.inf
        for value, label in self.x.ticks:
            at, half = self._x(value), LETTER * len(label) / 2
            if label and at - half > free:
                at = min(at, self.width - half)
                texts.append(element("text", label, x=f"{at:.1f}", y=floor + 15, text_anchor="middle"))
                free = at + half + 4
        for value, label in self.y.ticks:
            texts.append(element("text", label, x=self.left - 5, y=f"{self._y(value) + 3.5:.1f}", text_anchor="end"))
        middle = (self.left + end) / 2
        names = [
            element("text", self.x.label, x=f"{middle:.1f}", y=self.height - 5, text_anchor="middle"),
            element("text", self.y.label, x=2, y=11) if named else Markup(""),
        ]
        return Markup("".join([*parts, element("g", *texts, class_="ticks"), element("g", *names, class_="names")]))


def _spoken(value: float) -> str:
    return number(value)


def marker(kind: int, x: float, y: float, r: float) -> str:
    """The outline of a marker: circle, square, triangle, diamond, triangle down, plus, cross."""
    if kind == 0:
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r:.1f} 0a{r} {r} 0 1 0 {-2 * r:.1f} 0z"
    if kind == 1:
        s = 0.9 * r
        return f"M{x - s:.1f} {y - s:.1f}h{2 * s:.1f}v{2 * s:.1f}h{-2 * s:.1f}z"
    if kind == 3:
        s = 1.25 * r
        return f"M{x:.1f} {y - s:.1f}l{s:.1f} {s:.1f}l{-s:.1f} {s:.1f}l{-s:.1f} {-s:.1f}z"
    if kind in (2, 4):
        s = 1.15 * r if kind == 2 else -1.15 * r
        return f"M{x:.1f} {y - s:.1f}l{abs(s):.1f} {1.8 * s:.1f}h{-2 * abs(s):.1f}z"
    a, b = 0.38 * r, 1.25 * r  # arm's half width, arm's length
    outline = [
        (a, a),
        (b, a),
        (b, -a),
        (a, -a),
        (a, -b),
        (-a, -b),
        (-a, -a),
        (-b, -a),
        (-b, a),
        (-a, a),
        (-a, b),
        (a, b),
    ]
    if kind == 6:
        c = math.sqrt(0.5)
        outline = [(c * (u - v), c * (u + v)) for u, v in outline]
    return "M" + "L".join(f"{x + u:.1f} {y + v:.1f}" for u, v in outline) + "z"
