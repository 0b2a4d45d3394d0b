"""Strings as inputs: sampling, checking, probes and helpers of matching and of the longest common subsequence.

Two strings of n and m characters are n + m nodes: the first string, then the second. Characters are integers 0 to 3.
"""

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from nar.traces.inputs import arrays
from nar.traces.inputs.options import is_integer

CHARACTERS = 4  # classes of the probe `key`


def random_string(rng: np.random.RandomState, length: int, chars: int) -> np.ndarray:
    """`length` characters, uniform over the first `chars`."""
    if not is_integer(chars, 1) or chars > CHARACTERS:
        raise ValueError(f"chars must be an integer from 1 to {CHARACTERS}, got {chars!r}")
    return rng.randint(0, high=chars, size=(length,))


def sample_match(
    rng: np.random.RandomState, n: int, length_needle: int | None = None, chars: int = CHARACTERS
) -> dict[str, np.ndarray]:
    """A random text T with a random pattern P somewhere in it, n nodes together.

    `length_needle` is the length of P: a fifth of n if None; if negative, random from 1 to its absolute value.
    """
    if length_needle is None:
        longest = m = max(1, n // 5)
    elif not is_integer(length_needle) or length_needle == 0:
        raise ValueError(f"length_needle must be an integer other than 0, or None, got {length_needle!r}")
    else:
        longest = m = abs(int(length_needle))
    if n <= 2 * longest:  # else P would not fit into T with at least one place to choose
        raise ValueError(f"length_needle must be less than half of n, got length_needle={length_needle} and n={n}")
    if length_needle is not None and length_needle < 0:
        m = rng.randint(1, high=1 + longest)
    P = random_string(rng, m, chars)
    T = random_string(rng, n - m, chars)
    s = rng.randint(0, n - 2 * m)  # never the last place: dm-clrs draws by rng.choice(n - 2 * m), the same number
    T[s : s + m] = P
    return {"T": T, "P": P}


def sample_pair(rng: np.random.RandomState, n: int, length_2: int | None = None, chars: int = CHARACTERS) -> dict:
    """Two random strings: of n nodes together if `length_2` is None, else of n and of `length_2` characters."""
    if length_2 is None:
        length_2 = n // 2
        n -= length_2
    elif not is_integer(length_2, 1):
        raise ValueError(f"length_2 must be a positive integer or None, got {length_2!r}")
    x = random_string(rng, n, chars)
    return {"x": x, "y": random_string(rng, int(length_2), chars)}


def check_string(value: Any, name: str) -> np.ndarray:
    """An int8 copy of a string: at least one character, each of them 0, 1, 2 or 3."""
    string = arrays.numbers(value, name)
    if string.ndim != 1 or string.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array with at least one element, got shape {string.shape}")
    at = _first_foreign(string)
    if at < len(string):
        allowed = f"characters 0 to {CHARACTERS - 1} (`key` has {CHARACTERS} classes)"
        raise ValueError(f"{name} must be a string of {allowed}, got {string[at]:g} at index {at}")
    return string.astype(np.int8)


def probes(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """The input probes: `string` says which of the two a node belongs to, `pos` where in it, `key` its character."""
    string, pos = _places(len(first), len(second))
    return {"string": string, "pos": pos, "key": np.concatenate([first, second])}


@numba.njit
def _first_foreign(string):
    """Index of the first number that is no character; the length if there is none."""
    for at in range(len(string)):
        if not (0 <= string[at] < CHARACTERS and string[at] == np.floor(string[at])):
            return at
    return len(string)


@numba.njit
def _places(n, m):
    string, pos = np.zeros(n + m, np.int8), np.empty(n + m)
    for i in range(n):
        pos[i] = i / n
    for j in range(m):
        string[n + j], pos[n + j] = 1, j / m
    return string, pos


def split(inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The two strings, from the probes `string` and `key`."""
    return inputs["key"][inputs["string"] == 0], inputs["key"][inputs["string"] == 1]


def recover_match(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Text and pattern of a trace."""
    T, P = split(inputs)
    return {"T": T, "P": P}


@numba.njit
def predecessors(n, m):
    """Pointers from each character to the one before it; the first of either string points to itself."""
    pred = np.arange(-1, n + m - 1)
    pred[0] = 0
    pred[n] = n
    return pred


def first_match(T: Any, P: Any) -> dict[str, np.ndarray]:
    """The first shift at which P occurs in T, or the node of P's first character (the length of T) if none."""
    text, pattern = (np.asarray(string).astype(np.uint8).tobytes() for string in (T, P))
    match = text.find(pattern)
    return {"match": np.array(match if match >= 0 else len(text))}


def is_match(T: Any, P: Any, match: np.ndarray) -> bool:
    """Does P occur in T at this shift (any right one), or, if `match` is the length of T, nowhere?"""
    T, P, s = list(T), list(P), int(match)
    if s == len(T):
        return int(first_match(T, P)["match"]) == len(T)
    return T[s : s + len(P)] == P
