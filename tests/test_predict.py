"""Predictions on graphs of one's own: names in, names out; a reasoner that is never wrong must agree with networkx."""

import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from answers import path_length, perfect, untrained

import nar
from nar.model.batch import collate, training_spec
from nar.model.postprocess import feed_back, log_sinkhorn
from nar.traces.spec import Type


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
    solver = perfect("insertion_sort")
    forward = solver.reasoner.forward

    def broken(batch, **options):
        rollout = forward(batch, **options)
        row = torch.zeros(4)
        row[0] = 40.0  # the last of 0, 1, 2, 3 says that it comes after 0, as 1 does
        rollout.outputs["pred"][0, 3] = row
        return rollout

    solver.reasoner.forward = broken
    found = solver.run([0.1, 0.2, 0.3, 0.4])
    assert len(found.outputs["pred"]) < 4 and found.outputs["pred"][0] == 0
    assert len(found.confidence["pred"]) == len(found.outputs["pred"])
    assert not found.valid and not found.exact and found.truth["pred"] == [0, 1, 2, 3]


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


def test_what_is_predicted_is_what_the_rollout_decodes():
    """Against the tensors themselves, for every algorithm: argmax, probabilities and hints, step by step."""
    for name in nar.datasets.names():
        algorithm = nar.datasets.get(name)
        rng = np.random.RandomState(3)
        while algorithm.run(**(inputs := algorithm.sample(rng, max(6, algorithm.min_nodes)))).length == 1:
            pass  # a hint to predict is wanted
        solver = untrained(name, "triplet_gmpnn")
        reasoner = solver.reasoner.eval()
        found = solver.run(**inputs)
        trace = algorithm.run(**inputs)
        batch = collate([trace], algorithm)
        with torch.no_grad():
            rollout = reasoner(batch)
        spec = reasoner.specs[name]
        assert found.steps == batch.steps == max(1, trace.length - 1)
        for hint, values in found.hints.items():
            expected = [feed_back(spec, {hint: step[hint]}, how="hard")[hint][0] for step in rollout.hints]
            # products need not round alike twice: libraries' kernels depend on where a tensor lies in memory
            np.testing.assert_allclose(values, torch.stack(expected).numpy(), rtol=1e-4, atol=1e-6)
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
    solver = untrained("insertion_sort", seed=3)
    reasoner = solver.reasoner.eval()
    values = [0.3, 0.1, 0.2, 0.9]
    found = solver.run(values)
    order = found.outputs["pred"]
    algorithm = nar.datasets.get("insertion_sort")
    with torch.no_grad():
        rollout = reasoner(collate([algorithm.run(A=values)], algorithm))
    first = rollout.outputs["pred_mask"][0].softmax(-1)
    links = log_sinkhorn(rollout.outputs["pred"], 50).exp()[0]
    expected = [first[order[0]], *(links[v, u] for u, v in itertools.pairwise(order))]
    assert found.confidence["pred"] == [p.item() for p in expected] and len(order) > 1


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
    solver = untrained("bfs")
    reasoner = solver.reasoner.train()
    before = torch.get_rng_state()
    found = solver.run(roads, source="a")
    assert reasoner.training and torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in reasoner.parameters())
    reasoner.eval()
    assert solver.run(roads, source="a").confidence == found.confidence


def test_several_algorithms(roads):
    solver = perfect("bfs", "dijkstra")
    assert solver.run(roads, source="a", algorithm="dijkstra", weight="miles").algorithm == "dijkstra"
    with pytest.raises(
        ValueError, match=r"^algorithm must be given, this reasoner has learned several: bfs, dijkstra$"
    ):
        solver.run(roads, source="a")
    with pytest.raises(
        ValueError, match=r"unknown algorithm 'bf'; did you mean 'bfs'\? \(this reasoner has learned bfs"
    ):
        solver.run(roads, source="a", algorithm="bf")


def test_reference_spec_is_the_trained_one():
    assert untrained("minimum").reasoner.specs["minimum"] == training_spec(nar.datasets.get("minimum"))
