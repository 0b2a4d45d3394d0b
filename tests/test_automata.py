"""Random-rule automata: rules worked out by hand, plain numpy replays, and what the hints tell about the rule."""

import itertools
import pickle

import networkx as nx
import numpy as np
import pytest

import nar.datasets
from nar.datasets.automaton import Automaton, automaton, fitted_rule, history, named, rule_recovery

PATH = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])
# two states, counts up to 1: symbols 0 = sees nobody, 1 = sees a 1, 2 = sees a 0, 3 = sees both
SPREAD = [[0, 1], [1, 1], [0, 1], [1, 1]]


def states(trace):
    return np.asarray(trace.compact["state_h"])


def traces(algorithm, count, n, seed=0, **params):
    rng = np.random.RandomState(seed)
    return [algorithm.run(**algorithm.sample(rng, n, **params)) for _ in range(count)]


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_rule_that_spreads():
    trace = Automaton("spread", SPREAD).run(A=PATH, state=[1, 0, 0, 0], rounds=4)
    assert states(trace).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert (trace.compact["final"].tolist(), float(trace.compact["rounds"])) == ([1, 1, 1, 1], 1.0)
    assert trace.inputs["state"].tolist() == [[0, 1], [1, 0], [1, 0], [1, 0]]


def test_every_symbol_and_state_has_its_row():
    """Three states and counts up to 2, so 27 symbols; node 0, in state 1, sees states 0, 2, 2 and 2: 1 * 9 + 0 + 2."""
    rule = np.zeros((27, 3), int)
    rule[11, 1] = 2
    A = np.zeros((5, 5))
    A[1:, 0] = 1  # directed: only node 0 sees anybody
    rule[0] = [0, 1, 2]
    algorithm = Automaton("three", rule, bounding=2)
    assert algorithm.symbols(A, [1, 0, 2, 2, 2]).tolist() == [11, 0, 0, 0, 0]
    assert algorithm.run(A=A, state=[1, 0, 2, 2, 2], rounds=1).compact["final"].tolist() == [2, 0, 2, 2, 2]
    rule[11, 1] = 1
    assert Automaton("three", rule, bounding=2).run(A=A, state=[1, 0, 2, 2, 2], rounds=1).compact["final"][0] == 1


def test_a_node_does_not_see_itself():
    flip = [[1, 0], [0, 1], [1, 0], [0, 1]]  # a node changes unless it sees a 1
    assert Automaton("flip", flip).run(A=[[1]], state=[1], rounds=3).compact["state_h"].tolist() == [[1], [0], [1], [0]]


def test_life_is_an_automaton():
    """Conway's game: born with 3 living neighbours, survives with 2 or 3. A row of three keeps turning round."""
    rule = np.array([[alive == 3, alive in (2, 3)] for _, alive in itertools.product(range(5), repeat=2)])
    cells = list(itertools.product(range(5), repeat=2))
    A = [[max(abs(x - u), abs(y - v)) == 1 for u, v in cells] for x, y in cells]
    trace = Automaton("life", rule, bounding=4).run(A=A, state=[x == 2 and 1 <= y <= 3 for x, y in cells], rounds=5)
    rows = [(x, y) for x, y in cells if x == 2 and 1 <= y <= 3]
    for t, state in enumerate(states(trace)):
        assert [cell for cell, s in zip(cells, state, strict=True) if s] == (rows if t % 2 == 0 else [
            (y, x) for x, y in rows
        ])  # fmt: skip


def replay(rule, bound, A, state, rounds):
    """The rule node by node, from dictionaries."""
    n, kinds = len(A), rule.shape[1]
    row = {digits: i for i, digits in enumerate(itertools.product(range(bound + 1), repeat=kinds))}
    found = [list(state)]
    for _ in range(rounds):
        before, after = found[-1], []
        for v in range(n):
            seen = [before[u] for u in range(n) if A[u][v] and u != v]
            after.append(rule[row[tuple(min(seen.count(m), bound) for m in range(kinds))]][before[v]])
        found.append(after)
    return found


@pytest.mark.parametrize(("recipe", "n"), [((), 100), ((), 16), ((2, 5), 30), ((4, 1, 3), 40), ((3, 2, 2, 0.7), 25)])
def test_every_step_follows_the_rule(recipe, n):
    """Also far beyond the sizes that one trains on, and on graphs that the sampler does not draw."""
    algorithm = automaton(*recipe)
    for seed in range(2):
        rng = np.random.RandomState(seed)
        inputs = algorithm.sample(rng, n, rounds=n // (2 * seed + 1))
        if seed:
            inputs["A"] = rng.binomial(1, 0.1, size=(n, n))
        trace = algorithm.run(**inputs)
        assert trace.length == inputs["rounds"] + 1
        found = replay(algorithm.rule, algorithm.bounding, **inputs)
        np.testing.assert_array_equal(states(trace), found)
        np.testing.assert_array_equal(trace.compact["final"], found[-1])
        np.testing.assert_array_equal(algorithm.oracle(**inputs)["final"], found[-1])


def test_numbers_of_nodes_mean_nothing():
    algorithm = automaton()
    inputs = algorithm.sample(np.random.RandomState(1), 20)
    order = np.random.RandomState(2).permutation(20)
    moved = {"A": inputs["A"][np.ix_(order, order)], "state": inputs["state"][order], "rounds": 20}
    np.testing.assert_array_equal(states(algorithm.run(**moved)), states(algorithm.run(**inputs))[:, order])


def test_answers_are_right_or_wrong():
    algorithm = Automaton("spread", SPREAD)
    inputs = {"A": PATH, "state": [1, 0, 0, 0], "rounds": 2}
    assert algorithm.is_valid(inputs, {"final": [1, 1, 1, 0]})
    assert not algorithm.is_valid(inputs, {"final": [1, 1, 1, 1]})
    assert not algorithm.is_valid(inputs, {"final": [1, 1, 1, -1]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": [[0, 1]]}, "A must be a square matrix"),
        ({"state": [0, 1, 0]}, r"state must have shape \(4,\), a state for every node, got \(3,\)"),
        ({"state": [0, 1, 0, 6]}, "state must hold whole numbers from 0 to 5, got .*6"),
        ({"state": [0, 1, 0, 0.5]}, "state must hold whole numbers"),
        ({"state": [0, 1, 0, np.nan]}, "state must hold whole numbers"),
        ({"state": "0101"}, "state must be an array"),
        ({"rounds": -1}, "rounds must be a whole number from 0 to 64, got -1"),
        ({"rounds": 65}, "rounds must be a whole number from 0 to 64, got 65"),
        ({"rounds": 2.0}, "rounds must be a whole number"),
        ({"rounds": True}, "rounds must be a whole number"),
    ],
)
def test_inputs_that_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        automaton().run(**{"A": PATH, "state": [0, 1, 2, 3], "rounds": 3, **change})


# --- rules and names -------------------------------------------------------------------------------------------------


def test_an_automaton_is_its_recipe():
    assert (
        automaton() is nar.datasets.get("automaton") is automaton(states=6, seed=0, bound=1) is named("automaton-6-0")
    )
    names = {(4, 7): "automaton-4-7", (4, 7, 2): "automaton-4-7-2", (3, 0, 1, 0.25): "automaton-3-0-1-0.25",
             (3, 0, 1, 1e-5): "automaton-3-0-1-1e-05"}  # fmt: skip
    for recipe, name in names.items():
        algorithm = automaton(*recipe)
        assert algorithm.name == name
        assert named(name) is algorithm is pickle.loads(pickle.dumps(algorithm))
    assert len({automaton(3, seed).rule.tobytes() for seed in range(5)}) == 5


def test_an_automaton_of_ones_own_is_pickled_with_its_rule():
    mine = Automaton("spread", SPREAD)
    again = pickle.loads(pickle.dumps(mine))
    assert again.name == "spread" and again.rule.tolist() == SPREAD and again.bounding == 1
    with pytest.raises(ValueError, match="read-only"):
        again.rule[0, 0] = 1


def test_rules_are_drawn_at_random():
    rule = automaton(4, seed=3, bound=3).rule
    assert rule.shape == (256, 4)
    share = np.bincount(rule.reshape(-1), minlength=4) / rule.size
    assert (abs(share - 0.25) < 0.05).all()
    kept = (automaton(4, 3, 3, sparse=0.6).rule == np.arange(4)).mean()
    assert abs(kept - (0.6 + 0.4 / 4)) < 0.05
    assert (automaton(4, 3, 3, sparse=1).rule == np.arange(4)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"states": 1}, "states must be a whole number from 2 to 20, got 1"),
        ({"states": 17}, "states and bound must give a table of at most 1048576 entries"),
        ({"states": 10, "bound": 4}, "states and bound must give a table"),
        ({"bound": 0}, "bound must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"sparse": 1.5}, "sparse must be a share"),
        ({"sparse": np.nan}, "sparse must be a share"),
    ],
)
def test_recipes_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        automaton(**arguments)


def test_rules_and_names_that_are_refused():
    for rule in (SPREAD[:3], [[0, 2]] * 4, [[0, -1]] * 4):
        with pytest.raises(ValueError, match="rule must hold a next state for 4 symbols in 2 states"):
            Automaton("wrong", rule)
    for rule in ([0, 1], np.zeros((4, 0))):
        with pytest.raises(ValueError, match="states and bound must give a table"):
            Automaton("wrong", rule)
    for name in (
        "automaton",
        "automaton-4",
        "automaton-a-b",
        "automata-4-7",
        "automaton-4-7-2-0.5-9",
        "automaton-99-0",
    ):
        with pytest.raises(ValueError, match=r"name must be automaton-STATES-SEED\[-BOUND\[-SPARSE\]\]: "):
            named(name)


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_sampled_graphs_are_connected_and_sparse():
    algorithm, rng = automaton(), np.random.RandomState(0)
    for n in (1, 2, 16, 100):
        for _ in range(20):
            inputs = algorithm.sample(rng, n)
            A = inputs["A"]
            assert (A == A.T).all() and not A.diagonal().any() and nx.is_connected(nx.from_numpy_array(A))
            assert n - 1 <= A.sum() / 2 <= n - 1 + 0.2 * n
            assert inputs["rounds"] == n and inputs["state"].shape == (n,)
    tree = algorithm.sample(rng, 30, extra=0, rounds=7)
    assert tree["A"].sum() == 58 and tree["rounds"] == 7
    hubs = [int(algorithm.sample(rng, 8)["A"].sum(0).argmax()) for _ in range(200)]
    assert np.bincount(hubs, minlength=8).min() > 5  # nodes are numbered at random
    starts = np.bincount(np.concatenate([algorithm.sample(rng, 50)["state"] for _ in range(50)]))
    assert len(starts) == 6 and starts.min() > 300
    for extra in (-1, 17, np.nan, np.inf, None, "x"):
        with pytest.raises(ValueError, match="extra must be a number of edges per node"):
            algorithm.sample(rng, 16, extra=extra)


# --- does a table learn it? ------------------------------------------------------------------------------------------


def test_the_hints_give_the_rule_away():
    """A table of counts from traces of 16 nodes knows every row that they visit, and replays 100 nodes exactly."""
    algorithm = automaton(6, seed=11)
    seen = traces(algorithm, 5000, 16)
    counts = algorithm.transitions(map(history, seen))
    assert counts.sum() == 5000 * 16 * 16
    assert ((counts > 0).sum(-1) <= 1).all()  # the automaton is deterministic
    learnt = fitted_rule(counts)
    assert (learnt >= 0).mean() > 0.9
    np.testing.assert_array_equal(learnt[learnt >= 0], algorithm.rule[learnt >= 0])
    assert rule_recovery(algorithm, learnt, map(history, seen)) == 1.0
    larger = traces(algorithm, 10, 100, seed=1)
    assert rule_recovery(algorithm, learnt, map(history, larger)) == 1.0
    again = Automaton("learnt", np.maximum(learnt, 0))
    for trace in larger:
        np.testing.assert_array_equal(states(again.run(**algorithm.arguments_of(trace))), states(trace))


def test_recovery_counts_the_rows_that_occur():
    algorithm = Automaton("spread", SPREAD)
    trace = algorithm.run(A=PATH, state=[1, 0, 0, 0], rounds=3)
    # step 1: (1 sees 0), (0 sees 0 and 1), (0 sees 0), (0 sees 0); then also (1 sees both), (0 sees 1), (1 sees 1)
    occurs = algorithm.transitions([history(trace)]).any(-1)
    assert np.argwhere(occurs).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1], [3, 0], [3, 1]]
    wrong = np.array(SPREAD)
    wrong[0] = [1, 0]  # a node that sees nobody: never occurs on this path
    assert rule_recovery(algorithm, wrong, [history(trace)]) == 1.0
    wrong[2, 1] = 0
    assert rule_recovery(algorithm, wrong, [history(trace)]) == pytest.approx(5 / 6)
    wrong[3] = -1
    assert rule_recovery(algorithm, wrong, [history(trace)]) == pytest.approx(3 / 6)
    with pytest.raises(ValueError, match=r"predicted must have the rule's shape \(4, 2\), got \(2, 4\)"):
        rule_recovery(algorithm, wrong.T, [history(trace)])
    with pytest.raises(ValueError, match="histories must show at least one step"):
        rule_recovery(algorithm, wrong, [])


def test_the_majority_decides():
    counts = np.array([[[1, 3], [0, 0]], [[2, 2], [5, 4]]])
    assert fitted_rule(counts).tolist() == [[1, -1], [0, 0]]


@pytest.mark.parametrize("recipe", [(3, 5), (4, 0, 2)])
def test_recovery_up_to_the_names_of_the_states(recipe):
    """Histories told in other names give a table that is the rule in those names."""
    algorithm = automaton(*recipe)
    pairs = [history(trace) for trace in traces(algorithm, 300, 12)]
    names = np.roll(np.arange(algorithm.states), 1)
    learnt = fitted_rule(algorithm.transitions([(A, names[state]) for A, state in pairs]))
    assert rule_recovery(algorithm, learnt, pairs) < 0.7
    assert rule_recovery(algorithm, learnt, pairs, relabel=True) == 1.0
    learnt[:] = -1
    assert rule_recovery(algorithm, learnt, pairs, relabel=True) == 0.0
    with pytest.raises(ValueError, match="relabel must try every naming of the states, at most 8, got 9"):
        rule_recovery(automaton(9), automaton(9).rule, [history(traces(automaton(9), 1, 4)[0])], relabel=True)
