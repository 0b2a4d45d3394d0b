"""Where marks have been, as relations see it; and graphs of other families in training."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from nar import datasets, recipes
from nar.config import Config
from nar.model.batch import draw
from nar.model.coders.step_encoder import StepEncoder
from nar.model.options.relations import Relations, marks_of_hints, trail_of
from nar.model.reasoner import Reasoner
from nar.traces.spec import Location, Stage
from nar.training import moments
from nar.training.tasks import tasks, training_batch, training_params


def traces(name, nodes=6, samples=3):
    return draw(datasets.get(name), nodes, samples, seed=(3,), random_pos=False)


def counted(batch, t):
    """By the definition: on which nodes each mark was at any moment before t."""
    found = np.zeros((len(batch), len(marks_of_hints(batch.spec)), batch.nodes), bool)
    for m, name in enumerate(marks_of_hints(batch.spec)):
        for moment in range(t):
            for b in range(len(batch)):
                found[b, m, int(batch.hints[name][moment, b])] = True
    return torch.from_numpy(found)


@pytest.mark.parametrize("name", ["quicksort", "dfs", "quickselect"])
def test_trails_are_where_marks_were_before(name):
    batch = traces(name)
    assert marks_of_hints(batch.spec)
    for t in (0, 1, 5, min(batch.lengths) - 1):
        which = torch.arange(len(batch))
        assert torch.equal(moments.trails(batch, which, torch.full((len(batch),), t)), counted(batch, t)), t


def test_a_rollout_follows_the_same_trails():
    batch = traces("quicksort")
    made = Reasoner.from_config(recipes.config("step", algo=("quicksort",)))
    steps = StepEncoder(made.coders("quicksort")[0], made.processor, batch)
    moments_of_hints = [{name: value[t] for name, value in batch.hints.items()} for t in range(min(batch.lengths))]
    memory = steps.memory()
    for t, (before, hints) in enumerate(itertools.pairwise(moments_of_hints)):
        found = torch.stack([memory[trail_of(mark)] for mark in marks_of_hints(batch.spec)], 1)
        assert torch.equal(found.bool(), counted(batch, t)), t
        memory = steps.remember(memory, before, hints, len(batch))


def test_a_step_sees_where_marks_were():
    """The same moment with another past goes on otherwise, if trails are asked for and only then."""
    batch = traces("quicksort")
    part = moments.parts(batch, np.array([0]), np.array([7]), np.array([2]))
    forgotten = dataclasses.replace(part, trails=torch.zeros_like(part.trails))
    for trails in (True, False):
        torch.manual_seed(0)
        made = Reasoner.from_config(recipes.config("step", algo=("quicksort",), trails=trails)).eval()
        with torch.no_grad():
            one, other = (made(given).hints[0]["r"].eligible for given in (part, forgotten))
        assert torch.equal(one, other) != trails


def test_one_channel_of_nodes_for_every_mark_that_moves():
    spec = datasets.get("dijkstra").spec
    plain, more = (Relations(spec, (Stage.INPUT, Stage.HINT), trails=trails) for trails in (False, True))
    key = Stage.HINT, Location.NODE
    assert marks_of_hints(spec) == ["u"] and more.trails == ["u"] and plain.trails == []
    assert more.counts.get(key, 0) == plain.counts.get(key, 0) + 1
    with pytest.raises(ValueError, match="trails"):
        Config(trails=True)


def test_every_other_turn_draws_graphs_of_a_family():
    config = Config(algo=("dijkstra",), train_families=("path", "er"))
    dijkstra = datasets.get("dijkstra")
    own = dijkstra.train_params
    assert [training_params(dijkstra, config, turn) for turn in (0, 2)] == [own, own]
    found = [training_params(dijkstra, config, turn)["family"] for turn in (1, 3, 5)]
    assert found == ["path", "erdos_renyi", "path"]
    sizes = 4, 7
    batch = training_batch(dijkstra, dataclasses.replace(config, train_sizes=sizes), 3)  # the second turn's
    links = batch.inputs["adj"].sum((1, 2)) - batch.inputs["adj"].diagonal(dim1=1, dim2=2).sum(1)
    assert batch.nodes == 7 and links.tolist() == [2 * 6] * len(batch)
    quicksort = datasets.get("quicksort")
    assert training_params(quicksort, config, 1) == quicksort.train_params  # draws no graphs
    with pytest.raises(ValueError, match="hypercube"):
        tasks(Config(algo=("dijkstra",), train_families=("hypercube",)))


def test_weights_of_another_law_are_drawn_in_every_other_pass_of_the_families():
    config = Config(algo=("dijkstra",), train_families=("path", "grid"), train_weights=("ties", "lognormal"))
    dijkstra = datasets.get("dijkstra")
    found = [training_params(dijkstra, config, turn) for turn in range(1, 15, 2)]
    assert [one["family"] for one in found] == ["path", "grid"] * 3 + ["path"]
    assert [one.get("law") for one in found] == [None, None, "integer", "integer", "lognormal", "lognormal", None]
    assert training_params(dijkstra, config, 4) == dijkstra.train_params
    alone = dataclasses.replace(config, train_families=())
    assert [training_params(dijkstra, alone, turn).get("law") for turn in (1, 3, 4)] == [None, "integer", None]
    bfs = datasets.get("bfs")  # has no weights
    assert [set(training_params(bfs, config, turn)) & {"law", "scale"} for turn in range(6)] == [set()] * 6
    with pytest.raises(ValueError, match="tie"):
        tasks(dataclasses.replace(config, train_weights=("tie",)))


@pytest.mark.parametrize(("layout", "tied_turn"), [("dense", 9), ("sparse", 5)])  # after four families, or two
def test_tied_weights_are_eighths(layout, tied_turn):
    config = recipes.config("step", algo="dijkstra", layout=layout, batch_size=3, train_sizes=(9,))
    for turn, tied in ((0, False), (tied_turn, True), (tied_turn + 1, False)):
        batch = training_batch(datasets.get("dijkstra"), config, turn)
        eighths = batch.inputs["A"] * 8
        assert torch.equal(eighths, eighths.round()) == tied
