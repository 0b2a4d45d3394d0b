"""Weights that are joined once per rollout: whatever happens in between, those of the layers that are asked for."""

import gc
import weakref

import torch
from torch.func import functional_call

from nar import layers
from nar.layers import linear, stacked, stacks_kept

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def check(pair):
    for found, layer in zip(stacked(pair, X), pair, strict=True):
        torch.testing.assert_close(found, layer(X))


def test_weights_are_joined_once(monkeypatch):
    joined = []
    plain = layers._cat
    monkeypatch.setattr(layers, "_cat", lambda parameters: joined.append(parameters) or plain(parameters))
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


def test_parameters_that_stand_in_for_others():
    module = torch.nn.ModuleList([linear(4, 2), linear(4, 2)])
    module.forward = lambda: torch.stack(stacked(module, X))  # type: ignore[method-assign]
    others = {name: 2 * p.detach() for name, p in module.named_parameters()}
    with stacks_kept():
        plain = module()
        torch.testing.assert_close(functional_call(module, others, ()), 2 * plain)
        torch.testing.assert_close(module(), plain)
