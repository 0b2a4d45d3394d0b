"""Sweeps in miniature: that no run is lost, repeated or changed, whatever stops a sweep, and what is shown."""

import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweep_tasks
from tiny_sweeps import SWEEP, assert_same_results, changed, directories, folder_with_accidents, states

from nar.cli import sweep as sweep_command
from nar.cli.sweep_settings import read
from nar.config import Config
from nar.experiments.jobs import Processes, carry_out
from nar.experiments.progress import Progress
from nar.experiments.sweep import Outcome, SweepJob, product, progress, state
from nar.model import checkpoint
from nar.system import files

place = pytest.fixture(folder_with_accidents)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The runs of an undisturbed sweep, one after the other in this process."""
    folder = tmp_path_factory.mktemp("reference") / "sweep"
    assert sweep_command.main([*SWEEP, "--jobs", "1", "--out", str(folder)]) == 0
    return folder


# What is done, and what is not done again


def test_finished_runs_are_left_alone_and_new_ones_join(reference, place, capsys):
    files = {path: path.read_bytes() for run in directories(reference) for path in run.iterdir()}
    assert set(states(reference).values()) == {"finished"}
    argv = [*SWEEP, "--out", str(reference)]
    assert sweep_command.main([*changed(argv, "--seeds", "3"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.count("finished\n") == 2 and said.count("new, about") == 1 and "3 runs: 2 finished, 1 new" in said
    assert sweep_command.main(argv) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out
    assert files == {path: path.read_bytes() for run in directories(reference) for path in run.iterdir()}


def test_other_test_graphs_need_no_other_training(place, capsys):
    argv = [*changed(SWEEP, "--seeds", "1"), "--out", "sweep", "--jobs", "1"]
    assert sweep_command.main(argv) == 0
    (run,) = directories(place / "sweep")
    before = (run / "last.pt").stat().st_mtime_ns, (run / "metrics.jsonl").read_text()
    assert sweep_command.main([*changed(argv, "--eval-sizes", "4"), "--dry-run"]) == 0
    assert "trained 6 steps, to evaluate" in capsys.readouterr().out
    assert sweep_command.main(changed(argv, "--eval-sizes", "4")) == 0
    assert directories(place / "sweep") == [run]
    assert (run / "metrics.jsonl").read_text() == before[1]
    assert [entry["size"] for entry in json.loads((run / "results.json").read_text())["evaluations"]] == [5, 4]
    assert sweep_command.main(changed(argv, "--steps", "8")) == 0  # other training: another directory
    assert len(directories(place / "sweep")) == 2


def test_a_run_that_fails_is_listed_and_the_others_go_on(place, capsys):
    argv = [*changed(SWEEP, "--seeds", "1"), "--out", "sweep", "--jobs", "1", "--vary", "learning_rate=1e30,0.001"]
    assert sweep_command.main(argv) == 1
    said = capsys.readouterr()
    assert said.out == "1 of 2 runs finished, in sweep\n"
    (line,) = (line for line in said.err.splitlines() if line.startswith("failed:"))
    assert "learning_rate1e+30" in line and "the loss became" in line
    found = json.loads((place / "sweep" / "sweep.json").read_text())["runs"]
    assert [entry["state"] for entry in found] == ["failed", "finished"]
    assert "the loss became" in found[0]["error"] and "error" not in found[1]
    log = place / "sweep" / "logs" / f"{found[0]['name']}.log"
    assert "Traceback" in log.read_text() and str(log.relative_to(place)) in line
    assert sweep_command.main([*argv, "--dry-run"]) == 0
    assert "failed before: the loss became" in capsys.readouterr().out


def test_an_unreadable_run_is_told_apart(reference, tmp_path):
    config = Config.from_dict(json.loads((directories(reference)[0] / "config.json").read_text()))
    run = SweepJob(dataclasses.replace(config, out=tmp_path / "run"))
    (tmp_path / "run").mkdir()
    assert str(state(run)) == "new"
    (tmp_path / "run" / "last.pt").write_bytes(b"no checkpoint")
    assert str(state(run)).startswith("unreadable:") and "last.pt" in str(state(run))
    (tmp_path / "run" / "results.json").write_text("{")
    assert "results.json" in state(run).reason
    assert progress(run) == 0.0


def test_a_run_that_was_stopped_while_it_was_evaluated_is_not_finished(reference, tmp_path):
    shutil.copytree(directories(reference)[0], tmp_path / "run")
    config = Config.from_dict(json.loads((tmp_path / "run" / "config.json").read_text()))
    run = SweepJob(dataclasses.replace(config, out=tmp_path / "run"))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (state(run).kind, state(run).step) == ("finished", 6)
    assert state(run).seconds == results["run"]["train_seconds"] + results["evaluations"][0]["seconds"]
    more = dataclasses.replace(run.config, eval_sizes=(5, 6))
    assert state(SweepJob(more)).kind == "not evaluated"
    assert state(SweepJob(dataclasses.replace(run.config, eval_samples=4))).kind == "not evaluated"
    by_default = SweepJob(dataclasses.replace(run.config, eval_sizes=None))
    results["run"]["left_out"] = {"bfs": [16, 32, 64, 128, 256]}
    (tmp_path / "run" / "results.json").write_text(json.dumps(results))
    assert state(by_default).kind == "finished" and state(SweepJob(more)).kind == "not evaluated"


# Whatever stops a sweep


def test_ctrl_c_ends_the_run_in_good_order_and_the_sweep_goes_on_later(place, reference, capsys):
    argv = changed([*SWEEP, "--out", "sweep", "--jobs", "1"], "--checkpoint-every", "50")
    assert sweep_command.main([*argv, "--tracker", "accidents:CtrlC"]) == 130
    said = capsys.readouterr().err
    assert "stopping in good order" in said and "the same command goes on from here" in said
    assert list(states(place / "sweep").values()) == ["interrupted", "new"]
    assert sweep_command.main([*argv, "--dry-run"]) == 0
    assert "to resume at step 4" in capsys.readouterr().out
    assert sweep_command.main(argv) == 0
    assert_same_results(place / "sweep", reference)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process is alive")
def test_a_sweep_that_was_killed_takes_its_workers_along_and_goes_on_with_equal_results(place, reference):
    main = "from nar.cli import main as cli; raise SystemExit(cli.main())"
    argv = [*changed(SWEEP, "--seeds", "1"), "--out", "sweep", "--jobs", "2", "--tracker", "accidents:SweepKilled"]
    with open(place / "said", "w") as said:  # a pipe would be waited for as long as a worker lives
        done = subprocess.run([sys.executable, "-c", main, "sweep", *argv], cwd=place, stdout=said, stderr=said)
    assert done.returncode == -signal.SIGKILL, (place / "said").read_text()
    worker = Path("/proc") / (place / "sweep" / "worker").read_text() / "stat"

    def alive():
        with contextlib.suppress(OSError):
            return worker.read_text().rsplit(")", 1)[1].split()[0] != "Z"
        return False

    for _ in range(200):
        if not alive():
            break
        time.sleep(0.05)
    assert not alive()
    (run,) = product(["bfs"], ["mpnn"], [0], read(argv)[1], place / "sweep")
    assert str(state(run)) == "to resume at step 2"
    assert progress(run) == 4 / 6  # a metric is newer than the checkpoint, and goes when the run is resumed
    assert sweep_command.main(changed(changed(argv, "--seeds", "2"), "--jobs", "1")) == 0
    assert_same_results(place / "sweep", reference)


def test_a_worker_that_dies_costs_nothing_but_time(place, reference):
    sweep, base, *_ = read([*SWEEP, "--tracker", "accidents:Killed"])
    runs = product(sweep.algos, sweep.processors, [0, 1], base, place / "sweep")
    events = list(carry_out(runs, "", Processes(), 1))
    assert [event.kind for event in events] == ["started", "died", "started", "ended", "started", "ended"]
    assert events[1].reason == "its worker process died (BrokenProcessPool; out of memory?)"
    assert [event.run for event in events] == [runs[0]] * 4 + [runs[1]] * 2
    assert_same_results(place / "sweep", reference)


def test_a_run_whose_workers_always_die_fails_alone(place, monkeypatch):
    monkeypatch.setattr("nar.experiments.jobs.execute", sweep_tasks.die)
    runs = product(["bfs"], ["mpnn"], [0, 1], Config(), place / "sweep")
    events = list(carry_out(runs, "", Processes(), 1))
    assert [event.kind for event in events] == ["started", "died", "started", "died", "started", "ended"] * 2
    assert [events[k].outcome.kind for k in (5, 11)] == ["failed"] * 2
    assert events[5].outcome.error == "its worker process died (BrokenProcessPool; out of memory?), 3 time(s)"


def test_ctrl_c_reaches_the_workers(place, capsys):
    argv = [*SWEEP, "--out", "sweep", "--jobs", "2", "--tracker", "accidents:CtrlCForTheSweep"]
    assert sweep_command.main(changed(argv, "--steps", "4000")) == 130
    assert "stopping in good order" in capsys.readouterr().err
    saved = [run / "last.pt" for run in directories(place / "sweep") if (run / "last.pt").is_file()]
    steps = [checkpoint.load(file)["step"] for file in saved]  # the other worker may not have begun
    assert 4 <= max(steps) < 4000
    assert "interrupted" in states(place / "sweep").values() and "finished" not in states(place / "sweep").values()


def test_two_sweeps_do_not_write_the_same_folder(place):
    argv = [*SWEEP, "--out", "sweep", "--jobs", "1"]
    (place / "sweep").mkdir()
    with files.locked(place / "sweep"), pytest.raises(ValueError, match="sweep is in use by another process"):
        sweep_command.main(argv)
    assert not directories(place / "sweep")


# What is shown


class Terminal:
    """A stream that keeps what was written."""

    def __init__(self):
        self.text = ""
        self.encoding = "utf-8"

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True

    def fileno(self):
        raise OSError


def test_a_terminal_has_one_line_that_moves(place, monkeypatch):
    runs = product(["bfs"], ["mpnn"], [0, 1, 2], Config(steps=10), place)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(runs, already=1).shown() as shown:
        shown.started(runs[0])
        runs[0].config.run_dir.mkdir()
        (runs[0].config.run_dir / "metrics.jsonl").write_text('{"step": 2}\n{"step": 5}\n')
        shown._update()
        assert "1/4 runs, about" in terminal.text and f"now {runs[0].name} (50%)" in terminal.text
        shown.ends(runs[0], Outcome("finished", 3.0, validation=0.5))
        shown.started(runs[1])
        shown.ends(runs[1], Outcome("failed", 75.0, "no luck"))
    assert f"2/4 {runs[0].name}: finished after 3 s, validation 50.00%\n" in terminal.text
    assert f"3/4 {runs[1].name}: failed after 1 min 15 s: no luck\n" in terminal.text
