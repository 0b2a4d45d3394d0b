"""Legends of the report page: names with a small picture of how each looks, in a list that wraps."""

from __future__ import annotations

from collections.abc import Iterable

from nar.reports.html.chart import Style, marker
from nar.reports.html.elements import Markup, element

CHANCE = "2 2"  # dashes of the level that chance reaches


def legend(entries: Iterable[tuple[str, Markup]]) -> Markup:
    """Names with their swatches, in a list that wraps."""
    return element("ul", *(element("li", swatch, name) for name, swatch in entries), class_="legend")


def swatch(style: Style, kind: str = "line") -> Markup:
    """What a series looks like: a line with its marker, a "dot", a "hollow" one, or a "seed"."""
    parts = []
    if kind == "line":
        parts.append(element("path", d="M0 7H28", class_=f"{style.color} line", stroke_dasharray=style.dash))
    path = marker(0, 14, 7, 1.7) if kind == "seed" else marker(style.marker, 14, 7, 3.4)
    parts.append(element("path", d=path, class_=f"{style.color} {'seed' if kind in ('seed', 'hollow') else 'dot'}"))
    return _small(*parts)


def dotted_swatch() -> Markup:
    return _small(element("path", d="M0 7H28", class_="plain line", stroke_dasharray="1.5 3"))


def chance_swatch() -> Markup:
    return _small(element("path", d="M14 0V14", class_="plain line", stroke_dasharray=CHANCE))


def mark_swatch() -> Markup:
    return _small(element("path", d="M14 1.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z", class_="plain mark"))


def shade_swatch() -> Markup:
    return _small(element("rect", x=0, y=1, width=28, height=12, class_="shade"))


def rule_swatch(kind: str = "rule") -> Markup:
    return _small(element("path", d="M14 0V14", class_=kind))


def _small(*parts: Markup) -> Markup:
    return element("svg", *parts, viewBox="0 0 28 14", width=28, height=14, aria_hidden="true", class_="swatch")
