"""What `nar evaluate` evaluates: axis by axis or crossed, which sizes, what is left out because it does not fit."""

import shutil

import pytest
from runs_to_evaluate import evaluated_runs

from nar.cli.evaluate import Evaluate, plan
from nar.results import schema
from nar.system import files

made = pytest.fixture(scope="module")(evaluated_runs)


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


def test_a_termination_that_does_not_fit_a_run_is_left_out_and_said(made, tmp_path):
    shutil.copytree(made / "plain", tmp_path / "halting")
    content = schema.read(tmp_path / "halting")
    content["config"]["halting"] = "supervised"
    files.write_json(tmp_path / "halting" / "results.json", content)
    jobs, notes = plan([made / "plain", tmp_path / "halting"], Evaluate(sizes=(6,), terminations=("learned",)))
    assert [(job.run.name, job.termination) for job in jobs] == [("halting", "learned")]
    assert len(notes) == 1 and "learned does not fit" in notes[0] and "--halting supervised" in notes[0]


def test_sizes_that_an_algorithm_does_not_have(made, tmp_path):
    for name, size, message in (("kmp_matcher", 2, "at least 3"), ("segments_intersect", 16, "always has 4 nodes")):
        shutil.copytree(made / "plain", tmp_path / name)
        content = schema.read(tmp_path / name)
        content["run"]["algorithms"] = [name]
        files.write_json(tmp_path / name / "results.json", content)
        with pytest.raises(ValueError, match=f"--sizes {size}: {name} .*{message}"):
            plan([tmp_path / name], Evaluate(sizes=(size,)))
        assert len(plan([tmp_path / name], Evaluate())[0]) == 1  # its own size
