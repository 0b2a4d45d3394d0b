"""Runs in miniature with a few evaluations, for tests of `nar evaluate`."""

import torch

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import entry
from nar.model import batch as batches
from nar.model import checkpoint
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.system import files

SIZES = (8, 6)  # evaluated after the training


def make_run(run, *algorithms):
    """A run directory as training leaves it, of a network that has learned for a few steps."""
    config = Config(algo=algorithms, processor="mpnn", hidden=8, batch_size=4, train_sizes=(4, 5), steps=4, out=run)
    reasoner = Reasoner.from_config(config)
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=0.01)
    chosen = [datasets.get(name) for name in algorithms]
    for step in range(4):
        for algorithm in chosen:
            batch = batches.draw(algorithm, 5, 4, seed=(step,), random_pos=True, **algorithm.train_params)
            optimizer.zero_grad()
            total_loss(batch, reasoner(batch)).backward()
            optimizer.step()
        if step == 1:
            checkpoint_of(run / "best.pt", reasoner, config)
    checkpoint_of(run / "last.pt", reasoner, config)
    best = checkpoint.read(run).build()
    content = {
        "schema": 2,
        "run": {
            "algorithms": list(algorithms), "processor": "mpnn", "seed": 42, "parameters": reasoner.parameter_count(),
            "processes": 1, "steps": 4, "steps_planned": 4, "interrupted": False, "best_step": 2,
            "best_validation": 0.5, "validation": dict.fromkeys(algorithms, 0.5), "train_seconds": 1.0,
            "train_sizes": {name: [4, 5] for name in algorithms}, "validation_size": dict.fromkeys(algorithms, 5),
        },
        "config": config.to_dict(),
        "command": "python train.py",
        "provenance": {"nar": "0", "commit": None, "torch": "2", "device": "cpu", "threads": 1, "date": "2026-01-01"},
        "evaluations": [entry(best, algorithm, size, samples=2) for algorithm in chosen for size in SIZES],
    }  # fmt: skip
    files.write_json(run / "results.json", content)


def checkpoint_of(path, reasoner, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, {"model": reasoner.state_dict(), "config": config.to_dict()})


def evaluated_runs(tmp_path_factory):
    """Runs that tests copy, one algorithm with weights, one without, and a generalist: what a fixture gives."""
    folder = tmp_path_factory.mktemp("made")
    for name, algorithms in (
        ("weighted", ["bellman_ford"]), ("plain", ["bfs"]), ("several", ["bellman_ford", "insertion_sort"])
    ):  # fmt: skip
        make_run(folder / name, *algorithms)
    return folder
