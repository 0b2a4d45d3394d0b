"""Small parts: straight-through minima, the comparison unit, scaling by log n. Values by hand, gradients, learning."""

import math

import pytest
import torch

from nar.nn import units
from nar.nn.processor import Processor

F64 = torch.float64
INF = float("inf")


# Straight through


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_values_are_those_of_torch_bit_for_bit(dim, dtype):
    x = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0), dtype=dtype) * 1e3
    x[2, 3] = x[0, 3]  # ties
    x[1, 1, 1] = -INF
    for temperature in (0.01, 1.0, 30.0):
        assert units.hard_max(x, dim, temperature=temperature).equal(x.amax(dim))
        assert units.hard_min(x, dim, temperature=temperature).equal(x.amin(dim))
        one_hot = units.argmax(x, dim, temperature=temperature)
        assert one_hot.argmax(dim).equal(x.argmax(dim)) and one_hot.sum(dim).eq(1).all()
        assert ((one_hot == 0) | (one_hot == 1)).all()
        assert units.argmin(x, dim, temperature=temperature).argmax(dim).equal(x.argmin(dim))


def test_gradients_of_extrema_are_shares_by_hand():
    """softmax of (0, log 3): a quarter and three quarters; at temperature 1/2 a tenth and nine tenths."""
    for temperature, share in ((1.0, 3 / 4), (0.5, 9 / 10)):
        for sign, function in ((1.0, units.hard_max), (-1.0, units.hard_min)):
            x = (sign * torch.tensor([0.0, math.log(3.0)], dtype=F64)).requires_grad_()
            (gradient,) = torch.autograd.grad(function(x, temperature=temperature), x)
            torch.testing.assert_close(gradient, torch.tensor([1 - share, share], dtype=F64))


def test_gradients_reach_both_operands_and_are_never_negative():
    for distance in (0.0, 1e-9, 1.0, 20.0, 80.0):
        for function in (units.hard_min, units.hard_max):
            x = torch.tensor([0.5, 0.5 + distance], requires_grad=True)
            (gradient,) = torch.autograd.grad(function(x), x)
            assert torch.isfinite(gradient).all() and (gradient > 0).all()
            assert gradient.sum().item() == pytest.approx(1.0)
    x = torch.tensor([1.0, -INF, 2.0], requires_grad=True)  # an entry that is left out
    (gradient,) = torch.autograd.grad(units.hard_max(x), x)
    assert gradient[1] == 0 and torch.isfinite(gradient).all()


def test_gradient_of_the_argument_is_that_of_softmax():
    x = torch.randn(4, 5, dtype=F64, requires_grad=True)
    weights = torch.randn(4, 5, dtype=F64)
    for sign, function in ((1.0, units.argmax), (-1.0, units.argmin)):
        (found,) = torch.autograd.grad((function(x, temperature=0.7) * weights).sum(), x)
        (expected,) = torch.autograd.grad((torch.softmax(sign * x / 0.7, -1) * weights).sum(), x)
        torch.testing.assert_close(found, expected)
        assert found.abs().max() > 0


def test_the_hard_side_gets_no_gradient_and_the_soft_value_is_not_used():
    hard, soft = torch.ones(2, requires_grad=True), torch.full((2,), 7.0, requires_grad=True)
    out = units.straight_through(hard, soft)
    assert out.tolist() == [1.0, 1.0]
    found = torch.autograd.grad((out * torch.tensor([2.0, 3.0])).sum(), (hard, soft), allow_unused=True)
    assert found[0] is None and found[1].tolist() == [2.0, 3.0]


def test_a_hard_minimum_learns_weights_that_only_the_maximum_hides():
    """min(a + x, b + y) is fitted although a plain minimum gives the larger operand no gradient."""
    torch.manual_seed(0)
    offsets = torch.nn.Parameter(torch.tensor([0.0, 5.0]))  # at first the second operand is never the minimum
    optimizer = torch.optim.Adam([offsets], lr=0.05)
    for _ in range(300):
        x = torch.rand(64, 2)
        wanted = (x + torch.tensor([1.0, 0.5])).amin(-1)
        loss = (units.hard_min(x + offsets) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(offsets.detach(), torch.tensor([1.0, 0.5]), rtol=0, atol=0.05)


# The comparison unit


def comparison(units_=1, sharpness=1.0):
    """One unit that compares x with 2 y, and shows its bits."""
    made = units.Comparison(1, 1, 2, units=units_, sharpness=sharpness).double()
    with torch.no_grad():
        made.first.weight.fill_(1.0)
        made.second.weight.fill_(2.0)
        made.bits.weight.copy_(torch.eye(2))
    return made


def test_bits_by_hand():
    for sharpness in (0.5, 1.0, 4.0):
        made = comparison(sharpness=sharpness)
        for x, y in ((3.0, 1.0), (1.0, 3.0), (4.0, 2.0)):
            sign = math.tanh(sharpness * (x - 2 * y))
            found = made(torch.tensor([x], dtype=F64), torch.tensor([y], dtype=F64))
            assert found.tolist() == pytest.approx([sign, 1 - 2 * sign**2])
    assert found.tolist() == [0.0, 1.0]  # 4 = 2 * 2: neither more nor less, and the same
    far = comparison(sharpness=4.0)(torch.tensor([1e6], dtype=F64), torch.tensor([1.0], dtype=F64))
    assert far.tolist() == [1.0, -1.0]


def test_several_units_are_added_up_and_pairs_broadcast():
    torch.manual_seed(0)
    made = units.Comparison(3, 4, 2, units=5, sharpness=0.3).double()
    x, y = torch.randn(2, 6, 3, dtype=F64), torch.randn(2, 6, 4, dtype=F64)
    found = made(x.unsqueeze(2), y.unsqueeze(1))
    one, other = made.operands(x, y)
    torch.testing.assert_close(made.compare(one.unsqueeze(2), other.unsqueeze(1)), found)
    for i in range(6):
        for j in range(6):
            expected = made.bits.bias.expand(2, 2).clone()
            for u in range(5):
                d = x[:, i] @ made.first.weight[u] + made.first.bias[u] - y[:, j] @ made.second.weight[u]
                sign = torch.tanh(0.3 * (d - made.second.bias[u]))
                expected = expected + sign[:, None] * made.bits.weight[:, u]
                expected = expected + (1 - 2 * sign[:, None] ** 2) * made.bits.weight[:, 5 + u]
            torch.testing.assert_close(found[:, i, j], expected)
    gradients = torch.autograd.grad(found.sin().sum(), list(made.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_a_comparison_learned_on_small_numbers_holds_for_large_ones():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    made = units.Comparison(2, 2, 3, units=8)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.02)

    def draw(scale):
        pairs = torch.randint(0, 10, (256, 2), generator=generator) * scale
        pairs[::3, 1] = pairs[::3, 0]
        return pairs.float(), torch.sign(pairs[:, 0] - pairs[:, 1]) + 1

    for _ in range(400):
        pairs, kind = draw(1)
        loss = torch.nn.functional.cross_entropy(made(pairs, pairs), kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pairs, kind = draw(1)
    assert (made(pairs, pairs).argmax(-1) == kind).float().mean() > 0.98
    pairs, kind = draw(1000)
    differ = kind != 1  # exact equality at a thousand times the scale would take weights that are exactly equal
    assert (made(pairs, pairs).argmax(-1) == kind)[differ].float().mean() > 0.98


def test_a_processor_takes_the_unit_in_its_messages():
    class Compares(Processor):
        def __init__(self, features):
            super().__init__(features)
            self.unit = units.Comparison(2 * features, 2 * features, features)

        def forward(self, step, state):
            z_BNZ = torch.cat([step.nodes, state], -1)
            one, other = self.unit.operands(z_BNZ, z_BNZ)
            messages = self.unit.compare(step.hood.receivers(one), step.hood.senders(other))
            return torch.tanh(step.hood.reduce(messages, "max"))

    import naive

    from nar.model.reasoner import Reasoner

    torch.manual_seed(0)
    made = Reasoner({"everything": naive.everything()}, Compares(8)).double().eval()
    batch, order = naive.random_batch([3, 2], nodes=5), torch.tensor([3, 0, 4, 1, 2])
    ours, renamed = made(batch), made(naive.permute(batch, order))
    for name in ("output_node_scalar", "output_edge_scalar"):
        wanted = naive.permute_prediction(batch.spec[name], ours.outputs[name], order)
        torch.testing.assert_close(renamed.outputs[name], wanted)


# Scaling by log n


def test_scaling_by_hand():
    made = units.LogScale().double()
    logits = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    torch.testing.assert_close(made(logits, 16), logits, rtol=1e-6, atol=0)
    torch.testing.assert_close(made(logits, 256), 2 * logits, rtol=1e-6, atol=0)
    torch.testing.assert_close(made(logits, 4), logits / 2, rtol=1e-6, atol=0)
    with torch.no_grad():
        made.scale.fill_(3.0)
    torch.testing.assert_close(made(logits, 8), 3 * math.log(8) * logits)
    (gradient,) = torch.autograd.grad(made(logits, 8).sum(), made.scale)
    assert gradient.item() == pytest.approx(math.log(8) * -0.5)


def test_scaled_attention_stays_peaked():
    """One logit above the rest by log 16 keeps about half of the weight at any n; unscaled it falls like 1 / n."""
    made = units.LogScale()
    for nodes in (16, 256, 4096):
        logits = torch.zeros(nodes)
        logits[0] = math.log(16)
        assert torch.softmax(made(logits, nodes), 0)[0].item() == pytest.approx(0.5, abs=0.02)
    assert torch.softmax(logits, 0)[0] < 0.005


def test_the_scale_learns_how_peaked_to_be():
    torch.manual_seed(0)
    made = units.LogScale()
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    for step in range(400):
        nodes = (8, 16, 32)[step % 3]
        logits = torch.randn(64, nodes)
        wanted = torch.softmax(2.5 * math.log(nodes) * logits, -1)
        loss = -(wanted * torch.log_softmax(made(logits, nodes), -1)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert made.scale.item() == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("function", [units.hard_min, units.hard_max, units.argmin, units.argmax])
def test_temperatures_that_make_no_sense(function):
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        function(torch.zeros(2), temperature=0)


def test_units_that_make_no_sense():
    for count, sharpness in ((0, 1.0), (1, 0.0)):
        with pytest.raises(ValueError, match="need units >= 1 and sharpness > 0, got "):
            units.Comparison(2, 2, 1, units=count, sharpness=sharpness)
