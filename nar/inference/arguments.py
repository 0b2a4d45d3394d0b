"""What a reasoner is given to run on, as arguments of its algorithm: graphs of any kind, matrices, arrays, by name."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nar.inference import containers
from nar.lookup import suggest
from nar.text_format import listed, quoted
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Location, Type
from nar.traces.trace import Trace

# What arguments hold, by all the names that an algorithm takes; graphs, arrays and sources explain themselves.
MEANINGS: dict[tuple[str, ...], dict[str, str]] = {
    ("T", "P"): {"T": "the text, characters 0 to 3", "P": "the pattern to find in it"},
    ("x", "y"): {"x": "the first string, characters 0 to 3", "y": "the second string"},
    ("x", "A"): {"x": "the number to find in the array"},
    ("xs", "ys"): {"xs": "the points' x coordinates", "ys": "their y coordinates"},
    ("s", "f"): {"s": "when each activity starts", "f": "when it finishes"},
    ("d", "w"): {"d": "the time by which each task should be done", "w": "what it is worth then"},
    ("p",): {"p": "the matrices' dimensions: matrix i has p[i-1] rows and p[i] columns"},
    ("p", "q"): {"p": "how often each key is searched", "q": "the same for the gaps, one more than keys"},
    ("A", "randomness"): {"randomness": "a number for every node: of two neighbours the smaller one wins"},
    ("A", "use", "define"): {
        "use": "1 for every block that reads the variable before it writes it",
        "define": "1 for every block that writes it",
    },
    ("A", "state", "rounds"): {"state": "the state in which every node begins", "rounds": "how often all change"},
}  # fmt: skip


def is_trace(graph: Any) -> bool:
    """Is this a whole input of an algorithm: a Trace, or one as PyTorch Geometric data (nar/traces/formats/pyg.py)?"""
    return isinstance(graph, Trace) or (hasattr(graph, "edge_index") and hasattr(graph, "spec"))


def of_trace(algorithm: Algorithm, graph: Any, others: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `algorithm.run` from the inputs of a trace; `others` must not give anything beside it."""
    if not isinstance(graph, Trace):
        from nar.traces.formats import pyg

        graph = pyg.from_data(graph)
    if graph.algorithm != algorithm.name:
        raise ValueError(f"this is a trace of {graph.algorithm}, and {algorithm.name} is asked for")
    if given := [name for name, value in others.items() if value is not None]:
        raise ValueError(f"a trace holds all inputs, got {given[0]} beside it")
    return algorithm.arguments_of(graph)


def of_graph(
    algorithm: Algorithm,
    graph: Any,
    source: Any,
    weight: str | None,
    inputs: Mapping[str, Any],
    read: Callable[[Any, str | None, bool], tuple[Any, list[Hashable]]] = containers.matrix,
) -> tuple[dict[str, Any], list[Hashable]]:
    """Arguments of `algorithm.run`, and the names of the nodes (none known for an array).

    `read`: makes of a graph what A is, and the names of its nodes.
    """
    name, arguments = algorithm.name, dict(inputs)
    graphic, from_source = on_graphs(algorithm), has_source(algorithm)
    if unknown := sorted(arguments.keys() - set(algorithm.arguments)):
        known = [*algorithm.arguments, "graph", "algorithm", "steps", "termination"]
        known += ["source"] * from_source + ["weight"] * graphic
        raise ValueError(suggest("argument", unknown[0], known, f"{name}: {call(algorithm)}"))
    nodes: list[Hashable] = []
    if graph is not None:
        if "A" not in algorithm.arguments:
            raise ValueError(
                f"{name} takes no {'graph' if hasattr(graph, 'nodes') else 'array'} alone, but "
                f"{_described(algorithm, algorithm.arguments)}: give these by name, {call(algorithm)}"
            )
        if "A" in arguments:
            raise ValueError("give either graph or A, not both")
        arguments["A"] = graph
    elif weight != "weight" and not (graphic and "A" in arguments):
        raise ValueError(f"weight={weight!r} names an edge attribute and needs a graph, got none")
    if graphic and "A" in arguments:
        # where its own graphs hold no weights, the reasoner has never seen any
        arguments["A"], nodes = read(arguments["A"], weight, "low" in algorithm.params)
    elif "A" in arguments:
        arguments["A"], nodes = containers.array(name, arguments["A"])
    if source is not None:
        if not from_source:
            raise ValueError(f"{name} takes no source, got source={quoted(source)}")
        if "s" in arguments:
            raise ValueError("give either source or s, not both")
        arguments["s"] = _index(source, nodes) if nodes else source
    missing = [argument for argument in algorithm.arguments if argument not in arguments]
    if from_source and missing == ["s"]:
        example = f", such as source={quoted(nodes[0])}" if nodes else ""
        raise ValueError(f"{name} needs a source: give source=NODE, one of the graph's nodes{example}")
    if missing:
        raise ValueError(f"{name} needs {_described(algorithm, missing)}, got none: {call(algorithm)}")
    for argument, value in arguments.items():
        if containers.is_series(value) and nodes:
            value = dict(zip(value.index, value.to_numpy(), strict=True))
        if isinstance(value, Mapping) and nodes:  # a number for every node, by the nodes' names
            if len(value) != len(nodes) or any(node not in value for node in nodes):
                raise ValueError(f"{argument} must have a value for each of the {len(nodes)} nodes, got {len(value)}")
            arguments[argument] = [value[node] for node in nodes]
        else:
            arguments[argument] = containers.plain(value)
    return arguments, nodes


def on_graphs(algorithm: Algorithm) -> bool:
    """Is `A` a graph, rather than an array?"""
    inputs = algorithm.spec.inputs
    graph = inputs.get("adj", inputs.get("A"))
    return "A" in algorithm.arguments and graph is not None and graph.location is Location.EDGE


def has_source(algorithm: Algorithm) -> bool:
    """Does the algorithm start at a node?"""
    return "s" in algorithm.spec.inputs and algorithm.spec["s"].type is Type.MASK_ONE


def call(algorithm: Algorithm) -> str:
    """How `run` is called for this algorithm, as a user would type it."""
    typed = {"graph": "graph", "array": "array", "source": "source=NODE"}
    words = [typed.get(_kind(algorithm, name), f"{name}=...") for name in algorithm.arguments]
    return f"run({', '.join(sorted(words, key=lambda word: '=' in word))})"


def _kind(algorithm: Algorithm, argument: str) -> str:
    """graph, array or source: what `run` takes under these names; else the argument's own name."""
    if argument == "A":
        return "graph" if on_graphs(algorithm) else "array"
    return "source" if argument == "s" and has_source(algorithm) else argument


def _described(algorithm: Algorithm, names: Sequence[str]) -> str:
    """Arguments with what they mean, as in 'T (the text) and P (the pattern)'."""
    words = {"graph": "a graph", "array": "an array", "source": "a source"}
    words |= {name: f"{name} ({meaning})" for name, meaning in MEANINGS.get(algorithm.arguments, {}).items()}
    return listed(words.get(kind, kind) for kind in (_kind(algorithm, name) for name in names))


def _index(source: Any, nodes: Sequence[Hashable]) -> int:
    alone = isinstance(source, torch.Tensor | np.ndarray) and source.reshape(-1).shape == (1,)
    node: Any = source.item() if alone else source  # an array of one number is that number
    try:
        return {node: index for index, node in enumerate(nodes)}[node]
    except (KeyError, TypeError):  # TypeError: not hashable
        raise ValueError(
            f"source must be one of the graph's {len(nodes)} nodes {quoted(list(nodes))}, got {quoted(source)}"
        ) from None
