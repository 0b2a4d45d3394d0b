"""Numbers and lists in words, as messages, tables and reports say them."""

import hashlib
import html
import reprlib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any


def counted(number: int, noun: str, nouns: str = "") -> str:
    """1 seed, 3 seeds, 2,000 graphs; `nouns`: a plural that is no mere s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def listed(names: Iterable[Any], most: int = 8) -> str:
    """a, b and c; of more than `most` the first ones and how many there are beside."""
    names = [str(name) for name in names]
    comma = "; " if any(", " in name for name in names) else ", "
    if len(names) > most:
        return f"{comma.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(filter(None, [comma.join(names[:-1]), names[-1]])) if names else ""


def printable(text: Any, keep: str = "") -> str:
    """A text, or a path, as a terminal, a page and a file can hold it: control characters but those to `keep`, what
    changes the direction of writing, and halves of surrogate pairs are escapes."""
    text = str(text)
    if text.isprintable():
        return text
    fine = (c.isprintable() or c in keep or unicodedata.category(c) == "Zs" for c in text)  # Zs: spaces of any width
    return "".join(c if good else repr(c)[1:-1] for c, good in zip(text, fine, strict=True))


def quoted(value: Any) -> str:
    """A node's name, or an answer, as Python writes it, so that 1 and '1' differ; a long one without its middle."""
    return printable(_SHORT.repr(value))


def unquoted(name: Any, most: int = 40) -> str:
    """A node's name as it is read; of a longer one the beginning."""
    text = printable(name if isinstance(name, str) else _SHORT.repr(name))
    return text if len(text) <= most else text[: most - 3] + "..."


class _Short(reprlib.Repr):
    """Texts and objects by their first and last letters, numbers of numpy as those of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 40

    def repr1(self, x: Any, level: int) -> str:
        return super().repr1(x.item() if type(x).__module__ == "numpy" and hasattr(x, "item") else x, level)


_SHORT = _Short()


def short(name: str, most: int) -> str:
    """A name for a file; of a longer one the beginning, and a digest that only this name has."""
    return name if len(name) <= most else f"{name[: most - 10]}--{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def duration(seconds: float) -> str:
    """3725 as 1 h 2 min, 62 as 1 min 2 s."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def html_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]], marked: Collection[int] = ()) -> str:
    """A table in HTML as notebooks show it; the rows at the places `marked` are red."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    lines = []
    for place, row in enumerate(rows):
        style = ' style="color: #c00"' if place in marked else ""
        cells = "".join(f"<td>{html.escape(printable(value))}</td>" for value in row)
        lines.append(f"<tr{style}>{cells}</tr>")
    title = f"<caption>{html.escape(caption)}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
