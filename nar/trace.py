"""Traces: what one run of an algorithm wrote down, and how an algorithm is made to write it down.

A `Trace` holds every probe of a run in compact form (nar/spec.py). An `Algorithm` bundles what datasets/*.py say about
one algorithm: spec, sampler, preconditions, steps, oracle, validity.

The steps are a `@numba.njit` generator that reads like the textbook. It yields its state at the moments that matter:
the hints in the spec's order, then outputs that no hint shows. Every yield but the last is one hint snapshot; the last
is the final state, from which the outputs are read (output `x` is the final value of hint `x_h`). Yielded arrays may
change afterwards: they are copied at once.

numpy and numba only: nothing here may import torch.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

from nar.spec import IGNORED, POINTERS, Probe, Spec, Stage, Type


def index_dtype(nodes: int) -> type:
    """The smallest signed type that holds every node index."""
    return np.int16 if nodes <= np.iinfo(np.int16).max else np.int32


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
        steps: the compiled generator (see the top of this file); its arguments are what `prepare` returns.
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
        self._recorder = _Recorder(self)

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
        return self._recorder(*self.prepare(**inputs))

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


class _Recorder:
    """Drives the generator of one algorithm in compiled code and keeps its yields in compact form."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        spec = algorithm.spec
        self.hints = tuple(spec.hints)
        self.twins = {name: f"{name}_h" for name in spec.outputs if f"{name}_h" in spec.hints}
        self.extras = tuple(name for name in spec.outputs if name not in self.twins)
        self._layouts: dict[int, list[tuple[tuple[int, ...], type]]] = {}

    def __call__(self, arguments: tuple, compact: dict[str, np.ndarray]) -> Trace:
        spec = self.algorithm.spec
        nodes = len(compact["pos"])
        layout = self._layouts.get(nodes) or self._layout(nodes)
        buffers = [np.empty(shape, dtype) for shape, dtype in layout]
        yields = self._drive(*arguments, *buffers)
        rows = len(buffers[0])
        # A shorter run than max_steps allows would be a bug of this library, as would a longer one.
        assert 1 < yields <= rows, f"{self.algorithm.name} recorded {yields} states, max_steps + 1 is {rows}"
        length = yields - 1
        final = {}
        for name, buffer in zip(self.hints, buffers, strict=False):
            final[name] = np.array(buffer[length])
            # A view keeps the whole buffer alive: worth it only when most of it is used.
            compact[name] = buffer[:length] if 2 * length > rows else buffer[:length].copy()
        for name, twin in self.twins.items():
            compact[name] = final[twin]
        for name, buffer in zip(self.extras, buffers[len(self.hints) :], strict=True):
            compact[name] = buffer[0]
        return Trace(self.algorithm.name, spec, nodes, length, {name: compact[name] for name in spec})

    def _layout(self, nodes: int) -> list[tuple[tuple[int, ...], type]]:
        """Shape and type of each buffer: a row per hint snapshot and for the final state; one row per extra output."""
        spec, rows = self.algorithm.spec, self.algorithm.max_steps(nodes) + 1
        sizes = [(name, rows) for name in self.hints] + [(name, 1) for name in self.extras]
        layout = [((r, *spec[name].shape(nodes)), compact_dtype(spec[name], nodes)) for name, r in sizes]
        self._layouts[nodes] = layout
        return layout

    @functools.cached_property
    def _drive(self) -> Callable[..., int]:
        """The driver: one small function per algorithm, generated since its arguments are the algorithm's own.

        numba's file cache belongs to a source file; the driver is compiled in the name of the algorithm's file, so a
        change there invalidates it. The digest in its name does the same for changes of the shared files.
        """
        generator = self.algorithm.steps
        python = getattr(generator, "py_func", generator)
        names = [f"{name}_" for name in (*self.hints, *self.extras)]
        rows = ["step"] * len(self.hints) + ["0"] * len(self.extras)
        arguments = ", ".join(python.__code__.co_varnames[: python.__code__.co_argcount])
        buffers = ", ".join(f"{name}rows" for name in names)
        body = "\n".join(f"        {name}rows[{row}] = {name}" for name, row in zip(names, rows, strict=True))
        title = f"record_{python.__name__}"
        source = (
            f"def TITLE({arguments}, {buffers}):\n"
            f"    step = 0\n"
            f"    for {', '.join(names)}, in generator({arguments}):\n"
            f"        if step == len({names[0]}rows):\n"
            f"            return step + 1\n"
            f"{body}\n"
            f"        step += 1\n"
            f"    return step\n"
        )
        title = f"record_{python.__name__}_{_digest(source)}"
        scope = {"generator": generator, "__name__": python.__module__}
        exec(compile(source.replace("TITLE", title), python.__code__.co_filename, "exec"), scope)
        return _compile(scope[title])


def _compile(function: Callable) -> Callable:
    """Compile with numba's file cache, or without it where no directory for it can be written."""
    try:
        cached = numba.njit(cache=True)(function)
    except RuntimeError:  # numba: no locator available
        return numba.njit(function)

    def first_call(*arguments):
        nonlocal compiled
        try:
            result = cached(*arguments)
            compiled = cached
        except OSError:  # the cache's disk is full or was taken away
            compiled = numba.njit(function)
            result = compiled(*arguments)
        return result

    compiled = first_call
    return lambda *arguments: compiled(*arguments)


def _digest(source: str) -> str:
    """Changes with the driver and with every shared file whose compiled helpers algorithms call."""
    digest = hashlib.sha256(source.encode())
    for file in ("graphs.py", "arrays.py"):
        digest.update(pathlib.Path(__file__).with_name(file).read_bytes())
    return digest.hexdigest()[:12]
