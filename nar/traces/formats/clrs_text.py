"""Traces as text, in the grammar of CLRS-Text (Markeeva et al. 2024, arXiv 2406.04229), and back.

A text is a question and its answer. With the three kinds of hints, for Bellman-Ford on two nodes (A, adj cut short):

    hints=False             hints=True              hints="all"

    bellman_ford:           bellman_ford:           bellman_ford:
    s: 0, A: [[..], [..]]   s: 0, A: [[..], [..]],  pos: [0.0 0.5], s: 0, A: [[..], [..]], adj: [[..], [..]],
                            initial_trace: [0 1]    initial_trace: ([0 1], [0.0 0.0], [1 0])
    pi:                     trace | pi:             trace (pi_h, d, msk) | pi:
    [0 0]                    | [0 0]                ([0 0], [0.0 0.5], [1 1]) | [0 0]

The first two are CLRS-Text's own, character for character; the third is ours and loses nothing. A mask_one is an
index, a vector `[1 2]`, a matrix `[[1 2], [3 4]]`; numbers are printed in full unless `decimals` says otherwise.

What CLRS-Text leaves out, that is, hints=False and hints=True:
- `pos` and `adj`, which follow from the other inputs (where they do not, we print them);
- most hints: shown are those named after an output, or those of SHOWN (clrs_text_grammar.py), all moments but the last;
- the order of equal keys: what sorts is printed as the sorted keys (read back in the order of position);
- with hints=True, the outputs of the three SEARCHES: their last hints stand in for them (a trace of one moment is read
  back as the same moment twice);
- that a class is ignored, on nodes and graphs: printed as class 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nar.traces.formats.clrs_text_grammar import INTEGERS, Form, Reader, form_of, implied, printed_as_keys
from nar.traces.linked_list import linked_list
from nar.traces.spec import Location, Spec, Type
from nar.traces.trace import Trace, as_stored, compact_dtype


def truncate(inputs: Mapping[str, Any], decimals: int = 3) -> dict[str, Any]:
    """Arguments of `run` with floats cut (not rounded) to so many decimals: CLRS-Text samples with 3.

    (For convex hulls dm-clrs cuts twice, and draws again where three points come to lie on a line: its samples differ.)
    """
    scale = 10**decimals

    def cut(value: Any) -> Any:
        if isinstance(value, float):
            return float(np.trunc(value * scale) / scale)
        return np.trunc(value * scale) / scale if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

    return {name: cut(value) for name, value in inputs.items()}


def write(trace: Trace, hints: bool | str = False, decimals: int | None = None) -> str:
    """Question and answer in one string; `parse` reads it back.

    `hints`: False, True or "all", see above. `decimals`: floats are rounded to so many; None prints them in full.
    """
    return "".join(question_and_answer(trace, hints, decimals))


def question_and_answer(trace: Trace, hints: bool | str = False, decimals: int | None = None) -> tuple[str, str]:
    """The two parts of the text of `write`: what is asked, and what should be answered."""
    if hints not in (False, True, "all"):
        raise ValueError(f'hints must be False, True or "all", got {hints!r}')
    if decimals is not None and (not isinstance(decimals, int) or decimals < 0):
        raise ValueError(f"decimals must be None or a number of digits, got {decimals!r}")
    spec, form = trace.spec, form_of(trace.algorithm, trace.spec, hints)
    if form.hints and not form.whole and not trace.length:
        raise ValueError(f"hints must be False or 'all' for a trace of length 0, got {hints!r}")
    compact = {name: np.asarray(trace.compact[name]) for name in spec}
    if decimals is not None:
        compact = {name: np.round(a, decimals) if a.dtype.kind == "f" else a for name, a in compact.items()}
    integers = INTEGERS.get(trace.algorithm, "")
    if integers in compact and (compact[integers] == np.trunc(compact[integers])).all():
        compact[integers] = compact[integers].astype(np.int64)

    def show(name: str, values: np.ndarray) -> str:
        if printed_as_keys(name, spec, form):
            order = linked_list(values)
            if order is None:
                raise ValueError(f"{name} must link all nodes to one list, got {values.tolist()}")
            values = compact["key"][order]
        elif spec[name].type is Type.CATEGORICAL and spec[name].location is not Location.EDGE and not form.whole:
            values = np.maximum(values, 0)
        return _shown(values.tolist())

    def moment(t: int, names: tuple[str, ...] = form.hints, parentheses: bool = form.parentheses) -> str:
        joined = ", ".join(show(name, compact[name][t] if name in spec.hints else compact[name]) for name in names)
        return f"({joined})" if parentheses else joined

    follows = {} if form.whole else implied(compact, spec, trace.nodes)
    left_out = {name for name, values in follows.items() if np.array_equal(values, trace.compact[name])}
    asked = [f"{name}: {show(name, compact[name])}" for name in spec.inputs if name not in left_out]
    answer = moment(-1, form.answer, form.parentheses and not form.whole)
    if form.traced:
        asked += [f"initial_trace: {moment(0)}"] if trace.length else []
        last = trace.length if form.whole else trace.length - 1
        answer = f"{', '.join(moment(t) for t in range(1, last))} | {answer}"
    return f"{trace.algorithm}:\n{', '.join(asked)}\n{form.header}:\n", f"{answer}\n\n"


def _shown(values: Any) -> str:
    """One number, `[a b]`, or `[[a b], [c d]]`."""
    if not isinstance(values, list):
        return repr(values)
    return f"[{(', ' if values and isinstance(values[0], list) else ' ').join(map(_shown, values))}]"


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
        header = text[start:].split("\n", 1)[0]
        known = [form_of(self.algorithm, self.spec, hints) for hints in (False, True, "all")]
        forms = {f"{form.header}:": form for form in known}
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
            moments.append(self._moment(form.hints, form.parentheses))
        answer = self._moment(form.answer, form.parentheses and not form.whole)
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
            probe = self.spec[name]
            values = np.empty((len(moments), *probe.shape(self.nodes)), compact_dtype(probe, self.nodes))
            for t, moment in enumerate(moments):
                values[t] = self._meaning(name, moment[name], inputs)
            raw[name] = as_stored(values, probe)
        raw = {name: values for name, values in follows.items() if name not in raw} | raw
        spec = Spec({name: probe for name, probe in self.spec.items() if name in raw})
        return Trace(self.algorithm, spec, self.nodes, len(moments), {name: raw[name] for name in spec})

    def _inputs(self) -> tuple[dict[str, _Found], dict[str, _Found] | None]:
        """The second line: inputs by name, and the first moment of the hints, if there is one."""
        reader, found, first = self.reader, {}, None
        while True:
            at = reader.at
            name = reader.match(r"[^\s:,]+(?=: )", "the name of an input and ': '")
            reader.expect(": ")
            if name == "initial_trace" and self.form.traced:
                first = self._moment(self.form.hints, self.form.parentheses)
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
