"""Who is chosen, by the compiled kernel and by PyTorch's operations: the same in every case."""

import dataclasses

import pytest
import torch

from nar.kernels.cpu import ranges
from nar.model.options import choice
from nar.model.options.choice import Choice

DTYPES = (torch.float32, torch.float64)


def made(shape, numbers, rule, *, places=None, dtype=torch.float64, seed=0):
    """Of few different values, so that many are equal; some rows have nobody who is eligible."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape, least=0):
        return torch.randint(least, 5, shape, generator=generator).to(dtype)

    eligible = some(*shape, least=-4)
    eligible[0] -= 10
    rules = torch.zeros(1 + 2 * numbers, dtype=dtype)
    rules[rule] = 1.0
    if places == "of graphs":
        order = torch.rand(shape[0], 1, shape[-1], generator=generator, dtype=dtype)
        places = order.round(decimals=1).expand(shape)
    elif places == "of rows":
        places = some(*shape)
    return Choice(eligible, some(*shape, numbers), rules, places=places)


def plainly(monkeypatch, one):
    """What PyTorch finds."""
    with monkeypatch.context() as patch:
        patch.setattr(choice.ranges, "usable", lambda *_: False)
        return dataclasses.replace(one).index()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("places", [None, "of graphs", "of rows"])
@pytest.mark.parametrize("rule", range(5))
def test_both_ways_choose_the_same(monkeypatch, rule, places, dtype):
    for seed, shape in enumerate([(4, 7, 9), (3, 1, 1), (2, 3, 40), (0, 3, 4)]):
        one = made((1 + shape[0], *shape[1:]), 2, rule, places=places, dtype=dtype, seed=seed)
        found = one.index()
        assert found.dtype == torch.int64 and torch.equal(found, plainly(monkeypatch, one)), (seed, shape)


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_other_shapes(monkeypatch, rule):
    one = made((3, 4, 5, 6), 1, rule)
    assert torch.equal(one.index(), plainly(monkeypatch, one))
    turned = one.map(lambda part: part.transpose(0, 1))  # not laid out row by row
    assert torch.equal(turned.index(), one.index().transpose(0, 1))
    row = made((5, 6), 1, rule)
    assert torch.equal(row.index(), plainly(monkeypatch, row)) and torch.equal(row[1].index(), row.index()[1])
    none = made((4, 3), 0, 0)
    assert torch.equal(none.index(), plainly(monkeypatch, none)) and torch.equal(none.index(), none.eligible.argmax(-1))


def test_what_is_no_number_is_found_as_pytorch_finds_it(monkeypatch):
    one = made((3, 4, 5), 1, 1)
    for place in (0, 2, 4):
        one.eligible[1, place % 4, place] = torch.nan
        fresh = dataclasses.replace(one)
        assert torch.equal(fresh.index(), plainly(monkeypatch, one))


def test_threads_share_the_rows(monkeypatch):
    one = made((16, 6, 9), 2, 1, places="of graphs")
    expected, threads = one.index(), torch.get_num_threads()
    monkeypatch.setattr(ranges, "PARALLEL_FROM", 1)
    torch.set_num_threads(3)
    try:
        assert torch.equal(dataclasses.replace(one).index(), expected)
    finally:
        torch.set_num_threads(threads)


def test_stacked_seeds_choose_as_alone():
    ones = [made((2, 3, 5), 2, rule, places="of rows", seed=rule) for rule in (1, 4)]

    def index(eligible, numbers, rules, places):
        return Choice(eligible, numbers, rules, places=places).index()

    parts = ([getattr(one, name) for one in ones] for name in ("eligible", "numbers", "rules", "places"))
    found = torch.vmap(index)(*(torch.stack(part) for part in parts))
    assert torch.equal(found, torch.stack([one.index() for one in ones]))


def test_it_is_found_once(monkeypatch):
    one, calls = made((2, 3, 5), 1, 1), []
    monkeypatch.setattr(
        choice.choices, "index", lambda *given: calls.append(given) or torch.zeros(2, 3, dtype=torch.long)
    )
    assert one.index() is one.index() and len(calls) == 1
    one[:1].index()
    assert len(calls) == 2
