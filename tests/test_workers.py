"""Workers: the same batches whoever makes them, whatever happens to those who make them."""

import functools
import multiprocessing
import os

import pytest
import torch
from worker_tasks import dies_at_two, dies_once_at_two, fails_at_three, slow_first, square

from nar import datasets
from nar.config import Config
from nar.model.batch import Batch
from nar.traces.run_length import RunLengthArray
from nar.training.tasks import training_batch
from nar.training.workers import made


def tensors(batch: Batch):
    for values in (batch.inputs, batch.hints, batch.outputs):
        for name, value in values.items():
            yield from (
                ((name, value.values), (name, value.index)) if isinstance(value, RunLengthArray) else ((name, value),)
            )


@pytest.mark.parametrize("name", ["floyd_warshall"])
def test_batches_do_not_depend_on_the_number_of_workers(name):
    make = functools.partial(training_batch, datasets.get(name), Config(algo=name, batch_size=4))
    by_count = {workers: list(made(make, range(3, 9), workers)) for workers in (0, 1, 2)}
    for workers in (1, 2):
        for ours, theirs in zip(by_count[0], by_count[workers], strict=True):
            assert (ours.lengths, ours.order, ours.spec) == (theirs.lengths, theirs.order, theirs.spec)
            for (name, one), (_, other) in zip(tensors(ours), tensors(theirs), strict=True):
                assert one.dtype == other.dtype and torch.equal(one, other), name


def test_results_come_in_order_and_ahead_of_time():
    results = made(slow_first, range(8), 2)
    found = [next(results)]
    found += results
    assert [number for number, _ in found] == list(range(8))
    assert len({pid for _, pid in found}) == 2 and os.getpid() not in {pid for _, pid in found}
    assert multiprocessing.active_children() == []


def test_no_numbers_no_workers():
    assert list(made(square, [], 2)) == [] and list(made(square, [5], 4)) == [25]


def test_what_a_worker_raises_is_raised_here(capfd):
    results = made(fails_at_three, range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="A must be better"):
        next(results)
    assert "fails_at_three" in capfd.readouterr().err  # where it was raised
    assert multiprocessing.active_children() == []


def test_a_worker_that_is_killed_is_reported_and_its_work_done_again(tmp_path, capfd):
    make = functools.partial(dies_once_at_two, tmp_path)
    assert list(made(make, range(7), 2, "batch")) == list(range(7))
    assert (tmp_path / "died").exists()
    assert "a worker died (exit code -9) making batch 2; it is made again" in capfd.readouterr().err


def test_work_that_kills_every_worker_is_given_up():
    results = made(dies_at_two, range(7), 2, "batch")
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(RuntimeError, match="batch 2 ended 3 workers, the last one with exit code 7"):
        next(results)
    assert multiprocessing.active_children() == []


def test_a_consumer_that_stops_leaves_no_workers():
    results = made(square, range(1000), 2)
    assert next(results) == 0
    results.close()
    assert multiprocessing.active_children() == []
