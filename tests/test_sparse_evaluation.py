"""Reasoners in the sparse layout: trained, scored as on single graphs, entries of results; what does not go with it."""

import numpy as np
import pytest
import torch

import nar.datasets
from nar.config import Config
from nar.evaluation import sparse as evaluation
from nar.evaluation.evaluate import entry, evaluate
from nar.model.coders.sparse.batch import SparseBatch, collate
from nar.model.objectives.metrics import tally
from nar.model.reasoner import Reasoner
from nar.traces.sparse import sampling
from nar.training.learner import SingleLearner
from nar.training.tasks import training_batch, validation_set


def test_training_data_is_salsas():
    config, algorithm = Config(algo="bfs", layout="sparse", batch_size=5, seed=7), nar.datasets.get("bfs")
    batches = [training_batch(algorithm, config, step) for step in range(5)]
    assert [batch.nodes for batch in batches] == [4, 7, 11, 13, 16] and all(type(b) is SparseBatch for b in batches)
    again = training_batch(algorithm, config, 3)
    assert again.edges.senders.equal(batches[3].edges.senders) and again.inputs["pos"].equal(batches[3].inputs["pos"])
    pos = batches[4].inputs["pos"]
    assert (pos.diff() > 0).all() and len(set(pos[:, 0].tolist())) == 5
    first, second = (validation_set(algorithm, Config(algo="bfs", layout="sparse", seed=s)) for s in (1, 2))
    assert [len(b) for b in first] == [64] and first[0].edges.senders.equal(second[0].edges.senders)


def test_a_reasoner_learns():
    config = Config(algo="bfs", processor="pgn", layout="sparse", hidden=16, batch_size=4, train_sizes=(6,))
    learner = SingleLearner(Reasoner.from_config(config).train(), config)
    batch = training_batch(nar.datasets.get("bfs"), config, 0)
    losses = [float(learner.step([batch], step)) for step in range(30)]
    assert losses[-1] < 0.6 * losses[0]


def scored(reasoner, algorithm, traces):
    """Scores computed in the plainest way, from whole rollouts on single graphs."""
    outputs, hints, exact, errors = {}, {}, 0, []
    for trace in traces:
        batch = collate([trace], algorithm)
        with torch.no_grad():
            rollout = reasoner(batch, decide_hints=True)
        error = None
        for s, step in enumerate(rollout.hints if trace.length > 1 else []):
            for name, value in step.items():
                probe, truth = batch.spec[name], batch.hints[name][s + 1]
                counts = hints.setdefault(name, {})
                found = tally(probe, value, truth)
                counts[s] = counts[s] + found if s in counts else found
                if probe.type != "scalar" and not value.equal(truth.to(value.dtype)):
                    error = error or s + 1
        errors.append(error)
        right = True
        for name in rollout.outputs:
            value, truth = rollout.outputs[name].decided(), batch.outputs[name]
            found = tally(batch.spec[name], value, truth)
            outputs[name] = outputs[name] + found if name in outputs else found
            right &= bool((value == truth).all())
        exact += right
    return outputs, hints, exact, errors


def test_scores_are_those_of_single_graphs():
    torch.manual_seed(0)
    algorithm = nar.datasets.get("dijkstra")
    reasoner = Reasoner.build("dijkstra", "pgn", hidden=8, layout="sparse", hint_feedback="hard").eval()
    traces = [next(iter(sampling.draw(algorithm, n, 1, n))) for n in (5, 9, 1, 6, 8)]
    found = evaluate(reasoner, algorithm, traces, loss=True)
    watched = evaluate(reasoner, algorithm, traces)
    outputs, hints, exact, errors = scored(reasoner, algorithm, traces)
    for one in (found, watched):
        assert one.outputs == outputs and one.exact == exact and one.samples == 5
        assert one.first_errors == errors and one.valid is not None
        for name, by_step in hints.items():
            assert [t.metric for t in one.hints[name]] == [t.metric for t in by_step.values()]
            for mine, theirs in zip(one.hints[name], by_step.values(), strict=True):
                assert mine.counts == pytest.approx(theirs.counts, rel=1e-4, abs=1e-5)
        assert one.num_running == [sum(t.length > s + 1 for t in traces) for s in range(9)]
    assert found.loss > 0 and np.isnan(watched.loss)


def test_rollouts_that_end_by_themselves_are_compared_until_their_own_end():
    torch.manual_seed(0)
    algorithm = nar.datasets.get("bfs")
    reasoner = Reasoner.build("bfs", "pgn", hidden=8, layout="sparse", hint_feedback="hard").eval()
    traces = list(sampling.draw(algorithm, 12, 4, 0))
    found = evaluate(reasoner, algorithm, traces, termination="fixed_point", limit=20)
    alone = [evaluate(reasoner, algorithm, [t], termination="fixed_point", limit=20) for t in traces]
    assert found.taken == [n for one in alone for n in one.taken] and max(found.taken) <= 20
    assert found.first_errors == [e for one in alone for e in one.first_errors]
    assert found.outputs["pi"].counts[0] == sum(one.outputs["pi"].counts[0] for one in alone)


def test_an_entry_of_results():
    reasoner = Reasoner.build("bfs", "gin", hidden=8, layout="sparse")
    algorithm = nar.datasets.get("bfs")
    made = entry(reasoner, algorithm, 20, samples=3, setting={"family": "ws"})
    assert made["samples"] == 3 and made["setting"] == {"family": "watts_strogatz"}
    assert made["data"]["params"] == {"family": "watts_strogatz"} and len(made["data"]["sha256"]) == 64
    again = entry(reasoner, algorithm, 20, samples=3, setting={"family": "ws"})
    assert again["data"] == made["data"] and again["outputs"] == made["outputs"]
    with pytest.raises(ValueError, match="family barabasi_albert is not drawn"):
        entry(reasoner, algorithm, 20, samples=3, setting={"family": "ba"})
    with pytest.raises(ValueError, match="density is one of random graphs"):
        entry(reasoner, algorithm, 20, samples=3, setting={"density": 0.5})


def test_graphs_of_one_batch_are_of_similar_sizes():
    algorithm = nar.datasets.get("bfs")
    traces = [next(iter(sampling.draw(algorithm, n, 1, 0))) for n in (4, 7, 16, 30, 31)]
    assert [[t.nodes for t in part] for part in evaluation.portions(traces, 8)] == [[4, 7], [16, 30, 31]]
    assert len(list(evaluation.portions(traces, 10**6))) == 5


def test_settings_that_do_not_go_together():
    with pytest.raises(ValueError, match="--layout must be dense with --own-moments"):
        Config(layout="sparse", supervision="moments", hint_feedback="hard", own_moments=0.5)
    with pytest.raises(ValueError, match=r"MPNN needs all pairs|MPNN keeps or compares"):
        Reasoner.build("bfs", "triplet_mpnn", hidden=8, layout="sparse")
    for options in ({"halting": "ponder"}, {"reconstruction": "plain"}):
        with pytest.raises(ValueError, match="is for the dense layout alone"):
            Reasoner.build("bfs", "pgn", hidden=8, layout="sparse", **options)
    with pytest.raises(ValueError, match="cannot run in the sparse layout"):
        Reasoner.build("floyd_warshall", "pgn", hidden=8, layout="sparse")
