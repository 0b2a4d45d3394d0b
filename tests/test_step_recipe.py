"""The recipe step as a whole: runs that are resumed, stacked or shared, and a few steps of every algorithm."""

import math

import pytest
import torch
from step_recipe import config, reasoner

import nar
from nar import datasets, recipes
from nar.evaluation.evaluate import evaluate
from nar.experiments.experiment import train, train_seeds
from nar.model.batch import draw
from nar.model.objectives.losses import losses
from nar.model.options.constants import find_constants
from nar.model.reasoner import Reasoner
from nar.training.distributed import Ranks
from nar.training.learner import SingleLearner, StackedLearner
from nar.training.tasks import training_batch


def run(tmp_path, name="bfs", **settings):
    given = {"steps": 4, "val_every": 2, "checkpoint_every": 2, "eval_sizes": (5,), "eval_samples": 2, "threads": 1}
    return config(name, out=tmp_path, **given | settings)


def parameters(folder):
    return nar.load(folder).reasoner.state_dict()


def test_resumed_runs_are_as_if_never_stopped(tmp_path):
    train(run(tmp_path / "b", "dfs", steps=2, learning_rate_schedule="constant"))
    whole = run(tmp_path / "c", "dfs", learning_rate_schedule="constant")
    train(whole)
    train(run(tmp_path / "b", "dfs", learning_rate_schedule="constant", resume=True))
    one, other = ((torch.load(tmp_path / x / "last.pt", weights_only=False))["model"] for x in "bc")
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
    assert any("constants" in n and v.any() for n, v in one.items())
    # and its constants go with it into the reasoner that is loaded
    assert parameters(tmp_path / "c")["decoders.dfs.choices.time.constants"].tolist()[:1] == pytest.approx([0.01])


def test_seeds_together_are_seeds_alone(tmp_path):
    """In float64: in single precision, roundings may decide which of two candidates is learned."""
    configs = [run(tmp_path / f"{seed}", "bellman_ford", seed=seed) for seed in (1, 2)]
    stacked, alone = ([Reasoner.from_config(one).train().double() for one in configs] for _ in range(2))
    together, learners = StackedLearner(stacked, configs), list(map(SingleLearner, alone, configs))
    for step in range(4):
        batches = [training_batch(datasets.get("bellman_ford"), one, step) for one in configs]
        batches = [batch.map(lambda v: v.double() if v.is_floating_point() else v) for batch in batches]
        losses = together.step(batches, step, progress=step / 4)
        each = [one.step([batch], step, progress=step / 4) for one, batch in zip(learners, batches, strict=True)]
        torch.testing.assert_close(losses, torch.cat(each))
    for one, other in zip(stacked, alone, strict=True):
        for name, value in one.named_parameters():
            torch.testing.assert_close(value.detach(), other.get_parameter(name).detach(), msg=name)
    train_seeds(run(tmp_path / "both", "bellman_ford", seeds=(1, 2), stack="always", threads=1))
    assert all((tmp_path / "both" / f"seed{seed}" / "results.json").is_file() for seed in (1, 2))


def test_a_shared_batch_has_the_gradient_of_the_whole():
    settings = config("bellman_ford", batch_size=5)
    algorithm = datasets.get("bellman_ford")
    made = reasoner().train()
    batch = training_batch(algorithm, settings, 1).map(lambda v: v.double() if v.is_floating_point() else v)

    def gradient(*batches):
        made.zero_grad()
        torch.stack([sum(losses(part, made(part)).values()) for part in batches]).sum().backward()
        return {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}

    shares = [Ranks(rank, 2).share(batch) for rank in range(2)]
    assert sum(map(len, shares)) == len(batch) and all(share.unchanged is not None for share in shares)
    whole, parts = gradient(batch), gradient(*shares)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_takes_steps_and_is_evaluated(name):
    algorithm = datasets.get(name)
    sizes = {"segments_intersect": (4, 4)}.get(name, (20, 24) if "matcher" in name else (4, 6))
    settings = recipes.config("step", algo=name, hidden=16, batch_size=4, steps=3, train_sizes=sizes[:1])
    made = Reasoner.from_config(settings)
    batches = [training_batch(algorithm, settings, step) for step in range(3)]
    find_constants(made.coders(name)[1].choices, batches)
    learner = SingleLearner(made.train(), settings)
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    found = [learner.step([batch], step).item() for step, batch in enumerate(batches)]
    assert all(math.isfinite(loss) and loss > 0 for loss in found)
    moved = [n for n, p in made.named_parameters() if not torch.equal(p, before[n])]
    assert len(moved) > 0.8 * len(before), sorted(before.keys() - moved)
    for nodes in sizes:
        batch = draw(algorithm, nodes, 2, seed=(9,), random_pos=False, **algorithm.train_params)
        scored = evaluate(made, algorithm, batches=[batch], loss=True, validity=False)
        assert 0 <= scored.score <= 1 and math.isfinite(scored.loss)
