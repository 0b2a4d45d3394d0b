"""A predicted trace drawn beside the algorithm's own: what differs is red. The panels are those of
nar/traces/drawing/figure.py.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nar.text_format import counted, unquoted
from nar.traces.drawing import figure as drawing
from nar.traces.drawing.panels import Moment, Panels
from nar.traces.drawing.text import hints_at
from nar.traces.spec import IGNORED, Spec, Stage, Type
from nar.traces.trace import Trace

NEAR = 0.05  # numbers may be off by this share of their range before they are marked
SHORT = 3  # letters of a name that fit into a node
NAMED = 32  # nodes whose names are listed


@dataclasses.dataclass
class ModelMoment(Moment):
    """A moment of the model; `before` is the same moment of the algorithm, and what differs is wrong."""

    spec: Spec = dataclasses.field(default_factory=lambda: Spec({}))
    near: Mapping[str, float] = dataclasses.field(default_factory=dict)  # by how much a number may be off

    def changed(self, name: str) -> np.ndarray:
        if self.before is None:
            return super().changed(name)
        now, true, probe = self.now[name], self.before[name], self.spec[name]
        if probe.type is Type.SCALAR:
            return np.asarray(~(np.abs(now - true) <= self.near[name]))  # so that NaN is wrong
        wrong = now != true
        return np.asarray(wrong & (true != IGNORED) if probe.type in (Type.MASK, Type.CATEGORICAL) else wrong)

    def wrong(self) -> dict[str, int]:
        """How many decisions differ, and how many numbers by more than they may."""
        found = {"decision": 0, "number": 0}
        for name in self.now:
            found["number" if self.spec[name].type is Type.SCALAR else "decision"] += int(self.changed(name).sum())
        return found


def figure(
    true: Trace, model: Trace, nodes: Sequence[Hashable], *, most: int, first_error: int | None, above: list[str]
) -> Figure:
    """The algorithm's panels, each beside or above the model's; see Prediction.draw. `above`: lines of text."""
    if most < 2:
        raise ValueError(f"moments must be at least 2 (the first and the last step), got {most}")
    with drawing.style():
        kind = _kind(true, model, nodes)
        shown = moments(true, model, steps_shown(model, most, first_error))
        stacked = kind.across == 1 or len(kind.slots) > 1
        kind.across = len(kind.slots) if stacked else 2 if model.length else 3
        return drawing.compose(kind, shown, above=above)


def frames(
    true: Trace, model: Trace, nodes: Sequence[Hashable], *, most: int, above: list[str]
) -> tuple[Figure, dict[str, Figure]]:
    """What the marks mean, and by title a picture of every step, the algorithm above the model: to be shown one after
    the other. All are as large. Of more than `most` steps, these are evenly spaced."""
    with drawing.style():
        kind = _kind(true, model, nodes)
        kind.across = len(kind.slots)
        steps = [s + 1 for s in drawing.selected(max(0, model.length - 1), most)]
        shown = moments(true, model, steps)
        given = 2 if model.length else 1
        pairs = [shown[:given], *(shown[k : k + 2] for k in range(given, len(shown), 2))]
        titles = ["inputs and start", *(pair[1].title.removeprefix("model: ") for pair in pairs[1:])]
        pages = [drawing.compose(kind, pair, one_size=shown, header=False, title=False) for pair in pairs]
        key = drawing.compose(kind, [], one_size=shown, above=above, title=False)
        return key, dict(zip(titles, pages, strict=True))


def _kind(true: Trace, model: Trace, nodes: Sequence[Hashable]) -> Panels:
    kind = drawing.kind_of(true)
    kind.red = "not as in the algorithm"
    kind.title = f"{true.algorithm}, {true.nodes} nodes: the algorithm and the model"
    kind.notes += _name_nodes(kind, nodes)
    if any(p.type is Type.SCALAR for p in model.spec.values() if p.stage is not Stage.INPUT):
        kind.notes.append(f"Numbers are red where they are off by more than {NEAR:.0%} of their range.")
    return kind


def steps_shown(model: Trace, most: int, first_error: int | None) -> list[int]:
    """Steps to draw, from 1: all, or the first, the first with an error, and the last."""
    if model.length - 1 <= most:
        return list(range(1, model.length))
    return sorted({1, first_error or 1, model.length - 1})


def moments(true: Trace, model: Trace, steps: Iterable[int]) -> list[Moment]:
    """The inputs, the initial hints that both were given, then pairs: the algorithm's moment and the model's."""
    compared = [name for name, p in model.spec.items() if p.stage is not Stage.INPUT and p.type is Type.SCALAR]
    near = {name: _near(true, name) for name in compared}
    found = [Moment("inputs", {name: np.asarray(true.compact[name]) for name in true.spec.inputs})]
    if model.length:
        found.append(Moment("start, given to both", hints_at(true, 0)))
    for s in steps:
        was, now = hints_at(true, min(s, true.length - 1)), hints_at(model, s)
        found += _pair(f"step {s} of {model.length - 1}", was, now, true.spec, near)
    was, now = ({n: np.asarray(t.compact[n]) for n in t.spec.outputs} for t in (true, model))
    return found + _pair("outputs", was, now, true.spec, near)


def wrong_hints(true: Trace, model: Trace, nodes: Sequence[Hashable], step: int) -> str:
    """The decided hints that are wrong at this step, from 1, as in 'pi_h at c'."""
    now = {name: value for name, value in hints_at(model, step).items() if true.spec[name].type is not Type.SCALAR}
    moment, parts = ModelMoment("", now, hints_at(true, min(step, true.length - 1)), true.spec), []
    for name in now:
        if (wrong := moment.changed(name)).any():
            places = [", ".join(unquoted(nodes[v], 24) for v in index) for index in np.argwhere(wrong)[:3]]
            rest = f" and {wrong.sum() - 3} more" if wrong.sum() > 3 else ""
            parts.append(f"{name} at {'; '.join(places)}{rest}" if wrong.ndim else name)
    return ", ".join(parts)


def _pair(
    title: str, was: Mapping[str, Any], now: Mapping[str, Any], spec: Spec, near: Mapping[str, float]
) -> list[Moment]:
    model = ModelMoment("", now, was, spec, near)
    wrong = ", ".join(counted(count, what) for what, count in model.wrong().items() if count)
    model.title = f"model: {title}, {wrong or 'nothing'} wrong"
    return [Moment(f"algorithm: {title}", was), model]


def _near(true: Trace, name: str) -> float:
    """How far a number may be off: an output, a whole number, must be right after rounding."""
    if true.spec[name].stage is Stage.OUTPUT:
        return 0.5
    scalars = [n for n, p in true.spec.inputs.items() if p.type is Type.SCALAR and n != "pos"]
    every = [true.compact[n] for n in (name, *scalars)]  # of distances that are all 0: the range of the weights
    return NEAR * max(float(np.ptp(getattr(values, "values", values))) for values in every) + 1e-6


def _name_nodes(kind: Any, nodes: Sequence[Hashable]) -> list[str]:
    """Writes short names into the nodes of a graph; others are listed beside their numbers."""
    words = [unquoted(node, 24) for node in nodes]
    if words == [str(v) for v in range(len(nodes))]:
        return []
    if kind.slots == ("",) and hasattr(kind, "at") and max(map(len, words)) <= SHORT:
        kind.names = words
        return []
    listed = ", ".join(f"{v} {word}" for v, word in enumerate(words[:NAMED]))
    return [f"Nodes: {listed}{', ...' if len(words) > NAMED else ''}."]
