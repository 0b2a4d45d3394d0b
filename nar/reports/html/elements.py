"""HTML in small parts: elements whose text is always escaped, numbers as readers of the report page see them, tables.

`element` is the only place of the page that makes markup, and escapes whatever is not Markup already; a name such as
"my.module:<algorithm>" can therefore be given to it anywhere.
"""

from __future__ import annotations

import dataclasses
import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

NOTHING = "–"  # where there is no number
_VOID = frozenset({"meta", "img", "br", "path", "circle", "line", "rect"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Markup | None


def element(tag: str, *content: Content | Iterable[Content], **attributes: Any) -> Markup:
    """One element. None is left out, of content and attributes; True is an attribute without a value.

    Attribute names are written as in Python: `class_` is class, `aria_label` is aria-label.
    """
    opening = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{opening}/>")
    return Markup(f"<{tag}{opening}>{join(*content)}</{tag}>")


def join(*content: Content | Iterable[Content]) -> Markup:
    """Several parts behind each other, escaped where they are plain text."""
    parts: list[str] = []
    for part in content:
        if part is None:
            continue
        if isinstance(part, str):
            parts.append(part if isinstance(part, Markup) else html.escape(part, quote=False))
        else:
            parts.append(join(*part))
    return Markup("".join(parts))


def slug(text: str) -> str:
    """A name that an id may be made of."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def table(
    header: Sequence[Content], rows: Iterable[Sequence[Content]], name: str, words: Iterable[int] = (0,)
) -> Markup:
    """A table in a box of its own that scrolls where the screen is too narrow; the first column heads the rows.

    `name`: what a screen reader calls it; `words`: the columns that are text and not numbers.
    """
    words = set(words)

    def style(column: int) -> str | None:
        return None if column in words else "number"

    head = element("tr", *(element("th", cell, scope="col", class_=style(k)) for k, cell in enumerate(header)))
    body = [
        element(
            "tr",
            *(
                element("td" if k else "th", cell, scope=None if k else "row", class_=style(k))
                for k, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = element("table", element("thead", head), element("tbody", *body))
    return element("div", inner, class_="scroll", role="region", aria_label=name, tabindex="0")


def details(summary: Content, *content: Content) -> Markup:
    """What is folded away until the reader asks for it."""
    return element("details", element("summary", summary), *content)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture with its title."""

    title: str
    picture: Markup

    def markup(self, of: str = "") -> Markup:
        """`of`: what the title is to begin with."""
        title = f"{of}: {self.title}" if of else self.title
        return element("div", element("p", title, class_="panel-title"), self.picture, class_="panel")


def figure(
    groups: Iterable[tuple[str, Sequence[Panel]]],
    caption: Content,
    legend: Markup | None,
    *folded: Markup | None,
    most: int = 48,
) -> Markup:
    """Panels in groups, each with a heading ("" for none), a legend above and a caption below all of them. Headings of
    groups of one go into the titles of their panels.

    `folded`: tables and the like below the caption. Of more than `most` panels the first are shown, and it is said.
    """
    groups = [(heading, panels) for heading, panels in groups if panels]
    count, left = sum(len(panels) for _, panels in groups), most
    boxes = []
    if groups and all(len(panels) == 1 for _, panels in groups):
        singles = [panels[0].markup(heading) for heading, panels in groups]
        boxes.append(element("div", *singles[:most], class_="panels"))
        left = 0
    for heading, panels in groups:
        if left > 0:
            boxes.append(element("p", heading, class_="group") if heading else None)
            boxes.append(element("div", *(panel.markup() for panel in panels[:left]), class_="panels"))
        left -= len(panels)
    cut = f" These are the first {most} of {count} panels; the table has all." if count > most else None
    return element("figure", legend, *boxes, element("figcaption", caption, cut), *folded)


def known(value: Any) -> bool:
    """Whether this is a number that can be shown: not None, not NaN, not infinite."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def percent(share: float | None, digits: int = 2) -> str:
    """A share of 1 in percent, without the sign."""
    return f"{100 * share:.{digits}f}" if share is not None and known(share) else NOTHING


def number(value: float | None) -> str:
    """A number of any magnitude in at most about seven characters."""
    if value is None or not known(value):
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
    return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")


def with_interval(mean: float | None, low: float | None, high: float | None, share: bool = True) -> str:
    """mean [low, high], or the mean alone where there is no interval; `share`: in percent."""
    write = percent if share else number
    if low is None or high is None or not (known(low) and known(high)):
        return write(mean)
    return f"{write(mean)} [{write(low)}, {write(high)}]"


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None or not known(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
