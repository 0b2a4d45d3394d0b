"""What graphs and arrays may come in: PyTorch Geometric, scipy, torch, frames; what could mean something else."""

from decimal import Decimal
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from answers import exact, perfect, untrained
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData


def as_pyg(graph, weight="miles", **names):
    """The graph with nodes as indices, by hand: every undirected edge in both directions."""
    place = {node: i for i, node in enumerate(graph)}
    both = [
        (place[a], place[b], data.get(weight)) for u, v, data in graph.edges(data=True) for a, b in ((u, v), (v, u))
    ]
    edge_index = torch.tensor([edge[:2] for edge in both]).T
    values = torch.tensor([edge[2] for edge in both], dtype=torch.float64) if weight else None
    return Data(edge_index=edge_index, num_nodes=len(place), **{name: form(values) for name, form in names.items()})


@pytest.mark.parametrize("name", ["edge_weight", "edge_attr", "toll"])
@pytest.mark.parametrize("form", [lambda w: w, lambda w: w[:, None]])
def test_pyg_graphs_answer_as_the_networkx_graph_does(roads, name, form):
    data, weight = as_pyg(roads, **{name: form}), "toll" if name == "toll" else "weight"
    for solver in (exact("dijkstra"), untrained("dijkstra")):
        by_name = solver.run(roads, source="a", weight="miles")
        for source in (2, torch.tensor(2), np.int64(2)):
            found = solver.run(data, source=source, weight=weight)
            assert found.nodes == list(range(7)) and found.confidence == {
                "pi": {by_name.nodes.index(u): p for u, p in by_name.confidence["pi"].items()}
            }
            assert {by_name.nodes[v]: by_name.nodes[u] for v, u in found.outputs["pi"].items()} == by_name.outputs["pi"]


def test_pyg_directions_and_absent_weights(roads):
    one_way = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=4)
    assert exact("bfs").run(one_way, source=1).outputs["pi"] == {0: 2, 1: 1, 2: 1, 3: 3}
    hops = exact("dijkstra").run(one_way, source=1)
    assert hops.hints["d"][-1].tolist() == [2.0, 0.0, 1.0, 0.0]
    weighed = Data(edge_index=one_way.edge_index, edge_attr=torch.tensor([5.0, 6.0, 7.0]), num_nodes=4)
    assert exact("dijkstra").run(weighed, source=1).hints["d"][-1].tolist() == [13.0, 0.0, 6.0, 0.0]
    same = exact("dijkstra").run(weighed, source=1, weight=None)
    assert same.hints["d"][-1].tolist() == [2.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"edge_index": [[0], [3]]}, {}, r"edge_index must hold indices of the 2 nodes, got 0 to 3"),
        ({"edge_index": [[0, 0], [1, 1]]}, {}, "edge_index holds an edge twice"),
        ({"edge_index": [0, 1]}, {}, r"in shape \[2, E\], got shape \[2\]"),
        ({"edge_index": [[0], [1]], "edge_attr": [[1.0, 2.0]]}, {}, r"one number for each of the 1 edges, got shape"),
        ({"edge_index": [[0], [1]], "edge_attr": [0.0]}, {}, r"weight of edge \(0, 1\) must be a finite number other"),
        ({"edge_index": [[0], [1]], "edge_attr": [float("nan")]}, {}, r"weight of edge \(0, 1\) .* got nan"),
        ({"edge_index": [[0], [1]]}, {"weight": "toll"}, "the graph has no attribute 'toll'"),
        ({}, {}, "graph has no edge_index"),
    ],
)
def test_pyg_graphs_that_do_not_fit(data, options, message):
    graph = Data(num_nodes=2, **{name: torch.tensor(value) for name, value in data.items()})
    with pytest.raises(ValueError, match=message):
        untrained("dijkstra").run(graph, source=0, **options)


def test_matrices_of_every_kind(roads):
    A = nx.to_numpy_array(roads, weight="miles")
    expected = untrained("bellman_ford").run(A, source=0)
    for same in (A.tolist(), torch.tensor(A), scipy.sparse.csr_matrix(A), scipy.sparse.coo_array(A)):
        found = untrained("bellman_ford").run(same, source=0)
        assert found.outputs == expected.outputs and found.confidence == expected.confidence
    values = [0.5, 0.25, 0.75]
    assert perfect("minimum").run(torch.tensor(values)).outputs == perfect("minimum").run(values).outputs == {"min": 1}


class Frame:
    """What pandas' DataFrame has that is used of it: labels, columns by list, numbers."""

    def __init__(self, values, index, columns):
        self.values, self.index, self.columns = np.asarray(values), list(index), list(columns)

    def __getitem__(self, columns):
        return Frame(self.values[:, [self.columns.index(c) for c in columns]], self.index, columns)

    def to_numpy(self):
        return self.values


class Series:
    """The same of pandas' Series."""

    def __init__(self, values, index):
        self.values, self.index = np.asarray(values), list(index)

    def to_numpy(self):
        return self.values


CHAIN = np.array([[0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]])
TENSOR = torch.tensor(CHAIN)
SCIPY = [getattr(scipy.sparse, f"{kind}_array") for kind in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")]
DUPLICATES = scipy.sparse.coo_array(([0.2, 0.3, 0.5, 0.25, 0.25], ([0, 0, 1, 1, 2], [1, 1, 0, 2, 1])), shape=(3, 3))


@pytest.mark.parametrize(
    "graph",
    [
        *(kind(CHAIN) for kind in SCIPY),
        DUPLICATES,  # which are sums, as for scipy
        TENSOR.to_sparse_coo(),
        TENSOR.to_sparse_csr(),
        TENSOR.to_sparse_csc(),
        TENSOR.to_sparse_bsr((1, 1)),
        torch.nn.functional.pad(TENSOR, (0, 1, 0, 1)).to_sparse_bsc((2, 2)),  # blocks are filled up with zeros
        np.ma.masked_equal(np.where(CHAIN == 0, 9.0, CHAIN), 9),
        np.ma.array(CHAIN, mask=(CHAIN == 0) & ~np.eye(3, dtype=bool)),  # no way from a node to itself
        TENSOR.bfloat16(),
        TENSOR.half(),
        TENSOR.clone().requires_grad_(),
        CHAIN.astype(np.float16),
        [torch.tensor(row, dtype=torch.bfloat16) for row in CHAIN],
        [[Decimal(str(x)) for x in row] for row in CHAIN],
        np.matrix(CHAIN),
        Frame(CHAIN, range(3), range(3)),
        Data(edge_index=torch.tensor(CHAIN).nonzero().T, edge_attr=torch.tensor([0.5, 0.5, 0.25, 0.25]).bfloat16()),
    ],
    ids=lambda graph: f"{type(graph).__name__} {getattr(graph, 'layout', '')} {getattr(graph, 'dtype', '')}",
)
def test_containers_mean_what_they_mean_to_their_owners(graph):
    """From node 2 it is 0.25 to node 1 and 0.75 to node 0; by name, `A`, the same."""
    for found in (exact("dijkstra").run(graph, source=2), exact("dijkstra").run(A=graph, s=2)):
        assert found.hints["d"][-1][:3].tolist() == [0.75, 0.25, 0.0]
        assert [found.outputs["pi"][v] for v in range(3)] == [1, 2, 2]


@pytest.mark.parametrize("kind", [Decimal, Fraction, torch.tensor, np.array, np.float16, lambda w: torch.tensor([w])])
def test_weights_of_edges_are_anything_that_is_one_number(kind):
    graph = nx.DiGraph([("a", "b", {"weight": kind(0.5)}), ("b", "b", {"weight": kind(3.0)}), ("b", "c")])
    assert exact("dijkstra").run(graph, source="a").hints["d"][-1].tolist() == [0.0, 0.5, 1.5]


def test_labels_of_frames_and_series_are_names_of_nodes(roads):
    shuffled = Frame(CHAIN[:, [2, 0, 1]], ["x", "y", "z"], ["z", "x", "y"])
    assert exact("dijkstra").run(shuffled, source="z").outputs["pi"] == {"x": "y", "y": "z", "z": "z"}
    assert perfect("minimum").run(Series([3, 1, 2], "abc")).outputs == {"min": "b"}
    drawn = np.random.RandomState(0).uniform(size=7)
    by_label = Series(drawn[::-1], list(roads)[::-1])
    solver = perfect("maximal_independent_set")
    assert solver.run(roads, randomness=by_label).outputs == solver.run(roads, randomness=list(drawn)).outputs


def test_arrays_of_every_kind():
    solver = perfect("minimum")
    for values in (
        torch.tensor([1.5, 0.5]).bfloat16(),
        torch.tensor([1.5, 0.5]).to_sparse(),
        torch.quantize_per_tensor(torch.tensor([1.5, 0.5]), 0.5, 0, torch.qint8),
        [Decimal("1.5"), Fraction(1, 2)],
        [torch.tensor(1.5), torch.tensor(0.5).bfloat16()],
        np.ma.array([1.5, 0.5], mask=False),
    ):
        assert solver.run(values).outputs == {"min": 1}
    for x in (torch.tensor(0.2), Decimal("0.2"), np.float16(0.2)):
        assert perfect("binary_search").run([0.1, 0.3], x=x).outputs == {"return": 1}


def hetero():
    data = HeteroData()
    data["road", "to", "road"].edge_index = torch.tensor([[0], [1]])
    return data


@pytest.mark.parametrize(
    ("name", "graph", "message"),
    [
        (
            "dijkstra",
            [(0, 1, 0.5), (1, 2, 0.25), (0, 2, 0.9)],
            "a list of tuples, which looks like edges: give a net",
        ),
        ("dijkstra", {(0, 1), (1, 0)}, "looks like edges"),
        ("dijkstra", {"a": {"b": 1}}, r"graph is a dict: give networkx.Graph\(graph\)"),
        (
            "dijkstra",
            EdgeIndex([[0, 1], [1, 0]], sparse_size=(2, 2)),
            r"EdgeIndex: give Data\(edge_index=",
        ),
        ("dijkstra", hetero(), r"HeteroData, .*data.to_homogeneous\(\) joins them"),
        ("minimum", hetero(), "takes an array of numbers, got a graph"),
        (
            "dijkstra",
            scipy.sparse.csr_array(([0.0, 0.5], ([0, 0], [1, 2])), shape=(3, 3)),
            r"a weight of 0 for the edge \(0, 1\), and 0 means no edge",
        ),
        (
            "bfs",
            torch.sparse_coo_tensor([[2], [0]], [0.0], (3, 3), check_invariants=True),
            r"a weight of 0 for the edge \(2, 0\)",
        ),
        ("dijkstra", np.ma.array([[0, 1.0], [0, 0]], mask=False), r"a weight of 0 for the edge \(1, 0\)"),
        ("dijkstra", Frame(CHAIN, "abc", "abd"), "rows and columns must have the same labels"),
        ("dijkstra", Frame([[0, 1, 0.5]], [0], ["source", "target", "weight"]), "from_pandas_edgelist"),
        ("dijkstra", TENSOR + 0j, "graph must be an array of integers or floats, got dtype complex128"),
        ("dijkstra", object(), "graph must be an array of integers or floats, got a object"),
        ("minimum", np.ma.array([1.0, 0.0], mask=[0, 1]), "A must have no masked entries"),
        ("minimum", [None, 1.0], "A must be an array of integers or floats, got dtype object"),
    ],
)
def test_containers_that_could_mean_something_else_are_refused(name, graph, message):
    with pytest.raises(ValueError, match=message) as error:
        untrained(name, "deepsets").run(graph, **({"source": 0} if name != "minimum" else {}))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="run_many takes a list of graphs, got a single one"):
        untrained("dijkstra", "deepsets").run_many(Frame(CHAIN, "abc", "abc"), source=["a"])
