"""Answers on a graph of your own: `nar.load(run_dir).run(graph, source="a")`, or `nar.Solver(reasoner).run(...)`.

The reasoner is given the inputs, the algorithm's initial hints and the number of steps, and nothing else: from there
on it reads its own predictions. The textbook algorithm runs first, on the same inputs: it checks them, gives the
initial hints and the number of steps (the oracle of the CLRS protocol; `steps` and `termination` override it), and its
answer is what the prediction is compared with.

Shapes: N nodes, S steps.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nar import datasets
from nar import device as devices
from nar.config import Config
from nar.evaluation import protocol
from nar.evaluation.evaluate import portions, predict, reasoner_device
from nar.inference import arguments, cases, scale, sparse
from nar.inference.cases import Case
from nar.inference.prediction import Prediction, of_outputs
from nar.lookup import suggest
from nar.model import checkpoint
from nar.model.batch import Batch, collate
from nar.model.objectives.metrics import merge_permutations
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout
from nar.traces.algorithm import Algorithm
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec


def load(path: str | Path, which: str = "best", *, device: str = "cpu") -> Solver:
    """The trained reasoner of a run directory (its `best` or `last` checkpoint), of one checkpoint file, or of an
    export (`nar export`), ready to run. `nar.load("dijkstra")` is one that comes with nar, if `nar list` names it and
    nothing here is called so.

    Its network, `.reasoner`, is in evaluation mode. A processor of your own, `my_module:MyProcessor`, is imported
    again: its file must be where Python finds it.
    """
    on = devices.choose(device)
    saved = checkpoint.read(path, which, on)
    return Solver(saved.build(on), saved.config, saved.source, saved.step, saved.score)


@dataclasses.dataclass(eq=False, repr=False)
class Solver:
    """A reasoner that answers on inputs of your own, and in their names: what `nar.load` gives, or Solver(reasoner)."""

    reasoner: Reasoner  # the network
    config: Config | None = None  # the settings of its run, where it was loaded
    source: Path | None = None  # the file that held its parameters
    step: int | None = None  # of its training at which it had them
    score: float | None = None  # in validation then, the mean over algorithms

    def __repr__(self) -> str:
        kind = self.config.processor if self.config else type(self.reasoner.processor).__name__
        parts = [kind, f"{self.reasoner.parameter_count():,} parameters", str(reasoner_device(self.reasoner))]
        if self.config is not None and self.step is not None:
            sizes = [protocol.resolved(self.config, datasets.get(name)).train_sizes for name in self.reasoner.specs]
            parts.append(f"{self.step:,} steps on up to {max(max(of or (0,)) for of in sizes)} nodes")
        if self.score is not None:
            parts.append(f"best validation {self.score:.2%}")
        if len(self.reasoner.specs) == 1:
            parts.append(arguments.call(datasets.get(next(iter(self.reasoner.specs)))))
        parts += [f"from {self.source}"] * (self.source is not None)
        return f"Solver({', '.join(self.reasoner.specs)}: {', '.join(parts)})"

    def __getattr__(self, name: str) -> Any:
        if (not name.startswith("__") and hasattr(Reasoner, name)) or name in ("processor", "specs"):
            raise AttributeError(f"a Solver has no {name!r}: that is the network's, which is its .reasoner")
        raise AttributeError(f"a Solver has no {name!r}")

    def to(self, device: str | torch.device) -> Solver:
        """Move the network to a device (auto, cpu, cuda, cuda:1); returns this solver."""
        self.reasoner.to(devices.choose(str(device)))
        return self

    def run(
        self,
        graph: Any = None,
        *unnamed: Any,
        algorithm: str | None = None,
        source: Hashable = None,
        weight: str | None = "weight",
        steps: int | None = None,
        termination: str = "oracle",
        normalise: bool = False,
        **inputs: Any,
    ) -> Prediction:
        """Run the learned algorithm on one graph or array.

        `graph`: one of

            a networkx graph           nodes of any names, weights in the edge attribute `weight` (1 where absent)
            PyTorch Geometric's Data   nodes are indices, weights in edge_weight, edge_attr or the attribute `weight`
            a matrix of weights        0 where there is no edge; numpy, torch, scipy, sparse ones too, lists; a data
                                       frame, whose labels name the nodes
            the array to be sorted, searched, ...
            a trace                    its inputs: nar.Trace, or as PyTorch Geometric data (nar/traces/formats/pyg.py)

        Algorithms without weights, such as bfs, take every edge as 1; weight=None does so for all. `source`: a node, by
        its name (an index where nodes are indices). `inputs`: arguments of the algorithm by their own names, for those
        not given otherwise, as `algorithm.sample` returns them; numbers for every node may be a dict by name.
        `algorithm`: which one, where the reasoner has learned several.

        `steps`: how many steps to take; by default as many as the algorithm takes on these inputs, found by running it.
        `termination`: fixed_point or learned lets the reasoner find its end by itself (nar/model/termination.py), after
        `steps` at the latest, by default four times what the algorithm takes.

        `normalise`: give the reasoner the same input in units in which numbers are as large as in its training; what
        comes back is in yours. ValueError where the algorithm's answers depend on the unit.
        """
        chosen = _choose(self.reasoner, algorithm, [graph])
        if unnamed:
            raise ValueError(f"run takes one graph or array, everything else by name: {arguments.call(chosen)}")
        case = self._made(chosen, weight, normalise)(graph, source, inputs)
        return _answers(self.reasoner, chosen, [case], steps, termination)[0]

    def run_many(
        self,
        graphs: Iterable[Any] | None = None,
        *,
        algorithm: str | None = None,
        source: Any = None,
        weight: str | None = "weight",
        steps: int | None = None,
        termination: str = "oracle",
        normalise: bool = False,
        **inputs: Any,
    ) -> list[Prediction]:
        """`run` on several graphs or arrays of any sizes, those of one size as one batch; predictions in their order.

        `graphs`: a list of what `run` takes, or PyTorch Geometric's Batch. `source` and `inputs`: lists, with one entry
        for every graph, or one value for all of them. What a graph is answered does not depend on the others (numbers:
        up to rounding).
        """
        if graphs is not None:
            graphs = _several(graphs)
        chosen = _choose(self.reasoner, algorithm, graphs or [])
        lists = {name: values for name, values in {"source": source, **inputs}.items() if values is not None}
        if graphs is None and not lists:
            raise ValueError("run_many takes a list of graphs or arrays, or lists of inputs by name; got none")
        counts = {name: len(values) for name, values in lists.items() if _is_list(values)}
        count = len(graphs) if graphs is not None else next(iter(counts.values()), 1)
        for name, values in lists.items():
            if counts.get(name, count) != count:
                got = f"{counts[name]} entries"
                raise ValueError(f"{name} must be a list with one entry for each of the {count} graphs, got {got}")
            if name not in counts:
                lists[name] = [values] * count
        make, given = self._made(chosen, weight, normalise), []
        for i in range(count):
            own = {name: values[i] for name, values in lists.items()}
            try:
                given.append(make(None if graphs is None else graphs[i], own.pop("source", None), own))
            except ValueError as error:
                raise ValueError(f"graph {i}: {error}") from error
        return _answers(self.reasoner, chosen, given, steps, termination)

    def _made(
        self, algorithm: Algorithm, weight: str | None, normalise: bool
    ) -> Callable[[Any, Any, dict[str, Any]], Case]:
        """What makes a case of a graph, a source and other inputs."""
        if self.reasoner.layout == "sparse":
            return functools.partial(sparse.make, algorithm, weight=weight, normalise=normalise)
        trained = self._trained(algorithm)
        return functools.partial(cases.make, algorithm, weight=weight, trained=trained, normalise=normalise)

    def _trained(self, algorithm: Algorithm) -> float | None:
        """The largest number among inputs of the reasoner's training."""
        config = self.config or Config()
        if config.traces is not None:
            return scale.of_traces(config.traces, algorithm)
        sizes = protocol.resolved(config, algorithm).train_sizes or (algorithm.min_nodes,)
        return scale.of_training(algorithm, max(sizes))


def _is_list(values: Any) -> bool:
    """One entry for every graph, rather than one value for all: a node's name may be a word or a tuple."""
    return isinstance(values, list) or (isinstance(values, (np.ndarray, torch.Tensor)) and values.ndim > 0)


def _several(graphs: Any) -> list[Any]:
    """A list of graphs, batches taken apart; ValueError for a graph, whose nodes or rows would be taken for some."""
    if hasattr(graphs, "to_data_list"):
        return graphs.to_data_list()
    if any(hasattr(graphs, name) for name in ("nodes", "edge_index", "toarray", "columns")):
        raise ValueError("run_many takes a list of graphs, got a single one; run takes that, or [graph]")
    return [one for item in graphs for one in (item.to_data_list() if hasattr(item, "to_data_list") else [item])]


def _choose(reasoner: Reasoner, name: str | None, graphs: Sequence[Any]) -> Algorithm:
    """The algorithm asked for; of several, a trace says by itself which one it is of."""
    known = list(reasoner.specs)
    if name is None:
        if graphs and arguments.is_trace(graphs[0]):
            name = graphs[0].algorithm
        elif len(known) == 1:
            name = known[0]
        else:
            raise ValueError(f"algorithm must be given, this reasoner has learned several: {', '.join(known)}")
    if name not in known:
        raise ValueError(suggest("algorithm", str(name), known, f"this reasoner has learned {', '.join(known)}"))
    return datasets.get(name)


def _answers(
    reasoner: Reasoner, algorithm: Algorithm, given: Sequence[Case], steps: int | None, termination: str
) -> list[Prediction]:
    """Predictions in the order of those given: those of one size as one batch, cut by memory; sparse ones alone."""
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
        raise ValueError(f"steps must be a positive integer, got {steps!r}")
    with devices.untouched(next(reasoner.parameters()).dtype):
        if reasoner.layout == "sparse":
            return [sparse.answer(reasoner, algorithm, case, steps, termination) for case in given]
        found: dict[int, Prediction] = {}
        width, device = reasoner.processor.features, reasoner_device(reasoner).type
        alike: dict[tuple[int, int], list[int]] = {}
        for i, case in enumerate(given):
            # a rollout without the oracle has one limit, which must not depend on what else is in the batch
            length = case.trace.length if termination != "oracle" else 0
            alike.setdefault((case.trace.nodes, length), []).append(i)
        for members in alike.values():
            rest = iter(members)
            for part in portions([given[i].seen for i in members], width, device):
                batch = collate(part, algorithm)
                timed = _with_steps(batch, steps)
                ends: dict[str, Any] = {"termination": termination, "limit": steps} if termination != "oracle" else {}
                rollout = predict(reasoner, timed, decide_hints=True, **ends)
                taken = [length - 1 for length in timed.lengths] if rollout.taken is None else rollout.taken.tolist()
                places = [next(rest) for _ in part]
                for b, place in enumerate(batch.order):
                    case = given[places[place]]
                    found[places[place]] = _prediction(algorithm, reasoner.specs, batch, rollout, b, taken[b], case)
    return [found[i] for i in range(len(given))]


def _with_steps(batch: Batch, steps: int | None) -> Batch:
    """The same batch for so many steps, or for those of the traces, at least one; after the end of a trace, its last
    moment is repeated."""
    lengths = [max(2, length) if steps is None else int(steps) + 1 for length in batch.lengths]
    if lengths == batch.lengths:
        return batch
    moments_TB = torch.minimum(torch.arange(lengths[0])[:, None], torch.tensor(batch.lengths) - 1)
    samples_B = torch.arange(len(batch))

    def cut(value: Any) -> Any:
        if isinstance(value, RunLengthArray):
            return RunLengthArray(value.values, value.index[moments_TB, samples_B])
        return value[moments_TB, samples_B]

    hints = {n: cut(value) for n, value in batch.hints.items()}
    return dataclasses.replace(batch.with_lengths(lengths), hints=hints)


def _prediction(
    algorithm: Algorithm, specs: Mapping[str, Spec], batch: Batch, rollout: Rollout, b: int, steps: int, case: Case
) -> Prediction:
    """What was answered to sample b of a batch, which took so many steps."""
    one, spec = slice(b, b + 1), specs[algorithm.name]
    logits = {name: value[one].cpu() for name, value in rollout.outputs.items()}
    own = functools.partial(scale.in_units, units=case.units)
    predicted = own(merge_permutations(spec, {name: hard(spec[name], value) for name, value in logits.items()}))
    actual = own(merge_permutations(spec, {name: value[one] for name, value in batch.outputs.items()}))
    outputs = of_outputs(spec, logits, predicted, actual, case.nodes)
    by_step = rollout.hints[:steps]
    hints = {name: torch.stack([step[name][b] for step in by_step]).cpu() for name in (by_step[0] if by_step else ())}
    moments_S = torch.arange(1, steps + 1).clamp(max=batch.lengths[b] - 1)
    true_hints = {name: torch.as_tensor(value[moments_S, b]) for name, value in batch.hints.items()}
    return Prediction(
        algorithm=algorithm.name,
        nodes=case.nodes,
        steps=steps,
        **outputs,
        valid=algorithm.is_valid(case.given, outputs["compact"]),
        hints={name: value.numpy() for name, value in own(merge_permutations(spec, hints)).items()},
        true_hints={name: value.numpy() for name, value in own(merge_permutations(spec, true_hints)).items()},
        true_trace=case.trace,
        scale=case.scale,
    )
