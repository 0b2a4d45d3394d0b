"""The formulas of dm-clrs's processors against literal ones, message by message, and how they hang together."""

import itertools

import pytest
import torch
from one_step import LITERAL, B, N, apply, data, hidden_of, made
from torch.nn.functional import leaky_relu

from nar import processors
from nar.processors.gat import GAT
from nar.processors.gatv2 import GATv2
from nar.processors.pgn import PGN


def literal_pgn(p, x, e, g, adjacency, hidden):
    """Node state and edge state, message by message; the docstring of processors/pgn.py is the source."""
    name, nodes = type(p).__name__, x.shape[1]
    adjacency = {
        "MPNN": torch.ones_like(adjacency),
        "DeepSets": torch.eye(nodes, dtype=torch.bool).expand_as(adjacency),
    }.get(name, adjacency)
    z = torch.cat([x, hidden], -1)
    new = torch.empty_like(hidden)
    for b, j in itertools.product(range(len(x)), range(nodes)):
        messages = []
        for i in range(nodes):
            u = p.receiver(z[b, j]) + p.sender(z[b, i]) + p.edge(e[b, i, j]) + p.graph(g[b])
            m = p.message.second(torch.relu(p.message.first(torch.relu(u))))
            if adjacency[b, i, j]:
                messages.append(m)
        stacked = torch.stack(messages)
        pooled = {"max": stacked.max(0).values, "sum": stacked.sum(0), "mean": stacked.sum(0) / len(messages)}[
            p.reduction
        ]
        r = p.norm(torch.relu(p.skip(z[b, j]) + p.out(pooled)))
        if p.gate is not None:
            gate = torch.sigmoid(p.gate[2](torch.relu(p.gate[0](z[b, j]) + p.gate[1](pooled))))
            r = gate * r + (1 - gate) * hidden[b, j]
        new[b, j] = r
    if p.triplets is None:
        return new, None
    t = p.triplets
    first, second, third = (layer(z) for layer in t.nodes)
    ij, ik, jk = (layer(e) for layer in t.edges)
    tau = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
    tau = tau + ij[:, :, :, None] + ik[:, :, None, :] + jk[:, None, :, :] + t.graph(g)[:, None, None, None]
    return new, torch.relu(t.out(tau.amax(1)))


def literal_gat(p, x, e, g, adjacency, hidden):
    if not p.uses_adjacency:
        adjacency = torch.ones_like(adjacency)
    z, nodes = torch.cat([x, hidden], -1), x.shape[1]
    new = torch.empty_like(hidden)
    for b, i in itertools.product(range(len(x)), range(nodes)):
        logits = []
        for j in range(nodes):
            if isinstance(p, GAT):
                logit = leaky_relu(p.receiver(z[b, i]) + p.sender(z[b, j]) + p.edge(e[b, i, j]) + p.graph(g[b]), 0.01)
            else:
                q = p.sender(z[b, j]) + p.receiver(z[b, i]) + p.edge(e[b, i, j]) + p.graph(g[b])
                parts = leaky_relu(q, 0.01).chunk(len(p.heads))
                logit = torch.cat([head(part) for head, part in zip(p.heads, parts, strict=True)])
            logits.append(logit + (0.0 if adjacency[b, i, j] else -1e9))
        weights = torch.softmax(torch.stack(logits), 0)  # over senders, [N, heads]
        values = p.value(z[b]).unflatten(-1, (weights.shape[1], -1))
        pooled = (weights.unsqueeze(-1) * values).sum(0).flatten()
        new[b, i] = p.norm(torch.relu(pooled + p.skip(z[b, i])))
    return new, None


OPTIONS = {
    PGN: [{}, {"reduction": "mean"}, {"reduction": "sum"}, {"layer_norm": False}, {"triplet_features": 3}],
    GAT: [{}, {"heads": 2}, {"layer_norm": False}],
    GATv2: [{}, {"heads": 2}],
}


@pytest.mark.parametrize("kind", LITERAL)
def test_formulas(kind):
    family = next(c for c in OPTIONS if issubclass(processors.find(kind)[0], c))
    literal = literal_pgn if family is PGN else literal_gat
    for options in OPTIONS[family]:
        if "triplet_features" in options and "triplet" not in kind:
            continue
        processor = made(kind, **options)
        x, e, g, adjacency, hidden = data()
        found = apply(processor, x, e, g, adjacency, hidden)
        node, edge = literal(processor, x, e, g, adjacency, hidden)
        torch.testing.assert_close(hidden_of(found), node, rtol=1e-10, atol=1e-10, msg=lambda m, o=options: f"{o}: {m}")
        assert (edge is None) == (processor.edge_readout == 0)
        if edge is not None:
            torch.testing.assert_close(processor.edge_states(found[1]).dense(), edge, rtol=1e-10, atol=1e-10)


# Relations between processors


def twin(kind, other, **options):
    """Two processors with the same parameters."""
    one, two = made(kind, **options), made(other, **options)
    two.load_state_dict(one.state_dict())
    return one, two


@pytest.mark.parametrize("options", [{}, {"reduction": "mean"}, {"layer_norm": False}])
def test_deep_sets_is_pgn_without_edges(options):
    sets, pgn = twin("deepsets", "pgn", **options)
    x, e, g, _, hidden = data()
    eye = torch.eye(N, dtype=torch.bool).expand(B, N, N)
    torch.testing.assert_close(
        apply(sets, x, e, g, None, hidden)[0], apply(pgn, x, e, g, eye, hidden)[0], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("everyone", "neighbours"),
    [
        ("mpnn", "pgn"),
        ("gmpnn", "gpgn"),
        ("triplet_gmpnn", "triplet_gpgn"),
        ("gat_full", "gat"),
        ("gatv2_full", "gatv2"),
    ],
)
def test_on_the_complete_graph_everyone_is_a_neighbour(everyone, neighbours):
    one, two = twin(everyone, neighbours)
    x, e, g, adjacency, hidden = data()
    complete = torch.ones(B, N, N, dtype=torch.bool)
    found = apply(one, x, e, g, adjacency, hidden), apply(two, x, e, g, complete, hidden)
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_masked_kinds_differ_in_their_decoders_only():
    one, two = twin("triplet_gpgn", "triplet_gpgn_mask")
    x, e, g, adjacency, hidden = data()
    torch.testing.assert_close(apply(one, x, e, g, adjacency, hidden), apply(two, x, e, g, adjacency, hidden))
