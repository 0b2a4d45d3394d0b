"""Processes that share the batches of a run on a CPU: the same run, and no trouble when one of them has some."""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import shared_batch_tasks
import torch

from nar import datasets, processors
from nar.config import Config
from nar.experiments import experiment
from nar.model.batch import collate
from nar.training import distributed, learner, shared_batch

pytestmark = pytest.mark.usefixtures("no_report")
ROOT = Path(__file__).parents[1]

SETTINGS = Config(
    algo="bellman_ford", processor="triplet_gmpnn", hidden=8, steps=6, batch_size=7, train_sizes=(5, 7), val_size=5,
    val_samples=6, val_every=2, checkpoint_every=2, eval_sizes=(5,), eval_samples=3, device="cpu", threads=2,
)  # fmt: skip


@pytest.mark.parametrize("world", [2, 3])
def test_batches_are_cut_where_all_take_equally_long(world):
    """Against all ways to cut."""
    rng = np.random.RandomState(0)
    for beside, once in itertools.product((0.0, 3.5, 56.0), (0.0, 0.4)):
        for _ in range(10):
            steps = sorted(rng.randint(1, 9, size=9).tolist(), reverse=True)
            ways = [(0, *ends, 9) for ends in itertools.combinations(range(1, 9), world - 1)]

            def time(share, beside=beside, once=once):
                return beside * max(share) + sum(share) + once * len(share)

            slowest = {way: max(time(steps[i:j]) for i, j in itertools.pairwise(way)) for way in ways}
            dealt = max(time(steps[rank::world]) for rank in range(world))
            found = distributed.cut(steps, world, beside, once)
            if found is None:
                assert dealt <= min(slowest.values()) + 1e-6
            else:
                assert slowest[tuple(found)] == pytest.approx(min(slowest.values())) and min(slowest.values()) < dealt
    assert distributed.cut([5] * 8, world, 3.5, 0.4) is None or world == 3  # eight graphs are no thirds


@pytest.fixture
def worth_it(monkeypatch):
    """Followers for runs of few steps, too. Threads are the process's own, and set back."""
    monkeypatch.setattr(shared_batch, "WORTH", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(out, **changed):
    return experiment.train(dataclasses.replace(SETTINGS, out=out, **changed))


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").open()]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of a run of two processes, and of how many graphs the first one took its steps."""
    out, sizes, step = tmp_path_factory.mktemp("together") / "two", [], learner.SingleLearner.step

    def watched(self, batches, *arguments, **options):
        sizes.append(len(batches[0]))
        return step(self, batches, *arguments, **options)

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_batch, "WORTH", 1)
        patch.setattr(learner.SingleLearner, "step", watched)
        patch.setattr("nar.reports.report.write_report", lambda run_dir: run_dir / "report.html")
        patch.setattr("nar.inference.example.write", lambda *_: None)
        run(out)
    torch.set_num_threads(before)
    return out, sizes


@pytest.mark.parametrize("world", [2, 3])
def test_sums_are_the_same_bits_everywhere(world):
    rounds = [(1, torch.float32), (5, torch.float64), (2**20 + 1, torch.float32), (3, torch.int64), (0, torch.float32)]
    with shared_batch.spawned(world, shared_batch_tasks.add, [*rounds, (6, torch.float64)]) as ranks:
        for size, dtype in rounds:
            found = ranks.sum(shared_batch_tasks.numbers(0, size, dtype))
            expected = sum(shared_batch_tasks.numbers(rank, size, dtype) for rank in range(world))
            if world == 2:
                assert torch.equal(found, expected)
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
            assert all(torch.equal(theirs, found) for theirs in ranks.gathered(found))
        found = ranks.sum(shared_batch_tasks.numbers(0, 6, torch.float64).view(3, 2).t())  # not contiguous
        assert found.shape == (2, 3)


def test_what_processes_give_is_gathered_in_their_order():
    world, sizes = 3, [1, 100_000, 3, 0]
    with shared_batch.spawned(world, shared_batch_tasks.gather, sizes) as ranks:
        for size in sizes:
            assert ranks.gathered([0] * size) == [[rank] * size for rank in range(world)]


def test_validation_is_shared_where_everyone_gets_a_graph():
    algorithm, rng = datasets.get("bfs"), np.random.RandomState(0)
    large, small = (
        collate([algorithm.run(**algorithm.sample(rng, 5)) for _ in range(count)], algorithm) for count in (7, 2)
    )
    places = [distributed.Ranks(rank, 3, Path()) for rank in range(3)]
    shares = [place.validation_share(lambda: [[large], [large]]) for place in places]
    assert sorted(b for share in shares for b in share[0][0].order) == sorted(large.order)
    assert all(share[1][0].whole is large for share in shares)
    assert [place.validation_share(lambda: [[large], [small]]) for place in places] == [[[large], [small]], None, None]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {
            "supervision": "moments", "hint_feedback": "hard", "own_moments": 0.3, "event_balance": 1.0,
            "learning_rate_schedule": "one_cycle", "weight_decay": 0.1,
        },
    ],
)  # fmt: skip
def test_a_run_is_that_of_one_process(tmp_path, worth_it, capsys, changed):
    found = run(tmp_path / "two", **changed)
    assert "2 processes share every batch" in capsys.readouterr().err and torch.get_num_threads() == 1
    run(tmp_path / "one", threads=1, **changed)
    assert "share" not in capsys.readouterr().err
    two, one = rows(tmp_path / "two"), rows(tmp_path / "one")
    assert [row["step"] for row in two] == [2, 4, 6]
    for ours, theirs in zip(two, one, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
    assert found["run"]["processes"] == 1  # the batch has not grown, which is what readers ask
    assert found["provenance"]["threads"] == 2


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, worth_it, together):
    run(tmp_path / "parts", steps=4)
    run(tmp_path / "parts", resume=True)
    whole, parts = (torch.load(out / "last.pt", weights_only=True) for out in (together[0], tmp_path / "parts"))
    assert all(torch.equal(value, parts["model"][name]) for name, value in whole["model"].items())
    assert [row["loss"] for row in rows(together[0])] == [row["loss"] for row in rows(tmp_path / "parts")]


def test_seeds_one_after_the_other(tmp_path, worth_it):
    found = experiment.train_seeds(dataclasses.replace(SETTINGS, out=tmp_path / "both", seeds=(3, 4), steps=4))
    run(tmp_path / "alone", seed=4, steps=4)
    assert [results["run"]["seed"] for results in found] == [3, 4]
    (second,) = [path for path in (tmp_path / "both").iterdir() if path.name.endswith("seed4")]
    assert [row["loss"] for row in rows(second)] == [row["loss"] for row in rows(tmp_path / "alone")]


def test_who_trains_alone(tmp_path, worth_it, monkeypatch, capsys):
    assert [shared_batch.size(8, 32, chosen=chosen) for chosen in (False, True)] == [shared_batch.AT_MOST, 8]
    assert [shared_batch.size(4, batch, chosen=True) for batch in (1, 3, 4, 7, 8)] == [1, 1, 2, 3, 4]
    run(tmp_path / "workers", workers=1)
    monkeypatch.setattr(shared_batch, "WORTH", 7)
    run(tmp_path / "short")
    assert "share" not in capsys.readouterr().err


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


def test_own_code_is_found_by_the_others_and_all_begin_with_the_parameters_of_the_first(
    tmp_path, worth_it, monkeypatch, capsys
):
    """A processor of the current folder, which the first process has on its path, and which draws its parameters from a
    generator that no seed of nar's reaches."""
    (tmp_path / "drawn_processor.py").write_text(
        "import os\n\nfrom nar.processors.mpnn import MPNN\n\n\nclass Drawn(MPNN):\n"
        "    def __init__(self, features):\n        super().__init__(features)\n"
        "        self.skip.weight.data += 0.01 * (os.getpid() % 7)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    run(tmp_path / "two", processor="drawn_processor:Drawn")
    assert "2 processes share every batch" in capsys.readouterr().err
    run(tmp_path / "one", processor="drawn_processor:Drawn", threads=1)
    for ours, theirs in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)


def test_numbers_are_of_the_kind_that_the_first_process_works_with():
    torch.set_default_dtype(torch.float64)
    try:
        with shared_batch.spawned(2, shared_batch_tasks.different_kind, None) as ranks:
            assert torch.equal(ranks.sum(torch.ones(3)), torch.full((3,), 2.0))
    finally:
        torch.set_default_dtype(torch.float32)


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


def test_a_step_of_the_first_process_is_a_share_of_the_batch(together):
    assert len(together[1]) == 6 and all(0 < size < 7 for size in together[1])
