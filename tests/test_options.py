"""Options of coders and feedback together: off without trace, straight-through, through settings and training."""

import math

import naive
import pytest
import torch
from drawn_models import LENGTHS, POINTING, B, N, reasoner
from naive import F64

import nar
from nar import datasets, processors
from nar.config import Config
from nar.experiments.experiment import train
from nar.model import checkpoint
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.nn import units
from nar.traces.spec import Probe, Spec

# All options together

EVERYTHING_ON = {
    "pointer_head": "additive", "log_n_scale": True, "comparison_units": 2, "edge_pointer_repair": True,
    "hint_feedback": "straight_through", "reconstruction": "plain",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["mpnn", "triplet_gmpnn", "pgn_mask"])
@pytest.mark.parametrize("name", [*EVERYTHING_ON, "all"])
def test_nodes_may_be_renamed_and_samples_do_not_see_each_other(kind, name, monkeypatch):
    monkeypatch.setattr("nar.model.schedule.GRANULE", 1)
    options = EVERYTHING_ON if name == "all" else {name: EVERYTHING_ON[name]}
    model = reasoner(kind, 8, POINTING, **options)
    batch, order = naive.random_batch([4, 3, 2], nodes=5, spec=POINTING), torch.tensor([3, 0, 4, 1, 2])
    ours, renamed = model(batch), model(naive.permute(batch, order))
    for found, expected in [(renamed.outputs, ours.outputs), *zip(renamed.hints, ours.hints, strict=True)]:
        for probe, value in found.items():
            wanted = naive.permute_prediction(POINTING[probe], expected[probe], order)
            torch.testing.assert_close(value, wanted, rtol=1e-8, atol=1e-8)
    for b in range(3):
        for probe, value in model(naive.select(batch, [b])).outputs.items():
            torch.testing.assert_close(value[0], ours.outputs[probe][b], rtol=1e-9, atol=1e-9)


def test_off_nothing_is_added():
    defaults = {f: getattr(Config, f) for f in EVERYTHING_ON}
    for kind, count in (("mpnn", 414_468), ("triplet_gmpnn", 524_604)):
        assert Reasoner.build("bellman_ford", kind).parameter_count() == count
        made = Reasoner.build("bellman_ford", kind, **defaults)
        assert made.parameter_count() == count
        torch.manual_seed(0)
        one = Reasoner.build("bellman_ford", kind)
        torch.manual_seed(0)
        other = Reasoner.build("bellman_ford", kind, **defaults)
        assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


# Straight-through feedback


@pytest.mark.parametrize(("location", "kind"), naive.DECODED_KINDS)
def test_straight_through_has_the_values_of_hard_and_the_gradients_of_soft(location, kind):
    probe = Probe("hint", location, kind, 3 if kind == "categorical" else 0)
    one_row = {"mask_one": (N,) if location == "node" else (N, N), "categorical": (*probe.shape(N), 3)}.get(kind)
    shape = one_row or (probe.shape(N) if kind in ("scalar", "mask") else (*probe.shape(N), N))
    logits = torch.randn(B, *shape, dtype=F64, requires_grad=True)
    found, soft, hard = (
        feed_back({"p": probe}, {"p": logits}, how=h)["p"] for h in ("straight_through", "soft", "hard")
    )
    assert found.requires_grad and found.dtype == F64
    assert found.equal(naive.expand(probe, hard, N))
    weights = torch.randn_like(found)
    ours, expected = (torch.autograd.grad((v * weights).sum(), logits)[0] for v in (found, soft))
    torch.testing.assert_close(ours, expected)
    assert ours.abs().max() > 0
    with torch.no_grad():
        assert feed_back({"p": probe}, {"p": logits}, how="straight_through")["p"].equal(hard)


def test_straight_through_rolls_out_like_hard_and_trains_like_soft():
    batch = naive.random_batch(LENGTHS)
    models = {h: reasoner("mpnn", hint_feedback=h) for h in ("straight_through", "hard", "soft")}
    found = {h: model(batch) for h, model in models.items()}
    for name, value in found["hard"].outputs.items():
        torch.testing.assert_close(found["straight_through"].outputs[name], value, rtol=1e-12, atol=1e-12)
        assert not found["soft"].outputs[name].equal(value)
    for how, model in models.items():
        wanted = [p for n, p in model.named_parameters() if n.startswith("decoders") and "hint_" in n]
        last = found[how].outputs["output_node_scalar"][0].sum()
        reached = [g is not None and bool(g.any()) for g in torch.autograd.grad(last, wanted, allow_unused=True)]
        assert any(reached) == (how != "hard")
        if how != "hard":
            assert sum(reached) > 0.9 * len(reached)


def test_straight_through_by_hand():
    mask, pointer = Probe("hint", "node", "mask"), Probe("hint", "graph", "pointer")
    logits = torch.tensor([[0.0, 2.0]], requires_grad=True)
    found = feed_back({"m": mask}, {"m": logits}, how="straight_through")["m"]
    assert found.tolist() == [[0.0, 1.0]]
    slope = 1 / (1 + math.exp(-2.0)) * (1 - 1 / (1 + math.exp(-2.0)))
    assert torch.autograd.grad(found.sum(), logits)[0][0].tolist() == pytest.approx([0.25, slope])
    logits = torch.tensor([[0.0, math.log(3.0)]], requires_grad=True)
    found = feed_back({"p": pointer}, {"p": logits}, how="straight_through")["p"]
    assert found.tolist() == [[0.0, 1.0]]
    (gradient,) = torch.autograd.grad(found[0, 1], logits)
    assert gradient[0].tolist() == pytest.approx([-3 / 16, 3 / 16])


def test_straight_through_with_forced_hints():
    model = reasoner("mpnn", hint_feedback="straight_through").train()
    batch = naive.random_batch(LENGTHS)
    always = [torch.ones(len(batch), dtype=torch.bool)] * batch.steps
    ours, theirs = model(batch, teacher_forcing=1.0, gumbel=False), naive.rollout(model, batch, forced=always)
    for name, value in theirs.outputs.items():
        torch.testing.assert_close(ours.outputs[name], value, rtol=1e-10, atol=1e-10)


# Settings


def test_settings_that_would_be_ignored():
    for algorithm, options, message in (
        ("dfs", {"pointer_head": "adding"}, "unknown pointer_head 'adding'; choose one of max, additive"),
        ("bellman_ford", {"comparison_units": -1}, "comparison_units must be 0 or more, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            Reasoner.build(algorithm, "mpnn", hidden=4, **options)
    # but for those that a recipe sets for every algorithm: where there is nothing to repair, the model stays as it is
    plain, repaired = (
        Reasoner.build("bellman_ford", "mpnn", hidden=4, edge_pointer_repair=on).state_dict() for on in (False, True)
    )
    assert plain.keys() == repaired.keys()
    scalar = Spec(
        {"a": ("input", "node", "scalar"), "b": ("hint", "node", "pointer"), "c": ("output", "graph", "scalar")}
    )

    def build(**options):
        return Reasoner.from_settings({"x": scalar}, lambda: processors.build("mpnn", 4), **options)

    for options, message in (
        ({"pointer_head": "additive"}, "pointer_head has no effect: x has no pointers of nodes or pairs"),
        ({"log_n_scale": True}, "log_n_scale has no effect: x has no outputs or hints that choose a node"),
        ({"comparison_units": 2}, "comparison_units has no effect: x has no outputs or hints of nodes or pairs"),
    ):
        with pytest.raises(ValueError, match=message):  # the pointer is a hint that is not decoded
            build(hint_mode="none", **options)
        build(**options)
    with pytest.raises(ValueError, match="--comparison-units must be 0 or more; got -1"):
        Config(comparison_units=-1)
    with pytest.raises(ValueError, match="--reconstruction must be left away with --hint-mode none"):
        Config(hint_mode="none", reconstruction="plain")
    for options in ({"reconstruction_weight": 0.1}, {"reconstruction_mask": 0.1}):
        with pytest.raises(ValueError, match="no effect"):
            Reasoner.from_config(Config(**options))


def test_settings_go_through_training_checkpoints_and_prediction(tmp_path, no_report):
    settings = EVERYTHING_ON | {"reconstruction": "masked", "reconstruction_weight": 0.5, "reconstruction_mask": 0.4}
    config = Config(
        algo="floyd_warshall", processor="triplet_gmpnn", hidden=8, triplet_features=2, steps=3, batch_size=2,
        train_sizes=(4,), val_samples=2, val_every=3, eval_sizes=(4,), eval_samples=2, device="cpu",
        out=tmp_path / "run", **settings,
    )  # fmt: skip
    train(config)
    kept = Config.from_dict(checkpoint.load(config.run_dir / "best.pt")["config"])
    assert {name: getattr(kept, name) for name in settings} == settings
    solver = nar.load(config.run_dir)
    model = solver.reasoner
    assert model.reconstruction.weight == 0.5 and model.reconstruction.mask == 0.4 and model.reconstruction.masked
    made = model.coders("floyd_warshall")
    assert made[0].look_ups and made[1].triplets and made[1].scales and made[1].comparisons
    assert made[1].pointer_head == "additive" and model.hint_feedback == "straight_through"
    saved = checkpoint.load(config.run_dir / "best.pt")["model"]
    assert all(value.equal(saved[name]) for name, value in model.state_dict().items())
    trace = draw(datasets.get("floyd_warshall"), 5, 1, seed=(3,), random_pos=False)
    assert solver.run(trace.inputs["A"][0].numpy()).compact["Pi"].shape == (5, 5)


def test_every_option_is_explained_by_help(capsys):
    from nar.cli import main as cli

    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    for name in (*EVERYTHING_ON, "reconstruction_weight", "reconstruction_mask"):
        assert f"--{name.replace('_', '-')}" in text or f"--{name}" in text, name
    assert "straight_through" in text


# Learning


def learns(algorithm, steps=60, drop=0.75, nodes=6, **options):
    """A short training run on an algorithm of CLRS; the loss must fall to `drop` of what it was."""
    torch.manual_seed(0)
    model = Reasoner.build(algorithm, "triplet_gmpnn", hidden=16, **options).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses, source = [], datasets.get(algorithm)
    for step in range(steps):
        batch = draw(source, nodes, 8, seed=(0, step), random_pos=True)
        loss = total_loss(batch, model(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(map(math.isfinite, losses))
    assert sum(losses[-8:]) < drop * sum(losses[:8]), losses
    return model


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("bellman_ford", {"pointer_head": "additive"}),
        ("bellman_ford", {"log_n_scale": True}),
        ("insertion_sort", {"comparison_units": 4}),
        ("bellman_ford", {"hint_feedback": "straight_through"}),
        ("floyd_warshall", {"edge_pointer_repair": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_it_learns(algorithm, options):
    model = learns(algorithm, steps=40, nodes=5, **options)
    added = [p for n, p in model.named_parameters() if any(w in n for w in ("scales", "comparisons", "triplets"))]
    assert all(torch.isfinite(p).all() for p in added)
    for scale in model.coders(algorithm)[1].scales.values():
        assert scale.scale.item() != pytest.approx(1 / math.log(units.REFERENCE_NODES), abs=1e-4)
