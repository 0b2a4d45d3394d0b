"""Edge states that are made only where they are read: the tensor that they stand for, and what leaves them unmade."""

import pytest
import torch

from nar import processors
from nar.kernels.cpu import ranges
from nar.model.coders import decoder as decode
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.nn import edge_states
from nar.nn.affine import AffineFeatures
from nar.nn.edge_states import EdgeStates
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.traces.spec import Spec, Stage

B, N, T, F = 3, 5, 2, 4


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def made():
    narrow, weight, bias = randn(B, N, N, T), randn(F, T), randn(F)
    return EdgeStates(narrow, weight, bias), torch.relu(narrow @ weight.t() + bias)


def test_they_are_a_rectified_map_of_few_channels():
    states, expected = made()
    assert states.shape == expected.shape
    torch.testing.assert_close(states.dense(), expected)


def test_choosing_copying_and_joining_graphs_leaves_them_unmade():
    states, expected = made()
    inputs = DecoderInputs(randn(B, N, F), AffineFeatures.of(randn(B, N, N, F)), states, randn(B, F))
    first, rest = inputs.map(lambda part: part[:1].clone()), inputs.map(lambda part: part[1:])
    joined = first.map(lambda *parts: torch.cat(parts), rest)
    chosen = torch.tensor([True, False, True])
    mixed = inputs.map(lambda one, other: torch.where(chosen.view(-1, *[1] * (one.dim() - 1)), one, other), joined)
    for found in (joined, mixed):
        assert isinstance(found.edge_states, EdgeStates)
        torch.testing.assert_close(found.edge_states.dense(), expected)
        torch.testing.assert_close(found.nodes, inputs.nodes)
        torch.testing.assert_close(found.edges.dense(), inputs.edges.dense())
    assert joined.adjacency is None


@pytest.mark.parametrize("size", [1, 300, 10**9])
def test_projections_in_chunks(size, monkeypatch):
    monkeypatch.setattr(edge_states, "CHUNK_BYTES", size)
    states, expected = made()
    weight = randn(3, F)
    with torch.no_grad():
        torch.testing.assert_close(states.project(weight), expected @ weight.t(), rtol=1e-12, atol=1e-12)
    torch.autograd.grad(states.project(weight).sum(), [states.channels, states.weight_Ft, states.bias_F, weight])


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("location", ["node", "edge"])
@pytest.mark.parametrize("kind", ["pointer", "mask", "scalar"])
def test_decoders_read_them_as_tensors(kind, location, fast, monkeypatch):
    """Values, and gradients with respect to everything, those of the maps behind the states included."""
    if not fast:
        monkeypatch.setattr(ranges, "usable", lambda *_: False)
    decoder = decode.Decoder(Spec({"p": ("output", location, kind)}), F, node_width=6, edge_width=2 * F).double()
    nodes, channels, weight, bias = randn(B, N, 6), randn(B, N, N, 3), randn(3, F), randn(F)
    states, expected = made()
    leaves = [nodes, channels, states.channels, states.weight_Ft, states.bias_F, *decoder.parameters()]
    found = []
    for shown in (states, expected):
        edges = AffineFeatures(channels, weight, bias)
        value = decoder.decode(Stage.OUTPUT, DecoderInputs(nodes, edges, shown, randn(B, F)))["p"]
        gradients = torch.autograd.grad(value.sin().sum(), leaves, allow_unused=True)
        found.append([value, *(g for g in gradients if g is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_a_state_of_triplets_is_as_wide_as_triplets():
    processor = processors.build("triplet_gmpnn", 16, triplet_features=3).double()
    nodes, graph = randn(2, 4, 16), randn(2, 16)

    step = Step(nodes, graph, Dense(AffineFeatures(randn(2, 4, 4, 2), randn(2, 16), randn(16)), 4))
    before = processor.initial_state(2, 4, nodes)
    after = processor(step, before)
    assert after[1].shape == (2, 4, 4, 3)
    assert processor.readout(step, before, after).edges.shape == (2, 4, 4, 16)
