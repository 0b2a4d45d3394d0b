"""Numbers as readers of reports see them; a dash where there is none."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nar.results.statistics import Interval
from nar.results.study import Repeated

NOTHING = "–"  # where there is no number


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


def with_interval(found: Interval | None, share: bool = True, sign: str = "", brief: bool = False) -> str:
    """mean [low, high], or the mean alone if `brief` or without an interval; a `share` in percent, with this `sign`."""
    write = percent if share else number
    if found is None or not known(found.mean):
        return NOTHING
    mean = write(found.mean) + (sign if share else "")
    return mean if brief or found.low is None else f"{mean} [{write(found.low)}, {write(found.high)}]"


def score_text(group: Repeated | None, name: str = "score", brief: bool = False) -> str:
    """mean [low, high] of a value over seeds, in percent where it is a share; else it is said that it is an error.

    `brief`: the mean alone.
    """
    if group is None or (found := group.interval(name)) is None:
        return NOTHING
    share = group.is_share(name)
    return with_interval(found, share, brief=brief) + ("" if share else " (error)")


def seeds_text(group: Repeated, name: str = "score") -> str:
    """Every seed's value, in the order of the seeds."""
    write = percent if group.is_share(name) else number
    return ", ".join(map(write, group.values(name))) or NOTHING


def text_table(columns: Mapping[str, Sequence[str]], words: Collection[str], hidden: Collection[str] = ()) -> str:
    """A table in plain text without the columns that are `hidden`; those of `words` are flush left, others right."""
    shown = []
    for name, column in columns.items():
        width = max(map(len, [name, *column]))
        cells = [cell.ljust(width) if name in words else cell.rjust(width) for cell in [name, *column]]
        shown += [] if name in hidden else [cells]
    return "\n".join("  ".join(row).rstrip() for row in zip(*shown, strict=True))
