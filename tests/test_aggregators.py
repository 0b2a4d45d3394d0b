"""Aggregators: values by literal loops, padding and batch mates without effect, parameters, options."""

import numpy as np
import pytest
import torch
import torch_geometric.nn as pyg
from aggregators import CELLS, EVERY, SIMPLE, B, F, R, S, literal, made, mask, messages, shaken

from nar.nn.layers import linear
from nar.nn.recurrent import GRUAggregator, LSTMAggregator
from nar.nn.reductions import REDUCTIONS

OPTIONS = [{}, {"layers": 2}, {"bidirectional": True}, {"layers": 3, "bidirectional": True}]


# Recurrent networks, step by step


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_masked_messages_hold_the_state(cell, options, masked):
    aggregator = shaken(CELLS[cell](F, 6, **options))
    x, keep = messages().requires_grad_(), mask() if masked else None
    if masked:
        keep[0, :, 1] = False  # a receiver without messages: zeros
        assert not keep.all(1).any() and keep.sum(1).unique().numel() > 2
    leaves = [x, *aggregator.parameters()]
    weights = messages(5, (B, R, 6))
    results = []
    for found in (aggregator(x, keep), literal(aggregator, x, keep)):
        results.append((found, *torch.autograd.grad((found * weights).sum(), leaves)))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)
    if masked:
        assert results[0][0][0, 1].abs().max() == 0
        assert not results[0][1].masked_select(~keep.unsqueeze(-1)).any()  # no gradient to what does not exist


@pytest.mark.parametrize("kind", EVERY)
def test_masked_is_the_compressed_list(kind):
    aggregator, x, keep = made(kind), messages(), mask()
    found = aggregator(x, keep)
    for b in range(B):
        for r in range(R):
            listed = x[b, keep[b, :, r], r]
            if len(listed):
                expected = aggregator.reduce_sequence(listed.unsqueeze(0))[0]
                torch.testing.assert_close(found[b, r], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", EVERY)
def test_what_stands_at_masked_positions_has_no_effect(kind):
    """Not even infinity or what is no number, in values and gradients."""
    aggregator, x, keep = made(kind), messages(), mask()
    dirty = x.masked_fill(~keep.unsqueeze(-1), torch.inf)
    dirty[0][~keep[0]] = torch.nan
    found = []
    for values in (x, dirty):
        values = values.clone().requires_grad_()
        result = aggregator(values, keep)
        found.append((result, *torch.autograd.grad(result.sin().sum(), [values, *aggregator.parameters()])))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", EVERY)
def test_invariance_is_as_declared(kind):
    aggregator, x, keep = made(kind), messages(), mask()
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    same = torch.allclose(aggregator(x[:, order], keep[:, order]), aggregator(x, keep), rtol=1e-10, atol=1e-10)
    assert same == aggregator.permutation_invariant


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_linear_map_before_goes_into_the_input_matrix(cell, masked):
    aggregator, before = shaken(CELLS[cell](F, 6, bidirectional=True)), shaken(linear(5, F))
    x, keep = messages(shape=(B, S, R, 5)).requires_grad_(), mask() if masked else None
    leaves = [x, *before.parameters(), *aggregator.parameters()]
    results = []
    for found in (aggregator.reduce_dense(x, keep, after=before), aggregator(before(x), keep)):
        results.append((found, *torch.autograd.grad(found.sin().sum(), leaves)))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_random_order_is_one_of_the_orders_and_for_training_only(cell):
    aggregator = shaken(CELLS[cell](F, F, random_order=True))
    x, keep = messages(shape=(1, 3, 1, F)).expand(-1, -1, 300, -1), torch.tensor([True, False, True])
    keep = keep[None, :, None].expand(1, 3, 300)
    forward, backward = (aggregator.eval()(v, keep)[0, 0] for v in (x, x.flip(1)))
    assert torch.equal(aggregator(x, keep), forward.expand(1, 300, -1))
    torch.manual_seed(0)
    drawn = aggregator.train()(x, keep)[0]
    is_forward = (drawn - forward).abs().amax(-1) < 1e-12
    is_backward = (drawn - backward).abs().amax(-1) < 1e-12
    assert (is_forward ^ is_backward).all() and 100 < is_forward.sum() < 200
    torch.manual_seed(0)
    assert torch.equal(aggregator(x, keep)[0], drawn)


def test_parameters_of_haiku():
    """hk.LSTM: one map of [x | h], gates i, g, f, o, and 1 added to the forget gate."""
    draws, width = np.random.RandomState(0), 3
    w, b = draws.randn(F + width, 4 * width), draws.randn(4 * width)
    x = draws.randn(7, F)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    h = c = np.zeros(width)
    for m in x:
        i, g, f, o = np.split(np.concatenate([m, h]) @ w + b, 4)
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    aggregator = LSTMAggregator(F, width).double()
    aggregator.load_haiku(torch.from_numpy(w), torch.from_numpy(b))
    found = aggregator(torch.from_numpy(x)[None, :, None])
    np.testing.assert_allclose(found[0, 0].detach().numpy(), h, rtol=1e-12)
    with pytest.raises(ValueError, match=r"need w \(7, 12\) and b \(12,\), got \(12, 7\)"):
        aggregator.load_haiku(torch.from_numpy(w.T), torch.from_numpy(b))
    with pytest.raises(ValueError, match="one layer in one direction"):
        LSTMAggregator(F, 4, layers=2).load_haiku(torch.from_numpy(w), torch.from_numpy(b))


def test_initialisation():
    torch.manual_seed(0)
    layer = LSTMAggregator(64, 64)._layers()[0]
    bias = torch.zeros(4, 64)
    bias[1] = 1.0  # the forget gate's
    assert torch.equal(layer.bias, bias.flatten())
    for weights in (layer.input, layer.state):  # of [message | h] together: fan_in 128, truncated at two deviations
        assert abs(weights.std().item() - 0.88 / 128**0.5) < 0.003
        assert weights.abs().max() <= 2 / 128**0.5
    aggregator = made("gru_both_ways")
    aggregator.reset_parameters()
    assert all(not p.any() for name, p in aggregator.named_parameters() if "bias" in name)
    assert all(0 < p.std() < 1 for name, p in aggregator.named_parameters() if "bias" not in name)


def test_options_that_cannot_be():
    with pytest.raises(ValueError, match="even number of features, half for each way, got 5"):
        LSTMAggregator(4, 5, bidirectional=True)
    with pytest.raises(ValueError, match="layers=0"):
        GRUAggregator(4, 4, layers=0)
    with pytest.raises(ValueError, match="index or ptr"):
        LSTMAggregator(2, 2).forward(torch.zeros(3, 2))


# Maximum, sum, mean


@pytest.mark.parametrize("kind", SIMPLE)
def test_simple_aggregators_are_the_reductions_of_nar_and_of_pyg(kind):
    ours, x, keep = SIMPLE[kind](), messages(), mask()
    keep[:, 0] = True
    torch.testing.assert_close(ours(x, keep), REDUCTIONS[kind](x, 1, keep))
    torch.testing.assert_close(ours(x, None), REDUCTIONS[kind](x, 1, None))
    assert not ours(x, torch.zeros_like(keep)).any()  # no messages
    index = torch.tensor([3, 0, 0, 4, 3, 0, 1])
    theirs = {"max": pyg.MaxAggregation, "sum": pyg.SumAggregation, "mean": pyg.MeanAggregation}[kind]()
    x = messages(shape=(7, F))
    torch.testing.assert_close(ours(x, index, dim_size=7), theirs(x, index, dim_size=7))
    torch.testing.assert_close(ours(x, index, max_num_elements=9), theirs(x, index))  # by way of padding
