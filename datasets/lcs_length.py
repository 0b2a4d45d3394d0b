"""Longest common subsequence: its length for all pairs of prefixes, the whole table at once until nothing changes."""

import bisect

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import strings
from nar.traces.record import compiled, record
from nar.traces.spec import IGNORED, Spec

CITATION = "CLRS 15.4 (Introduction to Algorithms, 3rd edition, 2009)"

DIAGONAL, UP, LEFT = 0, 1, 2  # the arrows of table b; its fourth class only marks what is ignored

SPEC = Spec(
    {
        "string": ("input", "node", "mask"),
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "categorical", strings.CHARACTERS),
        "b": ("output", "edge", "categorical", 4),
        "pred_h": ("hint", "node", "pointer"),
        "b_h": ("hint", "edge", "categorical", 4),
        "c": ("hint", "edge", "scalar"),
    }
)


def prepare(x, y):
    x, y = strings.check_string(x, "x"), strings.check_string(y, "y")
    return (x, y), strings.probes(x, y)


@compiled
def lcs_length(trace, x, y):
    n, m = len(x), len(y)
    pred = strings.predecessors(n, m)
    # The tables of the textbook are the edges from x to y; on all others, b is ignored.
    b_edges = np.full((n + m, n + m), IGNORED, np.int8)
    c_edges = np.zeros((n + m, n + m))
    b, c = b_edges[:n, n:], c_edges[:n, n:]
    b[:] = DIAGONAL
    for i in range(n):
        found = x[i] == y[0]
        c[i, 0] = found or (i > 0 and c[i - 1, 0] == 1)
        b[i, 0] = DIAGONAL if found else UP
    for j in range(m):
        found = x[0] == y[j]
        c[0, j] = found or (j > 0 and c[0, j - 1] == 1)
        b[0, j] = DIAGONAL if found else LEFT if c[0, j] == 1 else UP
    while True:
        record(trace, pred, b_edges, c_edges)
        prev_c = c.copy()
        for i in range(1, n):
            for j in range(1, m):
                if x[i] == y[j]:
                    c[i, j] = prev_c[i - 1, j - 1] + 1
                    b[i, j] = DIAGONAL
                elif prev_c[i - 1, j] >= prev_c[i, j - 1]:
                    c[i, j] = prev_c[i - 1, j]
                    b[i, j] = UP
                else:
                    c[i, j] = prev_c[i, j - 1]
                    b[i, j] = LEFT
        if np.all(prev_c == c):
            return b_edges


def oracle(x, y):
    """Length of a longest common subsequence: a longest increasing chain of places in y (Hunt and Szymanski, 1977)."""
    x, y = list(x), list(y)
    ends: list[int] = []  # ends[k]: where in y the chain of k + 1 matches that ends first ends
    for character in x:
        for j in reversed([j for j in range(len(y)) if y[j] == character]):
            k = bisect.bisect_left(ends, j)
            ends[k : k + 1] = [j]
    return {"length": np.array(len(ends))}


def is_valid(x, y, b):
    """Do the arrows lead from every pair of prefixes along a longest common subsequence? Ties may go either way.

    What b holds on edges that do not lead from x to y is not looked at.
    """
    x, y = np.asarray(x), np.asarray(y)
    b = b[: len(x), len(x) :]
    equal = x[:, None] == y[None, :]
    c = np.zeros((len(x) + 1, len(y) + 1), np.int64)  # with a row and a column for the empty prefixes
    for i in range(len(x)):
        c[i + 1, 1:] = np.maximum.accumulate(np.maximum(c[i, 1:], c[i, :-1] + equal[i]))
    up, left = c[:-1, 1:] == c[1:, 1:], c[1:, :-1] == c[1:, 1:]
    return bool(((b == DIAGONAL) & equal | (b == UP) & up | (b == LEFT) & left).all())


def recover(inputs):
    x, y = strings.split(inputs)
    return {"x": x, "y": y}


algorithm = Algorithm(
    name="lcs_length",
    spec=SPEC,
    citation=CITATION,
    category="dynamic programming",
    steps=lcs_length,
    prepare=prepare,
    sampler=strings.sample_pair,
    bound=lambda n: max(1, n - 2),  # entry (i, j) is final after i + j - 1 passes; one more sees that nothing changes
    oracle=oracle,
    validity=is_valid,
    recover=recover,
    min_nodes=2,
    pred_as_input=True,
)
