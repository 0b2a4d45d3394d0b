"""When rollouts end: at the trace's end, at a fixed point of the hints, or when the halting head says so."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from nar import datasets
from nar.analysis.references import compiled
from nar.model.batch import draw
from nar.model.objectives.losses import (
    geometric,
    graph_losses,
    halting_chances,
    halting_loss,
    losses,
    probe_loss,
    total_loss,
)
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.model.schedule import OpenEnd
from nar.model.termination import FixedPoint, unchanged


def sample(name, nodes=7, count=6, seed=0):
    return draw(datasets.get(name), nodes, count, seed=(seed,), random_pos=False)


def built(name, **options):
    torch.manual_seed(3)
    return Reasoner.build(name, "mpnn", hidden=8, **options).double()


def decided(spec, outputs):
    return {name: hard(spec[name], value) for name, value in outputs.items()}


@pytest.mark.parametrize("name", ["bfs", "bellman_ford", "floyd_warshall"])
def test_an_exact_reasoner_reaches_its_fixed_point_with_the_right_answer(name):
    exact, batch = compiled.compiled(name), sample(name)
    with torch.no_grad():
        found = exact(batch, termination="fixed_point")
        oracle = exact(batch)
    for output, value in decided(batch.spec, oracle.outputs).items():
        assert torch.equal(value, batch.outputs[output].long())
        assert torch.equal(decided(batch.spec, found.outputs)[output], value)
    needed = torch.tensor([max(1, length - 1) for length in batch.lengths])
    if name == "floyd_warshall":  # its counter of rounds never stands still
        assert (found.taken == 4 * batch.steps).all()
    else:  # one more step than needed where the last one changed something
        assert ((found.taken == needed) | (found.taken == needed + 1)).all()


@pytest.mark.parametrize("name", ["bfs", "insertion_sort", "floyd_warshall"])
@pytest.mark.parametrize("termination", ["fixed_point", "learned"])
def test_outputs_are_those_of_a_rollout_of_as_many_steps(name, termination):
    reasoner, batch = built(name, halting="supervised", hint_feedback="hard").eval(), sample(name)
    head = reasoner.halting_head(name)
    with torch.no_grad():
        head.nodes.weight.mul_(30)  # so that graphs stop after different numbers of steps
        logits = torch.cat(reasoner(batch).halts)
        head.graph.bias -= logits.quantile(0.8) + 0.1  # no logit is near zero
        found = reasoner(batch, termination=termination, limit=9)
        for b, taken in enumerate(found.taken.tolist()):
            assert 1 <= taken <= 9
            alone = batch.rows([b]).with_lengths([taken + 1])
            expected = reasoner(alone)
            for output, value in expected.outputs.items():
                torch.testing.assert_close(found.outputs[output][b : b + 1], value, rtol=1e-9, atol=1e-9)
            if termination == "learned":
                says = [float(h) for h in expected.halts]
                assert all(h <= 0 for h in says[:-1]) and (says[-1] > 0 or taken == 9)
    if (name, termination) == ("bfs", "learned"):
        assert len(set(found.taken.tolist())) > 1


@pytest.mark.parametrize(("bias", "taken"), [(1e3, 1), (-1e3, 5)])
def test_a_head_that_always_or_never_stops(bias, taken):
    reasoner, batch = built("bfs", halting="supervised").eval(), sample("bfs")
    with torch.no_grad():
        reasoner.halting_head("bfs").graph.bias.fill_(bias)
        assert reasoner(batch, termination="learned", limit=5).taken.tolist() == [taken] * 6


def test_what_counts_as_unchanged():
    spec = sample("bellman_ford").spec
    before = {
        "pi_h": torch.tensor([[0, 1], [0, 1]]), "d": torch.tensor([[0.5, 1.0], [0.5, 1.0]]),
        "msk": torch.tensor([[1, 0], [1, 0]]),
    }  # fmt: skip
    same = {name: value.clone() for name, value in before.items()}
    assert unchanged(spec, before, same).tolist() == [True, True]
    same["d"][0, 1] += 0.001  # less than counts
    same["pi_h"][1, 0] = 1
    assert unchanged(spec, before, same).tolist() == [True, False]
    same["d"][0, 1] += 0.1
    assert unchanged(spec, before, same).tolist() == [False, False]
    for scale in (1e-6, 1e6):  # of weights, and so of distances
        small = {**before, "d": before["d"] * scale}
        moved = {**same, "pi_h": before["pi_h"], "d": same["d"] * scale}
        assert unchanged(spec, small, moved).tolist() == [False, True]


def test_the_supervised_loss_by_hand():
    batch = sample("bfs", count=3).with_lengths([3, 2, 1])  # last steps 1, 0, 0
    halts = [torch.tensor([0.0, 2.0, -1.0]), torch.tensor([3.0])]
    total, count = halting_loss(halts, batch)

    def cost(logit, target):
        return math.log1p(math.exp(-logit if target else logit))

    assert count == 4
    assert total.item() == pytest.approx(cost(0, False) + cost(2, True) + cost(-1, True) + cost(3, True), rel=1e-6)


def test_the_distribution_of_halting_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 5.0], [math.log(3), 0.0, 5.0], [1.0, 1.0, 5.0]], dtype=torch.float64)
    chances = halting_chances(logits, torch.tensor([3, 2, 1]))
    expected = [[0.5, 0.75, 1.0], [0.5 * 0.75, 0.25, 0.0], [0.5 * 0.25, 0.0, 0.0]]
    torch.testing.assert_close(chances, torch.tensor(expected, dtype=torch.float64))


def test_the_geometric_distribution_by_hand():
    found = geometric(torch.tensor([4, 1, 2]), 4, torch.float64)
    expected = [[0.25, 1.0, 0.5], [0.1875, 0.0, 0.5], [0.140625, 0.0, 0.0], [0.421875, 0.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_pondering_weighs_the_losses_of_every_step():
    batch, reasoner = sample("bfs", count=4), built("bfs", halting="ponder").train()
    rollout = reasoner(batch)
    found = losses(batch, rollout)
    expected, divergence = 0.0, 0.0
    for b, length in enumerate(batch.lengths):
        steps, left = max(1, length - 1), 1.0
        for s in range(steps):
            stop = float(torch.sigmoid(rollout.halts[s][b]))
            chance = left if s == steps - 1 else left * stop
            prior = (1 - 1 / steps) ** s * (1.0 if s == steps - 1 else 1 / steps)
            left *= 1 - stop
            spec = batch.spec["pi"]
            decoded, truth = rollout.step_outputs[s]["pi"][b : b + 1], batch.outputs["pi"][b : b + 1]
            expected += chance * float(probe_loss(spec, decoded, truth))
            divergence += chance * math.log(chance / prior)
    assert float(found["pi"]) == pytest.approx(expected / 4, rel=1e-9)
    assert float(found["halting"]) == pytest.approx(0.01 * divergence / 4, rel=1e-9)
    total_loss(batch, rollout).backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in reasoner.halting_head("bfs").nodes.parameters())


def test_the_loss_of_a_graph_leaves_out_what_does_not_count():
    batch = sample("bellman_ford", count=3)
    spec, truth = batch.spec["pi"], batch.outputs["pi"]
    predicted = torch.randn(3, 7, 7, dtype=torch.float64)
    found = graph_losses(spec, predicted, truth)
    for b in range(3):
        assert float(found[b]) == pytest.approx(float(probe_loss(spec, predicted[b : b + 1], truth[b : b + 1])))


def test_a_head_learns_when_the_algorithm_ends():
    batch = draw(datasets.get("insertion_sort"), 5, 8, seed=(1,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build("insertion_sort", "mpnn", hidden=16, halting="supervised")
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=1e-2)
    reasoner.train()
    for _ in range(60):
        optimizer.zero_grad()
        total_loss(batch, reasoner(batch)).backward()
        optimizer.step()
    reasoner.eval()
    with torch.no_grad():
        taken = reasoner(batch, termination="learned").taken
    needed = torch.tensor([length - 1 for length in batch.lengths])
    assert (taken == needed).float().mean() >= 0.75


@pytest.mark.parametrize(
    ("options", "termination", "complaint"),
    [
        ({}, "learned", "--halting supervised"),
        ({"hint_mode": "none"}, "fixed_point", "hints that are predicted"),
        ({}, "fixed_pont", "did you mean 'fixed_point'"),
    ],
)
def test_refusals(options, termination, complaint):
    with pytest.raises(ValueError, match=complaint):
        built("bfs", **options).eval()(sample("bfs"), termination=termination)
    with pytest.raises(ValueError, match="is for evaluation"):
        built("bfs", halting="supervised").train()(sample("bfs"), termination="learned")


def test_who_stopped_does_not_run_again_and_all_have_finished_when_no_one_runs():
    says = iter(torch.tensor([[True, False, True, False], [False, True, False, True]]))
    schedule = OpenEnd(4, 3, lambda predicted: next(says), torch.device("cpu"))
    assert schedule.steps == 3 and len(schedule) == schedule.num_running(2) == schedule.num_kept(2) == 4
    assert schedule.running(0).all()
    assert schedule.finished({}) is False and schedule.running(1).tolist() == [False, True, False, True]
    assert schedule.finished({}) is True and schedule.steps_taken.tolist() == [1, 2, 1, 2]


def test_what_is_predicted_where_a_hint_is_ignored_is_no_change():
    """is_bridge_h, where there is no edge."""
    batch = sample("bridges", count=1)
    first = {name: value[0] for name, value in batch.hints.items()}
    logits = {"is_bridge_h": 2.0 * first["is_bridge_h"].clamp(min=0) - 1.0}
    noise = torch.where(first["is_bridge_h"] == -1, 1.0, logits["is_bridge_h"])
    rule = FixedPoint(dataclasses.replace(batch, hints={"is_bridge_h": batch.hints["is_bridge_h"]}))
    assert (noise != logits["is_bridge_h"]).any()
    assert rule(logits).all() and rule({"is_bridge_h": noise}).all() and not rule({"is_bridge_h": -noise}).all()


def test_rolling_out_with_an_open_end_leaves_the_batch_as_it_is():
    batch, reasoner = sample("bfs"), built("bfs").eval()
    schedule, lengths = batch.schedule, list(batch.lengths)
    with torch.no_grad():
        first, again = (reasoner(batch, termination="fixed_point", limit=4).taken for _ in range(2))
    assert batch.schedule is schedule and batch.lengths == lengths and first.equal(again)
