"""Choices that numbers settle: which candidate is chosen, what that costs, and which rule the loss prefers."""

import math

import pytest
import step_recipe
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nar import datasets
from nar.model.batch import draw, training_spec
from nar.model.objectives.losses import entry_losses, probe_sums
from nar.model.options.candidates import NodeCandidates, connecting, near
from nar.model.options.choice import NEAR, RATE, Choice
from nar.model.postprocess import discretised, hard, soft
from nar.traces.spec import Probe

F64 = torch.float64
NONE, LEAST, LARGEST = (torch.nn.functional.one_hot(torch.tensor(k), 3).to(F64) for k in range(3))
EVEN = torch.zeros(3, dtype=F64)
POINTER, NUMBER = Probe("hint", "node", "pointer"), Probe("hint", "node", "scalar")


def choice(eligible, numbers=None, rules=EVEN, values=None, places=None):
    """Of one number each."""
    eligible = torch.tensor(eligible, dtype=F64)
    numbers = torch.zeros_like(eligible) if numbers is None else torch.tensor(numbers, dtype=F64)
    values = None if values is None else torch.tensor(values, dtype=F64)
    places = None if places is None else torch.tensor(places, dtype=F64)
    return Choice(eligible, numbers.unsqueeze(-1), rules, values, places)


# Who is chosen


@pytest.mark.parametrize(
    ("eligible", "numbers", "rules", "chosen"),
    [
        ([1, 3, 2], [5, 9, 7], NONE, 1),
        ([1, 3, 2], [5, 9, 7], LEAST, 0),
        ([1, 3, 2], [5, 5, 7], LEAST, 1),  # of equal ones the most eligible
        ([3, 1, 2], [5, 9, 9], LARGEST, 2),
        ([-1, 3, 2], [1, 9, 7], LEAST, 2),  # who is not eligible does not compete
        ([0, 3, 2], [1, 9, 7], LEAST, 2),  # 0 is not above 0
        ([0.4, 4, 3], [1, 9, 7], LEAST, 2),  # what is hardly above it is not, beside the sure ones: an eighth at least
        ([0.6, 4, 3], [1, 9, 7], LEAST, 0),
        ([-3, -1, -2], [1, 9, 7], LEAST, 1),  # nobody is: the nearest to it
        ([10, 50, 60], [1, 1 + 1e-15, 7], LEAST, 0),  # as exact as the numbers
    ],
)
def test_who_is_chosen(eligible, numbers, rules, chosen):
    one = choice(eligible, numbers, rules)
    assert one.index() == one.decided() == one.logits.argmax() == chosen
    many = choice([[eligible, eligible[::-1]]], [[numbers, numbers[::-1]]], rules)
    assert many.index().tolist() == [[chosen, 2 - chosen]]


@pytest.mark.parametrize(
    ("eligible", "numbers", "rules", "places", "chosen"),
    [
        ([1, 3, 2], [5, 5, 7], LEAST, [0.1, 0.4, 0.9], 0),  # of equal ones the first, however eligible
        ([1, 3, 2], [5, 5, 7], LEAST, [0.6, 0.4, 0.1], 1),
        ([3, 1, 2], [5, 9, 9], LARGEST, [0.1, 0.4, 0.9], 1),
        ([-1, 3, 2], [5, 5, 5], LEAST, [0.1, 0.9, 0.4], 2),  # of those that are eligible
        ([1, 3, 2], [5, 5, 7], NONE, [0.1, 0.4, 0.9], 1),  # without a rule the most eligible
        ([-3, -1, -2], [5, 5, 5], LEAST, [0.1, 0.4, 0.9], 1),  # and where nobody is
    ],
)
def test_of_equal_ones_the_first_is_chosen_where_there_is_one(eligible, numbers, rules, places, chosen):
    one = choice(eligible, numbers, rules, None, places)
    assert one.index() == one.logits.argmax() == chosen
    assert one[None].index().tolist() == [chosen] and Choice.cat([one[None]] * 2).cpu().index().tolist() == [chosen] * 2


def test_who_comes_later_loses_and_costs_nothing():
    """2 by 1 as in test_the_loss_by_hand: of two equal ones the later may be as eligible as it likes."""
    u, own = [math.log(3), math.log(2), -1.0], math.log(1 + 1 / 3)
    for truth, others in ((0, 0.0), (1, 3.0)):
        own = math.log(1 + math.exp(-u[truth]))
        made = choice(u, [1, 1, 5], LEAST, None, [0.2, 0.3, 0.1])
        assert made.losses(torch.tensor(truth)).item() == pytest.approx(own + math.log(1 + others), abs=1e-6)


def test_the_likeliest_rule_of_several_numbers():
    """none, least of the first and second, largest of the first and second."""
    numbers = torch.tensor([[1.0, 8.0], [2.0, 9.0], [3.0, 7.0]])
    for rule, chosen in enumerate([1, 0, 2, 2, 1]):
        rules = 0.1 * torch.nn.functional.one_hot(torch.tensor(rule), 5)
        assert Choice(torch.tensor([1.0, 2.0, 1.5]), numbers, rules).index() == chosen


def test_a_choice_without_numbers_is_the_largest_logit():
    eligible = torch.randn(4, 5, 6)
    made = Choice(eligible, eligible.new_zeros(4, 5, 6, 0), torch.zeros(1))
    assert torch.equal(made.index(), eligible.argmax(-1))
    assert torch.equal(made.logits, eligible)


def random_choice(seed, *shape, candidates=5, numbers=2, scale=3.0, values=False):
    """Small whole numbers, so that many are equal."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randint(4, (*shape, candidates, numbers), generator=generator).to(F64)
    u = scale * torch.randn(*shape, candidates, generator=generator, dtype=F64)
    rules = torch.randn(2 * numbers + 1, generator=generator, dtype=F64) / 10
    return Choice(u, v, rules, v[..., 0] if values else None)


def test_logits_are_of_those_that_do_not_lose():
    made = random_choice(0, 40, 6)
    index, logits = made.index(), made.logits
    assert torch.equal(logits.argmax(-1), index)
    rule = int(made.rules.argmax())
    signed = torch.cat([torch.zeros(40, 6, 5, 1), -made.numbers, made.numbers], -1)[..., rule]
    mine = signed.gather(-1, index.unsqueeze(-1))
    assert torch.equal(logits.isinf(), signed < mine)
    p = soft(POINTER, made)
    torch.testing.assert_close(p.sum(-1), torch.ones(40, 6, dtype=F64))
    assert torch.equal(p.argmax(-1), hard(POINTER, made))
    torch.testing.assert_close(discretised(POINTER, made), torch.nn.functional.one_hot(index, 5).to(F64))


def test_parts_and_wholes():
    made = random_choice(1, 6, values=True)
    whole = Choice.cat([made[:2], made[2:3], made[3:]])
    which = torch.tensor([4, 0])
    assert len(whole) == len(made) == 6 and made.numel() == 30 and len(made[:0]) == 0
    for one, other in ((whole, made), (made.cpu(), made), (made[which], made)):
        rows = which if len(one) == 2 else slice(None)
        for name in ("index", "decided", "expected"):
            assert torch.equal(getattr(one, name)(), getattr(other, name)()[rows]), name
        assert torch.equal(one.logits, other.logits[rows])
    nodes = random_choice(1, 6)
    assert nodes[:2].values is None and Choice.cat([nodes, nodes]).values is None and nodes.cpu().values is None


# What it costs


def test_the_loss_by_hand():
    u = [math.log(3), math.log(2), -1.0]
    truth, e = torch.tensor(0), math.exp(-1)
    own = math.log(1 + 1 / 3)
    without = Choice(torch.tensor(u, dtype=F64), torch.zeros(3, 0, dtype=F64), torch.zeros(1, dtype=F64))
    assert without.losses(truth).item() == pytest.approx(own + math.log(1 + 2 + e))
    # of three rules, as likely, two each let the others win: 2 by none and largest, 0 by none and least
    even = choice(u, [1, 2, 0])
    assert even.losses(truth).item() == pytest.approx(own + math.log(1 + 2 / 3 * (2 + e)))
    # who loses by the likely rule costs nothing, however eligible
    least = choice([math.log(3), 15.0, -1.0], [1, 2, 0], LEAST)
    assert least.losses(truth).item() == pytest.approx(own + math.log(1 + e), abs=1e-2)
    # an equal one is not beaten
    tie = choice(u, [1, 1, 5], LEAST)
    assert tie.losses(truth).item() == pytest.approx(own + math.log(1 + 2), abs=1e-6)


def test_any_of_several_right_numbers_will_do():
    """1 is there twice; t is the one that is more eligible, and neither has to lose to the other."""
    made = choice([math.log(2), math.log(4), -1.0, 0.5], [1, 1, 3, 9], NONE, [1, 1, 3, 9])
    right, covered = made.right(torch.tensor(1.0))
    assert right.tolist() == [True, True, False, False] and covered
    expected = math.log(1 + 1 / 6) + math.log(1 + math.exp(-1) + math.exp(0.5))
    assert made.losses(torch.tensor(1.0)).item() == pytest.approx(expected)


def test_what_no_candidate_explains_is_computed():
    made = choice([1.0, 2.0, -1.0], [1, 2, 7], EVEN, [1, 2, 7])
    made.values = made.values.requires_grad_()
    truth = torch.tensor(5.0)
    right, covered = made.right(truth)
    assert right.tolist() == [False, False, True] and not covered
    made.losses(truth).backward()
    assert made.values.grad.tolist() == [0, 0, 2 * (7 - 5)]
    of_nodes = choice([1.0, 2.0, -1.0], [1, 2, 7])
    assert made.losses(truth).item() == pytest.approx(4 + of_nodes.losses(torch.tensor(2)).item())
    # an exact one is taken where there is one, and the computed number left alone, even if it is right
    made = choice([1.0, 2.0, -1.0], [1, 2, 2], EVEN, [1, 2, 2])
    assert made.right(torch.tensor(2.0))[0].tolist() == [False, True, False]
    plain = choice([1.0, 2.0, -1.0], [1, 2, 2])
    assert made.losses(torch.tensor(2.0)).item() == pytest.approx(plain.losses(torch.tensor(1)).item())


def test_right_up_to_rounding():
    made = choice([0.0] * 5, None, EVEN, [100 * (1 + NEAR / 2), 100 * (1 + 2 * NEAR), NEAR / 2, 3 * NEAR, 9.0])
    assert made.right(torch.tensor(100.0))[0].tolist() == [True, False, False, False, False]
    assert made.right(torch.tensor(0.0))[0].tolist() == [False, False, True, False, False]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_small_loss_is_a_right_choice(seed):
    """With expm1(loss) < 1/C and 1/R: t is eligible, and whoever wins by the likeliest rule is not."""
    made = random_choice(seed, 500, scale=8.0)
    other = torch.randint(4, (500,), generator=torch.Generator().manual_seed(seed))
    for values in (None, made.numbers[..., 0]):
        one = Choice(made.eligible, made.numbers, made.rules, values)
        truth = torch.where(torch.arange(500) % 2 == 0, one.decided(), other)
        loss = one.losses(truth)
        small = torch.expm1(loss) < 1 / 5
        assert (loss >= 0).all() and small.any()
        decided = one.decided()
        assert torch.equal(decided[small].to(truth.dtype), truth[small])
    assert one.losses(truth).shape == truth.shape


def test_the_rule_that_settles_it_becomes_likelier():
    """The least of all eligible ones is right: no other rule gains."""
    u = torch.full((64, 5), 2.0, dtype=F64)
    v = torch.rand(64, 5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    rules = torch.zeros(5, dtype=F64, requires_grad=True)
    Choice(u, v, rules).losses(v[..., 1].argmin(-1)).sum().backward()
    gradient = rules.grad
    assert gradient[2] < 0 and all(gradient[other] > 0 for other in (0, 4))
    assert gradient.argmin() == 2
    optimizer = torch.optim.SGD([rules], 0.1 / RATE)
    for _ in range(50):
        optimizer.zero_grad()
        made = Choice(u, v, rules)
        made.losses(v[..., 1].argmin(-1)).mean().backward()
        optimizer.step()
    assert rules.argmax() == 2 and torch.equal(made.index(), v[..., 1].argmin(-1))


def test_numbers_settle_and_are_not_learned():
    v = torch.randn(8, 5, 2, requires_grad=True)
    u, rules = torch.randn(8, 5, requires_grad=True), torch.zeros(5, requires_grad=True)
    made = Choice(u, v, rules, v[..., 0])
    made.right(torch.zeros(8))
    loss = Choice(u, v, rules).losses(torch.zeros(8, dtype=torch.long)).sum()
    assert torch.autograd.grad(loss, v, allow_unused=True, retain_graph=True)[0] is None
    assert all(grad.abs().sum() > 0 for grad in torch.autograd.grad(loss, [u, rules]))


def test_losses_of_probes_take_choices_as_they_take_logits():
    made = random_choice(3, 4, 5)
    truth = torch.randint(5, (4, 5))
    losses, counted = entry_losses(POINTER, made, truth)
    assert counted is None and torch.equal(losses, made.losses(truth))
    total, count = probe_sums(POINTER, made, truth, torch.tensor([True, False, True, False]))
    assert count == 10 and total == pytest.approx(losses[[0, 2]].sum().item())
    nothing = probe_sums(NUMBER, random_choice(3, 4, 5, values=True)[:0], torch.zeros(0, 5))
    assert [part.item() for part in nothing] == [0, 0]


def test_of_several_that_are_right_one_that_is_near_is_learned():
    """Its eligibility alone rises, though another is more eligible; where none is near, all are learned as without."""

    def pull(*near):
        eligible = torch.tensor([[1.0, 2.0, -1.0, 0.0]], dtype=F64, requires_grad=True)
        values = torch.tensor([[5.0, 5.0, 4.0, 0.0]], dtype=F64)
        made = Choice(eligible, values.unsqueeze(-1), EVEN, values, near=torch.tensor([near]) if near else None)
        made.losses(torch.tensor([5.0], dtype=F64)).sum().backward()
        return -eligible.grad[0]

    first = pull(True, False, True, True)
    assert first[0] > 0 and first[1] == 0 and first[2] < 0 and first[3] < 0
    assert pull()[1] > pull()[0] > 0
    assert torch.equal(pull(), pull(False, False, True, True)) and torch.equal(pull(), pull(True, True, True, True))


def test_who_is_near():
    """[j, i]: along masks and pointers in either direction, every marked node, and everyone to itself."""
    mask = torch.tensor([[[0.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]])
    pointer = torch.eye(4)[[2, 1, 2, 3]][None]
    mark = torch.tensor([[0.0, 0, 0, 1]])
    assert near([mask], 4)[0].tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
    assert near([pointer], 4)[0].nonzero().tolist() == [[0, 0], [0, 2], [1, 1], [2, 0], [2, 2], [3, 3]]
    assert near([mark], 4)[0].nonzero().tolist() == [[0, 0], [0, 3], [1, 1], [1, 3], [2, 2], [2, 3], [3, 3]]
    assert near([mask, mark], 4)[0].sum() == 9 and near([], 3).squeeze(0).equal(torch.eye(3, dtype=torch.bool))
    spec = training_spec(datasets.get("dfs"))
    assert connecting(spec) == ["adj", "pi_h", "s_prev", "s", "u", "v", "s_last"]


@pytest.mark.parametrize("name", ["articulation_points", "dijkstra"])
def test_candidates_say_who_is_near_in_training_alone(name):
    reasoner = step_recipe.reasoner(name)
    batch = draw(datasets.get(name), 6, 3, seed=(1,), random_pos=False)
    encoder, decoder = reasoner.coders(name)
    modules = {hint: one for hint, one in decoder.choices.items() if isinstance(one, NodeCandidates)}
    values = {**batch.inputs, **{hint: value[0] for hint, value in batch.hints.items()}}
    expected = near([encoder.dense(n, values, 6) for n in connecting(batch.spec)], 6).unsqueeze(-1)
    assert modules
    for hint, module in modules.items():
        assert reasoner.eval()(batch).hints[0][hint].near is None
        found = reasoner.train()(batch).hints[0][hint].near
        width = len(module.xs) + len(module.ws) * (1 + len(module.xs))
        pairs = found[:, :, : 6 * width].unflatten(2, (6, width))
        assert torch.equal(pairs, expected.expand_as(pairs)) and found[:, :, 6 * width :].all()
