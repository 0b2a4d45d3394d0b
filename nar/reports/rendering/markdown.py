"""A document as Markdown: the same text and numbers as the page, figures as links to their files."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from nar.reports import blocks
from nar.reports.blocks import Block, Document, Figure, Shaded, Table, Text
from nar.text_format import markdown_table, printable

_LONGEST = 1500  # characters of what a figure shows in words; of a longer one the titles of its panels


def text(document: Document, folder: Path) -> str:
    """The text of report.md in `folder`."""
    parts = [
        f"# {_inline(document.title)}",
        _inline(document.lead),
        *(f"> **Note.** {_inline(note)}" for note in document.notes),
        *(_block(block, folder) for block in document.glance),
    ]
    for section in document.sections:
        parts += [f"## {section.title}", *(_block(block, folder) for block in section.blocks)]
    return "\n\n".join(part.strip() for part in [*parts, document.footer] if part) + "\n"


def _block(block: Block, folder: Path) -> str:
    """One block; "" for what Markdown cannot show."""
    match block:
        case blocks.Paragraph():
            return _inline(block.text)
        case blocks.Heading():
            return f"### {block.text}"
        case blocks.Preformatted():
            return "\n".join(["```", printable(block.text, keep="\n"), "```"])
        case Table():
            return _table(block)
        case blocks.Details():
            inner = "\n\n".join(_block(one, folder) for one in block.blocks)
            return f"<details><summary>{_inline(block.summary)}</summary>\n\n{inner}\n\n</details>"
        case blocks.Picture():
            return _image(block.alternative, os.path.relpath(block.path, folder))
        case Figure():
            return _figure(block, folder)
    return ""


def _figure(figure: Figure, folder: Path) -> str:
    panels = [(heading, panel) for heading, shown in figure.shown() for panel in shown]
    alternative = " ".join(panel.alternative for _, panel in panels)
    if len(alternative) > _LONGEST:
        alternative = "; ".join(": ".join(filter(None, [heading, panel.title])) for heading, panel in panels)[:_LONGEST]
    parts = [
        _image(alternative, f"{figure.name}.svg") if panels else "",
        _inline(figure.caption) + figure.remarks,
        "\n".join(f"- {_inline(point)}" for point in figure.points),
        *(_block(one, folder) for one in figure.numbers),
    ]
    return "\n\n".join(filter(None, parts))


def _image(alternative: str, target: str) -> str:
    words = re.sub(r"([\[\]])", r"\\\1", " ".join(_inline(alternative).split()))
    return f"![{words}]({quote(target, errors='surrogateescape')})"


def _table(table: Table) -> str:
    header, *rows = ([_cell(cell) for cell in row] for row in (table.header, *table.rows))
    return f"*{table.name}*\n\n{markdown_table(header, rows)}"


def _cell(cell: Text | Shaded) -> str:
    return _inline(cell.text if isinstance(cell, Shaded) else cell).replace("|", "\\|").replace("\n", " ")


def _inline(found: Text) -> str:
    """Text without anything that could pass for markup of a page."""
    if isinstance(found, tuple):
        return "".join(map(_inline, found))
    if isinstance(found, str):
        return printable(found, keep="\n").replace("<", "&lt;")
    if found.style == "code":
        return f"`{printable(found.text)}`"
    plain = f"**{_inline(found.text)}**" if found.style == "strong" else _inline(found.text)
    return f"[{plain}]({found.href})" if found.href else plain
