"""What the dense layout of a neighbourhood offers to authors of processors, pair by pair."""

import itertools

import pytest
import torch
from naive import F64, built
from one_step import B, F, N, data

from nar.nn import neighbourhood
from nar.nn.layers import MessageMLP, RectifiedLinear
from nar.nn.neighbourhood import Dense
from nar.nn.reductions import max_plus


def test_operations_of_the_dense_layout():
    x, e, g, adjacency, _ = data()
    layer = torch.nn.Linear(F, F).double()
    hood = Dense(built(e), N, adjacency)
    parts = hood.senders(x) + 2 * hood.receivers(x) + hood.edges(layer) + hood.graph(g)
    for b, i, j in itertools.product(range(B), range(N), range(N)):
        torch.testing.assert_close(parts[b, i, j], x[b, i] + 2 * x[b, j] + layer(e[b, i, j]) + g[b])
    turned = hood.reverse()
    torch.testing.assert_close(turned.edges(layer), layer(e).transpose(1, 2))
    one_way = adjacency.clone()
    one_way[:, 0, 1] = ~one_way[:, 0, 1]
    assert Dense(built(e), N, one_way).reverse().adjacency_BNN.equal(one_way.transpose(1, 2))
    assert hood.complete().adjacency_BNN is None
    for how in ("max", "sum", "mean"):
        found = hood.reduce(parts, how)
        for b, j in itertools.product(range(B), range(N)):
            chosen = parts[b, adjacency[b, :, j], j]
            expected = {"max": chosen.amax(0), "sum": chosen.sum(0), "mean": chosen.mean(0)}[how]
            torch.testing.assert_close(found[b, j], expected)


@pytest.mark.parametrize("how", ["max", "sum", "mean"])
def test_messages_of_senders_alone_are_reduced_for_every_receiver(how):
    x, e, *_ = data()
    hood = Dense(built(e), N)
    expected = {"max": x.amax(1), "sum": x.sum(1), "mean": x.mean(1)}[how]
    torch.testing.assert_close(hood.reduce(hood.senders(x), how), expected.unsqueeze(1).expand(B, N, F))


def test_attention_weighs_neighbours_only():
    x, e, _, adjacency, _ = data()
    logits = torch.randn(B, N, N, 2, dtype=F64)
    found = Dense(built(e), N, adjacency).attend(logits, x)
    for b, j in itertools.product(range(B), range(N)):
        near = adjacency[b, :, j]
        weights = torch.softmax(logits[b, near, j], 0)
        heads = [(weights[:, h : h + 1] * x[b, near, 2 * h : 2 * h + 2]).sum(0) for h in range(2)]
        torch.testing.assert_close(found[b, j], torch.cat(heads))


def test_triplets_are_a_max_plus_product():
    left, right = torch.randn(2, 3, 4, 5, dtype=F64), torch.randn(2, 3, 6, 5, dtype=F64)
    product = max_plus(left, right)
    for b, j, k, f in itertools.product(range(2), range(4), range(6), range(5)):
        assert product[b, j, k, f] == max(left[b, i, j, f] + right[b, i, k, f] for i in range(3))


@pytest.mark.parametrize("message", [MessageMLP(F).double(), RectifiedLinear(F).double(), torch.tanh])
@pytest.mark.parametrize("chunk", [1, 10**9])
def test_receivers_may_contribute_nothing_to_messages(message, chunk, monkeypatch):
    monkeypatch.setattr(neighbourhood, "CHUNK_BYTES", chunk)
    x, e, g, adjacency, _ = data()
    layer, hood = torch.nn.Linear(F, F).double(), Dense(built(e), N, adjacency)
    expected = hood.reduce(message(hood.senders(x) + hood.edges(layer) + hood.graph(g)), "max")
    torch.testing.assert_close(hood.pool(x, None, layer, g, message), expected)
    with torch.no_grad():
        torch.testing.assert_close(hood.pool(x, None, layer, g, message), expected)
