"""A prediction as an object: outputs by name, what is printed, the answer as a graph, its trace beside the true one."""

import dataclasses

import networkx as nx
import numpy as np
import pytest
from answers import exact, perfect

import nar
from nar.inference.prediction import named
from nar.traces.spec import Probe, Type

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


def test_predicted_pointers_as_a_graph(roads):
    found = exact("dijkstra").run(roads, source="d", weight="miles")
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
    found = exact("bellman_ford").run(roads, source="d", weight="miles")
    assert found.first_error is None and found.steps >= 2
    hints = {name: value.copy() for name, value in found.hints.items()}
    hints["d"][0] += 9
    assert dataclasses.replace(found, hints=hints).first_error is None
    hints["msk"][1, 3] = 1 - hints["msk"][1, 3]
    wrong = dataclasses.replace(found, hints=hints)
    assert wrong.first_error == 2
    assert wrong.trace.compact["msk"][2, 3] != found.trace.compact["msk"][2, 3]
