"""Options of auxiliary reconstruction: what is masked, what is missed by hand, what has no effect, refusals."""

import math

import naive
import pytest
import torch
from naive import F64
from reconstructing import KINDS, LENGTHS, reasoner

from nar import datasets, processors
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.options import reconstruction
from nar.model.reasoner import Reasoner
from nar.traces.spec import Probe, Spec

# What is masked


def test_entries_on_nodes_are_masked_independently_and_nothing_else_is():
    spec, nodes = naive.everything(), 40
    probes = {n: p for n, p in spec.items() if p.stage != "output"}
    generator = torch.Generator().manual_seed(0)
    values = {n: naive.random_value(p, (6,), nodes, generator) for n, p in probes.items()}
    found, masks = reconstruction.masked_values(probes, values, 3, 0.3, nodes, F64, generator)
    assert set(masks) == {n for n, p in probes.items() if p.location == "node"}
    for name, value in values.items():
        full = naive.expand(probes[name], value, nodes)
        full = full.repeat(3, *[1] * (full.dim() - 1))
        ours = naive.expand(probes[name], found[name], nodes)
        if name not in masks:
            assert ours.equal(full)
            continue
        assert masks[name].shape == full.shape
        assert (ours[masks[name]] == 0).all() and ours[~masks[name]].equal(full[~masks[name]])
        assert masks[name].double().mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / full.numel()))
        copies = masks[name].unflatten(0, (3, -1))
        assert not copies[0].equal(copies[1]) and not copies[1].equal(copies[2])
    again = reconstruction.masked_values(probes, values, 3, 0.3, nodes, F64, torch.Generator().manual_seed(1))
    twice = reconstruction.masked_values(probes, values, 3, 0.3, nodes, F64, torch.Generator().manual_seed(1))
    assert all(again[1][name].equal(twice[1][name]) for name in masks)


@pytest.mark.parametrize(("mask", "copies"), [(0.1, 3), (0.3, 3), (0.4, 2), (0.5, 2), (0.7, 1), (None, 3)])
def test_number_of_copies(mask, copies):
    made = reasoner("mpnn", reconstruction="masked", reconstruction_mask=mask).reconstruction
    assert made.copies == copies and made.weight == 1.0
    assert set(made.decoder("everything").probes) == {n for n in naive.everything() if n.startswith("hint_node")}


# What is missed


def test_what_is_missed_by_hand():
    found = reconstruction.Misses()
    scalar, mask = Probe("hint", "node", "scalar"), Probe("hint", "node", "mask")
    found.add("s", scalar, torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]))  # 1 and 4
    found.add("s", scalar, torch.tensor([[5.0, 5.0]]), torch.tensor([[5.0, 5.0]]))  # averaged over time as well
    assert found.total().item() == pytest.approx(5 / 4)
    found.add("m", mask, torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, -1.0]]))  # the second one is ignored
    assert found.total().item() == pytest.approx(5 / 4 + math.log(2))
    pointer = Probe("hint", "node", "pointer")
    logits = torch.log(torch.tensor([[[0.25, 0.75], [0.5, 0.5]]]))
    soft = torch.tensor([[[0.5, 0.5], [1.0, 0.0]]])
    rows = -(0.5 * math.log(0.25) + 0.5 * math.log(0.75)), math.log(2)
    found = reconstruction.Misses()
    found.add("p", pointer, logits, soft)
    assert found.total().item() == pytest.approx(sum(rows) / 2)
    found = reconstruction.Misses()
    found.add("p", pointer, logits, soft, torch.tensor([[[True, False], [False, True]]]))  # one entry that counts
    assert found.total().item() == pytest.approx(-0.5 * math.log(0.25) / 2)  # of two positions
    category = Probe("hint", "node", "categorical", 2)
    found = reconstruction.Misses()
    found.add("c", category, logits, torch.tensor([[[0.0, 1.0], [0.0, -1.0]]]))  # the second one is ignored
    assert found.total().item() == pytest.approx(-math.log(0.75))
    assert reconstruction.Misses().total() is None


# Nodes, samples, randomness


@pytest.mark.parametrize("kind", KINDS)
def test_nodes_may_be_renamed_and_samples_do_not_see_each_other(kind):
    spec = Spec({n: p for n, p in naive.everything().items() if n != "hint_node_permutation_pointer"})
    model, batch = reasoner(kind, 8, spec=spec).eval(), naive.random_batch([4, 3, 2], nodes=5, spec=spec)
    order = torch.tensor([3, 0, 4, 1, 2])
    ours, renamed = model(batch), model(naive.permute(batch, order))
    for name, value in renamed.outputs.items():
        wanted = naive.permute_prediction(spec[name], ours.outputs[name], order)
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-9)
    for b in range(3):
        for name, value in model(naive.select(batch, [b])).outputs.items():
            torch.testing.assert_close(value[0], ours.outputs[name][b], rtol=1e-10, atol=1e-10)


def test_finished_samples_that_stay_in_the_batch_do_not_count(monkeypatch):
    model, batch = reasoner("mpnn").train(), naive.random_batch([4, 2, 2, 2], nodes=3)
    found = []
    for granule in (1, 4):  # dropped at once, and never
        monkeypatch.setattr("nar.model.schedule.GRANULE", granule)
        found.append(model(batch, gumbel=False).penalties["reconstruction"])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_masks_come_from_the_generator():
    model, batch = reasoner("mpnn", reconstruction="masked").train(), naive.random_batch(LENGTHS)

    def go(seed):
        return model(batch, generator=torch.Generator().manual_seed(seed)).penalties["reconstruction"]

    assert go(1) == go(1) != go(2)


# Settings


def test_off_nothing_is_added():
    for kind, count in (("mpnn", 414_468), ("triplet_gmpnn", 524_604)):
        made = Reasoner.build("bellman_ford", kind)
        assert made.parameter_count() == count and made.reconstruction is None
        assert not any("reconstruction" in name for name in made.state_dict())
    on = Reasoner.build("bellman_ford", "triplet_gmpnn", reconstruction="plain")
    second = sum(p.numel() for p in on.processor.parameters())
    gates = 8 * (128 * 128 + 128)
    hints = sum(p.numel() for p in on.reconstruction.decoders.parameters())
    assert on.parameter_count() == 524_604 + second + gates + hints
    assert on.reconstruction.processor is not on.processor
    weights = [p.state_dict()["receiver.weight"] for p in (on.processor, on.reconstruction.processor)]
    assert not weights[0].equal(weights[1])


def test_weight_zero_is_the_second_processor_alone():
    batch = naive.random_batch(LENGTHS)
    control = reasoner("mpnn", reconstruction_weight=0.0).train()(batch, gumbel=False)
    assert not control.penalties
    plain = reasoner("mpnn").train()(batch, gumbel=False)
    for name, value in plain.outputs.items():
        assert value.equal(control.outputs[name])
    double = reasoner("mpnn", reconstruction_weight=0.2).train()(batch, gumbel=False)
    torch.testing.assert_close(double.penalties["reconstruction"], 2 * plain.penalties["reconstruction"])


def test_settings_that_would_be_ignored():
    spec, build = {"everything": naive.everything()}, processors.build
    for options, message in (
        ({"reconstruction": "twice"}, "unknown reconstruction 'twice'; choose one of none, plain, masked"),
        ({"reconstruction": "plain", "hint_mode": "none"}, "needs hints that are fed in: .*, not none"),
        ({"reconstruction": "plain", "hint_mode": "decoded_only"}, "not decoded_only"),
        ({"reconstruction": "plain", "reconstruct": "plain"}, "no option 'reconstruct'"),
        ({"reconstruction": "plain", "reconstruction_mask": 0.3}, "no effect with plain reconstruction"),
        ({"reconstruction": "masked", "reconstruction_mask": 1.0}, "above 0 and below 1, got 1.0"),
        ({"reconstruction": "plain", "reconstruction_weight": -1.0}, "0 or more, got -1.0"),
        ({"reconstruction": "none", "reconstruction_weight": 0.1}, "weight 0.1 has no effect without reconstruction"),
        ({"reconstruction": "none", "reconstruction_mask": 0.1}, "mask 0.1 has no effect without reconstruction"),
    ):
        with pytest.raises(ValueError, match=message):
            Reasoner.from_settings(spec, lambda: build("mpnn", 4), **options)
    edges = Spec({"a": ("input", "edge", "scalar"), "b": ("hint", "edge", "scalar"), "c": ("output", "node", "mask")})
    bare = Spec({"a": ("input", "edge", "scalar"), "c": ("output", "node", "mask")})
    for mode, one, message in (
        ("masked", edges, "has no hint on nodes"),
        ("plain", bare, "has no hint; leave it away"),
    ):
        with pytest.raises(ValueError, match=message):
            Reasoner.from_settings({"x": one}, lambda: build("mpnn", 4), reconstruction=mode)


@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_reconstruction_is_learned(mode):
    torch.manual_seed(0)
    model = Reasoner.build("bellman_ford", "triplet_gmpnn", hidden=16, reconstruction=mode).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    algorithm, missed = datasets.get("bellman_ford"), []
    for step in range(60):
        batch = draw(algorithm, 6, 8, seed=(0, step), random_pos=True)
        rollout = model(batch)
        missed.append((rollout.penalties["reconstruction"].item(), total_loss(batch, rollout).item()))
        optimizer.zero_grad()
        total_loss(batch, rollout).backward()
        optimizer.step()
    first, last = (torch.tensor(part).mean(0) for part in (missed[:8], missed[-8:]))
    assert last[0] < 0.7 * first[0] and last[1] < 0.7 * first[1], (first, last)
