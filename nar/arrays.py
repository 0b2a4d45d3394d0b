"""Arrays as inputs: sampling, checking, and the helpers that sorting and searching algorithms share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np


def uniform(rng: np.random.RandomState, n: int, low: float, high: float) -> np.ndarray:
    """n numbers from U[low, high)."""
    check_range(low, high)
    return rng.uniform(low=low, high=high, size=(n,))


def check_range(low: float, high: float) -> None:
    """The limits of a uniform distribution."""
    try:
        fine = math.isfinite(low) and math.isfinite(high) and low <= high
    except TypeError:
        fine = False
    if not fine:
        raise ValueError(f"low and high must be finite numbers with low <= high, got low={low!r}, high={high!r}")


def numbers(value: Any, name: str) -> np.ndarray:
    """A float64 copy of anything numeric and array-like; ValueError naming the argument otherwise."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, got {type(value).__name__}: {error}") from None
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must be an array of integers or floats, got dtype {array.dtype}")
    return np.array(array, dtype=np.float64, order="C")


def check_array(value: Any, name: str = "A") -> np.ndarray:
    """A float64 copy of a one-dimensional array with at least one element, all finite."""
    array = numbers(value, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array with at least one element, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity at index {int(np.argmin(np.isfinite(array)))}")
    return array


def positions(n: int) -> np.ndarray:
    """The `pos` probe: i / n."""
    return np.arange(n) / n


def probes(A: np.ndarray) -> dict[str, np.ndarray]:
    """The input probes `pos` and `key`."""
    return {"pos": positions(len(A)), "key": A}


def recover(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The reverse: the array from the probe `key`."""
    return {"A": inputs["key"]}


@numba.njit
def predecessors(order):
    """Pointers from each element to the one before it in `order`; the first points to itself."""
    pred = np.empty_like(order)
    pred[order[0]] = order[0]
    for i in range(1, len(order)):
        pred[order[i]] = order[i - 1]
    return pred


def is_sorted_list(A: np.ndarray, pred: np.ndarray) -> bool:
    """Do the pointers link all elements into one list whose values never decrease? The first points to itself."""
    n = len(A)
    first = np.flatnonzero(pred == np.arange(n))
    if len(first) != 1:
        return False
    successor = np.full(n, -1)
    linked = pred != np.arange(n)
    successor[pred[linked]] = np.flatnonzero(linked)
    order = [int(first[0])]
    while successor[order[-1]] >= 0 and len(order) <= n:
        order.append(int(successor[order[-1]]))
    return len(order) == n and bool((np.diff(np.asarray(A, dtype=np.float64)[order]) >= 0).all())
