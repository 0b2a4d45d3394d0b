"""The grammar of CLRS-Text (clrs_text.py): what a text shows and what it leaves out, and how its numbers are read.

The writer and the parser both go by it.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from nar.traces.spec import Location, Probe, Spec, Stage, Type

# Hints that CLRS-Text shows although they are not named after an output.
SHOWN = {
    "binary_search": ("low", "high"),
    "find_maximum_subarray_kadane": ("best_low", "best_high"),
    "quickselect": ("pivot",),
    "naive_string_matcher": ("s",),
    "kmp_matcher": ("s",),
}
SEARCHES = ("binary_search", "find_maximum_subarray_kadane", "quickselect")  # the last hints are the answer
PARENTHESES = ("binary_search", "find_maximum_subarray_kadane")
# Scalars that dm-clrs draws as integers and CLRS-Text hence prints without decimals.
INTEGERS = {
    **dict.fromkeys(("articulation_points", "bfs", "bridges", "dfs", "topological_sort"), "A"),
    "task_scheduling": "d",
}

_INTEGER = r"-?\d+"
_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)"
_PATTERNS = {  # may it have decimals? -> one number, a row of them
    decimals: (re.compile(number), re.compile(rf"\[({number}(?: {number})*)\]"))
    for decimals, number in ((True, _NUMBER), (False, _INTEGER))
}


@dataclasses.dataclass(frozen=True)
class Form:
    """What a text shows beside the inputs: its third line, the names of the hints, the probes of the answer."""

    header: str
    hints: tuple[str, ...]
    answer: tuple[str, ...]
    whole: bool = False  # hints="all"
    parentheses: bool = False  # around a moment, and around the answer if not whole

    @property
    def traced(self) -> bool:
        return bool(self.hints) or self.whole


def form_of(algorithm: str, spec: Spec, hints: bool | str) -> Form:
    outputs = tuple(spec.outputs)
    if hints == "all":
        every = tuple(spec.hints)
        return Form(f"trace ({', '.join(every)}) | {', '.join(outputs)}", every, outputs, True, True)
    shown: tuple[str, ...] = SHOWN.get(algorithm, ())
    if shown and set(shown) <= set(spec.hints):
        names, answer = ", ".join(shown), shown if algorithm in SEARCHES else outputs
    else:
        shown = tuple(name for name in spec.hints if _leads_to(name, spec))
        names, answer = ", ".join(outputs), outputs
    if not hints or not shown:
        return Form(", ".join(outputs), (), outputs)
    parentheses = algorithm in PARENTHESES
    return Form(f"trace | ({names})" if parentheses else f"trace | {names}", shown, answer, False, parentheses)


def _leads_to(hint: str, spec: Spec) -> Probe | None:
    """The output that a hint is named after, `pi` for `pi_h`."""
    output = spec.outputs.get(hint[:-2]) if hint.endswith("_h") else None
    if output is None or output.location != spec[hint].location:
        return None
    same = output.type == spec[hint].type
    return output if same or (output.type, spec[hint].type) == (Type.SHOULD_BE_PERMUTATION, Type.POINTER) else None


def printed_as_keys(name: str, spec: Spec, form: Form) -> bool:
    """Is this probe printed as the sorted keys?"""
    keys = spec.get("key") == Probe(Stage.INPUT, Location.NODE, Type.SCALAR)
    probe = (_leads_to(name, spec) if name in form.hints else None) or spec[name]
    return keys and probe.type is Type.SHOULD_BE_PERMUTATION and not form.whole


def implied(compact: Mapping[str, Any], spec: Spec, nodes: int) -> dict[str, np.ndarray]:
    """What other inputs say about `pos` (i / n, in every string anew) and `adj` (A's edges, a loop on every node)."""
    found = {}
    if "pos" in spec.inputs and spec["pos"].shape(nodes) == (nodes,):
        two = spec.get("string") == Probe(Stage.INPUT, Location.NODE, Type.MASK)
        starts = np.flatnonzero(np.diff(compact["string"])) + 1 if two else []
        found["pos"] = np.concatenate([np.arange(len(p)) / len(p) for p in np.split(np.zeros(nodes), starts)])
    if "adj" in spec.inputs and "A" in spec.inputs:
        found["adj"] = ((np.asarray(compact["A"]) != 0) | np.eye(nodes, dtype=bool)).astype(np.int8)
    return found


class Reader:
    """Reads a text from `at` on; every method passes over what it reads, or raises ValueError with line and column."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ValueError(f"text must be a string, got {type(text).__name__}")
        self.text, self.at = text, 0

    def fail(self, required: str, at: int | None = None) -> NoReturn:
        at = self.at if at is None else at
        line, column = self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)
        got = repr(self.text[at : at + 20]) if at < len(self.text) else "its end"
        raise ValueError(f"text must have {required} at line {line}, column {column}, got {got}")

    def sees(self, token: str) -> bool:
        """Is this next? Only then it is passed over."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def expect(self, token: str) -> None:
        if not self.sees(token):
            self.fail(repr(token))

    def match(self, pattern: str | re.Pattern, required: str) -> str:
        found = re.compile(pattern).match(self.text, self.at)
        if not found:
            self.fail(required)
        self.at = found.end()
        return found[0]

    def numbers(self, rank: int, decimals: bool) -> tuple[list[float], tuple[int, ...]]:
        """One number, a row `[1 2]` or a matrix `[[1 2], [3 4]]`: all numbers in order, and the shape."""
        number, row = _PATTERNS[decimals]
        if rank == 0:
            return [float(self.match(number, "a number" if decimals else "an integer"))], ()
        if rank == 1 and (found := row.match(self.text, self.at)):  # the same as below, many times faster
            self.at = found.end()
            values = [float(token) for token in found[1].split(" ")]
            return values, (len(values),)
        self.expect("[")
        values, width = self.numbers(rank - 1, decimals)
        rows, separator = 1, " " if rank == 1 else ", "
        while not self.sees("]"):
            if not self.sees(separator):
                self.fail(f"{separator!r} or ']'")
            at = self.at
            more, found_width = self.numbers(rank - 1, decimals)
            if found_width != width:
                self.fail(f"a row of {width[0]} numbers", at)
            values += more
            rows += 1
        return values, (rows, *width)

    def place_of_number(self, k: int, start: int) -> int:
        """Where the k-th number (from 0) after `start` is."""
        for i, found in enumerate(_PATTERNS[True][0].finditer(self.text, start)):
            if i == k:
                return found.start()
        return start
