"""The sparse layout of a neighbourhood against the dense one masked to the same edges: values and gradients."""

import pytest
import torch
from naive import F64, built
from one_step import EVERY, B, F, N, data, hidden_of, made, state_with
from torch import nn

from nar import processors
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.nn.sparse import hood as layout
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList
from nar.nn.sparse.hood import Sparse
from nar.nn.sparse.predictions import EdgePointers

SIZES = [5, 2, 4]  # nodes of the graphs: the tensors have room for five of each


def edges_of(adjacency, sizes=None):
    """The edges of symmetric matrices with self-loops, cut to graphs of these sizes, and where they stand in them."""
    sizes = [N] * len(adjacency) if sizes is None else sizes
    pairs = [adjacency[b, :n, :n].t().nonzero().flip(1).t() for b, n in enumerate(sizes)]  # by receiver, then sender
    graph = torch.arange(len(sizes)).repeat_interleave(torch.tensor([p.shape[1] for p in pairs]))
    return EdgeList.of(list(zip(sizes, pairs, strict=True))), (graph, *torch.cat(pairs, 1))


def cut(adjacency, sizes):
    """The matrices with nothing beyond the graphs' sizes but self-loops."""
    there = torch.arange(N) < torch.tensor(sizes).unsqueeze(1)
    return (adjacency & there.unsqueeze(1) & there.unsqueeze(2)) | torch.eye(N, dtype=torch.bool)


def leaves(seed=0):
    x, e, g, adjacency, hidden = data(seed=seed)
    return [t.requires_grad_() for t in (x, e, g, hidden)], adjacency


def outcome(processor, hood_of, inputs, exists):
    """What the processor makes of real nodes, and the gradients of its weights and inputs."""
    x, e, g, hidden = inputs
    after = processor(Step(x, g, hood_of(e)), state_with(processor, hidden))
    found = hidden_of(after)[exists]
    wanted = [*processor.parameters(), *inputs]
    weights = torch.linspace(-1, 2, found.numel(), dtype=F64).view_as(found)
    return found, torch.autograd.grad((weights * found).sum(), wanted, allow_unused=True)


RUNS_ALONG_EDGES = {
    *"deepsets gat gatv2 gin pgn gpgn pgn_mask gpgn_mask memnet memnet_masked pna lcm_masked rnar_masked".split(),
    *"finite_state relational pyg_gatv2 pyg_gine".split(),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_processor_is_the_same_in_both_layouts(name):
    processor = made(name)
    inputs, adjacency = leaves()
    edges, place = edges_of(adjacency, SIZES)
    if name not in RUNS_ALONG_EDGES:
        assert processor.needs_pairs or _asks_for_all_pairs(processor, inputs, edges, place)
        return
    same = cut(adjacency, SIZES)
    dense = outcome(processor, lambda e: Dense(built(e), N, same), inputs, edges.exists)
    sparse = outcome(processor, lambda e: Sparse(built(e[place]), edges), inputs, edges.exists)
    torch.testing.assert_close(sparse[0], dense[0], rtol=1e-12, atol=1e-12)
    for one, other in zip(sparse[1], dense[1], strict=True):
        # what exists receives nothing from what does not
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def _asks_for_all_pairs(processor, inputs, edges, place):
    x, e, g, hidden = inputs
    with pytest.raises(ValueError, match="all pairs of nodes"):
        processor(Step(x, g, Sparse(built(e[place]), edges)), state_with(processor, hidden))
    return True


@pytest.mark.parametrize("name", ["pgn", "gat", "gin", "lcm_masked", "rnar_masked"])
def test_and_in_single_precision(name):
    processor = made(name).float()
    (x, e, g, hidden), adjacency = leaves()
    x, e, g, hidden = (t.detach().float() for t in (x, e, g, hidden))
    edges, place = edges_of(adjacency)
    found = [
        hidden_of(processor(Step(x, g, hood), state_with(processor, hidden)))
        for hood in (Dense(built(e), N, adjacency), Sparse(built(e[place]), edges))
    ]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def ordered_sum(messages, mask):
    """A reduction that depends on the order of the senders."""
    order = torch.arange(1, messages.shape[1] + 1, dtype=messages.dtype).view(1, -1, 1, 1)
    return (messages * order * mask.unsqueeze(-1)).sum(1) + mask.sum(1).unsqueeze(-1)


@pytest.mark.parametrize("how", ["max", "sum", "mean", ordered_sum])
@pytest.mark.parametrize("receives", [True, False])
def test_messages_made_in_chunks_are_the_same(how, receives, monkeypatch):
    (x, e, g, hidden), adjacency = leaves()
    edges, place = edges_of(adjacency, SIZES)
    hood, layer = Sparse(built(e[place].detach()), edges), nn.Linear(F, F).double()
    receivers = hidden if receives else None
    together = hood.pool(x, receivers, layer, g, torch.tanh, how)
    parts = hood.senders(x) + hood.edges(layer) + hood.graph(g) + (hood.receivers(hidden) if receives else 0)
    torch.testing.assert_close(together, hood.reduce(torch.tanh(parts), how))
    with torch.no_grad():
        for size in (1, 3 * F * 8, 7 * F * 8):
            monkeypatch.setattr(layout, "CHUNK_BYTES", size)
            torch.testing.assert_close(hood.pool(x, receivers, layer, g, torch.tanh, how), together.detach())


def test_an_aggregator_is_given_no_more_than_a_stretch(monkeypatch):
    (x, e, g, hidden), adjacency = leaves()
    edges, place = edges_of(adjacency, SIZES)
    hood, read = Sparse(built(e[place].detach()), edges), []
    monkeypatch.setattr(layout, "CHUNK_BYTES", 6 * F * 8)  # six messages
    with torch.no_grad():
        hood.pool(x, hidden, nn.Linear(F, F).double(), g, torch.tanh, lambda m, mask: read.append(m.shape) or m.sum(1))
    assert all(shape[1] * shape[2] <= 6 or shape[2] == 1 for shape in read) and len(read) > len(edges.groups)


def test_order_of_edges_and_their_twins():
    """0 - 1, 1 - 2 in a graph of three nodes; then a node on its own."""
    path = torch.tensor([[0, 1, 0, 1, 2, 1, 2], [0, 0, 1, 1, 1, 2, 2]])
    edges = EdgeList.of([(3, path), (1, torch.zeros(2, 1, dtype=torch.long))])
    assert len(edges) == 8 and edges.nodes == 3 and edges.rows == 6
    assert edges.senders.tolist() == [0, 1, 0, 1, 2, 1, 2, 3] and edges.receivers.tolist() == [0, 0, 1, 1, 1, 2, 2, 3]
    assert edges.twins.tolist() == [0, 2, 1, 3, 5, 4, 6, 7]
    assert edges.starts.tolist() == [0, 2, 5, 7, 8, 8, 8] and edges.bounds.tolist() == [0, 7, 8]
    assert edges.exists.tolist() == [[True] * 3, [True, False, False]]
    assert [(s.start, s.stop, starts.tolist()) for s, starts in edges.chunks(5)] == [
        (0, 5, [0, 2, 5]), (5, 8, [0, 2, 3, 3, 3])
    ]  # fmt: skip
    assert [s.stop - s.start for s, _ in edges.chunks(1)] == [2, 3, 2, 1]  # a receiver is never cut


def test_pointers_along_edges_are_those_of_a_masked_softmax():
    adjacency = data()[3]
    edges, place = edges_of(adjacency)
    graph, sender, receiver = place
    scores = torch.randn(B, N, N, dtype=F64)  # [b, i, j]: node i points to node j
    scores[0, 1] = 0.5  # of equal ones the first is chosen
    dense = scores.masked_fill(~adjacency, -torch.inf).requires_grad_()
    sparse = scores[graph, receiver, sender].clone().requires_grad_()
    pointers = EdgePointers(sparse, edges)
    truth = dense.detach().argmin(-1).where(adjacency.all(-1), torch.arange(N))
    assert pointers.decided().equal(dense.argmax(-1))
    torch.testing.assert_close(pointers.expected(), dense.softmax(-1)[graph, receiver, sender])
    expected = -dense.log_softmax(-1).gather(-1, truth.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(pointers.losses(truth), expected)
    gradients = torch.autograd.grad(expected.sum(), dense)[0][graph, receiver, sender]
    torch.testing.assert_close(torch.autograd.grad(pointers.losses(truth).sum(), sparse)[0], gradients)
    decided = pointers.straight_through()
    assert decided.detach().equal((dense.argmax(-1)[graph, receiver] == sender).to(F64))
    weights = torch.randn_like(sparse)
    torch.testing.assert_close(
        torch.autograd.grad((decided * weights).sum(), sparse),
        torch.autograd.grad((pointers.expected() * weights).sum(), sparse),
    )


def test_gradients_of_gathers_and_reductions():
    edges, _ = edges_of(data()[3], SIZES)
    x = torch.randn(edges.rows, 2, dtype=F64, requires_grad=True)
    messages = torch.randn(len(edges), 2, dtype=F64, requires_grad=True)
    of_graph = torch.randn(B, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: segments.of_senders(t, edges), x)
    assert torch.autograd.gradcheck(lambda t: segments.of_receivers(t, edges), x)
    assert torch.autograd.gradcheck(lambda t: segments.of_twins(t, edges), messages)
    assert torch.autograd.gradcheck(lambda t: segments.of_graphs(t, edges), of_graph)
    for how in ("max", "sum", "mean"):
        assert torch.autograd.gradcheck(lambda t, how=how: segments.reduce(t, how, edges.starts), messages)
    assert torch.autograd.gradcheck(lambda t: segments.log_softmax(t, edges), messages)


def test_a_tie_shares_its_gradient_evenly():
    x = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    segments.reduce(x, "max", torch.tensor([0, 3])).sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [0.5, 0.5, 0.0]


def test_messages_of_many_degrees_reach_an_aggregator_in_order():
    """A star: the hub has 40 messages, the others two each."""
    n = 40
    adjacency = torch.eye(n, dtype=torch.bool)
    adjacency[0] = adjacency[:, 0] = True
    pairs = adjacency.nonzero().flip(1).t()
    edges = EdgeList.of([(n, pairs)])
    read = []

    def how(messages, mask):
        read.append(tuple(messages.shape))
        return (messages * mask.unsqueeze(-1) * torch.arange(1, messages.shape[1] + 1).view(1, -1, 1, 1)).sum(1)

    messages = torch.arange(1.0, len(edges) + 1).unsqueeze(1)
    hood = Sparse(built(messages), edges)
    found = hood.reduce(messages, how).squeeze()
    expected = [sum((k + 1) * (k + 1) for k in range(40))]
    expected += [(41 + 2 * k) + 2 * (42 + 2 * k) for k in range(39)]
    assert found.tolist() == expected
    assert sorted(read) == [(1, 2, 39, 1), (1, 40, 1, 1)]


def test_what_cannot_be_said_sparse():
    edges, place = edges_of(data()[3])
    hood = Sparse(built(data()[1][place]), edges, "mpnn")
    with pytest.raises(ValueError, match=r"mpnn needs all pairs of nodes.*--layout dense"):
        hood.complete()
    with pytest.raises(ValueError, match="unknown reduction 'maximum'"):
        hood.reduce(hood.senders(data()[0]), "maximum")


def test_every_processor_is_asked():
    assert RUNS_ALONG_EDGES <= set(processors.names())
