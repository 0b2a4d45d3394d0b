"""The first error of a rollout: found in the graph and at the step where it is, whatever is wrong with a reasoner."""

import copy

import numpy as np
import pytest
from leaning_references import leaning, traces_of

from nar import datasets, processors
from nar.analysis.references import compiled
from nar.evaluation.evaluate import evaluate, evaluating
from nar.model.batch import collate, training_spec
from nar.model.objectives.metrics import merge_permutations
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.traces.spec import Type


def spoilt(reasoner, change):
    """A reasoner whose predicted hints `change(batch, hints by step)` tampers with, after the rollout."""
    tampered = copy.copy(reasoner)

    def forward(batch, **options):
        rollout = reasoner(batch, **options)
        change(batch, rollout.hints)
        return rollout

    tampered.forward = forward
    return tampered


def test_the_first_wrong_entry_is_found_in_the_graph_and_at_the_step_where_it_is():
    """Graphs are rolled out longest first; errors are reported in the order of the traces."""
    traces = traces_of("bfs", 12, 8, {"family": "tree"})
    lengths = [trace.length for trace in traces]
    assert len(set(lengths)) > 2 and lengths != sorted(lengths, reverse=True)
    wrong = {1: 2, 4: 1, 6: lengths[6] - 1}  # place -> step, from 1

    def change(batch, hints):
        for place, step in wrong.items():
            if place in batch.order:
                for later in hints[step - 1 : step + 1]:  # and once more, where there is a next one
                    for row in [b for b in range(len(later["pi_h"])) if batch.order[b] == place]:
                        later["pi_h"][row, 5] = (later["pi_h"][row, 5] + 1) % 12

    found = evaluate(spoilt(compiled.compiled("bfs"), change), datasets.get("bfs"), traces)
    assert found.first_errors == [wrong.get(place) for place in range(8)]
    assert found.exact == 8  # outputs were left alone


@pytest.mark.parametrize("portion", (1, 3, 100))
def test_first_errors_do_not_depend_on_how_the_set_is_cut(portion, monkeypatch):
    def portions(traces, features, device):
        traces = list(traces)
        return [traces[i : i + portion] for i in range(0, len(traces), portion)]

    monkeypatch.setattr("nar.evaluation.evaluate.portions", portions)
    reasoner = leaning("bellman_ford", 0.3)
    traces = traces_of("bellman_ford", 12, 8)
    found = evaluate(reasoner, datasets.get("bellman_ford"), traces)
    assert found.first_errors == by_hand(reasoner, "bellman_ford", traces) and any(found.first_errors)


def by_hand(reasoner, name, traces):
    """First errors by numpy, trace by trace, each a batch of its own, from the recorded arrays."""
    algorithm, found = datasets.get(name), []
    spec = reasoner.specs[name]
    for trace in traces:
        batch = collate([trace], algorithm)
        with evaluating(reasoner):
            rollout = reasoner(batch)
        step_of_error = None
        for moment in range(1, trace.length):
            values = {hint: hard(spec[hint], logits) for hint, logits in rollout.hints[moment - 1].items()}
            for hint, value in merge_permutations(spec, values).items():
                truth = np.asarray(trace.compact[hint])[moment]
                differs = (value[0].numpy() != truth) & (truth != -1)
                if algorithm.spec[hint].type is not Type.SCALAR and differs.any() and step_of_error is None:
                    step_of_error = moment
        found.append(step_of_error)
    return found


@pytest.mark.parametrize(("name", "toll"), [("bellman_ford", 0.3), ("dijkstra", 0.02), ("dijkstra", 0.1)])
def test_a_wrong_weight_shows_at_the_step_where_it_changes_a_decision(name, toll):
    reasoner, traces = leaning(name, toll), traces_of(name, 16, 12)
    found = evaluate(reasoner, datasets.get(name), traces)
    assert found.first_errors == by_hand(reasoner, name, traces)
    steps = {step for step in found.first_errors or () if step is not None}
    assert len(steps) > 1  # not at the first step, nor everywhere at the same one
    assert found.to_dict()["first_error"] == found.first_errors


def test_a_wrong_decoder_shows_at_the_first_step():
    """A mask that is always off is wrong as soon as a node is reached, and the source always is."""
    reasoner = copy.deepcopy(compiled.compiled("bfs"))
    reasoner.decoders["bfs"].maps["reach_h"][0].bias.data -= 1e4
    lengths = [trace.length for trace in traces_of("bfs", 9, 6)]
    found = evaluate(reasoner, datasets.get("bfs"), traces_of("bfs", 9, 6))
    assert found.first_errors == [1 if length > 1 else None for length in lengths] and 1 in found.first_errors


def test_numbers_are_not_compared():
    def change(batch, hints):
        for step in hints:
            step["d"] += 1e6

    found = evaluate(spoilt(compiled.compiled("dijkstra"), change), datasets.get("dijkstra"), traces_of("dijkstra"))
    assert found.first_errors == [None] * 6
    assert found.hints["d"][0].value() > 1e11


@pytest.mark.parametrize("name", ("insertion_sort", "topological_sort", "segments_intersect", "liveness"))
def test_every_kind_of_hint_is_compared(name):
    """Permutations, classes, masks that are partly open: an untrained network, against numpy."""
    reasoner = Reasoner.build(name, "mpnn", hidden=8).eval()
    traces = traces_of(name, 6, 4)
    assert evaluate(reasoner, datasets.get(name), traces).first_errors == by_hand(reasoner, name, traces)


def test_without_hints_there_is_nothing_to_leave():
    specs = {"bfs": training_spec(datasets.get("bfs"))}
    reasoner = Reasoner(specs, processors.build("mpnn", 8), hint_mode="none").eval()
    found = evaluate(reasoner, datasets.get("bfs"), traces_of("bfs"))
    assert found.first_errors is None and "first_error" not in found.to_dict()
