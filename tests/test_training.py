"""Training runs in miniature: what they write, that they learn, what they depend on, which checkpoint is the best."""

import json
import math
import types

import numpy as np
import pytest
import torch
from tiny_runs import assert_equal, metrics, results, settings

import nar
from nar import datasets
from nar.config import Config
from nar.evaluation import evaluate as evaluation
from nar.experiments.experiment import train
from nar.model import checkpoint
from nar.model.reasoner import Reasoner
from nar.training import learner, run
from nar.training.optimizer.adam import Adam
from nar.training.tasks import training_batch, validation_set

tiny = pytest.fixture(settings)


# What a run leaves behind


def test_a_run_from_settings_to_report(tiny, capsys):
    config = tiny(eval_sizes=(5, 4))
    found = train(config, command="python train.py --algo bfs")
    written = results(config)
    assert written["schema"] == 2 and written["command"] == "python train.py --algo bfs"
    assert json.loads(json.dumps(found)) == written
    names = {path.name for path in config.run_dir.iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "best.pt",
        "last.pt",
        "results.json",
        "report.md",
        "score.svg",
        "example.svg",
    } <= names
    assert not [name for name in names if name.endswith(".tmp")]
    assert [(e["size"], e["samples"]) for e in written["evaluations"]] == [(5, 3), (4, 3)]
    run = written["run"]
    assert (run["steps"], run["steps_planned"], run["interrupted"]) == (6, 6, False)
    assert run["best_step"] in (3, 6) and 0 <= run["best_validation"] <= 1
    assert run["parameters"] == sum(p.numel() for p in checkpoint.load(config.run_dir / "last.pt")["model"].values())
    assert Config.from_dict(json.loads((config.run_dir / "config.json").read_text())) == config
    assert [row["step"] for row in metrics(config)] == [3, 6]
    for row in metrics(config):
        assert row.keys() == {
            "step", "loss", "train_size", "waiting", "seconds", "validation_score", "validation_loss",
        }  # fmt: skip
    out = capsys.readouterr()
    assert "report.html" in out.out and "bfs with mpnn" in out.err
    reasoner = nar.load(config.run_dir).reasoner
    score = evaluation.evaluate(reasoner, datasets.get("bfs"), evaluation.test_set(datasets.get("bfs"), 5, 3)[0])
    assert score.score == written["evaluations"][0]["score"]


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_trains(name, tiny, no_report):
    sizes = {"train_sizes": None, "val_size": None} if datasets.get(name).category == "strings" else {}
    config = tiny(algo=name, processor="triplet_gmpnn", steps=2, val_every=1, val_samples=2, eval_samples=2, **sizes)
    assert results(config)["evaluations"] if train(config) else None
    assert all(math.isfinite(row["loss"]) and math.isfinite(row["validation_loss"]) for row in metrics(config))


@pytest.mark.parametrize("options", [{"hint_mode": "none"}, {"hint_mode": "decoded_only"}, {"hint_feedback": "hard"}])
def test_modes_train(options, tiny, no_report):
    train(tiny(steps=2, val_every=1, **options))


def test_learning_happens(tiny, no_report):
    config = tiny(steps=80, hidden=16, batch_size=16, learning_rate=5e-3, val_every=10, val_samples=32, eval_sizes=())
    train(config)
    rows = metrics(config)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["validation_loss"] < 0.6 * rows[0]["validation_loss"]
    assert rows[-1]["validation_score"] > rows[0]["validation_score"] and rows[-1]["validation_score"] > 0.6


def test_zero_steps_still_evaluate(tiny, no_report):
    config = tiny(steps=0)
    train(config)
    found = results(config)
    assert found["run"]["best_validation"] is None and len(found["evaluations"]) == 1


# Random numbers


def test_training_batches_depend_on_seed_and_step_alone(tiny):
    algorithm = datasets.get("bfs")
    first = training_batch(algorithm, tiny(), 4)
    np.random.seed(5)
    torch.manual_seed(5)
    assert training_batch(algorithm, tiny(), 4).inputs["A"].equal(first.inputs["A"])
    assert not training_batch(algorithm, tiny(), 6).inputs["A"].equal(first.inputs["A"])
    assert not training_batch(algorithm, tiny(seed=1), 4).inputs["A"].equal(first.inputs["A"])
    assert [training_batch(algorithm, tiny(), s).nodes for s in range(4)] == [4, 5, 4, 5]


def test_validation_data_do_not_depend_on_the_seed(tiny):
    algorithm = datasets.get("bellman_ford")
    one, two = (validation_set(algorithm, tiny(seed=s, val_samples=70)) for s in (1, 2))
    assert [len(batch) for batch in one] == [64, 6] == [len(batch) for batch in two]
    for a, b in zip(one, two, strict=True):
        assert all(a.inputs[n].equal(b.inputs[n]) for n in a.inputs) and all(
            a.outputs[n].equal(b.outputs[n]) for n in a.outputs
        )
    assert (one[0].inputs["pos"][0] != one[0].inputs["pos"][1]).any()
    plain = validation_set(algorithm, tiny(random_pos=False))[0].inputs["pos"]
    assert (plain == plain[0]).all()
    densities = [batch.inputs["adj"].double().mean((1, 2)) for batch in one]
    assert torch.cat(densities).std() > 0.1  # the training distribution: p differs from graph to graph


def test_the_initial_model_depends_on_the_seed(tiny):
    one, two, other = (Reasoner.from_config(tiny(seed=s)).state_dict() for s in (1, 1, 2))
    assert_equal(one, two)
    assert not one["processor.edge.weight"].equal(other["processor.edge.weight"])


def test_how_often_a_run_validates_and_saves_changes_nothing(tiny, no_report):
    one, two = tiny("one", val_every=1, checkpoint_every=1), tiny("two", val_every=4, checkpoint_every=100)
    train(one)
    torch.manual_seed(8)
    train(two)
    a, b = (checkpoint.load(c.run_dir / "last.pt") for c in (one, two))
    assert_equal(a["model"], b["model"])
    assert_equal(a["optimizer"], b["optimizer"])


@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"teacher_forcing": 1.0}], ids=str)
def test_what_acts_in_training_only_does_act_there(options, tiny, no_report):
    plain, other = (
        tiny("plain", train_sizes=(6,), eval_sizes=()),
        tiny("other", train_sizes=(6,), eval_sizes=(), **options),
    )
    train(plain)
    train(other)
    a, b = (checkpoint.load(c.run_dir / "last.pt")["model"] for c in (plain, other))
    assert not a["processor.edge.weight"].equal(b["processor.edge.weight"])


# Gradients and losses


def test_gradients_are_clipped(tiny, no_report, monkeypatch):
    norms = []
    real = Adam.step

    def look(self):
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return real(self)

    monkeypatch.setattr(Adam, "step", look)
    train(tiny("clipped", grad_clip=0.01, steps=2, eval_sizes=()))
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)
    train(tiny("free", grad_clip=0.0, steps=2, eval_sizes=()))
    assert norms[2] > 0.1


def test_a_loss_that_is_no_number_ends_the_run(tiny, no_report, monkeypatch):
    config, real, calls = tiny(steps=20), learner.total_loss, []

    def explode(batch, rollout, emphasis):
        calls.append(1)
        return real(batch, rollout, emphasis) * (float("nan") if len(calls) == 5 else 1.0)

    monkeypatch.setattr(learner, "total_loss", explode)
    with pytest.raises(ValueError, match=r"loss became nan at step 5 \(seed 42\); lower --learning-rate"):
        train(config)
    kept = checkpoint.load(config.run_dir / "last.pt")
    assert kept["step"] == 4 and all(v.isfinite().all() for v in kept["model"].values())
    assert checkpoint.load(config.run_dir / "best.pt")["best"]["step"] == 3
    assert [row["step"] for row in metrics(config)] == [3]


def test_weights_that_are_no_numbers_are_noticed_as_such(tiny, no_report, monkeypatch):
    """NaN in one map of the processor must reach the loss, whatever the kernels on its way."""
    for path in ("sender", "edge", "message.second", "out"):
        real = Reasoner.from_config

        def poisoned(config, real=real, path=path):
            model = real(config)
            with torch.no_grad():
                model.processor.get_submodule(path).weight[1, 1] = float("nan")
            return model

        with monkeypatch.context() as patch:
            patch.setattr(Reasoner, "from_config", poisoned)
            with pytest.raises(ValueError, match="loss became nan at step 1"):
                train(tiny(path))


# The best checkpoint


def test_the_best_checkpoint_is_by_score_then_loss(tiny, no_report, monkeypatch):
    scripted = iter([(0.5, 1.0), (0.7, 2.0), (0.7, 1.5), (0.7, 1.5), (0.6, 0.1)])
    real, seen, tested = evaluation.evaluate, [], []

    def pretend(reasoner, algorithm, *rest, **options):
        weights = {n: v.clone() for n, v in reasoner.state_dict().items()}
        if options.get("loss"):
            seen.append(weights)
            score, loss = next(scripted)
            return types.SimpleNamespace(score=score, loss=loss, measures={})
        tested.append(weights)
        return real(reasoner, algorithm, *rest, **options)

    monkeypatch.setattr(run, "evaluate", pretend)
    monkeypatch.setattr(evaluation, "evaluate", pretend)
    config = tiny(steps=10, val_every=2)
    train(config)
    best = checkpoint.load(config.run_dir / "best.pt")
    assert best["best"] == {"step": 6, "score": 0.7, "loss": 1.5, "each": {"bfs": 0.7}}
    assert_equal(dict(best["model"]), seen[2])
    assert_equal(tested[0], seen[2])  # and it is the one that is tested
    assert results(config)["run"]["best_step"] == 6
    assert_equal(dict(checkpoint.load(config.run_dir / "last.pt")["model"]), seen[4])


# Devices


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["insertion_sort", "floyd_warshall"])
def test_training_on_a_gpu(name, tiny, no_report):
    """Gumbel noise and teacher forcing draw from the run's generator, which lives on the CPU."""
    config = tiny(algo=name, processor="triplet_gpgn_mask", device="cuda", teacher_forcing=0.5, steps=3)
    train(config)
    assert all(math.isfinite(row["loss"]) for row in metrics(config))
