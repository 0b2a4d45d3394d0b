"""A place in a text and what is there: numbers, rows and matrices of them; whatever is wrong is said with its place."""

from __future__ import annotations

import re
from typing import NoReturn

_INTEGER = r"-?\d+"
_NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)"
_PATTERNS = {  # may it have decimals? -> one number, a row of them
    decimals: (re.compile(number), re.compile(rf"\[({number}(?: {number})*)\]"))
    for decimals, number in ((True, _NUMBER), (False, _INTEGER))
}


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
        kind = "a number" if decimals else "an integer"
        if rank == 0:
            return [float(self.match(number, kind))], ()
        if rank == 1:
            found = row.match(self.text, self.at)
            if not found:
                self._fail_in_row(number, kind)
            self.at = found.end()
            values = [float(token) for token in found[1].split(" ")]
            return values, (len(values),)
        self.expect("[")
        values, width = self.numbers(1, decimals)
        rows = 1
        while not self.sees("]"):
            self.expect(", ")
            at = self.at
            more, found_width = self.numbers(1, decimals)
            if found_width != width:
                self.fail(f"a row of {width[0]} numbers", at)
            values += more
            rows += 1
        return values, (rows, *width)

    def _fail_in_row(self, number: re.Pattern, kind: str) -> NoReturn:
        self.expect("[")
        self.match(number, kind)
        while self.sees(" "):
            self.match(number, kind)
        self.fail("' ' or ']'")

    def place_of_number(self, k: int, start: int) -> int:
        """Where the k-th number (from 0) after `start` is."""
        for i, found in enumerate(_PATTERNS[True][0].finditer(self.text, start)):
            if i == k:
                return found.start()
        return start
