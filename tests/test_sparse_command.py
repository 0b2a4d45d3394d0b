"""`--layout sparse` on the command line: runs, evaluations, what is kept and what is refused."""

import json

import numpy as np
import pytest

import nar
from nar.cli import main as cli
from nar.config import Config
from nar.experiments.experiment import train
from nar.traces.sparse import sampling

TINY = {
    "steps": 2, "batch_size": 2, "train_sizes": (5,), "val_samples": 2, "val_every": 2, "eval_samples": 2, "hidden": 8,
    "eval_sizes": (6, 9), "device": "cpu", "threads": 1,
}  # fmt: skip


@pytest.fixture
def run(tmp_path, no_report):
    def made(**settings):
        out = tmp_path / "run"
        train(Config(**TINY | {"processor": "gin", "algo": "bfs", "out": out} | settings))
        return out

    return made


def entries(out):
    return json.loads((out / "results.json").read_text())["evaluations"]


def test_a_sparse_run_is_trained_evaluated_and_loaded(run, capsys):
    out = run(layout="sparse", seed=3)
    found = entries(out)
    assert [(e["size"], e["samples"], e["data"]["set"]) for e in found] == [(6, 2, "nar/sparse"), (9, 2, "nar/sparse")]
    assert all(e["valid"] is not None and e["first_error"] is not None for e in found)
    assert cli.main(["evaluate", str(out), "--sizes", "20", "--families", "ws", "delaunay", "--samples", "2"]) == 0
    added = entries(out)[2:]
    assert [(e["size"], e["setting"]) for e in added] == [
        (20, {}), (20, {"family": "watts_strogatz"}), (20, {"family": "delaunay"})
    ]  # fmt: skip
    assert "watts_strogatz" in capsys.readouterr().out
    solver = nar.load(out)
    given = sampling.sample(nar.datasets.get("bfs"), np.random.RandomState(0), 30)
    assert len(solver.run(given["A"], source=given["s"]).outputs["pi"]) == 30


def test_another_layout_is_printed_and_not_kept(run, capsys):
    out = run()
    before = entries(out)
    assert cli.main(["evaluate", str(out), "--sizes", "40", "--layout", "sparse", "--samples", "2"]) == 0
    assert entries(out) == before and "40" in capsys.readouterr().out


def test_what_cannot_be_trained_sparse_is_one_line(run, capsys, tmp_path):
    words = ["train", "--layout", "sparse", "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "x")]
    for more, said in (
        (["--algo", "bfs", "--processor", "mpnn"], "MPNN needs all pairs of nodes"),
        (["--algo", "bfs", "--recipe", "protocol"], "MPNN keeps or compares all pairs of nodes"),
        (["--algo", "floyd_warshall", "--processor", "pgn"], "cannot run in the sparse layout"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main([*words, *more])
        error = capsys.readouterr().err
        assert end.value.code == 2 and said in error and "Traceback" not in error


def test_the_step_recipe_trains_sparse(tmp_path, no_report):
    from nar import recipes

    settings = {**TINY, "layout": "sparse", "algo": "mst_prim", "out": tmp_path / "run"}
    found = train(recipes.config("step", **settings))
    assert found["evaluations"][0]["steps_max"] >= 1
