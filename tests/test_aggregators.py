"""Aggregators: values by literal loops, padding and batch mates without effect, PyTorch Geometric's interface."""

import numpy as np
import pytest
import torch
import torch_geometric.nn as pyg
from naive import F64

from nar.nn.aggregators import Aggregator, MaxAggregator, MeanAggregator, SumAggregator
from nar.nn.layers import linear
from nar.nn.monoid import LCMAggregator
from nar.nn.recurrent import GRUAggregator, LSTMAggregator
from nar.nn.reductions import REDUCTIONS

B, S, R, F = 3, 6, 4, 4
SIMPLE = {"max": MaxAggregator, "sum": SumAggregator, "mean": MeanAggregator}
CELLS = {"lstm": LSTMAggregator, "gru": GRUAggregator}
OPTIONS = [{}, {"layers": 2}, {"bidirectional": True}, {"layers": 3, "bidirectional": True}]
EVERY = {
    **{name: made for name, made in SIMPLE.items()},
    "lstm": lambda: LSTMAggregator(F, F),
    "gru_both_ways": lambda: GRUAggregator(F, F, layers=2, bidirectional=True),
    "lcm": lambda: LCMAggregator(F),
}


def shaken(module, seed=0):
    """In double precision, with biases that are no zeros and no ones."""
    torch.manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module


def made(kind, seed=0):
    return shaken(EVERY[kind](), seed)


def messages(seed=0, shape=(B, S, R, F)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def mask(seed=1, shape=(B, S, R), density=0.5):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


# Recurrent networks, step by step


def lstm_step(layer, m, state):
    h, c = state
    i, f, g, o = (layer.input @ m + layer.state @ h + layer.bias).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(layer, m, state):
    (h,) = state
    (r_m, z_m, n_m), (r_h, z_h, n_h) = (layer.input @ m + layer.bias).chunk(3), (layer.state @ h).chunk(3)
    r, z = torch.sigmoid(r_m + r_h), torch.sigmoid(z_m + z_h)
    n = torch.tanh(n_m + r * (n_h + layer.candidate_bias))
    return ((1 - z) * n + z * h,)


def literal(aggregator, messages_BSRF, mask_BSR):
    """Every receiver by itself; a message that is masked holds the state."""
    step, parts = (lstm_step, 2) if isinstance(aggregator, LSTMAggregator) else (gru_step, 1)
    rows = []
    for b in range(messages_BSRF.shape[0]):
        for r in range(messages_BSRF.shape[2]):
            found = []
            for way, layers in enumerate(aggregator.ways):
                states = [tuple(torch.zeros(aggregator.width, dtype=F64) for _ in range(parts)) for _ in layers]
                order = range(messages_BSRF.shape[1])
                for s in reversed(order) if way else order:
                    if mask_BSR is None or mask_BSR[b, s, r]:
                        m = messages_BSRF[b, s, r]
                        for n, layer in enumerate(layers):
                            states[n] = step(layer, m, states[n])
                            m = states[n][0]
                found.append(states[-1][0])
            rows.append(torch.cat(found))
    return torch.stack(rows).view(messages_BSRF.shape[0], messages_BSRF.shape[2], -1)


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


# PyTorch Geometric's interface

SIZES = [2, 1, 4, 0, 3]  # of groups


def grouped(seed=2):
    index = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    return messages(seed, (len(index), F)), index


def one_by_one(aggregator, x, index, groups):
    members = [x[index == group] for group in range(groups)]
    return torch.stack(
        [aggregator.reduce_sequence(m.unsqueeze(0))[0] if len(m) else torch.zeros(F, dtype=F64) for m in members]
    )


@pytest.mark.parametrize("kind", EVERY)
def test_groups_by_index(kind):
    aggregator = made(kind)
    assert isinstance(aggregator, pyg.Aggregation) and isinstance(aggregator, Aggregator)
    x, index = grouped()
    expected = one_by_one(aggregator, x, index, len(SIZES))
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(aggregator(x, index), expected, **close)
    ptr = torch.tensor([0, *SIZES]).cumsum(0)
    torch.testing.assert_close(aggregator(x, ptr=ptr), expected, **close)
    torch.testing.assert_close(aggregator(x, index, ptr, len(SIZES)), expected, **close)
    more = torch.cat([expected, torch.zeros(2, F, dtype=F64)])
    torch.testing.assert_close(aggregator(x, index, dim_size=len(SIZES) + 2), more, **close)
    # an index that is not sorted: each group in the order in which its elements stand
    shuffle = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, index = x[shuffle], index[shuffle]
    torch.testing.assert_close(aggregator(x, index), one_by_one(aggregator, x, index, len(SIZES)), **close)
    # other axes
    both = torch.stack([x, 2 * x])
    layers = torch.stack([aggregator(x, index), aggregator(2 * x, index)])
    torch.testing.assert_close(aggregator(both, index), layers, **close)
    torch.testing.assert_close(aggregator(both.transpose(0, 1), index, dim=0), layers.transpose(0, 1), **close)
    # no index: one group; no elements: no messages
    torch.testing.assert_close(aggregator(x), aggregator.reduce_sequence(x.unsqueeze(0)), **close)
    assert not aggregator(x[:0], index[:0], dim_size=3).any()
    assert aggregator(x[:0], index[:0]).shape == (0, F)
    if kind not in SIMPLE:
        assert not aggregator.reduce_sequence(x.new_zeros(2, 1, F), torch.zeros(2, 1, dtype=torch.bool)).any()
    with pytest.raises(ValueError, match="dim_size"):
        aggregator(x, index, dim_size=2)


@pytest.mark.parametrize("kind", EVERY)
def test_both_ways_to_call_are_one(kind):
    aggregator, x, keep = made(kind), messages(), mask()
    graph, sender, receiver = keep.nonzero(as_tuple=True)
    found = aggregator(x[graph, sender, receiver], graph * R + receiver, dim_size=B * R).view(B, R, F)
    torch.testing.assert_close(found, aggregator(x, keep), rtol=1e-10, atol=1e-10)
    called = []
    aggregator.register_forward_hook(lambda *_: called.append(1))
    aggregator(x, keep), aggregator(x[0, :, 0])
    assert len(called) == 2


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in SIMPLE])
def test_elements_beyond_the_largest_number_are_left_out(kind):
    aggregator, (x, index) = made(kind), grouped()
    short = torch.cat([torch.arange(size) < 2 for size in SIZES])
    found = aggregator(x, index, max_num_elements=2)
    torch.testing.assert_close(found, one_by_one(aggregator, x[short], index[short], len(SIZES)))
    torch.testing.assert_close(aggregator(x, index, max_num_elements=50), aggregator(x, index))


def theirs_of(ours):
    """PyTorch Geometric's aggregation with the same parameters."""
    if isinstance(ours, LCMAggregator):
        theirs = pyg.LCMAggregation(F, F, project=False).double()
        theirs.gru_cell.load_state_dict(ours.operator.of.cell.state_dict())
        return theirs
    theirs = (pyg.LSTMAggregation if isinstance(ours, LSTMAggregator) else pyg.GRUAggregation)(F, F).double()
    kernel = theirs.lstm if isinstance(ours, LSTMAggregator) else theirs.gru
    with torch.no_grad():
        for parameter, value in zip(kernel.parameters(), ours._layers()[0].layer(), strict=True):
            parameter.copy_(value)
    return theirs


PADDED = {"lstm": LSTMAggregator, "gru": GRUAggregator, "lcm": lambda width, _: LCMAggregator(width)}


@pytest.mark.parametrize("kind", PADDED)
def test_equal_to_pyg_where_nothing_is_padded(kind):
    ours = shaken(PADDED[kind](F, F))
    theirs = theirs_of(ours)
    for size in (1, 2, 3, 5, 8):
        x, index = messages(shape=(4 * size, F)).requires_grad_(), torch.arange(4).repeat_interleave(size)
        found = []
        for aggregator in (ours, theirs):
            result = aggregator(x, index)
            found.append((result, *torch.autograd.grad(result.sin().sum(), x)))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", PADDED)
def test_padding_has_an_effect_in_pyg_and_none_here(kind):
    """A node of two messages, alone and in a batch with a node of five."""
    ours = shaken(PADDED[kind](F, F))
    theirs = theirs_of(ours)
    x, index = messages(shape=(7, F)), torch.tensor([0, 0, 1, 1, 1, 1, 1])
    alone, together = ((x[:2], index[:2]), (x, index))
    torch.testing.assert_close(ours(*together)[0], ours(*alone)[0], rtol=1e-12, atol=1e-12)
    assert (theirs(*together)[0] - theirs(*alone)[0]).abs().max() > 0.01
    torch.testing.assert_close(ours(*alone), theirs(*alone), rtol=1e-10, atol=1e-10)
    # the node with the most messages is not padded: there both agree
    torch.testing.assert_close(ours(*together)[1], theirs(*together)[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", EVERY)
def test_in_a_layer_of_pyg(kind):
    """SAGEConv over two graphs of different degrees, edges in any order: as over each graph by itself."""
    torch.manual_seed(0)
    layer = pyg.SAGEConv(F, 2, aggr=made(kind)).double()
    x = messages(shape=(6, F))
    first, second = torch.tensor([[0, 1, 2, 0], [1, 2, 1, 2]]), torch.tensor([[0, 1, 2, 1], [2, 2, 2, 0]])
    shuffle = torch.tensor([0, 4, 5, 1, 2, 6, 7, 3])  # within each graph the edges stay in order
    edges = torch.cat([first, second + 3], dim=1)[:, shuffle]
    expected = torch.cat([layer(x[:3], first), layer(x[3:], second)])
    torch.testing.assert_close(layer(x, edges), expected, rtol=1e-10, atol=1e-10)
