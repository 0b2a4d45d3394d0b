"""The trace that a text tells of, read back: the inverse of `write` in clrs_text.py, which has the grammar.

numpy only: nothing here may import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nar.traces.formats.clrs_text_form import Form, form_of, implied, printed_as_keys
from nar.traces.formats.clrs_text_reader import Reader
from nar.traces.spec import Spec, Type
from nar.traces.trace import Trace, as_stored, compact_dtype


def parse(text: str, spec: Any = None) -> Trace:
    """The trace that a text tells of, as far as it does: everything, where it was written with hints="all".

    The trace's spec holds only the probes that the text gives. Without `spec` (a Spec or an Algorithm) the first line
    names an algorithm of the table. Every text holds all inputs, so the whole trace is one call away:
    `algorithm.run(**algorithm.arguments_of(parse(text)))`. Raises ValueError with line and column of what is wrong.
    """
    reader = Reader(text)
    name = reader.match(r"[^\s:]+(?::\w+)?", "the name of an algorithm")  # also my_module:algorithm
    reader.expect(":\n")
    if spec is None:
        from nar import datasets  # loads numba, which a given spec does not need

        spec = datasets.get(name)
    return _Parser(reader, name, spec if isinstance(spec, Spec) else spec.spec).trace()


_Found = tuple[np.ndarray, int]  # numbers, and where they are in the text


class _Parser:
    """Reads one text: first all numbers with their places, then, as the number of nodes is known, what they mean."""

    def __init__(self, reader: Reader, algorithm: str, spec: Spec) -> None:
        self.reader, self.algorithm, self.spec = reader, algorithm, spec
        self.nodes = 0
        self.form = self._find_form()

    def _find_form(self) -> Form:
        """The third line says how to read the second and the fourth."""
        text = self.reader.text
        start = text.find("\n", self.reader.at) + 1 or len(text)
        end = text.find("\n", start)
        header = text[start : end if end >= 0 else len(text)]
        forms = {
            form.header + ":": form for form in (form_of(self.algorithm, self.spec, h) for h in (False, True, "all"))
        }
        if header not in forms:
            self.reader.fail(" or ".join(map(repr, forms)), start)
        return forms[header]

    def trace(self) -> Trace:
        reader, form = self.reader, self.form
        inputs, first = self._inputs()
        reader.expect(f"\n{form.header}:\n")
        moments = [first] if first is not None else []
        while form.traced and not reader.sees(" | "):
            if not moments:
                reader.fail("' | '")
            if len(moments) > 1 and not reader.sees(", "):
                reader.fail("', ' or ' | '")
            moments.append(self._moment(form.hints, form.moment_in_parentheses))
        answer = self._moment(form.answer, form.answer_in_parentheses)
        if reader.text[reader.at :].strip():
            reader.fail("nothing more")
        if not self.nodes:
            reader.fail("a vector somewhere: the number of nodes is unknown", len(reader.text))
        if form.hints and set(answer) <= set(form.hints):
            moments.append(answer)
            answer = {}
        raw: dict[str, Any] = {name: self._meaning(name, found, inputs) for name, found in (inputs | answer).items()}
        follows = implied(raw, self.spec, self.nodes)
        for name in form.hints:
            values = np.stack([self._meaning(name, m[name], inputs) for m in moments]) if moments else self._none(name)
            raw[name] = as_stored(values, self.spec[name])
        raw = {name: values for name, values in follows.items() if name not in raw} | raw
        spec = Spec({name: probe for name, probe in self.spec.items() if name in raw})
        return Trace(self.algorithm, spec, self.nodes, len(moments), {name: raw[name] for name in spec})

    def _inputs(self) -> tuple[dict[str, _Found], dict[str, _Found] | None]:
        """The second line: inputs by name, and the first moment of the hints, if there is one."""
        reader, found, first = self.reader, {}, None
        while first is None:
            at = reader.at
            name = reader.match(r"[^\s:,]+(?=: )", "the name of an input and ': '")
            reader.expect(": ")
            if name == "initial_trace" and self.form.traced:
                first = self._moment(self.form.hints, self.form.moment_in_parentheses)
                break
            if name not in self.spec.inputs or name in found:
                reader.fail(f"an input of {self.algorithm}, each once", at)
            found[name] = self._value(name)
            if reader.text.startswith("\n", reader.at):
                break
            if not reader.sees(", "):
                reader.fail("', ' or a line break")
        for name in self.spec.inputs:
            if name not in found and not (name == "pos" or (name == "adj" and "A" in found)):
                reader.fail(f"the input {name}")
        if first is None and self.form.hints and not self.form.whole:
            reader.fail("', initial_trace: '")
        return found, first

    def _moment(self, names: tuple[str, ...], parentheses: bool) -> dict[str, _Found]:
        found = {}
        if parentheses:
            self.reader.expect("(")
        for i, name in enumerate(names):
            if i:
                self.reader.expect(", ")
            found[name] = self._value(name)
        if parentheses:
            self.reader.expect(")")
        return found

    def _value(self, name: str) -> _Found:
        probe, at = self.spec[name], self.reader.at
        decimals = probe.type is Type.SCALAR or printed_as_keys(name, self.spec, self.form)
        values, shape = self.reader.numbers(len(probe.shape(1)), decimals)
        self.nodes = self.nodes or (shape[0] if shape else 0)
        if shape != probe.shape(self.nodes):
            self.reader.fail(f"{' x '.join(map(str, probe.shape(self.nodes)))} numbers", at)
        return np.array(values).reshape(shape), at

    def _meaning(self, name: str, found: _Found, inputs: Mapping[str, _Found]) -> np.ndarray:
        """The compact form of what was found; numbers out of range are refused."""
        (values, at), probe = found, self.spec[name]
        dtype = compact_dtype(probe, self.nodes)
        if printed_as_keys(name, self.spec, self.form):
            return self._pointers(values, at, inputs["key"][0]).astype(dtype)
        if probe.type is not Type.SCALAR:
            low, high = probe.limits(self.nodes)
            wrong = ((values < low) | (values > high)).reshape(-1)
            if wrong.any():
                at = self.reader.place_of_number(int(wrong.argmax()), at)
                self.reader.fail(f"an integer from {low} to {high}", at)
        return values.astype(dtype)

    def _pointers(self, values: np.ndarray, at: int, keys: np.ndarray) -> np.ndarray:
        """Predecessor pointers from the keys in sorted order; equal keys in order of position."""
        places: dict[float, list[int]] = {}
        for i in range(self.nodes - 1, -1, -1):
            places.setdefault(keys[i], []).append(i)
        order = []
        for k, value in enumerate(values):
            if not places.get(value):
                self.reader.fail("a key that is left over", self.reader.place_of_number(k, at))
            order.append(places[value].pop())
        pointers = np.empty(self.nodes, np.int64)
        pointers[order] = [order[0], *order[:-1]]
        return pointers

    def _none(self, name: str) -> np.ndarray:
        probe = self.spec[name]
        return np.empty((0, *probe.shape(self.nodes)), compact_dtype(probe, self.nodes))
