"""The model on edges against the dense layout that is confined to them: predictions, losses, gradients.

Confined: hints add no edges to the adjacency, pointers off the graph have no probability, and masks of pairs off it are
ignored. Otherwise the dense code is nar's own, with the same weights.
"""

import pickle

import numpy as np
import pytest
import torch
from naive import F64

import nar.datasets
from nar.model.batch import collate as collate_dense
from nar.model.coders import encoder
from nar.model.coders.decoder import Decoder
from nar.model.coders.sparse.batch import collate
from nar.model.objectives.emphasis import Emphasis
from nar.model.objectives.losses import losses, total_loss
from nar.model.reasoner import Reasoner
from nar.nn.sparse.predictions import EdgePointers, OnEdges
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import POINTERS, Location, Stage, Type

PROCESSORS = ("pgn", "pgn_mask", "gat", "gin", "lcm_masked", "rnar_masked")
ALGORITHMS = ("bfs", "bellman_ford", "dijkstra", "mst_prim", "dfs", "maximal_independent_set", "eccentricity")
SEEDS = range(5)


def drawn(name, n, seeds=SEEDS):
    """The same traces in both layouts; weights are exact in single precision."""
    algorithm = nar.datasets.get(name)
    params = {"law": "integer"} if "law" in algorithm.params else {}
    inputs = [algorithm.sample(np.random.RandomState(s), n, family="sparse_erdos_renyi", **params) for s in seeds]
    on_edges = [algorithm.run_on_edges(**one | {"A": SparseGraph.of_matrix(one["A"])}) for one in inputs]
    return algorithm, [algorithm.run(**one) for one in inputs], on_edges


def confine(monkeypatch, batch):
    """Make the dense layout know nothing but the graphs' edges."""
    adj_BNN = batch.inputs["adj"] == 1
    adj_BNN = adj_BNN | adj_BNN.transpose(1, 2) | torch.eye(batch.nodes, dtype=torch.bool)
    links, decode = encoder._links, Decoder.decode

    def confined(self, stage, inputs, noise=False):
        found = decode(self, stage, inputs, noise)
        for name, value in found.items():
            if (
                isinstance(value, torch.Tensor)
                and self.probes[name].location is Location.NODE
                and self.probes[name].type in POINTERS
            ):
                found[name] = value.masked_fill(~adj_BNN[: len(value)], -torch.inf)
        return found

    monkeypatch.setattr(encoder, "_links", lambda p, c: links(p, c) if p.stage is Stage.INPUT else None)
    monkeypatch.setattr(Decoder, "decode", confined)
    for name, probe in batch.spec.hints.items():
        if probe.location is Location.EDGE:
            hint, sample = batch.hints[name], torch.zeros(len(batch.hints[name].values), dtype=torch.long)
            sample[hint.index] = torch.arange(len(batch)).expand_as(hint.index)
            hint.values = hint.values.masked_fill(~adj_BNN[sample], -1)
    return adj_BNN


def reasoner_of(name, processor, dtype=F64, **options):
    torch.manual_seed(1)
    return Reasoner.build(name, processor, hidden=6, **options).to(dtype).train()


def as_dense(value, batch):
    """What was predicted on edges, as pairs [b, i, j]."""
    if not isinstance(value, OnEdges):
        return value
    edges = batch.edges
    first, second = edges.sender_index, edges.receivers % edges.nodes
    if isinstance(value, EdgePointers):
        first, second = second, first
    full = torch.full((len(batch), batch.nodes, batch.nodes), -torch.inf, dtype=value.logits.dtype)
    return full.index_put((edges.graph, first, second), value.logits)


def compare(monkeypatch, reasoner, name, n, tolerance, **options):
    algorithm, dense_traces, sparse_traces = drawn(name, n)
    dense, sparse = collate_dense(dense_traces, algorithm), collate(sparse_traces, algorithm)
    assert sparse.order == dense.order
    adj_BNN = confine(monkeypatch, dense)
    on_edges, on_pairs = reasoner(sparse, **options), reasoner(dense, **options)
    close = {"rtol": tolerance, "atol": tolerance}

    def same(key, one, other):
        one = as_dense(one, sparse)[: len(other)]
        if dense.spec[key].location is Location.EDGE:
            other = other.masked_fill(~adj_BNN[: len(other)], -torch.inf)
        torch.testing.assert_close(one, other, **close)

    for key, value in on_pairs.outputs.items():
        same(key, on_edges.outputs[key], value)
    assert len(on_edges.hints) == len(on_pairs.hints) > 0
    for one, other in zip(on_edges.hints, on_pairs.hints, strict=True):
        for key, value in other.items():
            same(key, one[key], value)
    on_edge = any(probe.location is Location.EDGE for probe in dense.spec.values() if probe.stage is Stage.HINT)
    emphasis = Emphasis(3.0, 0.0 if on_edge else 0.7)  # of pairs, not of edges, a smaller share changes
    found, expected = (losses(*of, emphasis) for of in ((sparse, on_edges), (dense, on_pairs)))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, **close)
    parameters = list(reasoner.parameters())
    gradients = [
        torch.autograd.grad(total_loss(batch, rollout), parameters, allow_unused=True)
        for batch, rollout in ((sparse, on_edges), (dense, on_pairs))
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=100 * tolerance, atol=100 * tolerance)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_processor_predicts_the_same(monkeypatch, processor):
    compare(monkeypatch, reasoner_of("bellman_ford", processor), "bellman_ford", 7, 1e-12)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_predicted_the_same(monkeypatch, name):
    nodes = 4 if name == "dfs" else 6  # roundings grow with the steps, of which it takes three per node
    compare(monkeypatch, reasoner_of(name, "pgn"), name, nodes, 1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"hint_feedback": "hard"},
        {"hint_feedback": "straight_through"},
        {"hint_mode": "decoded_only"},
        {"pointer_head": "additive", "message_passing_steps": 2},
        {"halting": "supervised"},
    ],
)
def test_options_do_the_same(monkeypatch, options):
    compare(monkeypatch, reasoner_of("dijkstra", "gpgn", **options), "dijkstra", 5, 1e-12)


def test_true_hints_are_given_alike(monkeypatch):
    compare(monkeypatch, reasoner_of("bfs", "pgn"), "bfs", 7, 1e-12, teacher_forcing=1.0)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_single_precision(monkeypatch, processor):
    compare(monkeypatch, reasoner_of("bfs", processor, torch.float32), "bfs", 8, 1e-5)


def test_graphs_of_several_sizes_do_not_see_each_other():
    reasoner = reasoner_of("dijkstra", "pgn").eval()
    algorithm, traces = nar.datasets.get("dijkstra"), []
    for n, seed in ((3, 0), (9, 1), (1, 2), (6, 3)):
        traces += drawn("dijkstra", n, [seed])[2]
    together = collate(traces, algorithm)
    assert together.lengths == [10, 7, 4, 2] and together.edges.sizes == [9, 6, 3, 1]
    rollout = reasoner(together)
    decided = rollout.outputs["pi"].decided()
    for b, place in enumerate(together.order):
        batch = collate([traces[place]], algorithm)
        alone, n = reasoner(batch), traces[place].nodes
        here = together.edges.graph == b
        torch.testing.assert_close(rollout.outputs["pi"].logits[here], alone.outputs["pi"].logits, rtol=1e-12, atol=0)
        assert decided[b, :n].equal(alone.outputs["pi"].decided()[0])
        for s, hints in enumerate(alone.hints):
            torch.testing.assert_close(rollout.hints[s]["d"][b, :n], hints["d"][0], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(rollout.hints[s]["u"][b, :n], hints["u"][0], rtol=1e-12, atol=1e-12)
    # and the loss is the mean over all of their entries
    counts = {t.nodes: max(t.length - 1, 0) * t.nodes for t in traces}
    apart = [losses(b, reasoner(b))["d"] * counts[b.nodes] for b in (collate([t], algorithm) for t in traces)]
    torch.testing.assert_close(losses(together, rollout)["d"], sum(apart) / sum(counts.values()))


def test_hints_are_read_in_any_order_and_stay_after_the_end():
    algorithm, _, traces = drawn("bfs", 8)
    batch = collate(traces, algorithm)
    expected = [np.asarray(traces[i].compact["pi_h"]) for i in batch.order]
    for moment in (0, 2, 1, batch.lengths[0], 0):
        found = batch.hints["pi_h"][moment]
        assert found.shape == (5, 8)
        for b, values in enumerate(expected):
            assert found[b].tolist() == values[min(moment, len(values) - 1)].tolist()


@pytest.mark.parametrize(
    ("processor", "options", "message"),
    [
        ("mpnn", {}, "MPNN needs all pairs"),
        ("triplet_pgn", {}, "PGN keeps or compares all pairs"),
        ("transformer_masked", {}, "Transformer keeps or compares all pairs"),
        ("pgn", {"relations": "beside"}, "relations of all pairs"),
        ("pgn", {"comparison_units": 2}, "comparison_units looks at all pairs"),
        ("pgn", {"log_n_scale": True}, "log_n_scale looks at all pairs"),
    ],
)
def test_what_needs_all_pairs_says_so(processor, options, message):
    algorithm, _, traces = drawn("bfs", 4, [0])
    with pytest.raises(ValueError, match=message):
        reasoner_of("bfs", processor, **options)(collate(traces, algorithm))


def test_a_rollout_can_end_by_itself():
    algorithm, _, traces = drawn("maximal_independent_set", 6)
    reasoner = reasoner_of("maximal_independent_set", "pgn", hint_feedback="hard").eval()
    with torch.no_grad():
        rollout = reasoner(collate(traces, algorithm), termination="fixed_point", limit=30, decide_hints=True)
    hints = rollout.hints
    for b, taken in enumerate(rollout.taken.tolist()):
        assert taken == 30 or all(hints[taken - 1][k][b].equal(hints[taken - 2][k][b]) for k in ("alive_h", "inmis_h"))
    assert rollout.taken.min() < 30


def test_a_batch_comes_whole_from_another_process():
    algorithm, _, traces = drawn("dijkstra", 6)
    batch = collate(traces, algorithm)
    batch.hints["d"][3]
    other = pickle.loads(pickle.dumps(batch))
    for moment in (0, 4, 2):
        for name, hint in batch.hints.items():
            assert other.hints[name][moment].equal(hint[moment])
    assert other.edges.twins.equal(batch.edges.twins) and other.to("cpu").edges is other.edges


def test_hints_can_be_watched_instead_of_kept():
    algorithm, _, traces = drawn("bfs", 8)
    reasoner, batch, seen = reasoner_of("bfs", "pgn").eval(), collate(traces, algorithm), []
    kept = reasoner(batch).hints
    assert reasoner(batch, watch=lambda s, hints: seen.append((s, hints))).hints == []
    assert [s for s, _ in seen] == list(range(len(kept)))
    assert all(hints["reach_h"].equal(kept[s]["reach_h"]) for s, hints in seen)


def test_types_on_edges_are_known():
    assert {Type.MASK} == {
        p.type for name in ALGORITHMS for p in nar.datasets.get(name).spec.hints.values() if p.location is Location.EDGE
    }
