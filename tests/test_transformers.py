"""The transformers: their docstrings' equations pair by pair, what edges can do in them, widths and refusals."""

import math

import pytest
import torch
from naive import F64, built

from nar import processors
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.transformer import number_of_heads

B, N, F = 2, 5, 8


def made(kind, **options):
    torch.manual_seed(2)
    processor = processors.build(kind, F, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(seed=0):
    """x, e, g, hidden states of nodes and edges, and a one-sided adjacency with self-loops."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, F), (B, N, N, F), (B, F), (B, N, F), (B, N, N, F))
    found = [torch.randn(shape, generator=generator, dtype=F64) for shape in shapes]
    links = torch.rand(B, N, N, generator=generator) < 0.4
    return (*found, links | torch.eye(N, dtype=torch.bool))


def network(part, h):
    return part.norm(h + part.second(torch.relu(part.first(h))))


def literal_transformer(p, x, e, g, hidden, adjacency):
    new = torch.empty_like(hidden)
    for b in range(B):
        h = [p.start(torch.cat([x[b, i], hidden[b, i]])) + p.graph(g[b]) for i in range(N)]
        for layer in p.layers:
            heard = []
            for i in range(N):
                near = [j for j in range(N) if adjacency[b, j, i]]
                heads = []
                for number, part in enumerate(torch.arange(F).chunk(layer.heads)):
                    logits = [
                        layer.query(h[i])[part] @ layer.key(h[j])[part] / math.sqrt(len(part))
                        + layer.edge(e[b, j, i])[number]
                        for j in near
                    ]
                    weights = torch.softmax(torch.stack(logits), 0)
                    heads.append(sum(w * layer.value(h[j])[part] for w, j in zip(weights, near, strict=True)))
                heard.append(torch.cat(heads))
            h = [network(layer.network, layer.norm(h[i] + layer.out(heard[i]))) for i in range(N)]
        new[b] = torch.stack(h)
    return new


def literal_relational(p, x, e, g, hidden, states):
    new, edges = torch.empty_like(hidden), torch.empty_like(states)
    for b in range(B):
        n = [p.node(torch.cat([x[b, i], hidden[b, i], g[b]])) for i in range(N)]
        y = {
            (i, j): p.edge(e[b, i, j]) + p.edge_state(states[b, i, j]) + p.graph(g[b])
            for i in range(N)
            for j in range(N)
        }
        for layer in p.layers:
            a, heard = layer.attention, []
            for i in range(N):
                q = [a.nodes[0](n[i]) + a.edges[0](y[i, j]) for j in range(N)]
                k = [a.nodes[1](n[j]) + a.edges[1](y[i, j]) for j in range(N)]
                v = [a.nodes[2](n[j]) + a.edges[2](y[i, j]) for j in range(N)]
                heads = []
                for part in torch.arange(F).chunk(a.heads):
                    logits = [q[j][part] @ k[j][part] / math.sqrt(len(part)) for j in range(N)]
                    weights = torch.softmax(torch.stack(logits), 0)
                    heads.append(sum(weights[j] * v[j][part] for j in range(N)))
                heard.append(torch.cat(heads))
            n = [network(layer.network, layer.norm(n[i] + layer.out(heard[i]))) for i in range(N)]
            u, old = layer.edges, y
            weight = torch.cat([part.weight for part in u.parts], 1)  # one map of four concatenated vectors
            bias = sum(part.bias for part in u.parts)
            y = {}
            for i, j in old:
                inner = torch.relu(weight @ torch.cat([old[i, j], old[j, i], n[j], n[i]]) + bias)
                y[i, j] = network(u.network, u.norm(old[i, j] + u.out(inner)))
        new[b] = torch.stack(n)
        for i, j in y:
            edges[b, i, j] = y[i, j]
    return new, edges


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"layers": 2, "head_features": 4}, {"network_ratio": 1}], ids=str)
def test_transformer_formulas(masked, options):
    processor = made("transformer_masked" if masked else "transformer", **options)
    x, e, g, hidden, _, adjacency = data()
    found = processor(Step(x, g, Dense(built(e), N, adjacency)), hidden)
    seen = adjacency if masked else torch.ones_like(adjacency)
    expected = literal_transformer(processor, x, e, g, hidden, seen)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"layers": 1, "head_features": 2}, {"edge_update": 3}], ids=str)
def test_relational_transformer_formulas_and_gradients(options):
    processor = made("relational_transformer", **options)
    *inputs, adjacency = data()
    x, e, g, hidden, states = (t.requires_grad_() for t in inputs)
    step = Step(x, g, Dense(built(e), N, adjacency))
    found = processor(step, (hidden, states))
    expected = literal_relational(processor, x, e, g, hidden, states)
    leaves = [*inputs, *processor.parameters()]
    gradients = []
    for result in (found, expected):
        gradients.append(torch.autograd.grad(sum(part.sin().sum() for part in result), leaves))
    for one, two in zip((*found, *gradients[0]), (*expected, *gradients[1]), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
    assert processor.readout(step, (hidden, states), found).edges is found[1]


def moved_by(processor, state):
    """Which nodes' states a change of the edge 0 -> 1 moves, and which pairs', where there are such."""
    x, e, g, *_ = data()
    changed = e.clone()
    changed[:, 0, 1] += torch.linspace(-3, 3, F, dtype=F64)
    results = [processor(Step(x, g, Dense(built(edges), N)), state) for edges in (e, changed)]
    parts = zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True)
    return [{tuple(place) for place in (b - a).abs().amax((0, -1)).gt(1e-9).nonzero().tolist()} for a, b in parts]


def test_whom_an_edge_reaches():
    """0 -> 1 speaks to 1 in the transformer, as a message does; 0 reads it in the Relational Transformer, as in GAT."""
    _, _, _, hidden, states, _ = data()
    assert moved_by(made("transformer"), hidden) == [{(1,)}]
    nodes, pairs = moved_by(made("relational_transformer", layers=1), (hidden, states))
    assert nodes == {(0,)}
    assert pairs == {(0, 1), (1, 0)} | {(0, j) for j in range(N)} | {(j, 0) for j in range(N)}


def test_edges_only_weigh_what_nodes_say_in_the_transformer():
    """Where all nodes say the same, edges have no effect; in the Relational Transformer they do."""
    _, e, g, hidden, states, _ = data()
    x, hidden = torch.ones_like(hidden), torch.zeros_like(hidden)
    for kind, state, silent in (
        ("transformer", hidden, True),
        ("relational_transformer", (hidden, 0 * states), False),
    ):
        processor = made(kind)
        after = [processor(Step(x, g, Dense(built(k * e), N)), state) for k in (1, 2)]
        one, two = (a[0] if isinstance(a, tuple) else a for a in after)
        assert torch.allclose(one, two, atol=1e-9) == silent


def test_edge_states_are_handed_on():
    processor = made("relational_transformer")
    x, e, g, hidden, states, _ = data()
    step = Step(x, g, Dense(built(e), N))
    first, second = (processor(step, (hidden, k * states))[0] for k in (0, 1))
    assert not torch.allclose(first, second, atol=1e-3)


def test_sizes_of_the_paper():
    """192 features make 12 heads of 16; the networks of nodes and edges are 32, 16 and 8 wide; three layers."""
    processor = processors.build("relational_transformer", 192)
    layer = processor.layers[0]
    assert (len(processor.layers), layer.attention.heads) == (3, 12)
    widths = [layer.network.first, layer.edges.parts[0], layer.edges.network.first]
    assert [map.out_features for map in widths] == [32, 16, 8]


def test_heads():
    assert [number_of_heads(features, 16) for features in (4, 16, 128, 192)] == [1, 1, 8, 12]
    for features, width, message in (
        (34, 11, "34 features cannot be split into heads of 11; choose a divisor"),
        (8, 0, "head_features must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            number_of_heads(features, width)
    for kind, options, message in (
        ("transformer", {"layers": 0}, "need layers >= 1 and network_ratio >= 1, got 0, 2"),
        ("relational_transformer", {"edge_update": 0}, r"must be at least 1, got 3, \(32, 0, 8\)"),
    ):
        with pytest.raises(ValueError, match=message):
            processors.build(kind, 16, **options)
