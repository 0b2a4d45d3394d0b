"""Pivotal attention over pairs: the loop over all triples as its twin, chunks, memory, options."""

import math

import pytest
import torch
from naive import F64, built

from nar import processors
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors import pivotal_attention as module
from nar.processors.pivotal_attention import PivotalAttention, pivotal_attention

B, N, F, H, D = 2, 5, 8, 2, 3


def parts(nodes=N, seed=0, dtype=F64, heads=H, width=D):
    generator = torch.Generator().manual_seed(seed)
    shape = (B, nodes, nodes, heads, width)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for _ in range(5)]


def plain(query, key_1, key_2, value_1, value_2):
    """All N^3 D numbers at once; [b, i, j, k, h, d] holds what pivot j offers the pair (i, k)."""
    key = key_1.unsqueeze(3) + key_2.unsqueeze(1)
    value = value_1.unsqueeze(3) + value_2.unsqueeze(1)
    weights = torch.softmax((query.unsqueeze(2) * key).sum(-1, keepdim=True), dim=2)
    return (weights * value).sum(2)


@pytest.mark.parametrize("rows_at_a_time", [1, 2, N])
def test_values_and_gradients_of_all_triples_whatever_the_chunks(rows_at_a_time, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", rows_at_a_time * B * H * N * N * 8)
    inputs = parts()
    assert len(module._rows(inputs[0])) == math.ceil(N / rows_at_a_time)
    weight = torch.randn(B, N, N, H, D, dtype=F64)
    ours, twin = pivotal_attention(*inputs), plain(*inputs)
    torch.testing.assert_close(ours, twin, rtol=1e-10, atol=1e-10)
    found = torch.autograd.grad((ours * weight).sum(), inputs)
    expected = torch.autograd.grad((twin * weight).sum(), inputs)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


def test_by_hand():
    """Two nodes, one head of width 1: the pair (0, 1) weighs the ways 0-0-1 and 0-1-1."""
    one = torch.arange(1.0, 5.0, dtype=F64).view(1, 2, 2, 1, 1)
    query, key_1, key_2, value_1, value_2 = one, 0.1 * one, 0.2 * one, one, 10 * one
    found = pivotal_attention(query, key_1, key_2, value_1, value_2)[0, 0, 1].item()
    first, second = math.exp(2 * (0.1 * 1 + 0.2 * 2)), math.exp(2 * (0.1 * 2 + 0.2 * 4))
    assert found == pytest.approx((first * (1 + 20) + second * (2 + 40)) / (first + second), rel=1e-12)


def test_nothing_of_the_size_of_all_triples_is_kept_for_the_backward_pass():
    inputs = parts(nodes=24, dtype=torch.float32, width=8)
    sizes = []

    def noted(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
        pivotal_attention(*inputs)
    assert sizes and max(sizes) <= B * 24 * 24 * H * 8


# The processor


def made(**options):
    torch.manual_seed(1)
    processor = processors.build("pivotal_attention", F, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() <= 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(nodes=N, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, nodes, F), (B, nodes, nodes, F), (B, F), (B, nodes, F), (B, nodes, nodes, F // 2))
    return [torch.randn(shape, generator=generator, dtype=F64) for shape in shapes]


def literal(p, x, e, g, hidden, pairs, *, scale=1.0):
    """The docstring, pair by pair."""
    nodes, width = x.shape[1], pairs.shape[-1]
    after, new = torch.empty_like(pairs), torch.empty_like(hidden)
    for b in range(len(x)):
        z = torch.cat([x[b], hidden[b]], -1)
        R = {}
        for i in range(nodes):
            for k in range(nodes):
                R[i, k] = pairs[b, i, k] + p.edge(e[b, i, k]) + p.first(z[i]) + p.second(z[k]) + p.graph(g[b])
                if i == k:
                    R[i, k] = R[i, k] + p.both(z[i])
        for block in p.blocks:
            X = {(i, k): block.norm(R[i, k] + block.turn(R[k, i])) for i, k in R}
            W = block.maps.weight.split(width)
            y = {}
            for i, k in R:
                if block.pivots == "max":
                    offers = [torch.relu(W[0] @ X[i, j] + W[1] @ X[j, k]) for j in range(nodes)]
                    y[i, k] = torch.stack(offers).amax(0)
                    continue
                heads = []
                for h in torch.arange(width).chunk(block.heads):
                    q = (W[0] @ X[i, k])[h]
                    ways = [(W[1] @ X[i, j] + W[2] @ X[j, k])[h] for j in range(nodes)]
                    values = [(W[3] @ X[i, j] + W[4] @ X[j, k])[h] for j in range(nodes)]
                    a = torch.softmax(torch.stack([q @ way * scale / math.sqrt(2 * len(h)) for way in ways]), 0)
                    heads.append(sum(w * value for w, value in zip(a, values, strict=True)))
                y[i, k] = torch.cat(heads)
            R = {ik: R[ik] + block.out(y[ik]) for ik in R}
            for ik in R:
                inner = block.first(block.network_norm(R[ik]))
                R[ik] = R[ik] + block.scale * block.second(inner * torch.sigmoid(inner))
        for i, k in R:
            gate = torch.sigmoid(p.gate(torch.cat([R[i, k], pairs[b, i, k]])))
            after[b, i, k] = gate * p.norm(R[i, k]) + (1 - gate) * pairs[b, i, k]
        for i in range(nodes):
            new[b, i] = p.node(torch.cat([after[b, i, i], after[b, i].amax(0), after[b, :, i].amax(0)]))
    return new, after


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"blocks": 2, "network_ratio": 1},
        {"head_features": 2},
        {"pivots": "max"},
        {"normalise": False},
        {"scaled": True},
    ],
    ids=str,
)
def test_formulas(options):
    processor = made(**options)
    x, e, g, hidden, pairs = data()
    scale = math.log(N) / math.log(16) if options.get("scaled") else 1.0
    found = processor(Step(x, g, Dense(built(e), N)), (hidden, pairs))
    expected = literal(processor, x, e, g, hidden, pairs, scale=scale)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
    assert processor.blocks[0].heads == (2 if "head_features" in options else 1)


def test_pairs_stay_bounded_however_many_steps_follow():
    processor = made()
    x, e, g, hidden, pairs = data()
    step, state, sizes = Step(x, g, Dense(built(e), N)), (hidden, 0 * pairs), []
    for _ in range(60):
        state = processor(step, state)
        sizes.append(state[1].abs().max().item())
    assert sizes[-1] < 2 * max(sizes[:30])
    assert sizes[-1] > sizes[0]  # it does accumulate


def test_identity_start_is_a_block_that_does_nothing_and_learns():
    pairs = data()[-1]
    block = made(identity_start=True).blocks[0]
    assert block(pairs).equal(pairs)
    assert not torch.allclose(made().blocks[0](pairs), pairs, atol=1e-2)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):  # first the zero maps move, then what is behind them
        optimizer.zero_grad()
        block(pairs).square().sum().backward()
        optimizer.step()
    assert all(parameter.grad.abs().max() > 0 for parameter in block.parameters())


def test_refusals():
    for options, message in (
        ({"pair_features": 0}, "pair_features must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"pair_features": 34, "head_features": 11}, "34 features cannot be split into heads of 11; choose a divisor"),
        ({"pivots": "mean"}, "unknown pivots 'mean'; choose softmax or max"),
        ({"pivots": "max", "scaled": True}, "scaled has no effect with pivots='max'"),
    ):
        with pytest.raises(ValueError, match=message):
            PivotalAttention(F, **options)
