"""Hints as what every moment alters, and how an algorithm on edges writes that down.

Dijkstra on 10^4 nodes takes 10^4 steps, each of which changes a few numbers of a few nodes: the changes of a run are
about as many as the edges, all its moments together 10^8 numbers per hint.

An algorithm is handed a `log` of (moments, counts, ends, hints), one entry of `hints` for every hint of the spec in its
order. It calls `change(hint, place, value)` for every number that changes, and `moment(log)` when a moment is complete:

    moments, counts, ends, (reach, pi) = log
    change(reach, s, 1)
    moment(log)

Shapes: T moments, C changes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np


@dataclasses.dataclass(eq=False, slots=True, repr=False)
class Changes:
    """An array [T, size], of which it holds the first value and every change."""

    first: np.ndarray  # [size]: before the first moment
    index: np.ndarray  # [C]: what changes
    values: np.ndarray  # [C]: and to what
    ends: np.ndarray  # [T]: up to which change every moment has come

    def __len__(self) -> int:
        return len(self.ends)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        cursor = Cursor(self)
        return np.asarray(np.stack([cursor.at(t).copy() for t in range(len(self))]), dtype)

    def steps_that_change(self) -> np.ndarray:
        """Which moments [T - 1] the next one differs from: a change may write down what is there already."""
        cursor, found = Cursor(self), np.zeros(max(0, len(self) - 1), bool)
        for t in range(len(found)):
            now, places = cursor.at(t), self.index[self.ends[t] : self.ends[t + 1]]
            before = now[places]
            found[t] = (cursor.at(t + 1)[places] != before).any()
        return found


class Cursor:
    """The moments of a hint one after the other; to go back begins from the start."""

    def __init__(self, changes: Changes, room: np.ndarray | None = None) -> None:
        """`room` [size]: where the current moment stands."""
        self.changes = changes
        self.now = changes.first.copy() if room is None else room
        self.done = 0
        self.now[...] = changes.first

    def at(self, moment: int) -> np.ndarray:
        """The array at a moment, after the last of which the last one holds; it is overwritten by the next call."""
        changes = self.changes
        end = int(changes.ends[min(moment, len(changes) - 1)])
        if end < self.done:
            self.now[...], self.done = changes.first, 0
        # of several changes of one entry the last one counts, as numpy assigns in order
        self.now[changes.index[self.done : end]] = changes.values[self.done : end]
        self.done = end
        return self.now


def recorded(steps: Callable, arguments: Sequence[Any], firsts: Sequence[np.ndarray]) -> tuple[list[Changes], Any]:
    """The hints that `steps(log, *arguments)` writes down, and what it returns.

    `firsts`: every hint before the first moment. It is run again where there was too little room.
    """
    moments, room = 64, [2 * len(first) + 64 for first in firsts]
    while True:
        counts, ends = np.zeros(len(firsts), np.int64), np.zeros((moments, len(firsts)), np.int64)
        hints = tuple(
            (np.empty(size, np.int32), np.empty(size, first.dtype), counts, k)
            for k, (size, first) in enumerate(zip(room, firsts, strict=True))
        )
        so_far = np.zeros(1, np.int64)
        answer = steps((so_far, counts, ends, hints), *arguments)
        if so_far[0] <= moments and all(count <= size for count, size in zip(counts, room, strict=True)):
            break
        moments, room = max(moments, int(so_far[0])), [max(pair) for pair in zip(room, counts.tolist(), strict=True)]
    ends = ends[: so_far[0]]
    found = [
        Changes(first, hint[0][:count].copy(), hint[1][:count].copy(), ends[:, k].copy())
        for k, (first, hint, count) in enumerate(zip(firsts, hints, counts, strict=True))
    ]
    return found, answer


@numba.njit
def change(hint, place, value):
    """Write down that an entry of a hint changes. What there is no room for is counted only."""
    index, values, counts, k = hint
    count = counts[k]
    if count < len(index):
        index[count] = place
        values[count] = value
    counts[k] = count + 1


@numba.njit
def moment(log):
    """Write down that a moment is complete."""
    moments, counts, ends, _ = log
    if moments[0] < len(ends):
        ends[moments[0]] = counts
    moments[0] += 1
