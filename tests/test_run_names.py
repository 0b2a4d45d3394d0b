"""Run directories say what differs from the defaults, options too, and stay short."""

import json
from pathlib import Path

import pytest

import nar
from nar import recipes
from nar.config import Config
from nar.experiments.experiment import train
from nar.recipes import LONGEST


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "bfs-mpnn-seed1"),
        ({"steps": 5, "eval_sizes": (4,), "threads": 1, "device": "cpu"}, "bfs-mpnn-seed1"),  # the same may be resumed
        ({"hidden": 64, "layer_norm": False}, "bfs-mpnn-hidden64-no_layer_norm-seed1"),
        ({"option": ("heads=4", "layer=torch_geometric.nn:SAGEConv")}, "bfs-mpnn-heads=4-layer=SAGEConv-seed1"),
        ({"train_sizes": (4, 5), "learning_rate": 0.01}, "bfs-mpnn-learning_rate0.01-train_sizes4+5-seed1"),
        ({"hint_mode": "none", "heads": 2}, "bfs-mpnn-heads2-hint_mode=none-seed1"),
        ({"init_processor": Path("runs/a/b"), "history": False}, "bfs-mpnn-init_processor=b-no_history-seed1"),
        ({"algo": ("bfs", "dfs"), "processor": "m:X"}, "bfs+dfs-m.X-seed1"),
        ({"out": Path("here")}, "here"),
    ],
)
def test_names(settings, name):
    assert Config(**({"algo": "bfs", "processor": "mpnn", "seed": 1} | settings)).run_dir.name == name


def test_recipes_are_named_and_what_differs_from_theirs():
    assert recipes.config("step", algo="bfs", seed=1).run_dir.name == "bfs-relational-step-seed1"
    assert recipes.config("step", algo="bfs", seed=1, hidden=8).run_dir.name == "bfs-relational-step-hidden8-seed1"


def test_long_names_are_cut_and_still_differ():
    settings = {"algo": "bfs", "seed": 1, "random_pos": False, "encoder_init": "default", "layer_norm": False}
    settings |= {"pointer_head": "additive", "log_n_scale": True, "batch_size": 8, "val_samples": 9}
    one, other = (Config(**settings, comparison_units=units).run_dir.name for units in (3, 4))
    assert one != other and len(one) == len(other) == len("bfs-triplet_gmpnn-seed1") + LONGEST


def test_a_run_stays_where_its_settings_as_given_put_it(tmp_path, monkeypatch, no_report):
    """Sizes are filled in while it runs; its directory is not another one for it, nor when it is resumed."""
    monkeypatch.chdir(tmp_path)
    settings = {"hidden": 8, "eval_sizes": (4,), "eval_samples": 1, "threads": 1, "val_samples": 2, "batch_size": 2}
    config = Config(algo="minimum", processor="deepsets", steps=1, **settings)
    train(config)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == config.run_dir.name == "minimum-deepsets-batch_size2-val_samples2-hidden8-seed42"
    train(Config(algo="minimum", processor="deepsets", steps=2, resume=True, **settings))
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert json.loads((folder / "results.json").read_text())["run"]["steps"] == 2
    assert nar.load(folder).config.train_sizes == (4, 7, 11, 13, 16)
