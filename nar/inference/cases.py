"""One input of a reasoner: the arguments of the algorithm, its run on them, and what of it the reasoner is given."""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

from nar.inference import arguments, scale
from nar.traces.algorithm import Algorithm
from nar.traces.trace import Trace


@dataclasses.dataclass
class Case:
    """One input: the arguments of the algorithm, its run on them, and the names of the nodes.

    The reasoner reads `seen`, the same trace or that in other units; `units` make its numbers those of the caller.
    """

    given: dict[str, Any]
    trace: Trace
    nodes: list[Hashable]
    seen: Trace
    scale: scale.Scale | None
    units: dict[str, float] = dataclasses.field(default_factory=dict)


def make(
    algorithm: Algorithm,
    graph: Any,
    source: Any,
    inputs: Mapping[str, Any],
    *,
    weight: str | None,
    trained: float | None,
    normalise: bool,
) -> Case:
    """The inputs checked, and the algorithm run on them. `trained`: the largest number of training's inputs."""
    nodes: list[Hashable] = []
    if arguments.is_trace(graph):
        given = arguments.of_trace(algorithm, graph, {"source": source, **inputs})
    else:
        given, nodes = arguments.of_graph(algorithm, graph, source, weight, inputs)
    try:
        trace = algorithm.run(**given)
    except ValueError as error:
        if graph is None:
            raise
        what = "graph (A: its matrix of weights)" if arguments.on_graphs(algorithm) else "array (A)"
        raise ValueError(f"{algorithm.name} cannot run on this {what}: {error}") from error
    case = Case(given, trace, nodes or list(range(trace.nodes)), trace, scale.of(trace, trained))
    if normalise and trained is None and scale.largest(trace):
        raise ValueError(f"how large numbers were in the training of {algorithm.name} is not known: divide by hand")
    if normalise and case.scale is not None:
        case.seen, factor, case.units = scale.normalised(algorithm, trace, case.scale)
        case.scale = dataclasses.replace(case.scale, factor=factor)
    scale.check(case.seen)
    return case
