"""Numbers in words and tables in Markdown, as all reports write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nar.reports import figures
from nar.results.statistics import Interval


def percent(share: float | None) -> str:
    """0.9744 as 97.44%."""
    return "-" if share is None else f"{100 * share:.2f}%"


def score(evaluation: Mapping[str, Any]) -> str:
    """The CLRS score: a percentage, unless an output is scored by an error."""
    return percent(evaluation["score"]) if figures.is_percent(evaluation) else f"{evaluation['score']:.4g}"


def value(number: float | None, metric: str) -> str:
    """A number of this metric: errors as they are, the rest as percentages."""
    if number is None:
        return "-"
    return f"{number:.3g}" if metric in figures.ERROR_METRICS else percent(number)


def interval(found: Interval | None, values: Sequence[float], *, share: bool = True) -> str:
    """Mean, interval in square brackets, and every value in round ones: 97.35% [96.97, 98.10] (96.97, 96.97, 98.10)."""
    if found is None:
        return "-"
    number = (lambda x: f"{100 * x:.2f}") if share else (lambda x: f"{x:.3g}")
    mean = number(found.mean) + ("%" if share else "")
    if found.low is None or found.high is None:
        return mean
    return f"**{mean}** [{number(found.low)}, {number(found.high)}] ({', '.join(map(number, values))})"


def without_seeds(found: Interval | None, share: bool = True) -> str:
    """Mean and interval alone, as plain text: 97.35% [96.97, 98.10]."""
    return interval(found, (), share=share).replace("**", "").removesuffix(" ()")


def milliseconds(seconds: float) -> str:
    """0.0232 as 23.2 ms, 1.034 as 1.03 s."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def numbers(values: Sequence[Any]) -> str:
    """1, 2, 3."""
    return ", ".join(map(str, values))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; nothing without rows."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def text_table(rows: Sequence[Sequence[str]], left: set[int]) -> str:
    """A table in plain text, the first row its header; columns in `left` are flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
