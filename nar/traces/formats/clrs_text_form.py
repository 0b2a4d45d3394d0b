"""What a text of a trace shows and what it leaves out (clrs_text.py); the writer and the parser both go by it.

numpy only: nothing here may import torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from nar.traces.spec import Location, Probe, Spec, Type

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


@dataclasses.dataclass(frozen=True)
class Form:
    """What a text shows beside the inputs: its third line, the names of the hints, the probes of the answer."""

    header: str
    hints: tuple[str, ...]
    answer: tuple[str, ...]
    whole: bool = False  # hints="all"
    moment_in_parentheses: bool = False
    answer_in_parentheses: bool = False

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
    names = f"({names})" if parentheses else names
    return Form(f"trace | {names}", shown, answer, False, parentheses, parentheses)


def _leads_to(hint: str, spec: Spec) -> Probe | None:
    """The output that a hint is named after, `pi` for `pi_h`."""
    output = spec.outputs.get(hint[:-2]) if hint.endswith("_h") else None
    if output is None or output.location != spec[hint].location:
        return None
    same = output.type == spec[hint].type
    return output if same or (output.type, spec[hint].type) == (Type.SHOULD_BE_PERMUTATION, Type.POINTER) else None


def printed_as_keys(name: str, spec: Spec, form: Form) -> bool:
    """Is this probe printed as the sorted keys?"""
    key = spec.inputs.get("key")
    keys = key is not None and (key.location, key.type) == (Location.NODE, Type.SCALAR)
    probe = (_leads_to(name, spec) if name in form.hints else None) or spec[name]
    return keys and probe.type is Type.SHOULD_BE_PERMUTATION and not form.whole


def implied(compact: Mapping[str, Any], spec: Spec, nodes: int) -> dict[str, np.ndarray]:
    """What other inputs say about `pos` (i / n, in every string anew) and `adj` (A's edges, a loop on every node)."""
    found = {}
    if "pos" in spec.inputs and spec["pos"].shape(nodes) == (nodes,):
        string = spec.inputs.get("string")
        two = string is not None and (string.location, string.type) == (Location.NODE, Type.MASK)
        starts = np.flatnonzero(np.diff(compact["string"])) + 1 if two else []
        found["pos"] = np.concatenate([np.arange(len(p)) / len(p) for p in np.split(np.zeros(nodes), starts)])
    if "adj" in spec.inputs and "A" in spec.inputs:
        found["adj"] = ((np.asarray(compact["A"]) != 0) | np.eye(nodes, dtype=bool)).astype(np.int8)
    return found
