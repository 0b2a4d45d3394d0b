"""A document as one web page, and a figure of it as a file: answer first, then figures with their numbers.

report.html is one file that needs nothing else: styles and figures are inside, no font, script or picture from
elsewhere; one line of script moves the slider of a rollout, without it all its steps are there. Equal results give
equal bytes. The templates beside this file hold all markup, and escape whatever is put into them; chart.css has the
looks of charts, page.css those of the page, in light, dark and print.
"""

import base64
import functools
import textwrap
from pathlib import Path

import jinja2

from nar.reports.blocks import Document, Figure, Picture
from nar.reports.charts.chart import LETTER, WIDTH
from nar.text_format import counted, printable

_GAP, _MARGIN, _LINE = 20, 12, 17  # units between and around the panels of a figure's file, and of a line of text


@functools.cache
def _environment() -> jinja2.Environment:
    here = Path(__file__).parent
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_without_control_characters,
    )  # fmt: skip
    made.filters["data_uri"] = _data_uri
    made.globals["counted"] = counted
    return made


def _without_control_characters(value: object) -> object:
    """What a run's path may hold and a page may not, as escapes; lines stay lines."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return type(value)(printable(value, keep="\n"))


def _css(*names: str) -> str:
    return "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


def page(document: Document) -> str:
    """The text of report.html."""
    return _environment().get_template("page.html").render(report=document, css=_css("chart.css", "page.css"))


def _data_uri(picture: Picture | str) -> str:
    """As an image inside the page, nothing in it can load, run, or clash with the page. A str is SVG."""
    if isinstance(picture, str):
        return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode('ascii')}"
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.path.read_bytes()).decode('ascii')}"


def figure_file(figure: Figure) -> str:
    """The figure as SVG of its own: its legend, and its panels with their titles, two or three beside each other.

    SVG does not wrap: legends and titles are broken at the estimated width of their letters.
    """
    groups = figure.shown()
    most = max(len(panels) for _, panels in groups)
    columns = min(most, 2 if most in (2, 4) else 3)
    width = 2 * _MARGIN + columns * WIDTH + (columns - 1) * _GAP
    x, y, legend, words, placed = _MARGIN, _MARGIN + _LINE, [], [], []
    for name, shapes in figure.legend:
        wide = round(34 + LETTER * 1.1 * len(name)) + 18
        if x > _MARGIN and x + wide > width:
            x, y = _MARGIN, y + _LINE
        legend.append((x, y, name, shapes))
        x += wide
    y += _LINE if legend else -_LINE
    for heading, panels in groups:
        for line in textwrap.wrap(heading, width // 8):
            y += _LINE
            words.append((_MARGIN, y, line, "title strong"))
        for k in range(0, len(panels), columns):
            row = panels[k : k + columns]
            titles = [textwrap.wrap(panel.title, WIDTH // 7) for panel in row]
            below = y + _LINE * max(map(len, titles)) + 8
            for place, (panel, lines) in enumerate(zip(row, titles, strict=True)):
                x = _MARGIN + place * (WIDTH + _GAP)
                words += [(x, y + _LINE * (n + 1), line, "title") for n, line in enumerate(lines)]
                placed.append((x, below, panel))
            y = below + max(panel.height for panel in row) + 6
    template = _environment().get_template("figure.svg")
    return template.render(
        width=width, height=y + _MARGIN, css=_css("chart.css"), legend=legend, words=words, panels=placed
    )
