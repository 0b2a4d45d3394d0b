"""The numbers of a run: JSONL and CSV hold the same, TensorBoard and trackers are told the same, none stops a run."""

import contextlib
import csv
import json
import re
import sqlite3
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from nar.config import Config
from nar.experiments.experiment import train
from nar.results import trackers
from nar.results.run_directory import Metrics

TINY = {
    "algo": "bfs", "processor": "mpnn", "hidden": 8, "steps": 6, "batch_size": 3, "train_sizes": (4, 5), "val_size": 5,
    "val_samples": 4, "val_every": 2, "checkpoint_every": 2, "eval_sizes": (5, 4), "eval_samples": 3, "device": "cpu",
    "threads": 1,
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path, no_report):
    """Settings of a tiny run in a directory of this test."""
    return lambda out="run", **changes: Config(**(TINY | {"out": tmp_path / out} | changes))


class Recorder:
    """A tracker that keeps what it was told."""

    made: list = []  # noqa: RUF012 (emptied by the fixture)

    def __init__(self):
        self.told = []
        self.made.append(self)

    def start(self, config, run_dir, resumed_at):
        self.told.append(("start", config, run_dir, resumed_at))

    def log(self, step, values):
        self.told.append(("log", step, values))

    def finish(self, results):
        self.told.append(("finish", results))


class Clumsy(Recorder):
    """A tracker that fails in one of its methods."""

    at = "log"

    def start(self, config, run_dir, resumed_at):
        self.fail("start")

    def log(self, step, values):
        self.fail("log")

    def finish(self, results):
        self.fail("finish")

    def fail(self, method):
        self.told.append(method)
        if method == self.at:
            raise RuntimeError("no\nnetwork")


@pytest.fixture
def module(monkeypatch):
    """The trackers as a user's module."""
    found = types.ModuleType("my_trackers")
    found.Recorder, found.Clumsy, found.nothing = Recorder, Clumsy, 3
    found.Half = type("Half", (), {"start": lambda *_: None, "log": lambda *_: None})
    found.Broken = type("Broken", (Recorder,), {"__init__": lambda self: 1 / 0})
    monkeypatch.setitem(sys.modules, "my_trackers", found)
    monkeypatch.setattr(Recorder, "made", [])
    return found


def lines(config):
    return [json.loads(line) for line in (config.run_dir / "metrics.jsonl").read_text().splitlines()]


def rows(config):
    with open(config.run_dir / "metrics.csv", newline="") as file:
        return [{k: float(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


# Files


def test_csv_holds_what_jsonl_holds(tiny):
    train(tiny())
    assert [row["step"] for row in lines(tiny())] == [2, 4, 6]
    assert rows(tiny()) == lines(tiny())
    header = (tiny().run_dir / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header == list(lines(tiny())[0])


def test_a_column_that_appears_later_stands_at_the_end(tmp_path):
    with Metrics(tmp_path / "metrics.jsonl", keep_until=0) as metrics:
        metrics.write({"step": 1, "loss": 3.0})
        metrics.write({"step": 2, "gate": 0.5, "loss": 2.0})
        assert (tmp_path / "metrics.csv").read_text() == "step,loss,gate\n1,3.0,\n2,2.0,0.5\n"
        metrics.write({"step": 3, "loss": 1.0})
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,gate\n1,3.0,\n2,2.0,0.5\n3,1.0,\n"


def test_both_files_are_cut_where_a_run_is_resumed(tmp_path):
    with Metrics(tmp_path / "metrics.jsonl", keep_until=0) as metrics:
        for step in (2, 4, 6):
            metrics.write({"step": step, "loss": 1 / step})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')  # the crash
    (tmp_path / "metrics.csv").write_text("rubbish")
    with Metrics(tmp_path / "metrics.jsonl", keep_until=4) as metrics:
        metrics.write({"step": 5, "loss": 7.0, "gate": 1.0})
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,gate\n2,0.5,\n4,0.25,\n5,7.0,1.0\n"
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written == [{"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.25}, {"step": 5, "loss": 7.0, "gate": 1.0}]


# Trackers


def test_a_tracker_is_told_everything(tiny, module):
    config = tiny(tracker=("my_trackers:Recorder",))
    results = train(config)
    (recorder,) = Recorder.made
    start, *logs, finish = recorder.told
    assert start == ("start", json.loads((config.run_dir / "config.json").read_text()), config.run_dir, 0)
    assert logs == [("log", row.pop("step"), row) for row in lines(config)]
    assert finish == ("finish", results) and len(results["evaluations"]) == 2


def test_a_resumed_run_says_where_it_goes_on(tiny, module):
    train(tiny(steps=4))
    train(tiny(tracker=("my_trackers:Recorder",), resume=True))
    (recorder,) = Recorder.made
    assert [told[:2] if told[0] == "log" else told[0] for told in recorder.told] == ["start", ("log", 6), "finish"]
    assert recorder.told[0][3] == 4


def test_a_run_that_breaks_off_says_so(tiny, module):
    with pytest.raises(ValueError, match="the loss became"):
        train(tiny(tracker=("my_trackers:Recorder",), learning_rate=1e30))
    (recorder,) = Recorder.made
    assert recorder.told[0][0] == "start" and recorder.told[-1] == ("finish", None)


@pytest.mark.parametrize("method", ["start", "log", "finish"])
def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(method, tiny, module, capsys, monkeypatch):
    monkeypatch.setattr(Clumsy, "at", method)
    config = tiny(tracker=("my_trackers:Clumsy", "my_trackers:Recorder"))
    results = train(config)
    said = capsys.readouterr().err
    line = f"tracker Clumsy failed in {method} (RuntimeError: no network); the run goes on without it"
    assert said.count(line) == 1 and said.count("Clumsy") == 1
    clumsy, recorder = Recorder.made
    assert clumsy.told == {"start": ["start"], "log": ["start", "log"]}.get(
        method, ["start", "log", "log", "log", "finish"]
    )
    assert [told[0] for told in recorder.told] == ["start", "log", "log", "log", "finish"]
    assert results["run"]["steps"] == 6 and len(lines(config)) == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("wandb", "takes my_module:MyTracker, got 'wandb'"),
        ("no_such_module:A", "no module named 'no_such_module'"),
        ("my_trackers:nothing", "is not a class"),
        ("my_trackers:absent", "absent in my_trackers is not found"),
        ("my_trackers:Half", "lacks finish"),
        ("my_trackers:Broken", "could not be made: division by zero"),
    ],
)
def test_a_tracker_that_is_none_stops_the_run_before_it_begins(address, message, tiny, module):
    with pytest.raises(ValueError, match=message):
        train(tiny(tracker=(address,)))
    assert not tiny().run_dir.exists()  # no folder is left behind


def test_the_example_of_the_documentation(tiny, tmp_path, monkeypatch):
    """Saved as my_trackers.py and asked the question of the page."""
    page = (Path(__file__).parents[1] / "docs" / "logging.md").read_text()
    example, question = (re.search(rf"^```{kind}\n(.*?)^```$", page, re.M | re.S)[1] for kind in ("python", "sql"))
    (tmp_path / "my_trackers.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    scores = {}
    for seed in (0, 1):
        train(tiny(f"run{seed}", seed=seed, steps=4, tracker=("my_trackers:Database",)))
        results = train(tiny(f"run{seed}", seed=seed, tracker=("my_trackers:Database",), resume=True))
        for entry in results["evaluations"]:
            scores.setdefault(entry["size"], []).append(entry["score"])
    sys.modules.pop("my_trackers")
    with contextlib.closing(sqlite3.connect("runs.db")) as database:
        found = database.execute(question).fetchall()
        metrics = database.execute("SELECT run, step, value FROM metrics WHERE name = 'loss'").fetchall()
    assert sorted(found) == [("mpnn", size, 2, pytest.approx(sum(scores[size]) / 2)) for size in (4, 5)]
    expected = [(str(config.run_dir), row["step"], row["loss"])
                for config in (tiny("run0"), tiny("run1")) for row in lines(config)]  # fmt: skip
    assert metrics == expected


def test_the_services_of_the_documentation(tiny, tmp_path, monkeypatch):
    """Against stand-ins that keep every call; what they are given is what the services' own functions take."""
    page = (Path(__file__).parents[1] / "docs" / "logging.md").read_text()
    (tmp_path / "my_services.py").write_text(re.search(r"^```python\n(# my_services.*?)^```$", page, re.M | re.S)[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    wandb, mlflow = MagicMock(), MagicMock()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    config = tiny(tracker=("my_services:WandB", "my_services:MLflow"))
    results = train(config)
    sys.modules.pop("my_services")
    rows = lines(config)
    settings = json.loads((config.run_dir / "config.json").read_text())
    run = wandb.init.return_value
    assert wandb.init.call_args.kwargs["config"] == mlflow.log_params.call_args.args[0] == settings
    told = [(call.kwargs["step"], *call.args) for call in run.log.call_args_list]
    assert told == [(row["step"], {name: row[name] for name in row if name != "step"}) for row in rows]
    assert told == [(call.kwargs["step"], *call.args) for call in mlflow.log_metrics.call_args_list]
    scores = {entry["size"]: entry["score"] for entry in results["evaluations"]}
    summary = {call.args[0]: call.args[1] for call in run.summary.__setitem__.call_args_list}
    assert summary == {f"score/bfs/{size}": score for size, score in scores.items()}
    assert {call.kwargs["step"]: call.args[1] for call in mlflow.log_metric.call_args_list} == scores
    run.finish.assert_called_once_with(exit_code=0)
    mlflow.end_run.assert_called_once_with(status="FINISHED")


# TensorBoard


def scalars(config):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = loading.EventAccumulator(str(config.run_dir)).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_shows_the_metrics_and_the_scores_by_size(tiny):
    config = tiny()
    results = train(config)
    found = scalars(config)
    for name in lines(config)[0].keys() - {"step"}:
        assert found[name] == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in lines(config)]
    expected = [(entry["size"], pytest.approx(entry["score"], rel=1e-6)) for entry in results["evaluations"]]
    assert found["test_score/bfs"] == expected


def test_tensorboard_forgets_what_came_after_the_checkpoint(tmp_path):
    pytest.importorskip("tensorboard")
    config = Config(out=tmp_path)
    with Metrics(tmp_path / "metrics.jsonl", keep_until=0, config=config) as metrics:
        for step in (2, 4, 6):
            metrics.write({"step": step, "loss": 1.0})
    (earlier,) = tmp_path.glob("events.*")  # named after the second; two of one second would have no order
    earlier.rename(tmp_path / "events.out.tfevents.1000000000.somewhere")
    with Metrics(tmp_path / "metrics.jsonl", keep_until=2, config=config) as metrics:
        metrics.write({"step": 4, "loss": 2.0})
    metrics.finish({"evaluations": []})
    assert scalars(config)["loss"] == [(2, 1.0), (4, 2.0)]


@pytest.mark.parametrize(
    "error", [TypeError("Descriptors cannot\nbe created"), ImportError("needs 1.15"), OSError("so")]
)
def test_a_tensorboard_that_cannot_be_imported_is_one_line(error, tiny, monkeypatch, capsys):
    def broken(self):
        raise error

    monkeypatch.setattr(trackers.TensorBoard, "__init__", broken)
    assert trackers.Trackers(tiny()).trackers == []
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and type(error).__name__ in said and "goes on without it" in said


def test_without_tensorboard_there_are_files_only(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert trackers.Trackers(tiny()).trackers == []
    with Metrics(tiny().run_dir.parent / "metrics.jsonl", keep_until=0, config=tiny()) as metrics:
        metrics.write({"step": 1, "loss": 1.0})
    assert {path.name for path in tiny().run_dir.parent.iterdir()} == {"metrics.jsonl", "metrics.csv"}
