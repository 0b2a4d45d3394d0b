"""Aggregators by PyTorch Geometric's interface: groups by index, its own aggregations, in its layers."""

import pytest
import torch
import torch_geometric.nn as pyg
from aggregators import EVERY, SIMPLE, B, F, R, made, mask, messages, shaken
from naive import F64

from nar.nn.aggregators import Aggregator
from nar.nn.monoid import LCMAggregator
from nar.nn.recurrent import GRUAggregator, LSTMAggregator

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
