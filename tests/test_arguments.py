"""What a reasoner is asked about: graphs, matrices, traces, inputs by name and by place; what is refused."""

import networkx as nx
import numpy as np
import pytest
import torch
from answers import perfect, untrained
from torch_geometric.data import Batch as PygBatch
from torch_geometric.data import Data

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
