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
- most hints: shown are those named after an output, or those of SHOWN (clrs_text_form.py), all moments but the last;
- the order of equal keys: what sorts is printed as the sorted keys (read back in the order of position);
- with hints=True, the outputs of the three SEARCHES: their last hints stand in for them (a trace of one moment is read
  back as the same moment twice);
- that a class is ignored, on nodes and graphs: printed as class 0.

numpy only: nothing here may import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nar.traces.formats.clrs_text_form import INTEGERS, form_of, implied, printed_as_keys
from nar.traces.formats.clrs_text_parser import parse
from nar.traces.linked_list import linked_list
from nar.traces.spec import Location, Type
from nar.traces.trace import Trace

__all__ = ["parse", "question_and_answer", "truncate", "write"]


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

    def moment(t: int, names: tuple[str, ...] = form.hints, parentheses: bool = form.moment_in_parentheses) -> str:
        joined = ", ".join(show(name, compact[name][t] if name in spec.hints else compact[name]) for name in names)
        return f"({joined})" if parentheses else joined

    follows = {} if form.whole else implied(compact, spec, trace.nodes)
    left_out = {name for name, values in follows.items() if np.array_equal(values, trace.compact[name])}
    asked = [f"{name}: {show(name, compact[name])}" for name in spec.inputs if name not in left_out]
    answer = moment(-1, form.answer, form.answer_in_parentheses)
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
