"""What an algorithm writes down: values of the type that the spec says, in the spec's order. See check.py."""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nar.analysis.algorithm_contract import plain
from nar.analysis.algorithm_contract.examples import Example, Examples
from nar.analysis.contract.outcome import Failed, Skipped
from nar.traces.linked_list import linked_list
from nar.traces.spec import Probe, Type
from nar.traces.trace import check_ranges

LARGE = 64  # the size of canonical tests
CLOSE = 1e-9  # of compiled numbers and those of plain Python, relative


def forms(examples: Examples) -> str:
    """Inputs, hints and outputs have the shapes and the range that their type has."""
    spec = examples.algorithm.spec
    for example in examples.all:
        run = example.run
        if set(run.inputs) != set(spec.inputs):
            raise Failed(f"prepare returns the inputs {sorted(run.inputs)}; the spec has {sorted(spec.inputs)}")
        if len(run.outputs) != len(spec.outputs):
            raise Failed(f"{len(run.outputs)} outputs are returned; the spec has {', '.join(spec.outputs)}")
        moments = [(name, moment, value) for name, values in run.hints.items() for moment, value in enumerate(values)]
        given = [(name, None, value) for name, value in (*run.inputs.items(), *zip(spec.outputs, run.outputs))]  # noqa: B905
        for name, moment, value in (*given, *moments):
            if reason := misfit(np.asarray(value), spec[name], run.nodes):
                at = "" if moment is None else f" at moment {moment}"
                raise Failed(f"{spec[name].stage} {name}{at} {reason} ({example})")
        if spec.hints and not moments:
            raise Failed(f"record is never called ({example})")
    large = examples.patient.run(**examples.draw(LARGE, 0))  # where degrees and numbers of classes may have grown
    try:
        check_ranges(examples.algorithm.name, spec, large.nodes, large.compact)
    except ValueError as error:
        raise Failed(f"{error} (size {LARGE}, seed 0)") from None
    sizes = sorted({example.size for example in examples.all})
    return (
        f"inputs, hints and outputs are of their types on {len(examples.all)} inputs of size {sizes[0]} to {sizes[-1]} "
        f"and on one of size {LARGE}"
    )


def misfit(value: np.ndarray, probe: Probe, nodes: int) -> str | None:
    """What keeps a value from being one of this probe; None where nothing does."""
    if value.shape != probe.shape(nodes):
        return f"has shape {value.shape}; a {probe.type} on the {probe.location} has {probe.shape(nodes)}"
    if value.dtype.kind not in "buif" or not np.isfinite(value).all():
        return f"must hold finite numbers, got {value.ravel()[:6].tolist()}"
    low, high = probe.limits(nodes)
    if probe.type is not Type.SCALAR and ((value != np.floor(value)) | (value < low) | (value > high)).any():
        return f"must hold whole numbers from {low:g} to {high:g}, got from {value.min():g} to {value.max():g}"
    if probe.type in (Type.SHOULD_BE_PERMUTATION, Type.PERMUTATION_POINTER) and probe.stage == "output":
        if probe.type is Type.SHOULD_BE_PERMUTATION and linked_list(value.astype(np.int64)) is None:
            return f"must link all elements into one list, whose first points to itself, got {value.tolist()}"
    return None


def order(examples: Examples) -> str:
    """What is given to `record`, and returned, stands in the order of the spec, as far as names tell."""
    algorithm = examples.algorithm
    hints, outputs = list(algorithm.spec.hints), list(algorithm.spec.outputs)
    named = 0
    for what, wanted, names, line in _written(plain.source(algorithm)):
        known = hints if wanted == "hints" else outputs
        if len(names) != len(known):
            raise Failed(
                f"{what} gets {len(names)} {wanted}, the spec has {len(known)}: {', '.join(known)} (line {line})"
            )
        places = {name: place for place, name in enumerate(known)}
        places |= {name.removesuffix("_h"): place for place, name in enumerate(known) if name.endswith("_h")}
        for place, name in enumerate(names):
            own = places.get(name or "")
            named += own == place
            if own is not None and own != place and names[own] != name:
                raise Failed(
                    f"{what} gets {name} where the spec has {known[place]} (line {line}); the spec's order is "
                    f"{', '.join(known)}"
                )
    return f"as in the spec: {', '.join(hints) or 'no hints'}" + ("" if named else " (no name tells otherwise)")


def _written(function: types.FunctionType) -> Iterator[tuple[str, str, list[str | None], int]]:
    """Calls of `record` in a function and its helpers, and what the function itself returns: the names given, None for
    other expressions, and the line."""
    seen = [function]
    for one in seen:
        seen += [helper for helper in plain.helpers(one).values() if helper not in seen]
        try:
            lines, first = inspect.getsourcelines(one)
        except OSError:
            raise Skipped("the source cannot be read") from None
        for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):
            if isinstance(node, ast.Call) and _name(node.func) == "record":
                yield "record", "hints", _names(node.args[1:]), first + node.lineno - 1
            if isinstance(node, ast.Return) and one is function and isinstance(node.value, ast.Tuple):
                yield "return", "outputs", _names(node.value.elts), first + node.lineno - 1


def _names(values: Sequence[ast.expr]) -> list[str | None]:
    return [value.id if isinstance(value, ast.Name) else None for value in values]


def _name(function: ast.expr) -> str | None:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def compiled(examples: Examples) -> str:
    """The compiled run writes down what the same code does in plain Python."""
    for example in examples.all:
        for name, ours, theirs in _both(example):
            if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=CLOSE, atol=CLOSE, equal_nan=True):
                raise Failed(f"{name} is another one than in plain Python ({example})")
    return "the same as in plain Python"


def _both(example: Example) -> Iterator[tuple[str, Any, Any]]:
    spec, run, trace = example.trace.spec, example.run, example.trace
    values = run.inputs | {name: np.array(values) for name, values in run.hints.items()}
    values |= zip(spec.outputs, run.outputs, strict=True)
    for name, value in values.items():
        wanted = np.asarray(value)
        yield name, np.asarray(trace.compact[name], np.float64), wanted.astype(np.float64)
