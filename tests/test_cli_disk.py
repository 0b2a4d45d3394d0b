"""The command line where files are spoilt, not writable or the disk is full: one line, and what was there stays."""

import builtins
import errno
import os
from pathlib import Path

import pytest
import torch
from command_line import TINY, assert_one_line, command_in_empty_folder, refused

from nar.model import checkpoint
from nar.results import run_directory
from nar.system import files
from nar.training import run

nar = pytest.fixture(command_in_empty_folder)


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
