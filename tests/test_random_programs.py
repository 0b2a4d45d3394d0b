"""Random programs for data-flow analyses: structured ones, ones with jumps, constructs one by one, their shares."""

import networkx as nx
import numpy as np
import pytest
from inputs import hints

import nar.datasets
from nar.datasets import control_flow


def programs(count, n=None, **shares):
    shares = {"branch": 0.3, "loop": 0.15, "leave": 0.15, "goto": 0.0, **shares}
    for seed in range(count):
        rng = np.random.RandomState(seed)
        A, s = control_flow.program(rng, n or rng.randint(1, 40), **shares)
        yield A, s, nx.from_numpy_array(A, create_using=nx.DiGraph)


def is_reducible(A, s):
    """Is the graph acyclic without the edges to a dominator (the loops that have one way in)?"""
    found = nar.datasets.get("dominators").run(A=A, s=s)
    reached = np.flatnonzero(hints(found, "reach_h")[-1])
    forward = ((A != 0) & ~found.compact["dom"].astype(bool))[np.ix_(reached, reached)]
    return nx.is_directed_acyclic_graph(nx.from_numpy_array(forward, create_using=nx.DiGraph))


def test_programs_are_structured():
    """A block ends in two ways at most, and nothing jumps into the middle of a loop."""
    loops, branches, returns, dead, blocks = 0, 0, 0, 0, 0
    for A, s, graph in programs(400):
        assert set(np.unique(A)) <= {0, 1}
        assert A.sum(1).max(initial=0) <= 2
        assert is_reducible(A, s)
        loops += not nx.is_directed_acyclic_graph(graph)
        branches += (A.sum(1) == 2).sum()
        returns += (A.sum(1) == 0).sum() > 1
        dead += len(A) - 1 - len(nx.descendants(graph, s))
        blocks += len(A)
    assert loops > 200 and returns > 100
    assert 0.2 < branches / blocks < 0.5
    assert 0.03 < dead / blocks < 0.2


def test_jumps_make_what_no_structured_program_has():
    assert sum(not is_reducible(A, s) for A, s, _ in programs(100, n=20, goto=0.3)) > 50


def test_programs_without_early_exits():
    """Everything is reached, and everything ends in one block."""
    for A, s, graph in programs(200, leave=0.0):
        (end,) = np.flatnonzero(~A.any(1))
        assert len(nx.descendants(graph, s) | {s}) == len(nx.ancestors(graph, int(end)) | {end}) == len(A)


def test_programs_of_one_kind():
    for A, s, graph in programs(20, n=9, branch=0.0, loop=0.0):
        assert A.sum() == 8 and nx.dag_longest_path(graph)[0] == s and nx.dag_longest_path_length(graph) == 8
    for _, _, graph in programs(50, loop=0.0, leave=0.0):
        assert nx.is_directed_acyclic_graph(graph)
    for A, s, _ in programs(20, n=1):
        assert (A.tolist(), s) == ([[0]], 0)
    entries = np.bincount([s for _, s, _ in programs(300, n=5)], minlength=5)
    assert (entries > 30).all()  # blocks are numbered at random


def edges(*draws):
    A = control_flow.write_program(np.array(draws), 0.3, 0.3, 0.3, 0.5)
    return [(int(u), int(v)) for u, v in np.argwhere(A)]


def test_constructs_one_by_one():
    """Draws (kind, where, ends, else): kind < 0.3 branches, < 0.6 loops, < 0.9 leaves; where < 0.75 tests first."""
    plain, ends, ends_in_else = (0.95, 0.0, 0.9, 0.9), (0.95, 0.0, 0.4, 0.9), (0.95, 0.0, 0.4, 0.4)
    branch, loop, do = (0.1, 0.0, 0.9, 0.9), (0.5, 0.0, 0.9, 0.9), (0.5, 0.8, 0.9, 0.9)
    leave, go_on, stop = (0.7, 0.9, 0.4, 0.9), (0.7, 0.5, 0.4, 0.9), (0.7, 0.1, 0.4, 0.9)
    last = plain, plain
    assert edges(plain, *last) == [(0, 1), (1, 2)]
    assert edges(branch, ends, *last) == [(0, 1), (0, 2), (1, 2), (2, 3)]  # if: 1
    assert edges(branch, ends_in_else, ends, *last) == [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]  # if: 1, else: 2
    assert edges(branch, leave, *last) == [(0, 1), (0, 2), (2, 3)]  # if: return
    assert edges(loop, plain, ends, *last) == [(0, 1), (0, 3), (1, 2), (2, 0), (3, 4)]
    assert edges(do, plain, ends, *last) == [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)]
    inside = [(0, 1), (0, 4), (1, 2), (1, 3), (3, 0), (4, 5)]  # while: {if: 2}, 3
    assert edges(loop, branch, leave, ends, *last) == inside
    assert edges(loop, branch, go_on, ends, *last) == sorted([*inside, (2, 0)])
    assert edges(loop, branch, stop, ends, *last) == sorted([*inside, (2, 4)])
    # if: {while: {if: break}, 4}, 5: the break leads behind the loop, not behind what is around it
    assert edges(branch, loop, branch, stop, ends, *last) == [
        (0, 1), (0, 6), (1, 2), (1, 5), (2, 3), (2, 4), (3, 5), (4, 1), (5, 6),
    ]  # fmt: skip
    # if: return, else: return would leave the rest dead: the second is not written
    assert edges(branch, (0.7, 0.9, 0.4, 0.4), leave, *last) == [(0, 1), (0, 2), (2, 3), (3, 4)]
    # in do: {if: 2}, 3 it is 3 that tests, not the 1 and 2 that come together there
    assert edges(do, branch, (0.95, 0.0, 0.2, 0.9), ends, *last) == [
        (0, 1), (1, 2), (1, 3), (2, 3), (3, 0), (3, 4), (4, 5),
    ]  # fmt: skip
    assert edges(branch, loop, ends, plain) == [(0, 1), (0, 3), (1, 2), (1, 3), (2, 1)]  # all closes at the end


def test_shares_that_are_refused():
    rng, algorithm = np.random.RandomState(0), nar.datasets.get("liveness")
    for share in ("branch", "loop", "leave", "goto", "use", "define"):
        for bad in (-0.1, 1.5, np.nan, None, "0.5", (0.1, 0.2)):
            with pytest.raises(ValueError, match=rf"{share} must be a probability in \[0, 1\]"):
                algorithm.sample(rng, 4, **{share: bad})
    with pytest.raises(ValueError, match=r"branch, loop and leave must be shares of all blocks, got a sum of 1\.5"):
        algorithm.sample(rng, 4, branch=0.5, loop=0.5, leave=0.5)
    uses = [algorithm.sample(rng, 50, use=1.0, define=0.0) for _ in range(3)]
    assert all(inputs["use"].all() and not inputs["define"].any() for inputs in uses)
    start = nar.datasets.get("reachability").sample(np.random.RandomState(3), 30, entry=True)
    assert start["s"] == control_flow.program(np.random.RandomState(3), 30, 0.3, 0.15, 0.15, 0.0)[1]
