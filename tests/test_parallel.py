"""Several processes make the run of one with the larger batch."""

import dataclasses
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import evaluate
from nar.experiments.experiment import train
from nar.model import checkpoint
from nar.model.batch import collate
from nar.model.objectives.losses import entries_each, losses, total_loss
from nar.model.reasoner import Reasoner
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Location, Probe, Stage, Type
from nar.training.distributed import Ranks
from nar.training.learner import clip
from nar.training.run import TrainingRun
from nar.training.tasks import training_batch

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "algo": "bellman_ford", "processor": "mpnn", "hidden": 8, "steps": 6, "train_sizes": (5, 7), "val_size": 5,
    "val_samples": 6, "val_every": 3, "eval_sizes": (5,), "eval_samples": 3, "device": "cpu", "threads": 1,
}  # fmt: skip


def test_shares_make_up_the_batch():
    algorithm = datasets.get("floyd_warshall")
    whole = training_batch(algorithm, Config(algo="floyd_warshall", batch_size=6), 3)
    shares = [
        training_batch(algorithm, Config(algo="floyd_warshall", batch_size=3), 3, ranks=Ranks(rank, 2))
        for rank in (0, 1)
    ]
    for rank, share in enumerate(shares):
        assert share.lengths == whole.lengths[rank::2] and share.order == whole.order[rank::2]
        for stage in ("inputs", "outputs"):
            for name, value in getattr(share, stage).items():
                assert torch.equal(value, getattr(whole, stage)[name][rank::2]), name
        for name, value in share.hints.items():
            assert isinstance(value, RunLengthArray) == isinstance(whole.hints[name], RunLengthArray)
            for moment in range(share.lengths[0]):
                assert torch.equal(value[moment], whole.hints[name][moment, rank::2]), name


@pytest.mark.parametrize("name", ["bellman_ford", "lcs_length", "dag_shortest_paths", "floyd_warshall", "kmp_matcher"])
def test_the_losses_of_the_shares_add_up(name):
    """In float64, gradients too; lengths differ, so that plain averages would not add up."""
    algorithm, rng = datasets.get(name), np.random.RandomState(0)
    traces = [algorithm.run(**algorithm.sample(rng, 9)) for _ in range(5)]
    batch = collate(traces, algorithm)
    model = Reasoner.build(name, "mpnn", hidden=8).double()
    whole = total_loss(batch, model(batch))
    expected = torch.autograd.grad(whole, list(model.parameters()), allow_unused=True)
    shares = [Ranks(rank, 2).share(batch) for rank in (0, 1)]
    total = sum(total_loss(share, model(share)) for share in shares)
    torch.testing.assert_close(total, whole, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
    plain = sum(total_loss(part, model(part)) for part in (batch.rows(range(rank, 5, 2)) for rank in (0, 1))) / 2
    assert abs(plain - whole) > 1e-6


def test_how_many_entries_count():
    mask, number = Probe(Stage.HINT, Location.EDGE, Type.MASK), Probe(Stage.HINT, Location.EDGE, Type.SCALAR)
    values = torch.tensor([[[0, 1], [1, 1]], [[-1, 1], [-1, 0]], [[-1, -1], [-1, -1]]], dtype=torch.int8)
    runs = RunLengthArray(values, torch.tensor([[2, 0], [1, 1], [0, 2]]))
    assert entries_each(mask, runs, 2).tolist() == [[0, 4], [2, 2], [4, 0]]
    assert entries_each(mask, runs[:], 2).tolist() == [[0, 4], [2, 2], [4, 0]]
    assert entries_each(number, runs, 2).tolist() == [[4, 4]] * 3
    assert entries_each(Probe(Stage.OUTPUT, Location.GRAPH, Type.SCALAR), torch.zeros(3), 1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("halting", ["supervised", "ponder"])
def test_the_losses_of_halting_add_up(halting):
    algorithm, rng = datasets.get("bfs"), np.random.RandomState(0)
    inputs = [*(algorithm.sample(rng, 7) for _ in range(4)), {"A": np.zeros((7, 7)), "s": 0}]
    batch = collate([algorithm.run(**given) for given in inputs], algorithm)
    assert batch.lengths[-1] == 1  # it takes a step all the same
    model = Reasoner.build("bfs", "mpnn", hidden=8, halting=halting).double()
    whole, shares = losses(batch, model(batch)), [Ranks(rank, 2).share(batch) for rank in (0, 1)]
    found = [losses(share, model(share)) for share in shares]
    assert "halting" in whole and whole.keys() == found[0].keys() == found[1].keys()
    for name, value in whole.items():
        torch.testing.assert_close(found[0][name] + found[1][name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "processor", "options"),
    [
        ("bfs", "g_forgetnet", {}),
        ("bfs", "g_forgetnet", {"message_passing_steps": 2}),
        ("dfs", "mpnn", {}),
        ("quickselect", "mpnn", {}),
    ],
)
def test_scores_of_shares_are_pooled(name, processor, options):
    """Two batches of different sizes; lengths differ, so that each step is one of other graphs."""
    algorithm, rng = datasets.get(name), np.random.RandomState(0)
    batches = [collate([algorithm.run(**algorithm.sample(rng, 6)) for _ in range(n)], algorithm) for n in (7, 3)]
    model = Reasoner.build(name, processor, hidden=8, **options)
    whole = evaluate(model, algorithm, batches=batches, loss=True, validity=False)
    parts = [
        evaluate(model, algorithm, batches=[Ranks(rank, 3).share(b) for b in batches], loss=True, validity=False)
        for rank in range(3)
    ]
    found = parts[0] + parts[1] + parts[2]
    assert found.score == pytest.approx(whole.score) and found.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (found.exact, found.samples, found.num_running) == (whole.exact, whole.samples, whole.num_running)
    assert sorted(found.taken) == sorted(whole.taken) and sorted(found.lengths) == sorted(whole.lengths)
    assert found.measures.keys() == whole.measures.keys() and (name != "bfs" or found.measures["gate"])
    for measure, values in whole.measures.items():
        assert len(values) == max(whole.taken) * options.get("message_passing_steps", 1)
        assert found.measures[measure] == pytest.approx(values, rel=1e-5)
    ours, theirs = found.to_dict(), whole.to_dict()
    for hint, values in theirs["hints"].items():
        assert ours["hints"][hint]["per_step"] == pytest.approx(values["per_step"], rel=1e-3)


def test_penalties_weigh_as_much_as_the_graphs_they_are_of():
    algorithm, rng = datasets.get("bfs"), np.random.RandomState(0)
    batch = collate([algorithm.run(**algorithm.sample(rng, 5)) for _ in range(5)], algorithm)
    model = Reasoner.build("bfs", "mpnn", hidden=8)
    found = []
    for rank, penalty in ((0, 3.0), (1, 10.0)):  # means over three graphs and over two
        share = Ranks(rank, 2).share(batch)
        rollout = dataclasses.replace(model(share), penalties={"made up": torch.tensor(penalty)})
        found.append(losses(share, rollout)["penalty made up"].item())
    assert sum(found) == pytest.approx((3 * 3.0 + 2 * 10.0) / 5)


def test_hints_have_no_loss_only_where_no_process_has_any():
    algorithm = datasets.get("bfs")
    alone, chain = (algorithm.run(A=A, s=0) for A in (np.zeros((3, 3)), np.eye(3, k=1) + np.eye(3, k=-1)))
    model = Reasoner.build("bfs", "mpnn", hidden=8)

    def told(*traces):
        share = Ranks(1, 2).share(collate(traces, algorithm))
        assert share.schedule.num_with_hint(0) == 0
        return set(losses(share, model(share)))

    assert told(alone, alone) == {"pi"}
    assert told(chain, alone) == {"pi", "pi_h", "reach_h"}


def test_what_nobody_has_a_gradient_of_gets_none():
    """Adam moves parameters with gradients of zero, by their momentum."""
    known, unknown, of_others = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    known.grad = torch.tensor([1.0, 2.0])

    class All(Ranks):
        def sum(self, values):
            return values + torch.tensor([1.0, 1.0, 0.0, 0.0, 5.0, 6.0, 1.0, 0.0, 1.0, 3.0])

    loss, gradients = All(0, 2).sum_gradients([known, unknown, of_others], torch.tensor(4.0))
    assert known.grad.tolist() == [2.0, 3.0] and unknown.grad is None
    assert of_others.grad is not None and of_others.grad.tolist() == [5.0, 6.0]
    assert loss.item() == 7.0
    (every,) = gradients
    every *= 2  # clipping reaches the parameters
    assert known.grad.tolist() == [4.0, 6.0]


def test_what_is_validated_has_the_statistics_that_are_saved():
    """Those of the first process; the others' are of other shares."""
    layer = torch.nn.BatchNorm1d(2)

    class Second(Ranks):
        def sum(self, values):
            return values + 3.0  # what the first process hands in

    stub = types.SimpleNamespace(ranks=Second(1, 2), reasoner=layer, validation=None)
    assert TrainingRun.score_validation(stub) is None
    assert layer.running_mean.tolist() == [3.0, 3.0] and layer.running_var.tolist() == [3.0, 3.0]


def test_gradients_of_two_types():
    """Each parameter's has its own, and clipping reaches them."""
    one, other = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    one.grad, other.grad = torch.tensor([1.0, 2.0]), torch.tensor([2.0], dtype=torch.float64)

    class Twice(Ranks):
        def sum(self, values):
            return 2 * values

    _, gradients = Twice(0, 2).sum_gradients([one, other], torch.tensor(0.0))
    assert one.grad.tolist() == [2.0, 4.0] and other.grad.tolist() == [4.0] and other.grad.dtype == torch.float64
    clip(gradients, 3.0)
    assert one.grad.tolist() == pytest.approx([1.0, 2.0]) and other.grad.item() == pytest.approx(2.0)


def test_clipping():
    expected = [torch.nn.Parameter(torch.zeros(shape)) for shape in (3, (2, 2), ())]
    for scale in (0.1, 10.0):
        generator = torch.Generator().manual_seed(0)
        for parameter in expected:
            parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
        found = [parameter.grad.clone() for parameter in expected]
        clip(found, 1.0)
        torch.nn.utils.clip_grad_norm_(expected, 1.0)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other.grad)


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path, no_report):
    words = ["--batch-size", "3", "--out", str(tmp_path / "two")]
    for key, value in SETTINGS.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(ROOT / "train.py"), *words], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr and done.stdout.count("report:") == 1
    train(Config(**SETTINGS, batch_size=6, out=tmp_path / "one"))
    two, one = ([json.loads(line) for line in (tmp_path / run / "metrics.jsonl").open()] for run in ("two", "one"))
    assert [row["step"] for row in two] == [row["step"] for row in one] == [3, 6]
    for ours, theirs in zip(two, one, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
    weights = [torch.load(tmp_path / run / "last.pt", weights_only=True)["model"] for run in ("two", "one")]
    # A bias that no loss depends on has gradients of rounding errors, to which Adam gives full steps.
    close = torch.cat([torch.isclose(v, weights[1][k], rtol=1e-3, atol=1e-5).flatten() for k, v in weights[0].items()])
    assert close.double().mean() > 0.99


def test_a_run_goes_on_with_as_many_processes(tmp_path, no_report):
    """With another number batches would be of another size from there on."""
    config = Config(**SETTINGS, batch_size=6, out=tmp_path / "run", resume=True)
    train(config)
    last = checkpoint.load(tmp_path / "run" / "last.pt")
    assert last["processes"] == 1
    checkpoint.save(tmp_path / "run" / "last.pt", last | {"processes": 2})
    with pytest.raises(ValueError, match=r"by 2 processes of torchrun.*as many \(now 1\)"):
        train(dataclasses.replace(config, steps=8))
