"""How a CPU computes: numbers too small to matter count as zero while networks work, and only then."""

import contextlib
import dataclasses
import random
import warnings

import numpy as np
import torch

from nar import datasets
from nar.config import Config
from nar.device import tiny_numbers_are_zero
from nar.evaluation import evaluate
from nar.experiments import experiment
from nar.kernels.cpu import ranges
from nar.model.batch import draw
from nar.model.reasoner import Reasoner
from nar.training import learner


def tiny_counts_as_zero():
    return (torch.full((), 1e-39, dtype=torch.float32) * 1).item() == 0


def test_it_ends_as_it_began():
    assert not tiny_counts_as_zero()
    with tiny_numbers_are_zero():
        assert tiny_counts_as_zero()
        with tiny_numbers_are_zero():
            pass
        assert tiny_counts_as_zero()
    assert not tiny_counts_as_zero()
    try:
        with tiny_numbers_are_zero():
            raise KeyError
    except KeyError:
        assert not tiny_counts_as_zero()


def test_training_evaluation_and_the_threads_of_kernels_work_so(tmp_path, monkeypatch, no_report):
    seen = {}
    step, entry = learner.SingleLearner.step, Reasoner.forward

    def watched_step(self, *arguments, **options):
        seen["training"] = tiny_counts_as_zero()
        return step(self, *arguments, **options)

    def watched_forward(self, *arguments, **options):
        if not self.training:
            seen["evaluation"] = tiny_counts_as_zero()
        return entry(self, *arguments, **options)

    monkeypatch.setattr(learner.SingleLearner, "step", watched_step)
    monkeypatch.setattr(Reasoner, "forward", watched_forward)
    experiment.train(
        Config(
            algo="bfs", processor="mpnn", hidden=8, steps=2, batch_size=2, train_sizes=(4,), val_size=4, val_samples=2,
            eval_sizes=(4,), eval_samples=2, device="cpu", threads=1, out=tmp_path / "run",
        )
    )  # fmt: skip
    assert seen == {"training": True, "evaluation": True}
    assert ranges._threads().submit(tiny_counts_as_zero).result()
    assert not tiny_counts_as_zero()


def test_answers_of_a_sure_network_are_the_same():
    """One whose soft hints are full of such numbers: its decoders' parameters are larger."""
    torch.manual_seed(0)
    reasoner = Reasoner.build("bellman_ford", "mpnn", hidden=16)
    batch = draw(datasets.get("bellman_ford"), 8, 4, seed=(0,), random_pos=False)
    tiny = torch.zeros((), dtype=torch.bool)
    for _ in range(20):
        with torch.no_grad():
            for parameter in reasoner.coders("bellman_ford")[1].parameters():
                parameter *= 1.3
        plain = reasoner(batch)
        probabilities = torch.softmax(plain.hints[0]["pi_h"], -1)
        tiny = ((probabilities > 0) & (probabilities < 1e-38)).any()
        if tiny:
            break
    assert tiny
    with evaluate.evaluating(reasoner):
        flushed = reasoner(batch)
    for one, other in zip(plain.hints, flushed.hints, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(value, other[name])
    for name, value in plain.outputs.items():
        torch.testing.assert_close(value, flushed.outputs[name])


def settings():
    """What a caller's process has set, as values that can be compared."""
    import matplotlib

    return {
        "precision": torch.get_float32_matmul_precision(), "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(), "torch": torch.get_rng_state().tolist(), "random": random.getstate(),
        "numpy": str(np.random.get_state()), "warnings": list(warnings.filters), "errors": np.geterr(),
        "matplotlib": dict(matplotlib.rcParams), "gradients": torch.is_grad_enabled(),
    }  # fmt: skip


@contextlib.contextmanager
def unusual_settings():
    import matplotlib

    before, products = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    try:
        with (
            warnings.catch_warnings(), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16),
            np.errstate(all="raise"), matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}),
        ):  # fmt: skip
            warnings.simplefilter("error")
            torch.set_default_dtype(torch.float64)
            torch.set_float32_matmul_precision("medium")
            torch.manual_seed(99)
            random.seed(99)
            np.random.seed(99)
            torch.set_num_threads(2)
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_float32_matmul_precision(products)
        torch.set_num_threads(1)


def test_no_setting_of_the_caller_changes_a_result_or_is_changed(tmp_path):
    """Trained, evaluated, run, drawn and checked in a process that has set everything otherwise, and in a usual one."""
    import matplotlib

    import nar
    from nar.analysis.contract import check
    from nar.analysis.contract.fixture import Fixture
    from nar.evaluation.evaluate import evaluate
    from nar.experiments.experiment import train
    from nar.processors import build

    tiny = nar.Config(
        algo="bfs", processor="gat", hidden=8, dropout=0.5, train_sizes=(4,), eval_sizes=(4,), eval_samples=2, steps=3,
        val_every=3, val_samples=2, batch_size=2, device="cpu", threads=1,
    )  # fmt: skip
    algorithm = nar.datasets.get("bfs")
    inputs = algorithm.sample(np.random.RandomState(0), 6)
    fixture = Fixture(lambda features: build("gat", features))

    def everything(name):
        train(dataclasses.replace(tiny, out=tmp_path / name))
        solver = nar.load(tmp_path / name)
        prediction = solver.run(inputs["A"], source=0)
        prediction.draw(tmp_path / f"{name}.svg")
        score = evaluate(solver.reasoner, algorithm, [algorithm.run(**inputs)]).to_dict() | {"seconds": 0}
        weights = [p.tolist() for p in solver.reasoner.parameters()]
        return weights, prediction.compact["pi"].tolist(), score, str(check.run_one(fixture, "gradients"))

    usual = everything("usual")
    with unusual_settings():
        before = settings()
        assert everything("unusual") == usual
        after = settings()
        assert [name for name in before if before[name] != after[name]] == []
        assert matplotlib.rcParams["font.size"] == 30
    pictures = [(tmp_path / f"{name}.svg").read_text() for name in ("usual", "unusual")]
    assert pictures[0] == pictures[1]
