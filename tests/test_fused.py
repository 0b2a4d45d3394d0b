"""The compiled CPU operations against their plain PyTorch twins: equal values and gradients, however they are cut."""

from __future__ import annotations

import pytest
import torch

from nar import cpu, datasets, fused
from nar.batch import draw as draw_batch
from nar.aggregate import _max_plus_backward_plain, _max_plus_plain, max_plus
from nar.layers import MessageMLP
from nar.loss import total_loss
from nar.reasoner import Reasoner


@pytest.fixture(params=["one thread, one block", "one graph per block", "three threads"])
def cut(request, monkeypatch):
    """How a batch is cut into blocks and threads; no cut may change a result."""
    threads = torch.get_num_threads()
    if request.param == "one graph per block":
        monkeypatch.setattr(fused, "BLOCK_BYTES", 1)
    if request.param == "three threads":
        monkeypatch.setattr(cpu, "PARALLEL_FROM", 0)
        torch.set_num_threads(3)
    yield request.param
    torch.set_num_threads(threads)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def gradients(value, inputs):
    weight = torch.randn(value.shape, generator=torch.Generator().manual_seed(99), dtype=value.dtype)
    return torch.autograd.grad((value * weight).sum(), inputs, allow_unused=True)


def same(ours, plain, tolerance=1e-12):
    for a, b in zip(ours, plain, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("graphs", [1, 5])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("channels", [0, 3])
def test_message_pool(graphs, masked, channels, cut):
    nodes, features = 4, 6
    X, edge = draw(graphs, nodes, nodes, channels, seed=1), draw(channels, features, seed=2)
    senders, receivers = draw(graphs, nodes, features, seed=3), draw(graphs, nodes, features, seed=4)
    message = MessageMLP(features).double()
    mask = None
    if masked:
        generator = torch.Generator().manual_seed(5)
        mask = (torch.rand(graphs, nodes, nodes, generator=generator) < 0.4) | torch.eye(nodes, dtype=torch.bool)
    inputs = [X, edge, senders, receivers, *message.parameters()]

    plain = message(X @ edge + senders.unsqueeze(2) + receivers.unsqueeze(1))
    plain = (plain if mask is None else plain.masked_fill(~mask.unsqueeze(-1), -1e6)).amax(1)
    first, second = (message.first.weight, message.first.bias), (message.second.weight, message.second.bias)
    ours = fused.message_pool(X, edge, senders, receivers, first, second, mask)
    same([ours], [plain])
    same(gradients(ours, inputs), gradients(plain, inputs))
    with torch.no_grad():  # another path: nothing is kept for the gradient
        same([fused.message_pool(X, edge, senders, receivers, first, second, mask)], [plain])


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("channels", [0, 3])
def test_pointer_scores(stateful, channels, cut):
    graphs, nodes, features = 5, 4, 6
    X, edge = draw(graphs, nodes, nodes, channels, seed=1), draw(channels, features, seed=2)
    states = draw(graphs, nodes, nodes, features, seed=3) if stateful else None
    own, other, weigh = (
        draw(graphs, nodes, features, seed=4),
        draw(graphs, nodes, features, seed=5),
        draw(features, seed=6),
    )
    inputs = [X, edge, own, other, weigh] + ([states] if stateful else [])

    pair = other.unsqueeze(2) + X @ edge + (states if stateful else 0)  # [b, j, i]
    plain = torch.einsum("bijf,f->bij", torch.maximum(own.unsqueeze(2), pair.transpose(1, 2)), weigh)
    ours = fused.pointer_scores(X, edge, states, own, other, weigh)
    same([ours], [plain])
    same(gradients(ours, inputs), gradients(plain, inputs))


def test_max_plus(cut):
    left, right = draw(5, 3, 4, 2, seed=1), draw(5, 3, 4, 2, seed=2)
    literal = (left.unsqueeze(3) + right.unsqueeze(2)).amax(1)
    ours = max_plus(left, right)
    same([ours], [literal])
    same(gradients(ours, [left, right]), gradients(literal, [left, right]))
    best, where = _max_plus_plain(left.detach(), right.detach())
    same([best], [literal])
    grad = draw(5, 4, 4, 2, seed=3).detach()
    same(cpu.max_plus_backward(grad, where, 3), _max_plus_backward_plain(grad, where, 3))


def test_fused_operations_are_left_to_cpu_floats():
    x = torch.zeros(1)
    assert fused.usable(x, None)
    assert not fused.usable(x.half())
    assert not fused.usable(x, x.double())
    assert not fused.usable(x.to("meta"))


def test_a_batch_of_no_graphs_is_no_error():
    X, edge, none = torch.zeros(0, 2, 2, 1), torch.zeros(1, 3), torch.zeros(0, 2, 3)
    layer = (torch.zeros(3, 3), torch.zeros(3))
    assert fused.message_pool(X, edge, none, none, layer, layer, None).shape == (0, 2, 3)
    assert fused.pointer_scores(X, edge, None, none, none, torch.zeros(3)).shape == (0, 2, 2)


@pytest.mark.parametrize("kind", ["triplet_gmpnn", "pgn_mask", "triplet_pgn"])
@pytest.mark.parametrize("algorithm", ["bellman_ford", "floyd_warshall", "insertion_sort"])
def test_a_rollout_without_fused_operations_is_the_same(algorithm, kind, monkeypatch):
    batch = draw_batch(datasets.get(algorithm), 5, 4, seed=(1,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build(algorithm, kind, hidden=8).double()
    losses, grads = [], []
    for usable in (fused.usable, lambda *_: False):  # the second is what other devices do
        monkeypatch.setattr(fused, "usable", usable)
        loss = total_loss(batch, reasoner(batch, gumbel=False))
        losses.append(loss)
        grads.append(torch.autograd.grad(loss, list(reasoner.parameters()), allow_unused=True))
    same(losses[:1], losses[1:], 1e-10)
    same(*grads, 1e-9)
