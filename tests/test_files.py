"""Files and folders of results: one process at a time, nothing to be removed by hand, nothing misread."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from nar.analysis.faithfulness import report as faithfulness_report
from nar.cli import main as cli
from nar.config import Config
from nar.experiments.experiment import train, train_seeds
from nar.system import files
from nar.system.shapes import misfit

ENTRY = {"b": float}
HOLD = "import sys, time, pathlib; from nar.system import files\n" + (
    "with files.locked(pathlib.Path(sys.argv[1])):\n    print('mine', flush=True); time.sleep(60)"
)


@pytest.fixture
def held(tmp_path):
    """A folder at which another process is at work, and that process."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"mine\n"
        yield tmp_path / "run", process
        process.kill()


@pytest.fixture
def tiny(tmp_path):
    return Config(
        algo=("bfs",), processor="mpnn", hidden=8, train_sizes=(4,), eval_sizes=(4,), eval_samples=2, steps=2,
        val_every=2, val_samples=2, batch_size=2, out=tmp_path / "run", device="cpu", threads=1,
    )  # fmt: skip


def test_a_link_to_nowhere_is_named(tiny, tmp_path):
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(ValueError, match="run is a link to nowhere, which is not there"):
        train(tiny)


def test_whoever_comes_second_is_told(held, tiny, no_report, capsys):
    folder, process = held
    with pytest.raises(ValueError, match=rf"in use by another process \(number {process.pid} on .*--out"):
        train(tiny)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(tiny)  # nothing has to be removed by hand
    assert ".lock" not in os.listdir(folder)


def test_of_several_seeds_one_that_is_taken_is_enough(tmp_path, tiny, no_report):
    both = tiny.of_seeds() and Config(**{**vars(tiny), "seeds": (1, 2)})
    with files.locked(tmp_path / "run" / "seed2"), pytest.raises(ValueError, match="seed2 is in use"):
        train_seeds(both)
    assert not (tmp_path / "run").exists()  # what was made for the lock is gone with it


def test_faithfulness_names_a_running_training_before_it_computes(held, monkeypatch, capsys):
    folder, process = held
    (folder / "best.pt").touch()
    monkeypatch.setattr(faithfulness_report, "compare", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(SystemExit):
        cli.main(["faithfulness", str(folder)])
    assert f"in use by another process (number {process.pid} on" in capsys.readouterr().err


def test_evaluations_leave_a_running_training_alone(held):
    from nar.cli.main import main

    folder, _ = held
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(folder)])
    assert stop.value.code == 2


def test_what_a_killed_process_leaves_is_no_hindrance(tmp_path, tiny, no_report):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.json.4711.tmp").write_text("{")
    (run / ".lock").write_text("number 4711 on elsewhere")
    assert files.content(run) == []
    train(tiny)
    assert not [name for name in os.listdir(run) if name.startswith(".")]


def test_the_lock_is_that_of_the_file_that_is_there(tmp_path):
    with files.locked(tmp_path / "a"):
        with pytest.raises(ValueError, match="in use"), files.locked(tmp_path / "a"):
            pass
        (tmp_path / "a" / "kept").touch()
    with files.locked(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path / "a") == ["kept"]


@pytest.mark.parametrize(
    ("value", "kind", "wrong"),
    [
        ({"steps": 3, "more": None}, {"steps": int}, None),
        ({"steps": "3"}, {"steps": int}, "steps must be a whole number, got '3'"),
        ({"steps": True}, {"steps": int}, "steps must be a whole number, got True"),
        ({}, {"steps": int}, "steps is missing"),
        ({}, {"steps?": int}, None),
        ([], {"steps": int}, "it must be names with values, got []"),
        ({"a": [{"b": 1.5}, {"b": "x"}]}, {"a": list[ENTRY]}, "a[1].b must be a number, got 'x'"),
        ({"x": 1, "y": None}, dict[str, float], "it.y must be a number, got None"),
        ("firm", Literal["soft", "hard"], "it must be one of soft, hard, got 'firm'"),
        (True, Literal[1], "it must be one of 1, got True"),
        ((4, "x"), tuple[int, ...], "it must be whole numbers, got (4, 'x')"),
        ("runs", Path | None, None),
        (3, Path | None, "it must be a path or None, got 3"),
    ],
)
def test_values_of_the_wrong_type(value, kind, wrong):
    assert misfit(value, kind) == wrong


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "{", "\xff", '{"a": 1}'])
def test_json_that_cannot_be_used_is_named(tmp_path, text):
    path = tmp_path / "card.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"card\.json .*; copy it again"):
        files.read_json(path, "a card", {"b": int}, "copy it again")


def test_text_that_has_no_bytes_is_written_all_the_same(tmp_path):
    files.write_text(tmp_path / "a", "n\udc80")
    assert (tmp_path / "a").read_text() == "n\\udc80"


def test_json_is_strict_and_not_finite_is_null(tmp_path):
    value = {"loss": float("nan"), "by": [float("-inf"), 0.1, {"x": (1, None)}], "finite": 1e308}
    written = '{"loss": null, "by": [null, 0.1, {"x": [1, null]}], "finite": 1e+308}'
    assert files.json_text(value) == written
    files.write_json(tmp_path / "a.json", value)
    assert "".join((tmp_path / "a.json").read_text().split()) == "".join(written.split())
