"""Arguments of `run` disturbed in every way that comes to mind, for any algorithm."""

from typing import Any

import numpy as np

SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-320, 1e16, -1e16, 1e300, -1e300, np.inf, -np.inf, np.nan)
ODD_SCALARS = (-1, 0, 1, 2, 10**9, 0.5, np.nan, np.inf, True, None, "0", [0], np.int64(1), np.float64(0.25))
OPERATIONS = (
    "special", "special", "copy", "copy", "round", "round", "scale", "negate", "reverse", "sort", "zero", "equal",
    "mirror", "triangle", "shorten", "lengthen", "flatten", "integers", "list", "scalar",
)  # fmt: skip


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
    square = value.ndim == 2 and value.shape[0] == value.shape[1]
    if operation == "special" and at is not None:
        value = value.astype(np.float64)
        value[at] = SPECIAL[rng.randint(len(SPECIAL))]
    elif operation == "copy" and at is not None:
        value[at] = value.flat[rng.randint(value.size)]
    elif operation == "round":
        value = np.round(np.nan_to_num(value * 1.0, posinf=9, neginf=-9, nan=5).clip(-1e12, 1e12) * rng.randint(1, 4))
    elif operation == "scale":
        value = np.where(np.isfinite(value), value, 0).clip(-1e290, 1e290) * 10.0 ** rng.randint(-6, 7)
    elif operation == "negate":
        value = -value
    elif operation == "reverse":
        value = value[::-1]
    elif operation == "sort":
        value = np.sort(value, axis=-1)
    elif operation == "zero":
        value = np.where(rng.uniform(size=value.shape) < 0.5, value, 0)
    elif operation == "equal":
        value = np.full_like(value, value.flat[0]) if value.size else value
    elif operation == "mirror" and square:
        value = np.maximum(value, value.T)
    elif operation == "triangle" and square:
        value = np.triu(value, 1)
    elif operation == "shorten":
        value = value[:-1]
    elif operation == "lengthen" and value.size:
        value = np.concatenate([value, value[-1:]])
    elif operation == "flatten":
        value = value.reshape(-1)
    elif operation == "integers" and np.isfinite(value).all() and (np.abs(value) < 1e9).all():
        value = value.astype(np.int64)
    elif operation == "list":
        return value.tolist()
    return value
