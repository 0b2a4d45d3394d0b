"""What a network can be given beforehand of an algorithm, order relations and exact candidates, in words."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from nar import datasets
from nar.model.batch import training_spec
from nar.model.coders.decoder import Decoder, DecoderOptions
from nar.model.objectives.auxiliary import TASKS, inputs_of
from nar.model.options import candidate_words
from nar.model.options.relations import Relation, marks_of_hints, relations
from nar.traces.spec import Spec

WIDTH = 80
MORE = 6  # of the relations of one kind
PLACES = {"node": "of every node i", "edge": "of every pair (i, j)", "graph": "of the graph"}
LIKE_STEP = DecoderOptions(candidates=True, selection=True, like_with_like=True)
INDEX = {"node": "_j", "edge": "_ij", "graph": ""}


def described(name: str) -> str:
    """The probes of an algorithm and all of that, WIDTH characters wide where names allow it."""
    algorithm = datasets.get(name)
    lines = [f"{name} ({algorithm.category})", datasets.TABLE.get(name, name).split(":")[0], "", "probes:"]
    spec = training_spec(algorithm)
    width = max(map(len, spec))
    for key, probe in spec.items():
        classes = f", {probe.classes} classes" if probe.classes else ""
        lines.append(f"  {probe.stage:<6}  {probe.location:<5}  {key:<{width}}  {probe.type}{classes}")
    lines += ["", "order relations (--relations beside or instead):", *_relations(spec)]
    if marks := marks_of_hints(spec):
        lines += ["", "where a mark has been (--trails):", *_wrapped(", ".join(marks), "  ")]
    decoder = Decoder(spec, 1, node_width=1, edge_width=1, options=LIKE_STEP)
    if decoder.choices:
        lines += ["", "what the next value of a number can be (--candidates), besides a computed one:"]
        lines += _candidates(spec, decoder)
        lines += _wrapped("constants: those that explain enough of the training data, found when a run starts", "  ")
    if decoder.selections or decoder.edge_choices:
        lines += [
            "",
            "choices of nodes (--selection), settled by the least or largest of a number:",
            *_choices(decoder),
        ]
    asked = [f"{task} of {', '.join(of)}" for task, one in TASKS.items() if (of := inputs_of(one, spec))]
    if asked:
        lines += ["", "auxiliary tasks (--auxiliary):", *_wrapped("; ".join(asked), "  ")]
    return "\n".join([*lines, "", f"nar show {name} runs it"])


def _relations(spec: Spec) -> Iterator[str]:
    """By place and by kind: the first one in full, and what the others are of."""
    every = list(relations({n: p for n, p in spec.items() if p.stage != "output"}))
    alike = list(relations({n: p for n, p in spec.quantities.items() if p.stage != "output"}, like_with_like=True))
    found = _grouped(alike, lambda one: one.location)
    for place, of_place in found.items():
        yield f"  {PLACES[place]}: {sum(len(one.says) for one in of_place)}"
        for first, *rest in _grouped(of_place, lambda one: one.channels).values():
            yield from _wrapped("; ".join(_shorter(first.says)), "    ")
            mine, *others = (f"({', '.join(one.operands)})" for one in (first, *rest))
            if others:
                more = [f"{len(others) - MORE} more"] if len(others) > MORE else []
                yield from _wrapped(f"for {mine} also: {', '.join(others[:MORE] + more)}", "      ")
    if others := sum(len(one.says) for one in every) - sum(len(one.says) for one in alike):
        yield f"  without --like-with-like (the recipe step has it), {others} more"


def _grouped(every: Iterable[Relation], of: Callable[[Relation], Any]) -> dict[Any, list[Relation]]:
    found: dict[Any, list[Relation]] = {}
    for one in every:
        found.setdefault(of(one), []).append(one)
    return found


def _shorter(says: Sequence[str]) -> Iterator[str]:
    """Texts of which two that differ in < and > alone are one."""
    for text in says:
        if text.replace(" > ", " < ") == text or text.replace(" > ", " < ") not in says:
            turned = text.replace(" < ", " > ")
            yield text.replace(" < ", " < or > ") if turned != text and turned in says else text


def _candidates(spec: Spec, decoder: Decoder) -> Iterator[str]:
    for name, module in decoder.choices.items():
        yield f"  {name}{INDEX[spec[name].location]}"
        for whose, words in candidate_words.of_number(module).items():  # type: ignore[arg-type]
            if words:
                yield from _wrapped(f"{whose}: {'; '.join(words)}".removeprefix(": "), "    ")


def _choices(decoder: Decoder) -> Iterator[str]:
    """Names with the same text together."""
    texts: dict[str, list[str]] = {}
    for name, module in decoder.selections.items():
        numbers = "; ".join(candidate_words.of_selection(module))  # type: ignore[arg-type]
        texts.setdefault(f"any node j, by {numbers or 'none'}", []).append(name)
    for name, module in decoder.edge_choices.items():
        places = "; ".join(candidate_words.of_edge_pointer(module))  # type: ignore[arg-type]
        by = ", ".join(module.ws) or "none"  # type: ignore[arg-type]
        texts.setdefault(f"{places}; or any other node by its score; by {by} on the way", []).append(name)
    for text, names in texts.items():
        yield from _wrapped(", ".join(names), "  ")
        yield from _wrapped(text, "    ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
