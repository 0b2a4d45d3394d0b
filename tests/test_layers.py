"""Weights that are joined once per rollout: whatever happens in between, those of the layers that are asked for.

And features that are not built: their maps are composed with what would have made them.
"""

import gc
import weakref

import pytest
import torch
from torch.func import functional_call

from nar.nn import layers
from nar.nn.layers import Factored, built, columns_from, linear, stacked, stacks_kept
from nar.nn.neighbourhood import Alone
from nar.nn.processor import Step
from nar.nn.units import straight_through

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def check(pair):
    for found, layer in zip(stacked(pair, X), pair, strict=True):
        torch.testing.assert_close(found, layer(X))


def test_weights_are_joined_once(monkeypatch):
    joined = []
    plain = layers._cat
    monkeypatch.setattr(layers, "_cat", lambda *given: joined.append(given) or plain(*given))
    one, other = [linear(4, 2), linear(4, 3)], [linear(4, 2), linear(4, 3)]
    with stacks_kept():
        for _ in range(3):
            check(one)
            check(other)
            check(one[::-1])
    assert len(joined) == 3
    check(one)
    check(one)
    assert len(joined) == 5  # outside of a rollout, where weights may change
    with stacks_kept():
        check(one)
    assert len(joined) == 6


def test_gradients_are_those_of_the_layers():
    pair = [linear(4, 2), linear(4, 3)]
    found = []
    for context in (stacks_kept, torch.enable_grad):
        with context():
            total = sum((y.square().sum() for _ in range(3) for y in stacked(pair, X)), torch.zeros(()))
        found.append(torch.autograd.grad(total, [p for layer in pair for p in layer.parameters()]))
    torch.testing.assert_close(*found)


def test_layers_that_are_made_on_the_way():
    """None may take the place of another whose weights are joined already: those live as long as what was joined."""
    with stacks_kept(), torch.no_grad():
        pair = [linear(4, 2), linear(4, 2)]
        check(pair)
        parameters = [weakref.ref(p) for layer in pair for p in layer.parameters()]
        del pair
        assert all(reference() is not None for reference in parameters)
        for _ in range(50):
            check([linear(4, 2), linear(4, 2)])
    gc.collect()
    assert all(reference() is None for reference in parameters)


def test_weights_joined_without_gradients_are_not_taken_where_they_are_needed():
    pair = [linear(4, 2), linear(4, 3)]
    with stacks_kept():
        with torch.no_grad():
            check(pair)
        with torch.inference_mode():
            check(pair)
        check(pair)
        assert all(y.requires_grad for y in stacked(pair, X))


def test_layers_without_a_bias():
    for pair in ([linear(4, 2), torch.nn.Linear(4, 3, bias=False)], [torch.nn.Linear(4, 3, bias=False)] * 2):
        with stacks_kept():
            check(pair)
            check(pair[:1])


def test_parameters_that_stand_in_for_others():
    module = torch.nn.ModuleList([linear(4, 2), linear(4, 2)])
    module.forward = lambda: torch.stack(stacked(module, X))  # type: ignore[method-assign]
    others = {name: 2 * p.detach() for name, p in module.named_parameters()}
    with stacks_kept():
        plain = module()
        torch.testing.assert_close(functional_call(module, others, ()), 2 * plain)
        torch.testing.assert_close(module(), plain)


def factored(channels, rest, features=4):
    """Features [x | rest], unbuilt, and the leaves that they are made of."""
    generator = torch.Generator().manual_seed(1)
    sizes = [(2, 3, channels), (2, 3, rest), (channels, features), (features,)]
    c, r, weight, bias = leaves = [torch.randn(s, generator=generator, dtype=torch.float64) for s in sizes]
    for leaf in leaves:
        leaf.requires_grad_()
    return Factored(torch.cat([c, r], -1), weight, bias), leaves


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("channels", "rest", "count"), [(2, 5, 3), (1, 0, 2), (0, 5, 2), (2, 5, 1)])
def test_features_need_not_be_built(keep, channels, rest, count):
    """Values and gradients, of one layer and of several, twice in a rollout."""
    layers_of = torch.nn.ModuleList(linear(4 + rest, width) for width in (3, 1, 2)[:count]).double()
    found = []
    for apart in (True, False):
        x, leaves = factored(channels, rest)
        torch.testing.assert_close(built(x)[..., :4], leaves[0] @ leaves[2] + leaves[3])
        assert torch.equal(built(x)[..., 4:], leaves[1])
        context = stacks_kept if keep else torch.enable_grad
        with context():
            given = x if apart else built(x)
            values = [*stacked(layers_of, given), *(2 * y for y in stacked(layers_of, given))]
        total = sum((y.square().sum() for y in values), torch.zeros(()))
        found.append((values, torch.autograd.grad(total, [*leaves, *layers_of.parameters()], allow_unused=True)))
    (values, gradients), (expected, plain) = found
    for one, other in zip([*values, *gradients], [*expected, *plain], strict=True):
        torch.testing.assert_close(one, other)


def test_maps_are_composed_once_for_each_that_is_before():
    one, other = factored(2, 5)[0], factored(1, 5)[0]
    pair = [linear(9, 2).double(), linear(9, 3).double()]
    with stacks_kept():
        for x in (one, other, one, one.beside(), other):
            for found, layer in zip(stacked(pair, x), pair, strict=True):
                torch.testing.assert_close(found, layer(built(x)))


def test_columns_are_cut_once():
    layer = linear(4, 3)
    found = []
    for context in (stacks_kept, torch.enable_grad):
        with context():
            cuts = [columns_from(layer, 1), columns_from(layer, 3), columns_from(layer, 1)]
            assert (cuts[0] is cuts[2]) == (context is stacks_kept)
            assert torch.equal(cuts[0], layer.weight[:, 1:]) and torch.equal(cuts[1], layer.weight[:, 3:])
        found += torch.autograd.grad(sum((cut.square().sum() for cut in cuts), torch.zeros(())), layer.weight)
    torch.testing.assert_close(*found)


def test_a_step_whose_nodes_were_replaced_does_not_know_how_they_were_made():
    x, _ = factored(2, 0)
    step = Step(x.features, torch.zeros(2, 4), Alone.__new__(Alone), factored=x)
    state = torch.ones(2, 3, 1)
    unbuilt = step.beside(state)
    assert isinstance(unbuilt, Factored) and torch.equal(built(unbuilt), torch.cat([x.features, state], -1))
    step.nodes = step.nodes + 1
    assert torch.equal(step.beside(state), torch.cat([x.features + 1, state], -1))


@pytest.mark.parametrize("gradients", [True, False])
def test_the_compiler_sees_through(gradients):
    """Maps of [x | H], and autograd functions of nar's own, without a break."""
    pair = torch.nn.ModuleList([linear(6, 3), linear(6, 2)])

    def forward(step, state):
        one, other = stacked(pair, step.beside(state))
        return straight_through(one.round(), one), other

    channels, weight, bias, state = (torch.randn(size) for size in ((2, 3, 2), (2, 4), (4,), (2, 3, 2)))
    x = Factored(channels, weight, bias)
    step = Step(x.features, state, Alone.__new__(Alone), factored=x)  # made outside, as in a rollout
    with torch.set_grad_enabled(gradients), stacks_kept():
        found = torch.compile(forward, backend="aot_eager", fullgraph=True)(step, state)
    for one, other in zip(found, forward(step, state), strict=True):
        torch.testing.assert_close(one, other)
