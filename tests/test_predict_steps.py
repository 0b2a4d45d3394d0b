"""How long a prediction goes on: as long as the algorithm, as one says, or until the reasoner finds its own end."""

import networkx as nx
import numpy as np
import pytest
import torch
from answers import exact, mixed, same_prediction, untrained


def test_steps_can_be_chosen(roads):
    solver = untrained("bellman_ford")
    options = {"source": "d", "weight": "miles"}
    whole = solver.run(roads, **options)
    assert whole.steps == 3
    short, long = (solver.run(roads, steps=steps, **options) for steps in (2, 9))
    for name in whole.hints:
        assert len(short.hints[name]) == len(short.true_hints[name]) == 2 and len(long.hints[name]) == 9
        assert np.array_equal(short.hints[name], whole.hints[name][:2])
        assert np.array_equal(long.hints[name][:3], whole.hints[name])
        assert np.array_equal(long.true_hints[name][:3], whole.true_hints[name])
        assert (long.true_hints[name][3:] == whole.true_hints[name][2]).all()
    same = solver.run(roads, steps=3, **options)
    assert same.outputs == whole.outputs and same.confidence == whole.confidence
    assert long.confidence != whole.confidence != short.confidence
    assert long.truth == short.truth == whole.truth


@pytest.mark.parametrize("name", ["bfs", "bellman_ford"])
def test_a_reference_finds_its_end(name):
    """It stops after the first step that changes nothing: the one after those that are needed, or the last of them."""
    graphs, sources = mixed(6)
    graphs, sources = [*graphs, nx.path_graph(7)], [*sources, 0]
    solver = exact(name)
    together = solver.run_many(graphs, source=sources, termination="fixed_point")
    for graph, source, found in zip(graphs, sources, together, strict=True):
        needed = found.true_trace.length - 1
        assert found.steps in (needed, needed + 1) and found.exact and found.valid and found.first_error is None
        assert len(found.trace.compact["pi_h"]) == found.steps + 1
        same_prediction(found, solver.run(graph, source=source, termination="fixed_point"))
    assert len({found.steps for found in together}) > 1


def test_the_latest_end_is_the_same_alone_and_in_a_batch():
    solver = untrained("dijkstra")
    solver.reasoner.double()  # never comes to rest
    graphs, sources = mixed()
    together = solver.run_many(graphs, source=sources, termination="fixed_point")
    for graph, source, found in zip(graphs, sources, together, strict=True):
        same_prediction(found, solver.run(graph, source=source, termination="fixed_point"))
    short = solver.run(graphs[0], source=sources[0], termination="fixed_point", steps=2)
    assert short.steps <= 2
    with pytest.raises(ValueError, match="unknown termination 'fixed'; did you mean 'fixed_point'"):
        solver.run(graphs[0], source=sources[0], termination="fixed")
    with pytest.raises(ValueError, match="termination learned needs a halting head"):
        solver.run(graphs[0], source=sources[0], termination="learned")


def test_a_halting_head_ends_the_run(roads):
    solver = untrained("dijkstra", halting="supervised")
    head = solver.reasoner.halting_head("dijkstra")
    for bias, expected in ((9.0, 1), (-9.0, 5)):
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.zero_()
            head.graph.bias.fill_(bias)
        found = solver.run(roads, source="a", weight="miles", termination="learned", steps=5)
        assert found.steps == expected == len(found.hints["d"])
