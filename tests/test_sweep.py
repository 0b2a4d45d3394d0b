"""Sweeps in miniature: which runs there are, that none is lost, repeated or changed, whatever stops a sweep."""

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
import torch

from nar.cli import main as cli
from nar.cli import sweep as sweep_command
from nar.cli import sweep_settings
from nar.cli.sweep_settings import read
from nar.config import OF_MOMENTS, Config
from nar.experiments.jobs import Processes, carry_out
from nar.experiments.progress import Progress
from nar.experiments.sweep import NOT_HASHED, Outcome, SweepJob, digest, directory_name, product, progress, state
from nar.model import checkpoint
from nar.system import files

TINY = {
    "hidden": "8", "steps": "6", "batch_size": "3", "train_sizes": "4 5", "val_size": "5", "val_samples": "4",
    "val_every": "2", "checkpoint_every": "2", "eval_sizes": "5", "eval_samples": "3", "device": "cpu",
}  # fmt: skip
SWEEP = ["--algos", "bfs", "--processors", "mpnn", "--seeds", "2", "--no-report"]
SWEEP += [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", *value.split())]

# Trackers that do to a run what a machine or a person does, at a step of their choice, once.
ACCIDENTS = """
import os, signal, time
from pathlib import Path

class Accident:
    def start(self, config, run_dir, resumed_at):
        self.mark = run_dir.parent / "happened"

    def log(self, step, values):
        if step == 4 and not self.mark.exists():
            self.mark.touch()
            self.happen()

    def finish(self, results): pass

class Killed(Accident):
    def happen(self): os.kill(os.getpid(), signal.SIGKILL)

class CtrlC(Accident):
    def happen(self): os.kill(os.getpid(), signal.SIGINT)

class CtrlCForTheSweep(Accident):
    def happen(self):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1.5)  # the sweep looks every half second

class SweepKilled(Accident):
    def happen(self):
        (self.mark.parent / "worker").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
"""


@pytest.fixture
def place(tmp_path, monkeypatch, no_report):
    """A folder to sweep in, with the accidents."""
    (tmp_path / "accidents.py").write_text(ACCIDENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The runs of an undisturbed sweep, one after the other in this process."""
    folder = tmp_path_factory.mktemp("reference") / "sweep"
    assert sweep_command.main([*SWEEP, "--jobs", "1", "--out", str(folder)]) == 0
    return folder


def changed(argv, flag, value):
    """The command with another value of a flag that has one."""
    place = argv.index(flag)
    return [*argv[:place], flag, value, *argv[place + 2 :]]


def directories(folder):
    return sorted(path.parent for path in folder.glob("*/config.json"))


def assert_same_results(folder, reference):
    """Equal scores, and equal parameters and optimiser bit for bit."""
    assert [path.name for path in directories(folder)] == [path.name for path in directories(reference)]
    for ours, theirs in zip(directories(folder), directories(reference), strict=True):
        for name in ("best.pt", "last.pt"):
            one, other = checkpoint.load(ours / name), checkpoint.load(theirs / name)
            for part in one.keys() & {"model", "optimizer"}:
                flat, expected = (torch.utils._pytree.tree_leaves(found[part]) for found in (one, other))
                assert len(flat) == len(expected) > 5
                for a, b in zip(flat, expected, strict=True):
                    assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        one, other = (json.loads((path / "results.json").read_text()) for path in (ours, theirs))
        assert [entry["score"] for entry in one["evaluations"]] == [entry["score"] for entry in other["evaluations"]]
        assert one["run"]["best_step"] == other["run"]["best_step"]
        rows = [
            [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (ours, theirs)
        ]
        assert [(row["step"], row["loss"]) for row in rows[0]] == [(row["step"], row["loss"]) for row in rows[1]]


def states(folder):
    return {entry["name"]: entry["state"] for entry in json.loads((folder / "sweep.json").read_text())["runs"]}


# Which runs there are


def test_the_product_goes_seed_by_seed_through_readable_names(tmp_path):
    runs = product(["bfs", "bfs+dfs"], ["mpnn"], [0, 7], Config(), tmp_path, [("hidden", [32, 64])])
    assert [run.name.rsplit("-", 1)[0] for run in runs] == [
        f"{algorithm}-mpnn-hidden{hidden}-seed{seed}"
        for seed in (0, 7) for algorithm in ("bfs", "bfs+dfs") for hidden in (32, 64)
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 8
    assert runs[2].config.algo == ("bfs", "dfs") and runs[3].varied == {"hidden": 64} and runs[3].config.hidden == 64
    assert all(run.config.resume and run.config.run_dir == tmp_path / run.name for run in runs)
    own = Config(processor="my_module:Mine", seed=1)
    assert directory_name(own, {"option": ("a=1/2",)}).startswith("bellman_ford-my_module.Mine-optiona.1.2-seed1-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["bsf"], ["mpnn"], [0]), "did you mean 'bfs'"),
        ((["bfs"], ["mpn"], [0]), "did you mean 'mpnn'"),
        ((["bfs", "bfs"], ["mpnn"], [0]), "--algos: bfs is given twice"),
        ((["bfs"], ["mpnn"], [1, 1]), "seeds: 1 is given twice"),
        ((["bfs"], [], [0]), "--processors: nothing to sweep over"),
    ],
)
def test_names_are_checked_before_anything_is_trained(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        product(*arguments, Config(), tmp_path)


CHANGED = {
    "algo": ("dfs",), "processor": "pgn", "option": ("a=1",), "train_sizes": (4,), "val_size": 3, "random_pos": False,
    "train_families": ("grid",), "train_weights": ("ties",),
    "layer_norm": False, "log_n_scale": True, "edge_pointer_repair": True, "reconstruction": "plain",
    "freeze": "processor", "encoder_init": "default", "hint_mode": "none", "hint_feedback": "hard",
    "pointer_head": "additive", "dropout": 0.5, "teacher_forcing": 0.5, "reconstruction_weight": 0.5,
    "reconstruction_mask": 0.5, "init_processor": Path("x"), "traces": Path("x"),
    "eval_sizes": (4,), "device": "cpu", "out": Path("x"),
    "resume": True, "workers": 1, "memory": "small", "cuda_graphs": "off", "tracker": ("a:B",), "seeds": (1,),
    "learning_rate_schedule": "one_cycle", "last_moments": 0.5, "history": False,
    "auxiliary": ("rank",), "optimizer": "SGD", "precision": "bf16", "average": 0.5,
    "supervision": "moments", "relations": "beside", "halting": "supervised",
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Config)])
def test_a_directory_belongs_to_the_settings_that_change_what_is_learned(field):
    default = getattr(Config(), field)
    if field in CHANGED:
        value = CHANGED[field]
    elif isinstance(default, str):  # a choice that joined later
        pytest.skip(f"no other value of {field} is known here")
    else:
        value = (not default) if isinstance(default, bool) else (default or 0) + 1
    before = Config(hint_feedback="hard") if field == "supervision" else Config()
    if field == "trails":
        before = Config(relations="beside")
    if field == "freeze":
        before = Config(init_processor=Path("x"))
    if field in OF_MOMENTS:
        before = Config(supervision="moments", hint_feedback="hard")
    if field == "auxiliary_weight":
        before = Config(auxiliary=("rank",))
    changed = dataclasses.replace(before, **{field: value})
    assert (digest(changed) == digest(before)) == (field in NOT_HASHED), field
    assert (digest(changed, without=["seed"]) == digest(before, without=["seed"])) == (field in NOT_HASHED | {"seed"})


def test_names_stay_when_a_later_version_adds_a_setting(monkeypatch):
    before = digest(Config(hidden=8))
    original = Config.to_dict
    monkeypatch.setattr(Config, "to_dict", lambda self: original(self) | {"of_next_year": 3})
    assert digest(Config(hidden=8)) == before


# Flags and files


def test_flags_come_before_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'algos = ["bfs", "bfs+dfs"]\nseeds = 4\nsteps = 7\nlayer_norm = false\neval_sizes = [5, 6]\n'
        'hint_mode = "none"\nrecipe = "protocol"\n'
        "report = false\n[vary]\nhidden = [8, 16]\ntrain_sizes = [[4, 5], [6]]\n"
    )
    sweep, base, vary, _ = read([str(file), "--steps", "9", "--seed-list", "3", "5"])
    assert (sweep.algos, sweep.seeds, sweep.seed_list, sweep.report) == (("bfs", "bfs+dfs"), 4, (3, 5), False)
    assert (base.steps, base.layer_norm, base.eval_sizes, base.hint_mode) == (9, False, (5, 6), "none")
    assert vary == [("hidden", [8, 16]), ("train_sizes", [(4, 5), (6,)])]
    assert sweep.out == Path("runs/mine")
    assert read(["--config", str(file), "--layer-norm"])[1].layer_norm is True
    assert read(["--out", "x"])[0].out == Path("x") and read([])[0].out == Path("runs/sweep")


def test_the_shipped_sweep_is_small(tmp_path):
    assert sweep_settings.shipped() == ["small"]
    sweep, base, vary, _ = read(["small"])
    runs = product(sweep.algos, sweep.processors, range(sweep.seeds), base, sweep.out, vary)
    assert len(runs) == 18 and len(sweep.processors) >= 3 and sweep.seeds >= 3
    assert sweep.out == Path("runs/small") and {run.config.steps for run in runs} == {700}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--algo", "bfs"], "a sweep takes --algos instead of --algo"),
        (["--resume"], "unknown flag '--resume'"),
        (["--stesp", "3"], "did you mean '--steps'"),
        (["--proccessors", "mpnn"], "did you mean '--processors'"),
        (["smal"], "did you mean 'small'"),
        (["--steps", "3", "--steps", "4"], "--steps is given twice"),
        (["small", "bfs"], "unexpected 'bfs'"),
        (["small", "--config", "x.toml"], "--config takes one TOML file"),
        (["--vary", "hidden"], "as in hidden=32,64"),
        (["--vary", "hiden=3"], "did you mean 'hidden'"),
        (["--vary", "seed=3"], "a sweep takes --seeds"),
        (["--vary", "hidden=3,4", "--hidden", "5"], "--hidden is given and varied as well"),
        (["--seeds", "0"], "--seeds must be at least 1; got 0"),
        (["--gpus-per-run", "0.5"], "--gpus-per-run is for --engine ray"),
        (["--vary", "hidden=a"], "--hidden takes a whole number; got 'a'"),
        (["--vary", "layer_norm=yes"], "--vary layer_norm takes true, false or both"),
        (["--seeds", "0", "1"], "for these ones: --seed-list 0 1"),
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--jobs", "many"], "--jobs takes a whole number; got 'many'"),
    ],
)
def test_mistakes_are_one_line(argv, message, capsys, place):
    with pytest.raises(SystemExit) as stop:
        cli.main(["sweep", *argv])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and message in said and said.count("\n") == 1, said
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "unknown setting 'hiden'; did you mean 'hidden'"),
        ("algo = 'bfs'", "unknown setting 'algo'; did you mean 'algos'"),
        ("vary = 3", "vary is a table"),
        ("a = ", "is not TOML"),
    ],
)
def test_mistakes_in_a_file_name_the_file(text, message, tmp_path):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read([str(tmp_path / "bad.toml")])
    assert "bad.toml" in str(error.value)


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


@pytest.mark.parametrize(
    ("argv", "device", "threads", "jobs"),
    [
        (["--device", "cpu"], "cpu", 1, 4),
        (["--device", "cpu", "--threads", "3"], "cpu", 3, 1),
        (["--device", "cpu", "--jobs", "7"], "cpu", 1, 7),
        (["--engine", "ray"], "cpu", 1, 0),
        (["--engine", "ray", "--gpus-per-run", "0.5"], "auto", 0, 0),
    ],
)
def test_runs_have_one_thread_and_every_core_has_a_run(argv, device, threads, jobs, monkeypatch):
    monkeypatch.setattr("nar.system.limits.cores", lambda: 4)
    config, at_once = sweep_command._settled(*read(argv)[:2])
    assert (config.device, config.threads, at_once) == (device, threads, jobs)


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
