"""Weights that are joined once per rollout: whatever happens in between, those of the layers that are asked for.

And features that are not built: their maps are composed with what would have made them.
"""

import gc
import weakref

import pytest
import torch
from torch.func import functional_call

from nar.nn import affine
from nar.nn.affine import NOT_KEPT, AffineFeatures, ComposedWeights, joint_linear, materialize
from nar.nn.layers import linear
from nar.nn.neighbourhood import SelfLoops
from nar.nn.processor import Step
from nar.nn.units import straight_through

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def check(pair, weights=NOT_KEPT):
    for found, layer in zip(joint_linear(pair, X, weights), pair, strict=True):
        torch.testing.assert_close(found, layer(X))


def test_weights_are_joined_once(monkeypatch):
    joined = []
    plain = affine._join
    monkeypatch.setattr(affine, "_join", lambda layers: joined.append(layers) or plain(layers))
    one, other = [linear(4, 2), linear(4, 3)], [linear(4, 2), linear(4, 3)]
    rollout = ComposedWeights()
    for _ in range(3):
        check(one, rollout)
        check(other, rollout)
        check(one[::-1], rollout)
    assert len(joined) == 3
    check(one)
    check(one)
    assert len(joined) == 5  # outside of a rollout, where weights may change
    check(one, ComposedWeights())
    assert len(joined) == 6


def test_gradients_are_those_of_the_layers():
    pair = [linear(4, 2), linear(4, 3)]
    found = []
    for weights in (ComposedWeights(), NOT_KEPT):
        total = sum((y.square().sum() for _ in range(3) for y in joint_linear(pair, X, weights)), torch.zeros(()))
        found.append(torch.autograd.grad(total, [p for layer in pair for p in layer.parameters()]))
    torch.testing.assert_close(*found)


def test_layers_that_are_made_on_the_way():
    """None may take the place of another whose weights are joined already: those live as long as what was joined."""
    rollout = ComposedWeights()
    with torch.no_grad():
        pair = [linear(4, 2), linear(4, 2)]
        check(pair, rollout)
        parameters = [weakref.ref(p) for layer in pair for p in layer.parameters()]
        del pair
        assert all(reference() is not None for reference in parameters)
        for _ in range(50):
            check([linear(4, 2), linear(4, 2)], rollout)
    del rollout
    gc.collect()
    assert all(reference() is None for reference in parameters)


def test_weights_joined_without_gradients_are_not_taken_where_they_are_needed():
    pair, rollout = [linear(4, 2), linear(4, 3)], ComposedWeights()
    with torch.no_grad():
        check(pair, rollout)
    with torch.inference_mode():
        check(pair, rollout)
    check(pair, rollout)
    assert all(y.requires_grad for y in joint_linear(pair, X, rollout))


def test_layers_without_a_bias():
    for pair in ([linear(4, 2), torch.nn.Linear(4, 3, bias=False)], [torch.nn.Linear(4, 3, bias=False)] * 2):
        rollout = ComposedWeights()
        check(pair, rollout)
        check(pair[:1], rollout)


def test_parameters_that_stand_in_for_others():
    module, rollout = torch.nn.ModuleList([linear(4, 2), linear(4, 2)]), ComposedWeights()
    module.forward = lambda: torch.stack(joint_linear(module, X, rollout))  # type: ignore[method-assign]
    others = {name: 2 * p.detach() for name, p in module.named_parameters()}
    plain = module()
    torch.testing.assert_close(functional_call(module, others, ()), 2 * plain)
    torch.testing.assert_close(module(), plain)


def affine_features(channels, rest, features=4, weights=NOT_KEPT):
    """Features [x | rest], unbuilt, and the leaves that they are made of."""
    generator = torch.Generator().manual_seed(1)
    sizes = [(2, 3, channels), (2, 3, rest), (channels, features), (features,)]
    c, r, weight, bias = leaves = [torch.randn(s, generator=generator, dtype=torch.float64) for s in sizes]
    for leaf in leaves:
        leaf.requires_grad_()
    return AffineFeatures(torch.cat([c, r], -1), weight, bias, weights), leaves


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("channels", "rest", "count"), [(2, 5, 3), (1, 0, 2), (0, 5, 2), (2, 5, 1)])
def test_features_need_not_be_built(keep, channels, rest, count):
    """Values and gradients, of one layer and of several, twice in a rollout."""
    layers_of = torch.nn.ModuleList(linear(4 + rest, width) for width in (3, 1, 2)[:count]).double()
    found = []
    for apart in (True, False):
        x, leaves = affine_features(channels, rest, weights=ComposedWeights(keep=keep))
        torch.testing.assert_close(materialize(x)[..., :4], leaves[0] @ leaves[2] + leaves[3])
        assert torch.equal(materialize(x)[..., 4:], leaves[1])
        given = x if apart else materialize(x)
        values = [*joint_linear(layers_of, given), *(2 * y for y in joint_linear(layers_of, given))]
        total = sum((y.square().sum() for y in values), torch.zeros(()))
        found.append((values, torch.autograd.grad(total, [*leaves, *layers_of.parameters()], allow_unused=True)))
    (values, gradients), (expected, plain) = found
    for one, other in zip([*values, *gradients], [*expected, *plain], strict=True):
        torch.testing.assert_close(one, other)


def test_maps_are_composed_once_for_each_that_is_before():
    rollout = ComposedWeights()
    one, other = (affine_features(count, 5, weights=rollout)[0] for count in (2, 1))
    pair = [linear(9, 2).double(), linear(9, 3).double()]
    for x in (one, other, one, one.concat(), other):
        for found, layer in zip(joint_linear(pair, x), pair, strict=True):
            torch.testing.assert_close(found, layer(materialize(x)))
    assert one.compose(pair)[0] is one.concat().compose(pair)[0]
    assert one.compose(pair)[0] is not other.compose(pair)[0]


@pytest.mark.parametrize("built", [True, False])
def test_a_layer_whose_first_columns_alone_are_of_the_features(built):
    x, _ = affine_features(2, 3, weights=ComposedWeights())
    if built:
        x = AffineFeatures.of(x.dense(), ComposedWeights())
    layer = linear(9, 3).double()
    assert x.width == 7
    torch.testing.assert_close(x.project(layer, columns=7), x.dense() @ layer.weight[:, :7].t() + layer.bias)
    narrow = linear(7, 3).double()
    torch.testing.assert_close(x.project(narrow), narrow(x.dense()))


def test_a_step_whose_nodes_were_replaced_does_not_know_how_they_were_made():
    x, _ = affine_features(2, 0)
    step = Step(x.dense(), torch.zeros(2, 4), SelfLoops.__new__(SelfLoops), features=x)
    state = torch.ones(2, 3, 1)
    unbuilt = step.concat(state)
    assert isinstance(unbuilt, AffineFeatures)
    torch.testing.assert_close(materialize(unbuilt), torch.cat([x.dense(), state], -1))
    step.nodes = step.nodes + 1
    assert torch.equal(step.concat(state), torch.cat([x.dense() + 1, state], -1))


@pytest.mark.parametrize("gradients", [True, False])
def test_the_compiler_sees_through(gradients):
    """Maps of [x | H], and autograd functions of nar's own, without a break."""
    pair = torch.nn.ModuleList([linear(6, 3), linear(6, 2)])

    def forward(step, state):
        one, other = joint_linear(pair, step.concat(state))
        return straight_through(one.round(), one), other

    channels, weight, bias, state = (torch.randn(size) for size in ((2, 3, 2), (2, 4), (4,), (2, 3, 2)))
    x = AffineFeatures(channels, weight, bias, ComposedWeights())
    step = Step(x.dense(), state, SelfLoops.__new__(SelfLoops), features=x)  # made outside, as in a rollout
    with torch.set_grad_enabled(gradients):
        found = torch.compile(forward, backend="aot_eager", fullgraph=True)(step, state)
    for one, other in zip(found, forward(step, state), strict=True):
        torch.testing.assert_close(one, other)
