"""Messages delivered one by one, by chance, lost or late: layers, Bellman-Ford to its fixed point, whole reasoners."""

import copy
import types

import networkx as nx
import numpy as np
import pytest
import torch
from asynchronous_layers import EQUATIONS, LAYERS, B, F, N, data, made, step_of
from naive import F64

from nar import datasets, processors
from nar.analysis import asynchrony
from nar.analysis.asynchrony import asynchronous, asynchrony_residuals, deliver, deliver_singly, run_to_fixed_point
from nar.evaluation.evaluate import evaluate
from nar.model.batch import draw
from nar.model.reasoner import Reasoner
from nar.nn import message_layer

# Layers


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("adjacency", [False, True])
def test_messages_one_by_one_equal_all_together_bit_for_bit(name, adjacency):
    for seed in range(20):
        processor = made(name, features=8, seed=seed, complete=not adjacency)
        step, state = data(seed=seed, features=8, adjacency=adjacency)
        with torch.no_grad():
            together = processor(step, state)
            assert deliver(processor, step, state).equal(together)
            generator = torch.Generator().manual_seed(seed)
            assert deliver_singly(processor, step, state, generator=generator).equal(together)
            assert not together.equal(state)


def test_one_by_one_is_another_network_where_the_update_is_no_action():
    torch.manual_seed(0)
    layer = message_layer.layer_of(processors.build("mpnn", F))
    step, state = data()
    with torch.no_grad():
        together = layer.processor(step, (state, None))[0]
        torch.testing.assert_close(deliver(layer, step, state), together, rtol=1e-5, atol=1e-5)
        assert (deliver_singly(layer, step, state) - together).abs().max() > 0.1


def test_pgn_is_taken_apart_as_it_is():
    for name, reduction in (("mpnn", "max"), ("gpgn", "max"), ("pgn", "mean"), ("gmpnn", "sum")):
        torch.manual_seed(0)
        processor = processors.build(name, F, reduction=reduction).double()
        step, state = data(F64, adjacency=True)
        found = deliver(message_layer.layer_of(processor), step, state)
        torch.testing.assert_close(found, processor(step, (state, None))[0], rtol=1e-10, atol=1e-10)


def test_nodes_that_are_told_nothing_stay_as_they_are():
    torch.manual_seed(0)
    layer = message_layer.layer_of(processors.build("mpnn", F))
    step, state = data()
    some = torch.zeros(B, N, N, dtype=torch.bool)
    some[0, 1, 2] = True
    with torch.no_grad():
        moved = (deliver(layer, step, state, some) != state).any(-1)
    assert moved.nonzero().tolist() == [[0, 2]]


class Relaxation:
    """Bellman-Ford over (min, +): the one feature of a state is the distance, of an edge its weight."""

    aggregation = "min"

    def neighbours(self, hood):
        return hood

    def messages(self, step, senders_BNF, receivers_BNF):
        return step.hood.senders(senders_BNF) + step.hood.edge_features.channels

    def update(self, step, state_BNF, message_BNF):
        return torch.minimum(state_BNF, message_BNF)


def test_bellman_ford_with_messages_lost_and_late_ends_where_the_synchronous_one_does():
    textbook, rng, equal = datasets.get("bellman_ford"), np.random.RandomState(0), 0
    longer = 0
    for index in range(100):
        inputs = textbook.sample(rng, 24, p=(0.4,))
        weights, source = torch.tensor(inputs["A"], dtype=torch.float32), int(inputs["s"])
        adjacency = (weights != 0) | torch.eye(24, dtype=torch.bool)
        step = step_of(torch.zeros(1, 24, 1), weights.view(1, 24, 24, 1), torch.zeros(1, 1), adjacency[None])
        state = torch.full((1, 24, 1), torch.inf)
        state[0, source] = 0
        synchronous = run_to_fixed_point(Relaxation(), step, state)
        chance = torch.Generator().manual_seed(index)
        late = run_to_fixed_point(Relaxation(), step, state, probability=0.3, generator=chance)
        assert synchronous.converged.all() and late.converged.all()
        equal += late.state.equal(synchronous.state)
        longer += int(late.steps > synchronous.steps)
        graph = nx.from_numpy_array(inputs["A"], create_using=nx.DiGraph)
        distances = nx.single_source_bellman_ford_path_length(graph, source)
        expected = torch.tensor([distances.get(v, np.inf) for v in range(24)]).float()
        torch.testing.assert_close(synchronous.state[0, :, 0], expected, rtol=1e-5, atol=1e-6)
    assert equal == 100
    assert longer > 90  # the chance did something


def test_what_grows_for_ever_is_reported_and_what_is_bounded_settles():
    step, state = data()
    free = run_to_fixed_point(made("unbounded"), step, state.abs(), max_steps=50)
    assert not free.converged.any() and (free.steps == 50).all()
    bounded = made(bound=2.0)
    for probability in (1.0, 0.3):
        settled = run_to_fixed_point(bounded, step, state.abs(), probability=probability, max_steps=500)
        assert settled.converged.all() and (settled.steps < 500).all()
        assert bounded(step, settled.state).equal(settled.state)
    # graphs settle at their own times, and one that has is not moved by waiting for others
    first = run_to_fixed_point(bounded, step, state.abs())
    state = torch.stack([first.state[0], state[1].abs()])
    assert run_to_fixed_point(bounded, step, state).steps.tolist() == [0, first.steps[1].item()]
    for options in ({"probability": 0.0}, {"probability": 1.5}, {"max_steps": 0}):
        with pytest.raises(ValueError, match="need 0 < probability"):
            run_to_fixed_point(bounded, step, state, **options)


# Whole reasoners


@pytest.mark.parametrize("name", ["l2_max", "l3_tropical", "mpnn", "gpgn"])
def test_a_reasoner_runs_asynchronously_for_a_while(name):
    textbook = datasets.get("bfs")
    traces = [textbook.run(**textbook.sample(np.random.RandomState(seed), 8)) for seed in range(4)]
    torch.manual_seed(0)
    reasoner = Reasoner.build("bfs", name, hidden=8)
    processor, before = reasoner.processor, copy.deepcopy(reasoner.state_dict())
    batch = draw(textbook, 8, 4, seed=(3, 3), random_pos=False)

    def logits():
        with torch.no_grad():
            return reasoner.eval()(batch).outputs["pi"]

    plain = logits()
    with asynchronous(reasoner, 1.0):
        torch.testing.assert_close(logits(), plain, rtol=1e-4, atol=1e-5)  # nothing is late
    with asynchronous(reasoner, 0.3, seed=1):
        late = logits()
    with asynchronous(reasoner, 0.3, seed=1):
        assert logits().equal(late)  # repeatable
    assert (late - plain).abs().max() > 1e-3
    assert reasoner.processor is processor and logits().equal(plain)
    assert all(value.equal(before[key]) for key, value in reasoner.state_dict().items())
    text = asynchrony.report(reasoner, textbook, traces, probabilities=(1.0, 0.3), rounds=1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    table = {row[0]: row[1:] for row in rows}
    assert set(EQUATIONS) < set(table)
    assert table["100%"][1] == f"{evaluate(reasoner, textbook, traces).score:.4f}"
    assert float(table["multimorphism"][0]) == pytest.approx(asynchrony_residuals(processor)["multimorphism"], rel=0.1)
    with pytest.raises(ValueError, match="rounds >= 1"), asynchronous(reasoner, 0.3, rounds=0):
        pass


def test_rounds_are_deliveries_one_after_the_other():
    processor = made("l2_max")
    step, state = data()
    with asynchronous(types.SimpleNamespace(processor=processor), 0.5, rounds=3):
        found = processor(step, state)
    generator, expected = torch.Generator().manual_seed(0), state
    for _ in range(3):
        expected = deliver(processor, step, expected, torch.rand(B, N, N, generator=generator) < 0.5)
    assert found.equal(expected)
    with asynchronous(types.SimpleNamespace(processor=processor), 0.5):
        once = processor(step, state)
    assert (once <= processor(step, state)).all() and (once < processor(step, state)).any()
