"""RNAR: its equations message by message, the folded product, masks, and what it must not be: equivariant."""

import itertools

import pytest
import torch
from aggregators import literal, shaken
from naive import F64, PlainDense, built, random_batch, rollout

from nar import processors
from nar.model.reasoner import Reasoner
from nar.nn.layers import MessageMLP
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.pgn import PGN
from nar.processors.rnar import RNAR

B, N, F = 2, 5, 4
FLAGS = [{}, {"gated": True}, {"triplets": True, "triplet_features": 3}, {"gated": True, "triplets": True}]
CELLS = [{}, {"cell": "gru"}, {"bidirectional": True}, {"layers": 2, "layer_norm": False}]


def data(seed=0, nodes=N):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, nodes, F), (B, nodes, nodes, F), (B, F), (B, nodes, F))
    x, e, g, hidden = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = torch.rand(B, nodes, nodes, generator=generator) < 0.4
    return x, e, g, links | torch.eye(nodes, dtype=torch.bool), hidden


def apply(processor, x, e, g, adjacency, hidden, layout=Dense):
    return processor(Step(x, g, layout(built(e), x.shape[1], adjacency)), (hidden, None))


def message(p, z, e, g):
    """m[i -> j] [B, N, N, F], written out."""
    parts = p.receiver(z).unsqueeze(1) + p.sender(z).unsqueeze(2) + p.edge(e) + p.graph(g)[:, None, None]
    return p.reduction.second(torch.relu(p.message.first(torch.relu(parts))))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [*FLAGS, *CELLS[1:]], ids=str)
def test_equations(options, masked):
    p = shaken(RNAR(F, masked=masked, **options))
    x, e, g, adjacency, hidden = data()
    new, edges = apply(p, x, e, g, adjacency, hidden)
    z = torch.cat([x, hidden], -1)
    pooled = literal(p.reduction.cell, message(p, z, e, g), adjacency if masked else None)
    expected = p.norm(torch.relu(p.skip(z) + p.out(pooled)))
    if options.get("gated"):
        gate = torch.sigmoid(p.gate[2](torch.relu(p.gate[0](z) + p.gate[1](pooled))))
        expected = gate * expected + (1 - gate) * hidden
    torch.testing.assert_close(new, expected, rtol=1e-10, atol=1e-10)
    assert (edges is not None) == ("triplets" in options)
    if edges is not None:  # triplets keep their maximum, over all nodes
        t = p.triplets
        first, second, third = (layer(z) for layer in t.nodes)
        ij, ik, jk = (layer(e) for layer in t.edges)
        tau = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        tau = tau + ij[:, :, :, None] + ik[:, :, None, :] + jk[:, None, :, :] + t.graph(g)[:, None, None, None]
        expected = torch.relu(t.out(tau.amax(1)))
        torch.testing.assert_close(p.edge_states(edges).dense(), expected, rtol=1e-10, atol=1e-10)
    if options.get("gated") and not options.get("triplets"):
        fresh = RNAR(64, gated=True)
        assert (fresh.gate[2].bias == -3).all()


@pytest.mark.parametrize("layout", [Dense, PlainDense])
@pytest.mark.parametrize("options", [{}, {"masked": True}, {"cell": "gru", "masked": True}], ids=str)
def test_folded_is_pgn_with_the_same_aggregator(options, layout):
    """The plain twin: PGN itself, its whole message network, then the aggregator. Gradients too."""
    ours = shaken(RNAR(F, **options))
    twin = PGN(F, reduction=ours.reduction.cell).double()
    twin.load_state_dict(
        {name.replace("reduction.second", "message.second").replace("reduction.cell", "reduction"): value
         for name, value in ours.state_dict().items()}
    )  # fmt: skip
    assert type(twin.message) is MessageMLP
    twin.message.second = ours.reduction.second  # the same parameters, for their gradients
    x, e, g, adjacency, hidden = data()
    adjacency = adjacency if options.get("masked") else None
    leaves = [t.requires_grad_() for t in (x, e, g, hidden, *ours.reduction.parameters())]
    found = []
    for processor in (ours, twin):
        new = apply(processor, x, e, g, adjacency, hidden, layout)[0]
        found.append((new, *torch.autograd.grad(new.sin().sum(), leaves)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_masked_node_is_as_if_it_were_not_there():
    """Node 2 is nobody's neighbour: the others' results are those of the graph without it."""
    p = shaken(RNAR(F, masked=True))
    x, e, g, adjacency, hidden = data()
    adjacency[:, 2, :] = False
    adjacency[:, 2, 2] = True
    rest = torch.tensor([0, 1, 3, 4])
    whole = apply(p, x, e, g, adjacency, hidden)[0][:, rest]
    pairs = [t[:, rest][:, :, rest] for t in (e, adjacency)]
    smaller = apply(p, x[:, rest], pairs[0], g, pairs[1], hidden[:, rest])[0]
    torch.testing.assert_close(whole, smaller, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", CELLS, ids=str)
def test_the_order_of_the_nodes_matters(options):
    p = shaken(RNAR(F, **options))
    assert not p.permutation_equivariant
    x, e, g, adjacency, hidden = data()
    new = apply(p, x, e, g, adjacency, hidden)[0]
    for order in itertools.islice(itertools.permutations(range(N)), 1, 120, 17):
        order = torch.tensor(order)
        renamed = apply(p, x[:, order], e[:, order][:, :, order], g, None, hidden[:, order])[0]
        assert (renamed - new[:, order]).abs().max() > 1e-4


def test_groups_of_receivers_without_gradients(monkeypatch):
    p = shaken(RNAR(F, masked=True))
    arguments = data()
    expected = apply(p, *arguments)[0]
    calls = []
    p.reduction.register_forward_hook(lambda module, inputs, _: calls.append(inputs[0].shape[2]))
    monkeypatch.setattr("nar.nn.neighbourhood.CHUNK_BYTES", B * N * N * F * 8 // 2)
    with torch.no_grad():
        torch.testing.assert_close(apply(p, *arguments)[0], expected, rtol=1e-12, atol=1e-12)
    assert calls == [2, 2, 1]


@pytest.mark.parametrize("kind", ["rnar", "rnar_gru", "rnar_masked"])
def test_rollouts(kind):
    """Samples of several lengths, dropped when they end, as one by one and to the last step."""
    batch = random_batch([5, 3, 3, 2, 1])
    torch.manual_seed(0)
    model = Reasoner({"everything": batch.spec}, processors.build(kind, F, gated=True)).double().eval()
    ours, plain = model(batch), rollout(model, batch)
    for name, value in plain.outputs.items():
        torch.testing.assert_close(ours.outputs[name], value, rtol=1e-9, atol=1e-9)


def test_options():
    assert processors.find("rnar_masked") == (RNAR, {"masked": True})
    assert processors.build("rnar_masked", F).uses_adjacency and not processors.build("rnar", F).uses_adjacency
    assert processors.build("rnar", F, triplets=True).cost == "N^3"
    with pytest.raises(ValueError, match="unknown cell 'rnn'; choose one of lstm, gru"):
        processors.build("rnar", F, cell="rnn")
    with pytest.raises(ValueError, match="no option 'reduction'"):
        processors.build("rnar", F, reduction="max")
