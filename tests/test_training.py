"""Training runs in miniature: what they write, that they learn, stop, resume bit for bit, refuse what does not fit."""

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import typing
from pathlib import Path

import numpy as np
import pytest
import torch

import nar
from nar import datasets
from nar.config import FREE, OF_MOMENTS, Config
from nar.evaluation import evaluate as evaluation
from nar.experiments.experiment import train
from nar.model import checkpoint
from nar.model.reasoner import Reasoner
from nar.system.shapes import misfit, types_of
from nar.training import learner, run
from nar.training import loop as training
from nar.training.optimizer.adam import Adam
from nar.training.tasks import training_batch, validation_set

TINY = {
    "algo": "bfs", "processor": "mpnn", "hidden": 8, "steps": 6, "batch_size": 3, "train_sizes": (4, 5), "val_size": 5,
    "val_samples": 6, "val_every": 3, "checkpoint_every": 2, "eval_sizes": (5,), "eval_samples": 3, "device": "cpu",
    "threads": 1,
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path):
    """Settings of a tiny run in a directory of this test."""
    return lambda out="run", **changes: Config(**(TINY | {"out": tmp_path / out} | changes))


def metrics(config):
    return [json.loads(line) for line in (config.run_dir / "metrics.jsonl").read_text().splitlines()]


def results(config):
    return json.loads((config.run_dir / "results.json").read_text())


def assert_equal(one, other, where="checkpoint"):
    """Exactly equal: tensors bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and one.equal(other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for k, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}/{k}")
    else:
        assert one == other or (one != one and other != other), f"{where}: {one} {other}"


def assert_same_run(one, other, *, files=("last.pt", "best.pt")):
    for name in files:
        a, b = checkpoint.load(one.run_dir / name), checkpoint.load(other.run_dir / name)
        for part in a.keys() - {"config", "seconds"}:
            assert_equal(a[part], b[part], f"{name}/{part}")


# What a run leaves behind


def test_a_run_from_settings_to_report(tiny, capsys):
    config = tiny(eval_sizes=(5, 4))
    found = train(config, command="python train.py --algo bfs")
    written = results(config)
    assert written["schema"] == 2 and written["command"] == "python train.py --algo bfs"
    assert json.loads(json.dumps(found)) == written
    names = {path.name for path in config.run_dir.iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "best.pt",
        "last.pt",
        "results.json",
        "report.md",
        "score.svg",
        "example.svg",
    } <= names
    assert not [name for name in names if name.endswith(".tmp")]
    assert [(e["size"], e["samples"]) for e in written["evaluations"]] == [(5, 3), (4, 3)]
    run = written["run"]
    assert (run["steps"], run["steps_planned"], run["interrupted"]) == (6, 6, False)
    assert run["best_step"] in (3, 6) and 0 <= run["best_validation"] <= 1
    assert run["parameters"] == sum(p.numel() for p in checkpoint.load(config.run_dir / "last.pt")["model"].values())
    assert Config.from_dict(json.loads((config.run_dir / "config.json").read_text())) == config
    assert [row["step"] for row in metrics(config)] == [3, 6]
    for row in metrics(config):
        assert row.keys() == {
            "step", "loss", "train_size", "waiting", "seconds", "validation_score", "validation_loss",
        }  # fmt: skip
    out = capsys.readouterr()
    assert "report.html" in out.out and "bfs with mpnn" in out.err
    reasoner = nar.load(config.run_dir).reasoner
    score = evaluation.evaluate(reasoner, datasets.get("bfs"), evaluation.test_set(datasets.get("bfs"), 5, 3)[0])
    assert score.score == written["evaluations"][0]["score"]


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_trains(name, tiny, no_report):
    sizes = {"train_sizes": None, "val_size": None} if datasets.get(name).category == "strings" else {}
    config = tiny(algo=name, processor="triplet_gmpnn", steps=2, val_every=1, val_samples=2, eval_samples=2, **sizes)
    assert results(config)["evaluations"] if train(config) else None
    assert all(math.isfinite(row["loss"]) and math.isfinite(row["validation_loss"]) for row in metrics(config))


@pytest.mark.parametrize("options", [{"hint_mode": "none"}, {"hint_mode": "decoded_only"}, {"hint_feedback": "hard"}])
def test_modes_train(options, tiny, no_report):
    train(tiny(steps=2, val_every=1, **options))


def test_learning_happens(tiny, no_report):
    config = tiny(steps=80, hidden=16, batch_size=16, learning_rate=5e-3, val_every=10, val_samples=32, eval_sizes=())
    train(config)
    rows = metrics(config)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["validation_loss"] < 0.6 * rows[0]["validation_loss"]
    assert rows[-1]["validation_score"] > rows[0]["validation_score"] and rows[-1]["validation_score"] > 0.6


def test_zero_steps_still_evaluate(tiny, no_report):
    config = tiny(steps=0)
    train(config)
    found = results(config)
    assert found["run"]["best_validation"] is None and len(found["evaluations"]) == 1


# Random numbers


def test_training_batches_depend_on_seed_and_step_alone(tiny):
    algorithm = datasets.get("bfs")
    first = training_batch(algorithm, tiny(), 4)
    np.random.seed(5)
    torch.manual_seed(5)
    assert training_batch(algorithm, tiny(), 4).inputs["A"].equal(first.inputs["A"])
    assert not training_batch(algorithm, tiny(), 6).inputs["A"].equal(first.inputs["A"])
    assert not training_batch(algorithm, tiny(seed=1), 4).inputs["A"].equal(first.inputs["A"])
    assert [training_batch(algorithm, tiny(), s).nodes for s in range(4)] == [4, 5, 4, 5]


def test_validation_data_do_not_depend_on_the_seed(tiny):
    algorithm = datasets.get("bellman_ford")
    one, two = (validation_set(algorithm, tiny(seed=s, val_samples=70)) for s in (1, 2))
    assert [len(batch) for batch in one] == [64, 6] == [len(batch) for batch in two]
    for a, b in zip(one, two, strict=True):
        assert all(a.inputs[n].equal(b.inputs[n]) for n in a.inputs) and all(
            a.outputs[n].equal(b.outputs[n]) for n in a.outputs
        )
    assert (one[0].inputs["pos"][0] != one[0].inputs["pos"][1]).any()
    plain = validation_set(algorithm, tiny(random_pos=False))[0].inputs["pos"]
    assert (plain == plain[0]).all()
    densities = [batch.inputs["adj"].double().mean((1, 2)) for batch in one]
    assert torch.cat(densities).std() > 0.1  # the training distribution: p differs from graph to graph


def test_the_initial_model_depends_on_the_seed(tiny):
    one, two, other = (Reasoner.from_config(tiny(seed=s)).state_dict() for s in (1, 1, 2))
    assert_equal(one, two)
    assert not one["processor.edge.weight"].equal(other["processor.edge.weight"])


def test_how_often_a_run_validates_and_saves_changes_nothing(tiny, no_report):
    one, two = tiny("one", val_every=1, checkpoint_every=1), tiny("two", val_every=4, checkpoint_every=100)
    train(one)
    torch.manual_seed(8)
    train(two)
    a, b = (checkpoint.load(c.run_dir / "last.pt") for c in (one, two))
    assert_equal(a["model"], b["model"])
    assert_equal(a["optimizer"], b["optimizer"])


@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"teacher_forcing": 1.0}], ids=str)
def test_what_acts_in_training_only_does_act_there(options, tiny, no_report):
    plain, other = (
        tiny("plain", train_sizes=(6,), eval_sizes=()),
        tiny("other", train_sizes=(6,), eval_sizes=(), **options),
    )
    train(plain)
    train(other)
    a, b = (checkpoint.load(c.run_dir / "last.pt")["model"] for c in (plain, other))
    assert not a["processor.edge.weight"].equal(b["processor.edge.weight"])


# Resuming

VARIANTS = [
    {},
    {"processor": "triplet_gmpnn", "teacher_forcing": 0.5},
    {"algo": "insertion_sort"},
    {"dropout": 0.3},
    {"supervision": "moments", "hint_feedback": "hard", "own_moments": 0.3, "event_balance": 0.5, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_resuming_continues_bit_for_bit(options, tiny, no_report):
    straight, parts = tiny("straight", steps=10, **options), tiny("parts", steps=5, **options)
    train(straight)
    train(parts)
    torch.manual_seed(77)  # another process would start with other numbers
    parts = dataclasses.replace(parts, steps=10, resume=True)
    train(parts)
    assert_same_run(straight, parts)
    wanted = [row["step"] for row in metrics(straight)]
    assert [row["step"] for row in metrics(parts) if row["step"] != 5] == wanted
    strip = ("run", "config", "provenance", "command")
    one, two = ({k: v for k, v in results(c).items() if k not in strip} for c in (straight, parts))
    for entry in one["evaluations"] + two["evaluations"]:
        entry.pop("seconds")
        entry.pop("peak_memory_mb", None)
    assert one == two


def test_a_crash_costs_the_steps_since_the_last_checkpoint_only(tiny, no_report, monkeypatch):
    straight, broken = tiny("straight", steps=10, checkpoint_every=4), tiny("broken", steps=10, checkpoint_every=4)
    train(straight)
    real = training.training_batch

    def crash(algorithm, config, step, **options):
        if step == 7:
            raise RuntimeError("power cut")
        return real(algorithm, config, step, **options)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(training, "training_batch", crash)
        train(broken)
    assert checkpoint.load(broken.run_dir / "last.pt")["step"] == 4
    assert [row["step"] for row in metrics(broken)] == [3, 6]
    with open(broken.run_dir / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "lo')  # a line cut off
    train(dataclasses.replace(broken, resume=True))
    assert_same_run(straight, broken)
    assert [row["step"] for row in metrics(broken)] == [3, 6, 9, 10]


def test_resuming_a_run_that_was_never_started_starts_it(tiny, no_report):
    config, plain = tiny(resume=True), tiny("plain")
    train(config)
    train(plain)
    assert_same_run(config, plain)


# Stopping


def stop_at(step, monkeypatch, *numbers):
    real = training.training_batch

    def send(algorithm, config, now, **options):
        if now == step:
            for number in numbers:
                signal.raise_signal(number)
        return real(algorithm, config, now, **options)

    monkeypatch.setattr(training, "training_batch", send)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_good_order(number, tiny, no_report, monkeypatch, capsys):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    config = tiny(steps=100)
    with monkeypatch.context() as patch:
        stop_at(4, patch, number)
        train(config)
    run = results(config)["run"]
    assert (run["steps"], run["steps_planned"], run["interrupted"]) == (
        5,
        100,
        True,
    )  # the step it came in was finished
    assert run["best_step"] == 3 and len(results(config)["evaluations"]) == 1
    assert "stopping after this step" in capsys.readouterr().err
    assert checkpoint.load(config.run_dir / "last.pt")["step"] == 5
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    # and it can be taken up again, to the same end as if it had never stopped
    config = dataclasses.replace(config, steps=8, resume=True)
    straight = tiny("straight", steps=8)
    train(config)
    train(straight)
    assert_same_run(config, straight)
    assert results(config)["run"]["interrupted"] is False
    # rows of metrics are means since the last validation, of which some steps were taken before the signal
    assert [row["loss"] for row in metrics(config)] == [row["loss"] for row in metrics(straight)]


def test_one_cycle_is_taken_up_where_it_was_and_has_its_number_of_steps(tiny, no_report, monkeypatch):
    straight, config = (tiny(name, steps=8, learning_rate_schedule="one_cycle") for name in ("straight", "run"))
    train(straight)
    with monkeypatch.context() as patch:
        stop_at(4, patch, signal.SIGINT)
        train(config)
    assert results(config)["run"]["steps"] == 5
    with pytest.raises(ValueError, match="steps 8, not 9"):
        train(dataclasses.replace(config, steps=9, resume=True))
    train(dataclasses.replace(config, resume=True))
    assert_same_run(config, straight)


def test_a_run_stopped_before_its_first_validation_is_evaluated(tiny, no_report, monkeypatch):
    config = tiny(val_every=50, steps=100)
    stop_at(1, monkeypatch, signal.SIGINT)
    train(config)
    found = results(config)
    assert found["run"]["interrupted"] and found["run"]["best_step"] == 2 and found["run"]["best_validation"] is None
    assert len(found["evaluations"]) == 1
    last, best = (checkpoint.load(config.run_dir / name) for name in ("last.pt", "best.pt"))
    assert_equal(last["model"], best["model"])


def test_a_second_signal_stops_at_once(tiny, no_report, monkeypatch):
    config = tiny(steps=100)
    stop_at(4, monkeypatch, signal.SIGINT, signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config)
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoint.load(config.run_dir / "last.pt")["step"] == 4


def test_ctrl_c_on_the_command_line(tmp_path):
    """The real thing: a process, the signal, exit code 0, a report of what was reached."""
    out = tmp_path / "run"
    flags = "--algo bfs --processor mpnn --hidden 8 --batch-size 2 --train-sizes 4 --val-size 4 --val-samples 2"
    flags += " --val-every 2 --checkpoint-every 1000 --eval-sizes 4 --eval-samples 2 --device cpu --threads 1"
    flags += f" --out {out} --steps 1000000"
    program = "import sys; from nar.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "train", *flags.split()],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        log = out / "metrics.jsonl"
        while time.monotonic() < until and process.poll() is None and not (log.is_file() and log.stat().st_size):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints and "report.html" in printed
    found = json.loads((out / "results.json").read_text())
    assert found["run"]["interrupted"] and 0 < found["run"]["steps"] < 1000000 and len(found["evaluations"]) == 1
    assert checkpoint.load(out / "last.pt")["step"] == found["run"]["steps"]
    assert (out / "report.md").is_file()


def test_a_loss_that_is_no_number_ends_the_run(tiny, no_report, monkeypatch):
    config, real, calls = tiny(steps=20), learner.total_loss, []

    def explode(batch, rollout, emphasis):
        calls.append(1)
        return real(batch, rollout, emphasis) * (float("nan") if len(calls) == 5 else 1.0)

    monkeypatch.setattr(learner, "total_loss", explode)
    with pytest.raises(ValueError, match=r"loss became nan at step 5 \(seed 42\); lower --learning-rate"):
        train(config)
    kept = checkpoint.load(config.run_dir / "last.pt")
    assert kept["step"] == 4 and all(v.isfinite().all() for v in kept["model"].values())
    assert checkpoint.load(config.run_dir / "best.pt")["best"]["step"] == 3
    assert [row["step"] for row in metrics(config)] == [3]


def test_weights_that_are_no_numbers_are_noticed_as_such(tiny, no_report, monkeypatch):
    """NaN in one map of the processor must reach the loss, whatever the kernels on its way."""
    for path in ("sender", "edge", "message.second", "out"):
        real = Reasoner.from_config

        def poisoned(config, real=real, path=path):
            model = real(config)
            with torch.no_grad():
                model.processor.get_submodule(path).weight[1, 1] = float("nan")
            return model

        with monkeypatch.context() as patch:
            patch.setattr(Reasoner, "from_config", poisoned)
            with pytest.raises(ValueError, match="loss became nan at step 1"):
                train(tiny(path))


# The best checkpoint


def test_the_best_checkpoint_is_by_score_then_loss(tiny, no_report, monkeypatch):
    scripted = iter([(0.5, 1.0), (0.7, 2.0), (0.7, 1.5), (0.7, 1.5), (0.6, 0.1)])
    real, seen, tested = evaluation.evaluate, [], []

    def pretend(reasoner, algorithm, *rest, **options):
        weights = {n: v.clone() for n, v in reasoner.state_dict().items()}
        if options.get("loss"):
            seen.append(weights)
            score, loss = next(scripted)
            return types.SimpleNamespace(score=score, loss=loss, measures={})
        tested.append(weights)
        return real(reasoner, algorithm, *rest, **options)

    monkeypatch.setattr(run, "evaluate", pretend)
    monkeypatch.setattr(evaluation, "evaluate", pretend)
    config = tiny(steps=10, val_every=2)
    train(config)
    best = checkpoint.load(config.run_dir / "best.pt")
    assert best["best"] == {"step": 6, "score": 0.7, "loss": 1.5, "each": {"bfs": 0.7}}
    assert_equal(dict(best["model"]), seen[2])
    assert_equal(tested[0], seen[2])  # and it is the one that is tested
    assert results(config)["run"]["best_step"] == 6
    assert_equal(dict(checkpoint.load(config.run_dir / "last.pt")["model"]), seen[4])


# Refusals


def test_a_finished_run_is_not_overwritten(tiny, no_report):
    config = tiny()
    train(config)
    before = {p.name: p.read_bytes() for p in config.run_dir.iterdir()}
    with pytest.raises(ValueError, match=r"holds this run at step 6 of 6; add --resume"):
        train(config)
    with pytest.raises(ValueError, match="hidden 8, not 16"):
        train(dataclasses.replace(config, hidden=16))
    with pytest.raises(ValueError, match=r"learning_rate 0\.001, not 0\.01; .*--out"):
        train(dataclasses.replace(config, learning_rate=0.01, resume=True))
    assert {p.name: p.read_bytes() for p in config.run_dir.iterdir()} == before


def another(name, value):
    """A value of a setting's type that is not this one."""
    kind = types_of(Config)[name]
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    usual = (*choices, True, False, 0.25, 7, "another", Path("elsewhere"), ("m:T",), (7,))
    return next(one for one in usual if one != value and misfit(one, kind) is None)


def test_settings_that_may_change_and_those_that_may_not(tiny):
    needed = {name: {"supervision": "moments", "hint_feedback": "hard"} for name in OF_MOMENTS}
    needed |= {"supervision": {"hint_feedback": "hard"}, "trails": {"relations": "beside"}}
    needed |= {"auxiliary_weight": {"auxiliary": ("rank",)}}
    needed |= {"freeze": {"init_processor": Path("x")}}
    for field in dataclasses.fields(Config):
        if field.name in ("out", "device"):
            continue
        config = tiny(**needed.get(field.name, {}))
        if field.name == "seeds":
            config = dataclasses.replace(config, seed=Config.seed)
        changed = dataclasses.replace(config, **{field.name: another(field.name, getattr(config, field.name))})
        assert bool(config.differences(changed)) == (field.name not in FREE), field.name


def test_directories_that_are_no_runs(tiny, no_report):
    config = tiny()
    config.run_dir.mkdir()
    (config.run_dir / "thesis.tex").write_text("important")
    with pytest.raises(ValueError, match="not empty and not a run directory"):
        train(config)
    assert [p.name for p in config.run_dir.iterdir()] == ["thesis.tex"]
    for text in ("{", "[]", '{"hidden": "x"}', '{"hiden": 3}'):
        (config.run_dir / "config.json").write_text(text)
        with pytest.raises(ValueError):
            train(config)
        assert (config.run_dir / "config.json").read_text() == text


def test_checkpoints_of_another_run(tiny, no_report):
    config, other = tiny(resume=True), tiny("other", hidden=16)
    train(config)
    train(other)
    for name, source in (("last.pt", other.run_dir / "last.pt"), ("last.pt", config.run_dir / "best.pt")):
        shutil.copy(source, config.run_dir / name)
        with pytest.raises(ValueError, match=r"last\.pt"):
            train(dataclasses.replace(config, steps=8))


def test_settings_must_fit_algorithm_and_processor(tiny):
    for changes, message in (
        ({"heads": 2}, "'mpnn' has no heads; leave --heads away"),
        ({"processor": "gat", "heads": 3}, "8 cannot be split over 3 heads"),
        ({"processor": "gat", "triplet_features": 4}, "leave --triplet-features away"),
        ({"processor": "mpn"}, "did you mean"),
        ({"algo": "dijkstr"}, "did you mean 'dijkstra'"),
        ({"train_sizes": (4, 0)}, "--train-sizes 0: bfs needs"),
        ({"eval_sizes": (0,)}, "--eval-sizes 0"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ):
        config = tiny(**changes)
        with pytest.raises(ValueError, match=re.escape(message)):
            train(config)
        assert not config.run_dir.exists()  # nothing was begun


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0}, {"learning_rate": float("nan")}, {"learning_rate": 0.0}, {"grad_clip": -1.0},
        {"teacher_forcing": 1.5}, {"teacher_forcing": float("nan")}, {"train_sizes": ()}, {"seed": -1}, {"seed": 2**32},
        {"val_every": 0}, {"steps": -1}, {"dropout": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_settings_have_limits(changes, tiny):
    flag = next(iter(changes)).replace("_", "-")
    with pytest.raises(ValueError, match=f"--{flag} must be"):
        tiny(**changes)


def test_gradients_are_clipped(tiny, no_report, monkeypatch):
    norms = []
    real = Adam.step

    def look(self):
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return real(self)

    monkeypatch.setattr(Adam, "step", look)
    train(tiny("clipped", grad_clip=0.01, steps=2, eval_sizes=()))
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)
    train(tiny("free", grad_clip=0.0, steps=2, eval_sizes=()))
    assert norms[2] > 0.1


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["insertion_sort", "floyd_warshall"])
def test_training_on_a_gpu(name, tiny, no_report):
    """Gumbel noise and teacher forcing draw from the run's generator, which lives on the CPU."""
    config = tiny(algo=name, processor="triplet_gpgn_mask", device="cuda", teacher_forcing=0.5, steps=3)
    train(config)
    assert all(math.isfinite(row["loss"]) for row in metrics(config))
