"""The rollout: nar's route against the literal one of naive.py, its modes, and what is drawn and decided in them."""

import dataclasses

import naive
import pytest
import torch
from rollouts import DECIDING, EVERY, LENGTHS, SOME, assert_same, reasoner

from nar import processors
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.traces.spec import Type


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return {
        n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(model.named_parameters(), found, strict=True)
    }


@pytest.mark.by_form
@pytest.mark.parametrize("kind", EVERY)
def test_values_and_gradients_equal_the_literal_rollout(kind):
    model, batch = reasoner(kind), naive.random_batch(LENGTHS)
    ours, theirs = model(batch), naive.rollout(model, batch)
    assert_same(ours, theirs)
    if kind in DECIDING:  # nodes in equal states are equally good choices: rounding decides whom the gradient reaches
        model.processor.train().hard = False
        ours, theirs = model(batch), naive.rollout(model, batch)
        assert_same(ours, theirs)
    expected = gradients(model, total_loss(batch, theirs))
    for name, gradient in gradients(model, total_loss(batch, ours)).items():
        scale = max(1.0, expected[name].abs().max().item())
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-10, atol=1e-10 * scale, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.by_form
@pytest.mark.parametrize("kind", EVERY)
def test_without_gradients_the_rollout_is_the_same(kind, monkeypatch):
    monkeypatch.setattr("nar.model.schedule.GRANULE", 1)  # and with every sample dropped as soon as it ends
    model, batch = reasoner(kind), naive.random_batch(LENGTHS)
    with torch.no_grad():
        assert_same(model(batch), naive.rollout(model, batch))


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({"hint_feedback": "hard"}, "hard"),
        ({"hint_feedback": "hard_on_eval"}, "hard"),
        ({"message_passing_steps": 2}, "soft"),
        ({"hint_mode": "decoded_only"}, "soft"),
        ({"hint_mode": "none"}, "soft"),
    ],
)
@pytest.mark.parametrize("kind", SOME)
def test_modes_equal_the_literal_rollout(kind, options, how):
    model, batch = reasoner(kind, **options), naive.random_batch(LENGTHS)
    ours = model(batch)
    assert_same(ours, naive.rollout(model, batch, how=how))
    assert bool(ours.hints) == (options.get("hint_mode") != "none")


def test_hard_on_eval_is_soft_in_training():
    batch = naive.random_batch(LENGTHS)
    model = reasoner("mpnn", hint_feedback="hard_on_eval").train()
    assert_same(model(batch, gumbel=False), naive.rollout(model, batch, how="soft"))


@pytest.mark.parametrize("lengths", [[1], [2], [1, 1], [2, 1], [3, 3, 3]])
@pytest.mark.parametrize("kind", ["triplet_gmpnn", "pgn_mask"])
def test_short_and_equal_lengths(kind, lengths):
    model, batch = reasoner(kind), naive.random_batch(lengths)
    ours = model(batch)
    assert_same(ours, naive.rollout(model, batch))
    assert all(len(v) == len(lengths) for v in ours.outputs.values())
    assert torch.isfinite(total_loss(batch, ours))


@pytest.mark.parametrize("kind", SOME)
def test_full_teacher_forcing_feeds_true_hints_unrounded(kind):
    model, batch = reasoner(kind).train(), naive.random_batch(LENGTHS)
    always = [torch.ones(len(batch), dtype=torch.bool)] * batch.steps
    assert_same(model(batch, teacher_forcing=1.0, gumbel=False), naive.rollout(model, batch, forced=always))
    # a real-valued hint changed by less than rounding to whole numbers, or to float16, would keep
    moved = {n: v + 1e-5 if batch.spec[n].type is Type.SCALAR else v for n, v in batch.hints.items()}
    moved = {n: torch.cat([batch.hints[n][:1], v[1:]]) for n, v in moved.items()}
    a = model(batch, teacher_forcing=1.0, gumbel=False)
    b = model(dataclasses.replace(batch, hints=moved), teacher_forcing=1.0, gumbel=False)
    assert (a.hints[1]["hint_node_scalar"] != b.hints[1]["hint_node_scalar"]).all()


@pytest.mark.parametrize("feedback", ["soft", "hard"])
def test_teacher_forcing_is_drawn_per_sample_and_step(feedback, monkeypatch):
    monkeypatch.setattr("nar.model.schedule.GRANULE", 1)  # one draw per live sample
    model, batch = reasoner("mpnn", hint_feedback=feedback).train(), naive.random_batch([6, 6, 5, 4, 2])
    generator = torch.Generator().manual_seed(11)
    forced = [torch.zeros(len(batch), dtype=torch.bool)]
    for s in range(1, batch.steps):
        row = torch.zeros(len(batch), dtype=torch.bool)
        row[: batch.schedule.num_running(s)] = torch.rand(batch.schedule.num_running(s), generator=generator) < 0.5
        forced.append(row)
    drawn = torch.stack(forced[1:])
    assert drawn.any() and not drawn.all() and (drawn != drawn[:1]).any() and (drawn != drawn[:, :1]).any()
    rollout = model(batch, teacher_forcing=0.5, generator=torch.Generator().manual_seed(11), gumbel=False)
    assert_same(rollout, naive.rollout(model, batch, how=feedback, forced=forced))


def test_randomness_comes_from_the_generator():
    model, batch = reasoner("mpnn").train(), naive.random_batch(LENGTHS)

    def go(seed, **options):
        return model(batch, teacher_forcing=0.5, generator=torch.Generator().manual_seed(seed), **options)

    torch.manual_seed(1)
    first = go(1)
    torch.manual_seed(2)
    assert_same(go(1), first, tolerance=0)
    name = "output_node_permutation_pointer"
    off_diagonal = ~torch.eye(4, dtype=torch.bool)
    assert (go(2).outputs[name] != first.outputs[name])[:, off_diagonal].any()
    quiet = go(1, gumbel=False).outputs[name]
    assert (quiet != first.outputs[name])[:, off_diagonal].all()  # the noise itself


def test_evaluation_draws_nothing():
    model, batch = reasoner("mpnn", dropout=0.5), naive.random_batch(LENGTHS)
    assert_same(model(batch, teacher_forcing=1.0), naive.rollout(model, batch))
    assert_same(model(batch), model(batch), tolerance=0)


def test_dropout_acts_in_training_only_and_scales():
    model, batch = reasoner("mpnn", dropout=0.5).train(), naive.random_batch([2] * 8)
    plain = reasoner("mpnn")(batch, keep_states=True).states[0][0]
    dropped = model(batch, keep_states=True).states[0][0]
    kept = dropped != 0
    assert 0.3 < kept.double().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * plain[kept])


def test_hard_feedback_stops_gradients():
    """With hard hints a loss on the last prediction reaches no hint decoder; with soft ones it reaches all of them."""
    batch = naive.random_batch([3])
    for feedback, connected in (("soft", True), ("hard", False)):
        model = reasoner("mpnn", hint_feedback=feedback).train()
        rollout = model(batch, gumbel=False)
        wanted = [p for n, p in model.named_parameters() if n.startswith("decoders") and "hint_" in n]
        found = torch.autograd.grad(rollout.outputs["output_node_scalar"].sum(), wanted, allow_unused=True)
        reached = [g is not None and bool(g.abs().max() > 0) for g in found]
        assert any(reached) == connected
        if connected:
            assert sum(reached) > 0.9 * len(reached)


def test_decided_hints_are_the_logits_decided():
    model, batch = reasoner("mpnn"), naive.random_batch(LENGTHS)
    logits, decided = model(batch), model(batch, decide_hints=True)
    for step, expected in zip(decided.hints, logits.hints, strict=True):
        for name, value in step.items():
            probe = batch.spec[name]
            if probe.type is Type.SCALAR:
                torch.testing.assert_close(value, expected[name])
            elif probe.type is Type.MASK:
                assert value.equal((expected[name] > 0).to(torch.int8))
            else:
                scores = expected[name]
                if probe.type is Type.PERMUTATION_POINTER:
                    scores = naive.log_sinkhorn(scores, 25)
                assert value.equal(scores.argmax(-1)), name
    for name, value in decided.outputs.items():
        torch.testing.assert_close(value, logits.outputs[name])


def test_wrong_options_are_named():
    spec = {"everything": naive.everything()}
    for options, message in (
        ({"hint_mode": "sometimes"}, "hint_mode 'sometimes'"),
        ({"hint_feedback": "loud"}, "hint_feedback 'loud'"),
        ({"encoder_init": "zeros"}, "initialisation 'zeros'"),
        ({"dropout": 1.0}, "dropout"),
        ({"message_passing_steps": 0}, "message_passing_steps"),
    ):
        with pytest.raises(ValueError, match=message):
            Reasoner(spec, processors.build("mpnn", 4), **options)
    with pytest.raises(ValueError, match="option 'gatted'"):
        Reasoner.build("bfs", "mpnn", hidden=4, gatted=True)
    with pytest.raises(ValueError, match="bellman_ford"):
        Reasoner.build("belman_ford", "mpnn", hidden=4)
