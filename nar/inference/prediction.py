"""What a reasoner answered on one graph or array: outputs by name, how sure it is, its trace beside the true one.

Long because one object says all of this of both layouts, in words, numbers and pictures.

Shapes: N nodes, S steps.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nar import datasets
from nar.inference import notebook
from nar.inference import scale as scales
from nar.lookup import suggest
from nar.model.objectives.metrics import Tally, correct, tally
from nar.model.options.choice import Choice
from nar.model.postprocess import SINKHORN_STEPS_OUTPUT, log_sinkhorn
from nar.nn.sparse import segments
from nar.nn.sparse.predictions import EdgePointers
from nar.text_format import counted, quoted
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import IGNORED, POINTERS, Probe, Spec, Stage, Type
from nar.traces.trace import Trace, compact_dtype, is_run_length

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.figure import Figure

SHOWN = 8  # entries of an output that a printed prediction lists


@dataclasses.dataclass(repr=False)
class Prediction:
    """What a reasoner answered, beside what the algorithm answers.

    `outputs`, `truth` and `confidence` are dicts by output name and speak of nodes by their names. An output is

        node pointer                dict node -> node
        edge pointer                dict (node, node) -> node
        mask_one                    a node
        mask, categorical, scalar   dict node -> bool, class, number (None where the algorithm leaves it open)
        sorting                     list of the elements' indices in predicted order; shorter than the array where the
                                    predicted pointers do not link all elements into one list

    `compact` and the hints are arrays in the order of `nodes` instead, with indices for nodes (nar/traces/spec.py).
    """

    algorithm: str
    nodes: list[Hashable]
    steps: int
    outputs: dict[str, Any]
    truth: dict[str, Any]
    # The probability that the model gives to each predicted entry, by its softmax or sigmoid: not calibrated, and on
    # larger graphs than those of training often too high. None for scalars.
    confidence: dict[str, Any]
    correct: dict[str, bool]  # is every entry of this output the algorithm's own?
    valid: bool  # are the outputs a right answer, ties broken in any way?
    score: dict[str, float]  # accuracy of pointers, mask_one and categoricals, F1 of masks, squared error of scalars
    compact: dict[str, np.ndarray]  # the outputs as arrays
    hints: dict[str, np.ndarray]  # [S, ...]: row s is what was predicted at step s; empty for a model without hints
    true_hints: dict[str, np.ndarray]  # [S, ...]: what the algorithm had written down then
    tallies: dict[str, Tally] = dataclasses.field(repr=False)  # the counts behind `score`
    true_trace: Trace = dataclasses.field(repr=False)  # the algorithm's own run on these inputs
    scale: scales.Scale | None = None  # of the input's numbers and of those of training; None: it holds no numbers

    @property
    def exact(self) -> bool:
        """Is every output correct?"""
        return all(self.correct.values())

    @property
    def first_error(self) -> int | None:
        """The first step, from 1, at which a decided hint (all but scalars) is not the algorithm's; None: never.

        Its hints are row `first_error - 1` of `hints`.
        """
        spec = self.true_trace.spec
        wrong = np.zeros(self.steps, bool)
        for name, values in self.hints.items():
            if spec[name].type is not Type.SCALAR:
                right = correct(spec[name], torch.as_tensor(values), torch.as_tensor(self.true_hints[name]))
                wrong |= ~right.numpy()
        return int(wrong.argmax()) + 1 if wrong.any() else None

    @functools.cached_property
    def trace(self) -> Trace:
        """The predicted trace: the inputs, the initial hints that were given, predicted hints, predicted outputs.

        Of a model without hints it has inputs and outputs alone.
        """
        true = self.true_trace
        kept = {name: p for name, p in true.spec.items() if p.stage is not Stage.HINT or self.hints}
        length = self.steps + 1 if self.hints else 0
        compact: dict[str, Any] = {}
        for name, probe in kept.items():
            dtype = compact_dtype(probe, true.nodes)
            if probe.stage is Stage.INPUT:
                compact[name] = true.compact[name]
            elif probe.stage is Stage.OUTPUT:
                compact[name] = np.asarray(self.compact[name]).astype(dtype)
            else:
                given = np.asarray(true.compact[name][:1])
                # a hint that never changes may have been an input of the model: nothing is predicted for it
                predicted = self.hints.get(name, np.repeat(given, self.steps, 0))
                values = np.concatenate([given, predicted]).astype(dtype)
                compact[name] = RunLengthArray.of(values) if is_run_length(probe) else values
        return Trace(true.algorithm, Spec(kept), true.nodes, length, compact)

    def draw(self, path: str | os.PathLike | None = None, *, moments: int = 4) -> Figure:
        """A figure of the algorithm's trace beside the model's, wrong entries red; written to `path` if there is one.

        Up to `moments` steps are all drawn; of more: the first, the first with an error, and the last. `path` ends in
        .png, .svg or .pdf.
        """
        from nar.inference import comparison
        from nar.traces.drawing import figure as drawing

        figure = comparison.figure(
            self.true_trace, self.trace, self.nodes, most=moments, first_error=self.first_error, above=self.summary()
        )
        if path is not None:
            drawing.save(figure, path)
        return figure

    def frames(self, most: int = 14) -> tuple[Figure, dict[str, Figure]]:
        """What `draw` draws, for looking at step by step: a key to the marks, and a figure of the inputs, of up to
        `most` steps, and of the outputs, by their titles."""
        from nar.inference import comparison

        return comparison.frames(self.true_trace, self.trace, self.nodes, most=most, above=self.summary())

    def summary(self) -> list[str]:
        """How much is right, and where the model first leaves the algorithm's trace, in sentences."""
        from nar.inference import comparison

        lines = [f"The model's outputs: {self.in_words()}; {'' if self.valid else 'not '}a right answer."]
        if not self.hints:
            return [*lines, "This model predicts no hints."]
        if (step := self.first_error) is None:
            return [*lines, "Every decision on the way is the algorithm's."]
        wrong = comparison.wrong_hints(self.true_trace, self.trace, self.nodes, step)
        return [*lines, f"The model leaves the algorithm's trace at step {step} of {self.steps}: {wrong}."]

    def to_networkx(self, output: str | None = None) -> nx.DiGraph:
        """The predicted pointers of an output as a graph: an edge from the node pointed to, such as a predecessor, to
        the one that points, with the attribute `confidence`. Nodes that point to themselves have none."""
        import networkx as nx

        spec = self.true_trace.spec
        pointers = [name for name in self.outputs if spec[name].type is Type.POINTER and self.compact[name].ndim == 1]
        if output is None and len(pointers) == 1:
            output = pointers[0]
        if output not in pointers:
            if not pointers:
                raise ValueError(f"{self.algorithm} has no output that points from node to node")
            raise ValueError(suggest("output", str(output), pointers, f"of {self.algorithm}"))
        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        sure = self.confidence[output]
        graph.add_edges_from((u, v, {"confidence": sure[v]}) for v, u in self.outputs[output].items() if u != v)
        return graph

    def __repr__(self) -> str:
        valid = "valid" if self.valid else "not valid"
        return f"Prediction({self.algorithm}, nodes={len(self.nodes)}, steps={self.steps}, {self.in_words()}, {valid})"

    def __str__(self) -> str:
        valid = "a right answer" if self.valid else "not a right answer"
        lines = [f"{self.algorithm}, {counted(len(self.nodes), 'node')}, {counted(self.steps, 'step')}: {valid}"]
        for name, found in self.tallies.items():
            lines.append(f"  {name}: {found.in_words()}")
            lines += [f"    {line}" for line in self._entries(name)]
        if self.scale is not None and self.scale.is_far:
            lines.append(f"  {self.about_scale()}")
        return "\n".join(lines)

    def about_scale(self) -> str:
        """How large numbers are and were in training, and how to have them normalised, if the algorithm allows it."""
        assert self.scale is not None
        algorithm = datasets.get(self.algorithm)
        try:
            scales.normalised(algorithm, self.true_trace, self.scale)
        except ValueError as error:
            return f"{self.scale} ({error})"
        return f"{self.scale}: run(..., normalise=True) answers the same question in that scale"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return notebook.page(self)

    def in_words(self) -> str:
        """How much of each output is right, as in 'pi: 7 of 8 right'."""
        return ", ".join(f"{name}: {found.in_words()}" for name, found in self.tallies.items())

    def _entries(self, name: str) -> list[str]:
        """The first few entries of an output, wrong ones first, with confidence and what would be right."""
        answer, truth, confidence = self.outputs[name], self.truth[name], self.confidence.get(name)
        if not isinstance(answer, dict):
            return [_entry(quoted(answer), answer, truth, None if isinstance(confidence, list) else confidence)]
        keys = sorted(answer, key=lambda key: agree(answer[key], truth[key]))
        lines = []
        for key in keys[:SHOWN]:
            sure = confidence[key] if confidence else None
            lines.append(_entry(f"{quoted(key)} -> {quoted(answer[key])}", answer[key], truth[key], sure))
        return lines if len(keys) <= SHOWN else [*lines, f"... and {len(keys) - SHOWN} more"]


def _entry(text: str, answer: Any, truth: Any, confidence: float | None) -> str:
    if confidence is not None:
        text += f" ({confidence:.0%})"
    return text if agree(answer, truth) else f"{text}, the algorithm's: {quoted(truth)}"


def agree(answer: Any, truth: Any) -> bool:
    return truth is None or answer == truth


def of_outputs(
    spec: Spec, logits: dict[str, Any], predicted: dict[str, Tensor], actual: dict[str, Tensor], nodes: list[Hashable]
) -> dict[str, Any]:
    """What a Prediction says of one graph's outputs [1, ...], which are given as decoded, decided and true ones."""
    compact, truth = ({name: value[0].numpy() for name, value in found.items()} for found in (predicted, actual))
    sure = {name: p[0] for name, p in probabilities(spec, logits, predicted).items()}
    tallies = {name: tally(spec[name], predicted[name], actual[name]) for name in actual}
    return {
        "outputs": {name: named(spec[name], value, nodes) for name, value in compact.items()},
        "truth": {name: named(spec[name], value, nodes) for name, value in truth.items()},
        "confidence": {name: confidence(spec[name], compact[name], p, nodes) for name, p in sure.items()},
        "correct": {name: bool(correct(spec[name], predicted[name], actual[name])) for name in actual},
        "score": {name: found.value() for name, found in tallies.items()},
        "compact": compact,
        "tallies": tallies,
    }


def named(probe: Probe, values: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """An output in compact form, with the nodes' names in place of indices."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [nodes[v] for v in order(values)]
    if probe.type in POINTERS or probe.type is Type.MASK_ONE:
        entries: list[Any] = [nodes[v] for v in values.flat]
    elif probe.type is Type.SCALAR:
        entries = values.ravel().tolist()
    else:
        kind = bool if probe.type is Type.MASK else int
        entries = [None if v == IGNORED else kind(v) for v in values.flat]
    return _keyed(entries, values.ndim, nodes)


def confidence(probe: Probe, compact: np.ndarray, p: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """Probabilities in the form of the output: as a list in its order, by node, or one number."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [float(p[v]) for v in order(compact)]
    return _keyed(p.ravel().tolist(), p.ndim, nodes)


def probabilities(
    spec: Spec, logits: Mapping[str, Tensor | Choice | EdgePointers], predicted: Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """The probability that the model gives to every predicted entry, in compact form; none for scalars."""
    found = {}
    plain: dict[str, Any] = {
        name: value.logits if isinstance(value, Choice) else value for name, value in logits.items()
    }
    for name in predicted:
        probe, value = spec[name], plain[name]
        if probe.type is Type.SCALAR:
            continue
        if isinstance(value, EdgePointers):
            p = segments.reduce(value.expected(), "max", value.edges.starts).view(predicted[name].shape)
        elif probe.type is Type.MASK:
            p = torch.sigmoid(value.abs())
        elif probe.type is Type.PERMUTATION_POINTER:
            p = log_sinkhorn(value, SINKHORN_STEPS_OUTPUT).exp().amax(-1)
            first = torch.softmax(plain[f"{name}_mask"], -1).amax(-1, keepdim=True)
            p = torch.where(predicted[name] == torch.arange(p.shape[-1]), first, p)
        else:
            p = torch.softmax(value, -1).amax(-1)
        found[name] = p.numpy()
    return found


def order(pred: np.ndarray) -> list[int]:
    """The list that predecessor pointers describe: from the element that points to itself along those pointing back."""
    successor: dict[int, int] = {}
    for v, u in enumerate(pred.tolist()):
        if u != v:
            successor.setdefault(u, v)
    found = np.flatnonzero(pred == np.arange(len(pred)))[:1].tolist()
    while found and found[-1] in successor:  # ends: every element has one predecessor, so none comes twice
        found.append(successor[found[-1]])
    return found


def _keyed(entries: list[Any], axes: int, nodes: Sequence[Hashable]) -> Any:
    if axes == 0:
        return entries[0]
    keys = nodes if axes == 1 else [(u, v) for u in nodes for v in nodes]
    return dict(zip(keys, entries, strict=True))
