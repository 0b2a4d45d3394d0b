"""Options of the learned monoid: the empty group, random orders, penalties that make it obey the laws, refusals."""

import copy
import pickle

import pytest
import torch
from monoids import F64, LITERAL, F, made, ragged

from nar.nn import monoid
from nar.nn.monoid import LCMAggregator, associativity_error, commutativity_error, sampled_triples, tree_levels


def test_no_messages_at_all():
    messages, mask = ragged()
    assert made().reduce_sequence(messages, mask)[0].equal(torch.zeros(F, dtype=F64))
    learned = made(learned_empty=True)
    found = learned.reduce_sequence(messages, mask)
    assert found[0].equal(learned.empty) and learned.empty.abs().min() > 0
    (gradient,) = torch.autograd.grad(found.sum(), learned.empty)
    assert gradient.equal(torch.ones(F, dtype=F64))
    plain = made()
    plain.load_state_dict({k: v for k, v in learned.state_dict().items() if k != "empty"})
    torch.testing.assert_close(found[1:], plain.reduce_sequence(messages, mask)[1:])


def test_random_order_is_of_training_and_of_what_exists():
    aggregator = made(random_order=True)
    messages, mask = ragged()
    drawn = [aggregator.reduce_sequence(messages, mask) for _ in range(40)]
    assert (drawn[0] - drawn[1])[1].abs().max() > 1e-6
    few = int((mask.sum(1) == 3).nonzero()[0])  # three messages have three trees
    a, b, c = messages[few, mask[few]]
    join = aggregator.operator
    trees = [join(join(x, y), z) for x, y, z in ((a, b, c), (a, c, b), (b, c, a))]
    nearest = torch.stack([torch.stack([(d[few] - t).abs().max() for t in trees]) for d in drawn]).min(1)
    assert nearest.values.max() < 1e-12 and set(nearest.indices.tolist()) == {0, 1, 2}
    first, second = torch.randn(3, 6, F, dtype=F64).expand(2, -1, -1, -1)
    assert not aggregator.reduce_sequence(first).equal(aggregator.reduce_sequence(second))  # without a mask, too
    aggregator.eval()
    assert aggregator.reduce_sequence(messages, mask).equal(made().eval().reduce_sequence(messages, mask))


@pytest.mark.parametrize("name", ["gru", "ordered_gru", "ordered_mlp"])
def test_penalties_are_weighted_errors_of_the_sampled_triples(name):
    weights = {"associativity": 0.5} | ({"commutativity": 0.25} if name != "gru" else {})
    aggregator = made(operator=name, triples=50, **weights)
    messages, mask = ragged()
    for chosen in (None, mask):
        torch.manual_seed(7)
        aggregator.reduce_sequence(messages, chosen)
        counts = None if chosen is None else chosen.sum(1)
        leaves = messages if chosen is None else monoid.moved_together(messages, mask)[0]
        torch.manual_seed(7)
        triples = sampled_triples(tree_levels(leaves, aggregator.operator, counts), counts, 50)
        expected = torch.zeros((), dtype=F64)
        for a, b, c in triples.unbind(1):
            f = lambda a, b: LITERAL[name](aggregator.operator, a, b)  # noqa: E731
            expected = expected + 0.5 * (f(f(a, b), c) - f(a, f(b, c))).square().mean() / 50
            if "commutativity" in weights:
                expected = expected + 0.25 * (f(a, b) - f(b, a)).square().mean() / 50
        torch.testing.assert_close(aggregator.penalty, expected, rtol=1e-10, atol=1e-12)
        assert expected > 1e-4
    with torch.no_grad():
        aggregator.reduce_sequence(messages)
    assert aggregator.penalty is None
    aggregator.eval().reduce_sequence(messages)
    assert aggregator.penalty is None
    unweighted = made(operator=name)
    unweighted.reduce_sequence(messages)
    assert unweighted.penalty is None


def test_triples_are_nodes_of_one_tree():
    """Under the sum, a node's value tells which leaves are below it; the tenth part of a number names its tree."""
    counts = torch.tensor([5, 1, 3])
    leaves = 2.0 ** torch.arange(6).view(1, 6, 1).expand(3, 6, 1) + 100 * torch.arange(3).view(3, 1, 1)
    leaves = torch.cat([leaves, torch.ones(3, 6, 1)], -1)  # the second feature counts leaves
    torch.manual_seed(0)
    levels = tree_levels(leaves, lambda a, b: a + b, counts)
    triples = sampled_triples(levels, counts, 3000)
    tree = ((triples[..., 0] // 100) / triples[..., 1]).round()
    assert (tree == tree[0]).all() and set(tree.flatten().tolist()) == {0.0, 1.0, 2.0}
    below = (triples[..., 0] - 100 * tree * triples[..., 1]).int()
    nodes = {0: {1, 2, 4, 8, 16, 3, 12, 15, 31}, 1: {1}, 2: {1, 2, 4, 3, 7}}
    for t in nodes:
        assert set(below[tree == t].tolist()) == nodes[t]


@pytest.mark.parametrize(("name", "law"), [("gru", "associativity"), ("ordered_gru", "commutativity")])
def test_a_regulariser_does_what_it_is_for(name, law):
    """Training on the penalty alone makes the operator obey the law, on messages that it has not seen."""
    aggregator = made(operator=name, **{law: 1.0})
    optimizer = torch.optim.Adam(aggregator.parameters(), lr=1e-2)

    def error():
        a, b, c = torch.randn(3, 200, F, generator=torch.Generator().manual_seed(9), dtype=F64)
        with torch.no_grad():
            if law == "associativity":
                return associativity_error(aggregator.operator, a, b, c)
            return commutativity_error(aggregator.operator, a, b)

    before = error()
    for _ in range(150):
        aggregator.reduce_sequence(torch.randn(16, 8, F, dtype=F64))
        optimizer.zero_grad()
        aggregator.penalty.backward()
        optimizer.step()
    assert error() < before / 5


def test_a_copy_leaves_the_penalty_behind():
    aggregator = made(associativity=1.0)
    aggregator.reduce_sequence(torch.randn(2, 5, F, dtype=F64))
    assert aggregator.penalty.requires_grad
    for other in (copy.deepcopy(aggregator), pickle.loads(pickle.dumps(aggregator))):
        assert other.penalty is None
        x = torch.randn(2, 5, F, dtype=F64)
        assert other.reduce_sequence(x).equal(aggregator.reduce_sequence(x))
    assert aggregator.penalty is not None and "penalty" not in aggregator.state_dict()


def test_what_is_wrong_is_said():
    for options, message in (
        ({"operator": "gur"}, "unknown operator 'gur'; choose one of gru, mlp"),
        ({"associativity": -1.0}, "got associativity -1.0.*must not be negative"),
        ({"triples": 0}, "triples 0.*at least one"),
        ({"commutativity": 1.0}, "commutativity 1.0 has no effect"),
    ):
        with pytest.raises(ValueError, match=message):
            LCMAggregator(F, **options)
