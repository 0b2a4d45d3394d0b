"""The Triton kernels against plain PyTorch: values, gradients, odd sizes, masks, ties, NaN, stacked models.

No test_ file: tests/test_triton.py runs it in a process of its own, because Triton reads TRITON_INTERPRET when it is
imported. Under the interpreter it runs on the CPU; without it on a CUDA device.
"""

from __future__ import annotations

import pytest
import torch
from triton_cases import DEVICE, F32, messages, plain_max_plus, plain_messages, plain_scores, pointers, randn, same

from nar import datasets
from nar.kernels.triton import dispatch, launch, max_plus
from nar.kernels.triton import messages as triton_messages
from nar.kernels.triton import pointers as triton_pointers
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn import reductions
from nar.nn.affine import AffineFeatures
from nar.nn.layers import MessageMLP
from nar.nn.neighbourhood import Dense, Neighbourhood

ONLY_CUDA = pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter computes everything in full precision")


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    """Enough processors that senders are split among blocks, few enough that blocks walk over several tiles."""
    if DEVICE == "cpu":
        monkeypatch.setattr(launch, "multiprocessors", lambda device: 2)


SIZES = [(1, 1, 8, 1), (3, 3, 16, 2), (3, 5, 8, 0), (1, 17, 8, 4), (2, 4, 33, 3)]  # graphs, nodes, features, channels
CASES = [(size, bool(n % 2), "max") for n, size in enumerate(SIZES) if size[1] < 10]
CASES += [((2, 3, 33, 2), True, "sum"), ((1, 5, 8, 0), False, "sum")]


@pytest.mark.parametrize(("size", "masked", "how"), CASES)
def test_messages(size, masked, how):
    arguments, leaves = messages(*size, masked)
    same(lambda: triton_messages.message_pool(*arguments, how=how), lambda: plain_messages(*arguments, how), leaves)


@pytest.mark.parametrize("masked", [False, True])
def test_messages_of_which_no_gradient_is_wanted(masked):
    arguments, _ = messages(2, 5, 8, 2, masked)
    with torch.no_grad():
        torch.testing.assert_close(
            triton_messages.message_pool(*arguments), plain_messages(*arguments), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("how", ["max", "sum"])
def test_messages_in_small_blocks(how, monkeypatch):
    """Slices of the weights, several tiles of receivers for a graph, senders split among blocks."""
    arguments, leaves = messages(1, 17, 17, 1, masked=True)
    for table in ("FORWARD", "SUM", "BACKWARD"):
        monkeypatch.setattr(triton_messages, table, ((16, 16, 4),))
    monkeypatch.setattr(launch, "_chosen", {})  # what was found for other block sizes
    same(lambda: triton_messages.message_pool(*arguments, how=how), lambda: plain_messages(*arguments, how), leaves)


@pytest.mark.parametrize(("size", "stateful"), [(size, n % 2 == 0) for n, size in enumerate(SIZES)])
def test_pointers(size, stateful):
    arguments, leaves = pointers(*size, stateful)
    same(lambda: triton_pointers.pointer_scores(*arguments), lambda: plain_scores(*arguments), leaves)


@pytest.mark.parametrize(
    "size", [(2, 5, 5, 5, 3), (3, 1, 4, 2, 1), (1, 7, 2, 6, 8), (1, 17, 17, 17, 8), (1, 3, 3, 3, 33)]
)
def test_max_plus(size):
    graphs, senders, rows, columns, width = size
    left, right = randn(graphs, senders, rows, width), randn(graphs, senders, columns, width)
    same(lambda: max_plus.max_plus(left, right), lambda: plain_max_plus(left, right), (left, right))


def test_gradients_are_those_of_finite_differences():
    if DEVICE == "cuda":
        pytest.skip("float64 runs under the interpreter only")
    arguments, leaves = messages(1, 2, 3, 1, masked=True, dtype=torch.float64)

    def pool(*leaves):
        return triton_messages.message_pool(*leaves[:4], leaves[4:6], leaves[6:], arguments[-1])

    assert torch.autograd.gradcheck(pool, leaves, fast_mode=True)
    arguments, _ = pointers(1, 2, 3, 1, True, dtype=torch.float64)
    assert torch.autograd.gradcheck(triton_pointers.pointer_scores, arguments, fast_mode=True)
    left, right = randn(1, 2, 2, 1, dtype=torch.float64), randn(1, 2, 3, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(max_plus.max_plus, (left, right), fast_mode=True)


def test_of_a_tie_the_first_sender_gets_the_gradient():
    left, right = torch.zeros(1, 4, 3, 2, device=DEVICE), torch.zeros(1, 4, 3, 2, device=DEVICE)
    left.requires_grad_()
    (grad,) = torch.autograd.grad(max_plus.max_plus(left, right).sum(), left)
    assert grad[:, 0].eq(3).all() and grad[:, 1:].eq(0).all()
    arguments, leaves = messages(1, 5, 8, 1)
    with torch.no_grad():  # all senders say the same
        leaves[0].zero_()
        leaves[2].copy_(leaves[2][:, :1].expand(-1, 5, -1))
    (of_senders,) = torch.autograd.grad(triton_messages.message_pool(*arguments).sum(), leaves[2])
    assert of_senders[:, 0].abs().sum() > 0 and of_senders[:, 1:].eq(0).all()


def test_of_a_tie_the_pointing_node_gets_the_gradient():
    own, other = randn(1, 2, 4), None
    other = own.detach().clone().requires_grad_()
    channels, edge = torch.zeros(1, 2, 2, 1, device=DEVICE), torch.zeros(1, 4, device=DEVICE)
    weigh = torch.ones(4, device=DEVICE)
    scores = triton_pointers.pointer_scores(channels, edge, None, own, other, weigh)
    of_own, of_other = torch.autograd.grad(scores.diagonal(dim1=1, dim2=2).sum(), (own, other))
    assert of_own.eq(1).all() and of_other.eq(0).all()


def test_nan_wins():
    arguments, leaves = messages(2, 5, 8, 2)
    with torch.no_grad():
        leaves[2][0, 3, :] = float("nan")  # a sender of the first graph
        ours, plain = triton_messages.message_pool(*arguments), plain_messages(*arguments)
        assert ours[0].isnan().all() and plain[0].isnan().all()
        torch.testing.assert_close(ours[1], plain[1], rtol=1e-4, atol=1e-4)
        left, right = torch.randn(1, 4, 3, 2, device=DEVICE), torch.randn(1, 4, 3, 2, device=DEVICE)
        left[0, 1, 2, 1] = float("nan")
        ours, plain = max_plus.max_plus(left, right), plain_max_plus(left, right)
        torch.testing.assert_close(ours, plain, equal_nan=True)
        (channels, edge, _, own, other, weigh), _ = pointers(1, 3, 4, 1, False)
        own[0, 1, 2] = float("nan")
        ours = triton_pointers.pointer_scores(channels, edge, None, own, other, weigh)
        torch.testing.assert_close(
            ours, plain_scores(channels, edge, None, own, other, weigh), equal_nan=True, rtol=1e-4, atol=1e-4
        )


def test_a_receiver_without_neighbours_gets_the_masked_value_and_no_gradient():
    arguments, leaves = messages(1, 4, 8, 1, masked=True)
    arguments[-1][0, :, 2] = False
    pooled = triton_messages.message_pool(*arguments)
    torch.testing.assert_close(pooled[0, 2], torch.full_like(pooled[0, 2], reductions.MASKED))
    (of_senders,) = torch.autograd.grad(pooled[0, 2].sum(), leaves[2])
    assert of_senders.eq(0).all()


def strided(tensor):
    return tensor.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_()


def test_layouts_that_are_not_contiguous():
    arguments, leaves = messages(2, 4, 8, 2, masked=True)
    leaves = [strided(leaf) if leaf.dim() > 2 else leaf for leaf in leaves]
    mask = arguments[-1].transpose(1, 2)
    arguments = (*leaves[:4], tuple(leaves[4:6]), tuple(leaves[6:]), mask)
    same(lambda: triton_messages.message_pool(*arguments), lambda: plain_messages(*arguments), leaves)
    arguments, _ = pointers(2, 4, 8, 2, True)
    arguments = [strided(a) for a in arguments]
    same(lambda: triton_pointers.pointer_scores(*arguments), lambda: plain_scores(*arguments), arguments)


def stack(leaves, models=2):
    return [randn(models, *leaf.shape) for leaf in leaves]


@pytest.mark.parametrize("shared", [(), (0, 2, 3)])
def test_stacked_models_equal_one_after_the_other(shared):
    """Under torch.vmap, over all arguments or with some that all models share; one launch serves them all."""
    arguments, leaves = messages(1, 2, 4, 1, masked=True)

    def pool(*leaves):
        return triton_messages.message_pool(*leaves[:4], leaves[4:6], leaves[6:], arguments[-1]).sin().sum()

    mixed = [
        leaf if n in shared else stacked for n, (leaf, stacked) in enumerate(zip(leaves, stack(leaves), strict=True))
    ]
    dims = tuple(None if n in shared else 0 for n in range(8))
    ours = torch.vmap(pool, in_dims=dims)(*mixed)
    found = torch.autograd.grad(ours.sum(), mixed)
    each = [pool(*(leaf if n in shared else leaf[m] for n, leaf in enumerate(mixed))) for m in range(2)]
    torch.testing.assert_close(ours, torch.stack(each), rtol=1e-4, atol=1e-4)
    for one, other in zip(found, torch.autograd.grad(torch.stack(each).sum(), mixed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    # gradients taken inside of vmap
    wanted = tuple(n for n in range(8) if n not in shared)
    inside = torch.vmap(torch.func.grad(pool, wanted), in_dims=dims)(*mixed)
    for n, gradient in zip(wanted, inside, strict=True):
        torch.testing.assert_close(gradient, found[n], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stateful", [False, True])
def test_stacked_pointers_and_max_plus(stateful):
    _, leaves = pointers(1, 2, 4, 1, stateful)

    def scores(*leaves):
        given = leaves if stateful else (*leaves[:2], None, *leaves[2:])
        return triton_pointers.pointer_scores(*given).sin().sum()

    def product(left, right):
        return max_plus.max_plus(left, right).sin().sum()

    for function, stacked in ((scores, stack(leaves)), (product, [randn(2, 1, 2, 3, 2), randn(2, 1, 2, 3, 2)])):
        ours = torch.vmap(function)(*stacked)
        each = torch.stack([function(*(leaf[m] for leaf in stacked)) for m in range(2)])
        torch.testing.assert_close(ours, each, rtol=1e-4, atol=1e-4)
        found = torch.autograd.grad(ours.sum(), stacked)
        for one, other in zip(found, torch.autograd.grad(each.sum(), stacked), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
        inside = torch.vmap(torch.func.grad(function, tuple(range(len(stacked)))))(*stacked)
        for one, other in zip(inside, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_refused():
    left, right = randn(1, 2, 2, 2), randn(1, 2, 2, 2)
    (grad,) = torch.autograd.grad(max_plus.max_plus(left, right).square().sum(), left, create_graph=True)
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.autograd.grad(grad.sum(), right)


@pytest.mark.parametrize("how", ["max", "sum"])
def test_the_dense_neighbourhood_takes_the_kernels(how, monkeypatch):
    calls = []
    original = dispatch.message_pool
    monkeypatch.setattr(dispatch, "message_pool", lambda *a, **k: calls.append(1) or original(*a, **k))
    channels, senders, receivers = randn(2, 3, 3, 2), randn(2, 3, 8), randn(2, 3, 8)
    edge, message = torch.nn.Linear(5, 8).to(DEVICE), MessageMLP(8).to(DEVICE)
    weight, bias, graph = randn(2, 5), randn(5), randn(2, 8)

    def hood():
        return Dense(AffineFeatures(channels, weight, bias), 3)

    leaves = [channels, senders, receivers, weight, bias, graph, *edge.parameters(), *message.parameters()]
    given = (senders, receivers, edge, graph, message, how)
    same(lambda: hood().pool(*given), lambda: Neighbourhood.pool(hood(), *given), leaves)
    assert calls


def test_a_rollout_with_and_without_the_kernels(monkeypatch):
    batch = draw(datasets.get("bellman_ford"), 4, 1, seed=(1,), random_pos=True).to(DEVICE)
    torch.manual_seed(0)
    reasoner = Reasoner.build("bellman_ford", "triplet_gmpnn", hidden=8).to(DEVICE)
    found = []
    for usable in (dispatch.usable, lambda *_: False):
        monkeypatch.setattr(dispatch, "usable", usable)
        loss = total_loss(batch, reasoner(batch, gumbel=False))
        found.append((loss, *torch.autograd.grad(loss, list(reasoner.parameters()), allow_unused=True)))
    for one, other in zip(*found, strict=True):
        if one is not None or other is not None:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_the_kernels_take():
    x = torch.zeros(2, 3, 8, device=DEVICE)
    assert dispatch.usable(x) and dispatch.usable(x.bfloat16()) == (DEVICE == "cuda")
    assert not dispatch.usable(x.double()) and not dispatch.usable(x.half()) and not dispatch.usable(x, x.bfloat16())
    assert not dispatch.usable(x.to("meta"))
    assert not dispatch.usable(torch.zeros(0, 3, 8, device=DEVICE)) and not dispatch.usable(
        torch.zeros(2, 0, 8, device=DEVICE)
    )
    assert not dispatch.usable(torch.zeros(1, 1, dispatch.MOST_FEATURES + 1, device=DEVICE))
    assert not dispatch.usable(torch.zeros(1, 1, 1, dispatch.MOST_CHANNELS + 1, device=DEVICE))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 3e-2), (F32, 3e-3)])
@ONLY_CUDA
def test_reduced_precision(dtype, tolerance):
    """bf16, and TF32 where PyTorch may use it; values only, as a maximum's gradient jumps from sender to sender."""
    torch.set_float32_matmul_precision("high")
    for features in (16, 64, 128, 256):
        _, leaves = messages(2, 9, features, 3)
        exact = plain_messages(*leaves[:4], leaves[4:6], leaves[6:], None)
        low = [t.detach().to(dtype) for t in leaves]
        ours = triton_messages.message_pool(*low[:4], low[4:6], low[6:], None)
        assert ours.dtype == dtype
        assert (ours.float() - exact).abs().max() < tolerance * exact.abs().max()
        arguments, _ = pointers(2, 9, features, 3, True)
        exact = plain_scores(*arguments)
        ours = triton_pointers.pointer_scores(*(a.detach().to(dtype) for a in arguments))
        assert (ours.float() - exact).abs().max() < tolerance * exact.abs().max()


@pytest.mark.parametrize("size", [(32, 64, 128, 3), (32, 16, 128, 3), (4, 100, 256, 5), (8, 33, 64, 2)])
@ONLY_CUDA
def test_real_sizes(size):
    arguments, leaves = messages(*size, masked=True)
    for how in ("max", "sum"):
        same(
            lambda h=how: triton_messages.message_pool(*arguments, how=h),
            lambda h=how: plain_messages(*arguments, h),
            leaves,
            1e-3,
        )
    arguments, leaves = pointers(*size, True)
    same(lambda: triton_pointers.pointer_scores(*arguments), lambda: plain_scores(*arguments), leaves, 1e-3)
