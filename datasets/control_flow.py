"""Control-flow graphs of random structured programs, and what the analyses on them share.

Nodes are basic blocks, and `A[u, v] != 0` says that control may pass from u to v. An analysis is run in synchronous
passes: each computes every block's facts from those that its neighbours had before the pass. Facts only ever change one
way (they are monotone), so the passes end at a fixed point, the same as any other order of work would reach
(A. V. Aho, M. S. Lam, R. Sethi, J. D. Ullman. Compilers: Principles, Techniques, and Tools, 2nd edition, 2006, 9.2).

As learning tasks: C. Cummins et al. ProGraML: A Graph-based Program Representation for Data Flow Analysis and Compiler
Optimizations. ICML 2021.
"""

from collections.abc import Callable

import numpy as np

from nar.traces.record import compiled

IF, ELSE, WHILE, DO = 0, 1, 2, 3  # constructs that blocks stand in; ELSE replaces its IF


@compiled
def write_program(draws, branch, loop, leave, close):
    """Edges [n, n] of a program of n blocks, written from the first block to the last as one writes code.

    `draws` [n, 4] are uniform numbers that decide, for each block: what it is, whether a loop tests first or where an
    early exit leads, how many constructs end after it, and whether a branch has an else.
    """
    n = len(draws)
    A = np.zeros((n, n), np.int64)
    falls = np.zeros(n, np.bool_)  # blocks from which control falls through to the next one
    # The constructs that are open, innermost last: what, its first block, and the blocks that go on behind its end.
    kind, head, parked = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, n), np.bool_)
    # Is the rest of it dead, and was the end of the branch before the else? Dead code is kept plain, and an exit that
    # would make all that follows the construct dead as well is not written: most blocks of a program can be reached.
    dead, branch_dead = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    depth = 0
    for b in range(n):
        A[:, b] |= falls
        falls[:] = False
        falls[b] = True
        u, where, ends, otherwise = draws[b]
        last = b >= n - 2  # the time to come to an end: all constructs close, and the last block is behind them
        if last or (depth > 0 and dead[depth - 1]):
            pass
        elif u < branch + loop:
            kind[depth] = IF if u < branch else WHILE if where < 0.75 else DO
            head[depth], parked[depth], dead[depth], branch_dead[depth] = b, False, False, False
            depth += 1
        elif u < branch + loop + leave and depth > 0 and not branch_dead[depth - 1]:
            falls[b] = False
            dead[depth - 1] = True
            inner = depth - 1
            while inner >= 0 and kind[inner] < WHILE:
                inner -= 1
            if inner >= 0 and (where < 0.4 or (inner == depth - 1 and kind[inner] == DO)):  # break
                parked[inner, b] = True
            elif inner >= 0 and where < 0.7 and kind[inner] == WHILE:  # continue
                A[b, head[inner]] = 1
            # else return: no edge
        while depth > 0 and head[depth - 1] < b and (ends < close or last):
            top = depth - 1
            tested = falls.sum() == falls[b] and not A[b].any()
            if kind[top] == DO and not tested and not last:
                break  # the block that tests whether to go round again has yet to be written
            ends /= close  # a uniform number below `close`, scaled to be one below 1
            if kind[top] == IF and otherwise < 0.5 and not last:
                otherwise *= 2
                kind[top] = ELSE
                parked[top] = falls
                branch_dead[top], dead[top] = dead[top], False
                falls[:] = False
                falls[head[top]] = True
                break  # the else has yet to be written
            if kind[top] == IF:
                falls[head[top]] = True  # where the condition does not hold
            elif kind[top] == ELSE:
                falls |= parked[top]
            elif kind[top] == WHILE:
                A[:, head[top]] |= falls
                falls[:] = parked[top]
                falls[head[top]] = True
            else:
                A[b, head[top]] = falls[b] and tested
                falls |= parked[top]
            depth -= 1
    return A


def program(rng, n, branch, loop, leave, goto):
    """The graph of a random program with n blocks, numbered at random, and the index of its entry.

    Of its blocks, a share `branch` ends in a branch (half of which have an else), `loop` begins a loop (three of four
    test before the body, one of four after it), and `leave`, where inside one of these, exits early: by break, continue
    or return. What stands behind such an exit, up to the end of the construct, is dead: it cannot be reached. With
    probability `goto` a block has an edge to a block drawn at random as well, which makes graphs that no structured
    program has.
    """
    for name, share in (("branch", branch), ("loop", loop), ("leave", leave), ("goto", goto)):
        check_share(share, name)
    if branch + loop + leave > 1:
        raise ValueError(f"branch, loop and leave must be shares of all blocks, got a sum of {branch + loop + leave}")
    # Half of the time a construct goes on after a block: as many end as begin, so nesting stays shallow.
    A = write_program(rng.random_sample((n, 4)), float(branch), float(loop), float(leave), 0.5)
    if goto:
        jumps = np.flatnonzero(rng.random_sample(n) < goto)
        A[jumps, rng.randint(n, size=len(jumps))] = 1
    order = rng.permutation(n)  # order[i]: the block that gets the number i; numbers say nothing about the program
    return A[np.ix_(order, order)], int(np.flatnonzero(order == 0)[0])


def check_share(value: float, name: str) -> None:
    """A probability."""
    try:
        fine = bool(0 <= value <= 1)
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value!r}")


def closure(step: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
    """What is reached from `start`, a boolean array, by `step` over and over; for validity checks."""
    reached = start
    while True:
        further = reached | step(reached)
        if (further == reached).all():
            return reached
        reached = further
