"""Relations, candidates and selection along edges: those of the dense layout, asked of edges alone; single steps."""

import dataclasses

import numpy as np
import pytest
import torch
from naive import F64

import nar.datasets
from nar import recipes
from nar.model.batch import collate as collate_dense
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.forms import dense as dense_form
from nar.model.coders.sparse import relations as along
from nar.model.coders.sparse.batch import collate
from nar.model.coders.sparse.encoder import SparseStepEncoder, form
from nar.model.objectives.losses import losses, total_loss
from nar.model.options import relation_kinds as kinds
from nar.model.options.choice import Choice
from nar.model.options.relations import UNCHANGED
from nar.model.reasoner import Reasoner
from nar.traces.sparse.graph import SparseGraph
from nar.traces.spec import Location, Stage
from nar.training import moments
from nar.training.tasks import training_batch

ALGORITHMS = ("bfs", "dijkstra", "bellman_ford", "mst_prim", "dfs", "eccentricity", "maximal_independent_set")


def drawn(name, n=7, seeds=range(4)):
    algorithm = nar.datasets.get(name)
    inputs = [algorithm.sample(np.random.RandomState(s), n, family="sparse_erdos_renyi") for s in seeds]
    edges = [algorithm.run_on_edges(**one | {"A": SparseGraph.of_matrix(one["A"])}) for one in inputs]
    return collate_dense([algorithm.run(**one) for one in inputs], algorithm), collate(edges, algorithm)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_relation_is_the_one_of_pairs(name):
    """At several moments of true hints: channel for channel, what the dense layout says of the edges' ends."""
    dense, sparse = drawn(name)
    edges, spec = sparse.edges, dense.spec
    given = {n: p for n, p in spec.items() if p.stage is not Stage.OUTPUT}
    made = along.EdgeRelations(given, (Stage.INPUT, Stage.HINT))
    graph, first, second = edges.graph, edges.sender_index, edges.receivers % edges.nodes
    seen = 0
    for moment in range(dense.lengths[-1]):
        of_pairs = dict(dense.inputs) | {n: v[moment] for n, v in dense.hints.items()}
        on_edges = dict(sparse.inputs) | {n: v[moment] for n, v in sparse.hints.items()}
        flag = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=F64)

        def pairs(n, of_pairs=of_pairs, flag=flag):
            derived, _, probe = n.rpartition(" ")
            value = flag if n == UNCHANGED else dense_form(spec[probe], of_pairs[probe], dense.nodes, F64)
            return kinds.depth(value) if derived else value

        def one(n, on_edges=on_edges, flag=flag):
            return flag if n == UNCHANGED else form(spec[n], on_edges[n], edges, F64)

        for stage in (Stage.INPUT, Stage.HINT):
            channels = made.along(stage, one, edges)
            for relation, (location, found) in zip(made.of[stage], channels, strict=True):
                expected = torch.stack(relation.channels(*map(pairs, relation.operands)), -1)
                if location is Location.EDGE:
                    expected = expected[graph, first, second]
                assert found.shape == expected.shape and location is relation.location
                torch.testing.assert_close(found, expected, msg=f"{relation.says} at {moment}")
                seen += 1
    assert seen > 10


@pytest.mark.parametrize(("name", "largest"), [("bfs", kinds.BEYOND), ("dijkstra", 1.0)])
def test_edges_without_weights_count_as_more_than_any_number(name, largest, monkeypatch):
    _, sparse = drawn(name)
    reasoner, compared = reasoner_of(name), {}
    coder, decoder = reasoner.coders(name)

    def recorded(stage, value, edges):
        compared["A"] = value("A")
        return original(stage, value, edges)

    original = coder.relations.along
    monkeypatch.setattr(coder.relations, "along", recorded)
    steps = SparseStepEncoder(coder, reasoner.processor, sparse, reads=decoder.reads())
    steps.step({n: v[1] for n, v in sparse.hints.items()}, steps.memory(), len(sparse))
    assert largest / 2 < compared["A"].max() <= largest


def test_the_least_and_the_largest_of_a_mask():
    x = torch.tensor([[3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 5.0, 5.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    least, largest = along.extreme_of(x, mask)
    assert least.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]] and largest.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    spec = nar.datasets.get("dijkstra").spec
    says = [r.says for r in along.extremes({n: p for n, p in spec.items() if p.stage != "output"})]
    assert ("d_i is the least of in_queue", "d_i is the largest of in_queue") in says and len(says) == 4


def reasoner_of(name, **options):
    torch.manual_seed(2)
    settings = {"relations": "instead", "candidates": True, "selection": True, "output_step": True, "history": False}
    return Reasoner.build(
        name, "relational", hidden=8, layout="sparse", hint_feedback="hard", **settings | options
    ).double()


@pytest.mark.parametrize("name", ["bfs", "dijkstra", "mst_prim"])
def test_choices_are_those_of_the_dense_layout_among_neighbours(name):
    """The modules themselves, on decoder inputs that say the same, with all pairs off the graph made ineligible."""
    dense, sparse = drawn(name)
    reasoner, edges = reasoner_of(name), sparse.edges
    coder, decoder = reasoner.coders(name)
    hints = {n: sparse.hints[n][1] for n in sparse.hints}
    steps = SparseStepEncoder(coder, reasoner.processor, sparse, reads=decoder.reads())
    step, inputs = steps.step(hints, steps.memory(), len(sparse))
    state = reasoner.processor.initial_state(len(sparse), sparse.nodes, steps.reference)
    after = reasoner.processor(step, state)
    inputs = inputs.with_readout(reasoner.processor.readout(step, state, after))
    found = decoder.decode(Stage.HINT, inputs)
    there = torch.zeros(len(sparse), sparse.nodes, sparse.nodes, dtype=torch.bool)
    graph, first, second = edges.graph, edges.sender_index, edges.receivers % edges.nodes
    there[graph, first, second] = True
    pairs = decoder.pair_view(inputs)
    full = pairs.new_zeros(*there.shape, pairs.shape[-1]).index_put((graph, first, second), pairs)
    of_pairs = DecoderInputs(inputs.nodes, inputs.edges, None, inputs.graph, pairs=full)
    spec = {n: p for n, p in dense.spec.items() if p.stage is not Stage.OUTPUT}
    values = dict(dense.inputs) | {n: v[1] for n, v in dense.hints.items()}
    of_pairs.values = {n: dense_form(spec[n], values[n], dense.nodes, F64) for n in decoder.reads()}
    parts = {"choices": decoder.choices, "selections": decoder.selections}
    for n, module in [*parts["choices"].items(), *parts["selections"].items()]:
        if n not in found or dense.spec[n].location is not Location.NODE or dense.spec[n].type == "mask_one":
            continue
        whole = module(of_pairs) if n in decoder.choices else module(None, of_pairs)
        axes = whole.eligible.shape[2:]
        if n in decoder.choices:  # [B, J, I * P + own]
            count = module.pairs.out_features
            off = ~there.transpose(1, 2).unsqueeze(-1).expand(-1, -1, -1, count).flatten(2)
            off = torch.cat([off, off.new_zeros(*off.shape[:2], axes[0] - off.shape[2])], -1)
        else:
            off = ~there.transpose(1, 2)
        whole = Choice(
            whole.eligible.masked_fill(off, -1e9), whole.numbers.masked_fill(off.unsqueeze(-1), 1e30), whole.rules,
            None if whole.values is None else whole.values.masked_fill(off, 1e30), whole.places,
        )  # fmt: skip
        mine, truth = found[n], values[n] if whole.values is None else of_pairs.values.get(n, values[n].double())
        torch.testing.assert_close(mine.decided().to(F64), whole.decided().to(F64))
        torch.testing.assert_close(mine.losses(truth), whole.losses(truth), rtol=1e-10, atol=1e-10)
        expected = whole.expected()
        expected = expected if whole.values is not None else expected[graph, second, first]
        torch.testing.assert_close(mine.expected(), expected, rtol=1e-10, atol=1e-10)
    assert found["pi_h"].straight_through().shape == (len(edges),)


def test_single_steps_are_those_of_the_traces():
    config = recipes.config("step", algo="dijkstra", layout="sparse", batch_size=3, moments=99, train_sizes=(6,))
    algorithm = nar.datasets.get("dijkstra")
    batch = training_batch(algorithm, config, 1)
    whole = training_batch(algorithm, recipes.config("protocol", algo="dijkstra", layout="sparse", batch_size=3,
                                                     train_sizes=(6,), random_pos=False), 1)  # fmt: skip
    assert len(batch) == sum(whole.lengths) and set(batch.lengths) == {1, 2}
    expected = sorted(
        (whole.inputs["s"][b].item(), *(whole.hints[n][min(t + k, whole.lengths[b] - 1)][b].tolist().__repr__()
         for n in ("d", "u", "pi_h") for k in (0, 1)), t + 1 == whole.lengths[b])
        for b in range(3) for t in range(whole.lengths[b])
    )  # fmt: skip
    found = sorted(
        (batch.inputs["s"][b].item(), *(batch.hints[n][min(k, batch.lengths[b] - 1)][b].tolist().__repr__()
         for n in ("d", "u", "pi_h") for k in (0, 1)), bool(batch.ends[b]))
        for b in range(len(batch))
    )  # fmt: skip
    assert found == expected
    assert not batch.unchanged.all() and batch.unchanged.dtype == torch.bool


@pytest.mark.parametrize("name", ["bfs", "dijkstra", "eccentricity"])
def test_kinds_of_step_are_as_frequent_as_in_the_dense_layout(name):
    algorithm, rng = nar.datasets.get(name), np.random.RandomState(0)
    inputs = [algorithm.sample(rng, 7) for _ in range(5)]
    dense = [algorithm.run(**one) for one in inputs]
    batch = collate_dense(dense, algorithm)
    sparse = [algorithm.run_on_edges(**one | {"A": SparseGraph.of_matrix(one["A"])}) for one in inputs]
    sparse = [sparse[b] for b in batch.order]
    steps_B = np.array(batch.lengths)
    expected = moments.event_frequencies(batch, steps_B)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(moments.event_frequencies_on_edges(sparse, steps_B), expected)


def test_rare_kinds_of_step_are_preferred():
    """Of the last of Dijkstra's moments, where hints stay as they are, more are drawn than chance would."""
    config = recipes.config("step", algo="dijkstra", layout="sparse", batch_size=8, moments=1, train_sizes=(7,))
    config = dataclasses.replace(config, last_moments=0.0)
    share = {}
    for balance in (0.0, 1.0):
        batches = (training_batch(nar.datasets.get("dijkstra"), dataclasses.replace(config, event_balance=balance), s)
                   for s in range(40))  # fmt: skip
        share[balance] = np.mean([batch.ends.double().mean().item() for batch in batches])
    assert share[0.0] == pytest.approx(1 / 8, abs=0.04) and share[1.0] > 1.3 * share[0.0]


def test_outputs_are_learned_from_the_last_hints_alone():
    config = recipes.config("step", algo="bfs", layout="sparse", batch_size=4, hidden=8)
    algorithm = nar.datasets.get("bfs")
    reasoner, batch = Reasoner.from_config(config).train(), training_batch(algorithm, config, 0)
    rollout = reasoner(batch)
    assert batch.ends.any() and not batch.ends.all()
    found = losses(batch, rollout)
    entries = rollout.outputs["pi"].losses(batch.outputs["pi"])
    mask = batch.edges.exists & batch.ends.unsqueeze(1)
    torch.testing.assert_close(found["pi"], entries[mask].mean())
    total_loss(batch, rollout).backward()
    assert all(torch.isfinite(p.grad).all() for p in reasoner.parameters() if p.grad is not None)


def test_what_looks_at_more_than_neighbours_says_so():
    with pytest.raises(ValueError, match="candidates of numbers of pairs, graphs"):
        Reasoner.build("eccentricity", "relational", hidden=8, layout="sparse", candidates=True)
    algorithm = nar.datasets.get("bfs")
    dense = Reasoner.build("bfs", "pgn", hidden=8, relations="beside")
    with pytest.raises(ValueError, match="relations of all pairs of nodes were learned"):
        dense(drawn("bfs")[1])
    assert algorithm.name == "bfs"
