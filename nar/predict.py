"""Answers on a graph of your own: `nar.load(run_dir).run(graph, source="a")`.

The reasoner is given the inputs, the algorithm's initial hints and the number of steps, and nothing else: from there
on it reads its own predictions. The textbook algorithm runs first, on the same inputs: it checks them, gives the
initial hints and the number of steps (the oracle of the CLRS protocol; `steps` overrides it), and its answer is what
the prediction is compared with.

Shapes: N nodes, S steps.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar import checkpoint, datasets, graphs
from nar import device as devices
from nar.algorithm import Algorithm
from nar.batch import Batch, collate
from nar.config import Config
from nar.decode import SINKHORN_STEPS_OUTPUT, hard, log_sinkhorn
from nar.evaluate import evaluating
from nar.metric import Tally, correct, merge_permutations, tally
from nar.names import suggest
from nar.reasoner import Reasoner
from nar.spec import IGNORED, POINTERS, Location, Probe, Spec, Type

SHOWN = 8  # entries of an output that a printed prediction lists


def load(path: str | Path, which: str = "best", *, device: str = "cpu") -> Reasoner:
    """The trained reasoner of a run directory (its `best` or `last` checkpoint) or of one checkpoint file.

    It comes in evaluation mode. A processor of your own, `my_module:MyProcessor`, is imported again: its file must be
    where Python finds it.
    """
    if which not in ("best", "last"):
        raise ValueError(suggest("checkpoint", str(which), ("best", "last")))
    path = Path(path)
    file = path if path.is_file() or path.suffix == ".pt" else path / f"{which}.pt"
    on = devices.choose(device)
    content = checkpoint.load(file, on)
    if not isinstance(content.get("config"), dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"{file} holds no reasoner (its settings or parameters are missing); give a run directory")
    config = Config.from_dict(content["config"])
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # building draws initial parameters
        reasoner = Reasoner.from_config(config)
    reasoner.load_parameters(content["model"], file)
    return reasoner.to(on).eval()


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

    `compact` and the hints are arrays in the order of `nodes` instead, with indices for nodes (nar/spec.py).
    """

    algorithm: str
    nodes: list[Hashable]
    steps: int
    outputs: dict[str, Any]
    truth: dict[str, Any]
    confidence: dict[str, Any]  # probability that the model gives to each predicted entry; none for scalars
    correct: dict[str, bool]  # is every entry of this output the algorithm's own?
    valid: bool  # are the outputs a right answer, ties broken in any way?
    score: dict[str, float]  # accuracy of pointers, mask_one and categoricals, F1 of masks, squared error of scalars
    compact: dict[str, np.ndarray]  # the outputs as arrays
    hints: dict[str, np.ndarray]  # [S, ...]: row s is what was predicted at step s; empty for a model without hints
    true_hints: dict[str, np.ndarray]  # [S, ...]: what the algorithm had written down then
    tallies: dict[str, Tally] = dataclasses.field(repr=False)  # the counts behind `score`

    @property
    def exact(self) -> bool:
        """Is every output correct?"""
        return all(self.correct.values())

    def __repr__(self) -> str:
        right = ", ".join(f"{name}: {_in_words(found)}" for name, found in self.tallies.items())
        valid = "valid" if self.valid else "not valid"
        return f"Prediction({self.algorithm}, nodes={len(self.nodes)}, steps={self.steps}, {right}, {valid})"

    def __str__(self) -> str:
        valid = "a right answer" if self.valid else "not a right answer"
        lines = [f"{self.algorithm}, {_count(len(self.nodes), 'node')}, {_count(self.steps, 'step')}: {valid}"]
        for name, found in self.tallies.items():
            lines.append(f"  {name}: {_in_words(found)}")
            lines += [f"    {line}" for line in self._entries(name)]
        return "\n".join(lines)

    def _entries(self, name: str) -> list[str]:
        """The first few entries of an output, wrong ones first, with confidence and what would be right."""
        answer, truth, confidence = self.outputs[name], self.truth[name], self.confidence.get(name)
        if not isinstance(answer, dict):
            return [_entry(reprlib.repr(answer), answer, truth, None if isinstance(confidence, list) else confidence)]
        keys = sorted(answer, key=lambda key: _agree(answer[key], truth[key]))
        lines = [
            _entry(f"{key!r} -> {answer[key]!r}", answer[key], truth[key], confidence[key] if confidence else None)
            for key in keys[:SHOWN]
        ]
        return lines if len(keys) <= SHOWN else [*lines, f"... and {len(keys) - SHOWN} more"]


def run(
    reasoner: Reasoner,
    graph: Any = None,
    *,
    algorithm: str | None = None,
    source: Hashable = None,
    weight: str | None = "weight",
    steps: int | None = None,
    **inputs: Any,
) -> Prediction:
    """Run the learned algorithm on one graph or array.

    `graph`: a networkx graph, its nodes of any names, weights in the edge attribute `weight` (1 for edges that have
    none); or a matrix of weights, 0 where there is no edge; or the array to be sorted or searched. Algorithms without
    weights, such as bfs, take every edge as 1. `source`: a node, by its name (in a matrix: by its index). `inputs`:
    arguments of the algorithm by their own names, for those not given otherwise, as `algorithm.sample` returns them.
    `algorithm`: which one, where the reasoner has learned several.

    `steps`: how many steps to take. By default as many as the algorithm takes on these inputs, found by running it: a
    trained reasoner does not find out by itself when it is done.
    """
    chosen = _choose(reasoner, algorithm)
    arguments, nodes = _arguments(chosen, graph, source, weight, inputs)
    try:
        trace = chosen.run(**arguments)
    except ValueError as error:
        if graph is None:
            raise
        what = "graph (A: its matrix of weights)" if nodes else "array (A)"
        raise ValueError(f"{chosen.name} cannot run on this {what}: {error}") from error
    nodes = nodes or list(range(trace.nodes))
    batch = collate([trace], chosen)
    batch = _with_steps(batch, batch.steps if steps is None else steps)
    spec = reasoner.specs[chosen.name]

    with evaluating(reasoner):
        rollout = reasoner(batch.to(next(reasoner.parameters()).device), decide_hints=True)

    logits = {name: value.cpu() for name, value in rollout.outputs.items()}
    predicted = merge_permutations(spec, {name: hard(spec[name], value) for name, value in logits.items()})
    actual = merge_permutations(spec, batch.outputs)
    compact = {name: value[0].numpy() for name, value in predicted.items()}
    truth = {name: value[0].numpy() for name, value in actual.items()}
    probabilities = _probabilities(spec, logits, predicted)
    tallies = {name: tally(spec[name], predicted[name], actual[name]) for name in actual}
    return Prediction(
        algorithm=chosen.name,
        nodes=nodes,
        steps=batch.steps,
        outputs={name: _named(spec[name], value, nodes) for name, value in compact.items()},
        truth={name: _named(spec[name], value, nodes) for name, value in truth.items()},
        confidence={name: _confidence(spec[name], compact[name], p, nodes) for name, p in probabilities.items()},
        correct={name: bool(correct(spec[name], predicted[name], actual[name])) for name in actual},
        valid=chosen.is_valid(arguments, compact),
        score={name: found.value() for name, found in tallies.items()},
        compact=compact,
        hints=_hints(spec, rollout.hints),
        true_hints=_hints(spec, [{n: value[s + 1] for n, value in batch.hints.items()} for s in range(batch.steps)]),
        tallies=tallies,
    )


# Inputs: from a graph with names to the arguments of an algorithm.


def _choose(reasoner: Reasoner, name: str | None) -> Algorithm:
    known = list(reasoner.specs)
    if name is None:
        if len(known) != 1:
            raise ValueError(f"algorithm must be given, this reasoner has learned several: {', '.join(known)}")
        return datasets.get(known[0])
    if name not in known:
        raise ValueError(suggest("algorithm", str(name), known, f"this reasoner has learned {', '.join(known)}"))
    return datasets.get(name)


def _arguments(
    algorithm: Algorithm, graph: Any, source: Hashable, weight: str | None, inputs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Hashable]]:
    """Arguments of `algorithm.run`, and the names of the nodes (none known for an array)."""
    name, spec, arguments = algorithm.name, algorithm.spec.inputs, dict(inputs)
    on_graphs = "A" in spec and spec["A"].location is Location.EDGE
    from_source = "s" in spec and spec["s"].type is Type.MASK_ONE
    if unknown := sorted(arguments.keys() - set(algorithm.arguments)):
        known = [
            *algorithm.arguments,
            "graph",
            "algorithm",
            "steps",
            *["source"] * from_source,
            *["weight"] * on_graphs,
        ]
        raise ValueError(suggest("argument", unknown[0], known, f"{name} takes {', '.join(algorithm.arguments)}"))
    nodes: list[Hashable] = []
    if graph is not None:
        if "A" not in algorithm.arguments:
            raise ValueError(f"{name} takes no graph, but {', '.join(algorithm.arguments)}: give these by name")
        if "A" in arguments:
            raise ValueError("give either graph or A, not both")
        arguments["A"], nodes = _matrix(algorithm, graph, weight) if on_graphs else (_array(name, graph), [])
    elif weight != "weight":
        raise ValueError(f"weight={weight!r} names an edge attribute and needs a graph, got none")
    if source is not None:
        if not from_source:
            raise ValueError(f"{name} takes no source, got source={source!r}")
        if "s" in arguments:
            raise ValueError("give either source or s, not both")
        arguments["s"] = _index(source, nodes) if nodes else source
    if from_source and "s" not in arguments:
        example = f", such as source={nodes[0]!r}" if nodes else ""
        raise ValueError(f"{name} needs a source: give source=NODE, one of the graph's nodes{example}")
    if missing := [argument for argument in algorithm.arguments if argument not in arguments]:
        how = "a graph" if on_graphs and missing[0] == "A" else "an array" if missing[0] == "A" else missing[0]
        raise ValueError(f"{name} needs {how}, got none")
    return arguments, nodes


def _matrix(algorithm: Algorithm, graph: Any, weight: str | None) -> tuple[Any, list[Hashable]]:
    """The matrix of weights and the names of the nodes in its order."""
    import networkx as nx

    weighted = "low" in algorithm.params  # else its own graphs hold no weights, and the reasoner has never seen any
    if isinstance(graph, nx.Graph):
        if weighted and weight not in (None, "weight") and graph.size():
            if all(weight not in data for *_, data in graph.edges(data=True)):
                raise ValueError(f"weight: no edge of the graph has an attribute {weight!r}")
        return graphs.from_networkx(graph, weight if weighted else None)
    if weight != "weight":
        raise ValueError(f"weight={weight!r} names an edge attribute of a networkx graph, got a {type(graph).__name__}")
    if hasattr(graph, "toarray"):  # scipy's sparse matrices
        graph = graph.toarray()
    A = graphs.check_graph(graph, "graph")
    return (A if weighted else (A != 0).astype(np.float64)), list(range(len(A)))


def _array(name: str, values: Any) -> Any:
    if hasattr(values, "nodes") and hasattr(values, "edges"):
        raise ValueError(f"{name} takes an array of numbers, got a graph")
    return values


def _index(source: Hashable, nodes: Sequence[Hashable]) -> int:
    try:
        return {node: index for index, node in enumerate(nodes)}[source]
    except (KeyError, TypeError):  # TypeError: not hashable
        raise ValueError(
            f"source must be one of the graph's {len(nodes)} nodes {reprlib.repr(list(nodes))}, got {source!r}"
        ) from None


def _with_steps(batch: Batch, steps: int) -> Batch:
    """The same batch of one, for another number of steps; moments after the end of the trace repeat its last."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps must be a positive integer, got {steps!r}")
    moments = torch.arange(int(steps) + 1).clamp(max=batch.lengths[0] - 1)
    hints = {name: value[moments] for name, value in batch.hints.items()}
    return dataclasses.replace(batch, hints=hints, lengths=[int(steps) + 1])


# Outputs: from arrays to names.


def _named(probe: Probe, values: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """An output in compact form, with the nodes' names in place of indices."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [nodes[v] for v in _order(values)]
    if probe.type in POINTERS or probe.type is Type.MASK_ONE:
        entries: list[Any] = [nodes[v] for v in values.flat]
    elif probe.type is Type.SCALAR:
        entries = values.ravel().tolist()
    else:
        kind = bool if probe.type is Type.MASK else int
        entries = [None if v == IGNORED else kind(v) for v in values.flat]
    return _keyed(entries, values.ndim, nodes)


def _keyed(entries: list[Any], axes: int, nodes: Sequence[Hashable]) -> Any:
    if axes == 0:
        return entries[0]
    keys = nodes if axes == 1 else [(u, v) for u in nodes for v in nodes]
    return dict(zip(keys, entries, strict=True))


def _order(pred: np.ndarray) -> list[int]:
    """The list that predecessor pointers describe: from the element that points to itself along those pointing back."""
    successor: dict[int, int] = {}
    for v, u in enumerate(pred.tolist()):
        if u != v:
            successor.setdefault(u, v)
    order = np.flatnonzero(pred == np.arange(len(pred)))[:1].tolist()
    while order and order[-1] in successor:  # ends: every element has one predecessor, so none comes twice
        order.append(successor[order[-1]])
    return order


def _probabilities(spec: Spec, logits: Mapping[str, Tensor], predicted: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The probability of every predicted entry, in compact form."""
    found = {}
    for name in predicted:
        probe, value = spec[name], logits[name]
        if probe.type is Type.SCALAR:
            continue
        if probe.type is Type.MASK:
            p = torch.sigmoid(value.abs())
        elif probe.type is Type.PERMUTATION_POINTER:
            p = log_sinkhorn(value, SINKHORN_STEPS_OUTPUT).exp().amax(-1)
            first = torch.softmax(logits[f"{name}_mask"], -1).amax(-1, keepdim=True)
            p = torch.where(predicted[name] == torch.arange(p.shape[-1]), first, p)
        else:
            p = torch.softmax(value, -1).amax(-1)
        found[name] = p[0].numpy()
    return found


def _confidence(probe: Probe, compact: np.ndarray, p: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """Probabilities in the form of the output: as a list in its order, by node, or one number."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [float(p[v]) for v in _order(compact)]
    return _keyed(p.ravel().tolist(), p.ndim, nodes)


def _hints(spec: Spec, steps: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """Hints of one graph as one array per name, time first."""
    merged = [merge_permutations(spec, step) for step in steps]
    return {name: np.stack([step[name][0].cpu().numpy() for step in merged]) for name in (merged[0] if merged else ())}


def _in_words(found: Tally) -> str:
    if found.metric == "accuracy":
        return f"{found.counts[0]:.0f} of {found.counts[1]:.0f} right"
    return f"F1 {found.value():.3f}" if found.metric == "f1" else f"squared error {found.value():.3g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _entry(text: str, answer: Any, truth: Any, confidence: float | None) -> str:
    if confidence is not None:
        text += f" ({confidence:.0%})"
    return text if _agree(answer, truth) else f"{text}, the algorithm's: {reprlib.repr(truth)}"


def _agree(answer: Any, truth: Any) -> bool:
    return truth is None or answer == truth
