"""Settings of training runs in miniature, what such runs leave behind, and whether two of them are the same run."""

import json

import torch

from nar.config import Config
from nar.model import checkpoint

TINY = {
    "algo": "bfs", "processor": "mpnn", "hidden": 8, "steps": 6, "batch_size": 3, "train_sizes": (4, 5), "val_size": 5,
    "val_samples": 6, "val_every": 3, "checkpoint_every": 2, "eval_sizes": (5,), "eval_samples": 3, "device": "cpu",
    "threads": 1,
}  # fmt: skip
SMALL = {"processor": "mpnn", "hidden": 8, "batch_size": 2, "device": "cpu", "threads": 1}  # whatever is learned


def settings(tmp_path):
    """Settings of a tiny run in a directory of this test: what a fixture gives."""
    return lambda out="run", **changes: Config(**(TINY | {"out": tmp_path / out} | changes))


def metrics(config):
    return [json.loads(line) for line in (config.run_dir / "metrics.jsonl").read_text().splitlines()]


def results(config):
    return json.loads((config.run_dir / "results.json").read_text())


def assert_equal(one, other, where="checkpoint"):
    """Exactly equal: tensors bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and one.equal(other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for k, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}/{k}")
    else:
        assert one == other or (one != one and other != other), f"{where}: {one} {other}"


def assert_same_run(one, other, *, files=("last.pt", "best.pt")):
    for name in files:
        a, b = checkpoint.load(one.run_dir / name), checkpoint.load(other.run_dir / name)
        for part in a.keys() - {"config", "seconds"}:
            assert_equal(a[part], b[part], f"{name}/{part}")
