"""One processor for several algorithms, processors handed on from run to run, and several seeds of a run."""

from __future__ import annotations

import json

import pytest
import torch

import nar
from nar import datasets
from nar.config import Config
from nar.experiments.experiment import train, train_seeds
from nar.model import checkpoint
from nar.model.reasoner import Reasoner
from nar.training.learner import SingleLearner
from nar.training.tasks import tasks, training_batch

TINY = {
    "processor": "mpnn", "hidden": 8, "steps": 4, "batch_size": 3, "train_sizes": (4, 5), "val_samples": 4,
    "val_every": 2, "checkpoint_every": 2, "eval_sizes": (5,), "eval_samples": 2, "device": "cpu", "threads": 1,
    "stack": "always",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("no_report")


def test_a_generalist_learns_every_algorithm_with_one_processor(tmp_path):
    config = Config(algo=("bfs", "insertion_sort"), out=tmp_path / "run", **TINY)
    found = train(config)
    assert found["run"]["algorithms"] == ["bfs", "insertion_sort"]
    assert found["run"]["validation"].keys() == {"bfs", "insertion_sort"}
    mean = sum(found["run"]["validation"].values()) / 2
    assert found["run"]["best_validation"] == pytest.approx(mean)
    assert [(e["algorithm"], e["size"]) for e in found["evaluations"]] == [("bfs", 5), ("insertion_sort", 5)]
    row = json.loads((config.run_dir / "metrics.jsonl").read_text().splitlines()[0])
    scores = [row[f"{name}/validation_score"] for name in config.algo]
    assert row["validation_score"] == pytest.approx(sum(scores) / 2)
    both = nar.load(config.run_dir).reasoner
    assert set(both.specs) == {"bfs", "insertion_sort"}
    single = [Reasoner.build(name, "mpnn", hidden=8).parameter_count() for name in config.algo]
    shared = sum(p.numel() for p in both.processor.parameters())
    assert both.parameter_count() == sum(single) - shared


def test_a_step_on_one_algorithm_leaves_the_coders_of_the_other_alone():
    config = Config(algo=("bfs", "dfs"), **TINY)
    reasoner = Reasoner.from_config(config).train()
    learner = SingleLearner(reasoner, config)
    batches = {name: training_batch(datasets.get(name), config, 0) for name in config.algo}
    for step in range(2):  # the second time Adam has a momentum that it could apply
        for index, name in enumerate(config.algo):
            other = config.algo[1 - index]
            mine = {id(p) for p in reasoner.parameters_of(name)}
            theirs = {n: p.clone() for n, p in reasoner.named_parameters() if id(p) not in mine}
            assert theirs and all(other in n or "coders" in n for n in theirs)
            learner.step([batches[name]], step, task=index)
            assert all(torch.equal(p, theirs[n]) for n, p in reasoner.named_parameters() if n in theirs)


def test_sizes_follow_each_algorithm_unless_they_are_given():
    found = {task.name: task for task in tasks(Config(algo=("bfs", "kmp_matcher")))}
    assert found["bfs"].train_sizes == (4, 7, 11, 13, 16) and found["kmp_matcher"].train_sizes == (20,)
    assert found["bfs"].eval_sizes[2] == 64 and found["kmp_matcher"].eval_sizes[2] == 80
    given = tasks(Config(algo=("bfs", "dfs"), train_sizes=(5,), val_size=6, eval_sizes=(7,)))
    assert [(t.train_sizes, t.val_size, t.eval_sizes) for t in given] == [((5,), 6, (7,))] * 2


def test_a_generalist_is_resumed_where_it_stopped(tmp_path):
    whole = Config(algo=("bfs", "dfs"), out=tmp_path / "whole", **TINY)
    train(whole)
    half = Config(algo=("bfs", "dfs"), out=tmp_path / "half", **TINY | {"steps": 2})
    train(half)
    train(Config(algo=("bfs", "dfs"), out=tmp_path / "half", resume=True, **TINY))
    one, other = (checkpoint.load(path / "last.pt")["model"] for path in (whole.run_dir, half.run_dir))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_processor_is_handed_on_and_frozen(tmp_path):
    first = Config(algo="bfs", out=tmp_path / "first", **TINY)
    train(first)
    source = nar.load(first.run_dir).reasoner.processor.state_dict()
    frozen = Config(algo="dfs", out=tmp_path / "frozen", init_processor=first.run_dir, freeze="processor", **TINY)
    train(frozen)
    moved = Config(algo="dfs", out=tmp_path / "moved", init_processor=first.run_dir / "best.pt", **TINY)
    train(moved)
    kept, changed = (nar.load(tmp_path / name, "last").reasoner.processor.state_dict() for name in ("frozen", "moved"))
    assert all(torch.equal(kept[name], value) for name, value in source.items())
    assert any(not torch.equal(changed[name], value) for name, value in source.items())
    encoders = nar.load(tmp_path / "frozen", "last").reasoner.encoders.state_dict()
    fresh = Reasoner.from_config(frozen).encoders.state_dict()
    assert any(not torch.equal(encoders[name], value) for name, value in fresh.items())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"processor": "gat"}, "that processor is a PGN|that processor is a MPNN"),
        ({"hidden": 16}, "--hidden and the processor's options"),
        ({"init_processor": "nowhere"}, "nowhere"),
    ],
)
def test_a_processor_that_does_not_fit_is_refused(changes, complaint, tmp_path):
    first = Config(algo="bfs", out=tmp_path / "first", **TINY)
    train(first)
    settings = TINY | {"init_processor": first.run_dir, "out": tmp_path / "second"} | changes
    with pytest.raises(ValueError, match=complaint):
        train(Config(algo="dfs", **settings))
    assert not (tmp_path / "second").exists()


def logged(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def scores(found):
    return [(e["size"], e["score"], e["data"]["sha256"]) for e in found["evaluations"]]


@pytest.mark.parametrize("processor", ["mpnn", "rnar"])  # rnar cannot be stacked
def test_seeds_together_are_the_runs_they_would_be_alone(processor, tmp_path, capsys):
    settings = TINY | {"processor": processor}
    together = train_seeds(Config(algo="bfs", seeds=(3, 5), out=tmp_path / "all", **settings))
    assert ("one after the other" in capsys.readouterr().err) == (processor == "rnar")
    for seed, found in zip((3, 5), together, strict=True):
        alone = train(Config(algo="bfs", seed=seed, out=tmp_path / f"alone{seed}", **settings))
        assert scores(found) == scores(alone) and found["run"]["seed"] == seed
        assert found["config"]["seeds"] == [] and found["config"]["seed"] == seed
        folders = tmp_path / "all" / f"seed{seed}", tmp_path / f"alone{seed}"
        for row, expected in zip(*map(logged, folders), strict=True):
            for name in ("step", "loss", "validation_loss", "validation_score", "train_size"):
                assert row[name] == pytest.approx(expected[name], rel=1e-3)
        one, other = (checkpoint.load(folder / "last.pt") for folder in folders)
        name, value = next(iter(other["model"].items()))
        assert one["model"][name].untyped_storage().nbytes() == value.untyped_storage().nbytes()


def test_seeds_that_stopped_at_different_steps_meet_again(tmp_path):
    settings = Config(algo="bfs", seeds=(3, 5), out=tmp_path / "all", **TINY)
    whole = train_seeds(Config(algo="bfs", seeds=(3, 5), out=tmp_path / "whole", **TINY))
    train(Config(algo="bfs", seed=5, out=tmp_path / "all" / "seed5", **TINY | {"steps": 2}))
    again = train_seeds(Config(**{**settings.to_dict(), "resume": True}))
    assert [scores(found) for found in again] == [scores(found) for found in whole]
    for seed in (3, 5):
        steps = [json.loads(line)["step"] for line in (tmp_path / "all" / f"seed{seed}" / "metrics.jsonl").open()]
        assert steps == [2, 4]


def test_one_seed_that_fails_is_named_and_costs_the_others_nothing(tmp_path):
    settings = Config(algo="bfs", seeds=(3, 5), out=tmp_path / "all", **TINY)
    train_seeds(Config(**{**settings.to_dict(), "steps": 2}))
    spoilt = checkpoint.load(tmp_path / "all" / "seed5" / "last.pt")
    spoilt["model"] = {name: value * float("nan") for name, value in spoilt["model"].items()}
    checkpoint.save(tmp_path / "all" / "seed5" / "last.pt", spoilt)
    with pytest.raises(ValueError, match=r"nan at step 3 \(seed 5\).*--seeds 3 --resume"):
        train_seeds(Config(**{**settings.to_dict(), "resume": True}))
    assert checkpoint.load(tmp_path / "all" / "seed3" / "last.pt")["step"] == 3
    assert checkpoint.load(tmp_path / "all" / "seed5" / "last.pt")["step"] == 2


def test_a_resumed_run_keeps_its_evaluations(tmp_path):
    config = Config(algo="bfs", out=tmp_path / "run", **TINY)
    first = train(config)
    again = train(Config(**{**config.to_dict(), "resume": True, "eval_sizes": [4]}))
    assert [e["size"] for e in again["evaluations"]] == [5, 4]
    assert again["evaluations"][0]["score"] == first["evaluations"][0]["score"]


def test_a_best_checkpoint_from_steps_that_are_lost_does_not_count(tmp_path):
    config = Config(algo="bfs", out=tmp_path / "run", **TINY)
    train(config)
    best = checkpoint.load(config.run_dir / "best.pt")
    checkpoint.save(config.run_dir / "best.pt", best | {"best": best["best"] | {"step": 60, "score": 2.0}})
    found = train(Config(**{**config.to_dict(), "resume": True, "steps": 6}))
    assert found["run"]["best_step"] == 6 and found["run"]["best_validation"] <= 1


def test_several_seeds_are_not_one_run():
    with pytest.raises(ValueError, match="train_seeds"):
        train(Config(seeds=(1, 2)))
    with pytest.raises(ValueError, match="--seeds must be different"):
        Config(seeds=(1, 1))
    with pytest.raises(ValueError, match="--algo must be"):
        Config(algo=("bfs", "bfs"))
