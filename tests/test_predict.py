"""Predictions on graphs of one's own: names in, names out; a reasoner that is never wrong must agree with networkx."""

import dataclasses
import itertools
import sys

import networkx as nx
import numpy as np
import pytest
import torch

import nar
from nar import checkpoint
from nar.batch import collate, training_spec
from nar.config import Config
from nar.decode import feed_back, log_sinkhorn
from nar.predict import _named
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
            return 40.0 * torch.nn.functional.one_hot(truth.long(), probe.classes or batch.nodes).float()

        def moment(s):
            found = {name: logits(name, value[s]) for name, value in batch.hints.items()}
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
    named = _named(Probe(*probe), np.array(values), NODES)
    assert named == expected
    assert type(named) is type(expected)


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
    nar.datasets.get(CONFIG.algo)
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
