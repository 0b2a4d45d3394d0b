"""Moments with outputs by a step of their own: which ones there are, what they cost, which are as the one before."""

import functools

import numpy as np
import pytest
import torch
from step_recipe import config, reasoner

from nar import datasets
from nar.model.batch import Batch, draw
from nar.model.coders.step_encoder import same_hints
from nar.model.objectives.losses import losses
from nar.training import moments

# Moments


@functools.cache
def whole_traces(name="bfs"):
    return draw(datasets.get(name), 6, 5, seed=(0,), random_pos=False, **datasets.get(name).train_params)


def test_rows_of_moments():
    """Every moment is there, hints with their next ones, and the last with nothing but the outputs."""
    batch = whole_traces()
    found = moments.chosen(batch, config("bfs", moments=99), 0)
    assert len(found) == sum(batch.lengths)
    assert sorted(found.lengths, reverse=True) == found.lengths
    assert found.lengths.count(1) == len(batch) and found.lengths.count(2) == sum(batch.lengths) - len(batch)
    assert found.ends.tolist() == [length == 1 for length in found.lengths]
    for row, place in enumerate(found.order):
        b = batch.order.index(place)
        last = batch.lengths[b] - 1
        if found.ends[row]:
            assert all(torch.equal(v[0, row], batch.hints[n][last, b]) for n, v in found.hints.items())
    without = moments.chosen(batch, config("bfs", moments=99, output_step=False), 0)
    assert len(without) == sum(max(1, length - 1) for length in batch.lengths) and set(without.lengths) <= {1, 2}


def test_outputs_are_never_learned_off_hints_of_the_reasoners_own():
    found = moments.chosen(whole_traces(), config("bfs", moments=99, own_moments=1.0), 0)
    assert {length for length, end in zip(found.lengths, found.ends.tolist(), strict=True) if end} == {1}
    assert 3 in found.lengths
    rows = [row for row, length in enumerate(found.lengths) if length == 1]
    assert rows and not any(found.ends[row] for row in range(len(found)) if row not in rows)


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "quicksort"])
def test_losses_of_moments_are_those_of_the_rollout(name):
    """With true hints at every step, all moments together cost what the rollout does, outputs included."""
    algorithm, settings = datasets.get(name), config(name, moments=10**6)
    made = reasoner(name).train()
    batch = draw(algorithm, 5, 3, seed=(1,), random_pos=False, **algorithm.train_params)
    batch = batch.map(lambda v: v.double() if v.is_floating_point() else v)
    parts = moments.chosen(batch, settings, 0)
    with torch.no_grad():
        rolled, single = made(batch, teacher_forcing=1.0, gumbel=False), made(parts, gumbel=False)
        assert [len(next(iter(h.values()))) for h in single.hints] == [sum(length - 1 for length in batch.lengths)]
        ours, theirs = losses(parts, single), losses(batch, rolled)
    assert ours.keys() == theirs.keys()
    for part in ours:
        torch.testing.assert_close(ours[part], theirs[part], rtol=1e-9, atol=1e-9, msg=part)


def test_only_last_moments_have_losses_of_outputs():
    made, parts = reasoner("bfs"), moments.chosen(whole_traces(), config("bfs", moments=99), 0)
    with torch.no_grad():
        rollout = made(parts)
        found = losses(parts, rollout)["pi"]
        each = rollout.outputs["pi"].losses(parts.outputs["pi"])
    torch.testing.assert_close(found, each[parts.ends].mean())


# What a step knows of the one before


def test_who_is_unchanged_in_parts_of_traces():
    """Jarvis' march writes moments down twice."""
    batch = whole_traces("jarvis_march")
    found = moments.chosen(batch, config("jarvis_march", moments=99), 0)
    hints = {n: torch.as_tensor(np.asarray(v)) for n, v in batch.hints.items()}
    expected, seen = {}, 0
    for b, length in enumerate(batch.lengths):
        for t in range(length):
            same = t > 0 and all(torch.equal(v[t, b], v[t - 1, b]) for v in hints.values())
            expected.setdefault(batch.order[b], []).append(same)
    for place, flags in expected.items():
        rows = [row for row, of in enumerate(found.order) if of == place]
        assert sorted(found.unchanged[rows].tolist()) == sorted(flags)
        seen += sum(flags)
    assert seen > 0


def test_a_rollout_finds_the_same():
    """With true hints fed back, the rollout says so where moments do."""
    batch, seen = whole_traces("jarvis_march"), 0
    for t in range(1, batch.lengths[0]):
        kept = batch.schedule.num_with_hint(t - 1)
        before, after = ({n: v[m, : len(batch)] for n, v in batch.hints.items()} for m in (t - 1, t))
        found = same_hints(batch.spec, before, {n: v[:kept] for n, v in after.items()}, batch.all_of)
        parts = moments.unchanged(batch, torch.arange(kept), torch.full((kept,), t))
        assert torch.equal(found, parts), t
        seen += int(found.sum())
    assert seen > 0


def test_hints_in_another_form_are_not_the_same():
    index, rows = torch.tensor([[0, 1], [1, 1]]), torch.eye(2)[torch.tensor([[0, 1], [1, 1]])]
    spec = dict.fromkeys("pg")

    def same(before, after):
        return same_hints(spec, before, after, Batch.all_of)

    assert same({"p": index}, {"p": rows}) is None
    assert same({"p": index}, {"p": index[:1]}).tolist() == [True]
    before, after = ({"p": index, "g": torch.tensor([1.0, g])} for g in (2.0, 3.0))
    assert same(before, after).tolist() == [True, False]
    assert same({"p": rows}, {"p": rows.flip(0)}).tolist() == [False, False]
