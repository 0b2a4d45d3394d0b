"""What a reasoner is given to run on, as arguments of its algorithm: graphs of any kind, matrices, arrays, by name.

Shapes: N nodes, E edges.
"""

import reprlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nar.lookup import suggest
from nar.text_format import listed
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
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
    return isinstance(graph, Trace) or (hasattr(graph, "edge_index") and "spec" in graph)


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
    algorithm: Algorithm, graph: Any, source: Any, weight: str | None, inputs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Hashable]]:
    """Arguments of `algorithm.run`, and the names of the nodes (none known for an array)."""
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
        arguments["A"], nodes = _matrix(algorithm, graph, weight) if graphic else (_array(name, graph), [])
    elif weight != "weight":
        raise ValueError(f"weight={weight!r} names an edge attribute and needs a graph, got none")
    if source is not None:
        if not from_source:
            raise ValueError(f"{name} takes no source, got source={source!r}")
        if "s" in arguments:
            raise ValueError("give either source or s, not both")
        arguments["s"] = _index(source, nodes) if nodes else source
    missing = [argument for argument in algorithm.arguments if argument not in arguments]
    if from_source and missing == ["s"]:
        example = f", such as source={nodes[0]!r}" if nodes else ""
        raise ValueError(f"{name} needs a source: give source=NODE, one of the graph's nodes{example}")
    if missing:
        raise ValueError(f"{name} needs {_described(algorithm, missing)}, got none: {call(algorithm)}")
    for argument, value in arguments.items():
        if isinstance(value, Mapping) and nodes:  # a number for every node, by the nodes' names
            if len(value) != len(nodes) or any(node not in value for node in nodes):
                raise ValueError(f"{argument} must have a value for each of the {len(nodes)} nodes, got {len(value)}")
            arguments[argument] = [value[node] for node in nodes]
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


def _matrix(algorithm: Algorithm, graph: Any, weight: str | None) -> tuple[Any, list[Hashable]]:
    """The matrix of weights and the names of the nodes in its order."""
    weighted = "low" in algorithm.params  # else its own graphs hold no weights, and the reasoner has never seen any
    if hasattr(graph, "edge_index"):
        return _from_pyg(graph, weight, weighted)
    import networkx as nx

    if isinstance(graph, nx.Graph):
        if weighted and weight not in (None, "weight") and graph.size():
            if all(weight not in data for *_, data in graph.edges(data=True)):
                raise ValueError(f"weight: no edge of the graph has an attribute {weight!r}")
        return graphs.from_networkx(graph, weight if weighted else None)
    if weight != "weight":
        raise ValueError(
            f"weight={weight!r} names an edge attribute of a networkx or PyTorch Geometric graph, "
            f"got a {type(graph).__name__}"
        )
    if hasattr(graph, "toarray"):  # scipy's sparse matrices
        graph = graph.toarray()
    A = graphs.check_graph(_numpy(graph), "graph")
    return (A if weighted else (A != 0).astype(np.float64)), list(range(len(A)))


def _from_pyg(data: Any, weight: str | None, weighted: bool) -> tuple[np.ndarray, list[Hashable]]:
    """The same from PyTorch Geometric's Data: `edge_index` [2, E], weights in edge_weight or edge_attr [E] or [E, 1].

    Directions are kept: an undirected graph holds every edge both ways there.
    """
    if hasattr(data, "to_data_list"):
        raise ValueError("graph is a batch: give it to run_many, or one of batch.to_data_list() to run")
    if data.edge_index is None:
        raise ValueError("graph has no edge_index: a Data needs its edges, of shape [2, E]")
    edges_2E = _numpy(data.edge_index)
    nodes = int(data.num_nodes or 0)
    if edges_2E.ndim != 2 or len(edges_2E) != 2 or edges_2E.dtype.kind not in "iu":
        raise ValueError(f"edge_index must hold indices of nodes in shape [2, E], got shape {list(edges_2E.shape)}")
    if nodes < 1:
        raise ValueError("graph must have at least one node, got an empty graph")
    if edges_2E.size and not (0 <= edges_2E.min() and edges_2E.max() < nodes):
        raise ValueError(
            f"edge_index must hold indices of the {nodes} nodes, got {edges_2E.min()} to {edges_2E.max()}; "
            "does num_nodes count all of them?"
        )
    rows_E, columns_E = edges_2E
    A = np.zeros((nodes, nodes))
    A[rows_E, columns_E] = 1.0
    if np.count_nonzero(A) < len(rows_E):
        raise ValueError("edge_index holds an edge twice, which does not fit a matrix; data.coalesce() joins them")
    if not weighted or weight is None:
        return A, list(range(nodes))
    names = ("edge_weight", "edge_attr") if weight == "weight" else (weight,)
    values = next((data[name] for name in names if name in data and data[name] is not None), None)
    if values is None:
        if weight != "weight":
            raise ValueError(f"weight: the graph has no attribute {weight!r}")
        return A, list(range(nodes))
    weights_E = _numpy(values).astype(np.float64)
    if weights_E.size != len(rows_E):
        raise ValueError(
            f"weights must be one number for each of the {len(rows_E)} edges, got shape {list(weights_E.shape)}; "
            "weight=NAME chooses another attribute, weight=None takes 1"
        )
    weights_E = weights_E.reshape(-1)
    if (wrong := ~np.isfinite(weights_E) | (weights_E == 0)).any():
        at = int(wrong.argmax())
        edge = (int(rows_E[at]), int(columns_E[at]))
        raise ValueError(
            f"weight of edge {edge} must be a finite number other than 0 (0 means no edge), got {weights_E[at]}"
        )
    A[rows_E, columns_E] = weights_E
    return A, list(range(nodes))


def _array(name: str, values: Any) -> Any:
    if hasattr(values, "edge_index") or (hasattr(values, "nodes") and hasattr(values, "edges")):
        raise ValueError(f"{name} takes an array of numbers, got a graph")
    return _numpy(values)


def _numpy(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values


def _index(source: Any, nodes: Sequence[Hashable]) -> int:
    if isinstance(source, torch.Tensor) and source.numel() == 1:
        source = source.item()
    try:
        return {node: index for index, node in enumerate(nodes)}[source]
    except (KeyError, TypeError):  # TypeError: not hashable
        raise ValueError(
            f"source must be one of the graph's {len(nodes)} nodes {reprlib.repr(list(nodes))}, got {source!r}"
        ) from None
