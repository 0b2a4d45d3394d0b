"""Arrays as inputs: sampling, checking, and the helpers that sorting and searching algorithms share.

While an array is sorted, `order[k]` is the element (named by its first position) that now stands at k.
"""

import math
import reprlib
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numba
import numpy as np

from nar.traces.linked_list import linked_list


def uniform(rng: np.random.RandomState, n: int, low: float, high: float) -> np.ndarray:
    """n numbers from U[low, high)."""
    check_range(low, high)
    return rng.uniform(low=low, high=high, size=(n,))


def sample(rng: np.random.RandomState, n: int, low: float = 0.0, high: float = 1.0) -> dict[str, np.ndarray]:
    """The sampler of every algorithm that takes one array of numbers from U[low, high)."""
    return {"A": uniform(rng, n, low, high)}


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
    if np.ma.is_masked(value):
        raise ValueError(f"{name} must have no masked entries: fill them, or leave them out")
    if array.dtype.kind == "O" and array.size and all(isinstance(x, (Real, Decimal)) for x in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "buif":
        got = f"a {type(value).__name__}" if array.dtype.kind == "O" and not array.ndim else f"dtype {array.dtype}"
        raise ValueError(f"{name} must be an array of integers or floats, got {got}")
    return np.array(array, dtype=np.float64, order="C")


def check_array(value: Any, name: str = "A") -> np.ndarray:
    """A float64 copy of a one-dimensional array with at least one element, all finite."""
    array = numbers(value, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array with at least one element, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity at index {int(np.argmin(np.isfinite(array)))}")
    return array


def check_number(value: Any, name: str) -> float:
    """One finite number as a float; ValueError naming the argument otherwise."""
    try:
        array = numbers(value, name)
        fine = array.ndim == 0 and bool(np.isfinite(array))
    except (ValueError, OverflowError):  # 10**400 is no float
        fine = False
    if not fine:
        raise ValueError(f"{name} must be one finite number, got {reprlib.repr(value)}")
    return float(array)


def prepare(A: Any) -> tuple[tuple[np.ndarray], dict[str, np.ndarray]]:
    """The checked array for the steps, and the input probes `pos` and `key`."""
    A = check_array(A)
    return (A,), probes(A)


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


@numba.njit
def exchange(A, order, pred, i, j):
    """Exchange A[i] with A[j] and order[i] with order[j]; `pred` remains what `predecessors(order)` would be."""
    A[i], A[j] = A[j], A[i]
    order[i], order[j] = order[j], order[i]
    for k in (i, i + 1, j, j + 1):
        if k < len(order):
            pred[order[k]] = order[max(k - 1, 0)]


def sorted_list(A: np.ndarray) -> dict[str, np.ndarray]:
    """The sorted numbers, and the same as pointers where no two are equal (ties in order of position)."""
    order = np.argsort(A, kind="stable")
    pred = np.empty_like(order)
    pred[order] = order[np.maximum(np.arange(len(order)) - 1, 0)]
    return {"sorted": np.sort(A), "pred": pred}


def is_sorted_list(A: np.ndarray, pred: np.ndarray) -> bool:
    """Do the pointers link all elements into one list whose values never decrease? The first points to itself."""
    order = linked_list(pred)
    if order is None:
        return False
    values = np.asarray(A, dtype=np.float64)[order]
    return bool((values[1:] >= values[:-1]).all())
