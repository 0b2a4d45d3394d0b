"""A trace as text: inputs, then what changed at every step, then outputs. The pictures are figure.py.

>>> print(show.text(nar.datasets.get("minimum").run(A=[3, 1, 2])))
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nar.traces.linked_list import linked_list
from nar.traces.spec import IGNORED, POINTERS, Location, Probe, Spec, Type
from nar.traces.trace import Trace

LEGEND = "* changed at this step   . points to itself, 0 or no   - ignored"


def text(trace: Trace, steps: int | None = 60, width: int = 100) -> str:
    """The whole trace, no line longer than `width` where names allow it; of more than `steps` steps (None: no limit),
    the middle is left out.

    A step shows all hints of one number, and of hints on nodes and edges those that changed. Nodes are columns where
    they fit, otherwise the changed entries are listed as node:value.
    """
    if steps is not None and steps < 2:
        raise ValueError(f"steps must be at least 2 (the first and the last) or None, got {steps}")
    page = _Page(trace, width)
    last = 0 if steps is None or trace.length <= steps else max(1, steps // 4)
    first = trace.length if steps is None or not last else steps - last
    lines = [f"{trace.algorithm}: {trace.nodes} nodes, {trace.length} steps", "", "inputs"]
    lines += page.block("", _shown_inputs(trace), None)
    if trace.length:
        lines += ["", LEGEND]
    for t in range(trace.length):
        if first <= t < trace.length - last:
            if t == first:
                lines += ["", f"... {trace.length - first - last} steps left out ..."]
            continue
        now, before = hints_at(trace, t), hints_at(trace, t - 1) if t else None
        lines += ["", *page.block(f"step {t + 1}", now, before)]
    lines += ["", "outputs", *page.block("", {name: trace.compact[name] for name in trace.spec.outputs}, None)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def hints_at(trace: Trace, t: int) -> dict[str, np.ndarray]:
    """Every hint at moment t, in compact form."""
    return {name: np.asarray(trace.compact[name][t]) for name in trace.spec.hints}


def number(value: float) -> str:
    """A few digits: 3, 0.25, 0.003, 1e+09."""
    value = float(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if 0.001 <= abs(value) < 1000:
        return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.3f}"
    return f"{value:.1g}"


def label(value: Any, probe: Probe, letters: bool = False) -> str:
    """One value as short text; classes as letters where they are characters of a string."""
    if probe.type is Type.SCALAR:
        return number(value)
    if probe.type is Type.CATEGORICAL and letters and 0 <= value < 26:
        return "abcdefghijklmnopqrstuvwxyz"[int(value)]
    return "-" if value == IGNORED else str(int(value))


def every_value(trace: Trace, name: str) -> np.ndarray:
    """The values that a probe takes, some perhaps once only."""
    values = trace.compact[name]
    return np.asarray(getattr(values, "values", values))


def list_hint(trace: Trace) -> str | None:
    """The hint that says in which order the elements stand now: a changing pointer that always is one list."""
    for name, probe in trace.spec.hints.items():
        if trace.nodes > 1 and probe.location is Location.NODE and probe.type in POINTERS:
            rows = np.asarray(trace.compact[name])
            if (rows != rows[:1]).any() and all(linked_list(row) is not None for row in np.unique(rows, axis=0)):
                return name
    return None


def _shown_inputs(trace: Trace) -> dict[str, np.ndarray]:
    """The inputs without what tells nothing: positions i/n, and an adjacency that the weights give as well."""
    inputs = {name: np.asarray(trace.compact[name]) for name in trace.spec.inputs}
    nodes = np.arange(trace.nodes)
    if "pos" in inputs and np.array_equal(inputs["pos"], nodes / trace.nodes):
        del inputs["pos"]
    edges = (inputs.get("A", 0) != 0) | np.eye(trace.nodes, dtype=bool)
    if "A" in inputs and np.array_equal(inputs.get("adj", []), edges):
        del inputs["adj"]
    return inputs


class _Page:
    """What all blocks of a trace share: widths of columns, and the order in which elements stand."""

    def __init__(self, trace: Trace, width: int) -> None:
        self.spec: Spec = trace.spec
        self.nodes, self.width = trace.nodes, width
        self.order = list_hint(trace)
        carried = [name for name, p in trace.spec.inputs.items() if name != "pos" and _is(p, Location.NODE)]
        self.carried = {name: np.asarray(trace.compact[name]) for name in carried}
        labels = [*trace.spec, "step 9999", *(f"{name} in order" for name in self.carried if self.order)]
        self.label = 2 + max(map(len, labels)) + 2
        shown = {**trace.spec.hints, **trace.spec.outputs}.keys() | _shown_inputs(trace).keys()
        self.column, self.fits = self._columns(trace, Location.NODE, shown)
        self.cell, self.matrix_fits = self._columns(trace, Location.EDGE, trace.spec.keys())

    def _columns(self, trace: Trace, location: Location, names: Iterable[str]) -> tuple[int, bool]:
        """Width of the columns for probes of one location, and whether one for each node fits on the page."""
        probes = {name: self.spec[name] for name in names if _is(self.spec[name], location)}
        entries = [_entry(v, probe) for name, probe in probes.items() for v in np.unique(every_value(trace, name))]
        column = max([2, len(str(self.nodes - 1)), *map(len, entries)])
        return column, self.label + self.nodes * (column + 2) <= self.width

    def block(self, title: str, now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray] | None) -> list[str]:
        """The lines of one moment; what differs from `before` is marked. Without `before`, everything is shown."""
        changed = {name: np.zeros(v.shape, bool) if before is None else v != before[name] for name, v in now.items()}
        single = [name for name, value in now.items() if value.ndim == 0]
        shown = [name for name, value in now.items() if value.ndim and (before is None or changed[name].any())]
        rows = [name for name in shown if now[name].ndim == 1]
        lines = self._singles(now, changed, single)
        if before is not None and not any(mark.any() for mark in changed.values()):
            lines.append("  nothing changed")
        for name in rows:
            lines += self._row(name, now[name], changed[name], before is None)
        for name in shown:
            if now[name].ndim == 2:
                lines += self._table(name, now[name], changed[name], before is None)
        header = title.ljust(self.label)
        if self.fits and rows:
            header += "".join(f"{v:>{self.column}}  " for v in range(self.nodes))
        return [header, *lines] if header.strip() else lines

    def _singles(self, now: Mapping[str, Any], changed: Mapping[str, Any], names: list[str]) -> list[str]:
        items = [f"{name} {_entry(now[name], self.spec[name])}{'*' if changed[name] else ''}" for name in names]
        if sum(len(item) + 3 for item in items) > self.width and any(changed[name] for name in names):
            items = [item for item, name in zip(items, names, strict=True) if changed[name]]
        return self._wrap("", items, 3)

    def _row(self, name: str, values: np.ndarray, changed: np.ndarray, everything: bool) -> list[str]:
        entries = [_entry(value, self.spec[name], v) for v, value in enumerate(values)]
        listed = [f"{v}:{e}" for v, e in enumerate(entries) if (e != "." if everything else changed[v])]
        lines = self._entries(name, entries, changed, listed or ["all ."])
        order = linked_list(values) if name == self.order else None
        if order is not None:  # what stands where, read from the list: a sorted array is seen to be sorted
            for key, given in self.carried.items():
                entries = [_entry(given[v], self.spec[key]) for v in order]
                lines += self._entries(f"{key} in order", entries, np.zeros(self.nodes, bool), entries)
        return lines

    def _entries(self, label: str, entries: list[str], changed: np.ndarray, listed: list[str]) -> list[str]:
        """A column for each entry where they fit, otherwise what is listed."""
        if not self.fits:
            return self._wrap(label, listed, 2)
        marked = [f"{e:>{self.column}}{'*' if c else ' '} " for e, c in zip(entries, changed, strict=True)]
        return [f"  {label}".ljust(self.label) + "".join(marked)]

    def _table(self, name: str, values: np.ndarray, changed: np.ndarray, everything: bool) -> list[str]:
        probe = self.spec[name]
        if everything and self.matrix_fits:
            lines = [f"  {name}".ljust(self.label) + "".join(f"{v:>{self.cell}}  " for v in range(self.nodes))]
            for u, row in enumerate(values):
                entries = "".join(f"{_entry(value, probe, u):>{self.cell}}  " for value in row)
                lines.append(f"{u}  ".rjust(self.label) + entries)
            return lines
        places = np.argwhere(changed | everything).tolist()
        items = [f"({u},{v}):{_entry(values[u, v], probe, u)}" for u, v in places]
        items = [item for item in items if not (everything and item.endswith((":.", ":-")))]
        most = 4 * max(1, (self.width - self.label) // (self.cell + 9))  # four lines say enough
        rest = [f"... {len(items) - most} more"] if len(items) > most else []
        return self._wrap(name, [*items[:most], *rest], 2) if items else []

    def _wrap(self, label: str, items: list[str], space: int) -> list[str]:
        """The items one after another, in as many lines as they need; none is broken."""
        margin = f"  {label}".ljust(self.label if label else 2)
        glued = (" " * space).join(item.replace(" ", "\0") for item in items)
        lines = textwrap.wrap(glued, self.width - len(margin), break_long_words=False, break_on_hyphens=False)
        return [(margin if k == 0 else " " * len(margin)) + line.replace("\0", " ") for k, line in enumerate(lines)]


def _is(probe: Probe, location: Location) -> bool:
    """One entry for every node, or for every pair of nodes."""
    return probe.location is location and bool(probe.shape(1))


def _entry(value: Any, probe: Probe, owner: int | None = None) -> str:
    """One value; `owner` is the node (of an edge: the first) that it belongs to."""
    no_edge = probe.type is Type.SCALAR and probe.location is Location.EDGE and value == 0
    unmarked = probe.type is Type.MASK and owner is not None and value == 0
    to_itself = probe.type in POINTERS and value == owner
    return "." if no_edge or unmarked or to_itself else label(value, probe)
