"""Options of encoders, decoders and feedback: each by its formula, off without trace, through settings and training."""

import itertools
import math

import naive
import pytest
import torch
from naive import F64, built

import nar
from nar import datasets, processors
from nar.config import Config
from nar.experiments.experiment import train
from nar.kernels.cpu import ranges
from nar.model import checkpoint
from nar.model.batch import draw
from nar.model.coders import decoder as decode
from nar.model.coders.decoder import Decoder, DecoderOptions
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.objectives.losses import total_loss
from nar.model.options import edge_pointers
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.nn import units
from nar.nn.affine import AffineFeatures
from nar.traces.spec import Location, Probe, Spec, Stage, Type

B, N, F, WIDTH = 2, 4, 5, 6
LENGTHS = [5, 3, 2, 2, 1]

# an algorithm with edge pointers, their hints, two marks, an input edge pointer, and inputs to look up
POINTING = Spec(
    {
        "key": ("input", "node", "scalar"), "A": ("input", "edge", "scalar"), "first": ("input", "edge", "pointer"),
        "Pi_h": ("hint", "edge", "pointer"), "D": ("hint", "edge", "scalar"), "k": ("hint", "node", "mask_one"),
        "at": ("hint", "graph", "pointer"), "label": ("hint", "node", "categorical", 3),
        "Pi": ("output", "edge", "pointer"), "other": ("output", "edge", "pointer"),
    }
)  # fmt: skip


def shaken(module, scale=1.0):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn_like(parameter)
    return module


def decoder(spec, edge_width=F, hints_are_fed=True, **options):
    sizes = {"node_width": WIDTH, "edge_width": edge_width, "hints_are_fed": hints_are_fed}
    return shaken(Decoder(Spec(spec), F, options=DecoderOptions(**options), **sizes).double())


def views(states):
    d, e, g = (torch.randn(*s, dtype=F64, requires_grad=True) for s in ((B, N, WIDTH), (B, N, N, F), (B, F)))
    return d, e, torch.randn(B, N, N, 3, dtype=F64, requires_grad=True) if states else None, g


def same(ours, expected, leaves):
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    found = [torch.autograd.grad(v.clamp(-50, 50).sin().sum(), leaves, allow_unused=True) for v in (ours, expected)]
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def reasoner(kind, features=4, spec=None, scale=0.3, **options):
    torch.manual_seed(7)
    made = Reasoner.from_settings(
        {"everything": spec or naive.everything()}, lambda: processors.build(kind, features), **options
    )
    return shaken(made.double().eval(), scale)


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


# The additive pointer head


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("location", ["node", "edge"])
def test_the_additive_head_literally(location, states):
    made = decoder({"p": ("output", location, "pointer")}, F + 3 if states else F, pointer_head="additive")
    d, e, edge_states, g = views(states)
    eps = e if edge_states is None else torch.cat([e, edge_states], -1)
    ours = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), edge_states, g))["p"]
    *maps, weigh = made.maps["p"]
    rows = []
    for i, j in itertools.product(range(N), range(N)):
        if location == "node":
            rows.append(weigh(torch.tanh(maps[0](d[:, i]) + maps[1](d[:, j]) + maps[2](eps[:, j, i]))))
            continue
        pair = maps[0](d[:, i]) + maps[1](d[:, j]) + maps[2](eps[:, i, j])
        rows += [weigh(torch.tanh(pair + maps[3](d[:, k]))) for k in range(N)]
    expected = torch.cat(rows, -1).view(ours.shape)
    leaves = [t for t in (d, e, edge_states, *made.parameters()) if t is not None]
    same(ours, expected, leaves)


def test_the_additive_head_has_the_parameters_of_the_other():
    plain, additive = (Reasoner.build("floyd_warshall", "mpnn", hidden=8, pointer_head=h) for h in ("max", "additive"))
    assert [(n, p.shape) for n, p in plain.named_parameters()] == [(n, p.shape) for n, p in additive.named_parameters()]


def test_the_compiled_path_is_taken_by_the_standard_head_only(monkeypatch):
    """Where kernels could run, the additive head gives its own scores, and scaled ones are the kernels' scaled."""
    used = []
    original = decode.fused.pointer_scores
    monkeypatch.setattr(decode.fused, "pointer_scores", lambda *a: (used.append(1), original(*a))[1])
    d, e, _, g = views(False)
    spec = {"p": ("output", "node", "pointer")}
    for options, count in (({}, 1), ({"log_n_scale": True}, 1), ({"pointer_head": "additive"}, 0)):
        used.clear()
        made = decoder(spec, **options)
        compiled = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
        assert len(used) == count
        with monkeypatch.context() as patch:
            patch.setattr(ranges, "usable", lambda *tensors: False)
            plain = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
        assert len(used) == count
        same(compiled, plain, [d, e, *made.parameters()])


def test_edge_pointers_of_the_additive_head_are_made_in_chunks(monkeypatch):
    made = decoder({"p": ("output", "edge", "pointer")}, pointer_head="additive")
    d, e, _, g = views(False)
    whole = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
    monkeypatch.setattr(decode, "EDGE_POINTER_CHUNK_BYTES", 1)
    torch.testing.assert_close(made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"], whole)


# Scaling by log n, comparison units


@pytest.mark.parametrize(("location", "kind"), naive.DECODED_KINDS)
def test_scaling_and_comparing_literally(location, kind):
    probe = Probe("output", location, kind, 3 if kind == "categorical" else 0)
    d, e, _, g = views(False)
    plain = decoder({"p": probe})
    scaled, compared = (
        decoder({"p": probe}, **options) for options in ({"log_n_scale": True}, {"comparison_units": 3})
    )
    for made in (scaled, compared):
        made.maps.load_state_dict(plain.maps.state_dict())
    maps, permutation = plain.maps["p"], kind == "permutation_pointer"
    literal = naive.decode_one(Probe("output", location, "pointer") if permutation else probe, maps, d, e, g)

    chooses = kind in ("pointer", "mask_one", "permutation_pointer")
    assert len(scaled.scales) == chooses
    expected = literal * (scaled.scales["p"].scale * math.log(N)) if chooses else literal
    ours = scaled.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
    torch.testing.assert_close(ours, naive.log_sinkhorn(expected, 10) if permutation else expected)

    has = location != "graph" and (location, kind) != ("edge", "pointer")
    assert len(compared.comparisons) == has
    expected = literal
    if has:
        unit, pairs = compared.comparisons["p"], location == "edge" or "pointer" in kind
        each = [unit(d[:, i], d[:, j]) for i in range(N) for j in (range(N) if pairs else [i])]
        added = torch.stack(each, 1).unflatten(1, (N, N) if pairs else (N,))
        expected = literal + (added if kind == "categorical" else added.squeeze(-1))
        assert (added.flatten(1) - added.flatten(1)[:, :1]).abs().max() > 0.1
    ours = compared.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
    torch.testing.assert_close(ours, naive.log_sinkhorn(expected, 10) if permutation else expected)


def test_pointers_off_the_graph_stay_below_scaled_ones():
    links = torch.eye(N, dtype=torch.bool).roll(1, 0) | torch.eye(N, dtype=torch.bool)
    made = decoder({"p": ("output", "node", "pointer")}, log_n_scale=True, comparison_units=2)
    d, e, _, g = views(False)
    found = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g, adjacency=links.expand(B, N, N)))["p"]
    for b in range(B):
        assert found[b][~links].max() < found[b][links].min()


# Edge pointers


def soft_pointers(nodes=N):
    return torch.softmax(2 * torch.randn(B, nodes, nodes, nodes, dtype=F64), -1).requires_grad_()


def test_looking_up_literally():
    torch.manual_seed(0)
    channels_c, channels_k = 3, 2
    made = shaken(edge_pointers.LookUp(channels_c, channels_k, F, width=4).double())
    raw, e_raw = (torch.randn(B, *s, dtype=F64, requires_grad=True) for s in ((N, channels_c), (N, N, channels_k)))
    x, p = torch.randn(B, N, F, dtype=F64, requires_grad=True), soft_pointers()
    edges = AffineFeatures(e_raw, torch.randn(channels_k, F, dtype=F64), torch.randn(F, dtype=F64))
    e = edges.dense()
    weight, bias = made.weights()
    ours = made(p, raw, x, edges) @ weight + bias
    t1, t2, t3 = made.nodes
    t4, t5, t6 = made.edges
    a1, a2, a3 = made.fetch.weight.split([channels_c, channels_k, channels_k], 1)
    rows = []
    for i, j in itertools.product(range(N), range(N)):
        looked, triplets = made.fetch.bias, []
        for k in range(N):
            one = raw[:, k] @ a1.t() + e_raw[:, i, k] @ a2.t() + e_raw[:, k, j] @ a3.t()
            looked = looked + p[:, i, j, k, None] * one
            of_nodes = t1(x[:, k]) + t2(x[:, i]) + t3(x[:, j])
            of_edges = t4(e[:, i, k]) + t5(e[:, k, j]) + t6(e[:, i, j])
            triplets.append(of_nodes + of_edges + made.pointer(p[:, i, j, k, None]))
        rows.append(looked + made.out(torch.relu(torch.stack(triplets).amax(0))))
    expected = torch.stack(rows, 1).view(B, N, N, F)
    same(ours, expected, [raw, e_raw, x, p, *made.parameters()])


@pytest.mark.parametrize("fed", [True, False])
@pytest.mark.parametrize("states", [False, True])
def test_triplet_scores_and_copies_literally(states, fed):
    torch.manual_seed(0)
    edge_width = F + 3 if states else F
    made = decoder(POINTING, edge_width, edge_pointer_repair=True, hints_are_fed=fed)
    assert made.reads() == (["Pi_h", "k", "at"] if fed else [])
    d, e, edge_states, g = views(states)
    eps = e if edge_states is None else torch.cat([e, edge_states], -1)
    p, marks = soft_pointers(), [torch.softmax(torch.randn(B, N, dtype=F64), -1) for _ in range(2)]
    values = {"Pi_h": p, "k": marks[0], "at": marks[1]} if fed else {}
    leaves = [t for t in (d, e, edge_states) if t is not None]
    for name, stage in (("Pi_h", Stage.HINT), ("Pi", Stage.OUTPUT), ("other", Stage.OUTPUT)):
        ours = made.decode(stage, DecoderInputs(d, built(e), edge_states, g, values=values))[name]
        unit, holds = made.triplets[name], fed and name != "other"  # no hint is called other_h
        (t1, t2, t3), (t4, t5, t6) = unit.nodes, unit.edges
        rows = []
        for i, j in itertools.product(range(N), range(N)):
            share = sum(c(v) for c, v in zip(unit.copy, (d[:, i], d[:, j], eps[:, i, j]), strict=True)) if holds else 0
            for k in range(N):
                triplet = (
                    t1(d[:, k]) + t2(d[:, i]) + t3(d[:, j]) + t4(eps[:, i, k]) + t5(eps[:, k, j]) + t6(eps[:, i, j])
                )
                score = 0
                if holds:
                    triplet = triplet + unit.pointer(p[:, i, j, k, None])
                    score = share[:, :1] * p[:, i, j, k, None]
                    for m, mark in enumerate(marks):
                        row = sum(mark[:, node, None] * p[:, node, j, k, None] for node in range(N))
                        score = score + share[:, 1 + m, None] * row
                rows.append(score + unit.weigh(torch.relu(triplet)))
        expected = torch.cat(rows, -1).view(B, N, N, N)
        standard = naive.decode_one(POINTING[name], made.maps[name], d, eps, g)
        same(ours, standard + expected, [*leaves, *([p] if holds else []), *unit.parameters()])


def test_copying_is_the_rule_of_floyd_and_warshall():
    """With shares 0 and 1 the score of pair (i, j) is row k of the pointers: that of (k, j)."""
    unit = edge_pointers.TripletScores(WIDTH, F, fed=True, marks=1).double()
    with torch.no_grad():
        unit.copy[0].bias.copy_(torch.tensor([0.0, 1.0]))
    index = torch.randint(0, N, (B, N, N))
    p = torch.nn.functional.one_hot(index, N).to(F64)
    mark = torch.nn.functional.one_hot(torch.tensor([2, 0]), N).to(F64)
    d = torch.randn(B, N, WIDTH, dtype=F64)
    edges = AffineFeatures.of(torch.randn(B, N, N, F, dtype=F64))
    found = unit(DecoderInputs(d, edges, None, torch.zeros(B, F, dtype=F64)), p, [mark])
    for b, k in ((0, 2), (1, 0)):
        for i in range(N):
            assert found[b, i].argmax(-1).equal(index[b, k])


def test_pieces_without_gradients_are_the_whole(monkeypatch):
    model, batch = reasoner("mpnn", spec=POINTING, edge_pointer_repair=True), naive.random_batch(LENGTHS, spec=POINTING)
    whole = model(batch)
    monkeypatch.setattr(edge_pointers, "CHUNK_BYTES", 1)
    with torch.no_grad():
        pieces = model(batch)
    for name, value in whole.outputs.items():
        torch.testing.assert_close(pieces.outputs[name], value)


@pytest.mark.parametrize("mode", ["encoded_decoded", "decoded_only", "none"])
@pytest.mark.parametrize("kind", ["mpnn", "triplet_gmpnn"])
def test_before_training_repair_changes_nothing(kind, mode):
    batch = naive.random_batch(LENGTHS, spec=POINTING)
    plain, repaired = (reasoner(kind, 4, POINTING, 0.0, hint_mode=mode, edge_pointer_repair=on) for on in (False, True))
    missing = repaired.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all("look_ups" in name or "triplets" in name for name in missing.missing_keys)
    ours, expected = repaired(batch), plain(batch)
    for name, value in expected.outputs.items():
        torch.testing.assert_close(ours.outputs[name], value, rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad(total_loss(batch, ours), list(repaired.parameters()), allow_unused=True)
    reached = {n for (n, _), g in zip(repaired.named_parameters(), gradients, strict=True) if g is not None and g.any()}
    for part in ("look_ups.first.fetch.weight", "look_ups.first.out.weight", "triplets.Pi.weigh.weight"):
        assert any(name.endswith(part) for name in reached), part
    assert any("triplets.Pi.copy" in name for name in reached) == (mode == "encoded_decoded")


def test_every_part_of_the_repair_is_trained():
    model, batch = reasoner("mpnn", 8, POINTING, edge_pointer_repair=True), naive.random_batch(LENGTHS, spec=POINTING)
    total_loss(batch, model(batch)).backward()
    for name, parameter in model.named_parameters():
        if "look_ups" in name or "triplets" in name:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("feedback", ["soft", "hard"])
def test_what_a_pair_points_to_reaches_it(feedback):
    """The standard encoder gives pair (0, 1) the same features whichever node it points to, the repaired one others."""
    spec = Spec({n: POINTING[n] for n in ("key", "A", "Pi_h", "D", "Pi")})
    for repair in (False, True):
        encoder = reasoner("mpnn", 4, spec, edge_pointer_repair=repair).encoders["everything"]
        batch = naive.random_batch([2], spec=spec)
        features = []
        for target in (2, 3):
            pointers = batch.hints["Pi_h"][0].clone()
            pointers[:, 0, 1] = target
            if feedback == "soft":
                pointers = torch.nn.functional.one_hot(pointers.long(), N).to(F64)
            hints = {"Pi_h": pointers, "D": batch.hints["D"][0]}
            inputs = encoder.encode(Stage.INPUT, batch.inputs, N, adjacency=False)[0]
            found = encoder.encode(Stage.HINT, hints, N, adjacency=False)[0]
            plain = encoder.weights(Location.EDGE)
            edges = AffineFeatures(torch.cat([inputs[Location.EDGE], found[Location.EDGE]], -1), *plain)
            if repair:
                nodes = AffineFeatures(inputs[Location.NODE], *encoder.weights(Location.NODE))
                edges = encoder.look_up(hints, nodes, edges, encoder.with_look_ups(*plain))
            features.append(edges.dense()[0, 0, 1])
        differ = (features[0] - features[1]).abs().max() > 1e-6
        assert differ == repair


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


def test_kinds_of_probes():
    for location, kind in naive.DECODED_KINDS:
        probe = Probe("output", location, kind, 3 if kind == "categorical" else 0)
        assert edge_pointers.is_edge_pointer(probe) == ((location, kind) == ("edge", "pointer"))
        assert decode.has_pointer_head(probe) == (location != "graph" and "pointer" in kind)
    assert edge_pointers.marks(POINTING) == ["k", "at"]
    assert edge_pointers.pointer_hint("Pi", POINTING) == edge_pointers.pointer_hint("Pi_h", POINTING) == "Pi_h"
    assert edge_pointers.pointer_hint("other", POINTING) is None
    assert POINTING["first"].type is Type.POINTER
