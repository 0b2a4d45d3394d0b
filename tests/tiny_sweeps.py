"""A sweep in miniature, accidents that can happen to it, and what it leaves behind."""

import json

import torch

from nar.model import checkpoint

TINY = {
    "hidden": "8", "steps": "6", "batch_size": "3", "train_sizes": "4 5", "val_size": "5", "val_samples": "4",
    "val_every": "2", "checkpoint_every": "2", "eval_sizes": "5", "eval_samples": "3", "device": "cpu",
}  # fmt: skip
SWEEP = ["--algos", "bfs", "--processors", "mpnn", "--seeds", "2", "--no-report"]
SWEEP += [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", *value.split())]

# Trackers that do to a run what a machine or a person does, at a step of their choice, once.
ACCIDENTS = """
import os, signal, time
from pathlib import Path

class Accident:
    def start(self, config, run_dir, resumed_at):
        self.mark = run_dir.parent / "happened"

    def log(self, step, values):
        if step == 4 and not self.mark.exists():
            self.mark.touch()
            self.happen()

    def finish(self, results): pass

class Killed(Accident):
    def happen(self): os.kill(os.getpid(), signal.SIGKILL)

class CtrlC(Accident):
    def happen(self): os.kill(os.getpid(), signal.SIGINT)

class CtrlCForTheSweep(Accident):
    def happen(self):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1.5)  # the sweep looks every half second

class SweepKilled(Accident):
    def happen(self):
        (self.mark.parent / "worker").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
"""


def folder_with_accidents(tmp_path, monkeypatch, no_report):
    """A folder to sweep in, with the accidents: what a fixture gives."""
    (tmp_path / "accidents.py").write_text(ACCIDENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def changed(argv, flag, value):
    """The command with another value of a flag that has one."""
    place = argv.index(flag)
    return [*argv[:place], flag, value, *argv[place + 2 :]]


def directories(folder):
    return sorted(path.parent for path in folder.glob("*/config.json"))


def assert_same_results(folder, reference):
    """Equal scores, and equal parameters and optimiser bit for bit."""
    assert [path.name for path in directories(folder)] == [path.name for path in directories(reference)]
    for ours, theirs in zip(directories(folder), directories(reference), strict=True):
        for name in ("best.pt", "last.pt"):
            one, other = checkpoint.load(ours / name), checkpoint.load(theirs / name)
            for part in one.keys() & {"model", "optimizer"}:
                flat, expected = (torch.utils._pytree.tree_leaves(found[part]) for found in (one, other))
                assert len(flat) == len(expected) > 5
                for a, b in zip(flat, expected, strict=True):
                    assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        one, other = (json.loads((path / "results.json").read_text()) for path in (ours, theirs))
        assert [entry["score"] for entry in one["evaluations"]] == [entry["score"] for entry in other["evaluations"]]
        assert one["run"]["best_step"] == other["run"]["best_step"]
        rows = [
            [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (ours, theirs)
        ]
        assert [(row["step"], row["loss"]) for row in rows[0]] == [(row["step"], row["loss"]) for row in rows[1]]


def states(folder):
    return {entry["name"]: entry["state"] for entry in json.loads((folder / "sweep.json").read_text())["runs"]}
