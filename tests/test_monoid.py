"""Binary operators over trees against a recursion written out by hand, and what must have no effect on them."""

import pytest
import torch
from monoids import F64, LITERAL, F, made, ragged
from torch import nn
from torch_geometric.nn import LCMAggregation

from nar.nn import monoid
from nar.nn.monoid import OPERATORS, LCMAggregator, tree_levels


class Maximum(nn.Module):
    """A monoid that every order and every tree agrees on."""

    def forward(self, a, b):
        return torch.maximum(a, b)


# Formulas


def recursive(join, elements):
    """The balanced tree over a list: the left part is the largest power of two that leaves something for the right."""
    if len(elements) == 1:
        return elements[0]
    left = 1
    while 2 * left < len(elements):
        left *= 2
    return join(recursive(join, elements[:left]), recursive(join, elements[left:]))


def naive(aggregator, name, messages, mask):
    """One sequence at a time, of the messages that exist."""
    rows = []
    for g in range(len(messages)):
        elements = [messages[g, s] for s in range(messages.shape[1]) if mask[g, s]]
        empty = torch.zeros(messages.shape[-1], dtype=F64)
        rows.append(recursive(lambda a, b: LITERAL[name](aggregator.operator, a, b), elements) if elements else empty)
    return torch.stack(rows)


@pytest.mark.parametrize("join", ["_joined_pairs", "_joined_everywhere"])
@pytest.mark.parametrize("name", list(OPERATORS))
def test_values_and_gradients_are_those_of_the_recursion(name, join, monkeypatch):
    monkeypatch.setattr(monoid, "_joined_pairs", getattr(monoid, join))  # the second is what other devices run
    for longest in (1, 2, 3, 5, 7, 8):
        aggregator = made(operator=name)
        messages, mask = ragged(longest=longest)
        for chosen in (mask, torch.ones_like(mask), None):
            leaves = [messages.requires_grad_(), *aggregator.parameters()]
            there = torch.ones_like(mask) if chosen is None else chosen
            found, plain = aggregator.reduce_sequence(messages, chosen), naive(aggregator, name, messages, there)
            torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)
            gradients = [
                torch.autograd.grad(v.sin().sum(), leaves, allow_unused=True, materialize_grads=True)
                if v.requires_grad
                else [torch.zeros_like(leaf) for leaf in leaves]  # no message at all
                for v in (found, plain)
            ]
            for ours, other in zip(*gradients, strict=True):
                torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-10)
            if longest > 2:
                assert all(g.abs().max() > 1e-6 for g in gradients[0])


@pytest.mark.parametrize(("leaves", "depth"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (64, 6)])
def test_the_depth_is_the_logarithm(leaves, depth):
    """Every level is one call of the operator, for all pairs of all sequences; n - 1 pairs in all."""
    calls = []

    def operator(a, b):
        calls.append(a.shape[1])
        return a + b

    levels = tree_levels(torch.ones(3, leaves, 2), operator)
    assert len(calls) == depth == len(levels) - 1
    assert sum(calls) == leaves - 1
    assert levels[-1].equal(torch.full((3, 1, 2), float(leaves)))


# What has no effect


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("name", list(OPERATORS))
def test_what_does_not_exist_is_an_exact_identity(name, dtype):
    """Padding at the end, holes anywhere, whatever stands there: not one bit of the result changes."""
    aggregator = made(8, operator=name).to(dtype)
    messages, mask = (t.to(dtype) if t.is_floating_point() else t for t in ragged(12, 9, 8))
    with torch.no_grad():
        plain = aggregator.reduce_sequence(messages, mask)
        for value in (0.0, 1e30, float("nan")):
            padding = torch.full((12, 11, 8), value, dtype=dtype)
            nobody = torch.zeros(12, 11, dtype=torch.bool)
            assert aggregator.reduce_sequence(torch.cat([messages, padding], 1), torch.cat([mask, nobody], 1)).equal(
                plain
            )
            where = torch.tensor([12, 0, 1, 13, 2, 14, 3, 4, 15, 5, 6, 7, 16, 8])
            spread = torch.cat([messages, padding], 1)[:, where], torch.cat([mask, nobody], 1)[:, where]
            assert aggregator.reduce_sequence(*spread).equal(plain)
    assert plain[1:].abs().min() > 0


@pytest.mark.parametrize("name", list(OPERATORS))
def test_a_result_is_that_of_its_own_messages(name):
    """Alone or among others, with holes or as the list of what exists."""
    aggregator = made(operator=name)
    messages, mask = ragged()
    together = aggregator.reduce_sequence(messages, mask)
    for g in range(1, len(messages)):
        alone = aggregator.reduce_sequence(messages[g, mask[g]].unsqueeze(0))
        torch.testing.assert_close(alone[0], together[g], rtol=1e-12, atol=1e-12)
    assert together[2].equal(messages[2, 3])  # of one message, itself


def test_anything_may_stand_where_nothing_exists():
    aggregator = made()
    messages, mask = ragged()
    messages[~mask] = float("inf")
    messages.requires_grad_()
    aggregator.reduce_sequence(messages, mask).sum().backward()
    assert messages.grad.isfinite().all() and (messages.grad[~mask] == 0).all()
    assert messages.grad[mask].abs().min() > 0


@pytest.mark.parametrize("name", list(OPERATORS))
def test_the_order_of_a_pair(name):
    """Operators that are commutative by construction are so exactly; the ordered ones are not."""
    aggregator = made(operator=name)
    messages, _ = ragged(longest=2)
    turned = aggregator.reduce_sequence(messages.flip(1))
    assert turned.equal(aggregator.reduce_sequence(messages)) == aggregator.operator.commutative
    four, _ = ragged(longest=4)
    inner = aggregator.reduce_sequence(four[:, [1, 0, 3, 2]]) - aggregator.reduce_sequence(four)
    outer = aggregator.reduce_sequence(four[:, [2, 3, 0, 1]]) - aggregator.reduce_sequence(four)
    across = aggregator.reduce_sequence(four[:, [0, 2, 1, 3]]) - aggregator.reduce_sequence(four)
    if aggregator.operator.commutative:
        torch.testing.assert_close(inner, torch.zeros_like(inner), rtol=0, atol=1e-14)
        torch.testing.assert_close(outer, torch.zeros_like(outer), rtol=0, atol=1e-14)
    assert across.abs().max() > 1e-3  # not associative: another tree, another result


def test_a_true_monoid_gives_its_reduction_in_any_order():
    aggregator = LCMAggregator(F, operator=Maximum(), random_order=True, associativity=1.0).train()
    messages, mask = ragged()
    found = aggregator.reduce_sequence(messages, mask)
    assert found[1:].equal(messages.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)[1:])
    assert aggregator.penalty == 0.0


# Two layouts, two libraries


def test_dense_and_listed_messages_give_the_same():
    """The same neighbours as a dense mask and as an edge list that is not sorted by receiver."""
    aggregator = made()
    generator = torch.Generator().manual_seed(2)
    messages = torch.randn(1, 5, 5, F, generator=generator, dtype=F64)
    mask = torch.rand(1, 5, 5, generator=generator) < 0.6
    dense = aggregator(messages, mask)
    sender, receiver = mask[0].nonzero(as_tuple=True)
    assert (receiver.diff() < 0).any()
    listed = aggregator(messages[0, sender, receiver], receiver, dim_size=5)
    torch.testing.assert_close(listed, dense[0], rtol=1e-12, atol=1e-12)


def test_against_pytorch_geometric():
    """Its operator and its tree are ours; its padding is not: a group's result changes with the largest group."""
    theirs = LCMAggregation(F, F, project=False).double()
    ours = LCMAggregator(F)
    ours.operator.of.cell.load_state_dict(theirs.gru_cell.state_dict())
    ours.double()
    x = torch.randn(8, F, dtype=F64)
    for sizes in ((8,), (4, 4), (2, 2, 2, 2), (1,) * 8):
        index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        torch.testing.assert_close(ours(x, index), theirs(x, index), rtol=1e-12, atol=1e-12)
    index = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])  # the second group is the largest, so it has no padding
    torch.testing.assert_close(ours(x, index)[1], theirs(x, index)[1], rtol=1e-12, atol=1e-12)
    alone = x[:3], index[:3]
    torch.testing.assert_close(ours(*alone), theirs(*alone), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours(x, index)[0], ours(*alone)[0], rtol=1e-12, atol=1e-12)
    assert (theirs(x, index)[0] - theirs(*alone)[0]).abs().max() > 1e-3


def test_parameters_can_be_drawn_again():
    for name in OPERATORS:
        aggregator = made(operator=name, learned_empty=True)
        before = [p.clone() for p in aggregator.parameters()]
        aggregator.reset_parameters()
        assert all(not p.equal(b) for p, b in zip(aggregator.parameters(), before, strict=True))
        assert aggregator.empty.equal(torch.zeros_like(aggregator.empty))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda():
    aggregator = made()
    messages, mask = ragged()
    expected = aggregator.reduce_sequence(messages, mask)
    found = aggregator.cuda().reduce_sequence(messages.cuda(), mask.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-10, atol=1e-10)
