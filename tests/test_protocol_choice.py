"""The protocol's choice of the model, and what it is scored with: how often, on what, by which rule, in which mode."""

import json
import types

import numpy as np
import pytest
import torch
from test_protocol_data import VALIDATION, of_batches

import nar
from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import entry, evaluate
from nar.experiments.experiment import train
from nar.inference.solver import Solver
from nar.model import checkpoint
from nar.model.reasoner import Reasoner
from nar.training.learner import SingleLearner
from nar.training.run import TrainingRun
from nar.training.tasks import training_batch

TINY = {
    "algo": "bellman_ford", "processor": "mpnn", "hidden": 8, "batch_size": 2, "train_sizes": (4,), "val_size": 16,
    "eval_sizes": (5,), "eval_samples": 4, "learning_rate": 0.01, "device": "cpu", "threads": 1,
}  # fmt: skip

# (score, loss) of validations at steps 50, 100, ...: of equal scores the lowest loss, of equal ones the first
SCRIPT = [(0.5, 3.0), (0.8, 2.0), (0.8, 1.0), (0.8, 1.5), (0.7, 0.1), (0.8, 1.0), (0.6, 0.5)]
BEST = 150


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A run whose validations give the numbers of SCRIPT, and what they were asked."""
    config = Config(**TINY, steps=330, out=tmp_path_factory.mktemp("chosen") / "run")
    asked = []

    def scripted(reasoner, algorithm, traces=(), *, batches, loss, **options):
        assert loss and not traces
        state = {name: value.clone() for name, value in reasoner.state_dict().items()}
        score, of_loss = SCRIPT[len(asked)]
        asked.append((state, of_batches(batches)))
        return types.SimpleNamespace(score=score, loss=of_loss, measures={})

    precision = torch.get_float32_matmul_precision()  # training chooses it, and this is before what every test restores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nar.training.run.evaluate", scripted)
        patch.setattr("nar.reports.report.write_report", lambda run_dir: run_dir / "report.md")
        results = train(config)
    torch.set_float32_matmul_precision(precision)
    return config, results, asked


def test_a_loss_that_is_no_number_loses_every_tie():
    saved, best = [], {"step": -1, "score": -float("inf"), "loss": float("inf")}
    run = types.SimpleNamespace(seconds=0.0, tasks=[types.SimpleNamespace(name="bfs")], best=best)
    run.metrics, run.save_best = types.SimpleNamespace(write=lambda _: None), lambda: saved.append(run.step)
    nan = float("nan")
    for run.step, (score, loss) in enumerate([(nan, nan), (0.5, nan), (0.5, 3.0), (0.5, nan), (0.5, 2.0), (nan, 0.0)]):
        found = types.SimpleNamespace(score=score, loss=loss, measures={})
        TrainingRun.validate(run, [[found]], 0.0, {})  # type: ignore[arg-type]
    assert saved == [1, 2, 4] and run.best["step"] == 4


def test_every_fifty_steps_and_at_the_end_on_the_same_graphs(chosen):
    config, _, asked = chosen
    rows = [json.loads(line) for line in (config.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [50, 100, 150, 200, 250, 300, 330]
    assert [(row["validation_score"], row["validation_loss"]) for row in rows] == SCRIPT
    assert [graphs for _, graphs in asked] == [VALIDATION["bellman_ford"]] * 7


def test_the_best_score_then_the_lowest_loss_then_the_first(chosen):
    config, results, asked = chosen
    run = results["run"]
    assert (run["best_step"], run["best_validation"]) == (BEST, 0.8)
    best, last = (checkpoint.load(config.run_dir / name) for name in ("best.pt", "last.pt"))
    assert (best["best"]["step"], best["best"]["loss"], last["step"]) == (BEST, 1.0, 330)
    for found, (state, _) in ((best, asked[BEST // 50 - 1]), (last, asked[-1])):
        assert found["model"].keys() == state.keys()
        assert all(found["model"][name].equal(value) for name, value in state.items())


def test_what_is_tested_is_the_best_and_not_the_last(chosen):
    config, results, _ = chosen
    algorithm = datasets.get("bellman_ford")
    best, last = (
        entry(nar.load(config.run_dir, which).reasoner, algorithm, 5, samples=4)["hints"]["d"]["per_step"]
        for which in ("best", "last")
    )
    (tested,) = results["evaluations"]
    assert tested["hints"]["d"]["per_step"] == pytest.approx(best, rel=1e-6)
    assert tested["hints"]["d"]["per_step"] != pytest.approx(last, rel=1e-2)
    assert tested["termination"] == "oracle" and tested["setting"] == {}
    assert (tested["data"]["seed"], tested["data"]["samples"], tested["data"]["params"]["p"]) == (3, 4, [0.5])


def watched(reasoner):
    """What the reasoner is given from now on: mode, gradients, batch, options."""
    seen = []

    def note(module, given, options):
        seen.append((module.training, torch.is_grad_enabled(), given[0], options))

    reasoner.register_forward_pre_hook(note, with_kwargs=True)
    return seen


def test_scored_in_evaluation_mode_with_even_positions_and_no_true_hints():
    config = Config(**TINY, dropout=0.5, teacher_forcing=1.0)
    reasoner, algorithm = Reasoner.from_config(config).train(), datasets.get("bellman_ford")
    seen = watched(reasoner)
    traces = [algorithm.run(**algorithm.sample(np.random.RandomState(seed), 5)) for seed in range(3)]
    first, second = (evaluate(reasoner, algorithm, traces) for _ in range(2))
    assert first.hints == second.hints and reasoner.training  # no noise, and training goes on
    for training, gradients, batch, options in seen:
        assert not training and not gradients
        torch.testing.assert_close(batch.inputs["pos"], torch.arange(5).div(5).expand(3, 5))
        assert not options.get("teacher_forcing") and options.get("termination", "oracle") == "oracle"
    steps = [max(1, trace.length - 1) for trace in traces]
    assert first.taken == sorted(steps, reverse=True)  # as many as the algorithm takes


def test_trained_in_training_mode_on_hints_of_its_own():
    config = Config(**TINY)
    reasoner = Reasoner.from_config(config).train()
    seen = watched(reasoner)
    SingleLearner(reasoner, config).step([training_batch(datasets.get("bellman_ford"), config, 0)], 0)
    ((training, gradients, batch, options),) = seen
    assert training and gradients and len(batch) == 2 and options["teacher_forcing"] == 0


def node_score(name):
    """What an untrained reasoner scores on 24 inputs; its answers and the true ones by output, [24, ...]."""
    algorithm = datasets.get(name)
    torch.manual_seed(0)
    reasoner = Reasoner.build(name, "mpnn", hidden=8).eval()
    traces = [algorithm.run(**algorithm.sample(np.random.RandomState(seed), 6)) for seed in range(24)]
    answers = [Solver(reasoner).run(trace).compact for trace in traces]
    said, true = (
        {n: np.stack([a[n] for a in of]) for n in answers[0]} for of in (answers, [t.compact for t in traces])
    )
    score = evaluate(reasoner, algorithm, traces).score
    assert 0 < score < 1
    return score, said, true


def test_pointers_count_where_they_are_exactly_right():
    score, said, true = node_score("dfs")
    assert score == pytest.approx(float((said["pi"] == true["pi"]).mean()))


def test_masks_are_scored_by_f1_over_the_whole_set():
    score, said, true = node_score("activity_selector")
    said, true = said["selected"] == 1, true["selected"] == 1
    assert score == pytest.approx(float(2 * (said & true).sum() / (said.sum() + true.sum())))


def test_the_score_is_the_mean_over_outputs():
    score, said, true = node_score("find_maximum_subarray_kadane")
    each = [float((said[name] == true[name]).mean()) for name in ("start", "end")]
    assert each[0] != each[1] and score == pytest.approx(sum(each) / 2)
