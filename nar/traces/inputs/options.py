"""Parameters of samplers: one number, or what it is drawn from; ValueError names the one that does not fit.

JSON turns tuples into lists, so both are taken.
"""

import math
import numbers
from typing import Any

import numpy as np


def is_integer(value: Any, low: float = -math.inf) -> bool:
    """Is this an integer of Python's or numpy's, at least `low`, and no bool?"""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= low  # pyright: ignore


def integer(name: str, value: Any, low: int) -> int:
    """An integer of at least `low`."""
    if not is_integer(value, low):
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")
    return int(value)


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """A finite number within these limits."""
    fine = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not fine or not low <= value <= high:  # pyright: ignore
        limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
        raise ValueError(f"{name} must be a number {limits}, got {value!r}")
    if value == math.inf:
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def from_range(rng: np.random.RandomState, name: str, value: Any, low: float, high: float = math.inf) -> float:
    """The number, or one drawn from the range (smallest, largest)."""
    if not isinstance(value, (tuple, list)):
        return number(name, value, low, high)
    if len(value) != 2 or number(name, value[0], low, high) > number(name, value[1], low, high):
        raise ValueError(f"{name} must be a number or a range (smallest, largest), got {value!r}")
    return rng.uniform(*value)


def from_choices(rng: np.random.RandomState, name: str, value: Any, low: int) -> int:
    """The integer, or one of several."""
    if not isinstance(value, (tuple, list)):
        return integer(name, value, low)
    if not value:
        raise ValueError(f"{name} must be an integer or several to choose from, got {value!r}")
    values = [integer(name, each, low) for each in value]
    return values[rng.randint(len(values))]
