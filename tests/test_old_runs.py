"""Runs and an export of an earlier version (old_run/make.py) are read, answer, score and go on as they did then."""

import json

import numpy as np
import pytest
import torch
from old_run.make import FURTHER, HERE, RUNS, SETTINGS, answer, resumed, unpacked

import nar
from nar import datasets
from nar.cli import main as cli
from nar.config import Config
from nar.evaluation.evaluate import entry
from nar.experiments.experiment import train
from nar.inference import export
from nar.model import checkpoint, export_reader
from nar.reports import report
from nar.results import schema

ANSWERS = json.loads((HERE / "answers.json").read_text())
TERMINATIONS = [("plain", "fixed_point"), ("options", "fixed_point"), ("options", "learned")]


@pytest.fixture(params=RUNS)
def old(request, tmp_path):
    """The name of an old run and a copy of it."""
    return request.param, unpacked(request.param, tmp_path / request.param)


def assert_answers(found, expected):
    """The same decisions, and numbers to 1e-5."""
    assert found.keys() == expected.keys()
    assert (found["steps"], found["pi"], found["score"]) == (expected["steps"], expected["pi"], expected["score"])
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)
    assert found["hints"].keys() == expected["hints"].keys() == {"pi_h", "d", "msk"}
    for name, values in expected["hints"].items():
        np.testing.assert_allclose(found["hints"][name], values, rtol=1e-5, atol=1e-5, err_msg=name)


def assert_entries(found, expected):
    """The same evaluation, but for what it took."""
    assert found.keys() >= expected.keys()
    for name in expected.keys() - {"seconds", "peak_memory_mb", "hints", "data"}:
        assert found[name] == expected[name], name
    assert found["data"].keys() == expected["data"].keys()
    assert (found["data"]["sha256"], found["data"]["seed"]) == (expected["data"]["sha256"], 3)
    for name, hint in expected["hints"].items():
        assert found["hints"][name]["metric"] == hint["metric"]
        np.testing.assert_allclose(found["hints"][name]["per_step"], hint["per_step"], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_run_answers_as_it_did(old, which):
    name, folder = old
    assert_answers(answer(nar.load(folder, which)), ANSWERS[name][which])


def test_the_answers_on_record_tell_checkpoints_and_ends_apart():
    assert ANSWERS["plain"]["best"]["confidence"] != ANSWERS["plain"]["last"]["confidence"]
    for name, end in TERMINATIONS:
        assert ANSWERS[name][end]["steps"] != ANSWERS[name]["best"]["steps"]


@pytest.mark.parametrize(("name", "termination"), TERMINATIONS)
def test_a_run_ends_as_it_did(name, termination, tmp_path):
    reasoner = nar.load(unpacked(name, tmp_path / name))
    assert_answers(answer(reasoner, termination=termination), ANSWERS[name][termination])


def test_an_export_answers_as_its_run_and_is_written_again_as_it_was(tmp_path):
    assert_answers(answer(nar.load(HERE / "export")), ANSWERS["options"]["best"])
    again = export.write(unpacked("options", tmp_path / "options"), tmp_path / "export")
    assert (again / "model.safetensors").read_bytes() == (HERE / "export" / "model.safetensors").read_bytes()
    found, expected = (export_reader.read_card(path) for path in (again, HERE / "export"))
    # settings that came later have their default, which is what the run was made with
    later = {name: found["config"].pop(name) for name in found["config"].keys() - expected["config"].keys()}
    assert later == {name: Config().to_dict()[name] for name in later}  # as JSON has them
    for part in expected.keys() - {"provenance", "load"}:  # which nar wrote it, and how one loads it today
        assert found[part] == expected[part], part


def test_the_settings_of_a_run_are_read(old):
    name, folder = old
    config = Config.from_dict(json.loads((folder / "config.json").read_text()))
    expected = SETTINGS | RUNS[name] | {"algo": ("bellman_ford",)}
    assert {key: getattr(config, key) for key in expected} == expected
    assert Config.from_dict(checkpoint.load(folder / "last.pt")["config"]) == config


def test_a_run_is_scored_as_it_was(old):
    name, folder = old
    reasoner, algorithm = nar.load(folder).reasoner, datasets.get("bellman_ford")
    entries = schema.read(folder)["evaluations"]
    assert len(entries) == (4 if name == "options" else 2)
    for expected in entries:
        found = entry(reasoner, algorithm, expected["size"], samples=4, termination=expected["termination"])
        assert_entries(found, expected)


def test_a_run_is_evaluated_further_and_reported(old, capsys):
    _, folder = old
    before = schema.read(folder)["evaluations"]
    cli.main(["evaluate", str(folder), "--sizes", "5", "6", "--samples", "4", "--device", "cpu"])
    after = schema.read(folder)["evaluations"]
    assert len(after) == len(before) + 1
    for expected in before:
        (found,) = [e for e in after if (e["size"], e["termination"]) == (expected["size"], expected["termination"])]
        assert_entries(found, expected)
    assert (folder / "report.html").is_file()
    capsys.readouterr()
    cli.main(["report", str(folder)])
    page = (folder / "report.html").read_text()
    assert f"{before[0]['score']:.2%}" in report.table(schema.read(folder)) and "bellman_ford" in page


def test_runs_are_reported_together(tmp_path, capsys):
    folders = [str(unpacked(name, tmp_path / name)) for name in RUNS]
    cli.main(["report", *folders, "--out", str(tmp_path / "report")])
    assert (tmp_path / "report" / "report.html").is_file() and "mpnn" in capsys.readouterr().out


def test_a_run_goes_on_as_it_did(old):
    name, folder = old
    before = checkpoint.load(folder / "last.pt")
    rows = resumed(folder)
    assert [row["step"] for row in rows] == [60 + FURTHER]
    for row, expected in zip(rows, ANSWERS[name]["resumed"], strict=True):
        assert row.keys() == expected.keys()
        assert row["train_size"] == expected["train_size"]
        for part in ("loss", "validation_loss"):
            assert row[part] == pytest.approx(expected[part], rel=1e-3), part
    after = checkpoint.load(folder / "last.pt")
    assert after["step"] == 60 + FURTHER and after["model"].keys() == before["model"].keys()
    counts = [{k: int(s["step"]) for k, s in c["optimizer"]["state"].items()} for c in (before, after)]
    assert [max(of.values()) for of in counts] == [60, 60 + FURTHER]  # what a batch does not use stands still
    assert counts[0].keys() == counts[1].keys() and all(counts[1][k] > n for k, n in counts[0].items())


def test_a_processor_is_taken_from_a_run(old, tmp_path):
    name, folder = old
    theirs = checkpoint.load(folder / "best.pt")["model"]
    options = SETTINGS | {"hidden": RUNS[name].get("hidden", 8), "steps": 0, "eval_sizes": ()}
    config = Config(**options | {"algo": "bfs", "init_processor": folder, "out": tmp_path / "new"})
    train(config)
    found = checkpoint.load(tmp_path / "new" / "best.pt")["model"]
    names = [key for key in found if key.startswith("processor.")]
    assert names and all(torch.equal(found[key], theirs[key]) for key in names)
