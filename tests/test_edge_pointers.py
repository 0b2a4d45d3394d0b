"""The repair of edge pointers: looked up and scored by its formulas, nothing before training, all of it trained."""

import itertools

import naive
import pytest
import torch
from drawn_models import LENGTHS, POINTING, WIDTH, B, F, N, decoder, reasoner, same, shaken, views
from naive import F64, built

from nar.model.coders import decoder as decode
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.objectives.losses import total_loss
from nar.model.options import edge_pointers
from nar.nn.affine import AffineFeatures
from nar.traces.spec import Location, Probe, Spec, Stage, Type


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


def test_kinds_of_probes():
    for location, kind in naive.DECODED_KINDS:
        probe = Probe("output", location, kind, 3 if kind == "categorical" else 0)
        assert edge_pointers.is_edge_pointer(probe) == ((location, kind) == ("edge", "pointer"))
        assert decode.has_pointer_head(probe) == (location != "graph" and "pointer" in kind)
    assert edge_pointers.marks(POINTING) == ["k", "at"]
    assert edge_pointers.pointer_hint("Pi", POINTING) == edge_pointers.pointer_hint("Pi_h", POINTING) == "Pi_h"
    assert edge_pointers.pointer_hint("other", POINTING) is None
    assert POINTING["first"].type is Type.POINTER
