"""Compiled CPU operations against plain twins: values, gradients, odd layouts, empty batches, blocks and threads."""

import itertools

import pytest
import torch

from nar import datasets
from nar.kernels.cpu import fused, ranges
from nar.model.batch import draw
from nar.model.coders import decoder as decode
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn import neighbourhood, reductions
from nar.nn.affine import AffineFeatures
from nar.nn.layers import MessageMLP
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.traces.spec import Spec, Stage

DTYPES = {torch.float32: 1e-4, torch.float64: 1e-11}


def randn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype).requires_grad_()


def strided(tensor):
    """The same values in a layout that is not contiguous."""
    return tensor.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_()


def both_ways(ours, plain, leaves, tolerance):
    """Values and the gradients of a non-linear function of them."""
    results = []
    for function in (ours, plain):
        value = function()
        results.append((value, *torch.autograd.grad(value.sin().sum(), leaves)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def plain_max_plus(left, right):
    return (left.unsqueeze(3) + right.unsqueeze(2)).amax(1)


@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_plus(dtype, layout):
    for graphs, senders, rows, columns, width in [(2, 5, 5, 5, 3), (3, 1, 4, 2, 1), (1, 7, 2, 6, 8), (0, 4, 4, 4, 2)]:
        left = layout(randn(graphs, senders, rows, width, dtype=dtype))
        right = layout(randn(graphs, senders, columns, width, dtype=dtype))
        if graphs:
            both_ways(
                lambda a=left, b=right: reductions.max_plus(a, b),
                lambda a=left, b=right: plain_max_plus(a, b),
                (left, right),
                DTYPES[dtype],
            )
        else:
            value = reductions.max_plus(left, right)
            assert value.shape == (0, rows, columns, width)
            value.sum().backward()


def test_max_plus_twins_agree_on_ties_too():
    left, right = torch.randint(-2, 3, (2, 6, 5, 4)).double(), torch.randint(-2, 3, (2, 6, 5, 4)).double()
    fast, plain = ranges.max_plus(left, right), reductions._max_plus_plain(left, right)
    assert fast[0].equal(plain[0]) and fast[1].equal(plain[1])
    gradient = torch.randn_like(fast[0])
    fast_back = ranges.max_plus_backward(gradient, fast[1], 6)
    plain_back = reductions._max_plus_backward_plain(gradient, plain[1], 6)
    for one, other in zip(fast_back, plain_back, strict=True):
        torch.testing.assert_close(one, other)
    # a tie's gradient reaches one sender only, and none is lost
    torch.testing.assert_close(fast_back[0].sum(), gradient.sum())


def test_max_plus_with_one_side_constant():
    left, right = randn(2, 4, 3, 2), randn(2, 4, 3, 2)
    for one, other in ((left, right.detach()), (left.detach(), right)):
        leaf = one if one.requires_grad else other
        both_ways(
            lambda a=one, b=other: reductions.max_plus(a, b),
            lambda a=one, b=other: plain_max_plus(a, b),
            (leaf,),
            1e-12,
        )
    a = randn(2, 4, 4, 3)
    both_ways(lambda: reductions.max_plus(a, a), lambda: plain_max_plus(a, a), (a,), 1e-12)


def pooling(graphs, nodes, features, width, dtype, masked, layout):
    channels, senders, receivers = (
        layout(randn(graphs, *shape, dtype=dtype))
        for shape in ((nodes, nodes, width), (nodes, features), (nodes, features))
    )
    weight, bias, graph = randn(width, 7, dtype=dtype), randn(7, dtype=dtype), randn(graphs, features, dtype=dtype)
    edge, message = torch.nn.Linear(7, features).to(dtype), MessageMLP(features).to(dtype)
    mask = None
    if masked:
        mask = (torch.rand(graphs, nodes, nodes) < 0.4) | torch.eye(nodes, dtype=torch.bool)  # not symmetric
    leaves = [channels, senders, receivers, weight, bias, graph, *edge.parameters(), *message.parameters()]

    def run(method):
        hood = Dense(AffineFeatures(channels, weight, bias), nodes, mask)
        return method(hood, senders, receivers, edge, graph, message)

    return run, leaves


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pooled_messages(dtype, layout, masked, monkeypatch):
    for block in (fused.BLOCK_BYTES, 1):  # everything at once, and graph by graph
        monkeypatch.setattr(fused, "BLOCK_BYTES", block)
        for graphs, nodes, features, width in [(3, 5, 4, 2), (2, 1, 3, 1), (1, 6, 8, 5)]:
            run, leaves = pooling(graphs, nodes, features, width, dtype, masked, layout)
            both_ways(lambda r=run: r(Dense.pool), lambda r=run: r(Neighbourhood.pool), leaves, DTYPES[dtype])
            with torch.no_grad():
                torch.testing.assert_close(
                    run(Dense.pool), run(Neighbourhood.pool), rtol=DTYPES[dtype], atol=DTYPES[dtype]
                )


@pytest.mark.parametrize("masked", [False, True])
def test_pooled_messages_without_graphs_or_channels(masked):
    run, leaves = pooling(0, 4, 3, 2, torch.float64, masked, lambda t: t)
    assert run(Dense.pool).shape == (0, 4, 3)
    run(Dense.pool).sum().backward()
    assert all(leaf.grad is None or leaf.grad.abs().sum() == 0 for leaf in leaves)
    run, leaves = pooling(2, 4, 3, 0, torch.float64, masked, lambda t: t)
    both_ways(lambda: run(Dense.pool), lambda: run(Neighbourhood.pool), leaves, 1e-11)


@pytest.mark.parametrize("how", ["max", "sum", "mean"])
@pytest.mark.parametrize("masked", [False, True])
def test_pooling_in_chunks_of_receivers(how, masked, monkeypatch):
    """The route of devices without the fused operation, and of reductions that it does not do."""
    monkeypatch.setattr(ranges, "usable", lambda *_: False)
    run, _ = pooling(2, 5, 4, 3, torch.float64, masked, lambda t: t)
    with torch.no_grad():
        whole = run(lambda hood, *rest: Neighbourhood.pool(hood, *rest, how))
        for size in (1, 300, 1000, 10**9):
            monkeypatch.setattr(neighbourhood, "CHUNK_BYTES", size)
            torch.testing.assert_close(run(lambda hood, *rest: Dense.pool(hood, *rest, how)), whole)


def plain_scores(channels, edge, states, own, other, weigh):
    """[b, i, j]"""
    reverse = channels @ edge + (0 if states is None else states)  # [b, j, i]
    pair = torch.maximum(own.unsqueeze(2), other.unsqueeze(1) + reverse.transpose(1, 2))
    return pair @ weigh


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pointer_scores(dtype, layout, stateful):
    for graphs, nodes, features, width in [(3, 5, 4, 2), (2, 1, 3, 1), (1, 6, 8, 5), (2, 3, 4, 0)]:
        channels = layout(randn(graphs, nodes, nodes, width, dtype=dtype))
        edge, weigh = randn(width, features, dtype=dtype), randn(features, dtype=dtype)
        states = layout(randn(graphs, nodes, nodes, features, dtype=dtype)) if stateful else None
        own, other = (layout(randn(graphs, nodes, features, dtype=dtype)) for _ in range(2))
        arguments = (channels, edge, states, own, other, weigh)
        leaves = [a for a in arguments if a is not None]
        both_ways(
            lambda a=arguments: fused.pointer_scores(*a), lambda a=arguments: plain_scores(*a), leaves, DTYPES[dtype]
        )


@pytest.mark.parametrize("block", [2**19, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pointer_scores_of_states_that_are_made_on_the_way(dtype, block, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK_BYTES", block)  # everything at once, and target by target
    for graphs, nodes, features, width, narrow in [(3, 5, 4, 2, 3), (2, 1, 3, 1, 1), (1, 6, 8, 5, 2), (0, 3, 4, 2, 2)]:
        channels, own, other, t = (
            strided(randn(graphs, *shape, dtype=dtype))
            for shape in ((nodes, nodes, width), (nodes, features), (nodes, features), (nodes, nodes, narrow))
        )
        edge, weigh = randn(width, features, dtype=dtype), randn(features, dtype=dtype)
        weight, bias, onto = (randn(*s, dtype=dtype) for s in ((features, narrow), (features,), (features, features)))
        leaves = [channels, edge, own, other, weigh, t, weight, bias, onto]

        def ours(a=(channels, edge, None, own, other, weigh), o=(t, weight, bias, onto)):
            return fused.pointer_scores(*a, o)

        def plain(a=(channels, edge), o=(own, other, weigh), t=t, weight=weight, bias=bias, onto=onto):
            return plain_scores(*a, torch.relu(t @ weight.t() + bias) @ onto.t(), *o)

        both_ways(ours, plain, leaves, DTYPES[dtype])
        with torch.no_grad():
            torch.testing.assert_close(ours(), plain(), rtol=DTYPES[dtype], atol=DTYPES[dtype])


def test_pointer_scores_literally():
    channels, edge, states = torch.randn(1, 3, 3, 2), torch.randn(2, 4), torch.randn(1, 3, 3, 4)
    own, other, weigh = torch.randn(1, 3, 4), torch.randn(1, 3, 4), torch.randn(4)
    scores = fused.pointer_scores(channels, edge, states, own, other, weigh)
    for i, j in itertools.product(range(3), range(3)):
        pair = torch.maximum(own[0, i], other[0, j] + channels[0, j, i] @ edge + states[0, j, i])
        torch.testing.assert_close(scores[0, i, j], weigh @ pair)


@pytest.mark.parametrize("graphs", [2, 5])
def test_threads_do_not_change_results(graphs, monkeypatch):
    """Kernels cut a batch into one range of graphs per thread; what is summed over graphs is summed over ranges."""
    run, leaves = pooling(graphs, 4, 3, 2, torch.float64, True, lambda t: t)
    own, other = randn(graphs, 4, 3), randn(graphs, 4, 3)
    edge, weigh, channels = randn(2, 3), randn(3), randn(graphs, 4, 4, 2)
    left, right = randn(graphs, 4, 4, 2), randn(graphs, 4, 4, 2)

    def everything():
        value = run(Dense.pool).sin().sum() + reductions.max_plus(left, right).sin().sum()
        value = value + fused.pointer_scores(channels, edge, None, own, other, weigh).sin().sum()
        return value, *torch.autograd.grad(value, [*leaves, own, other, edge, weigh, channels, left, right])

    alone = everything()
    monkeypatch.setattr(ranges, "PARALLEL_FROM", 0)
    torch.set_num_threads(3)
    for one, other_one in zip(everything(), alone, strict=True):
        torch.testing.assert_close(one, other_one, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_edge_pointer_scores(dtype, layout):
    def plain(pairs, targets, weigh):
        return torch.maximum(pairs.unsqueeze(3), targets[:, None, None]) @ weigh

    for graphs, nodes, features in [(3, 5, 4), (2, 1, 3), (1, 6, 8), (0, 3, 2)]:
        arguments = [
            layout(randn(graphs, *shape, dtype=dtype)) for shape in ((nodes, nodes, features), (nodes, features))
        ]
        arguments.append(randn(features, dtype=dtype))
        ours = fused.edge_pointer_scores
        both_ways(lambda a=arguments, f=ours: f(*a), lambda a=arguments: plain(*a), arguments, DTYPES[dtype])


def test_edge_pointer_scores_by_finite_differences():
    arguments = randn(2, 3, 3, 4), randn(2, 3, 4), randn(4)
    assert torch.autograd.gradcheck(fused.edge_pointer_scores, arguments)


def test_a_tie_of_an_edge_pointer_belongs_to_the_pair():
    """As in the plain form a + ReLU(q - a), whose ReLU has no gradient at zero."""
    pairs, targets, weigh = randn(1, 2, 2, 3), torch.zeros(1, 2, 3, dtype=torch.float64), randn(3)
    pairs.data.zero_()
    targets.requires_grad_()
    fused.edge_pointer_scores(pairs, targets, weigh).sum().backward()
    assert targets.grad.abs().sum() == 0
    torch.testing.assert_close(pairs.grad, 2 * weigh.detach().expand_as(pairs))


def test_edge_pointers_are_decoded_in_chunks(monkeypatch):
    monkeypatch.setattr(ranges, "usable", lambda *_: False)  # what other devices do
    decoder = decode.Decoder(Spec({"p": ("output", "edge", "pointer")}), 4, node_width=6, edge_width=4).double()
    nodes, channels = randn(2, 5, 6), randn(2, 5, 5, 3)
    weight, bias = randn(3, 4), randn(4)
    leaves = [nodes, channels, weight, bias, *(p for p in decoder.parameters() if p.dim() > 1)]

    def go(size):
        monkeypatch.setattr(decode, "EDGE_POINTER_CHUNK_BYTES", size)
        edges = AffineFeatures(channels, weight, bias)
        return decoder.decode(Stage.OUTPUT, DecoderInputs(nodes, edges, None, randn(2, 4)))["p"]

    for size in (1, 4000):
        both_ways(lambda s=size: go(s), lambda: go(2**30), leaves, 1e-12)


def test_fused_operations_are_left_to_cpu_floats():
    x = torch.zeros(1)
    assert ranges.usable(x)
    assert not ranges.usable(x.half())
    assert not ranges.usable(x, x.double())
    assert not ranges.usable(x.to("meta"))


@pytest.mark.parametrize("kind", ["triplet_gmpnn", "pgn_mask", "triplet_pgn"])
@pytest.mark.parametrize("algorithm", ["bellman_ford", "floyd_warshall", "insertion_sort"])
def test_a_rollout_without_fused_operations_is_the_same(algorithm, kind, monkeypatch):
    batch = draw(datasets.get(algorithm), 5, 4, seed=(1,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build(algorithm, kind, hidden=8).double()
    losses, grads = [], []
    for usable in (ranges.usable, lambda *_: False):  # the second is what other devices do
        monkeypatch.setattr(ranges, "usable", usable)
        loss = total_loss(batch, reasoner(batch, gumbel=False))
        losses.append(loss)
        grads.append(torch.autograd.grad(loss, list(reasoner.parameters()), allow_unused=True))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=1e-10)
    for ours, plain in zip(*grads, strict=True):
        assert (ours is None) == (plain is None)
        if ours is not None:
            torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
