"""Rectified sums of pairs, compiled, against plain twins: values, gradients, layouts, blocks, masks and threads."""

import pytest
import torch
from test_kernels import DTYPES, both_ways, randn, strided
from test_vmap import mapped, same

from nar.kernels.cpu import ranges, rectified
from nar.nn.affine import AffineFeatures
from nar.nn.layers import RectifiedLinear
from nar.nn.neighbourhood import Dense, Neighbourhood

SIZES = [(3, 5, 4, 2), (2, 1, 3, 1), (1, 6, 8, 5), (4, 3, 2, 0)]  # graphs, nodes, features, channels
BLOCKS = [2**20, 300, 1]  # everything at once; some graphs, or some senders of one; sender by sender


def pooling(graphs, nodes, features, width, dtype=torch.float64, masked=False, layout=lambda t: t):
    channels, senders, receivers = (
        layout(randn(graphs, *shape, dtype=dtype))
        for shape in ((nodes, nodes, width), (nodes, features), (nodes, features))
    )
    weight, bias, graph = randn(width, 7, dtype=dtype), randn(7, dtype=dtype), randn(graphs, features, dtype=dtype)
    edge, message = torch.nn.Linear(7, features).to(dtype), RectifiedLinear(features).to(dtype)
    with torch.no_grad():
        message.bias.normal_()
    mask = (torch.rand(graphs, nodes, nodes) < 0.4) | torch.eye(nodes, dtype=torch.bool) if masked else None
    leaves = [channels, senders, receivers, weight, bias, graph, *edge.parameters(), *message.parameters()]

    def run(method):
        hood = Dense(AffineFeatures(channels, weight, bias), nodes, mask)
        return method(hood, senders, receivers, edge, graph, message)

    return run, leaves


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pooled(dtype, layout, masked, block, monkeypatch):
    monkeypatch.setattr(rectified, "BLOCK_BYTES", block)
    for size in SIZES:
        run, leaves = pooling(*size, dtype, masked, layout)
        both_ways(lambda r=run: r(Dense.pool), lambda r=run: r(Neighbourhood.pool), leaves, DTYPES[dtype])
        with torch.no_grad():  # another route: nothing is kept
            torch.testing.assert_close(run(Dense.pool), run(Neighbourhood.pool), rtol=DTYPES[dtype], atol=DTYPES[dtype])


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("layout", [lambda t: t, strided])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pairs(dtype, layout, block, monkeypatch):
    monkeypatch.setattr(rectified, "BLOCK_BYTES", block)
    for graphs, nodes, features, width in SIZES:
        shapes = [(graphs, nodes, nodes, width), (width, features), *[(graphs, nodes, features)] * 2]
        leaves = channels, edge, senders, receivers = [layout(randn(*shape, dtype=dtype)) for shape in shapes]

        def plain(c=channels, e=edge, s=senders, r=receivers):
            return torch.relu(c @ e + s.unsqueeze(2) + r.unsqueeze(1))

        both_ways(lambda a=leaves: rectified.rectified_pairs(*a), plain, leaves, DTYPES[dtype])


def test_channels_that_are_data_have_no_gradient_and_change_none():
    run, leaves = pooling(2, 4, 3, 2)
    with_it = torch.autograd.grad(run(Dense.pool).sin().sum(), leaves[1:])
    leaves[0].requires_grad_(False)
    without = torch.autograd.grad(run(Dense.pool).sin().sum(), leaves[1:])
    for one, other in zip(with_it, without, strict=True):
        assert one.equal(other)


def test_literally():
    """Sender 1 is larger in the first feature, sender 0 in the second; gradients go where the maxima came from."""
    channels = torch.tensor([[[[1.0], [0.0]], [[3.0], [0.0]]]], dtype=torch.float64)
    edge = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    senders = torch.tensor([[[1.0, 9.0], [0.0, -7.0]]], dtype=torch.float64, requires_grad=True)
    receivers = torch.zeros(1, 2, 2, dtype=torch.float64)
    layer = torch.eye(2, dtype=torch.float64), torch.tensor([10.0, 20.0], dtype=torch.float64)
    pooled = rectified.rectified_pool(channels, edge, senders, receivers, layer, None)
    assert pooled.tolist() == [[[13.0, 31.0], [11.0, 29.0]]]
    pooled[0, 0].sum().backward()
    assert senders.grad.tolist() == [[[0.0, 1.0], [1.0, 0.0]]]


@pytest.mark.parametrize("block", BLOCKS)
def test_not_a_number_and_infinity_stay(block, monkeypatch):
    monkeypatch.setattr(rectified, "BLOCK_BYTES", block)
    for odd in (torch.nan, torch.inf):
        run, (_, senders, *_) = pooling(1, 5, 3, 2)
        with torch.no_grad():
            for sender in (0, 2, 4):  # the first, one between, the last
                senders[0, sender, 1] = odd
                assert run(Dense.pool).isfinite().equal(run(Neighbourhood.pool).isfinite())
                senders[0, sender, 1] = 0.0
        with_gradient = run(Dense.pool)
        with torch.no_grad():
            assert with_gradient.equal(run(Dense.pool)) or with_gradient.allclose(run(Dense.pool), rtol=1e-14)


def test_without_graphs():
    run, leaves = pooling(0, 4, 3, 2)
    assert run(Dense.pool).shape == (0, 4, 3)
    run(Dense.pool).sum().backward()
    assert all(leaf.grad is None or leaf.grad.abs().sum() == 0 for leaf in leaves)


def test_ranges_of_graphs_on_threads_of_their_own(monkeypatch):
    monkeypatch.setattr(ranges, "PARALLEL_FROM", 0)
    before = torch.get_num_threads()
    run, leaves = pooling(5, 4, 3, 2)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            both_ways(lambda: run(Dense.pool), lambda: run(Neighbourhood.pool), leaves, 1e-11)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("in_dims", [[0] * 6, [None, 1, None, None, 0, 0], [1, None, 2, 0, None, None]])
def test_stacked_seeds(in_dims):
    shapes = [(2, 4, 4, 2), (2, 3), (2, 4, 3), (2, 4, 3), (3, 3), (3,)]

    def pool(channels, edge, senders, receivers, weight, bias):
        return rectified.rectified_pool(channels, edge, senders, receivers, (weight, bias), None)

    same(pool, in_dims, mapped(shapes, in_dims))
    same(rectified.rectified_pairs, in_dims[:4], mapped(shapes[:4], in_dims[:4]))
