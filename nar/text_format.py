"""Numbers and lists in words, as messages, tables and reports say them."""

import hashlib
import html
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
        lines.append(f"<tr{style}>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>")
    title = f"<caption>{html.escape(caption)}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
