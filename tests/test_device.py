"""How a CPU computes: numbers too small to matter count as zero while networks work, and only then."""

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
