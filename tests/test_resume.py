"""Training runs that are stopped by a signal or a crash: what they leave, and that they go on bit for bit."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from tiny_runs import assert_equal, assert_same_run, metrics, results, settings

from nar.experiments.experiment import train
from nar.model import checkpoint
from nar.training import loop as training

tiny = pytest.fixture(settings)


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
