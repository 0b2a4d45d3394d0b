"""`nar evaluate`: what it leaves in results.json and prints, and what it says where it cannot."""

import json
import shutil

import pytest
import torch
from runs_to_evaluate import evaluated_runs

from nar import datasets
from nar.cli import evaluate as evaluate_command
from nar.cli import main as cli
from nar.evaluation.evaluate import entry, evaluate, test_set
from nar.model import checkpoint
from nar.results import schema
from nar.system import files

test_set.__test__ = False  # not a test

made = pytest.fixture(scope="module")(evaluated_runs)


@pytest.fixture
def reports(monkeypatch):
    """The runs whose reports would be written: figures take seconds."""
    written = []
    monkeypatch.setattr("nar.reports.report.write_report", written.append)
    return written


@pytest.fixture
def runs(made, reports, tmp_path):
    """The runs, to be changed by a test."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def evaluations(run):
    return json.loads((run / "results.json").read_text())["evaluations"]


def keys(entries):
    return [(e["algorithm"], e["size"], e["setting"]) for e in entries]


OLD = [("bellman_ford", 8, {}), ("bellman_ford", 6, {})]


# --- what is written -------------------------------------------------------------------------------------------------


def test_entries_are_added_and_replaced(runs, reports, capsys):
    run = runs / "weighted"
    before = evaluations(run)
    assert cli.main(["evaluate", str(run), "--sizes", "6", "7", "--families", "er", "ba", "--samples", "3"]) == 0
    after = evaluations(run)
    new = [
        ("bellman_ford", 6, {"family": "erdos_renyi"}), ("bellman_ford", 6, {"family": "barabasi_albert"}),
        ("bellman_ford", 7, {}),  # the algorithm's own distribution, for the one size at which it was missing
        ("bellman_ford", 7, {"family": "erdos_renyi"}), ("bellman_ford", 7, {"family": "barabasi_albert"}),
    ]  # fmt: skip
    assert keys(after) == OLD + new
    assert after[:2] == before
    assert reports == [run]
    out = capsys.readouterr()
    assert out.out.splitlines()[0].split()[:4] == ["size", "setting", "graphs", "score"]
    *rows, nothing, legend, _, _ = out.out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [
        ["6", "own"], ["6", "family"], ["6", "family"], ["7", "own"], ["7", "family"], ["7", "family"],
    ]  # fmt: skip
    stored = next(e for e in before if e["size"] == 6)  # not evaluated again, shown to compare with
    assert f"{100 * stored['score']:.2f}%" in rows[0].split()
    assert not nothing and legend.startswith("score: the node score")

    cli.main(["evaluate", str(run), "--sizes", "6", "--families", "ba", "--samples", "2"])
    again = evaluations(run)
    assert keys(again) == keys(after)  # in the old one's place
    assert [e["samples"] for e in again] == [2, 2, 3, 2, 3, 3, 3]
    assert [e for i, e in enumerate(again) if i != 3] == [e for i, e in enumerate(after) if i != 3]


def test_entries_say_who_made_them_and_hold_what_evaluate_finds(runs):
    run = runs / "weighted"
    cli.main(["evaluate", str(run), "--sizes", "7", "--scales", "1000", "--samples", "3", "--device", "cpu"])
    found = evaluations(run)[-1]
    command = f"nar evaluate {run} --sizes 7 --scales 1000 --samples 3 --device cpu"
    assert found["evaluated"]["command"] == command and found["evaluated"]["checkpoint"] == "best"
    assert found["evaluated"].keys() == {"command", "checkpoint", "nar", "commit", "torch", "device", "date"}
    assert found["evaluated"]["torch"] == torch.__version__ and found["evaluated"]["device"] == "cpu"

    algorithm = datasets.get("bellman_ford")
    traces, manifest = test_set(algorithm, 7, 3, {"scale": 1000.0})
    score = evaluate(checkpoint.read(run).build(), algorithm, traces).to_dict()
    for name in ("score", "exact", "valid", "outputs", "first_error", "steps_mean", "steps_taken"):
        assert found[name] == score[name], name
    assert found["data"] == manifest and found["setting"] == {"scale": 1000.0}


def test_the_last_checkpoint(runs):
    run, algorithm = runs / "weighted", datasets.get("bellman_ford")
    traces = test_set(algorithm, 16, 8)[0]
    for which in ("best", "last"):
        cli.main(["evaluate", str(run), "--sizes", "16", "--samples", "8", "--which", which])
        found = evaluations(run)[-1]
        assert found["evaluated"]["checkpoint"] == which
        scores = evaluate(checkpoint.read(run, which).build(), algorithm, traces).to_dict()
        # products need not round alike twice: libraries' kernels depend on where a tensor lies in memory
        assert found["hints"]["d"]["value"] == pytest.approx(scores["hints"]["d"]["value"], rel=1e-6)
    assert keys(evaluations(run))[2:] == [("bellman_ford", 16, {})]


def test_without_axes_the_own_distribution_is_evaluated_again(runs):
    run = runs / "plain"
    cli.main(["evaluate", str(run), "--sizes", "6", "--samples", "5"])
    assert keys(evaluations(run)) == [("bfs", 8, {}), ("bfs", 6, {})]
    assert [e["samples"] for e in evaluations(run)] == [2, 5]


def test_a_generalist(runs, capsys):
    run = runs / "several"
    cli.main(["evaluate", str(run), "--sizes", "6", "--weights", "ties", "--scales", "2", "--samples", "2"])
    assert keys(evaluations(run))[4:] == [
        ("bellman_ford", 6, {"weights": "ties"}), ("bellman_ford", 6, {"scale": 2.0}),
        ("insertion_sort", 6, {"scale": 2.0}),
    ]  # fmt: skip
    out = capsys.readouterr()
    assert "left out: weights does not fit insertion_sort" in out.err and "algorithm" in out.out.splitlines()[0]


def test_with_and_without_the_oracle(runs, capsys):
    run = runs / "plain"
    cli.main(["evaluate", str(run), "--sizes", "6", "--families", "grid", "--terminations", "oracle", "fixed_point"])
    new = [(e["size"], e["setting"], e["termination"]) for e in evaluations(run)[2:]]
    grid = {"family": "grid"}
    assert new == [(6, {}, "fixed_point"), (6, grid, "oracle"), (6, grid, "fixed_point")]
    head = capsys.readouterr().out.splitlines()[0].split()
    assert "end" in head and "taken" in head


def test_runs_of_the_first_schema(runs):
    run = runs / "plain"
    content = json.loads((run / "results.json").read_text())
    content["schema"], content["config"]["algo"] = 1, "bfs"
    facts = content["run"]
    facts["algorithm"] = facts.pop("algorithms")[0]
    facts["train_sizes"], facts["validation_size"] = [4, 5], 5
    del facts["validation"]
    for e in content["evaluations"]:
        for name in ("setting", "termination", "steps_taken", "first_error"):
            del e[name]
    files.write_json(run / "results.json", content)
    cli.main(["evaluate", str(run), "--sizes", "6", "--densities", "0.9", "--samples", "2"])
    found = schema.read(run)
    assert keys(found["evaluations"]) == [("bfs", 8, {}), ("bfs", 6, {}), ("bfs", 6, {"density": 0.9})]
    cli.main(["evaluate", str(run), "--sizes", "8", "--samples", "3"])
    assert [e["samples"] for e in evaluations(run)] == [3, 2, 2]


def test_an_interrupted_evaluation_keeps_what_is_done(runs, reports, monkeypatch):
    made_so_far = []

    def interrupted(*arguments, **options):
        if len(made_so_far) == 2:
            raise KeyboardInterrupt
        made_so_far.append(entry(*arguments, **options))
        return made_so_far[-1]

    monkeypatch.setattr("nar.evaluation.evaluate.entry", interrupted)
    run = runs / "weighted"
    with pytest.raises(SystemExit) as stopped:
        cli.main(["evaluate", str(run), "--sizes", "6", "--scales", "0.5", "2", "4", "--samples", "2"])
    assert stopped.value.code == 130
    assert keys(evaluations(run))[2:] == [("bellman_ford", 6, {"scale": 0.5}), ("bellman_ford", 6, {"scale": 2.0})]
    assert reports == [run]


def test_entries_written_by_others_meanwhile_stay(runs):
    run = runs / "plain"
    one, other = ({**evaluations(run)[0], "setting": {"density": p}} for p in (0.1, 0.2))
    evaluate_command.write(run, one)
    evaluate_command.write(run, other)
    evaluate_command.write(run, {**one, "score": 0.25})
    evaluate_command.write(run, {**one, "termination": "learned"})
    found = evaluations(run)
    assert [(e["setting"], e["termination"]) for e in found[2:]] == [
        ({"density": 0.1}, "oracle"), ({"density": 0.2}, "oracle"), ({"density": 0.1}, "learned")
    ]  # fmt: skip
    assert found[2]["score"] == 0.25


def test_the_report_of_an_evaluated_run(made, tmp_path):
    """The one test with figures: a report can be made of the new entries."""
    run = tmp_path / "run"
    shutil.copytree(made / "plain", run)
    assert cli.main(["evaluate", str(run), "--sizes", "6", "--families", "grid", "--samples", "2"]) == 0
    assert "bfs" in (run / "report.md").read_text()


# --- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plain", "--families", "gird"], "unknown family 'gird'; did you mean 'grid'"),
        (["plain", "--sizes", "0"], "--sizes 0: bfs needs at least 2 nodes"),
        (["plain", "--sizes", "sixteen"], "--sizes takes whole numbers; got 'sixteen'"),
        (["plain", "--size", "16"], "unknown flag '--size'; did you mean '--sizes'"),
        (["plain", "--scales", "10"], "scale does not fit bfs"),
        (["plain", "--families", "grid", "--scales", "10", "--cross"], "scale does not fit bfs"),
        (["plain", "--weights", "tie"], "unknown weights 'tie'; did you mean 'ties'"),
        (["plain", "--densities", "2"], "density must be a number from 0 to 1, got 2.0"),
        (["plain", "--samples", "-3"], "--samples must be 0 or more, got -3"),
        (["plain", "--samples", "100000000000"], "--samples must be at most 1,000,000"),
        (["plain", "./plain"], "plain is given twice to nar evaluate"),
        (["weighted", "--families", "ba", "barabasi_albert"], "--families names barabasi_albert twice"),
        (["weighted", "--scales", "1", "1.0"], "--scales names 1.0 twice"),
        (["plain", "--algorithms", "dfs"], "unknown algorithm 'dfs'; did you mean 'bfs'?"),
        (["plain", "--terminations", "fixed_pont"], "unknown termination 'fixed_pont'; did you mean 'fixed_point'"),
        (["plain", "--terminations", "learned"], "termination learned does not fit plain: it has no halting head"),
        (["plain", "--which", "first"], "--which takes one of best, last"),
        (["plain", "--device", "gpu"], "unknown device 'gpu'"),
        (["nowhere"], "is not a run directory"),
        (["."], "is a folder of runs"),
        ([], "nar evaluate takes run directories"),
    ],
)
def test_mistakes_are_one_line(made, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(made)
    before = {name: evaluations(made / name) for name in ("plain", "weighted")}
    with pytest.raises(SystemExit) as stopped:
        cli.main(["evaluate", *arguments])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert {name: evaluations(made / name) for name in before} == before


def test_how_many_left_the_trace():
    assert evaluate_command._left(None) == "-"
    assert evaluate_command._left([None, None]) == "none"
    assert evaluate_command._left([None, 7, 2, 3]) == "3/4, step 3"
