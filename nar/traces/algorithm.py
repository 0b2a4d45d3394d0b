"""An algorithm: everything that datasets/*.py say about one, and how it is sampled, run, recorded and checked."""

import dataclasses
import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nar.system import limits
from nar.traces.inputs.options import is_integer
from nar.traces.record import TOO_LONG, TraceRecorder
from nar.traces.sparse.changes import recorded
from nar.traces.sparse.graph import SparseGraph
from nar.traces.sparse.trace import SparseTrace, first_value
from nar.traces.spec import Spec, Stage, Type
from nar.traces.trace import Trace, check_ranges, compact_dtype, is_run_length

CATEGORIES = (
    "sorting",
    "searching",
    "divide and conquer",
    "greedy",
    "dynamic programming",
    "graphs",
    "strings",
    "geometry",
    "data flow",
    "automata",
)

LARGEST = 8 * 2**30  # bytes of a trace
SMALL = 2**28  # bytes that need no asking whether they are there

_Layout = tuple[list[tuple[tuple[int, ...], type, bool]], list[tuple[tuple[int, ...], type]]]


@dataclasses.dataclass(eq=False)
class Algorithm:
    """One textbook algorithm; instances are made in datasets/*.py.

    Arguments:
        name, spec, citation: as listed; the spec's probes in dm-clrs's order.
        steps: the compiled algorithm (see the top of this file); after the trace, it gets what `prepare` returns.
        on_edges: the same on a sparse graph, where all that it points to are neighbours: it gets a log of changes
            (nar/traces/sparse/changes.py), then starts, neighbours, twins and weights of the edges that leave each node
            in place of A, and what else `prepare` returns.
        prepare: the arguments of `run` -> (arguments of `steps`, input probes in compact form). Raises ValueError that
            names the argument where a precondition fails. Must copy: traces never share memory with the caller.
        sampler: `sampler(rng, n, **params)` -> arguments of `run`, drawn in dm-clrs's order; its defaults are `params`.
        bound: n -> upper bound of the trace's length.
        oracle: arguments of `run` -> an independent answer (networkx, numpy), e.g. shortest distances.
        validity: `validity(**arguments of run, **outputs)` -> is this output right, ties broken in any way?
        train_params: the training distribution of the CLRS protocol where it differs from `params`.
        min_nodes: smallest n that `sample` draws.
        validity_on_edges: `validity_on_edges(trace, **outputs)`: the validity for a SparseTrace.
        spec_on_edges: the spec there, where a hint of `spec` points to nodes that are no neighbours.
        acyclic: its graphs must have no directed cycles.
        recover: inputs of a trace (compact probes by name) -> arguments of `run`, where the two differ in name or form.
        category: of the textbook, as in CLRS-30's tables: sorting, searching, graphs, ... (CATEGORIES), or your own.
        train_sizes: what training draws instead of the protocol's sizes: string matching knows one size, 20.
        fixed_nodes: every trace has so many nodes, whatever n (two segments have four ends); 0 where n decides.
        num_samples_multiplier: validation and test sets hold this many times 32 samples, as in dm-clrs.
        pred_as_input: the hint `pred_h` never changes and is given as an input in training (nar/model/batch.py).
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
    category: str
    on_edges: Callable | None = None
    validity_on_edges: Callable[..., bool] | None = None
    spec_on_edges: Spec | None = None
    acyclic: bool = False
    recover: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    train_params: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_sizes: tuple[int, ...] = ()
    min_nodes: int = 1
    fixed_nodes: int = 0
    num_samples_multiplier: int = 1
    pred_as_input: bool = False

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES and (meant := difflib.get_close_matches(self.category, CATEGORIES, 1, 0.8)):
            raise ValueError(f"category of {self.name}: got {self.category!r}; did you mean {meant[0]!r}?")
        keywords = list(inspect.signature(self.sampler).parameters.values())[2:]
        self.params = {p.name: p.default for p in keywords}
        self.arguments = tuple(inspect.signature(self.prepare).parameters)
        # Looked up once per run, each thousands of times per second.
        self._names, self._hints, self._outputs = list(self.spec), list(self.spec.hints), list(self.spec.outputs)
        self._layouts: dict[int, _Layout] = {}
        self.checks_ranges = ":" in self.name  # one's own: the others' are tested
        self._rows: dict[int, int] = {}  # how many moments to make room for, by number of nodes

    def __repr__(self) -> str:
        return f"Algorithm({self.name})"

    @property
    def unweighted(self) -> bool:
        """Does its sampler draw graphs without weights (nar/traces/inputs/graphs.py)?"""
        return "family" in self.params and "law" not in self.params

    def __reduce__(self):
        return _get, (self.name,)  # pickles by name: an algorithm is its file

    def sample(self, rng: np.random.RandomState, n: int, **params: Any) -> dict[str, Any]:
        """Arguments of `run`, drawn from `rng` exactly as dm-clrs's sampler draws them for `length=n`."""
        if not isinstance(rng, np.random.RandomState):
            raise ValueError(f"rng must be a numpy.random.RandomState (the reference's generator), got {rng!r}")
        if not is_integer(n, self.min_nodes):
            raise ValueError(f"n must be an integer of at least {self.min_nodes} for {self.name}, got {n!r}")
        self.check_room(n)
        unknown = params.keys() - self.params.keys()
        if unknown:
            raise ValueError(f"{self.name} has no sampler parameter {sorted(unknown)}; it has {sorted(self.params)}")
        return self.sampler(rng, int(n), **params)

    def check_room(self, n: int, samples: int = 1) -> None:
        """ValueError where so many inputs of this size, with their answers, need more memory than there is."""
        nodes = self.fixed_nodes or int(n)
        # matrices are drawn in float64
        needed = 8 * samples * sum(math.prod(p.shape(nodes)) for p in self.spec.values() if p.stage is not Stage.HINT)
        if needed > SMALL and needed > (free := limits.free_memory()):
            what = f"{samples:,} inputs" if samples > 1 else "an input"
            raise ValueError(
                f"{what} of {self.name} at size {n:,} would need {needed / 2**30:,.0f} GB of memory at least, and "
                f"{free / 2**30:,.1f} GB are free: choose less"
            )

    def run(self, **inputs: Any) -> Trace:
        """Check the inputs, run the algorithm on them and record it. The inputs are copied, never changed."""
        self._check_arguments(inputs)
        arguments, probes = self.prepare(**inputs)
        compact: dict[str, Any] = dict(probes)
        nodes = len(compact["pos"])
        hints, outputs = self._layout(nodes)
        most = self.bound(nodes)
        rows = self._rows.get(nodes) or min(most, 4 * nodes + 16)
        while True:
            recorder = TraceRecorder(hints, rows, most)
            try:
                answers = self.steps(recorder.trace, *arguments)
            except IndexError as error:
                if str(error) != TOO_LONG:
                    raise
                raise ValueError(
                    f"{self.name} takes more steps than its bound({nodes}) = {most} allows: let bound promise more, or "
                    "mend steps, which may not end"
                ) from None
            if recorder.length <= rows:
                break
            row = sum(np.dtype(dtype).itemsize * math.prod(shape) for shape, dtype, seldom in hints if not seldom)
            if (size := recorder.length * row) > LARGEST:
                raise ValueError(
                    f"{next(iter(inputs))} must be smaller for {self.name}: the trace of {nodes} nodes has "
                    f"{recorder.length:,} steps, {size / 2**30:,.0f} GB (longest kept: {LARGEST / 2**30:.0f})"
                )
            rows = self._rows[nodes] = min(most, recorder.length + recorder.length // 4)
        compact |= zip(self._hints, recorder.hints(), strict=True)
        answers = answers if isinstance(answers, tuple) else (answers,)
        for name, answer, (_, dtype) in zip(self._outputs, answers, outputs, strict=True):
            compact[name] = np.array(answer, dtype=dtype)
        if self.checks_ranges:
            check_ranges(self.name, self.spec, nodes, compact)
        return Trace(self.name, self.spec, nodes, recorder.length, {name: compact[name] for name in self._names})

    def run_on_edges(self, **inputs: Any) -> SparseTrace:
        """`run` with a SparseGraph as A: the same steps, in time and memory that grow with edges and changes."""
        self._check_arguments(inputs)
        steps = self.check_on_edges()
        (graph, *others), probes = self.prepare(**inputs)
        if not isinstance(graph, SparseGraph):
            raise ValueError(f"A must be a SparseGraph, got {type(graph).__name__}: SparseGraph.of(nodes, edges)")
        spec = self.spec_on_edges or self.spec
        firsts = [first_value(probe, graph) for probe in spec.hints.values()]
        arguments = (graph.starts, graph.senders, graph.twins, graph.leaving, *others)
        hints, answers = recorded(steps, arguments, firsts)
        compact: dict[str, Any] = probes | dict(zip(self._hints, hints, strict=True))
        answers = answers if isinstance(answers, tuple) else (answers,)
        for name, answer in zip(self._outputs, answers, strict=True):
            compact[name] = np.array(answer, compact_dtype(spec[name], len(graph)))
        return SparseTrace(self.name, spec, graph, len(hints[0]), {name: compact[name] for name in self._names})

    def is_valid_on_edges(self, trace: SparseTrace, outputs: Mapping[str, Any]) -> bool:
        """`is_valid` for the inputs of a trace on edges."""
        arrays = {name: np.asarray(outputs[name]).astype(np.float64 if p.type is Type.SCALAR else np.int64)
                  for name, p in self.spec.outputs.items()}  # fmt: skip
        assert self.validity_on_edges is not None
        return bool(self.validity_on_edges(trace, **arrays))

    def check_on_edges(self) -> Callable:
        """The steps on edges; ValueError where there are none."""
        if self.on_edges is None:
            raise ValueError(
                f"{self.name} cannot run in the sparse layout: it reads or points to nodes that are no neighbours; use "
                "--layout dense, or one of bfs, dfs, dijkstra, bellman_ford, dag_shortest_paths, mst_prim, "
                "maximal_independent_set, eccentricity"
            )
        return self.on_edges

    def _layout(self, nodes: int) -> _Layout:
        """Shape and type of every hint, whether it is kept as a RunLengthArray, and shape and type of every output."""
        if nodes not in self._layouts:
            hints = [(p.shape(nodes), compact_dtype(p, nodes), is_run_length(p)) for p in self.spec.hints.values()]
            outputs = [(p.shape(nodes), compact_dtype(p, nodes)) for p in self.spec.outputs.values()]
            self._layouts[nodes] = hints, outputs
        return self._layouts[nodes]

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
            if probe.is_index and not ((arrays[name] >= 0) & (arrays[name] < nodes)).all():
                return False
        return bool(self.validity(**inputs, **arrays))

    def arguments_of(self, trace: Trace) -> dict[str, Any]:
        """The arguments of `run` that made this trace, read back from its inputs."""
        found = {name: trace.compact[name] for name in self.spec.inputs}
        found = {name: value if value.ndim else value.item() for name, value in found.items()}
        return self.recover(found) if self.recover else {name: found[name] for name in self.arguments}

    def _check_arguments(self, inputs: Mapping[str, Any]) -> None:
        if inputs.keys() != set(self.arguments):
            raise ValueError(f"{self.name} takes the inputs {list(self.arguments)}, got {sorted(inputs)}")


def _get(name: str) -> Algorithm:
    return importlib.import_module("nar.datasets").get(name)
