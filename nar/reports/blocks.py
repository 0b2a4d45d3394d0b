"""What a report consists of, as plain data: sections/ makes it, rendering/ writes it as a page and as Markdown.

Text is a str, a Span, or a tuple of these; names of users may stand in it as they are, renderers escape them.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from nar.reports.charts.chart import Panel
from nar.reports.charts.shapes import Shape


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of text that stands out: "strong", "small", "code" or, with `href`, a link."""

    text: str
    style: str = ""
    href: str | None = None


Text: TypeAlias = str | Span | tuple["Text", ...]


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """`role`: "meta" for what is said in passing."""

    text: Text
    role: str = ""


@dataclasses.dataclass(frozen=True)
class Heading:
    """Of a part of a section."""

    text: str


@dataclasses.dataclass(frozen=True)
class Preformatted:
    """Command lines."""

    text: str


@dataclasses.dataclass(frozen=True)
class Scale:
    """What the colours of a heat map mean: the score at which each shade begins."""

    limits: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Shaded:
    """A field of a heat map; `shade` counts from 0, None is no colour."""

    text: Text
    shade: int | None


@dataclasses.dataclass(frozen=True)
class Table:
    """The first column heads the rows. `name`: what a screen reader calls it; `words`: the columns that are text."""

    name: str
    header: Sequence[Text]
    rows: Sequence[Sequence[Text | Shaded]]
    words: Sequence[int] = (0,)

    @property
    def is_heat_map(self) -> bool:
        return any(isinstance(field, Shaded) for row in self.rows[:1] for field in row)


@dataclasses.dataclass(frozen=True)
class Details:
    """What is folded away until the reader asks for it."""

    summary: str
    blocks: "Sequence[Block]"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that a run left behind, with what it shows in words. `frames`: the same as SVG step by step, by title,
    with a `key` to the marks, where a renderer can show one after the other."""

    path: Path
    media_type: str
    alternative: str
    caption: str
    words: str
    key: str = ""
    frames: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Figure:
    """Panels in their groups, under one legend and over one caption and its numbers."""

    name: str  # of its file beside report.md, without the ending
    panels: Sequence[Panel]
    caption: Text
    legend: Sequence[tuple[str, Sequence[Shape]]]
    numbers: "Sequence[Block]"  # every number of the figure, in tables
    points: Sequence[Text] = ()  # of the caption, as a list
    most: int = 48  # panels that are shown

    def shown(self) -> list[tuple[str, list[Panel]]]:
        """The first panels, by group; names of groups of one go into the titles of their panels."""
        groups = list(dict.fromkeys(panel.group for panel in self.panels))
        panels = sorted(self.panels, key=lambda panel: groups.index(panel.group))
        if len(groups) == len(panels):
            titles = [": ".join(filter(None, [panel.group, panel.title])) for panel in panels]
            panels = [dataclasses.replace(p, title=title, group="") for p, title in zip(panels, titles, strict=True)]
        shown = itertools.groupby(panels[: self.most], key=lambda panel: panel.group)
        return [(group, list(members)) for group, members in shown]

    @property
    def remarks(self) -> str:
        """What is said where lines coincide, and where there are more panels than are shown."""
        count = len(self.panels)
        striped = any("striped" in shape.classes for panel in self.panels for shape in panel.shapes)
        found = " Lines that coincide are striped in the colours of all." * striped
        more = f" These are the first {self.most} of {count} panels; the table has all." if count > self.most else ""
        return found + more


Block = Paragraph | Heading | Preformatted | Scale | Table | Details | Picture | Figure


@dataclasses.dataclass(frozen=True)
class Section:
    """`id`: of its heading, as links name it."""

    id: str
    title: str
    blocks: "Sequence[Block]"


@dataclasses.dataclass(frozen=True)
class Document:
    """A whole report: the answer, what limits it, its main numbers at a glance, then the sections."""

    title: str
    lead: Text
    notes: Sequence[str]
    glance: Sequence[Block]
    sections: Sequence[Section]
    footer: str

    def figures(self) -> Iterator[Figure]:
        """All figures that have panels."""
        for section in self.sections:
            yield from (block for block in section.blocks if isinstance(block, Figure) and block.shown())
