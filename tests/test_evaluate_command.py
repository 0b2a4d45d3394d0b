"""`nar evaluate`: what is evaluated, what it leaves in results.json, and what it says where it cannot."""

import json
import shutil

import pytest
import torch

from nar import datasets
from nar.cli import evaluate as evaluate_command
from nar.cli import main as cli
from nar.cli.evaluate import Evaluate, plan
from nar.config import Config
from nar.evaluation.evaluate import entry, evaluate, test_set
from nar.model import batch as batches
from nar.model import checkpoint
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.results import schema
from nar.system import files

test_set.__test__ = False  # not a test

SIZES = (8, 6)  # evaluated after the training


def make_run(run, *algorithms):
    """A run directory as training leaves it, of a network that has learned for a few steps."""
    config = Config(algo=algorithms, processor="mpnn", hidden=8, batch_size=4, train_sizes=(4, 5), steps=4, out=run)
    reasoner = Reasoner.from_config(config)
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=0.01)
    chosen = [datasets.get(name) for name in algorithms]
    for step in range(4):
        for algorithm in chosen:
            batch = batches.draw(algorithm, 5, 4, seed=(step,), random_pos=True, **algorithm.train_params)
            optimizer.zero_grad()
            total_loss(batch, reasoner(batch)).backward()
            optimizer.step()
        if step == 1:
            checkpoint_of(run / "best.pt", reasoner, config)
    checkpoint_of(run / "last.pt", reasoner, config)
    best = checkpoint.read(run).build()
    content = {
        "schema": 2,
        "run": {
            "algorithms": list(algorithms), "processor": "mpnn", "seed": 42, "parameters": reasoner.parameter_count(),
            "processes": 1, "steps": 4, "steps_planned": 4, "interrupted": False, "best_step": 2,
            "best_validation": 0.5, "validation": dict.fromkeys(algorithms, 0.5), "train_seconds": 1.0,
            "train_sizes": {name: [4, 5] for name in algorithms}, "validation_size": dict.fromkeys(algorithms, 5),
        },
        "config": config.to_dict(),
        "command": "python train.py",
        "provenance": {"nar": "0", "commit": None, "torch": "2", "device": "cpu", "threads": 1, "date": "2026-01-01"},
        "evaluations": [entry(best, algorithm, size, samples=2) for algorithm in chosen for size in SIZES],
    }  # fmt: skip
    files.write_json(run / "results.json", content)


def checkpoint_of(path, reasoner, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, {"model": reasoner.state_dict(), "config": config.to_dict()})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs that tests copy: one algorithm with weights, one without, and a generalist."""
    folder = tmp_path_factory.mktemp("made")
    for name, algorithms in (
        ("weighted", ["bellman_ford"]), ("plain", ["bfs"]), ("several", ["bellman_ford", "insertion_sort"])
    ):  # fmt: skip
        make_run(folder / name, *algorithms)
    return folder


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


# --- what is evaluated -----------------------------------------------------------------------------------------------


def planned(runs, **settings):
    jobs, notes = plan(runs, Evaluate(**settings))
    assert {job.termination for job in jobs} == {"oracle"}
    return [(job.run.name, job.algorithm.name, job.size, job.setting) for job in jobs], notes


def test_axis_by_axis_and_crossed(made):
    run, asked = made / "weighted", {"sizes": (8,), "families": ("grid",), "scales": (0.5, 2.0), "weights": ("ties",)}
    alone, _ = planned([run], **asked)
    assert [setting for *_, setting in alone] == [
        {"family": "grid"},
        {"weights": "ties"},
        {"scale": 0.5},
        {"scale": 2.0},
    ]
    crossed, _ = planned([run], cross=True, **asked)
    both = {"family": "grid", "weights": "ties"}
    assert [setting for *_, setting in crossed] == [both | {"scale": 0.5}, both | {"scale": 2.0}]


def test_sizes(made):
    assert planned([made / "plain"])[0] == [("plain", "bfs", 64, {})]
    found, _ = planned([made / "plain", made / "weighted", made / "plain"], sizes=(6, 9), densities=(0.5,))
    assert found == [
        ("plain", "bfs", 6, {"density": 0.5}), ("plain", "bfs", 9, {}), ("plain", "bfs", 9, {"density": 0.5}),
        ("weighted", "bellman_ford", 6, {"density": 0.5}), ("weighted", "bellman_ford", 9, {}),
        ("weighted", "bellman_ford", 9, {"density": 0.5}),
    ]  # fmt: skip


def test_what_does_not_fit_one_algorithm_is_left_out_and_said(made):
    found, notes = planned([made / "several"], sizes=(8,), families=("grid",), scales=(2.0,))
    assert found == [
        ("several", "bellman_ford", 8, {"family": "grid"}), ("several", "bellman_ford", 8, {"scale": 2.0}),
        ("several", "insertion_sort", 8, {"scale": 2.0}),
    ]  # fmt: skip
    assert len(notes) == 1 and notes[0].startswith("left out: family does not fit insertion_sort")
    found, notes = planned([made / "several"], sizes=(8,), scales=(2.0,), algorithms=("insertion_sort",))
    assert found == [("several", "insertion_sort", 8, {"scale": 2.0})] and notes == []


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


def test_a_termination_that_does_not_fit_a_run_is_left_out_and_said(made, tmp_path):
    shutil.copytree(made / "plain", tmp_path / "halting")
    content = schema.read(tmp_path / "halting")
    content["config"]["halting"] = "supervised"
    files.write_json(tmp_path / "halting" / "results.json", content)
    jobs, notes = plan([made / "plain", tmp_path / "halting"], Evaluate(sizes=(6,), terminations=("learned",)))
    assert [(job.run.name, job.termination) for job in jobs] == [("halting", "learned")]
    assert len(notes) == 1 and "learned does not fit" in notes[0] and "--halting supervised" in notes[0]


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


def test_sizes_that_an_algorithm_does_not_have(made, tmp_path):
    for name, size, message in (("kmp_matcher", 2, "at least 3"), ("segments_intersect", 16, "always has 4 nodes")):
        shutil.copytree(made / "plain", tmp_path / name)
        content = schema.read(tmp_path / name)
        content["run"]["algorithms"] = [name]
        files.write_json(tmp_path / name / "results.json", content)
        with pytest.raises(ValueError, match=f"--sizes {size}: {name} .*{message}"):
            plan([tmp_path / name], Evaluate(sizes=(size,)))
        assert len(plan([tmp_path / name], Evaluate())[0]) == 1  # its own size


def test_how_many_left_the_trace():
    assert evaluate_command._left(None) == "-"
    assert evaluate_command._left([None, None]) == "none"
    assert evaluate_command._left([None, 7, 2, 3]) == "3/4, step 3"
