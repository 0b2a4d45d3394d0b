"""Binary operators over trees against a recursion written out by hand, and what must have no effect on them."""

import copy
import importlib.util
import itertools
import json
import pathlib
import pickle

import pytest
import torch
from torch import nn
from torch_geometric.nn import LCMAggregation

from nar.nn import monoid
from nar.nn.monoid import (
    OPERATORS,
    LCMAggregator,
    associativity_error,
    commutativity_error,
    sampled_triples,
    tree_levels,
)

F64 = torch.float64
F = 4
BENCHMARK = pathlib.Path(__file__).parents[1] / "benchmarks" / "second_minimum.py"


class Maximum(nn.Module):
    """A monoid that every order and every tree agrees on."""

    def forward(self, a, b):
        return torch.maximum(a, b)


def made(features=F, **options):
    torch.manual_seed(1)
    aggregator = LCMAggregator(features, **options).double()
    with torch.no_grad():
        for parameter in aggregator.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return aggregator


def ragged(groups=6, longest=7, features=F, seed=0):
    """Messages and a mask with an empty row, a full one, one with a single message, and holes."""
    generator = torch.Generator().manual_seed(seed)
    messages = torch.randn(groups, longest, features, generator=generator, dtype=F64)
    mask = torch.rand(groups, longest, generator=generator) < 0.5
    mask[0], mask[1], mask[2] = False, True, torch.arange(longest) == 3
    return messages, mask


# Formulas


def gru(cell, a, b):
    """GRU(input a, state b) of single vectors, from its equations."""
    (w_r, w_z, w_n), (u_r, u_z, u_n) = cell.weight_ih.chunk(3), cell.weight_hh.chunk(3)
    (b_r, b_z, b_n), (c_r, c_z, c_n) = cell.bias_ih.chunk(3), cell.bias_hh.chunk(3)
    r = torch.sigmoid(w_r @ a + b_r + u_r @ b + c_r)
    z = torch.sigmoid(w_z @ a + b_z + u_z @ b + c_z)
    n = torch.tanh(w_n @ a + b_n + r * (u_n @ b + c_n))
    return (1 - z) * n + z * b


def mlp(f, a, b):
    return f.second(torch.relu(f.first(torch.cat([a, b]))))


LITERAL = {
    "gru": lambda f, a, b: (gru(f.of.cell, a, b) + gru(f.of.cell, b, a)) / 2,
    "mlp": lambda f, a, b: (mlp(f.of, a, b) + mlp(f.of, b, a)) / 2,
    "mapped_sum": lambda f, a, b: f.rho(torch.relu(f.phi(a)) + torch.relu(f.phi(b))),
    "ordered_gru": lambda f, a, b: gru(f.cell, a, b),
    "ordered_mlp": mlp,
}


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


# Options


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


# The benchmark


def benchmark():
    spec = importlib.util.spec_from_file_location("second_minimum", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_second_minimum_is_asked_for():
    module = benchmark()
    numbers, mask, answer = module.multisets(200, 2, 16, torch.Generator().manual_seed(0))
    assert set(mask.sum(1).tolist()) == set(range(2, 17))
    for row, there, second in zip(numbers.tolist(), mask.tolist(), answer.tolist(), strict=True):
        assert second == sorted(itertools.compress(row, there))[1]
    smallest = numbers.masked_fill(~mask, 999).amin(1)
    assert (smallest == answer).any() and (smallest < answer).any()  # duplicates count
    assert module.bits(torch.tensor([5, 128])).tolist() == [[1, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]]


def test_every_aggregator_of_the_benchmark_learns():
    module = benchmark()
    module.TEST_SETS = 200
    for name in module.AGGREGATORS:
        torch.manual_seed(0)
        network = module.Network(module.AGGREGATORS[name](16), 16)
        numbers, mask, answer = module.multisets(64, 2, 16, torch.Generator().manual_seed(5))

        def loss(network=network, numbers=numbers, mask=mask, answer=answer):
            found = network(module.bits(numbers), mask)
            return nn.functional.binary_cross_entropy_with_logits(found, module.bits(answer)).item()

        before = loss()
        module.train(network, 40, 32, 1e-2, torch.Generator().manual_seed(0))
        assert loss() < before - 0.02, name
        scores = module.test(network)
        assert set(scores) == {"2..16", "16", "32", "64", "128", "same when shuffled"}
        assert name not in ("sum", "mean", "max") or scores["same when shuffled"] > 0.98


def test_the_recorded_results_carry_the_claim():
    """About 95% at twice the largest training size, where the plain reductions fail."""
    results = json.loads(BENCHMARK.with_suffix(".json").read_text())["results"]
    score = {name: sum(run["32"] for run in runs) / len(runs) for name, runs in results.items()}
    plain = [score[name] for name in ("sum", "mean", "max") if name in score]
    assert score["lcm"] > 0.94
    assert plain and max(plain) < 0.75
