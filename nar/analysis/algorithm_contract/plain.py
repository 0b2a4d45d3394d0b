"""An algorithm run in plain Python, as written: what it hands to `record`, before it is made to fit the spec.

Compiled code stores hints as the types that the spec says, and so cuts 0.7 off to 0 where a mask is asked for, and it
reads beyond the end of an array without a word. Neither happens here.
"""

import dataclasses
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from nar.traces.algorithm import Algorithm


@dataclasses.dataclass
class PlainRun:
    """What a run wrote down, as it was given, and what it did to its arguments."""

    nodes: int
    inputs: dict[str, Any]  # the input probes as `prepare` made them
    hints: dict[str, list[np.ndarray]]  # by name, one entry for every moment
    outputs: tuple[Any, ...]
    changed: list[str]  # the arguments of `steps` that it wrote into


def run(algorithm: Algorithm, arguments: dict[str, Any]) -> PlainRun:
    """One run; raises what the algorithm raises."""
    prepared, probes = algorithm.prepare(**arguments)
    before = [np.array(value, copy=True) for value in prepared]
    buffers = tuple(_Moments() for _ in algorithm.spec.hints)
    function = source(algorithm)
    nodes = len(probes["pos"])
    answers = _uncompiled(function, {})((np.array([0, algorithm.bound(nodes)]), buffers), *prepared)
    names = list(inspect.signature(function).parameters)[1:]
    names += [f"number {place}" for place in range(len(names), len(prepared))]
    changed = [
        name for name, value, old in zip(names, prepared, before, strict=False)
        if not np.array_equal(np.asarray(value), old, equal_nan=old.dtype.kind in "fc")
    ]  # fmt: skip
    hints = {name: buffer.values for name, buffer in zip(algorithm.spec.hints, buffers, strict=True)}
    answers = answers if isinstance(answers, tuple) else (answers,)
    return PlainRun(nodes, dict(probes), hints, answers, changed)


def source(algorithm: Algorithm) -> types.FunctionType:
    """The function that was compiled."""
    return _python(algorithm.steps) or algorithm.steps  # pyright: ignore[reportReturnType]


class _Moments:
    """What `record` fills instead of rows of an array: keeps every hint as it is."""

    def __init__(self) -> None:
        self.values: list[np.ndarray] = []

    def __len__(self) -> int:
        return sys.maxsize

    def __setitem__(self, moment: int, hint: Any) -> None:
        self.values.append(np.array(hint, copy=True))


def helpers(function: types.FunctionType) -> dict[str, types.FunctionType]:
    """Functions of the same file that this one calls by name, compiled or not."""
    found = {name: _python(function.__globals__.get(name)) for name in function.__code__.co_names}
    file = function.__code__.co_filename
    return {name: f for name, f in found.items() if f is not None and f.__code__.co_filename == file}


def _python(value: Any) -> types.FunctionType | None:
    value = getattr(value, "py_func", value)
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return value if isinstance(value, types.FunctionType) else None


def _uncompiled(function: types.FunctionType, known: dict[types.FunctionType, Any]) -> Callable:
    """The function with its helpers in plain Python, too: these may be handed the trace."""
    if function not in known:
        scope = dict(function.__globals__)
        known[function] = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        scope |= {name: _uncompiled(helper, known) for name, helper in helpers(function).items()}
    return known[function]
