"""Scores of whole sets by a reasoner that predicts the truth, except where told otherwise."""

import numpy as np
import pytest
import torch

from nar import datasets
from nar.evaluation.evaluate import evaluate
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout


class Oracle(Reasoner):
    """Predicts the truth, except where told otherwise."""

    spoil = staticmethod(lambda batch, name, logits, moment: logits)

    def forward(self, batch, decide_hints=False, **_):
        def certain(name, truth, moment=None):
            p = batch.spec[name]
            if p.type == "scalar":
                found = truth.clone()
            elif p.type == "mask":
                found = truth.float() * 20 - 10
            else:
                found = torch.nn.functional.one_hot(truth.long().clamp(min=0), p.classes or batch.nodes).float() * 20
                if p.type == "permutation_pointer":
                    found = torch.log_softmax(found, -1)
            return self.spoil(batch, name, found, moment)

        outputs = {n: certain(n, v) for n, v in batch.outputs.items()}
        live = [sum(length > s + 1 for length in batch.lengths) for s in range(batch.steps)]
        hints = [
            {n: certain(n, v[min(s + 1, len(v) - 1), : live[s]], s) for n, v in batch.hints.items()}
            for s in range(batch.steps)
        ]
        return Rollout(outputs, [feed_back(batch.spec, h, how="hard") for h in hints] if decide_hints else hints)


def oracle(algorithm, spoil=None):
    model = Oracle.build(algorithm.name, "mpnn", hidden=4)
    if spoil is not None:
        model.spoil = spoil
    return model


def traces(algorithm, count, nodes=6, seed=0, **params):
    rng = np.random.RandomState(seed)
    nodes = max(nodes, algorithm.min_nodes)
    return [algorithm.run(**algorithm.sample(rng, nodes, **params)) for _ in range(count)]


@pytest.mark.parametrize("name", datasets.names())
def test_the_truth_scores_one_whatever_the_batches(name):
    algorithm = datasets.get(name)
    model, samples = oracle(algorithm), traces(algorithm, 5)
    score = evaluate(model, algorithm, samples, loss=True)
    found = score.to_dict()
    assert found["score"] == 1 and found["exact"] == 1 and found["valid"] == 1 and found["samples"] == 5
    for hint in found["hints"].values():
        perfect = 0.0 if hint["metric"] == "mse" else 1.0
        assert hint["value"] == pytest.approx(perfect, abs=1e-9)
    assert found["steps_max"] == max(max(1, t.length - 1) for t in samples)


def test_scores_do_not_depend_on_how_the_set_is_cut(monkeypatch):
    from nar.evaluation import evaluate as module

    algorithm = datasets.get("dag_shortest_paths")
    torch.manual_seed(1)
    model, samples = Reasoner.build("dag_shortest_paths", "mpnn", hidden=8), traces(algorithm, 7)
    whole = evaluate(model, algorithm, samples, loss=True).to_dict()
    monkeypatch.setattr(module, "TENSOR_BYTES", 2 * 6 * 6 * 8 * 4)  # two graphs at a time
    portions = list(module.portions(samples, 8))
    assert max(map(len, portions)) == 2 and [t for part in portions for t in part] == samples
    parts = evaluate(model, algorithm, samples, loss=True).to_dict()
    for found in (whole, parts):
        found.pop("seconds")
    assert (
        parts["outputs"] == whole["outputs"] and parts["exact"] == whole["exact"] and parts["valid"] == whole["valid"]
    )
    for name, hint in whole["hints"].items():
        assert hint["live"] == parts["hints"][name]["live"]
        assert hint["per_step"] == pytest.approx(parts["hints"][name]["per_step"], rel=1e-4)


def test_one_wrong_pointer_costs_one_node_and_one_graph():
    algorithm = datasets.get("bellman_ford")

    def spoil(batch, name, logits, moment):
        if name == "pi" and 0 in batch.order:
            logits = logits.clone()
            row = logits[batch.order.index(0), 3]
            logits[batch.order.index(0), 3] = row.roll(1)
        return logits

    score = evaluate(oracle(algorithm, spoil), algorithm, traces(algorithm, 4))
    assert score.score == pytest.approx(1 - 1 / 24) and score.exact == 3 and score.valid == 3


def test_hint_scores_weigh_steps_by_live_samples():
    """Samples without a second snapshot have no hint to score and must not weigh."""
    algorithm = datasets.get("bellman_ford")
    samples = traces(algorithm, 40, nodes=4, p=(0.2, 0.6))
    lengths = [t.length for t in samples]
    assert 1 in lengths and max(lengths) > 2

    def spoil(batch, name, logits, moment):
        return logits.roll(1, -1) if name == "pi_h" and moment == 0 else logits  # everything wrong at the first step

    hint = evaluate(oracle(algorithm, spoil), algorithm, samples).to_dict()["hints"]["pi_h"]
    assert hint["live"] == [sum(length > s + 1 for length in lengths) for s in range(max(lengths) - 1)]
    assert hint["per_step"][0] == 0 and hint["per_step"][1:] == [1] * (max(lengths) - 2)
    total = sum(length - 1 for length in lengths)
    assert hint["value"] == pytest.approx(1 - hint["live"][0] / total)


def test_evaluation_leaves_the_mode_as_it_was():
    algorithm = datasets.get("bfs")
    model = Reasoner.build("bfs", "mpnn", hidden=4, dropout=0.5)
    for training in (True, False):
        model.train(training)
        a, b = (evaluate(model, algorithm, traces(algorithm, 3), loss=True).loss for _ in range(2))
        assert model.training == training and a == b
