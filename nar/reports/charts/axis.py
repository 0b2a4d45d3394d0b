"""The axes of panels: where values lie, and which of them are named."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

from nar.reports.number_format import known, number
from nar.results.study import SeedGroup

SCORES = {"score": "node score", "exact": "exact graphs", "valid": "valid answers"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclasses.dataclass(frozen=True)
class Axis:
    """From `low` (left, or below) to `high`, with ticks at values; `log`: equal factors are equal lengths.

    `factor`: what the numbers of results are multiplied with to lie on it, 100 for shares in percent.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False
    factor: float = 1.0

    def place(self, value: float) -> float:
        """Where a value is, 0 = low and 1 = high; values outside go to the nearest end."""
        f: Callable[[float], float] = math.log if self.log else float
        value = min(max(value, min(self.low, self.high)), max(self.low, self.high))
        return (f(value) - f(self.low)) / ((f(self.high) - f(self.low)) or 1.0)


def percent_axis(label: str, shares: Iterable[float]) -> Axis:
    """In percent, from 0, 50, 80 or 90 to 100, whichever leaves room below the smallest of these shares of 1."""
    values = [100 * share for share in shares if known(share)]
    low = max(
        (limit for limit in (50.0, 80.0, 90.0) if values and limit + (100 - limit) * 0.02 <= min(values)), default=0
    )
    step = (100 - low) / 5 if low != 90 else 2.5
    ticks = [low + k * step for k in range(round((100 - low) / step) + 1)]
    return Axis(label, low, 100.0, [(tick, f"{tick:g}") for tick in ticks], factor=100.0)


def row_axis(names: Sequence[str], label: str = "") -> Axis:
    """An axis of rows with names, the first above."""
    return Axis(label, len(names) - 0.4, -0.6, [(float(k), name) for k, name in enumerate(names)])


def score_axis(groups: Sequence[SeedGroup], name: str = "score", more: Iterable[float] = ()) -> Axis:
    """The axis that a value of all these groups fits on: in percent, or errors as they are.

    `more`: other shares that must fit on it.
    """
    found = [value for group in groups for value in group.values(name)]
    if all(group.is_share(name) for group in groups):
        return percent_axis(f"{SCORES.get(name, name)} (%)", [*found, *more])
    label = "score with an error in it: lower is better"
    return (log_axis if min(found, default=0) > 0 and max(found) > 20 * min(found) else linear_axis)(label, found)


def size_axis(sizes: Iterable[float]) -> Axis:
    """A log axis with a tick at every size."""
    sizes = sorted(set(sizes))
    low, high = sizes[0], sizes[-1]
    margin = (high / low) ** 0.04 if high > low else 1.3
    ticks = [(size, f"{size:,g}") for size in sizes]
    return Axis("nodes n (log scale)", low / margin, high * margin, ticks, log=True)


def step_axis(lengths: Iterable[int], first: int = 1, label: str = "step of the algorithm") -> Axis:
    """Steps from `first`, 0 or 1; from 1 on a log axis where some rollouts are many times longer than others."""
    lengths = [length for length in lengths if length] or [1]
    longest = max(lengths)
    if longest > 8 * min(lengths):
        return dataclasses.replace(log_axis(f"{label} (log scale)", [1, longest]), low=1.0, high=float(longest))
    low, high = (float(first), float(longest)) if longest > 1 else (0.0, 2.0)
    return Axis(label, low, high, [(v, f"{v:,.0f}") for v in _round_values(low, high) if v == round(v)])


def linear_axis(label: str, values: Iterable[float], zero: bool = True) -> Axis:
    """From below the smallest value (from zero with `zero`) to above the largest."""
    found = [value for value in values if known(value)] or [0.0]
    low, high = min(found), max(found)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - (margin if low < 0 or not zero else 0), high + margin
    return Axis(label, low, high, [(v, number(0.0 if abs(v) < 1e-12 else v)) for v in _round_values(low, high)])


def log_axis(label: str, values: Iterable[float]) -> Axis:
    """Whole decades around positive values, labelled also at 2 and 5 where the axis is short."""
    found = [value for value in values if known(value) and value > 0] or [1.0]
    low, high = min(found), max(found)
    low, high = low / 1.3, high * 1.3
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 5)
    steps = (1, 2, 5) if high < 60 * low else (1, 3) if high < 1000 * low else (1,)
    ticks = [step * 10.0**power for power in range(first, last + 1, every) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) < 3:  # less than a factor of ten or so
        ticks = [value for value in _round_values(low, high, most=4) if value > 0]
    return Axis(label, low, high, [(tick, _power_label(tick)) for tick in ticks], log=True)


def _power_label(value: float) -> str:
    """A value as short as it can be told from its neighbours on a log axis."""
    if 1e-3 <= value < 1e5:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    mantissa, power = f"{value:.1e}".split("e")
    mantissa, power = mantissa.removesuffix(".0"), str(int(power)).translate(_SUPERSCRIPTS)
    return f"10{power}" if mantissa == "1" else f"{mantissa}·10{power}"


def _round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two values."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
