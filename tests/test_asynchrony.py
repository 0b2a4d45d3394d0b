"""Asynchrony: the layers and their equations by hand, what fails them, the penalty that pushes towards them."""

import itertools

import pytest
import torch
from asynchronous_layers import EQUATIONS, B, N, data, made
from naive import F64

from nar import datasets, processors
from nar.analysis.asynchrony import asynchrony_residuals
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn import message_layer
from nar.processors.asynchronous import L2Max, L3Tropical

# The layers


def literal(p, x, e, g, s, adjacency):
    """The docstring of processors/asynchronous.py, message by message."""
    new = s.clone()
    for b, v in itertools.product(range(B), range(N)):
        for u in range(N):
            if adjacency is not None and not adjacency[b, u, v]:
                continue
            if isinstance(p, L3Tropical):
                reach = s[b, u].unsqueeze(1) + p.of_sender  # [i, f]
                if p.sharpness is None:
                    reach = reach.max(0).values
                else:
                    reach = torch.log(torch.exp(p.sharpness * reach).sum(0)) / p.sharpness
                m = p.sender(x[b, u]) + reach + p.receiver(x[b, v])
                if p.of_receiver is not None:
                    m = m + (s[b, v].unsqueeze(1) + p.of_receiver).max(0).values
            else:
                m = p.sender(torch.cat([x[b, u], s[b, u]])) + p.receiver(torch.cat([x[b, v], s[b, v]]))
            m = m + p.edge(e[b, u, v]) + p.graph(g[b])
            if p.bound is not None:
                m = m.clamp(-p.bound, p.bound)
            new[b, v] = torch.maximum(new[b, v], m)
    return new


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("l2_max", {}),
        ("l2_max", {"bound": 0.5}),
        ("l3_tropical", {}),
        ("l3_tropical", {"bound": 0.5}),
        ("l3_tropical", {"sharpness": 2.0}),
        ("receiver", {}),
        ("unbounded", {}),
    ],
)
def test_formulas(name, options, complete):
    processor = made(name, F64, complete=complete, **options)
    step, state = data(F64, adjacency=True)
    x, e, g = step.nodes, step.hood.edge_features.channels, step.graph
    adjacency = None if complete else step.hood.adjacency_BNN
    with torch.no_grad():
        expected = literal(processor, x, e, g, state, adjacency)
        torch.testing.assert_close(processor(step, state), expected, rtol=1e-10, atol=1e-10)
    assert processor.uses_adjacency != complete


def test_a_bound_bounds():
    step, start = data()
    free, bound = made("unbounded"), made("l3_tropical", bound=3.0)
    free_state, state = start, start
    for _ in range(100):
        free_state, state = free(step, free_state), bound(step, state)
    assert free_state.max() > 50 and state.max() == max(3.0, start.max().item())


def test_options_are_checked():
    for cls, option, message in (
        (L2Max, {"bound": 0.0}, "need bound > 0"),
        (L3Tropical, {"sharpness": -1.0}, "need sharpness > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            cls(4, **option)


# The equations


@pytest.mark.parametrize("name", ["l3_tropical", "receiver", "unbounded"])
@pytest.mark.parametrize("adjacency", [False, True])
def test_the_hard_max_plus_layer_satisfies_every_equation(name, adjacency):
    for seed in range(5):
        processor = made(name, features=16, seed=seed, complete=not adjacency)
        assert set(asynchrony_residuals(processor)) == set(EQUATIONS)
        assert max(asynchrony_residuals(processor).values()) < 1e-6
        step, state = data(seed=seed, features=16, adjacency=adjacency)
        assert max(asynchrony_residuals(processor, step, 5 * state).values()) == 0


def test_what_fails_is_flagged():
    """A linear psi is no homomorphism, a smooth maximum hardly; PGN's update is no action; a mean is no monoid."""
    exact, flagged = 1e-6, 0.1
    for seed in range(3):
        linear = asynchrony_residuals(made("l2_max", features=16, seed=seed))
        assert max(linear[name] for name in ("aggregation", "action", "cocycle")) < exact
        assert linear["multimorphism"] > flagged
        smooth = asynchrony_residuals(made("l3_tropical", features=16, seed=seed, sharpness=1.0))
        assert max(smooth[name] for name in ("aggregation", "action", "cocycle")) < exact
        assert smooth["multimorphism"] > flagged
        torch.manual_seed(seed)
        for name in ("mpnn", "gmpnn"):
            found = asynchrony_residuals(processors.build(name, 16))
            assert found["aggregation"] < exact and found["action"] > flagged and found["cocycle"] > flagged
        found = asynchrony_residuals(processors.build("mpnn", 16, reduction="mean"))
        assert found["aggregation"] > flagged
        found = asynchrony_residuals(processors.build("mpnn", 16, reduction="sum").double())
        assert found["aggregation"] < exact and found["action"] > flagged


class Counter:
    """Counts what it is told, weighted: every equation holds for sums, if only it sends linear messages."""

    aggregation = "sum"
    features = 1

    def __init__(self, constant=0.0, forget=0.0, how="sum"):
        self.constant, self.forget, self.aggregation = constant, forget, how

    def parameters(self):
        return iter([torch.zeros(1, dtype=F64)])

    def neighbours(self, hood):
        return hood

    def messages(self, step, senders_BNF, receivers_BNF):
        return step.hood.edges(torch.nn.Linear(1, 1, bias=False).double()) * 0 + (
            senders_BNF.unsqueeze(2) * 2 + self.constant
        )

    def update(self, step, state_BNF, message_BNF):
        return (1 - self.forget) * state_BNF + message_BNF


def test_sums_by_hand():
    """phi(s, m) = s + m is an action of numbers under addition, and sums of states no cocycle: s would count twice."""
    found = asynchrony_residuals(Counter())
    assert found["aggregation"] < 1e-12 and found["action"] < 1e-12 and found["cocycle"] > 0.1
    assert asynchrony_residuals(Counter(forget=0.25))["action"] > 0.1
    # psi(a + b, c) = 2 (a + b) + 1 is 1 less than psi(a, c) + psi(b, c); in the other slot psi is constant in a, b
    step, _ = data(F64, features=1)
    one, two = torch.randn(2, B, N, 1, dtype=F64)
    gap = message_layer.multimorphism_gap(Counter(constant=1.0), step, one, two)
    torch.testing.assert_close(gap[0], torch.full_like(gap[0], -1.0))
    torch.testing.assert_close(gap[1], -(2 * one + 1).unsqueeze(2).expand_as(gap[1]))


def test_each_half_of_an_equation_counts():
    """Neutral elements that do something, and things done one after the other that are not the sum, each alone."""

    class Floor(Counter):  # phi(s, 0) is not s, though phi(phi(s, m), n) = phi(s, m + n)
        def update(self, step, state_BNF, message_BNF):
            return torch.maximum(torch.maximum(state_BNF, message_BNF), torch.zeros(1, dtype=F64))

    class Square(Counter):  # phi(s, 0) = s, but squares do not add up
        def update(self, step, state_BNF, message_BNF):
            return state_BNF + message_BNF * message_BNF.abs()

    assert asynchrony_residuals(Floor(how="max"))["action"] > 0.1
    assert asynchrony_residuals(Square())["action"] > 0.1
    step, state = data(F64, features=1)
    two = state.abs() + 1
    two[:, ::3] = 0  # the first share of the messages is all zero, so that its mean with nothing is too
    found = asynchrony_residuals(Counter(how="mean"), step, two)
    whole, share = 2 * two.mean(1), 2 * two.sum(1) / 4  # of 6 senders, 2 are in the first share
    assert found["aggregation"] == pytest.approx((whole - share / 2).abs().max().item())


def test_residuals_are_repeatable_and_ask_for_what_they_need():
    processor = made("l2_max")
    assert asynchrony_residuals(processor) == asynchrony_residuals(processor)
    step, _ = data()
    with pytest.raises(ValueError, match="both a step and a state"):
        asynchrony_residuals(processor, step)
    with pytest.raises(ValueError, match="need 2 nodes or more"):
        asynchrony_residuals(processor, nodes=1)
    for name, message in (
        ("gat", "GAT cannot be taken apart"),
        ("v3", "V3 cannot be taken apart"),
        ("triplet_mpnn", "leave triplets away"),
        ("deepsets", "every node is alone"),
    ):
        with pytest.raises(ValueError, match=message):
            asynchrony_residuals(processors.build(name, 8))
    with pytest.raises(ValueError, match="unknown aggregation 'median'"):
        asynchrony_residuals(Counter(how="median"))


def test_the_penalty_of_l2_max_pushes_psi_towards_a_homomorphism():
    batch = draw(datasets.get("bfs"), 6, 4, seed=(1, 2), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build("bfs", "l2_max", hidden=8, asynchrony_weight=10.0).train()
    optimiser = torch.optim.Adam(reasoner.parameters(), 1e-2)
    values = []
    for _ in range(30):
        rollout = reasoner(batch, gumbel=False)
        values.append(rollout.penalties["asynchrony"].item())
        optimiser.zero_grad()
        rollout.penalties["asynchrony"].backward()
        optimiser.step()
    assert 0 < values[-1] < 0.2 * values[0]
    torch.manual_seed(0)
    lighter = Reasoner.build("bfs", "l2_max", hidden=8, asynchrony_weight=2.5).train()
    assert lighter(batch, gumbel=False).penalties["asynchrony"].item() == pytest.approx(values[0] / 4)
    assert not reasoner.eval()(batch).penalties
    assert not Reasoner.build("bfs", "l2_max", hidden=8).train()(batch).penalties
    assert total_loss(batch, reasoner(batch)).isfinite()
