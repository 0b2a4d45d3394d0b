"""Arguments of `run` disturbed in every way that comes to mind, for any algorithm."""

from collections.abc import Callable
from typing import Any

import numpy as np

SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-320, 1e16, -1e16, 1e300, -1e300, np.inf, -np.inf, np.nan)
ODD_SCALARS = (-1, 0, 1, 2, 10**9, 0.5, np.nan, np.inf, True, None, "0", [0], np.int64(1), np.float64(0.25))
CHANGES: dict[str, Callable[[np.ndarray, np.random.RandomState], Any]] = {  # of whole arrays
    "round": lambda v, rng: np.round(
        np.nan_to_num(v * 1.0, posinf=9, neginf=-9, nan=5).clip(-1e12, 1e12) * rng.randint(1, 4)
    ),
    "scale": lambda v, rng: np.where(np.isfinite(v), v, 0).clip(-1e290, 1e290) * 10.0 ** rng.randint(-6, 7),
    "negate": lambda v, _: -v,
    "reverse": lambda v, _: v[::-1],
    "sort": lambda v, _: np.sort(v, axis=-1),
    "zero": lambda v, rng: np.where(rng.uniform(size=v.shape) < 0.5, v, 0),
    "equal": lambda v, _: np.full_like(v, v.flat[0]) if v.size else v,
    "mirror": lambda v, _: np.maximum(v, v.T) if _is_square(v) else v,
    "triangle": lambda v, _: np.triu(v, 1) if _is_square(v) else v,
    "shorten": lambda v, _: v[:-1],
    "lengthen": lambda v, _: np.concatenate([v, v[-1:]]),
    "flatten": lambda v, _: v.reshape(-1),
    "integers": lambda v, _: v.astype(np.int64) if np.isfinite(v).all() and (np.abs(v) < 1e9).all() else v,
    "list": lambda v, _: v.tolist(),
}
OPERATIONS = ("special", "special", "copy", "copy", "round", *CHANGES, "scalar")


def arguments(given: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
    """The arguments after up to four operations, each on one of them, or on all so that their lengths stay equal."""
    for operation in rng.choice(OPERATIONS, size=rng.randint(5)):
        name = sorted(given)[rng.randint(len(given))]
        every = operation in ("shorten", "lengthen", "reverse") and rng.randint(2)
        given = {k: disturbed(v, operation, rng) if every or k == name else v for k, v in given.items()}
    return given


def disturbed(value: Any, operation: str, rng: np.random.RandomState) -> Any:
    """An argument of `run` after one operation; as it was where the operation does not apply."""
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return ODD_SCALARS[rng.randint(len(ODD_SCALARS))] if operation == "scalar" else value
    value = value.copy()
    at = tuple(rng.randint(side) for side in value.shape) if value.size else None
    if operation == "special" and at is not None:
        value = value.astype(np.float64)
        value[at] = SPECIAL[rng.randint(len(SPECIAL))]
    elif operation == "copy" and at is not None:
        value[at] = value.flat[rng.randint(value.size)]
    return CHANGES[operation](value, rng) if operation in CHANGES else value


def _is_square(value: np.ndarray) -> bool:
    return value.ndim == 2 and value.shape[0] == value.shape[1]
