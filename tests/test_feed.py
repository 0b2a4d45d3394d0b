"""What training is fed: in order, closed when it is done, and with an account of the time that was waited."""

from __future__ import annotations

import time

import pytest
import torch

from nar import datasets
from nar.model.batch import draw
from nar.training.prefetch import Feed, each


def items(count, closed, fail_at=None):
    try:
        for number in range(count):
            if number == fail_at:
                raise ValueError(f"item {number} cannot be made")
            time.sleep(0.01)
            yield [[draw(datasets.get("bfs"), 4 + number, 2, seed=(number,), random_pos=True)]]
    finally:
        closed.append(True)


def test_items_come_in_order_and_waiting_is_counted():
    closed = []
    with Feed(items(3, closed), torch.device("cpu")) as feed:
        assert [feed.next()[0][0].nodes for _ in range(2)] == [4, 5]
        assert 0.02 <= feed.waited < 60
    assert closed


def test_what_making_an_item_raises_is_raised_where_it_is_taken():
    closed = []
    with pytest.raises(ValueError, match="item 1"), Feed(items(3, closed, fail_at=1), torch.device("cpu")) as feed:
        feed.next()
        feed.next()
    assert closed


def test_every_batch_of_an_item_is_handled():
    item = next(items(1, []))
    double = each([item[0] * 2, item[0]], lambda batch: batch.map(lambda tensor: tensor + 0))
    assert [len(batches) for batches in double] == [2, 1]
    assert double[0][0] is not item[0][0] and torch.equal(double[0][0].inputs["A"], item[0][0].inputs["A"])
    hints, copied = item[0][0].hints, double[1][0].hints
    assert all(torch.equal(torch.as_tensor(copied[n][0]), torch.as_tensor(hints[n][0])) for n in hints)
