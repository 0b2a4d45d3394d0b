"""Several seeds at once: torch.vmap over stacked parameters equals one seed after the other, values and gradients."""

import pytest
import torch
from torch.func import functional_call, stack_module_state

from nar import processors
from nar.kernels.cpu import fused, ranges
from nar.nn import reductions, semiring, units
from nar.nn.affine import AffineFeatures, materialize
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.pivotal_attention import pivotal_attention

SEEDS = 3


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def plain_loop(function, in_dims, arguments):
    rows = [
        [a if dim is None else a.select(dim, seed) for a, dim in zip(arguments, in_dims, strict=True)]
        for seed in range(SEEDS)
    ]
    return torch.stack([function(*row) for row in rows])


def same(function, in_dims, arguments):
    """Values, and gradients with respect to all arguments, of vmap and of a loop."""
    leaves = [a for a in arguments if a is not None and a.requires_grad]
    found = torch.vmap(function, in_dims=tuple(in_dims))(*arguments)
    expected = plain_loop(function, in_dims, arguments)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    weights = torch.randn_like(found)
    pairs = (torch.autograd.grad((value.sin() * weights).sum(), leaves) for value in (found, expected))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def mapped(shapes, in_dims):
    """One tensor per shape, with the axis of seeds put in where it is mapped."""
    return [
        randn(*shape) if dim is None else randn(*shape[:dim], SEEDS, *shape[dim:])
        for shape, dim in zip(shapes, in_dims, strict=True)
    ]


# which arguments have an axis of seeds, and where: all of them, parameters only, data only
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "in_dims", [[0] * 8, [None, 1, None, None, 0, 0, 0, 0], [1, None, 2, 0, None, None, None, None]]
)
def test_pooled_messages(in_dims, masked):
    graphs, nodes, features, width = 2, 4, 3, 2
    shapes = [(graphs, nodes, nodes, width), (width, features), (graphs, nodes, features), (graphs, nodes, features)]
    shapes += [(features, features), (features,)] * 2
    mask = (torch.rand(graphs, nodes, nodes) < 0.5) | torch.eye(nodes, dtype=torch.bool) if masked else None

    def pool(channels, edge, senders, receivers, weight1, bias1, weight2, bias2):
        return fused.message_pool(channels, edge, senders, receivers, (weight1, bias1), (weight2, bias2), mask)

    same(pool, in_dims, mapped(shapes, in_dims))


def test_pooled_messages_under_masks_of_their_own():
    arguments = mapped([(2, 3, 3, 1), (1, 4), (2, 3, 4), (2, 3, 4), (4, 4), (4,), (4, 4), (4,)], [0] * 8)
    mask = (torch.rand(2, SEEDS, 3, 3) < 0.5) | torch.eye(3, dtype=torch.bool)

    def pool(channels, edge, senders, receivers, weight1, bias1, weight2, bias2, mask):
        return fused.message_pool(channels, edge, senders, receivers, (weight1, bias1), (weight2, bias2), mask)

    same(pool, [0] * 8 + [1], [*arguments, mask])


@pytest.mark.parametrize("in_dims", [[0] * 6, [None, 1, None, 1, 0, 0], [0, None, 2, None, None, None]])
@pytest.mark.parametrize("stateful", [False, True])
def test_pointer_scores(in_dims, stateful):
    shapes = [(2, 4, 4, 2), (2, 3), (2, 4, 4, 3), (2, 4, 3), (2, 4, 3), (3,)]
    arguments = mapped(shapes, in_dims)
    if not stateful:
        in_dims, arguments = in_dims[:2] + in_dims[3:], arguments[:2] + arguments[3:]

    def scores(channels, edge, *rest):
        return fused.pointer_scores(channels, edge, *(rest if stateful else (None, *rest)))

    same(scores, in_dims, arguments)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("in_dims", [[0, 0], [None, 3], [1, None]])
def test_max_plus(in_dims, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(ranges, "usable", lambda *_: False)
    same(reductions.max_plus, in_dims, mapped([(2, 5, 3, 4), (2, 5, 6, 4)], in_dims))


@pytest.mark.parametrize("chunk", [1, 10**9])
@pytest.mark.parametrize("name", semiring.SEMIRINGS)
def test_semirings(name, chunk, monkeypatch):
    monkeypatch.setattr(semiring, "CHUNK_BYTES", chunk)
    same(lambda a, b: semiring.product(a, b, name), [0, 1], mapped([(2, 4, 3, 2), (2, 4, 5, 2)], [0, 1]))
    same(lambda x, w: semiring.linear(x, w, name), [None, 0], mapped([(2, 4, 3), (3, 5)], [None, 0]))


@pytest.mark.parametrize("in_dims", [[0] * 5, [0, None, 1, 0, None]])
def test_pivotal_attention(in_dims):
    same(pivotal_attention, in_dims, mapped([(2, 3, 3, 2, 4)] * 5, in_dims))


def test_straight_through():
    same(units.straight_through, [0, 1], [torch.randn(SEEDS, 4, dtype=torch.float64), randn(4, SEEDS)])
    same(lambda x: units.hard_max(x, -1), [1], [randn(4, SEEDS, 5)])


def test_a_mapped_function_may_be_mapped_again():
    left, right = randn(SEEDS, 2, 2, 4, 3, 2), randn(SEEDS, 2, 4, 3, 2)
    found = torch.vmap(lambda a, b: torch.vmap(reductions.max_plus, in_dims=(0, None))(a, b))(left, right)
    for seed in range(SEEDS):
        for k in range(2):
            torch.testing.assert_close(found[seed, k], reductions.max_plus(left[seed, k], right[seed]))


class Rolled(torch.nn.Module):
    """Two steps of a processor over fixed inputs, and a number made of what it shows."""

    def __init__(self, processor, inputs):
        super().__init__()
        self.processor, self.inputs = processor, inputs

    def forward(self):
        nodes, graph, channels, weight, bias, adjacency = self.inputs
        step = Step(nodes, graph, Dense(AffineFeatures(channels, weight, bias), nodes.shape[1], adjacency))
        before = self.processor.initial_state(len(nodes), nodes.shape[1], nodes.detach())
        for _ in range(2):
            state, before = before, self.processor(step, before)
        shown = self.processor.readout(step, state, before)
        return shown.nodes.sin().sum() + (0 if shown.edges is None else torch.sin(materialize(shown.edges)).sum())


@pytest.mark.parametrize("name", ["mpnn", "triplet_gmpnn", "pgn", "pgn_mask", "gat", "gatv2", "deepsets", "v3"])
def test_processors_over_stacked_parameters(name):
    """Several processors of one kind over the same graphs, and the gradients of all their parameters."""
    adjacency = (torch.rand(2, 5, 5) < 0.5) | torch.eye(5, dtype=torch.bool)
    inputs = randn(2, 5, 8), randn(2, 8), randn(2, 5, 5, 3), randn(3, 8), randn(8), adjacency
    networks = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        networks.append(Rolled(processors.build(name, 8).double(), inputs))
    stacked, buffers = stack_module_state(networks)
    found = torch.vmap(lambda p, b: functional_call(networks[0], (p, b), ()))(stacked, buffers)
    found.sum().backward()
    for seed, network in enumerate(networks):
        value = network()
        torch.testing.assert_close(found[seed], value, rtol=1e-12, atol=1e-12)
        expected = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
        for (key, _), gradient in zip(network.named_parameters(), expected, strict=True):
            ours = stacked[key].grad[seed]
            zero = torch.zeros_like(ours)
            torch.testing.assert_close(ours, zero if gradient is None else gradient, rtol=1e-10, atol=1e-12)
