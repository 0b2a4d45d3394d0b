"""Encoders: what each location and type becomes, against naive.py; the factored edge features; the adjacency."""

import naive
import pytest
import torch
from naive import F64

from nar.model.coders.encoder import Encoder, channels, dense
from nar.nn.affine import AffineFeatures
from nar.nn.layers import linear
from nar.traces.spec import Location, Probe, Spec, Stage

N = 4


def encoder(spec, features=3, **options):
    made = Encoder(Spec(spec), features, **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))  # biases included
    return made


def features(made, stage, values, nodes=N):
    """Node, edge and graph features of one stage's probes alone, through the channels, as the rollout makes them."""
    parts, adjacency = made.encode(stage, values, nodes, adjacency=True)
    result = {}
    for location, raw in parts.items():
        weight, bias = made.weights(location, stage)
        result[location] = None if raw is None else raw @ weight + bias
        assert (raw is None) == (len(weight) == 0)
    return result, adjacency


@pytest.mark.parametrize("stage", [Stage.INPUT, Stage.HINT])
@pytest.mark.parametrize(("location", "kind"), naive.DECODED_KINDS)
def test_every_location_and_type(location, kind, stage):
    probe = Probe(stage, location, kind, 3 if kind == "categorical" else 0)
    made = encoder({"p": probe})
    value = naive.random_value(probe, (2,), N, torch.Generator().manual_seed(1))
    expected = naive.encode(made, {"p": value}, 2, N, 3)
    found, adjacency = features(made, stage, {"p": value})
    for place, wanted in zip((Location.NODE, Location.EDGE, Location.GRAPH), expected[:3], strict=True):
        if found[place] is None:
            assert not wanted.any()
        else:
            torch.testing.assert_close(found[place], wanted, rtol=1e-12, atol=1e-12)
    assert sum(value is not None for value in found.values()) == 1
    links = torch.eye(N, dtype=torch.bool) if adjacency is None else adjacency | torch.eye(N, dtype=torch.bool)
    assert links.expand(2, N, N).equal(expected[3])


@pytest.mark.parametrize(("location", "kind"), [k for k in naive.DECODED_KINDS if k[1] not in ("scalar", "mask")])
def test_indices_and_one_hot_probabilities_are_encoded_alike(location, kind):
    probe = Probe("hint", location, kind, 3 if kind == "categorical" else 0)
    index = naive.random_value(probe, (2,), N, torch.Generator().manual_seed(2))
    rows = naive.expand(probe, index, N)
    for one, other in zip(channels(probe, index, N, F64), channels(probe, rows, N, F64), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)


def test_probabilities_are_encoded_as_they_are_and_pass_gradients_on():
    probe = Probe("hint", "edge", "pointer")
    made = encoder({"p": probe})
    soft = torch.rand(2, N, N, N, dtype=F64).softmax(-1).requires_grad_()
    _, expected, _, _ = naive.encode(made, {"p": soft}, 2, N, 3)
    found, _ = features(made, Stage.HINT, {"p": soft})
    torch.testing.assert_close(found[Location.EDGE], expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(e.sin().sum(), soft)[0] for e in (found[Location.EDGE], expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_axes_of_an_edge_pointer():
    """Edge (1, 2) points to node 3: seen by the edge (2, 3) through the first map and by (1, 3) through the second."""
    probe = Probe("input", "edge", "pointer")
    soft = torch.zeros(1, N, N, N)
    soft[0, 1, 2, 3] = 1.0
    into, out = channels(probe, soft, N, torch.float32)
    assert into.squeeze(-1).nonzero().tolist() == [[0, 2, 3]] and into[0, 2, 3] == 0.25
    assert out.squeeze(-1).nonzero().tolist() == [[0, 1, 3]] and out[0, 1, 3] == 0.25
    made = encoder({"p": probe})
    with torch.no_grad():
        for k, layer in enumerate(made.maps["p"]):
            layer.weight.fill_(10.0**k)
            layer.bias.zero_()
    found, _ = features(made, Stage.INPUT, {"p": soft.double()})
    edge = found[Location.EDGE][0, :, :, 0]
    assert edge[2, 3] == 0.25 and edge[1, 3] == 2.5 and edge.count_nonzero() == 2


def test_row_i_of_a_node_pointer_is_the_edge_from_i():
    raw = channels(Probe("input", "node", "pointer"), torch.tensor([[2, 1, 0, 2]]), N, torch.float32)
    assert raw[0].squeeze(-1).nonzero().tolist() == [[0, 0, 2], [0, 1, 1], [0, 2, 0], [0, 3, 2]]


def test_ignored_classes_and_masks():
    probe = Probe("input", "node", "categorical", 3)
    rows = dense(probe, torch.tensor([[0, 2, -1]], dtype=torch.int8), 3, F64)
    assert rows.tolist() == [[[1, 0, 0], [0, 0, 1], [0, 0, -1]]]
    assert dense(Probe("input", "node", "mask"), torch.tensor([[1, 0, -1]]), 3, F64).tolist() == [[1, 0, -1]]


def test_contributions_are_summed_over_probes_and_stages():
    spec = naive.everything()
    made, batch = encoder(dict(spec)), naive.random_batch([2, 2])
    values = {n: v[0] for n, v in batch.hints.items()}
    expected = naive.encode(made, dict(batch.inputs) | values, 2, N, 3)
    first, links = made.encode(Stage.INPUT, batch.inputs, N, adjacency=True)
    second, more = made.encode(Stage.HINT, values, N, adjacency=True)
    for place, wanted in zip((Location.NODE, Location.EDGE, Location.GRAPH), expected[:3], strict=True):
        weight, bias = made.weights(place)
        raw = torch.cat([first[place], second[place]], -1)
        torch.testing.assert_close(raw @ weight + bias, wanted, rtol=1e-12, atol=1e-12)
    assert (links | more | torch.eye(N, dtype=torch.bool)).equal(expected[3])
    assert made.encode(Stage.INPUT, batch.inputs, N, adjacency=False)[1] is None


def test_without_hints_nothing_is_made_for_them():
    made = Encoder(naive.everything(), 3, encode_hints=False)
    assert set(made.maps) == set(naive.everything().inputs)


def test_no_two_parameters_share_the_memory_of_their_gradients():
    """Else clipping, which scales gradients in place, scales shared ones once per parameter."""
    made = encoder(dict(naive.everything()))
    sum(weight.sum() + (bias**2).sum() for weight, bias in map(made.weights, Location)).backward()
    gradients = {
        name: p.grad.untyped_storage().data_ptr() for name, p in made.named_parameters() if name.endswith("bias")
    }
    assert len(set(gradients.values())) == len(gradients)


# Initialisation


def test_initial_scales():
    """Scalar hints are drawn 1/sqrt(features) wide by the protocol's initialisation, everything else 1/sqrt(fan-in)."""
    spec = {
        "a": ("input", "node", "scalar"), "b": ("hint", "node", "scalar"), "c": ("hint", "edge", "scalar"),
        "d": ("hint", "node", "mask"), "e": ("input", "node", "categorical", 16), "f": ("hint", "graph", "scalar"),
    }  # fmt: skip
    wide = {"a": 1.0, "b": 0.05, "c": 0.05, "d": 1.0, "e": 0.25, "f": 0.05}
    for init, expected in (("xavier_on_scalars", wide), ("default", wide | {"b": 1.0, "c": 1.0, "f": 1.0})):
        made = Encoder(Spec(spec), 400, init=init)
        for name, nominal in expected.items():
            weight = made.maps[name][0].weight
            assert weight.abs().max() <= 2 * nominal  # truncated at two deviations
            assert weight.std().item() == pytest.approx(0.88 * nominal, rel=0.12)
            assert not made.maps[name][0].bias.any()


def test_linear_maps_start_truncated_and_not_corrected_for_it():
    layer = linear(100, 400, bias=-3.0)
    assert layer.weight.abs().max() <= 0.2
    assert layer.weight.std().item() == pytest.approx(0.0880, rel=0.02)
    assert layer.weight.mean().abs() < 0.002
    assert (layer.bias == -3).all()


# Factored edge features


@pytest.mark.parametrize("width", [0, 1, 5])
def test_projection_equals_linear_of_built_features(width):
    channels_BNNK = torch.randn(2, N, N, width, dtype=F64, requires_grad=True)
    weight, bias = torch.randn(width, 6, dtype=F64, requires_grad=True), torch.randn(6, dtype=F64, requires_grad=True)
    layer = torch.nn.Linear(6, 3).double()
    leaves = [channels_BNNK, weight, bias, *layer.parameters()]
    results = []
    for built in (False, True):
        edges = AffineFeatures(channels_BNNK, weight, bias)
        value = layer(channels_BNNK @ weight + bias) if built else edges.project(layer)
        results.append((value, *torch.autograd.grad(value.sin().sum(), leaves)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_projection_by_the_first_columns_turned_and_of_some_graphs():
    edges = AffineFeatures(torch.randn(3, N, N, 2, dtype=F64), torch.randn(2, 4, dtype=F64), torch.randn(4, dtype=F64))
    wide, other = torch.nn.Linear(9, 3).double(), torch.nn.Linear(4, 3).double()
    features = edges.channels @ edges.weight_CF + edges.bias_F
    expected = features @ wide.weight[:, :4].t() + wide.bias
    torch.testing.assert_close(edges.project(wide, columns=4), expected)
    torch.testing.assert_close(edges.project(other), other(features))  # each layer has its own composition
    torch.testing.assert_close(edges.reverse().project(wide, columns=4), expected.transpose(1, 2))
    torch.testing.assert_close(edges.with_channels(edges.channels[1:3]).project(wide, columns=4), expected[1:3])


# Adjacency


def links(spec, stage, values, nodes):
    return encoder(spec).encode(stage, values, nodes, adjacency=True)[1]


def test_pointers_and_edge_masks_link_both_ways_and_nothing_else_does():
    pointer = links({"p": ("hint", "node", "pointer")}, Stage.HINT, {"p": torch.tensor([[1, 1, 0]])}, 3)
    assert pointer[0].int().tolist() == [[0, 1, 1], [1, 1, 0], [1, 0, 0]]
    mask = torch.tensor([[[0, 1, 0], [0, 0, 0], [0, -1, 0]]], dtype=torch.int8)
    found = links({"m": ("input", "edge", "mask")}, Stage.INPUT, {"m": mask}, 3)
    assert found[0].int().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    for location, kind in naive.KINDS:
        if (location, kind) not in (("node", "pointer"), ("edge", "mask")):
            probe = Probe("input", location, kind, 3 if kind == "categorical" else 0)
            value = naive.random_value(probe, (1,), 3, torch.Generator().manual_seed(0))
            assert links({"p": probe}, Stage.INPUT, {"p": value}, 3) is None


def test_soft_hints_link_from_one_half_for_pointers_and_from_zero_for_masks():
    rows = torch.tensor([[[0.0, 0.3, 0.7], [0.3, 0.7, 0.0], [0.0, 0.6, 0.4]]], dtype=F64)
    found = links({"p": ("hint", "node", "pointer")}, Stage.HINT, {"p": rows}, 3)
    # 0.3 + 0.3 links (the sum decides), 0.4 + 0.4 on the diagonal too, 0 + 0 does not
    assert found[0].int().tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    half = torch.tensor([[[0.0, 0.5], [0.0, 0.0]]], dtype=F64)
    assert not links({"p": ("hint", "node", "pointer")}, Stage.HINT, {"p": half}, 2).any()
    low = torch.full((1, 3, 3), 1e-6, dtype=F64)
    assert links({"m": ("hint", "edge", "mask")}, Stage.HINT, {"m": low}, 3).all()


def test_unknown_initialisation():
    with pytest.raises(ValueError, match="initialisation 'ones'; choose xavier_on_scalars or default"):
        Encoder(naive.everything(), 3, init="ones")
