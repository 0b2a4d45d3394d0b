"""Discrete states: the literal automaton and the literal DNAR step, decisions and their gradients, a rule learnt."""

import itertools

import numpy as np
import pytest
import torch
from naive import F64, built

from nar import processors
from nar.datasets.automaton import Automaton, fitted_rule, history, rule_recovery
from nar.evaluation.evaluate import evaluate
from nar.model.batch import collate, draw, training_spec
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.discrete import annealed, chosen

B, N, F = 2, 6, 8


def made(kind, **options):
    torch.manual_seed(5)
    processor = processors.build(kind, F, **options).double()
    with torch.no_grad():
        for name, parameter in processor.named_parameters():
            if parameter.dim() == 1 and name != "table":
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(seed=0):
    """x, e, g, hidden states and a one-sided adjacency with self-loops."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, F), (B, N, N, F), (B, F), (B, N, F))
    found = [3 * torch.randn(shape, generator=generator, dtype=F64) for shape in shapes]
    links = torch.rand(B, N, N, generator=generator) < 0.4
    return (*found, links | torch.eye(N, dtype=torch.bool))


def unit(index, size):
    return torch.nn.functional.one_hot(torch.tensor(index), size).to(F64)


# Decisions


def test_decisions_are_hard_forwards_and_soft_backwards():
    logits = torch.randn(7, 5, dtype=F64, requires_grad=True)
    weight = torch.randn(7, 5, dtype=F64)
    hard, soft = (chosen(logits, decide, 0.7) for decide in (True, False))
    assert hard.equal(torch.nn.functional.one_hot(logits.argmax(-1), 5).to(F64))
    assert soft.equal(torch.softmax(logits / 0.7, -1))
    one, two = (torch.autograd.grad((result * weight).sum(), logits)[0] for result in (hard, soft))
    torch.testing.assert_close(one, two)
    assert one.abs().max() > 0.01
    assert chosen(torch.zeros(1, 3), True, 1.0).tolist() == [[1, 0, 0]]  # ties go to the first


def test_temperature_falls_geometrically():
    assert [annealed((8.0, 2.0), progress) for progress in (0, 0.5, 1)] == [8, 4, 2]
    processor = made("finite_state", hard=False, temperature=(100.0, 1e-3)).train()
    x, e, g, hidden, adjacency = data()
    early, late = (processor(Step(x, g, Dense(built(e), N, adjacency), progress=p), hidden) for p in (0.0, 1.0))
    decided = made("finite_state").train()(Step(x, g, Dense(built(e), N, adjacency)), hidden)
    torch.testing.assert_close(late, decided)  # soft choices at temperature zero are hard ones
    assert (early[:, 1:] - early[:, :1]).abs().max() < 0.1  # and all nodes are in all states when it is high


# The finite automaton


def literal_automaton(p, x, g, hidden, adjacency, decide):
    new = torch.empty_like(hidden)
    states, bound = p.states, p.bound
    symbols = {digits: a for a, digits in enumerate(itertools.product(range(bound + 1), repeat=states))}
    for b in range(len(x)):
        z = torch.cat([x[b], hidden[b]], -1) if p.uses_history else x[b]
        state = [(p.read(z[i]) + p.graph(g[b])).argmax().item() for i in range(N)]
        for i in range(N):
            seen = [state[j] for j in range(N) if adjacency[b, j, i] and j != i]
            symbol = symbols[tuple(min(seen.count(m), bound) for m in range(states))]
            following = torch.softmax(30 * p.table[symbol, state[i]], -1)
            new[b, i] = p.write(unit(following.argmax().item(), states) if decide else following)
    return new


@pytest.mark.parametrize("options", [{}, {"states": 3, "bound": 3}, {"memory": True, "states": 4, "bound": 2}], ids=str)
def test_the_automaton_by_its_table(options):
    processor = made("finite_state", **options)
    with torch.no_grad():
        processor.table.copy_(torch.randn_like(processor.table) / 30)
    x, e, g, hidden, adjacency = data()
    step = Step(x, g, Dense(built(e), N, adjacency))
    for mode in (True, False):
        found = processor.train(mode)(step, hidden)
        expected = literal_automaton(processor, x, g, hidden, adjacency, decide=not mode)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert len({tuple(row.tolist()) for row in found.flatten(0, 1)}) <= processor.states
    seen = processor.readout(step, hidden, found).nodes
    assert seen.shape[-1] == processor.node_readout == (2 if processor.uses_history else 1) * F


def test_gradients_pass_decisions_and_counts():
    processor = made("finite_state", states=4)
    x, e, g, hidden, adjacency = data()
    x.requires_grad_()
    after = processor(Step(x, g, Dense(built(e), N, adjacency)), hidden)
    (of_x,) = torch.autograd.grad(after[0, 0].sum(), x)
    reached = of_x[0].abs().amax(-1) > 0
    assert reached.tolist() == adjacency[0, :, 0].tolist()
    assert 1 < reached.sum() < N
    assert of_x[1].abs().max() == 0


# states of nodes: 0 unknown, 1 even distance from the root, 2 odd
DISTANCE = np.array([[1 if o else 2 if e else 0, 1, 2] for _, e, o in itertools.product(range(2), repeat=3)])


class Distance(Automaton):
    """Is a node's distance from the root even or odd? Samples: few rounds from states of which any share is known."""

    def _sample(self, rng, n):
        inputs = super()._sample(rng, n, rounds=3)
        known = rng.random_sample(n) < rng.random_sample()
        return inputs | {"state": np.where(known, rng.randint(1, 3, size=n), 0)}


@pytest.fixture(scope="module")
def learnt():
    """A finite_state trained for seconds on true hints, step by step."""
    torch.manual_seed(0)
    algorithm = Distance("distance", DISTANCE)
    processor = processors.build("finite_state", 16)
    model = Reasoner({"distance": training_spec(algorithm)}, processor, hint_feedback="hard")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    steps = 100
    for s in range(steps):
        batch = draw(algorithm, 10, 16, seed=(0, s), random_pos=True)
        optimizer.zero_grad()
        total_loss(batch, model(batch, teacher_forcing=1.0, progress=s / steps)).backward()
        optimizer.step()
    return algorithm, model


def distances(algorithm, n, count):
    """Runs from one root, all others unknown, for as many steps as there are nodes."""
    rng, runs = np.random.RandomState(4), []
    for _ in range(count):
        state = np.zeros(n, np.int64)
        state[rng.randint(n)] = 1
        runs.append(algorithm.run(A=algorithm.sample(rng, n)["A"], state=state, rounds=n))
    return runs


def test_parity_of_distances_is_learnt_for_graphs_of_any_size(learnt):
    algorithm, model = learnt
    for n in (10, 100):
        found = evaluate(model, algorithm, distances(algorithm, n, 8))
        assert found.score == 1.0
    known = [trace.compact["final"] for trace in distances(algorithm, 100, 8)]
    assert 0.3 < np.mean(np.equal(known, 1)) < 0.7  # neither answer alone would do


def test_the_rule_itself_is_learnt(learnt):
    algorithm, model = learnt
    rng = np.random.RandomState(6)
    true, predicted = [], []
    model.train()
    model.processor.eval()  # decisions are final, hints are still given
    for _ in range(12):
        trace = algorithm.run(**algorithm.sample(rng, 20))
        A, states = history(trace)
        true.append((A, states))
        batch = collate([trace], algorithm)
        hints = model(batch, teacher_forcing=1.0).hints
        predicted += [(A, np.stack([states[k], h["state_h"][0].argmax(-1).numpy()])) for k, h in enumerate(hints)]
    model.eval()
    assert rule_recovery(algorithm, fitted_rule(algorithm.transitions(predicted)), true) == 1.0


# DNAR


def variables(part, features, decide):
    logits = part.logits(part.norm(torch.relu(features))).chunk(part.variables)
    return torch.cat([unit(v.argmax().item(), len(v)) if decide else torch.softmax(v / 0.1, -1) for v in logits])


def literal_dnar(p, x, e, g, hidden, states, adjacency):
    new, edges = torch.empty_like(hidden), torch.empty_like(states)
    for b in range(len(x)):
        z = torch.cat([x[b], hidden[b]], -1)
        listens = torch.zeros(N, N, dtype=F64)
        for i in range(N):
            logits = {}
            for j in range(N):
                if adjacency[b, j, i]:
                    key = p.key(z[j]) + p.edge_key(e[b, j, i]) + p.state_key(states[b, j, i])
                    logits[j] = p.query(z[i]) @ key / F**0.5 + p.order(e[b, j, i])
            best = max(logits, key=lambda j: logits[j].item())
            listens[i, best] = 1
            update = p.heard(p.value(z[best])) + p.kept(z[i]) + p.graph(g[b])
            update = update + (p.alone if best == i else 0)
            new[b, i] = p.embedding(variables(p.nodes, update, True))
        for j, i in itertools.product(range(N), repeat=2):
            update = p.edge(e[b, j, i]) + p.edge_state(states[b, j, i])
            update = update + p.ends(torch.relu(p.key(z[j]) + p.query(z[i])))
            update = update + p.listens(torch.stack([listens[i, j], listens[j, i]]))
            edges[b, j, i] = variables(p.edges, update, True)
    return new, edges


@pytest.mark.parametrize("options", [{}, {"everyone": True}, {"node_variables": 1, "edge_states": 3}], ids=str)
def test_formulas_of_dnar(options):
    processor = made("discrete", **options)
    x, e, g, hidden, adjacency = data()
    step = Step(x, g, Dense(built(e), N, adjacency))
    states = processor.initial_state(B, N, x)[1]
    heard = adjacency if processor.uses_adjacency else torch.ones_like(adjacency)
    for _ in range(3):  # edge states are zero at first
        expected = literal_dnar(processor, x, e, g, hidden, states, heard)
        found = processor(step, (hidden, states))
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
        hidden, states = found
    assert set(states.unique().tolist()) == {0.0, 1.0}
    ones = states.unflatten(-1, (processor.edges.variables, -1)).sum(-1)
    assert ones.eq(1).all()
    assert processor.readout(step, found, found).edges is found[1]


def test_a_node_has_so_many_states():
    processor = made("discrete", node_variables=1, node_states=3)
    found = set()
    for seed in range(20):
        x, e, g, hidden, adjacency = data(seed)
        after = processor(Step(x, g, Dense(built(e), N, adjacency)), (hidden, processor.initial_state(B, N, x)[1]))[0]
        found |= {tuple(row.tolist()) for row in after.flatten(0, 1)}
    assert len(found) == 3


def test_refusals():
    for kind, options, message in (
        ("finite_state", {"states": 1}, "need states >= 2, bound >= 1 and a table of at most 65536 entries"),
        ("finite_state", {"states": 12}, "got states=12, bound=1"),
        (
            "finite_state",
            {"temperature": (1.0, 0.0)},
            r"two positive numbers, the first and the last, got \(1.0, 0.0\)",
        ),
        ("discrete", {"temperature": (1.0,)}, "temperature must be two positive numbers"),
        ("discrete", {"edge_states": 1}, "need node_states and edge_states >= 2"),
    ):
        with pytest.raises(ValueError, match=message):
            processors.build(kind, 8, **options)
