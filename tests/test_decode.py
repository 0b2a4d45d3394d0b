"""Decoders: every formula against the loops of naive.py, Sinkhorn, masking off the graph, and what is fed back."""

import itertools

import naive
import pytest
import torch
from naive import F64, built

from nar.model.coders.decoder import Decoder
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.postprocess import feed_back, hard, log_sinkhorn, soft
from nar.nn.processor import Readout
from nar.traces.spec import Probe, Spec, Stage

B, N, F, WIDTH = 2, 4, 5, 6


def decoder(spec, edge_width=F, **options):
    made = Decoder(Spec(spec), F, node_width=WIDTH, edge_width=edge_width, **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made


def views(states):
    """d, e, the processor's edge states (or None) and g."""
    d, e, g = (torch.randn(*s, dtype=F64, requires_grad=True) for s in ((B, N, WIDTH), (B, N, N, F), (B, F)))
    return d, e, torch.randn(B, N, N, 3, dtype=F64, requires_grad=True) if states else None, g


def some_links():
    return torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=torch.bool).expand(B, N, N)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("stage", [Stage.HINT, Stage.OUTPUT])
@pytest.mark.parametrize(("location", "kind"), naive.DECODED_KINDS)
def test_every_location_and_type(location, kind, stage, states, masked):
    probe = Probe(stage, location, kind, 3 if kind == "categorical" else 0)
    made = decoder({"p": probe}, edge_width=F + 3 if states else F)
    d, e, edge_states, g = views(states)
    adjacency = some_links() if masked else None
    ours = made.decode(stage, DecoderInputs(d, built(e), edge_states, g, adjacency=adjacency))["p"]
    eps = e if edge_states is None else torch.cat([e, edge_states], -1)
    expected = naive.decode_one(probe, made.maps["p"], d, eps, g, adjacency)
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-11)
    leaves = [t for t in (d, e, edge_states, g, *made.parameters()) if t is not None]
    results = [torch.autograd.grad(v.clamp(-50, 50).sin().sum(), leaves, allow_unused=True) for v in (ours, expected)]
    for one, other in zip(*results, strict=True):
        one, other = (torch.zeros(()) if t is None else t for t in (one, other))
        torch.testing.assert_close(one + torch.zeros_like(other), other + torch.zeros_like(one), rtol=1e-9, atol=1e-9)


def test_a_node_pointer_reads_the_reversed_edge():
    """Only eps[2, 1] differs from the rest: it moves the score of 1 pointing to 2, and no other."""
    made = decoder({"p": ("output", "node", "pointer")})
    d, e, _, g = views(False)
    with torch.no_grad():
        before = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
        e[:, 2, 1] += 5.0
        after = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
    assert (after != before).nonzero().tolist() == [[b, 1, 2] for b in range(B)]


def test_hints_and_outputs_are_decoded_apart():
    made = decoder(dict(naive.everything()))
    d, e, _, g = views(False)
    for stage in (Stage.HINT, Stage.OUTPUT):
        assert set(made.decode(stage, DecoderInputs(d, built(e), None, g))) == set(naive.everything().stage(stage))
    assert set(decoder(dict(naive.everything()), decode_hints=False).maps) == set(naive.everything().outputs)


def test_the_readout_follows_the_encoded_nodes():
    x, shown = torch.randn(B, N, 2), torch.randn(B, N, 4)
    inputs = DecoderInputs(x, built(torch.zeros(B, N, N, F)), None, torch.zeros(B, F)).with_readout(Readout(shown))
    assert inputs.nodes.equal(torch.cat([x, shown], -1))


def test_off_the_graph_scores_are_below_all_others():
    spec = {"p": ("output", "node", "pointer"), "m": ("output", "edge", "mask"), "s": ("output", "edge", "scalar")}
    made = decoder(spec)
    d, e, _, g = views(False)
    links = some_links()
    plain = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))
    found = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g, adjacency=links))
    for name in ("p", "m"):
        assert found[name][links].equal(plain[name][links])
        for b in range(B):
            assert (found[name][b][~links[b]] == min(-1.0, plain[name][b].min().item() - 1.0)).all()
    assert found["s"].equal(plain["s"])
    with torch.no_grad():
        for name in ("p", "m"):
            made.maps[name][-1].bias += 100.0  # where all scores are far above -1, the lowest is -1 itself
    high = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g, adjacency=links))
    assert (high["p"][~links] == -1).all() and (high["m"][~links] == -1).all() and (high["p"][links] > 0).all()


# Sinkhorn


@pytest.mark.parametrize("nodes", [2, 5, 16])
def test_sinkhorn_is_doubly_stochastic_without_diagonal(nodes):
    logits = torch.randn(3, nodes, nodes, dtype=F64) / 5
    matrix = log_sinkhorn(logits, 200).exp()
    torch.testing.assert_close(matrix.sum(-1), torch.ones(3, nodes, dtype=F64), rtol=0, atol=1e-4)
    torch.testing.assert_close(matrix.sum(-2), torch.ones(3, nodes, dtype=F64), rtol=0, atol=1e-12)
    assert matrix.diagonal(dim1=1, dim2=2).max() == 0
    torch.testing.assert_close(log_sinkhorn(logits, 7), naive.log_sinkhorn(logits, 7))


def test_sinkhorn_finds_a_cycle_and_moves_with_its_rows():
    cycle = torch.tensor([2, 0, 3, 1])
    logits = torch.nn.functional.one_hot(cycle, 4).to(F64)
    assert log_sinkhorn(logits, 10).exp().argmax(-1).equal(cycle)
    assert log_sinkhorn(logits, 10).exp().max(-1).values.min() > 0.99  # temperature 0.1
    order = torch.tensor([3, 1, 0, 2])
    noisy = logits + torch.randn(4, 4, dtype=F64)
    torch.testing.assert_close(log_sinkhorn(noisy, 9)[order][:, order], log_sinkhorn(noisy[order][:, order], 9))


def test_gumbel_noise():
    """Standard Gumbel noise moves the argmax of equal scores uniformly and repeats with its generator."""
    logits = torch.zeros(4000, 3, 3, dtype=F64)
    one, again, other = (log_sinkhorn(logits, 10, noise=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert one.equal(again) and not one.equal(other)
    # without noise both cycles of three nodes are equally likely in every sample; with it one of the two wins
    forward = (one[:, 0, 1] > one[:, 0, 2]).double().mean().item()
    assert forward == pytest.approx(0.5, abs=0.03)
    torch.manual_seed(4)
    assert not log_sinkhorn(logits, 10, noise=True).equal(log_sinkhorn(logits, 10, noise=True))
    # the noise itself: two entries' difference is logistic, with variance pi^2 / 3
    wide = torch.zeros(20000, 2, 2, dtype=F64)
    uniform = torch.rand(wide.shape, generator=torch.Generator().manual_seed(5), dtype=F64)
    gumbel = -torch.log(-torch.log(uniform))
    expected = naive.log_sinkhorn(wide + gumbel, 3)
    torch.testing.assert_close(
        log_sinkhorn(wide, 3, noise=torch.Generator().manual_seed(5)), expected, rtol=1e-6, atol=1e-6
    )


# Feedback


@pytest.mark.parametrize("how", ["soft", "hard"])
@pytest.mark.parametrize(("location", "kind"), naive.DECODED_KINDS)
def test_feedback(location, kind, how):
    probe = Probe("hint", location, kind, 3 if kind == "categorical" else 0)
    one_row = {"mask_one": (N,) if location == "node" else (N, N), "categorical": (*probe.shape(N), 3)}.get(kind)
    shape = one_row or (probe.shape(N) if kind in ("scalar", "mask") else (*probe.shape(N), N))
    logits = torch.randn(B, *shape, dtype=F64, requires_grad=True)
    found = feed_back({"p": probe}, {"p": logits}, how=how)["p"]
    expected = naive.feed_back(probe, logits, how)
    if how == "hard" and kind not in ("scalar", "mask"):
        assert not found.is_floating_point() and found.shape == (B, *probe.shape(N))
    torch.testing.assert_close(naive.expand(probe, found, N), expected, rtol=1e-12, atol=1e-12)
    assert found.requires_grad == (how == "soft")


def test_soft_and_hard_by_hand():
    mask = Probe("hint", "node", "mask")
    assert soft(mask, torch.tensor([0.0])).item() == 0.5
    assert hard(mask, torch.tensor([-0.1, 0.0, 0.1])).tolist() == [0, 0, 1]
    pointer = Probe("output", "node", "pointer")
    assert hard(pointer, torch.tensor([[[0.0, 2.0], [1.0, -1.0]]])).tolist() == [[1, 0]]
    third = torch.log(torch.tensor([[1.0, 1.0, 3.0]]))
    torch.testing.assert_close(soft(pointer, third), torch.tensor([[0.2, 0.2, 0.6]]))
    scalar = Probe("hint", "node", "scalar")
    assert hard(scalar, torch.tensor([1.75])).item() == 1.75  # not rounded


def test_hard_outputs_of_a_permutation_use_more_iterations_than_hints():
    """50 for outputs, 25 for hints, as in dm-clrs: they can differ, and each must be the one it should be."""
    probe = Probe("output", "node", "permutation_pointer")
    logits = log_sinkhorn(torch.randn(200, 6, 6, dtype=F64), 10)
    assert hard(probe, logits).equal(naive.log_sinkhorn(logits, 50).argmax(-1))
    assert feed_back({"p": probe}, {"p": logits}, how="hard")["p"].equal(naive.log_sinkhorn(logits, 25).argmax(-1))
    torch.testing.assert_close(soft(probe, logits), naive.log_sinkhorn(logits, 25).exp())


@pytest.mark.parametrize(
    ("probe", "logits", "before", "expected"),
    [
        (Probe("hint", "node", "mask"), [[2.0, -1.0, 3.0]], [[-1, 0, 1], [1, 1, 1]], [[-1, 0, 1]]),
        (Probe("hint", "node", "categorical", 2), [[[0.0, 1.0], [1.0, 0.0]]], [[-1, 1]], [[-1, 0]]),
        (Probe("hint", "node", "scalar"), [[0.5]], [[-1.0]], [[0.5]]),
    ],
)
def test_what_is_ignored_stays_so_where_asked(probe, logits, before, expected):
    predicted, before = {"p": torch.tensor(logits)}, {"p": torch.tensor(before)}
    assert feed_back({"p": probe}, predicted, how="hard", before=before)["p"].tolist() == expected
    assert (feed_back({"p": probe}, predicted, how="hard")["p"] != -1).all()


def test_all_pairs_of_nodes_literally():
    """The row's node through the first map, the column's through the second, the edge through the third."""
    made = decoder({"p": ("output", "edge", "scalar")})
    d, e, _, g = views(False)
    found = made.decode(Stage.OUTPUT, DecoderInputs(d, built(e), None, g))["p"]
    one, two, three = made.maps["p"]
    for b, i, j in itertools.product(range(B), range(N), range(N)):
        torch.testing.assert_close(found[b, i, j], (one(d[b, i]) + two(d[b, j]) + three(e[b, i, j]))[0])
