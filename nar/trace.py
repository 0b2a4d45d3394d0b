"""Traces: what one run of an algorithm wrote down, and how an algorithm is made to write it down.

A `Trace` holds every probe of a run in compact form (nar/spec.py). An `Algorithm` bundles what datasets/*.py say about
one algorithm: spec, sampler, preconditions, steps, oracle, validity.

The steps read like the textbook: a function `steps(trace, ...)` under `@compiled` that calls `record(trace, ...)` with
its hints at every moment that matters and returns the outputs, both in the spec's order. `record` copies at once.
(A numba generator that yields its hints would read as well, but numba 0.68 never frees its arguments.)

numpy and numba only: nothing here may import torch.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numba.core.errors
import numba.extending
import numpy as np

from nar.spec import IGNORED, POINTERS, Probe, Spec, Stage, Type

SHARED = ("graphs.py", "arrays.py")  # files whose compiled helpers algorithms call


_Layout = list[tuple[tuple[int, ...], type]]


def index_dtype(nodes: int) -> type:
    """The smallest signed type that holds every node index."""
    return np.int16 if nodes < 2**15 else np.int32


def compact_dtype(probe: Probe, nodes: int) -> type:
    if probe.type is Type.SCALAR:
        return np.float64
    if probe.type in POINTERS or probe.type is Type.MASK_ONE:
        return index_dtype(nodes)
    return np.int8


@dataclasses.dataclass(eq=False, slots=True, repr=False)
class Trace:
    """One run of one algorithm: every probe by name, in the spec's order, in compact form; hints lead with the T axis.

    `length` is T, the number of hint snapshots, the initial one included. `inputs`, `hints` and `outputs` are the same
    numbers in dm-clrs's shapes for one sample: one-hot rows, hints time-first, no batch axis.
    """

    algorithm: str
    spec: Spec
    nodes: int
    length: int
    compact: dict[str, np.ndarray]

    def __repr__(self) -> str:
        return f"Trace({self.algorithm}, nodes={self.nodes}, length={self.length})"

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.INPUT)

    @property
    def hints(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.HINT)

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        return self._dense(Stage.OUTPUT)

    def _dense(self, stage: Stage) -> dict[str, np.ndarray]:
        return {name: to_dense(self.compact[name], probe, self.nodes) for name, probe in self.spec.stage(stage).items()}

    @classmethod
    def from_dense(
        cls,
        algorithm: str,
        spec: Spec,
        inputs: Mapping[str, Any],
        hints: Mapping[str, Any],
        outputs: Mapping[str, Any],
    ) -> Trace:
        """The trace with these dense forms; ValueError where they are not dm-clrs-shaped probes of `spec`."""
        given = {Stage.INPUT: inputs, Stage.HINT: hints, Stage.OUTPUT: outputs}
        for stage, arrays in given.items():
            want = spec.stage(stage)
            if set(arrays) != set(want):
                raise ValueError(f"{stage}s of {algorithm}: got {sorted(arrays)}, the spec requires {sorted(want)}")
        arrays = {name: np.asarray(given[probe.stage][name]) for name, probe in spec.items()}
        nodes = _count_nodes(spec, arrays)
        length = _count_steps(spec, arrays)
        compact = {}
        for name, probe in spec.items():
            leading = (length,) if probe.stage is Stage.HINT else ()
            want = (*leading, *probe.dense_shape(nodes))
            if arrays[name].shape != want:
                raise ValueError(f"probe {name} of {algorithm}: got shape {arrays[name].shape}, required {want}")
            compact[name] = from_dense(arrays[name], probe, nodes, name)
        return cls(algorithm, spec, nodes, length, compact)


def to_dense(compact: np.ndarray, probe: Probe, nodes: int) -> np.ndarray:
    """Compact to dense for any leading axes: pointers become int64, everything else float64."""
    if probe.type in (Type.MASK_ONE, Type.PERMUTATION_POINTER):
        return (compact[..., None] == np.arange(nodes)).astype(np.float64)
    if probe.type is Type.CATEGORICAL:
        dense = (compact[..., None] == np.arange(probe.classes)).astype(np.float64)
        dense[..., -1] -= compact == IGNORED  # an ignored row is marked by -1 in its last class
        return dense
    return compact.astype(np.int64 if probe.type in POINTERS else np.float64)


def from_dense(dense: np.ndarray, probe: Probe, nodes: int, name: str) -> np.ndarray:
    """Dense to compact; ValueError where the values are not of the probe's type. The shape has been checked."""
    dtype = compact_dtype(probe, nodes)
    if dense.dtype.kind not in "buif":
        raise ValueError(f"probe {name}: got dtype {dense.dtype}, required numbers")
    if not np.isfinite(dense).all():
        raise ValueError(f"probe {name}: got NaN or infinity, required finite numbers")
    if probe.type is Type.SCALAR:
        return dense.astype(dtype)
    if probe.type in POINTERS and probe.type is not Type.PERMUTATION_POINTER:
        return _whole_numbers(dense, 0, nodes - 1, name).astype(dtype)
    if probe.type is Type.MASK:
        return _whole_numbers(dense, -1, 1, name).astype(dtype)
    values = _whole_numbers(dense, -1, 1, name)
    if not (np.abs(values).sum(-1) == 1).all():
        raise ValueError(f"probe {name}: got rows that are not one-hot, required exactly one marked entry per row")
    index = np.abs(values).argmax(-1)
    ignored = values.sum(-1) == -1
    if probe.type is Type.CATEGORICAL:
        index[ignored] = IGNORED
    elif ignored.any():
        raise ValueError(f"probe {name}: got -1 in a {probe.type}, required 0 or 1")
    return index.astype(dtype)


def _whole_numbers(dense: np.ndarray, low: int, high: int, name: str) -> np.ndarray:
    values = dense.astype(np.int64)
    if (values != dense).any() or (values < low).any() or (values > high).any():
        raise ValueError(
            f"probe {name}: got values in [{dense.min()}, {dense.max()}], required whole numbers {low} to {high}"
        )
    return values


def _count_nodes(spec: Spec, arrays: Mapping[str, np.ndarray]) -> int:
    for name, probe in spec.items():
        hint = probe.stage is Stage.HINT
        if probe.dense_shape(1) and arrays[name].ndim > hint:
            return arrays[name].shape[int(hint)]
    raise ValueError("no probe of the spec has a node axis: the number of nodes is unknown")


def _count_steps(spec: Spec, arrays: Mapping[str, np.ndarray]) -> int:
    for name in spec.hints:
        if arrays[name].ndim:
            return arrays[name].shape[0]
    return 0


@dataclasses.dataclass(eq=False)
class Algorithm:
    """One textbook algorithm; instances are made in datasets/*.py.

    Arguments:
        name, spec, citation: as listed; the spec's probes in dm-clrs's order.
        steps: the compiled algorithm (see the top of this file); after the trace, it gets what `prepare` returns.
        prepare: the arguments of `run` -> (arguments of `steps`, input probes in compact form). Raises ValueError that
            names the argument where a precondition fails. Must copy: traces never share memory with the caller.
        sampler: `sampler(rng, n, **params)` -> arguments of `run`, drawn in dm-clrs's order; its defaults are `params`.
        bound: n -> upper bound of the trace's length.
        oracle: arguments of `run` -> an independent answer (networkx, numpy), e.g. shortest distances.
        validity: `validity(**arguments of run, **outputs)` -> is this output right, ties broken in any way?
        train_params: the training distribution of the CLRS protocol where it differs from `params`.
        min_nodes: smallest n that `sample` draws.
        num_samples_multiplier: validation and test sets hold this many times 32 samples, as in dm-clrs.
        pred_as_input: the hint `pred_h` never changes and is given as an input in training (nar/batch.py).
    """

    name: str
    spec: Spec
    citation: str
    steps: Callable
    prepare: Callable[..., tuple[tuple, dict[str, np.ndarray]]]
    sampler: Callable[..., dict[str, Any]]
    bound: Callable[[int], int]
    oracle: Callable[..., dict[str, np.ndarray]]
    validity: Callable[..., bool]
    train_params: dict[str, Any] = dataclasses.field(default_factory=dict)
    min_nodes: int = 1
    num_samples_multiplier: int = 1
    pred_as_input: bool = False

    def __post_init__(self) -> None:
        keywords = list(inspect.signature(self.sampler).parameters.values())[2:]
        self.params = {p.name: p.default for p in keywords}
        self.arguments = tuple(inspect.signature(self.prepare).parameters)
        # Looked up once per run, each thousands of times per second.
        self._names, self._hints, self._outputs = list(self.spec), list(self.spec.hints), list(self.spec.outputs)
        self._layouts: dict[int, tuple[_Layout, _Layout]] = {}

    def __repr__(self) -> str:
        return f"Algorithm({self.name})"

    def __reduce__(self):
        return _get, (self.name,)  # pickles by name: an algorithm is its file

    def sample(self, rng: np.random.RandomState, n: int, **params: Any) -> dict[str, Any]:
        """Arguments of `run`, drawn from `rng` exactly as dm-clrs's sampler draws them for `length=n`."""
        if not isinstance(rng, np.random.RandomState):
            raise ValueError(f"rng must be a numpy.random.RandomState (the reference's generator), got {rng!r}")
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < self.min_nodes:
            raise ValueError(f"n must be an integer of at least {self.min_nodes} for {self.name}, got {n!r}")
        unknown = params.keys() - self.params.keys()
        if unknown:
            raise ValueError(f"{self.name} has no sampler parameter {sorted(unknown)}; it has {sorted(self.params)}")
        return self.sampler(rng, int(n), **params)

    def run(self, **inputs: Any) -> Trace:
        """Check the inputs, run the algorithm on them and record it. The inputs are copied, never changed."""
        self._check_arguments(inputs)
        arguments, compact = self.prepare(**inputs)
        nodes = len(compact["pos"])
        hints, outputs = self._layout(nodes)
        buffers = tuple([np.empty(shape, dtype) for shape, dtype in hints])
        step = np.zeros(1, np.int64)
        answers = self.steps((step, buffers), *arguments)
        length = int(step[0])
        for name, rows in zip(self._hints, buffers, strict=True):
            # A view keeps the whole buffer alive: worth it only when most of it is used.
            compact[name] = rows[:length] if 2 * length > len(rows) else rows[:length].copy()
        answers = answers if isinstance(answers, tuple) else (answers,)
        for name, answer, (_, dtype) in zip(self._outputs, answers, outputs, strict=True):
            compact[name] = np.array(answer, dtype=dtype)
        return Trace(self.name, self.spec, nodes, length, {name: compact[name] for name in self._names})

    def _layout(self, nodes: int) -> tuple[_Layout, _Layout]:
        """Shape and type of each hint's buffer, with as many rows as a trace can need, and of each output."""
        if nodes not in self._layouts:
            rows = self.max_steps(nodes)
            hints = [((rows, *p.shape(nodes)), compact_dtype(p, nodes)) for p in self.spec.hints.values()]
            outputs = [(p.shape(nodes), compact_dtype(p, nodes)) for p in self.spec.outputs.values()]
            self._layouts[nodes] = hints, outputs
        return self._layouts[nodes]

    def max_steps(self, n: int) -> int:
        """Upper bound of the length of a trace on n nodes."""
        return self.bound(n)

    def is_valid(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
        """Is this output (compact form) a correct answer for these arguments of `run`, ties broken in any way?"""
        self._check_arguments(inputs)
        arrays = {}
        nodes = len(next(iter(self.prepare(**inputs)[1].values())))
        for name, probe in self.spec.outputs.items():
            if name not in outputs:
                raise ValueError(f"outputs of {self.name}: got {sorted(outputs)}, required {sorted(self.spec.outputs)}")
            arrays[name] = np.asarray(outputs[name]).astype(np.float64 if probe.type is Type.SCALAR else np.int64)
            if arrays[name].shape != probe.shape(nodes):
                raise ValueError(f"output {name}: got shape {arrays[name].shape}, required {probe.shape(nodes)}")
            indexes = probe.type in POINTERS or probe.type is Type.MASK_ONE
            if indexes and not ((arrays[name] >= 0) & (arrays[name] < nodes)).all():
                return False
        return bool(self.validity(**inputs, **arrays))

    def arguments_of(self, trace: Trace) -> dict[str, Any]:
        """The arguments of `run` that made this trace, read back from its inputs (an array `A` is the probe `key`)."""
        return {name: trace.compact[name if name in trace.spec.inputs else "key"] for name in self.arguments}

    def _check_arguments(self, inputs: Mapping[str, Any]) -> None:
        if inputs.keys() != set(self.arguments):
            raise ValueError(f"{self.name} takes the inputs {list(self.arguments)}, got {sorted(inputs)}")


def _get(name: str) -> Algorithm:
    return importlib.import_module("nar.datasets").get(name)


def record(trace, *hints):
    """Write down one snapshot: the hints of the spec, in its order. Compiled code runs the overload below instead."""
    step, buffers = trace
    for rows, hint in zip(buffers, hints, strict=True):
        rows[step[0]] = hint
    step[0] += 1


@numba.extending.overload(record)
def _record(trace, *hints):
    # numba cannot loop over arrays of several types: the loop is written out.
    count = len(trace[1])
    if len(hints) != count:
        raise numba.core.errors.TypingError(f"record got {len(hints)} hints, the spec has {count}")
    stores = "".join(f"    buffers[{k}][step[0]] = hints[{k}]\n" for k in range(count))
    source = (
        "def write(trace, *hints):\n"
        "    step, buffers = trace\n"
        "    if step[0] >= len(buffers[0]):\n"
        "        raise IndexError('more steps than the bound of the algorithm allows')\n"
        f"{stores}"
        "    step[0] += 1\n"
    )
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope["write"]


def compiled(function: Callable | None = None, **options: Any) -> Callable:
    """numba's njit (with its `options`) and its file cache, or none where no directory for it can be written.

    numba notices changes of the function's own file by time and size. Its name in the cache is completed by a digest of
    that file and of the shared ones whose helpers it may call, so that it can never be stale.
    """
    if function is None:
        return functools.partial(compiled, **options)
    digest = hashlib.sha256()
    for file in (function.__code__.co_filename, __file__, *(pathlib.Path(__file__).with_name(f) for f in SHARED)):
        if os.path.exists(file):  # a notebook's cell is no file
            digest.update(pathlib.Path(file).read_bytes())
    function.__qualname__ += f"_{digest.hexdigest()[:12]}"
    try:
        cached = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba: no locator available
        return numba.njit(**options)(function)

    @functools.wraps(function)
    def first_call(*arguments):
        nonlocal call
        try:
            result = cached(*arguments)
            call = cached
        except OSError:  # the cache's disk is full or was taken away
            call = numba.njit(**options)(function)
            result = call(*arguments)
        return result

    call = first_call
    return functools.wraps(function)(lambda *arguments: call(*arguments))
