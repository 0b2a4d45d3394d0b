"""What charts are made of: paths with a colour class, markers, the looks of series, and the small pictures of legends.

Colours are classes (rendering/chart.css has them; the page adds those of dark screens), and every series has a marker
or a dash pattern of its own, so that nothing rests on colour alone.
"""

import dataclasses
import math

CHANCE_DASHES = "2 2"  # dashes of the level that chance reaches
DOTTED = "1.5 3"
_DASHES = (None, "7 3", "2 2.5", "9 3 2 3")


_SQUARE = ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9))
_TRIANGLE = ((0.0, -1.15), (1.15, 0.92), (-1.15, 0.92))
_DIAMOND = ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0))
_PLUS = (
    (0.38, 0.38), (1.25, 0.38), (1.25, -0.38), (0.38, -0.38), (0.38, -1.25), (-0.38, -1.25), (-0.38, -0.38),
    (-1.25, -0.38), (-1.25, 0.38), (-0.38, 0.38), (-0.38, 1.25), (0.38, 1.25),
)  # fmt: skip
_CROSS = tuple((math.sqrt(0.5) * (x - y), math.sqrt(0.5) * (x + y)) for x, y in _PLUS)
# of radius 1 around the origin, y downwards; the first marker is a circle
_OUTLINES = ((), _SQUARE, _TRIANGLE, _DIAMOND, tuple((x, -y) for x, y in _TRIANGLE), _PLUS, _CROSS)


@dataclasses.dataclass(frozen=True)
class Shape:
    """A path as SVG has it, and what a pointing device is told of it."""

    path: str
    classes: str
    dash: str | None = None
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Style:
    """How a series looks: a colour class, a marker and dashes."""

    color: str
    marker: int
    dash: str | None = None


def named_style(index: int) -> Style:
    """For series without an order, such as processors: seven colours and markers, then again with dashes."""
    return Style(f"c{index % 7}", index % len(_OUTLINES), _DASHES[index // 7 % len(_DASHES)])


def ordered_style(index: int, count: int) -> Style:
    """For series with an order, such as sizes: a ramp of six colours."""
    place = round(5 * index / (count - 1)) if count > 1 else 3
    return Style(f"o{place}", index % len(_OUTLINES), None if count <= 6 else _DASHES[index % 2])


def marker(kind: int, x: float, y: float, radius: float) -> str:
    """The outline of a marker: circle, square, triangle, diamond, triangle down, plus, cross."""
    if kind == 0:
        arc = f"a{radius} {radius} 0 1 0 "
        return f"M{x - radius:.1f} {y:.1f}{arc}{2 * radius:.1f} 0{arc}{-2 * radius:.1f} 0z"
    return "M" + "L".join(f"{x + radius * u:.1f} {y + radius * v:.1f}" for u, v in _OUTLINES[kind]) + "z"


# Swatches, 28 x 14 units


def swatch(style: Style, kind: str = "line") -> list[Shape]:
    """What a series looks like: a line with its marker, a "dot" or a "hollow" one."""
    line = [Shape("M0 7H28", f"{style.color} line", style.dash)] if kind == "line" else []
    classes = f"{style.color} {'seed' if kind == 'hollow' else 'dot'}"
    return [*line, Shape(marker(style.marker, 14, 7, 3.4), classes)]


CHANCE_SWATCH = [Shape("M14 0V14", "plain line", CHANCE_DASHES)]
MARK_SWATCH = [Shape("M14 1.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z", "plain mark")]
SHADE_SWATCH = [Shape("M0 1H28V13H0z", "shade")]
RULE_SWATCH = [Shape("M14 0V14", "rule")]
