"""The containers that graphs and numbers come in, as matrices and arrays: they mean what they mean to their owners.

A graph may be a networkx graph, PyTorch Geometric's Data, or a matrix of weights in which 0 means no edge: numpy
(masked entries are no edges), torch or scipy, sparse of every format, a data frame whose labels name the nodes, lists.
What would be read otherwise than it was meant is refused: lists of edges, a zero that a sparse matrix stores.

Shapes: N nodes, E edges.
"""

from collections.abc import Hashable, Mapping, Set
from typing import Any

import numpy as np
import torch

from nar.text_format import quoted
from nar.traces.inputs import graphs


def matrix(graph: Any, weight: str | None, weighted: bool) -> tuple[np.ndarray, list[Hashable]]:
    """The matrix of weights [N, N] and the names of the nodes in its order; not `weighted`: every edge weighs 1."""
    import networkx as nx

    if isinstance(graph, nx.Graph):
        if weighted and weight not in (None, "weight") and graph.size():
            if all(weight not in data for *_, data in graph.edges(data=True)):
                raise ValueError(f"weight: no edge of the graph has an attribute {weight!r}")
        return graphs.from_networkx(graph, weight if weighted else None)
    if hasattr(graph, "edge_types"):
        raise ValueError("graph is a HeteroData, and algorithms know no types: data.to_homogeneous() joins them")
    if hasattr(graph, "edge_index"):
        return _of_pyg(graph, weight, weighted)
    _refuse_edges(graph)
    if weight != "weight":
        raise ValueError(
            f"weight={weight!r} names an edge attribute of a networkx or PyTorch Geometric graph, "
            f"got a {type(graph).__name__}"
        )
    nodes: list[Hashable] | None = None
    if hasattr(graph, "columns"):
        graph, nodes = _of_frame(graph)
    elif isinstance(graph, np.ma.MaskedArray):
        refuse_zeros(*np.nonzero(~np.ma.getmaskarray(graph) & (graph.data == 0)))
        graph = graph.filled(0)
    elif isinstance(graph, torch.Tensor) and graph.layout is not torch.strided:
        if graph.layout not in (torch.sparse_bsr, torch.sparse_bsc):  # whose blocks are filled up with zeros
            entries = graph.detach().to_sparse_coo().coalesce()
            refuse_zeros(*entries.indices()[:, entries.values() == 0].cpu().numpy())
    elif getattr(graph, "format", "") not in ("bsr", "dia") and hasattr(graph, "tocoo"):
        entries = graph.tocoo(copy=True)  # pyright: ignore
        entries.sum_duplicates()
        refuse_zeros(entries.row[entries.data == 0], entries.col[entries.data == 0])
    A = graphs.check_graph(plain(graph), "graph")
    return (A if weighted else (A != 0).astype(np.float64)), list(range(len(A))) if nodes is None else nodes


def array(name: str, values: Any) -> tuple[Any, list[Hashable]]:
    """An array of numbers, and the names of its elements where it is a series with an index."""
    if hasattr(values, "edge_index") or hasattr(values, "edge_types"):
        raise ValueError(f"{name} takes an array of numbers, got a graph")
    if hasattr(values, "nodes") and hasattr(values, "edges"):
        raise ValueError(f"{name} takes an array of numbers, got a graph")
    return plain(values), list(values.index) if is_series(values) else []


def is_series(values: Any) -> bool:
    """Numbers with a label each, such as a column of a data frame?"""
    return hasattr(values, "to_numpy") and hasattr(values, "index") and not hasattr(values, "columns")


def plain(values: Any) -> Any:
    """Tensors of every kind, sparse matrices, frames, and lists of these, as numpy knows them; others as they are."""
    if isinstance(values, torch.Tensor):
        values = values.dequantize() if values.is_quantized else values.detach()
        values = values.to_dense() if values.layout is not torch.strided else values
        known = values.dtype in (torch.float64, torch.float32, torch.float16) or not values.is_floating_point()
        return (values if known else values.double()).numpy(force=True)
    if isinstance(values, (list, tuple)) and any(isinstance(value, torch.Tensor) for value in values):
        return [plain(value) for value in values]
    for method in ("toarray", "to_numpy"):  # of scipy's sparse matrices; of frames and series
        if hasattr(values, method):
            return getattr(values, method)()
    return values


def _refuse_edges(graph: Any) -> None:
    """ValueError for what lists edges: three edges (u, v, weight) are a square matrix, too."""
    if hasattr(graph, "sparse_size"):
        raise ValueError("graph is a PyTorch Geometric EdgeIndex: give Data(edge_index=graph, num_nodes=...)")
    if isinstance(graph, Mapping) and not hasattr(graph, "tocoo"):
        raise ValueError("graph is a dict: give networkx.Graph(graph) or networkx.DiGraph(graph)")
    edges = isinstance(graph, (list, tuple, Set)) and len(graph) > 0 and all(isinstance(one, tuple) for one in graph)
    if edges and all(len(one) in (2, 3) for one in graph):
        raise ValueError(
            "graph is a list of tuples, which looks like edges: give a networkx.Graph or DiGraph, to which "
            "add_edges_from or add_weighted_edges_from adds them (or numpy.array(graph) if it is a matrix)"
        )


def refuse_zeros(rows: np.ndarray, columns: np.ndarray) -> None:
    """ValueError for zeros that somebody stored between two nodes: an edge, or none?"""
    if (apart := rows != columns).any():
        edge = (int(rows[apart][0]), int(columns[apart][0]))
        raise ValueError(
            f"graph holds a weight of 0 for the edge {edge}, and 0 means no edge: leave the entry out (scipy: "
            "eliminate_zeros), or give the edge another weight"
        )


def _of_frame(frame: Any) -> tuple[Any, list[Hashable]]:
    """Numbers and labels of a square data frame; rows and columns may stand in different orders."""
    columns = list(frame.columns)
    nodes = list(frame.index) if hasattr(frame, "index") else columns
    if len(set(nodes)) < len(nodes) or set(nodes) != set(columns) or len(nodes) != len(columns):
        raise ValueError(
            "graph is a data frame whose rows and columns must have the same labels, one for each node; got rows "
            f"{quoted(nodes[:4])} and columns {quoted(columns[:4])} (a frame that lists edges: "
            "networkx.from_pandas_edgelist)"
        )
    return (frame if nodes == columns else frame[nodes]).to_numpy(), nodes


def _of_pyg(data: Any, weight: str | None, weighted: bool) -> tuple[np.ndarray, list[Hashable]]:
    """The same from PyTorch Geometric's Data. Directions are kept: an undirected graph holds every edge both ways."""
    (rows_E, columns_E), weights_E = edges_of_data(data, weight if weighted else None)
    nodes = int(data.num_nodes or 0)
    A = np.zeros((nodes, nodes))
    A[rows_E, columns_E] = 1.0
    if np.count_nonzero(A) < len(rows_E):
        raise ValueError("edge_index holds an edge twice, which does not fit a matrix; data.coalesce() joins them")
    if weights_E is not None:
        A[rows_E, columns_E] = weights_E
    return A, list(range(nodes))


def edges_of_data(data: Any, weight: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """`edge_index` [2, E] and weights [E] of a Data: from edge_weight or edge_attr [E] or [E, 1], or another attribute
    named by `weight`; None where it has none, or `weight` is None."""
    if hasattr(data, "to_data_list"):
        raise ValueError("graph is a batch: give it to run_many, or one of batch.to_data_list() to run")
    if data.edge_index is None:
        raise ValueError("graph has no edge_index: a Data needs its edges, of shape [2, E]")
    edges_2E = plain(data.edge_index)
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
    if weight is None:
        return edges_2E, None
    names = ("edge_weight", "edge_attr") if weight == "weight" else (weight,)
    values = next((data[name] for name in names if name in data and data[name] is not None), None)
    if values is None:
        if weight != "weight":
            raise ValueError(f"weight: the graph has no attribute {weight!r}")
        return edges_2E, None
    weights_E = plain(values).astype(np.float64)
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
    return edges_2E, weights_E
