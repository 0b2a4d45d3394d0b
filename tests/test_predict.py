"""Predictions on graphs of one's own: names in, names out; a reasoner that is never wrong must agree with networkx."""

import dataclasses
import itertools
import sys

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch_geometric.data import Batch as PygBatch
from torch_geometric.data import Data

import nar
from nar import arguments, checkpoint, evaluate, pyg, references
from nar.batch import collate, training_spec
from nar.config import Config
from nar.decode import feed_back, log_sinkhorn
from nar.naming import named
from nar.reasoner import Reasoner, Rollout
from nar.spec import Probe, Type


class Perfect(Reasoner):
    """Answers with what is in the batch, as logits: every step right, every probability near 1."""

    def forward(self, batch, *, decide_hints=False, **_):
        assert not self.training and decide_hints
        self.seen = batch

        def logits(name, truth):
            probe = batch.spec[name]
            if probe.type is Type.SCALAR:
                return truth.float()
            if probe.type is Type.MASK:
                return 40.0 * truth.float() - 20.0
            return 40.0 * torch.nn.functional.one_hot(truth.long().clamp(min=0), probe.classes or batch.nodes).float()

        def moment(s):
            left = sum(length > s for length in batch.lengths)
            found = {name: logits(name, value[s, :left]) for name, value in batch.hints.items()}
            return feed_back(batch.spec, found, how="hard")

        outputs = {name: logits(name, value) for name, value in batch.outputs.items()}
        return Rollout(outputs, [moment(s + 1) for s in range(batch.steps)])


def perfect(*algorithms):
    return Perfect.build(algorithms, "deepsets", hidden=4)


def untrained(algorithm, processor="mpnn", seed=0, **options):
    torch.manual_seed(seed)
    return Reasoner.build(algorithm, processor, hidden=16, **options)


@pytest.fixture
def roads():
    """Names that are neither sorted nor of one type; ("far", 1) and 7 are an island; weights in `miles`."""
    graph = nx.Graph()
    graph.add_nodes_from(["d", 3, "a", ("far", 1), "c", 7, "b"])
    edges = [("d", 3, 0.2), (3, "a", 0.5), ("d", "a", 0.9), ("a", "c", 0.1), ("c", "b", 0.45), ("d", "b", 0.95)]
    graph.add_weighted_edges_from([*edges, (("far", 1), 7, 0.3)], weight="miles")
    return graph


def path_length(graph, pointers, node, source, weight):
    total = 0.0
    while node != source:
        total += graph[pointers[node]][node][weight]
        node = pointers[node]
    return total


@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra"])
def test_pointers_are_networkx_shortest_paths(roads, name):
    found = perfect(name).run(roads, source="d", weight="miles")
    distances = nx.single_source_dijkstra_path_length(roads, "d", weight="miles")
    assert found.nodes == list(roads) == list(found.outputs["pi"])
    for node in roads:
        if node in distances:
            length = path_length(roads, found.outputs["pi"], node, "d", "miles")
            assert length == pytest.approx(distances[node])
        else:
            assert found.outputs["pi"][node] == node
    assert found.truth == found.outputs
    assert found.correct == {"pi": True} and found.exact and found.valid and found.score == {"pi": 1.0}
    assert min(found.confidence["pi"].values()) > 0.999
    final = {node: d for node, d in zip(found.nodes, found.true_hints["d"][-1], strict=True) if node in distances}
    assert final == pytest.approx(distances)


def test_direction_of_edges_is_kept():
    graph = nx.DiGraph([("x", "y"), ("y", "z"), ("z", "x")])
    pointers = perfect("bfs").run(graph, source="y").outputs["pi"]
    assert pointers == {"x": "z", "y": "y", "z": "y"}
    assert perfect("bfs").run(graph.to_undirected(), source="y").outputs["pi"] == {"x": "y", "y": "y", "z": "y"}


def test_minimum_spanning_tree(roads):
    found = perfect("mst_prim").run(roads, source="a", weight="miles")
    reached = nx.node_connected_component(roads, "a")
    tree = {frozenset(edge) for edge in found.outputs["pi"].items() if edge[0] != edge[1]}
    expected = nx.minimum_spanning_edges(roads.subgraph(reached), weight="miles", data=False)
    assert tree == {frozenset(edge) for edge in expected}


def test_edge_pointers_are_keyed_by_pairs(roads):
    found = perfect("floyd_warshall").run(roads, weight="miles")
    predecessors, _ = nx.floyd_warshall_predecessor_and_distance(roads, weight="miles")
    paths = 0
    for u in roads:
        for v in roads:
            if u != v and v in predecessors[u]:
                paths += 1
                assert found.outputs["Pi"][u, v] == predecessors[u][v]
    assert paths == 5 * 4 + 2 and len(found.outputs["Pi"]) == len(found.confidence["Pi"]) == 49


def test_arrays():
    values = [0.7, 0.1, 0.9, 0.4, 0.2]
    found = perfect("insertion_sort").run(values)
    assert found.outputs["pred"] == found.truth["pred"] == np.argsort(values).tolist() == [1, 4, 3, 0, 2]
    assert found.compact["pred"].tolist() == [3, 1, 0, 4, 1]  # the first points to itself again
    assert np.allclose(found.confidence["pred"], 1.0) and found.exact and found.valid
    least = perfect("minimum").run(np.array(values))
    assert least.outputs == least.truth == {"min": 1} and least.confidence["min"] > 0.999
    assert perfect("minimum").run([5.0]).outputs == {"min": 0}


def test_pointers_that_make_no_list_give_its_beginning():
    reasoner = perfect("insertion_sort")
    forward = reasoner.forward

    def broken(batch, **options):
        rollout = forward(batch, **options)
        row = torch.zeros(4)
        row[0] = 40.0  # the last of 0, 1, 2, 3 says that it comes after 0, as 1 does
        rollout.outputs["pred"][0, 3] = row
        return rollout

    reasoner.forward = broken
    found = reasoner.run([0.1, 0.2, 0.3, 0.4])
    assert len(found.outputs["pred"]) < 4 and found.outputs["pred"][0] == 0
    assert len(found.confidence["pred"]) == len(found.outputs["pred"])
    assert not found.valid and not found.exact and found.truth["pred"] == [0, 1, 2, 3]


def test_a_matrix_is_a_graph_whose_nodes_are_indices(roads):
    A = nx.to_numpy_array(roads, weight="miles")
    by_name = untrained("dijkstra").run(roads, source="a", weight="miles")
    by_index = untrained("dijkstra").run(A, source=2)
    assert by_index.nodes == list(range(7))
    assert [by_name.nodes[u] for u in by_index.outputs["pi"].values()] == list(by_name.outputs["pi"].values())
    same = untrained("dijkstra").run(A=A, s=2)
    assert same.outputs == by_index.outputs and same.confidence == by_index.confidence


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "mst_prim"])
def test_renaming_nodes_renames_the_prediction(roads, name):
    names = {node: f"node {i * i % 13}" for i, node in enumerate(roads)}
    renamed = nx.relabel_nodes(roads, names)
    options = {} if name == "bfs" else {"weight": "miles"}
    first = untrained(name, seed=2).run(roads, source="c", **options)
    second = untrained(name, seed=2).run(renamed, source=names["c"], **options)
    assert second.outputs["pi"] == {names[u]: names[v] for u, v in first.outputs["pi"].items()}
    assert second.truth["pi"] == {names[u]: names[v] for u, v in first.truth["pi"].items()}
    assert second.confidence["pi"] == {names[u]: p for u, p in first.confidence["pi"].items()}
    for hint, value in first.hints.items():
        assert (second.hints[hint] == value).all()
    assert len(set(first.outputs["pi"].values())) > 1  # else the order of names would not matter


def test_weights_are_used_where_there_are_any(roads):
    reasoner = perfect("bfs")
    far = nx.Graph()
    far.add_nodes_from(roads)
    far.add_weighted_edges_from((u, v, -5.0) for u, v in roads.edges)
    reasoner.run(far, source="a")
    seen = reasoner.seen.inputs["A"]
    reasoner.run(nx.to_numpy_array(roads, weight="miles"), source=2)
    assert set(seen.unique().tolist()) == {0.0, 1.0} and torch.equal(reasoner.seen.inputs["A"], seen)
    reasoner = perfect("dijkstra")
    reasoner.run(roads, source="a", weight="miles")
    assert (reasoner.seen.inputs["A"][0] == torch.tensor(nx.to_numpy_array(roads, weight="miles")).float()).all()
    reasoner.run(roads, source="a")  # no edge has a `weight`
    assert torch.equal(reasoner.seen.inputs["A"], seen)


def test_what_is_predicted_is_what_the_rollout_decodes():
    """Against the tensors themselves, for every algorithm: argmax, probabilities and hints, step by step."""
    for name in nar.datasets.names():
        algorithm = nar.datasets.get(name)
        rng = np.random.RandomState(3)
        while algorithm.run(**(inputs := algorithm.sample(rng, max(6, algorithm.min_nodes)))).length == 1:
            pass  # a hint to predict is wanted
        reasoner = untrained(name, "triplet_gmpnn").eval()
        found = reasoner.run(**inputs)
        trace = algorithm.run(**inputs)
        batch = collate([trace], algorithm)
        with torch.no_grad():
            rollout = reasoner(batch)
        spec = reasoner.specs[name]
        assert found.steps == batch.steps == max(1, trace.length - 1)
        for hint, values in found.hints.items():
            expected = [feed_back(spec, {hint: step[hint]}, how="hard")[hint][0] for step in rollout.hints]
            assert np.array_equal(values, torch.stack(expected).numpy())
            assert np.array_equal(found.true_hints[hint], batch.hints[hint][1:, 0].numpy())
        for output, values in found.compact.items():
            if spec[output].type is not Type.PERMUTATION_POINTER:
                logits = rollout.outputs[output][0]
                if spec[output].type is Type.SCALAR:
                    assert values == logits.numpy()
                    continue
                if spec[output].type is Type.MASK:
                    logits = torch.stack([torch.zeros_like(logits), logits], -1)  # their softmax is the sigmoid
                assert np.array_equal(values, logits.argmax(-1).numpy())
                confidence = found.confidence[output]
                listed = list(confidence.values()) if isinstance(confidence, dict) else [confidence]
                assert np.allclose(listed, logits.softmax(-1).amax(-1).flatten().numpy(), atol=1e-6)


def test_confidence_in_an_order():
    """That the first element is the first, then that each comes after the one before it."""
    reasoner = untrained("insertion_sort", seed=3).eval()
    values = [0.3, 0.1, 0.2, 0.9]
    found = reasoner.run(values)
    order = found.outputs["pred"]
    algorithm = nar.datasets.get("insertion_sort")
    with torch.no_grad():
        rollout = reasoner(collate([algorithm.run(A=values)], algorithm))
    first = rollout.outputs["pred_mask"][0].softmax(-1)
    links = log_sinkhorn(rollout.outputs["pred"], 50).exp()[0]
    expected = [first[order[0]], *(links[v, u] for u, v in itertools.pairwise(order))]
    assert found.confidence["pred"] == [p.item() for p in expected] and len(order) > 1


def test_steps_can_be_chosen(roads):
    reasoner = untrained("bellman_ford")
    options = {"source": "d", "weight": "miles"}
    whole = reasoner.run(roads, **options)
    assert whole.steps == 3
    short, long = (reasoner.run(roads, steps=steps, **options) for steps in (2, 9))
    for name in whole.hints:
        assert len(short.hints[name]) == len(short.true_hints[name]) == 2 and len(long.hints[name]) == 9
        assert np.array_equal(short.hints[name], whole.hints[name][:2])
        assert np.array_equal(long.hints[name][:3], whole.hints[name])
        assert np.array_equal(long.true_hints[name][:3], whole.true_hints[name])
        assert (long.true_hints[name][3:] == whole.true_hints[name][2]).all()
    same = reasoner.run(roads, steps=3, **options)
    assert same.outputs == whole.outputs and same.confidence == whole.confidence
    assert long.confidence != whole.confidence != short.confidence
    assert long.truth == short.truth == whole.truth


def test_a_model_without_hints_predicts_none(roads):
    found = untrained("bfs", hint_mode="none").run(roads, source="a")
    assert found.hints == {} and set(found.true_hints) == {"reach_h", "pi_h"}


def test_a_single_node():
    graph = nx.Graph()
    graph.add_node("alone")
    for name in ("bellman_ford", "bfs", "dijkstra", "mst_prim", "dag_shortest_paths"):
        found = untrained(name).run(graph, source="alone")
        assert found.outputs["pi"] == {"alone": "alone"} and found.valid
        assert all(len(value) == found.steps for value in found.hints.values())


def test_run_leaves_no_trace_on_the_reasoner(roads):
    reasoner = untrained("bfs").train()
    before = torch.get_rng_state()
    found = reasoner.run(roads, source="a")
    assert reasoner.training and torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in reasoner.parameters())
    assert reasoner.eval().run(roads, source="a").confidence == found.confidence


def test_several_algorithms(roads):
    reasoner = perfect("bfs", "dijkstra")
    assert reasoner.run(roads, source="a", algorithm="dijkstra", weight="miles").algorithm == "dijkstra"
    with pytest.raises(
        ValueError, match=r"^algorithm must be given, this reasoner has learned several: bfs, dijkstra$"
    ):
        reasoner.run(roads, source="a")
    with pytest.raises(
        ValueError, match=r"unknown algorithm 'bf'; did you mean 'bfs'\? \(this reasoner has learned bfs"
    ):
        reasoner.run(roads, source="a", algorithm="bf")


NODES = ["p", "q"]


@pytest.mark.parametrize(
    ("probe", "values", "expected"),
    [
        (("output", "node", "mask"), [1, -1], {"p": True, "q": None}),
        (("output", "node", "categorical", 3), [2, -1], {"p": 2, "q": None}),
        (("output", "node", "scalar"), [0.5, -1.0], {"p": 0.5, "q": -1.0}),
        (("output", "node", "mask_one"), 1, "q"),
        (("output", "node", "pointer"), [1, 1], {"p": "q", "q": "q"}),
        (("output", "edge", "mask_one"), [1, 0], {"p": "q", "q": "p"}),
        (
            ("output", "edge", "mask"),
            [[0, 1], [1, 1]],
            {("p", "p"): False, ("p", "q"): True, ("q", "p"): True, ("q", "q"): True},
        ),
        (
            ("output", "edge", "pointer"),
            [[0, 0], [1, 0]],
            {("p", "p"): "p", ("p", "q"): "p", ("q", "p"): "q", ("q", "q"): "p"},
        ),
        (("output", "graph", "scalar"), 2.5, 2.5),
        (("output", "graph", "mask"), 1, True),
        (("output", "node", "permutation_pointer"), [1, 1], ["q", "p"]),
    ],
)
def test_names_for_every_kind_of_output(probe, values, expected):
    found = named(Probe(*probe), np.array(values), NODES)
    assert found == expected
    assert type(found) is type(expected)


def test_printed(roads):
    found = perfect("bfs").run(roads, source="d")
    assert repr(found) == f"Prediction(bfs, nodes=7, steps={found.steps}, pi: 7 of 7 right, valid)"
    assert str(found).startswith(
        f"bfs, 7 nodes, {found.steps} steps: a right answer\n  pi: 7 of 7 right\n    'd' -> 'd'"
    )
    wrong = dataclasses.replace(found, outputs={"pi": found.outputs["pi"] | {"b": 3}})
    assert str(wrong).splitlines()[2] == "    'b' -> 3 (100%), the algorithm's: 'd'"  # wrong ones come first
    larger = perfect("bfs").run(nx.path_graph(30), source=0)
    assert str(larger).splitlines()[-1] == "    ... and 22 more"
    assert str(perfect("insertion_sort").run([2.0, 1.0])).endswith("pred: 2 of 2 right\n    [1, 0]")


def one_edge(weight):
    return nx.Graph([("a", "b", {"weight": weight})])


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


CONFIG = Config(algo="bellman_ford", processor="triplet_gmpnn", hidden=16, triplet_features=4, seed=5)


@pytest.fixture
def run_dir(tmp_path):
    """A run directory whose two checkpoints differ; no training needed."""
    nar.datasets.get("bellman_ford")
    reasoner = Reasoner.from_config(CONFIG)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("best.pt", "last.pt"):
        checkpoint.save(folder / name, {"model": reasoner.state_dict(), "config": CONFIG.to_dict()})
        with torch.no_grad():
            for parameter in reasoner.parameters():
                parameter.add_(0.05)
    return folder


def test_loaded_equals_what_was_saved_bit_for_bit(run_dir, roads):
    options = {"source": "d", "weight": "miles"}
    reasoner = Reasoner.from_config(CONFIG)
    expected = reasoner.run(roads, **options)
    before = torch.get_rng_state()
    best = nar.load(run_dir)
    assert torch.equal(torch.get_rng_state(), before) and not best.training
    found = best.run(roads, **options)
    assert found.outputs == expected.outputs and found.confidence == expected.confidence
    assert all((found.hints[name] == value).all() for name, value in expected.hints.items())
    for path in (str(run_dir), run_dir / "best.pt"):
        assert nar.load(path).run(roads, **options).confidence == expected.confidence
    last = nar.load(run_dir, "last").run(roads, **options)
    assert last.confidence != expected.confidence
    assert nar.load(run_dir / "last.pt").run(roads, **options).confidence == last.confidence


def test_files_that_cannot_be_loaded(run_dir, tmp_path):
    for path, message in (
        (tmp_path / "nowhere", r"no checkpoint .*nowhere.best\.pt"),
        (tmp_path / "nowhere.pt", r"no checkpoint .*nowhere\.pt"),
        (tmp_path, r"no checkpoint .*best\.pt"),
    ):
        with pytest.raises(ValueError, match=message):
            nar.load(path)
    with pytest.raises(ValueError, match="unknown checkpoint 'first'; known: best, last"):
        nar.load(run_dir, "first")
    whole = (run_dir / "best.pt").read_bytes()
    for content, message in ((whole[:1000], "truncated or not a checkpoint"), (b"", "truncated")):
        (run_dir / "best.pt").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            nar.load(run_dir)
    torch.save({"model": {}}, run_dir / "best.pt")
    with pytest.raises(ValueError, match="not a checkpoint of nar"):
        nar.load(run_dir)
    checkpoint.save(run_dir / "best.pt", {"model": {}})
    with pytest.raises(ValueError, match="holds no reasoner"):
        nar.load(run_dir)
    checkpoint.save(run_dir / "best.pt", {"model": {}, "config": CONFIG.to_dict()})
    with pytest.raises(ValueError, match="do not fit bellman_ford with MPNN"):
        nar.load(run_dir)
    newer = CONFIG.to_dict() | {"temperature": 1.0}
    checkpoint.save(run_dir / "best.pt", {"model": {}, "config": newer})
    with pytest.raises(ValueError, match="unknown settings temperature: this run was made by another version"):
        nar.load(run_dir)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is absent")
def test_a_device_that_is_absent(run_dir):
    with pytest.raises(ValueError, match="no CUDA device"):
        nar.load(run_dir, device="cuda")


def test_own_processor_is_imported_again(tmp_path, monkeypatch):
    source = (
        "import nar\n"
        "class Still(nar.Processor):\n"
        "    uses_history = False\n"
        "    def forward(self, step, state):\n"
        "        return step.nodes\n"
    )
    (tmp_path / "still_module.py").write_text(source)
    config = dataclasses.replace(CONFIG, processor="still_module:Still", triplet_features=8)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        reasoner = Reasoner.from_config(config)
        checkpoint.save(tmp_path / "best.pt", {"model": reasoner.state_dict(), "config": config.to_dict()})
        loaded = nar.load(tmp_path)
        assert type(loaded.processor).__name__ == "Still"
        expected = reasoner.run(nx.path_graph(4), source=0).confidence
        assert loaded.run(nx.path_graph(4), source=0).confidence == expected
    del sys.modules["still_module"]
    with pytest.raises(ValueError, match="no module named 'still_module'; run from the folder that holds it"):
        nar.load(tmp_path)


def test_reference_spec_is_the_trained_one():
    assert untrained("minimum").specs["minimum"] == training_spec(nar.datasets.get("minimum"))


# Other forms of input


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
    for reasoner in (references.compiled("dijkstra"), untrained("dijkstra")):
        by_name = reasoner.run(roads, source="a", weight="miles")
        for source in (2, torch.tensor(2), np.int64(2)):
            found = reasoner.run(data, source=source, weight=weight)
            assert found.nodes == list(range(7)) and found.confidence == {
                "pi": {by_name.nodes.index(u): p for u, p in by_name.confidence["pi"].items()}
            }
            assert {by_name.nodes[v]: by_name.nodes[u] for v, u in found.outputs["pi"].items()} == by_name.outputs["pi"]


def test_pyg_directions_and_absent_weights(roads):
    one_way = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=4)
    assert references.compiled("bfs").run(one_way, source=1).outputs["pi"] == {0: 2, 1: 1, 2: 1, 3: 3}
    hops = references.compiled("dijkstra").run(one_way, source=1)
    assert hops.hints["d"][-1].tolist() == [2.0, 0.0, 1.0, 0.0]
    weighed = Data(edge_index=one_way.edge_index, edge_attr=torch.tensor([5.0, 6.0, 7.0]), num_nodes=4)
    assert references.compiled("dijkstra").run(weighed, source=1).hints["d"][-1].tolist() == [13.0, 0.0, 6.0, 0.0]
    same = references.compiled("dijkstra").run(weighed, source=1, weight=None)
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


@pytest.mark.parametrize("name", nar.datasets.names())
def test_a_trace_is_its_inputs(name):
    """As a trace, as PyG data, and argument by argument: the same prediction, for every algorithm."""
    algorithm = nar.datasets.get(name)
    inputs = algorithm.sample(np.random.RandomState(3), max(6, algorithm.min_nodes))
    trace = algorithm.run(**inputs)
    reasoner = untrained(name, "deepsets")
    expected = reasoner.run(**inputs)
    for same in (trace, pyg.to_data(trace)):
        found = reasoner.run(same)
        assert found.outputs == expected.outputs and found.confidence == expected.confidence
    assert [t.length for t in (expected.trace, expected.true_trace)] == [expected.steps + 1, trace.length]


def test_numbers_of_nodes_by_name(roads):
    drawn = dict(zip(roads, np.random.RandomState(0).uniform(size=7), strict=True))
    reasoner = perfect("maximal_independent_set")
    chosen = reasoner.run(roads, randomness=dict(reversed(drawn.items()))).outputs
    assert chosen == reasoner.run(roads, randomness=list(drawn.values())).outputs
    (marked,) = chosen.values()
    inside = {node for node, is_in in marked.items() if is_in}
    assert not any(roads.has_edge(u, v) for u in inside for v in inside)
    assert all(node in inside or set(roads[node]) & inside for node in roads)
    with pytest.raises(ValueError, match="randomness must have a value for each of the 7 nodes, got 1"):
        reasoner.run(roads, randomness={"a": 0.5})


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


# Several at once


def mixed(count=9):
    """Connected graphs of three sizes with names of their own, in no order of size, and a source in each."""
    graphs = []
    for i in range(count):
        graph = nx.gnp_random_graph(4 + 3 * (i % 3), 0.5, seed=i)
        nx.add_path(graph, range(len(graph)))
        for k, (u, v) in enumerate(graph.edges):
            graph[u][v]["weight"] = 1 + (7 * k + i) % 11
        graphs.append(nx.relabel_nodes(graph, {v: (i, "xyz"[v % 3] + str(v)) for v in graph}))
    return graphs, [list(graph)[i % len(graph)] for i, graph in enumerate(graphs)]


def same_prediction(one, other, rtol=1e-5):
    assert one.outputs == other.outputs and one.truth == other.truth and one.nodes == other.nodes
    assert (one.steps, one.valid, one.correct) == (other.steps, other.valid, other.correct)
    for name, sure in one.confidence.items():
        sure = [list(c.values()) if isinstance(c, dict) else c for c in (sure, other.confidence[name])]
        np.testing.assert_allclose(*sure, rtol=rtol, atol=1e-6)
    for hints in ("hints", "true_hints"):
        mine, yours = getattr(one, hints), getattr(other, hints)
        assert mine.keys() == yours.keys()
        for name, value in mine.items():
            np.testing.assert_allclose(value, yours[name], rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("make", [references.compiled, lambda name: untrained(name, "triplet_gmpnn").double()])
def test_each_of_a_batch_is_answered_as_if_alone(make, steps):
    reasoner = make("dijkstra")
    graphs, sources = mixed()
    together = reasoner.run_many(graphs, source=sources, steps=steps)
    assert len({(len(found.nodes), found.steps) for found in together}) >= 3
    for graph, source, found in zip(graphs, sources, together, strict=True):
        same_prediction(found, reasoner.run(graph, source=source, steps=steps))
    backwards = reasoner.run_many(graphs[::-1], source=sources[::-1], steps=steps)
    for one, other in zip(together, backwards[::-1], strict=True):
        same_prediction(one, other)


def test_a_batch_gives_networkx_shortest_paths(monkeypatch):
    monkeypatch.setattr(evaluate, "TENSOR_BYTES", 2000)  # several batches of one size
    graphs, sources = mixed()
    reasoner = references.compiled("bellman_ford")
    for graph, source, found in zip(graphs, sources, reasoner.run_many(graphs, source=sources), strict=True):
        distances = nx.single_source_dijkstra_path_length(graph, source)
        for node in graph:
            assert path_length(graph, found.outputs["pi"], node, source, "weight") == distances[node]
        assert found.valid


def test_traces_of_one_moment_among_longer_ones():
    lonely, path = nx.empty_graph(4), nx.path_graph(4)
    found = untrained("bfs").run_many([path, lonely, path], source=[0, 0, 1])
    assert [p.steps for p in found] == [3, 1, 2]
    for prediction, graph, source in zip(found, (path, lonely, path), (0, 0, 1), strict=True):
        same_prediction(prediction, untrained("bfs").run(graph, source=source))


def test_batches_of_other_inputs():
    sizes = [5, 3, 5]
    arrays = [np.random.RandomState(i).uniform(size=n) for i, n in enumerate(sizes)]
    for values, found in zip(arrays, perfect("insertion_sort").run_many(arrays), strict=True):
        assert found.outputs["pred"] == np.argsort(values).tolist()
    texts, patterns = [[0, 1, 1, 2], [2, 2, 1]], [[1, 2], [2, 1]]
    matches = perfect("naive_string_matcher").run_many(T=texts, P=patterns)
    assert [found.outputs["match"] for found in matches] == [2, 1]
    traces = [nar.datasets.get("minimum").run(A=values) for values in arrays]
    for data in (traces, pyg.to_batch(traces)):
        found = perfect("minimum", "bfs").run_many(data)
        assert [p.outputs["min"] for p in found] == [int(values.argmin()) for values in arrays]
    plain = PygBatch.from_data_list([Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=n) for n in (2, 3)])
    assert [p.outputs["pi"] for p in perfect("bfs").run_many(plain, source=[0, 2])] == [
        {0: 0, 1: 0},
        {0: 0, 1: 1, 2: 2},
    ]
    assert perfect("minimum").run_many([]) == []


@pytest.mark.parametrize(
    ("graphs", "options", "message"),
    [
        ([nx.path_graph(2)], {"source": 0}, "source must be a list with one entry for each of the 1 graphs, got 0"),
        ([nx.path_graph(2)], {"source": [0, 1]}, "source must be a list .* 1 graphs, got 2 entries"),
        ([nx.path_graph(2)] * 2, {"source": (0, 1)}, r"source must be a list .* got \(0, 1\)"),
        ([nx.path_graph(2)] * 2, {"source": [0, 7]}, r"graph 1: source must be one of .* \[0, 1\], got 7"),
        ([nx.path_graph(2)] * 2, {}, "graph 0: bfs needs a source"),
        (nx.path_graph(2), {"source": [0]}, r"run_many takes a list of graphs, got a single one; run takes that"),
        (None, {}, "run_many takes a list of graphs or arrays, or lists of inputs by name; got none"),
    ],
)  # fmt: skip
def test_batches_that_cannot_be(graphs, options, message):
    with pytest.raises(ValueError, match=message):
        untrained("bfs").run_many(graphs, **options)


# The answer as a graph, and the trace


def test_predicted_pointers_as_a_graph(roads):
    found = references.compiled("dijkstra").run(roads, source="d", weight="miles")
    tree = found.to_networkx()
    assert list(tree) == list(roads) and nx.is_forest(tree)
    distances = nx.single_source_dijkstra_path_length(roads, "d", weight="miles")
    assert nx.descendants(tree, "d") == distances.keys() - {"d"}
    for node, distance in distances.items():
        assert nx.path_weight(roads, nx.shortest_path(tree, "d", node), "miles") == pytest.approx(distance)
    assert tree.edges["d", 3]["confidence"] == found.confidence["pi"][3]
    with pytest.raises(ValueError, match="unknown output 'p'; did you mean 'pi'"):
        found.to_networkx("p")
    with pytest.raises(ValueError, match="minimum has no output that points from node to node"):
        perfect("minimum").run([1.0, 2.0]).to_networkx()


@pytest.mark.parametrize("name", nar.datasets.names())
def test_the_trace_of_a_perfect_reasoner_is_the_trace(name):
    algorithm = nar.datasets.get(name)
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(1), max(6, algorithm.min_nodes)))
    found = perfect(name).run(trace)
    assert found.first_error is None and found.trace.spec == trace.spec
    for probe in trace.spec:
        mine, true = np.asarray(found.trace.compact[probe]), np.asarray(trace.compact[probe])
        if probe in trace.spec.hints and trace.length == 1:
            true = np.repeat(true, 2, 0)
        assert mine.dtype == true.dtype
        decided = true != -1 if trace.spec[probe].type in (Type.MASK, Type.CATEGORICAL) else ...
        np.testing.assert_allclose(mine[decided], true[decided], rtol=1e-6)


def test_the_first_error(roads):
    """The model's hints by hand: a mask wrong at step 2, a number wrong at step 1, which does not count."""
    found = references.compiled("bellman_ford").run(roads, source="d", weight="miles")
    assert found.first_error is None and found.steps >= 2
    hints = {name: value.copy() for name, value in found.hints.items()}
    hints["d"][0] += 9
    assert dataclasses.replace(found, hints=hints).first_error is None
    hints["msk"][1, 3] = 1 - hints["msk"][1, 3]
    wrong = dataclasses.replace(found, hints=hints)
    assert wrong.first_error == 2
    assert wrong.trace.compact["msk"][2, 3] != found.trace.compact["msk"][2, 3]


# Without the oracle


@pytest.mark.parametrize("name", ["bfs", "bellman_ford"])
def test_a_reference_finds_its_end(name):
    """It stops after the first step that changes nothing: the one after those that are needed, or the last of them."""
    graphs, sources = mixed(6)
    graphs, sources = [*graphs, nx.path_graph(7)], [*sources, 0]
    reasoner = references.compiled(name)
    together = reasoner.run_many(graphs, source=sources, termination="fixed_point")
    for graph, source, found in zip(graphs, sources, together, strict=True):
        needed = found.true_trace.length - 1
        assert found.steps in (needed, needed + 1) and found.exact and found.valid and found.first_error is None
        assert len(found.trace.compact["pi_h"]) == found.steps + 1
        same_prediction(found, reasoner.run(graph, source=source, termination="fixed_point"))
    assert len({found.steps for found in together}) > 1


def test_the_latest_end_is_the_same_alone_and_in_a_batch():
    reasoner = untrained("dijkstra").double()  # never comes to rest
    graphs, sources = mixed()
    together = reasoner.run_many(graphs, source=sources, termination="fixed_point")
    for graph, source, found in zip(graphs, sources, together, strict=True):
        same_prediction(found, reasoner.run(graph, source=source, termination="fixed_point"))
    short = reasoner.run(graphs[0], source=sources[0], termination="fixed_point", steps=2)
    assert short.steps <= 2
    with pytest.raises(ValueError, match="unknown termination 'fixed'; did you mean 'fixed_point'"):
        reasoner.run(graphs[0], source=sources[0], termination="fixed")
    with pytest.raises(ValueError, match="termination learned needs a halting head"):
        reasoner.run(graphs[0], source=sources[0], termination="learned")


def test_a_halting_head_ends_the_run(roads):
    reasoner = untrained("dijkstra", halting="supervised")
    head = reasoner.halting_head("dijkstra")
    for bias, expected in ((9.0, 1), (-9.0, 5)):
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.zero_()
            head.graph.bias.fill_(bias)
        found = reasoner.run(roads, source="a", weight="miles", termination="learned", steps=5)
        assert found.steps == expected == len(found.hints["d"])
