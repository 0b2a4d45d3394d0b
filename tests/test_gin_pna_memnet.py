"""GIN, PNA and Memnet against their equations written out node by node, and what each of them is known for."""

import itertools
import math

import pytest
import torch
from naive import F64, built

from nar import processors
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.pna import DELTA, PrincipalAggregation

B, N, F = 3, 5, 4
PAIRS = list(itertools.product(range(B), range(N)))


def made(kind, features=F, **options):
    """In double precision, with vectors and numbers that are not zero."""
    torch.manual_seed(3)
    processor = processors.build(kind, features, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() <= 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(features=F):
    """x, e, g, hidden, and a symmetric adjacency with self-loops in which degrees differ."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((B, N, features), (B, N, N, features), (B, features), (B, N, features))
    x, e, g, hidden = (torch.randn(shape, generator=generator, dtype=F64) for shape in shapes)
    links = torch.rand(B, N, N, generator=generator) < 0.25
    links = links | links.transpose(1, 2) | torch.eye(N, dtype=torch.bool)
    assert links.sum(1).unique().numel() > 2
    return x, e, g, hidden, links


def assert_literal(processor, literal):
    """Values and all gradients of the processor are those of its equations."""
    x, e, g, hidden, links = data()
    leaves = [t.requires_grad_() for t in (x, e, g, hidden)] + list(processor.parameters())
    near = links if processor.uses_adjacency else torch.ones_like(links)
    found = processor(Step(x, g, Dense(built(e), N, links if processor.uses_adjacency else None)), hidden)
    expected = literal(processor, x, e, g, hidden, near)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(
        torch.autograd.grad(found.sin().sum(), leaves, allow_unused=True),
        torch.autograd.grad(expected.sin().sum(), leaves, allow_unused=True),
        strict=True,
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


# GIN


def literal_gin(p, x, e, g, hidden, near):
    u = p.node(torch.cat([x, hidden], -1))
    new = torch.empty_like(hidden)
    for b, j in PAIRS:
        total = (1 + p.epsilon) * u[b, j]
        for i in range(N):
            if near[b, i, j]:
                total = total + torch.relu(u[b, i] + p.edge(e[b, i, j]) + p.graph(g[b]))
        new[b, j] = p.norm(torch.relu(p.second(torch.relu(p.first(total)))))
    return new


@pytest.mark.parametrize("kind", ["gin", "gin_full"])
@pytest.mark.parametrize("options", [{}, {"epsilon": 0.7, "learn_epsilon": False}, {"layer_norm": False}])
def test_gin_is_its_equations(kind, options):
    assert_literal(made(kind, **options), literal_gin)


def test_epsilon_is_learned_or_stays():
    learned, fixed = processors.build("gin", F), processors.build("gin", F, epsilon=0.5, learn_epsilon=False)
    assert learned.epsilon.item() == 0.0 and "epsilon" in dict(learned.named_parameters())
    assert fixed.epsilon.item() == 0.5 and "epsilon" not in dict(fixed.named_parameters())
    assert fixed.state_dict()["epsilon"] == 0.5


def test_gin_sums_as_gine_of_pytorch_geometric_does():
    geometric = pytest.importorskip("torch_geometric.nn")
    processor = made("gin")
    with torch.no_grad():
        processor.graph.bias.zero_()
    x, e, _, hidden, links = data()
    found = processor(Step(x, torch.zeros(B, F, dtype=F64), Dense(built(e), N, links)), hidden)
    gine = geometric.GINEConv(torch.nn.Identity(), eps=processor.epsilon.item()).double()
    for b in range(B):
        senders, receivers = links[b].nonzero().t()
        nodes, edges = processor.node(torch.cat([x[b], hidden[b]], -1)), processor.edge(e[b, senders, receivers])
        summed = gine(nodes, torch.stack([senders, receivers]), edges)
        update = processor.norm(torch.relu(processor.second(torch.relu(processor.first(summed)))))
        torch.testing.assert_close(found[b], update, rtol=1e-6, atol=1e-6)  # PyG keeps epsilon in single precision


@pytest.mark.parametrize(("kind", "differ"), [("gin_full", True), ("mpnn", False)])
def test_gin_counts_equal_neighbours(kind, differ):
    """Two and three equal nodes: a maximum cannot tell them apart, a sum can."""
    processor, found = made(kind), []
    for nodes in (2, 3):
        same = [torch.full(shape, 0.3, dtype=F64) for shape in ((1, nodes, F), (1, nodes, nodes, F), (1, F))]
        after = processor(
            Step(same[0], same[2], Dense(built(same[1]), nodes)), processor.initial_state(1, nodes, same[0])
        )
        found.append((after[0] if isinstance(after, tuple) else after)[:, :1])
    assert torch.allclose(*found, atol=1e-6) != differ


# PNA


def literal_principal(messages, delta):
    """The 12 columns of one receiver from its own neighbours' messages [d, F]."""
    count = len(messages)
    mean = messages.sum(0) / count
    spread = (((messages - mean) ** 2).sum(0) / count + 1e-5).sqrt()
    columns = torch.cat([mean, messages.min(0).values, messages.max(0).values, spread])
    scale = math.log(count + 1) / delta
    return torch.cat([columns, scale * columns, columns / scale])


def literal_pna(p, x, e, g, hidden, near):
    z = torch.cat([x, hidden], -1)
    new = torch.empty_like(hidden)
    for b, j in PAIRS:
        senders = [i for i in range(N) if near[b, i, j]]
        parts = torch.stack(
            [p.sender(z[b, i]) + p.receiver(z[b, j]) + p.edge(e[b, i, j]) + p.graph(g[b]) for i in senders]
        )
        messages = p.message.second(torch.relu(p.message.first(torch.relu(parts))))
        pooled = literal_principal(messages, p.aggregate.delta)
        new[b, j] = p.norm(torch.relu(p.skip(z[b, j]) + p.out(pooled)))
    return new


@pytest.mark.parametrize("kind", ["pna", "pna_full"])
@pytest.mark.parametrize("options", [{}, {"delta": 1.0}, {"layer_norm": False}])
def test_pna_is_its_equations(kind, options):
    assert_literal(made(kind, **options), literal_pna)


def test_principal_aggregation_of_numbers():
    messages = torch.tensor([1.0, 3.0, 8.0, 100.0], dtype=F64).view(1, 4, 1, 1)
    found = PrincipalAggregation(delta=2.0)(messages, torch.tensor([True, True, True, False]).view(1, 4, 1)).flatten()
    columns = torch.tensor([4.0, 1.0, 8.0, (26 / 3 + 1e-5) ** 0.5], dtype=F64)
    scale = math.log(4) / 2
    torch.testing.assert_close(found, torch.cat([columns, scale * columns, columns / scale]))


def test_what_masked_neighbours_send_does_not_matter():
    generator = torch.Generator().manual_seed(1)
    messages = torch.randn(2, 6, 3, F, generator=generator, dtype=F64)
    mask = torch.rand(2, 6, 3, generator=generator) < 0.5
    mask[:, 0] = True
    aggregate = PrincipalAggregation()
    found = aggregate(messages, mask)
    for b, j in itertools.product(range(2), range(3)):
        expected = literal_principal(messages[b, mask[b, :, j], j], DELTA)
        torch.testing.assert_close(found[b, j], expected, rtol=1e-10, atol=1e-10)
    noisy = torch.where(mask.unsqueeze(-1), messages, messages + 1e4 * torch.randn(2, 6, 3, F, dtype=F64))
    assert aggregate(noisy, mask).equal(found)
    padded = torch.cat([messages, torch.full_like(messages[:, :2], 7.0)], dim=1)
    more = torch.cat([mask, torch.zeros_like(mask[:, :2])], dim=1)
    torch.testing.assert_close(aggregate(padded, more), found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("messages", [torch.full((1, 4, 2, 3), 2.5), torch.randn(1, 1, 2, 3)])
def test_equal_messages_have_a_gradient(messages):
    messages = messages.double().requires_grad_()
    (gradient,) = torch.autograd.grad(PrincipalAggregation()(messages, None).sum(), messages)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_large_messages_keep_their_spread():
    """In single precision the difference of E[m^2] and E[m]^2 would lose it."""
    messages = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)
    near, far = (PrincipalAggregation()(messages + shift, None)[..., 3] for shift in (0.0, 4096.0))
    torch.testing.assert_close(near, far, rtol=1e-4, atol=0)


def test_delta_is_that_of_the_protocol():
    assert sum(math.log(n + 1) for n in (4, 7, 11, 13, 16)) / 5 == pytest.approx(DELTA, abs=5e-3)
    with pytest.raises(ValueError, match="delta is a mean of log"):
        processors.build("pna", F, delta=0.0)


# Memnet


def literal_memnet(p, x, e, g, hidden, near):
    new = torch.empty_like(hidden)
    for b, i in PAIRS:
        query, of_graph = p.query(x[b, i]), p.query(g[b])
        slots = [j for j in range(N) if near[b, i, j]]
        for hop in range(p.hops):
            if hop:
                query, of_graph = p.hop(query), p.hop(of_graph)
            memories = [p.memory(e[b, i, j]) + (0 if p.slots is None else p.slots[j]) for j in slots]
            weights = torch.softmax(torch.stack([memory @ query for memory in memories]), 0)
            query = query + sum(w * p.content(e[b, i, j]) for w, j in zip(weights, slots, strict=True))
        new[b, i] = p.answer(query) + p.answer(of_graph)
    return new


@pytest.mark.parametrize("kind", ["memnet", "memnet_masked", "memnet_full"])
@pytest.mark.parametrize("options", [{}, {"hops": 3, "embedding": 6}, {"slots": 7}])
def test_memnet_is_its_equations(kind, options):
    assert_literal(made(kind, **options), literal_memnet)


def reference(tables, x, e, g, answer):
    """Equations of dm-clrs 2.0.3: features are rounded to indices of words (here clipped to the tables)."""
    query_words, memory_words, content_words = tables
    width = query_words.shape[1]
    place = [[(i - width / 2) * (j - F / 2) for i in range(1, width + 1)] for j in range(1, F + 1)]
    weigh = 1 + 4 * torch.tensor(place, dtype=F64) / (width * F)

    def embed(words, features):
        return (words[features.int().clamp(0, F - 1).long()] * weigh).sum(-2)

    stories = torch.nn.functional.pad(e, (0, 0, 0, 1, 0, 1))
    query = embed(query_words, torch.cat([x, g.unsqueeze(1)], 1))
    weights = torch.softmax((embed(memory_words, stories) * query.unsqueeze(2)).sum(-1), -1)
    result = answer(query + (weights.unsqueeze(-1) * embed(content_words, stories)).sum(2))
    return result[:, :-1] + result[:, -1:]


def test_the_reference_is_zero_for_ever_and_ours_is_not():
    """With tables that start at zero the output is zero and no parameter has a gradient; with any other it would."""
    processor = made("memnet_full")
    x, e, g, hidden, _ = data()
    for scale, silent in ((0.0, True), (1.0, False)):
        tables = [scale * torch.randn(F, 16, dtype=F64) for _ in range(3)]
        tables = [table.requires_grad_() for table in tables]
        found = reference(tables, 3 * x, 3 * e, 3 * g, processor.answer)
        leaves = [*tables, *processor.answer.parameters()]
        gradients = torch.autograd.grad(found.sum(), leaves)
        assert (found.abs().max().item() == 0.0) == silent
        assert all((gradient.abs().max().item() == 0.0) == silent for gradient in gradients)

    leaves = [t.requires_grad_() for t in (x, e, g)] + list(processor.parameters())
    found = processor(Step(x, g, Dense(built(e), N)), hidden)
    assert found.std() > 0.05
    for gradient in torch.autograd.grad(found.sum(), leaves):
        assert gradient.abs().max() > 1e-6  # encoders learn, too


def test_memnet_does_not_read_its_state():
    processor = made("memnet")
    x, e, g, hidden, links = data()
    step = Step(x, g, Dense(built(e), N, links))
    after = processor(step, hidden)
    assert processor(step, torch.full_like(hidden, torch.nan)).equal(after)
    assert processor.readout(step, hidden, after).nodes.equal(torch.cat([hidden, after], -1))


def test_memnet_reads_its_own_row_of_edges():
    processor = made("memnet_full")
    x, e, g, hidden, _ = data()
    plain = processor(Step(x, g, Dense(built(e), N)), hidden)
    changed = e.clone()
    changed[:, 0, 1] += 1.0
    moved = (processor(Step(x, g, Dense(built(changed), N)), hidden) - plain).abs().amax((0, 2))
    assert (moved > 1e-9).tolist() == [True, False, False, False, False]


def test_slots_name_nodes():
    assert processors.build("memnet", F).permutation_equivariant
    processor = made("memnet_full", slots=5)
    assert not processor.permutation_equivariant
    x, e, g, hidden, _ = data()
    order = torch.tensor([2, 4, 0, 3, 1])
    after = processor(Step(x, g, Dense(built(e), N)), hidden)
    renamed = processor(Step(x[:, order], g, Dense(built(e[:, order][:, :, order]), N)), hidden)
    assert not torch.allclose(renamed, after[:, order], atol=1e-3)
    small = made("memnet", slots=4)
    with pytest.raises(ValueError, match="a memory of 4 slots cannot hold 5 nodes"):
        small(Step(x, g, Dense(built(e), N)), hidden)
    for wrong in ({"embedding": 0}, {"hops": 0}, {"slots": -1}):
        with pytest.raises(ValueError, match="need embedding >= 1"):
            processors.build("memnet", F, **wrong)
