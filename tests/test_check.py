"""`nar check` finds what is wrong with a processor: one that is right, and one broken in every way that is checked."""

import pytest
import torch
from torch import nn
from wrong_processors import WRONG, Right

from nar import processors
from nar.analysis.contract import check, fixture
from nar.analysis.contract import cost as check_cost
from nar.analysis.contract.fixture import Fixture
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor


def outcomes(kind, *, compiled=False):
    checks = {name: made for name, made in check.CHECKS.items() if compiled or name != "compile"}
    return {outcome.check: outcome for outcome in check.run(Fixture(kind), checks)}


def test_one_that_is_right():
    found = outcomes(Right, compiled=True)
    assert list(found) == list(check.CHECKS)
    assert all(outcome.holds for outcome in found.values()), [str(f) for f in found.values() if not f.holds]
    assert f"{sum(p.numel() for p in Right(128).parameters()):,}" in found["parameters"].text


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_found_and_nothing_else(kind):
    name, words, others, made = WRONG[kind]
    found = outcomes(made)
    assert found[name].holds is False and words in found[name].text, str(found[name])
    failed = {outcome.check for outcome in found.values() if outcome.holds is False}
    assert failed <= {name, *others}


def test_facts_that_are_not_declared():
    class Masked(Right):  # what follows the graph's edges only if it says so
        pass

    class AllPairs(Processor):
        forward, initial_state = Right.forward, Right.initial_state
        __init__ = Right.__init__

    def make(features):
        made = Processor.__new__(AllPairs)
        Processor.__init__(made, features)
        for name, width in (("send", 2), ("edge", 1), ("graph", 1), ("keep", 4)):
            setattr(made, name, nn.Linear(width * features, features))
        return made

    outcome = check.run_one(Fixture(make), "adjacency")
    assert outcome.holds and "they would follow the graph's edges with uses_adjacency = True" in outcome.text
    assert check.run_one(Fixture(Masked), "adjacency").text == "messages follow the graph's edges, as declared"


def test_biases_before_a_softmax_are_excused_and_named():
    outcome = check.run_one(Fixture(lambda features: processors.build("gatv2", features)), "gradients")
    assert outcome.holds and outcome.text.endswith("no effect (before a softmax?): heads.0.bias")


def test_numbers_read_back_from_the_device():
    class Waits(Right):
        def forward(self, step, state):
            hidden, total = super().forward(step, state)
            return hidden * (1.0 if hidden.sum().item() < 1e9 else 2.0), total

    found = outcomes(Waits)
    assert found["device"].holds and "reads numbers back from the device" in found["device"].text
    assert found["cost"].holds and "from 16 to 64 nodes" in found["cost"].text  # computed, since it cannot be foreseen


# Counting


def test_work_is_counted_by_hand():
    class Product(Processor):
        def __init__(self, features):
            super().__init__(features)
            self.layer = nn.Linear(features, features, bias=False)

        def forward(self, step, state):
            return self.layer(step.nodes)  # N F writes, N F^2 multiply-adds

    n, f = 5, 8
    readout = n * 2 * f
    for fake in (True, False):
        assert check_cost.work(Product(f), n, fake=fake) == n * f + n * f * f + readout


def test_reductions_count_what_they_read_and_views_nothing():
    class Total(Processor):
        def forward(self, step, state):
            return state + step.nodes.sum(1, keepdim=True).expand_as(state)

    n, f = 5, 8
    assert check_cost.work(Total(f), n) == n * f + n * f + 2 * n * f


@pytest.mark.parametrize(("cost", "k"), [("N", 1), ("N^2", 2), ("N^3", 3), ("N log N", 1.2), ("O(N^2 log N)", 2.2)])
def test_declared_costs_are_read(cost, k):
    assert check_cost.order(cost) == pytest.approx(k)
    assert check_cost.order("E") is None


def test_the_copy_that_is_counted_leaves_the_processor_alone():
    made = Right(16)
    before = {name: (id(p), p.clone()) for name, p in made.named_parameters()}
    check_cost.exponent(made, 4)
    for name, parameter in made.named_parameters():
        assert id(parameter) == before[name][0] and parameter.equal(before[name][1])


def test_layouts_of_the_check_keep_their_kind():
    """Unfused stays unfused through reverse, complete and alone; chunks are of one receiver."""
    x = fixture.inputs()
    for layout in (fixture.UnfusedDense, fixture.ChunkedDense):
        hood = x.step(True, layout).hood
        for other in (hood.reverse(), hood.complete(), hood.alone().complete(), hood.reverse().alone().complete()):
            assert type(other) is layout
    assert type(x.step(True).hood) is Dense
    sizes = []
    layer = nn.Linear(16, 16).double()
    hood = x.step(True, fixture.ChunkedDense).hood
    with torch.no_grad():
        hood.pool(x.nodes, x.nodes, layer, x.graph, lambda parts: sizes.append(parts.shape[2]) or parts, "max")
    assert sizes == [1] * fixture.N
