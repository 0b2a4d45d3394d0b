"""The command line from outside: every mistake is one line that says what to do, exit code 2, and costs nothing."""

import builtins
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nar import datasets
from nar.cli import console
from nar.cli import main as cli
from nar.model import checkpoint
from nar.results import run_directory
from nar.system import files
from nar.training import learner, run

ROOT = Path(__file__).parent.parent
TINY = (
    "--algo bfs --processor mpnn --hidden 8 --steps 4 --batch-size 2 --train-sizes 4 --val-size 4 --val-samples 2 "
    "--val-every 2 --checkpoint-every 2 --eval-sizes 4 --eval-samples 2 --device cpu --threads 1"
).split()


@pytest.fixture
def nar(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("NAR_DEBUG", raising=False)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = cli.main(with_last([str(a) for a in arguments]))
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code or 0, printed.out, printed.err

    return run


def with_last(argv):
    """Of flags given twice the last ones: a command line refuses both."""
    words, flags = console.split(argv)
    return [*words, *(word for name, values in dict(flags).items() for word in (name, *values))]


def assert_one_line(found, *parts):
    """Exit code 2 and one line on stderr that begins with the program and holds these parts."""
    code, _, err = found
    lines = err.strip().splitlines()
    errors = [line for line in lines if "error:" in line]
    assert code == 2 and "Traceback" not in err, err
    assert len(errors) == 1 and errors[0] == lines[-1] and errors[0].startswith("nar"), err
    for part in parts:
        assert part in errors[0], errors[0]
    return lines


def refused(found, *parts):
    """A mistake found before anything was begun: nothing else on stderr."""
    assert len(assert_one_line(found, *parts)) == 1


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


# Mistakes in what lies on the disk


@pytest.fixture
def finished(nar, tmp_path, no_report):
    assert nar("train", *TINY, "--out", "run")[0] == 0
    return tmp_path / "run"


RESUME = ["train", *TINY, "--out", "run", "--resume", "--steps", "6"]


def spoilt(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "foreign", "another run", "no model"])
def test_checkpoints_that_are_none(kind, nar, finished, tmp_path):
    path, whole = finished / "last.pt", (finished / "last.pt").read_bytes()
    if kind in ("truncated", "empty", "text"):
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not a checkpoint\n"}[kind])
    elif kind == "foreign":
        torch.save({"state_dict": {"weight": torch.zeros(2)}}, path)
    elif kind == "another run":
        assert nar("train", *TINY, "--hidden", 16, "--out", "other")[0] == 0
        path.write_bytes((tmp_path / "other/last.pt").read_bytes())
    else:
        checkpoint.save(path, {"step": 3})
    before = spoilt(finished)
    assert_one_line(nar(*RESUME), "last.pt")
    assert spoilt(finished) == before
    assert_one_line(nar(*RESUME[:-3]), "last.pt")  # and without --resume
    assert spoilt(finished) == before


def test_a_run_with_other_settings(nar, finished):
    before = spoilt(finished)
    refused(nar(*RESUME, "--hidden", 16), "hidden 8, not 16", "--out")
    refused(nar("train", *TINY, "--out", "run", "--seed", 7), "seed 42, not 7")
    assert spoilt(finished) == before


def test_directories_that_cannot_be_written(nar, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file")
    for out in ("file/run", "file"):
        refused(nar("train", *TINY, "--out", out), "file")
    assert (tmp_path / "file").read_text() == "a file"
    refused(nar("train", *TINY, "--out", "/proc/nothing/run"), "/proc/nothing")

    def forbidden(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refused(nar("train", *TINY, "--out", "locked/run"), "permission denied: locked/run", "may write to")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory(nar, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(nar("train", *TINY, "--out", "locked/run"), "permission denied", "locked")


class FullDisk:
    """A file that takes nothing more."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("how", ["write", "replace"])
@pytest.mark.parametrize("name", ["last.pt", "best.pt", "config.json", "results.json"])
def test_a_full_disk_costs_nothing_that_was_there(name, how, nar, finished, monkeypatch):
    before = spoilt(finished)
    real_open, real_replace = builtins.open, os.replace

    def open_(file, *rest, **options):
        opened = real_open(file, *rest, **options)
        return FullDisk(opened) if Path(str(file)).name.startswith(f".{name}") else opened

    def replace(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_replace(source, target)

    with monkeypatch.context() as patch:
        if how == "write":
            patch.setattr(files, "open", open_, raising=False)
        else:
            patch.setattr(os, "replace", replace)
        # best.pt is written where a step is better than all before: make the first one so
        scores = run.evaluate

        def better(*rest, **options):
            found = scores(*rest, **options)
            if options.get("loss"):
                for tally in found.outputs.values():
                    tally.counts = (tally.counts[1], tally.counts[1])
                found.summed_loss = 0.0
            return found

        patch.setattr(run, "evaluate", better)
        found = nar(*RESUME)
    lines = assert_one_line(found, "no space left on device", f"run/{name}", "free some space and resume")
    assert len([line for line in lines if "error" in line]) == 1
    after = spoilt(finished)
    assert after[name] == before[name] and not [n for n in after if n.endswith(".tmp")]
    for file in ("last.pt", "best.pt"):
        checkpoint.load(finished / file)
    assert nar(*RESUME)[0] == 0  # with space again, the run goes on to its end
    assert checkpoint.load(finished / "last.pt")["step"] == 6


def test_a_full_disk_keeps_the_older_report(nar, tmp_path, monkeypatch):
    assert nar("train", *TINY, "--out", "run")[0] == 0
    real = os.replace
    for name in ("report.html", "report.md"):
        before = (tmp_path / "run" / name).read_bytes()

        def replace(source, target, name=name):
            if Path(target).name == name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            assert_one_line(nar("report", "run"), "no space left on device", f"run/{name}")
        assert (tmp_path / "run" / name).read_bytes() == before and not list((tmp_path / "run").glob(".*.tmp"))


def test_a_full_disk_while_metrics_are_written(nar, finished, monkeypatch):
    def full(self, record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    with monkeypatch.context() as patch:
        patch.setattr(run_directory.Metrics, "write", full)
        found = nar(*RESUME)
    assert_one_line(found, "no space left on device", "metrics.jsonl")
    assert len((finished / "metrics.jsonl").read_text().splitlines()) == 2
    assert checkpoint.load(finished / "last.pt")["step"] == 4


def test_a_loss_that_is_no_number(nar, tmp_path, monkeypatch):
    real = learner.total_loss
    monkeypatch.setattr(learner, "total_loss", lambda *rest: real(*rest) * float("inf"))
    assert_one_line(nar("train", *TINY, "--out", "run"), "the loss became", "--learning-rate")


def test_our_own_mistakes_keep_their_traceback(nar, monkeypatch):
    monkeypatch.setattr(learner, "total_loss", lambda *rest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nar("train", *TINY, "--out", "run")
