"""The same sweep on a Ray cluster: equal results, whatever dies. Ray is an extra; without it, one line says so."""

import sys
import types

import pytest
from tiny_sweeps import ACCIDENTS, SWEEP, assert_same_results, changed, states

from nar.cli import main as cli
from nar.cli import sweep


def test_without_ray_one_line_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["sweep", *SWEEP, "--engine", "ray", "--out", str(tmp_path / "sweep")])
    assert stop.value.code == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert line.endswith("--engine ray needs Ray, which is not installed: pip install ray")


def test_a_cluster_that_does_not_answer_is_named_in_one_line(tmp_path, monkeypatch, capsys):
    def init(**_):
        raise Exception("no\nanswer")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init, shutdown=lambda: None))
    monkeypatch.setitem(sys.modules, "ray.exceptions", types.SimpleNamespace(RayError=OSError))
    with pytest.raises(SystemExit) as stop:
        cli.main(["sweep", *SWEEP, "--engine", "ray", "--ray-address", "ray://a:1", "--out", str(tmp_path / "sweep")])
    assert stop.value.code == 2
    assert "nar: error: Ray could not be reached at ray://a:1: no answer\n" in capsys.readouterr().err


def test_ray_gives_the_same_results_although_a_worker_is_killed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray")
    (tmp_path / "accidents.py").write_text(ACCIDENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sweep.main([*SWEEP, "--out", "here", "--jobs", "1"]) == 0
    capsys.readouterr()
    argv = [*SWEEP, "--out", "there", "--engine", "ray", "--tracker", "accidents:Killed"]
    assert sweep.main(argv) == 0
    said = capsys.readouterr().err
    assert said.count("its worker process died") == 1 and said.count(": finished after") == 2
    assert (tmp_path / "there" / "happened").exists()
    assert set(states(tmp_path / "there").values()) == {"finished"}
    assert_same_results(tmp_path / "there", tmp_path / "here")
    with pytest.raises(ValueError, match=r"--gpus-per-run 99: this machine has . GPUs that Ray can see"):
        sweep.main([*changed(argv, "--out", "other"), "--gpus-per-run", "99"])
