"""What training is fed: in order, the same whoever draws it, whatever happens to those who draw it; what was waited."""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import time

import prefetch_tasks
import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from nar import datasets
from nar.config import Config
from nar.model.batch import Batch, draw
from nar.traces.run_length import RunLengthArray
from nar.training.prefetch import Prefetcher, drawn, map_batches
from nar.training.tasks import training_batch

CPU = torch.device("cpu")


@pytest.fixture
def noticed_soon(monkeypatch):
    """PyTorch looks every five seconds whether the processes that it waits for are alive: here more often."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


def taken(make, count, workers):
    """All that is drawn for the first numbers."""
    with Prefetcher(make, range(count), CPU, workers) as prefetcher:
        return [prefetcher.next() for _ in range(count)]


def step_batches(number, fail_at=None):
    if number == fail_at:
        raise ValueError(f"step {number} cannot be drawn")
    time.sleep(0.01)
    return [[draw(datasets.get("bfs"), 4 + number, 2, seed=(number,), random_pos=True)]]


def test_batches_come_in_order_and_waiting_is_counted():
    with Prefetcher(step_batches, range(3), CPU, 0) as prefetcher:
        assert [prefetcher.next()[0][0].nodes for _ in range(2)] == [4, 5]
        assert 0.02 <= prefetcher.waited < 60


def test_what_drawing_raises_is_raised_where_it_is_taken():
    with (
        pytest.raises(ValueError, match="step 1"),
        Prefetcher(functools.partial(step_batches, fail_at=1), range(3), CPU, 0) as prefetcher,
    ):
        prefetcher.next()
        prefetcher.next()


def test_every_batch_is_handled():
    one = step_batches(0)
    double = map_batches([one[0] * 2, one[0]], lambda batch: batch.map(lambda tensor: tensor + 0))
    assert [len(batches) for batches in double] == [2, 1]
    assert double[0][0] is not one[0][0] and torch.equal(double[0][0].inputs["A"], one[0][0].inputs["A"])
    hints, copied = one[0][0].hints, double[1][0].hints
    assert all(torch.equal(torch.as_tensor(copied[n][0]), torch.as_tensor(hints[n][0])) for n in hints)


def tensors(batch: Batch):
    for values in (batch.inputs, batch.hints, batch.outputs):
        for name, value in values.items():
            yield from (
                ((name, value.values), (name, value.index)) if isinstance(value, RunLengthArray) else ((name, value),)
            )


def test_batches_do_not_depend_on_the_number_of_workers():
    make = functools.partial(
        training_batch, datasets.get("floyd_warshall"), Config(algo="floyd_warshall", batch_size=4)
    )
    torch.manual_seed(3)
    by_count = {workers: taken(make, 6, workers) for workers in (0, 1, 2)}
    assert torch.equal(
        torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(3))
    )  # the training's stream
    for workers in (1, 2):
        for ours, theirs in zip(by_count[0], by_count[workers], strict=True):
            assert (ours.lengths, ours.order, ours.spec) == (theirs.lengths, theirs.order, theirs.spec)
            for (name, one), (_, other) in zip(tensors(ours), tensors(theirs), strict=True):
                assert one.dtype == other.dtype and torch.equal(one, other), name


def test_workers_draw_ahead_and_nobody_stays_behind():
    found = taken(prefetch_tasks.slow_first, 8, 2)
    assert [number for number, _ in found] == list(range(8))
    assert len({pid for _, pid in found}) == 2 and os.getpid() not in {pid for _, pid in found}
    with Prefetcher(prefetch_tasks.square, range(1000), CPU, 2) as prefetcher:
        assert prefetcher.next() == 0  # and no more
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    "rest",
    [
        "print(list(drawn(prefetch_tasks.square, range(3), 1)), sys.modules['__main__'].__file__ == __file__)\n",
        "def cube(n):\n    return n**3\n\nif __name__ == '__main__':\n"
        "    print(list(drawn(cube, range(3), 1)), sys.modules['__main__'].__file__ == __file__)\n",
    ],
    ids=["of a module", "of its own"],
)
def test_a_script_that_draws_needs_no_guard(rest, tmp_path):
    """Spawned processes would run it again, and so on; what it defines itself they need it for, guarded as ever."""
    script = tmp_path / "script.py"
    script.write_text(f"import prefetch_tasks\nfrom nar.training.prefetch import drawn\nimport sys\n{rest}")
    paths = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    words = {"env": os.environ | {"PYTHONPATH": paths}, "capture_output": True, "text": True, "timeout": 300}
    found = subprocess.run([sys.executable, str(script)], check=True, **words)
    assert found.stdout.splitlines() == ["[0, 1, 8] True" if "cube" in rest else "[0, 1, 4] True"]


def test_what_a_worker_raises_is_raised_here_with_its_place():
    with Prefetcher(prefetch_tasks.fails_at_three, range(9), CPU, 2) as prefetcher:
        assert [prefetcher.next() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match=r"(?s)fails_at_three.*A must be better"):
            prefetcher.next()


def test_a_worker_that_is_killed_is_reported_and_its_work_done_again(tmp_path, capfd, noticed_soon):
    make = functools.partial(prefetch_tasks.dies_once_at_two, tmp_path)
    assert taken(make, 7, 2) == list(range(7))
    assert (tmp_path / "died").exists()
    assert "a process that draws batches died" in capfd.readouterr().err


def test_work_that_kills_every_worker_is_given_up(noticed_soon):
    with Prefetcher(prefetch_tasks.dies_at_two, range(7), CPU, 1) as prefetcher:
        assert [prefetcher.next(), prefetcher.next()] == [0, 1]
        with pytest.raises(ChildProcessError, match=r"step 2 .*3 times; --resume"):
            prefetcher.next()
    assert multiprocessing.active_children() == []


def test_after_a_death_the_next_number_is_drawn_alone(monkeypatch, capsys):
    """A process that dies takes along what it has not handed over; alone, the number that kills it is found."""
    asked = []

    def loader(draw, numbers, workers):
        asked.append(list(numbers))
        for number in numbers:
            if number == 2 and len(asked) < 3:
                raise RuntimeError("DataLoader worker (pid 1) exited unexpectedly")
            yield draw(number)

    monkeypatch.setattr("nar.training.prefetch._loader", loader)
    assert list(drawn(prefetch_tasks.square, range(5), 2)) == [0, 1, 4, 9, 16]
    assert asked == [[0, 1, 2, 3, 4], [2], [2], [3, 4]]
    assert capsys.readouterr().err.count("waited for at step 2") == 2
