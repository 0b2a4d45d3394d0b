"""Options of decoders, each by its formula: the additive pointer head, scaling by log n, comparison units."""

import itertools
import math

import naive
import pytest
import torch
from drawn_models import B, F, N, decoder, same, views
from naive import built

from nar.kernels.cpu import ranges
from nar.model.coders import decoder as decode
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.reasoner import Reasoner
from nar.traces.spec import Probe, Stage

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
