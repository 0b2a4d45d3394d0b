"""Random finite automata on graphs: every node runs the same rule on its own state and on what its neighbours show.

What a node sees is a symbol: how many neighbours are in each state, every count clipped at `bound`. The rule is part
of the algorithm, not of its input: `automaton` in the table has one fixed rule, `automaton(states=4, seed=7)` makes
others, each an algorithm of its own whose truth is known. A reasoner has to learn the rule; `rule_recovery` says how
much of it was learnt.
"""

import functools
import itertools
import operator

import numba
import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import graphs
from nar.traces.inputs.arrays import numbers
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = (
    "F. Groetschla, J. Mathys, C. Raun, R. Wattenhofer. GraphFSA: A Finite State Automaton Framework for Algorithmic "
    "Learning on Graphs. ECAI 2024 (its generator of random automata)"
)

LARGEST = 2**20  # entries of a rule's table
PER_NODE = 16  # steps of a run, at most, per node of the graph


def probes(states):
    return Spec(
        {
            "pos": ("input", "node", "scalar"),
            "A": ("input", "edge", "scalar"),
            "adj": ("input", "edge", "mask"),
            "state": ("input", "node", "categorical", states),
            "rounds": ("input", "graph", "scalar"),  # divided by the number of nodes, as `pos` is
            "final": ("output", "node", "categorical", states),
            "state_h": ("hint", "node", "categorical", states),
        }
    )


def sparse_graph(rng, n, extra):
    """A random tree of n nodes and `extra * n` more edges (as in GraphFSA), of which a few coincide with others.

    It stays sparse however large it is: nodes see the same symbols at every size.
    """
    try:
        more = int(extra * n)
    except (TypeError, ValueError, OverflowError):
        more = -1
    if not 0 <= more <= n * n:
        raise ValueError(f"extra must be a number of edges per node, from 0 to n, got {extra!r}")
    A = np.zeros((n, n), np.int64)
    child = np.arange(1, n)
    parent = (rng.random_sample(n - 1) * child).astype(np.int64)
    ends = rng.randint(n, size=(2, more))
    order = rng.permutation(n)
    u, v = order[np.concatenate([child, ends[0]])], order[np.concatenate([parent, ends[1]])]
    A[u, v] = A[v, u] = 1
    A.reshape(-1)[:: n + 1] = 0  # an edge with two equal ends
    return A


@numba.njit
def neighbours(A):
    """Whom each node sees, one after another: those of v from first[v] up to first[v + 1]."""
    n = len(A)
    seen = np.empty(n * n, np.int64)
    first = np.zeros(n + 1, np.int64)
    count = 0
    for v in range(n):
        for u in range(n):
            if A[u, v] != 0 and u != v:
                seen[count] = u
                count += 1
        first[v + 1] = count
    return seen[:count], first


@compiled
def run_rule(trace, rule, bound, A, state, rounds):
    n, states = len(A), rule.shape[1]
    seen, first = neighbours(A)
    count = np.zeros(states, np.int64)
    state = state.copy()
    record(trace, state)
    for _ in range(rounds):
        before = state.copy()
        for v in range(n):
            count[:] = 0
            for i in range(first[v], first[v + 1]):
                count[before[seen[i]]] += 1
            symbol = 0
            for m in range(states):
                symbol = symbol * (bound + 1) + min(count[m], bound)
            state[v] = rule[symbol, before[v]]
        record(trace, state)
    return state


class Automaton(Algorithm):
    """The algorithm of one rule: `rule[symbol, state]` is the next state of a node, `bounding` clips the counts.

    A symbol is the number whose digits in base `bounding + 1` count the neighbours in state 0, 1, ... A node's
    neighbours are those with an edge to it, itself excepted; they all take their steps at the same time.
    """

    def __init__(self, name, rule, bounding=1, recipe=None):
        rule = numbers(rule, "rule").astype(np.int64)
        states = rule.shape[-1] if rule.ndim == 2 else 0
        bounding = check_whole(bounding, "bounding", 1, LARGEST)
        check_size(states, bounding)
        if len(rule) != (bounding + 1) ** states or rule.min() < 0 or rule.max() >= states:
            raise ValueError(f"rule must hold a next state for {(bounding + 1) ** states} symbols in {states} states")
        rule.setflags(write=False)  # what a trace was made with must not change
        self.rule, self.states, self.bounding, self.recipe = rule, states, bounding, recipe
        super().__init__(
            name=name,
            spec=probes(states),
            citation=CITATION,
            category="automata",
            steps=run_rule,
            prepare=self._prepare,
            sampler=self._sample,
            bound=lambda n: PER_NODE * n + 1,
            oracle=self._oracle,
            validity=lambda final, **inputs: np.array_equal(final, self._oracle(**inputs)["final"]),
            recover=_recover,
        )

    def __reduce__(self):
        return (automaton, self.recipe) if self.recipe else (Automaton, (self.name, self.rule, self.bounding))

    def _sample(self, rng, n, extra=0.2, rounds=None):
        """In n rounds, unless told otherwise, what is known at one node can get to any other."""
        A = sparse_graph(rng, n, extra)
        return {"A": A, "state": rng.randint(self.states, size=n), "rounds": n if rounds is None else rounds}

    def _prepare(self, A, state, rounds):
        A = graphs.check_graph(A)
        n = len(A)
        state = numbers(state, "state")
        if state.shape != (n,):
            raise ValueError(f"state must have shape {(n,)}, a state for every node, got {state.shape}")
        if not np.isin(state, np.arange(self.states)).all():
            raise ValueError(f"state must hold whole numbers from 0 to {self.states - 1}, got {state.tolist()}")
        state = state.astype(np.int64)
        rounds = check_whole(rounds, "rounds", 0, PER_NODE * n)
        inputs = {**graphs.probes(A), "state": state.astype(np.int8), "rounds": np.array(rounds / n)}
        return (self.rule, self.bounding, A, state, rounds), inputs

    def _oracle(self, A, state, rounds):
        """The final states, by matrix products."""
        state = np.array(state, dtype=np.int64)
        for _ in range(rounds):
            state = self.rule[self.symbols(A, state), state]
        return {"final": state}

    def symbols(self, A, state):
        """The symbol that each node sees: `state` [..., n] -> [..., n]."""
        edges = np.asarray(A) != 0
        np.fill_diagonal(edges, False)
        shown = np.arange(self.states)[:, None] == np.asarray(state)[..., None, :]  # [..., states, n]
        count = np.minimum(shown.astype(np.float64) @ edges, self.bounding).astype(np.int64)
        weight = (self.bounding + 1) ** np.arange(self.states)[::-1]
        return (count * weight[:, None]).sum(-2)

    def transitions(self, histories):
        """How often each row of the table was seen to lead where: counts [symbols, states, next state].

        `histories` are pairs of a graph A and the states of its nodes over time [T, n]: `history(trace)`, or what a
        reasoner predicted.
        """
        states = self.states
        count = np.zeros(len(self.rule) * states * states, np.int64)
        for A, state in histories:
            state = np.asarray(state, dtype=np.int64)
            row = self.symbols(A, state[:-1]) * states + state[:-1]
            count += np.bincount((row * states + state[1:]).reshape(-1), minlength=len(count))
        return count.reshape(-1, states, states)


def history(trace):
    """The graph of a trace and the states of its nodes over time."""
    return trace.compact["A"], trace.compact["state_h"]


def fitted_rule(transitions):
    """The rule that was seen most often, row by row; -1 in rows that never were."""
    return np.where(transitions.any(-1), transitions.argmax(-1), -1)


def rule_recovery(algorithm, predicted, histories, *, relabel=False):
    """Share of the rows (symbol, state) that occur in `histories`, in which the table `predicted` has the right state.

    What never occurs cannot be learnt and is not asked for: take histories of the true rule, at all sizes of interest.
    `relabel`: states of `predicted` are named in any way (as where they are latent); the best of all namings counts.
    """
    predicted = np.asarray(predicted)
    if predicted.shape != algorithm.rule.shape:
        raise ValueError(f"predicted must have the rule's shape {algorithm.rule.shape}, got {predicted.shape}")
    occurs = algorithm.transitions(histories).any(-1)
    if not occurs.any():
        raise ValueError("histories must show at least one step of one node, got none")
    if not relabel:
        return float((predicted == algorithm.rule)[occurs].mean())
    if algorithm.states > 8:
        raise ValueError(f"relabel must try every naming of the states, at most 8, got {algorithm.states}")
    weight = (algorithm.bounding + 1) ** np.arange(algorithm.states)[::-1]
    digits = np.arange(len(predicted))[:, None] // weight % (algorithm.bounding + 1)
    best = 0.0
    for names in itertools.permutations(range(algorithm.states)):  # names[m]: the true state that m stands for
        name = np.array([*names, -1])  # a row that predicts nothing, -1, remains one
        renamed = np.empty_like(predicted)
        renamed[:, names] = name[predicted[digits[:, names] @ weight]]
        best = max(best, float((renamed == algorithm.rule)[occurs].mean()))
    return best


def automaton(states=6, seed=0, bound=1, sparse=0.0):
    """The algorithm of a random rule; the same object for the same arguments.

    Arguments:
        states: of every node.
        seed: what the rule is drawn from.
        bound: counts of neighbours are clipped here: (bound + 1) ** states symbols.
        sparse: share of the rows in which a node keeps its state.
    """
    states = check_whole(states, "states", 2, 20)
    bound = check_whole(bound, "bound", 1, 1000)
    check_size(states, bound)
    if not isinstance(sparse, (int, float)) or not 0 <= sparse <= 1:
        raise ValueError(f"sparse must be a share of the rule's rows, in [0, 1], got {sparse!r}")
    return _automaton(states, check_whole(seed, "seed", 0, 2**32 - 1), bound, float(sparse))


@functools.cache
def _automaton(*recipe):
    states, seed, bound, sparse = recipe
    rng = np.random.RandomState(seed)
    shape = ((bound + 1) ** states, states)
    rule = rng.randint(states, size=shape)
    rule = np.where(rng.random_sample(shape) < sparse, np.arange(states), rule)
    parts = [states, seed] + [bound] * (bound > 1 or sparse > 0) + [sparse] * (sparse > 0)
    name = "automaton" if recipe == (6, 0, 1, 0.0) else "-".join(["automaton", *map(str, parts)])
    return Automaton(name, rule, bound, recipe)


def named(name):
    """The algorithm called automaton-STATES-SEED, automaton-STATES-SEED-BOUND or automaton-STATES-SEED-BOUND-SPARSE."""
    family, *parts = name.split("-", 4)
    states, seed, bound, sparse = [*parts, *("", "", "1", "0")[len(parts) :]]
    try:
        if family != "automaton":
            raise ValueError(f"got {name!r}")
        return automaton(int(states), int(seed), int(bound), float(sparse))
    except ValueError as error:
        raise ValueError(f"name must be automaton-STATES-SEED[-BOUND[-SPARSE]]: {error}") from None


def check_size(states, bound):
    if not 0 < states * (bound + 1) ** states <= LARGEST:
        raise ValueError(
            f"states and bound must give a table of at most {LARGEST} entries, states * (bound + 1) ** states, "
            f"got states={states}, bound={bound}"
        )


def check_whole(value, name, low, high):
    try:
        index = -1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        index = -1
    if not low <= index <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return index


def _recover(inputs):
    """`rounds` was divided by the number of nodes."""
    n = len(inputs["pos"])
    return {"A": inputs["A"], "state": inputs["state"], "rounds": round(float(inputs["rounds"]) * n)}


algorithm = automaton()
