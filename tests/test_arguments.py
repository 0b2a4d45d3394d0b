"""What a reasoner is asked about: graphs of every kind, matrices, arrays, traces, inputs by name; what is refused."""

from decimal import Decimal
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from answers import exact, perfect, untrained
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch as PygBatch
from torch_geometric.data import Data, HeteroData

import nar
from nar.inference import arguments
from nar.traces.formats import pyg


def one_edge(weight):
    return nx.Graph([("a", "b", {"weight": weight})])


def test_a_matrix_is_a_graph_whose_nodes_are_indices(roads):
    A = nx.to_numpy_array(roads, weight="miles")
    by_name = untrained("dijkstra").run(roads, source="a", weight="miles")
    by_index = untrained("dijkstra").run(A, source=2)
    assert by_index.nodes == list(range(7))
    assert [by_name.nodes[u] for u in by_index.outputs["pi"].values()] == list(by_name.outputs["pi"].values())
    same = untrained("dijkstra").run(A=A, s=2)
    assert same.outputs == by_index.outputs and same.confidence == by_index.confidence


def test_weights_are_used_where_there_are_any(roads):
    solver = perfect("bfs")
    far = nx.Graph()
    far.add_nodes_from(roads)
    far.add_weighted_edges_from((u, v, -5.0) for u, v in roads.edges)
    solver.run(far, source="a")
    seen = solver.reasoner.seen.inputs["A"]
    solver.run(nx.to_numpy_array(roads, weight="miles"), source=2)
    assert set(seen.unique().tolist()) == {0.0, 1.0} and torch.equal(solver.reasoner.seen.inputs["A"], seen)
    solver = perfect("dijkstra")
    solver.run(roads, source="a", weight="miles")
    assert (solver.reasoner.seen.inputs["A"][0] == torch.tensor(nx.to_numpy_array(roads, weight="miles")).float()).all()
    solver.run(roads, source="a")  # no edge has a `weight`
    assert torch.equal(solver.reasoner.seen.inputs["A"], seen)


@pytest.mark.parametrize(
    ("name", "graph", "options", "message"),
    [
        ("bfs", one_edge(1.0), {"source": "z"}, r"source must be one of the graph's 2 nodes \['a', 'b'\], got 'z'"),
        ("bfs", one_edge(1.0), {"source": ["a"]}, r"source must be one of the graph's 2 nodes .*, got \['a'\]"),
        (
            "bfs",
            one_edge(1.0),
            {},
            "bfs needs a source: give source=NODE, one of the graph's nodes, such as source='a'",
        ),
        ("bfs", np.eye(2), {"source": 2}, r"source must be one of the graph's 2 nodes \[0, 1\], got 2"),
        ("bfs", nx.Graph(), {"source": "a"}, "graph must have at least one node, got an empty graph"),
        ("bfs", nx.MultiGraph([(0, 1)]), {"source": 0}, "graph must not be a multigraph"),
        ("bfs", np.zeros((0, 0)), {"source": 0}, "graph must be a square matrix with at least one node"),
        ("bfs", np.zeros((2, 3)), {"source": 0}, r"graph must be a square matrix .* got shape \(2, 3\)"),
        ("bfs", "ab", {"source": 0}, "graph must be an array of integers or floats"),
        ("bfs", None, {"source": 0}, "bfs needs a graph, got none"),
        ("bfs", one_edge(1.0), {"source": "a", "s": 0}, "give either source or s, not both"),
        ("bfs", one_edge(1.0), {"source": "a", "A": np.eye(2)}, "give either graph or A, not both"),
        ("bfs", one_edge(1.0), {"sorce": "a"}, "unknown argument 'sorce'; did you mean 'source'?"),
        ("bfs", one_edge(1.0), {"source": "a", "steps": 0}, "steps must be a positive integer, got 0"),
        ("bfs", one_edge(1.0), {"source": "a", "steps": True}, "steps must be a positive integer, got True"),
        ("bfs", one_edge(1.0), {"source": "a", "steps": 2.0}, "steps must be a positive integer, got 2.0"),
        ("dijkstra", one_edge(-1.0), {"source": "a"}, r"dijkstra cannot run on this graph .*A must not be negative"),
        ("dijkstra", one_edge(float("nan")), {"source": "a"}, r"weight of edge \('a', 'b'\) must be a finite number"),
        ("dijkstra", one_edge("far"), {"source": "a"}, r"weight of edge \('a', 'b'\) .* got 'far'"),
        (
            "dijkstra",
            one_edge(1.0),
            {"source": "a", "weight": "miles"},
            "no edge of the graph has an attribute 'miles'",
        ),
        ("dijkstra", np.eye(2), {"source": 0, "weight": "miles"}, "weight='miles' names an edge attribute"),
        ("dijkstra", None, {"A": np.eye(2), "s": 0, "weight": "x"}, "weight='x' names an edge attribute"),
        ("mst_prim", nx.DiGraph([(0, 1)]), {"source": 0}, "mst_prim cannot run on this graph .* must be symmetric"),
        ("dag_shortest_paths", one_edge(1.0), {"source": "a"}, "dag_shortest_paths cannot run .* must be acyclic"),
        ("floyd_warshall", one_edge(1.0), {"source": "a"}, "floyd_warshall takes no source, got source='a'"),
        ("insertion_sort", one_edge(1.0), {}, "insertion_sort takes an array of numbers, got a graph"),
        ("insertion_sort", [], {}, r"insertion_sort cannot run on this array .*A must be a one-dimensional array"),
        ("insertion_sort", [[1.0]], {}, r"A must be a one-dimensional array .* got shape \(1, 1\)"),
        ("insertion_sort", [1.0, 2.0], {"source": 0}, "insertion_sort takes no source"),
        ("minimum", None, {}, "minimum needs an array, got none"),
        ("minimum", [1.0, float("nan")], {}, "A must be finite, got NaN"),
    ],
)
def test_bad_input_is_one_line_that_names_the_argument(name, graph, options, message):
    with pytest.raises(ValueError, match=message) as error:
        untrained(name).run(graph, **options)
    assert "\n" not in str(error.value)


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


@pytest.mark.parametrize("name", nar.datasets.names())
def test_a_trace_is_its_inputs(name):
    """As a trace, as PyG data, and argument by argument: the same prediction, for every algorithm."""
    algorithm = nar.datasets.get(name)
    inputs = algorithm.sample(np.random.RandomState(3), max(6, algorithm.min_nodes))
    trace = algorithm.run(**inputs)
    solver = untrained(name, "deepsets")
    expected = solver.run(**inputs)
    for same in (trace, pyg.to_data(trace)):
        found = solver.run(same)
        assert found.outputs == expected.outputs and found.confidence == expected.confidence
    assert [t.length for t in (expected.trace, expected.true_trace)] == [expected.steps + 1, trace.length]


def test_numbers_of_nodes_by_name(roads):
    drawn = dict(zip(roads, np.random.RandomState(0).uniform(size=7), strict=True))
    solver = perfect("maximal_independent_set")
    chosen = solver.run(roads, randomness=dict(reversed(drawn.items()))).outputs
    assert chosen == solver.run(roads, randomness=list(drawn.values())).outputs
    (marked,) = chosen.values()
    inside = {node for node, is_in in marked.items() if is_in}
    assert not any(roads.has_edge(u, v) for u in inside for v in inside)
    assert all(node in inside or set(roads[node]) & inside for node in roads)
    with pytest.raises(ValueError, match="randomness must have a value for each of the 7 nodes, got 1"):
        solver.run(roads, randomness={"a": 0.5})


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        (
            "naive_string_matcher",
            {},
            r"naive_string_matcher needs T \(the text, characters 0 to 3\) and P \(the pattern to find in it\), "
            r"got none: run\(T=\.\.\., P=\.\.\.\)",
        ),
        ("kmp_matcher", {"T": [0, 1]}, r"kmp_matcher needs P \(the pattern to find in it\), got none"),
        ("binary_search", {}, r"needs x \(the number to find in the array\) and an array, .*: run\(array, x=\.\.\.\)"),
        ("bfs", {}, r"bfs needs a graph and a source, got none: run\(graph, source=NODE\)"),
        ("liveness", {}, r"needs a graph, use \(1 for every block .*\) and define \(1 for"),
        ("activity_selector", {"s": [1.0]}, r"needs f \(when it finishes\), got none: run\(s=\.\.\., f=\.\.\.\)"),
    ],
)
def test_missing_inputs_are_named_with_their_meaning(name, inputs, message):
    with pytest.raises(ValueError, match=message):
        untrained(name, "deepsets").run(**inputs)


def test_every_argument_has_a_meaning():
    for name in nar.datasets.names():
        algorithm = nar.datasets.get(name)
        told = arguments.MEANINGS.get(algorithm.arguments, {}).keys() | {"A"}
        told |= {"s"} if arguments.has_source(algorithm) else set()
        assert set(algorithm.arguments) <= told, name


def test_things_given_by_place():
    with pytest.raises(ValueError, match=r"everything else by name: run\(graph, source=NODE\)"):
        untrained("bfs").run(one_edge(1.0), "a")
    with pytest.raises(
        ValueError, match=r"takes no array alone, but T \(the text.*give these by name, run\(T=\.\.\., P"
    ):
        untrained("naive_string_matcher", "deepsets").run([0, 1, 2])
    with pytest.raises(ValueError, match="a trace holds all inputs, got source beside it"):
        untrained("bfs").run(nar.datasets.get("bfs").run(A=np.eye(2), s=0), source=0)
    with pytest.raises(ValueError, match="this is a trace of minimum, and bfs is asked for"):
        untrained("bfs").run(nar.datasets.get("minimum").run(A=[1.0]), algorithm="bfs")
    batch = PygBatch.from_data_list([Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)] * 2)
    with pytest.raises(ValueError, match="graph is a batch: give it to run_many"):
        untrained("bfs").run(batch, source=0)


@pytest.mark.parametrize("source", [np.int64(1), np.array(1), np.array([1]), torch.tensor(1), torch.tensor([1])])
def test_a_source_may_be_an_array_of_one_number(source):
    A = np.ones((3, 3)) - np.eye(3)
    assert untrained("bfs").run(A, source=source).trace.compact["s"] == 1
