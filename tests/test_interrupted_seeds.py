"""Ctrl-C while several seeds are trained one after the other: those that have begun are evaluated and reported."""

import os
import signal

from nar.config import Config
from nar.experiments import experiment
from nar.results import study
from nar.training.run import TrainingRun

TINY = {
    "steps": 4, "batch_size": 2, "train_sizes": (4,), "val_size": 4, "val_samples": 2, "val_every": 2, "hidden": 8,
    "eval_sizes": (4,), "eval_samples": 2, "device": "cpu", "threads": 1, "processor": "mpnn",
}  # fmt: skip


def test_seeds_that_were_not_begun_are_left_out_of_the_report(tmp_path, monkeypatch, capsys):
    validate = TrainingRun.validate

    def interrupted(run, *arguments):
        if run.config.seed == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return validate(run, *arguments)

    monkeypatch.setattr(TrainingRun, "validate", interrupted)
    found = experiment.train_seeds(Config(algo="bfs", seeds=(0, 1, 2, 3), out=tmp_path / "runs", **TINY))
    assert [results["run"]["seed"] for results in found] == [0, 1]
    assert [results["run"]["interrupted"] for results in found] == [False, True]
    assert (tmp_path / "runs" / "report.html").is_file() and (tmp_path / "runs" / "summary.csv").is_file()
    assert not list((tmp_path / "runs").glob("seed[23]/results.json"))
    said = capsys.readouterr().err
    assert "seed2: not begun" in said and "seed3: not begun" in said
    both = study.read([tmp_path / "runs" / "seed0", tmp_path / "runs" / "seed1"])
    assert len(both.runs) == 2
