"""Other optimisers, averages of the parameters, an early end, bfloat16: each against its definition."""

import dataclasses
import sys
import types

import pytest
import torch

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import evaluate
from nar.experiments.experiment import train, train_seeds
from nar.experiments.sweep import SweepJob, state
from nar.model import checkpoint
from nar.model.batch import draw
from nar.model.reasoner import Reasoner
from nar.processors import mpnn
from nar.training.learner import SingleLearner, why_not_stackable
from nar.training.optimizer import chosen
from nar.training.optimizer.average import Average
from nar.training.run import TrainingRun
from nar.training.tasks import training_batch, validation_set


@pytest.fixture
def tiny(tmp_path, no_report):
    """Settings of a tiny run in a directory of this test."""
    same = {
        "algo": "bfs", "processor": "mpnn", "hidden": 8, "steps": 12, "batch_size": 3, "train_sizes": (4, 5),
        "val_size": 5, "val_samples": 4, "val_every": 2, "checkpoint_every": 2, "eval_sizes": (), "device": "cpu",
        "threads": 1,
    }  # fmt: skip
    return lambda out="run", **changes: Config(**(same | {"out": tmp_path / out} | changes))


def parameters(config, which="last"):
    return checkpoint.load(config.run_dir / f"{which}.pt")["model"]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0, msg=name)


# Optimisers


def steps_of(config, make):
    """The parameters after some steps of a learner, and after the same ones with an optimiser of PyTorch."""
    learner, other = (SingleLearner(Reasoner.from_config(c), c) for c in (config, config))
    other.optimizer = make(list(other.reasoner.parameters()))
    other.optimizer.follow = lambda *_: None
    for step in range(4):
        for each in (learner, other):
            each.step([training_batch(datasets.get("bfs"), config, step)], step)
    return learner.reasoner.state_dict(), other.reasoner.state_dict()


@pytest.mark.parametrize("name", ["SGD", "sgd", "RAdam", "Adagrad"])
def test_an_optimiser_of_pytorch_by_its_name(name, tiny):
    kind = getattr(torch.optim, {"sgd": "SGD"}.get(name, name))
    config = tiny(optimizer=name, weight_decay=0.1, learning_rate=0.02)
    assert_same(*steps_of(config, lambda p: kind(p, lr=0.02, weight_decay=0.1)))


def test_an_optimiser_of_ones_own(tiny, monkeypatch):
    module = types.ModuleType("my_optimizers")
    module.Heavy = type("Heavy", (torch.optim.SGD,), {"__init__": lambda self, p, lr: _sgd(self, p, lr)})
    monkeypatch.setitem(sys.modules, "my_optimizers", module)
    found = steps_of(tiny(optimizer="my_optimizers:Heavy"), lambda p: torch.optim.SGD(p, lr=0.001, momentum=0.9))
    assert_same(*found)
    with pytest.raises(ValueError, match=r"weight_decay 0\.5: .*unexpected keyword"):
        chosen.optimizer(tiny(optimizer="my_optimizers:Heavy", weight_decay=0.5), [])


def _sgd(self, p, lr):
    torch.optim.SGD.__init__(self, p, lr=lr, momentum=0.9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sgdd", "unknown optimizer 'sgdd'; did you mean 'SGD'"),
        ("LBFGS", "unknown optimizer 'LBFGS'"),  # it asks for the loss several times
        ("Muon", "--optimizer Muon could not be made"),  # for matrices alone
        ("no_such_module:A", "no module named 'no_such_module'"),
        ("math:pi", "is not a class"),
    ],
)
def test_one_that_does_not_exist_is_said_before_a_folder_is_made(name, message, tiny):
    with pytest.raises(ValueError, match=message):
        train(tiny(optimizer=name))
    assert not tiny().run_dir.exists()


def test_a_resumed_run_is_that_which_was_not_interrupted(tiny):
    settings = {"optimizer": "RAdam", "learning_rate_schedule": "cosine", "average": 0.9, "weight_decay": 0.1}
    whole, halves = tiny("whole", **settings), tiny("halves", **settings)
    train(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "done", property(lambda run: run.step >= 6))
        train(halves)
    assert checkpoint.load(halves.run_dir / "last.pt")["step"] == 6
    train(dataclasses.replace(halves, resume=True))
    for which in ("last", "best"):
        assert_same(parameters(whole, which), parameters(halves, which))
    one, other = (checkpoint.load(c.run_dir / "last.pt")["average"] for c in (whole, halves))
    assert_same(one, other)


def test_only_adam_is_stacked(tiny):
    config = tiny(optimizer="SGD")
    batch = training_batch(datasets.get("bfs"), config, 0)
    assert "SGD" in why_not_stackable(Reasoner.from_config(config), config, batch)


# Averages


def test_the_average_by_hand():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = Average(layer, 0.5)
    for step, value, expected in ((1, 11.0, 9.0), (2, 12.0, 11.25), (9, 1.0, 6.125)):
        layer.weight.data.fill_(value)  # decays 2 / 11, 3 / 12, and at last 0.5
        average.update(step)
        assert float(average.values["weight"].detach()) == pytest.approx(expected)
    with average.in_place():
        assert float(layer.weight.detach()) == pytest.approx(6.125)
    assert float(layer.weight.detach()) == 1.0


def test_the_average_is_validated_kept_and_tested(tiny):
    config = tiny(average=0.9, steps=6, eval_sizes=(5,), eval_samples=3)
    results = train(config)
    last = checkpoint.load(config.run_dir / "last.pt")
    best = checkpoint.load(config.run_dir / "best.pt")
    plain = tiny("plain", steps=6)
    train(plain)
    assert_same(last["model"], parameters(plain))  # training itself does not know of it
    reasoner = checkpoint.read(config.run_dir).build()
    found = evaluate(reasoner, datasets.get("bfs"), batches=validation_set(datasets.get("bfs"), config), loss=True)
    assert (best["best"]["score"], best["best"]["loss"]) == pytest.approx((found.score, found.loss))
    assert results["run"]["best_validation"] == pytest.approx(found.score)
    name = next(iter(last["average"]))
    assert not torch.equal(best["model"][name], last["model"][name])


# The early end


@pytest.fixture
def scores(monkeypatch):
    """The scores of the validations to come, by seed."""
    found = {"losses": []}

    def validate(run, shares, mean_loss, facts):
        found["losses"].append((run.directory.name, run.step, mean_loss))
        score = found[run.config.seed][run.step // run.config.val_every - 1]
        if score > run.best["score"]:
            run.best = {"step": run.step, "score": score, "loss": 1.0}
            run.save_best()

    monkeypatch.setattr(TrainingRun, "validate", validate)
    return found


def test_the_end_comes_after_so_many_validations_without_a_better_one(tiny, scores, capsys):
    scores[42] = [0.5, 0.3, 0.6, 0.6, 0.2, 0.9]
    run = train(tiny(patience=2))["run"]
    assert (run["steps"], run["best_step"], run["interrupted"], run["stopped_early"]) == (10, 6, False, True)
    assert "stopped at step 10, nothing better in 2 validations after step 6" in capsys.readouterr().err
    assert state(SweepJob(tiny(patience=2))).kind == "finished"
    again = train(tiny(patience=2, resume=True))["run"]
    assert again["steps"] == 10
    more = train(tiny(patience=3, resume=True))["run"]  # to be more patient is to go on
    assert (more["steps"], more["best_step"]) == (12, 12) and "stopped_early" not in more
    assert train(tiny("other", patience=3))["run"]["steps"] == 12


@pytest.mark.parametrize("stack", ["always", "never"])
def test_seeds_end_each_at_its_own_time(stack, tiny, scores):
    scores.update({0: [0.5, 0.3, 0.1] * 2, 1: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    found = train_seeds(tiny(patience=2, seeds=(0, 1), stack=stack))
    assert [results["run"]["steps"] for results in found] == [6, 12]
    train(tiny("alone", seed=1))
    found = {name: [loss for n, _, loss in scores["losses"] if n == name] for name in ("seed0", "seed1", "alone")}
    assert len(found["seed0"]) == 3 and found["seed1"] == pytest.approx(found["alone"], rel=1e-4)


# bfloat16


def test_the_processor_computes_in_bfloat16_and_nothing_else(monkeypatch):
    seen = []
    real = mpnn.MPNN.forward

    def look(self, step, state):
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(self, step, state)

    monkeypatch.setattr(mpnn.MPNN, "forward", look)
    torch.manual_seed(0)
    reasoner = Reasoner.build("bellman_ford", "mpnn", hidden=16).train()
    batch = draw(datasets.get("bellman_ford"), 8, 4, seed=(1,), random_pos=True)
    plain, rounded = (reasoner(batch, bf16=bf16, keep_states=True) for bf16 in (False, True))
    assert seen == [False] * len(plain.states) + [True] * len(rounded.states)
    (one, *_), (other, *_) = plain.states[0], rounded.states[0]
    gap = (one - other).abs().max() / one.abs().max()
    assert 1e-5 < gap < 3e-2  # eight binary digits
    values = [*rounded.outputs.values(), *(v for hints in rounded.hints for v in hints.values()), other]
    assert {value.dtype for value in values} == {torch.float32}
    sum(value.sum() for value in rounded.outputs.values()).backward()
    assert {p.grad.dtype for p in reasoner.parameters() if p.grad is not None} == {torch.float32}


def test_a_run_in_bfloat16_is_validated_without(tiny):
    config = tiny(precision="bf16", steps=4)
    train(config)
    train(plain := tiny("plain", steps=4))
    gaps = [(a - b).abs().max() for a, b in zip(parameters(config).values(), parameters(plain).values(), strict=True)]
    assert 0 < max(gaps) < 0.02
    best = checkpoint.load(config.run_dir / "best.pt")
    reasoner = checkpoint.read(config.run_dir).build()
    found = evaluate(reasoner, datasets.get("bfs"), batches=validation_set(datasets.get("bfs"), config), loss=True)
    assert best["best"]["loss"] == pytest.approx(found.loss, rel=1e-6)
