"""Processes that share batches when one of them has trouble: it fails, dies, does not come or is told to stop."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shared_batch_tasks
import torch
from shared_runs import followers_for_few_steps, run

from nar import processors
from nar.training import distributed, shared_batch

pytestmark = pytest.mark.usefixtures("no_report")
ROOT = Path(__file__).parents[1]

worth_it = pytest.fixture(followers_for_few_steps)


def test_what_another_process_fails_with_is_raised_here(capfd):
    with (
        pytest.raises(ValueError, match="process 1 does not like this"),
        shared_batch.spawned(2, shared_batch_tasks.fail, None) as ranks,
    ):
        ranks.sum(torch.ones(1))
        ranks.sum(torch.ones(1))
    assert "shared_batch_tasks.py" in capfd.readouterr().err  # where it was
    with pytest.raises(RuntimeError, match="cannot be sent"):
        with shared_batch.spawned(3, shared_batch_tasks.fail_strangely, None) as ranks:
            ranks.sum(torch.ones(1))


def test_a_meeting_that_failed_does_not_count(tmp_path, monkeypatch):
    """PyTorch had given it a number, and who then came to meet waited under another one, forever."""

    def fail(*_, **__):
        raise RuntimeError("connection reset")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="connection reset"):
        patch.setattr(torch.distributed.distributed_c10d, "_new_process_group_helper", fail)
        distributed.Ranks(0, 1, tmp_path).meet()
    distributed.Ranks(0, 1, tmp_path).meet()
    try:
        assert torch.distributed.group.WORLD.group_name == "0"
    finally:
        torch.distributed.destroy_process_group()


def test_a_death_is_noticed():
    with pytest.raises(ChildProcessError, match=r"exit code 3.*--resume goes on"):
        with shared_batch.spawned(2, shared_batch_tasks.die, None) as ranks:
            ranks.sum(torch.ones(1))


def test_a_death_between_being_ready_and_being_there_is_noticed():
    """In a program of its own, as it then trains in one process for the rest of its life."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import shared_batch_tasks\nfrom nar.training import shared_batch\n"
        "for task in (shared_batch_tasks.die_on_the_way, shared_batch_tasks.add):\n  try:\n"
        "    with shared_batch.spawned(2, task, []): pass\n  except shared_batch.NotStarted as e: print(e)"
    )
    words = [sys.executable, "-c", program, str(Path(__file__).parent)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert "exit code 3" in found[0] and "an earlier run" in found[1]


def test_a_death_while_others_are_busy_is_noticed(tmp_path):
    """The usual one: the others wait most of the time, while the first process validates or saves."""
    with pytest.raises(ChildProcessError, match="exit code -9"):
        with shared_batch.spawned(2, shared_batch_tasks.write_number, tmp_path / "number") as ranks:
            time.sleep(0.5)  # it has come, and waits for the sum
            os.kill(int((tmp_path / "number").read_text()), signal.SIGKILL)
            time.sleep(0.5)
            ranks.sum(torch.ones(1))


def test_a_scheduler_that_signals_every_process_leaves_the_end_to_the_first_and_nobody_stays_behind(tmp_path):
    with (
        pytest.raises(KeyError),
        shared_batch.spawned(2, shared_batch_tasks.write_number, tmp_path / "number") as ranks,
    ):
        follower = int((tmp_path / "number").read_text())
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(follower, number)
        time.sleep(0.5)
        ranks.sum(torch.ones(1))
        raise KeyError("the run ends early")
    with pytest.raises(ProcessLookupError):
        os.kill(follower, 0)


def test_a_death_is_noticed_though_its_child_holds_the_connection(tmp_path):
    began = time.perf_counter()
    try:
        with (
            pytest.raises(ChildProcessError),
            shared_batch.spawned(2, shared_batch_tasks.leave_a_child, tmp_path / "numbers") as ranks,
        ):
            ranks.sum(torch.ones(1))
        assert time.perf_counter() - began < 30  # the children live for a minute
    finally:
        for number in (tmp_path / "numbers").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)


def test_who_does_not_come_is_done_without(tmp_path, worth_it, monkeypatch, capfd):
    with (
        pytest.raises(shared_batch.NotStarted, match="ValueError: not today"),
        shared_batch.spawned(2, shared_batch_tasks.unready, None),
    ):
        pytest.fail("nobody is there")
    # a processor that only this process knows, as in a notebook
    monkeypatch.setitem(processors.TABLE, "mine", processors.TABLE["mpnn"])
    run(tmp_path / "alone", processor="mine")
    said = capfd.readouterr().err
    assert "trained in one process, not in 2: ValueError: unknown processor 'mine'" in said and "Trace" not in said
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(OSError("no more processes")))
    run(tmp_path / "none")
    assert "not in 2: OSError: no more processes" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "starting"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_ends_the_run_in_good_order_whenever_it_comes(tmp_path, number, starting):
    """As a terminal does it: to the whole group. While the others are starting, and when all are at work."""
    words = [
        "--algo", "bfs", "--processor", "mpnn", "--hidden", "8", "--steps", "10000", "--batch-size", "4",
        "--train-sizes", "4", "--val-size", "4", "--val-samples", "2", "--eval-sizes", "4", "--eval-samples", "2",
        "--device", "cpu", "--threads", "2", "--val-every", "5", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "run directory" in line:
            break
    metrics, until = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 60
    time.sleep(0.2)
    while not starting and time.monotonic() < until and not (metrics.is_file() and metrics.stat().st_size):
        time.sleep(0.05)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping after this step" in err and "report:" in out
    assert json.loads((tmp_path / "run" / "results.json").read_text())["run"]["interrupted"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process is alive")
def test_followers_leave_when_the_leader_is_killed(tmp_path):
    code = (
        "import os, pathlib, signal, shared_batch_tasks\nfrom nar.training import shared_batch\n"
        f"path = pathlib.Path({str(tmp_path / 'number')!r})\n"
        "with shared_batch.spawned(2, shared_batch_tasks.write_number, path):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with open(tmp_path / "said", "w") as said:  # a pipe would be waited for as long as a follower lives
        done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=said, stderr=said)
    assert done.returncode == -signal.SIGKILL, (tmp_path / "said").read_text()
    status = f"/proc/{int((tmp_path / 'number').read_text())}/status"
    for _ in range(200):
        if not os.path.exists(status) or "zombie" in open(status).read():
            break
        time.sleep(0.05)
    else:
        pytest.fail("it is still there")


def test_a_loss_that_is_no_number_is_reported_once(tmp_path, worth_it, capfd):
    with pytest.raises(ValueError, match="the loss became"):
        run(tmp_path / "run", learning_rate=1e30)
    assert "Traceback" not in capfd.readouterr().err
