"""The command line from outside: every mistake in what is typed is one line that says what to do, and costs nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import TINY, assert_one_line, command_in_empty_folder, refused

from nar import datasets
from nar.training import learner

ROOT = Path(__file__).parent.parent

nar = pytest.fixture(command_in_empty_folder)


# What is well


def test_help_and_lists(nar):
    for arguments in (["--help"], ["-h"], ["train", "--help"], ["list"]):
        code, out, err = nar(*arguments)
        assert code == 0 and out and not err
    out = nar("train", "--help")[1]
    assert "--learning-rate" in out and "Step size" in out
    out = nar("list")[1]
    assert all(name in out for name in (*datasets.names(), "triplet_gmpnn", "deepsets", "my_module:MyProcessor"))
    assert nar()[0] == 2


def test_a_run_by_flags(nar, tmp_path):
    code, out, err = nar("train", *TINY, "--eval-sizes", 4, 5, "--out", "runs/mine")
    assert code == 0 and "Traceback" not in err
    found = json.loads((tmp_path / "runs/mine/results.json").read_text())
    assert [e["size"] for e in found["evaluations"]] == [4, 5]
    assert found["command"].startswith("nar train --algo bfs")
    assert (tmp_path / "runs/mine/report.md").is_file() and "runs/mine/report.html" in out
    (tmp_path / "runs/mine/report.md").unlink()
    assert nar("report", "runs/mine")[0] == 0 and (tmp_path / "runs/mine/report.md").is_file()
    refused(nar("train", *TINY, "--out", "runs/mine"), "at step 4 of 4", "--resume")
    code, _, err = nar("train", *TINY, "--out", "runs/mine", "--resume", "--steps", 6)
    assert code == 0 and "resumed at step 4" in err


def test_a_processor_in_the_current_folder(nar, tmp_path, no_report):
    text = "from nar.processors.mpnn import MPNN\n\n\nclass Mine(MPNN):\n    '''As it is.'''\n"
    (tmp_path / "my_cli_module.py").write_text(text)
    assert nar("train", *TINY, "--processor", "my_cli_module:Mine", "--out", "run")[0] == 0
    refused(nar("train", *TINY, "--processor", "my_cli_module:Yours"), "Yours in my_cli_module is not found")


def test_train_py_is_the_same_door():
    run = subprocess.run(
        [sys.executable, ROOT / "train.py", "--algo", "belman_ford"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1, run.stderr
    assert "did you mean 'bellman_ford'" in run.stderr


# Mistakes in what was typed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "--algo", "belman_ford"], ["unknown algorithm 'belman_ford'", "did you mean 'bellman_ford'"]),
        (["train", "--processor", "triplet_gmpn"], ["unknown processor", "did you mean 'triplet_gmpnn'"]),
        (["train", "--processor", "nowhere:Net"], ["no module named 'nowhere'"]),
        (["train", "--processor", ":Net"], ["processor ':Net'"]),
        (["train", "--processor", "nar.nn.processor:"], ["processor"]),
        (["train", "--processor", ".mine:Net"], ["processor '.mine:Net'"]),
        (["train", "--lerning-rate", "1"], ["unknown flag '--lerning-rate'", "did you mean '--learning-rate'"]),
        (["train", "bfs"], ["unexpected 'bfs'", "by name"]),
        (["train", "--eval-sizes", "1"], ["--eval-sizes 1", "2 or more"]),
        (["train", "--train-sizes", "1"], ["--train-sizes 1", "2 or more"]),
        (["train", "--train-sizes", "4", "4"], ["--train-sizes names 4 twice"]),
        (["train", "--val-size", "1"], ["--val-size 1", "2 or more"]),
        (["train", "--seeds", "1", "2", "--seed", "3"], ["--seed must be left away with --seeds"]),
        (["train", "--out="], ["--out is given an empty value"]),
        (["train", "--freeze", "processor"], ["--freeze", "--init-processor"]),
        (["train", "--tracker", "nosuch", "--out", "h"], ["--tracker takes my_module:MyTracker"]),
        (["train", "--hidden", "100000000"], ["--hidden 100,000,000", "GB of memory", "are free"]),
        (["train", "--hidden", "100000000000000000"], ["--hidden 100,000,000,000,000,000", "GB of memory"]),
        (["train", "--batch-size", "100000000000"], ["100,000,000,000 inputs", "GB of memory"]),
        (["train", "--eval-sizes", "100000000"], ["size 100,000,000", "GB of memory"]),
        (["train", "--eval-samples", "100000000000"], ["--eval-samples must be at most 1,000,000"]),
        (["train", "--val-samples", "100000000000"], ["--val-samples must be at most 1,000,000"]),
        (["train", "--threads", "100000"], ["--threads must be at most 4,096"]),
        (["train", "--train-families", "er", "erdos_renyi"], ["--train-families names erdos_renyi twice"]),
        (["train", "--out", " "], ["--out is given an empty value"]),
        (
            ["sweep", "--algos", "bfs", "--processors", "mpnn", "--hidden", "100000000"],
            ["--hidden 100,000,000", "GB of"],
        ),
        (["show", "bfs", "--n", "1000000"], ["bfs at size 1,000,000", "GB of memory"]),
        (["evaluate", "bfs", "bfs"], ["bfs is given twice"]),
        (["evaluate", "bfs", "--sizes", "16", "16"], ["--sizes names 16 twice"]),
        (["evaluate", "bfs", "--sizes", "1"], ["--sizes 1", "at least 2"]),
        (["train", "--steps", "many"], ["--steps takes a whole number", "'many'"]),
        (["train", "--steps"], ["--steps", "nothing"]),
        (["train", "--steps", "-1"], ["--steps must be 0 or more"]),
        (["train", "--learning-rate", "nan"], ["--learning-rate must be a positive number", "nan"]),
        (["train", "--batch-size", "0"], ["--batch-size must be at least 1"]),
        (["train", "--train-sizes", "0", "4"], ["--train-sizes 0", "at least 1"]),
        (["train", "--val-size", "0"], ["--val-size"]),
        (["train", "--eval-sizes", "16", "-4"], ["--eval-sizes"]),
        (["train", "--hint-mode", "both"], ["--hint-mode takes one of"]),
        (["train", "--device", "gpu"], ["unknown device 'gpu'", "cuda"]),
        (["train", "--processor", "gat", "--heads", "3"], ["cannot be split over 3 heads"]),
        (["train", "--processor", "mpnn", "--heads", "2"], ["has no heads"]),
        (["trian"], ["unknown command 'trian'", "did you mean 'train'"]),
        (["list", "all"], ["unknown processor or algorithm 'all'"]),
        (["report"], ["nar report takes run directories"]),
        (["report", "runs/none"], ["runs/none is not a folder"]),
    ],
    ids=lambda value: (
        " ".join(value)
        if isinstance(value, list) and value and value[0] in ("train", "trian", "list", "report")
        else ""
    ),
)
def test_mistakes(arguments, parts, nar, tmp_path):
    refused(nar(*arguments), *parts)
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(nar, tmp_path):
    refused(nar("train", *TINY, "--device", "cuda", "--out", "run"), "--device cuda", "no CUDA device", "--device cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", datasets.names())
def test_sizes_below_what_an_algorithm_needs(name, nar):
    least = 17 if name in ("kmp_matcher", "naive_string_matcher") else datasets.get(name).min_nodes
    refused(nar("train", "--algo", name, "--train-sizes", least - 1), f"--train-sizes {least - 1}", name, f"{least}")


def test_weights_that_an_algorithm_forbids():
    """In library use; the command line draws its own graphs."""
    import numpy as np

    A = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, -2.0], [0.0, -2.0, 0.0]])
    with pytest.raises(ValueError, match=r"A must not be negative: .*; got -2\.0"):
        datasets.get("dijkstra").run(A=A, s=0)
    A[1, 2] = A[2, 1] = float("nan")
    for name in ("dijkstra", "bellman_ford", "bfs", "mst_prim"):
        with pytest.raises(ValueError, match="A must be finite, got NaN"):
            datasets.get(name).run(A=A, s=0)


# Mistakes of a run itself


def test_a_loss_that_is_no_number(nar, tmp_path, monkeypatch):
    real = learner.total_loss
    monkeypatch.setattr(learner, "total_loss", lambda *rest: real(*rest) * float("inf"))
    assert_one_line(nar("train", *TINY, "--out", "run"), "the loss became", "--learning-rate")


def test_our_own_mistakes_keep_their_traceback(nar, monkeypatch):
    monkeypatch.setattr(learner, "total_loss", lambda *rest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nar("train", *TINY, "--out", "run")
