"""Data-flow analyses: passes worked out by hand, textbook equations pass by pass, networkx; what is refused."""

import numpy as np
import pytest
from inputs import hints

import nar.datasets
from nar.datasets import control_flow

# A loop (1 ... 4) around a branch with an else, left at 5; 6 is dead code that would go on at 5.
EDGES = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 1), (4, 5), (6, 5)]
LOOP = np.zeros((7, 7))
LOOP[tuple(np.transpose(EDGES))] = 1
NAMES = ("reachability", "dominators", "liveness")


def sets(mask):
    """Rows of a mask as strings of the numbers that are set."""
    return ["".join(map(str, np.flatnonzero(row))) for row in mask]


def drawn(name, seeds, sizes=(1, 2, 3, 5, 8, 13, 16, 24)):
    """Inputs: structured programs, programs with jumps, and graphs that are no programs at all, in turn."""
    algorithm = nar.datasets.get(name)
    for seed in seeds:
        rng = np.random.RandomState(seed)
        n = sizes[rng.randint(len(sizes))]
        inputs = algorithm.sample(rng, n, goto=(0.0, 0.3)[seed % 2])
        if seed % 3 == 2:
            inputs["A"] = rng.binomial(1, rng.choice([0.05, 0.1, 0.2, 0.5]), size=(n, n))
        yield algorithm, inputs


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_reachability_pass_by_pass():
    trace = nar.datasets.get("reachability").run(A=LOOP, s=0)
    assert sets(hints(trace, "reach_h")) == ["0", "01", "0123", "01234", "012345"]
    assert sets([trace.compact["reach"]]) == ["012345"]
    assert sets(hints(nar.datasets.get("reachability").run(A=LOOP, s=6), "reach_h")) == ["6", "56"]


def test_dominators_pass_by_pass():
    trace = nar.datasets.get("dominators").run(A=LOOP, s=0)
    every = "0123456"
    assert [sets(dom) for dom in hints(trace, "dom_h")] == [
        ["0", every, every, every, every, every, every],
        ["0", "01", every, every, every, every, every],
        ["0", "01", "012", "013", every, every, every],
        ["0", "01", "012", "013", "014", every, every],
        ["0", "01", "012", "013", "014", "0145", every],
    ]
    assert sets(hints(trace, "reach_h")) == ["0", "01", "0123", "01234", "012345"]
    assert sets(trace.compact["dom"]) == ["0", "01", "012", "013", "014", "0145", every]
    assert trace.compact["idom"].tolist() == [0, 0, 1, 1, 1, 4, 6]


def test_a_dominator_is_lost_in_a_later_pass():
    """4 is reached by the short way 0 -> 4 first in pass 1; then 5 behind it loses 3 and 4 when other ways arrive."""
    A = np.zeros((6, 6))
    for u, v in [(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (3, 5)]:
        A[u, v] = 1
    trace = nar.datasets.get("dominators").run(A=A, s=0)
    assert [sets(dom)[5] for dom in hints(trace, "dom_h")] == ["012345", "012345", "045", "045", "05"]
    assert trace.compact["idom"].tolist() == [0, 0, 1, 2, 0, 0]


def test_liveness_pass_by_pass():
    """Read in 4, written in 2: live around the loop except before 2."""
    trace = nar.datasets.get("liveness").run(A=LOOP, use=[0, 0, 0, 0, 1, 0, 0], define=[0, 0, 1, 0, 0, 0, 0])
    assert sets(hints(trace, "live_in_h")) == ["", "4", "34", "134", "0134"]
    assert sets(hints(trace, "live_out_h")) == ["", "", "23", "123", "01234"]
    assert sets([trace.compact["live_in"], trace.compact["live_out"]]) == ["0134", "01234"]


@pytest.mark.parametrize(("use", "define", "live_in", "live_out"), [
    (0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 1, 1), (1, 1, 1, 1),
])  # fmt: skip
def test_liveness_in_a_block_that_loops_on_itself(use, define, live_in, live_out):
    """x = x + 1 reads before it writes: live at both ends."""
    trace = nar.datasets.get("liveness").run(A=[[1]], use=[use], define=[define])
    assert (trace.compact["live_in"].tolist(), trace.compact["live_out"].tolist()) == ([live_in], [live_out])


# --- the equations, and networkx -------------------------------------------------------------------------------------


def passes(name, A, s=None, use=None, define=None):
    """The textbook's equations, all blocks at a time from the facts of the pass before, until nothing changes."""
    n = len(A)
    successors = [np.flatnonzero(A[v]) for v in range(n)]
    predecessors = [np.flatnonzero(A[:, v]) for v in range(n)]
    if name == "liveness":
        facts = [(frozenset(), frozenset())]
        while True:
            before = facts[-1][0]
            out = frozenset(v for v in range(n) if any(w in before for w in successors[v]))
            facts.append((frozenset(v for v in range(n) if use[v] or (v in out and not define[v])), out))
            if facts[-1] == facts[-2]:
                return facts[:-1]
    facts = [(frozenset([s]), tuple(frozenset([s] if v == s else range(n)) for v in range(n)))]
    while True:
        reach, dom = facts[-1]
        reach = reach | {v for v in range(n) if any(p in reach for p in predecessors[v])}
        if name == "dominators":
            dom = tuple(
                dom[v] if v == s else frozenset([v]).union(frozenset(range(n)).intersection(*(dom[p] for p in before)))
                for v, before in enumerate(predecessors)
            )
        facts.append((reach, dom))
        if facts[-1] == facts[-2]:
            return facts[:-1]


def members(mask):
    return frozenset(np.flatnonzero(mask).tolist())


@pytest.mark.parametrize("name", NAMES)
def test_every_pass_follows_the_equations(name):
    longest = 0
    for algorithm, inputs in drawn(name, range(120)):
        trace = algorithm.run(**inputs)
        expected = passes(name, **inputs)
        assert trace.length == len(expected)
        for t, facts in enumerate(expected):
            if name == "liveness":
                found = members(hints(trace, "live_in_h")[t]), members(hints(trace, "live_out_h")[t])
            else:
                found = (members(hints(trace, "reach_h")[t]), facts[1])
            if name == "dominators":
                found = (found[0], tuple(members(row) for row in hints(trace, "dom_h")[t]))
            assert found == facts, t
        longest = max(longest, trace.length)
    assert longest > 8


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_graphs_against_networkx(name):
    """Hints change in one direction only, every pass changes something, and the last is what is returned."""
    for algorithm, inputs in drawn(name, range(1000, 2000)):
        trace = algorithm.run(**inputs)
        for output, expected in algorithm.oracle(**inputs).items():
            np.testing.assert_array_equal(trace.compact[output], expected)
        changes = np.zeros(trace.length - 1, bool)
        for hint in trace.spec.hints:
            rows = hints(trace, hint)
            step = np.diff(rows.reshape(trace.length, -1), axis=0)
            assert (step <= 0).all() if hint == "dom_h" else (step >= 0).all()
            changes |= step.any(1)
            if hint.removesuffix("_h") in trace.spec.outputs:
                np.testing.assert_array_equal(rows[-1], trace.compact[hint.removesuffix("_h")])
        assert changes.all()


def test_live_variables_of_a_whole_program():
    """One trace per variable gives what the equations on sets of variables give: they do not influence one another."""
    rng = np.random.RandomState(4)
    A, _ = control_flow.program(rng, 20, 0.3, 0.15, 0.15, 0.0)
    use, define = rng.uniform(size=(2, 20, 5)) < 0.2
    live_in = np.zeros((20, 5), bool)
    for _ in range(100):
        live_out = (A[:, :, None] * live_in[None]).any(1)
        live_in = use | (live_out & ~define)
    for x in range(5):
        found = nar.datasets.get("liveness").run(A=A, use=use[:, x], define=define[:, x]).compact
        assert np.array_equal(found["live_in"], live_in[:, x]) and np.array_equal(found["live_out"], live_out[:, x])


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_blocks_mean_nothing(name):
    for algorithm, inputs in drawn(name, range(60)):
        n = len(inputs["A"])
        order = np.random.RandomState(n).permutation(n)  # order[i] gets the number i
        moved = {k: v[np.ix_(order, order)] if k == "A" else v if k == "s" else v[order] for k, v in inputs.items()}
        if "s" in moved:
            moved["s"] = int(np.flatnonzero(order == inputs["s"])[0])
        first, second = algorithm.run(**inputs), algorithm.run(**moved)
        assert first.length == second.length
        for hint in first.spec.hints:
            where = np.ix_(order, order) if hint == "dom_h" else order
            for before, after in zip(hints(first, hint), hints(second, hint), strict=True):
                np.testing.assert_array_equal(before[where], after)


def test_weights_mean_nothing():
    weighted = LOOP * np.random.RandomState(0).normal(size=(7, 7))
    masks = {"use": [0, 0, 0, 0, 1, 0, 0], "define": [0, 0, 1, 0, 0, 0, 0]}
    for name in NAMES:
        algorithm, more = nar.datasets.get(name), masks if name == "liveness" else {"s": 0}
        first, second = algorithm.run(A=LOOP, **more), algorithm.run(A=weighted, **more)
        for probe in (*first.spec.hints, *first.spec.outputs):
            np.testing.assert_array_equal(hints(first, probe), hints(second, probe))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_answers_that_are_not_quite_right():
    dominators, dom = nar.datasets.get("dominators"), np.ones((7, 7), int)
    for v, row in enumerate(["0", "01", "012", "013", "014", "0145"]):
        dom[v] = [str(u) in row for u in range(7)]
    inputs, idom = {"A": LOOP, "s": 0}, np.array([0, 0, 1, 1, 1, 4, 6])
    assert dominators.is_valid(inputs, {"dom": dom, "idom": idom})
    for v, u in ((5, 1), (5, 5), (4, 2), (4, 0), (6, 5), (0, 1), (1, 1)):  # a dominator, but not the last; itself; ...
        wrong = idom.copy()
        wrong[v] = u
        assert not dominators.is_valid(inputs, {"dom": dom, "idom": wrong})
    for v, u in ((4, 3), (6, 0), (0, 0), (0, 5)):
        wrong = dom.copy()
        wrong[v, u] = 1 - wrong[v, u]
        assert not dominators.is_valid(inputs, {"dom": wrong, "idom": idom})
    reachability = nar.datasets.get("reachability")
    assert reachability.is_valid(inputs, {"reach": [1, 1, 1, 1, 1, 1, 0]})
    assert not reachability.is_valid(inputs, {"reach": [1, 1, 1, 1, 1, 1, 1]})
    liveness = nar.datasets.get("liveness")
    inputs = {"A": LOOP, "use": [0, 0, 0, 0, 1, 0, 0], "define": [0, 0, 1, 0, 0, 0, 0]}
    assert liveness.is_valid(inputs, {"live_in": [1, 1, 0, 1, 1, 0, 0], "live_out": [1, 1, 1, 1, 1, 0, 0]})
    # Solutions of the equations must be the least one: 6, dead code, could call the variable live without a use.
    assert not liveness.is_valid(inputs, {"live_in": [1, 1, 0, 1, 1, 0, 0], "live_out": [1, 1, 1, 1, 1, 0, 1]})
    endless = {"A": [[0, 1], [1, 0]], "use": [0, 0], "define": [0, 0]}
    assert liveness.is_valid(endless, {"live_in": [0, 0], "live_out": [0, 0]})
    assert not liveness.is_valid(endless, {"live_in": [1, 1], "live_out": [1, 1]})  # a solution, not the least


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("reachability", {"A": [[0, 1]]}, "A must be a square matrix"),
        ("reachability", {"s": 7}, "s must be the index of one of the 7 nodes"),
        ("dominators", {"A": LOOP * np.nan}, "A must be finite"),
        ("dominators", {"s": -1}, "s must be the index"),
        ("liveness", {"use": [0, 1]}, r"use must be a mask of shape \(7,\), one entry per block, got shape \(2,\)"),
        ("liveness", {"define": [0, 0, 0, 0, 0, 0, 0.5]}, "define must hold 0 or 1 only, got .*0.5"),
        ("liveness", {"use": [0, 0, 0, 0, 0, 0, -1]}, "use must hold 0 or 1 only"),
        ("liveness", {"define": None}, "define must be an array"),
    ],
)
def test_inputs_that_are_refused(name, change, message):
    more = {"use": np.zeros(7), "define": np.zeros(7)} if name == "liveness" else {"s": 0}
    with pytest.raises(ValueError, match=message):
        nar.datasets.get(name).run(**{"A": LOOP, **more, **change})
