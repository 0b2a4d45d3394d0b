"""The candidates of candidates.py in words, for people who ask what a model can say (`nar list ALGORITHM`).

They are in the order of the numbers; a test holds that there are as many.
"""

from collections.abc import Iterable

from nar.model.options.candidates import CONSTANTS, Candidates
from nar.traces.spec import Location

CONSTANT = "a constant"  # stands for all CONSTANTS of them


def in_words(module: Candidates, location: Location) -> dict[str, list[str]]:
    """What is eligible as the next value of a hint, by where it is taken from; the computed number is left out."""
    if location is Location.NODE:
        return _of_nodes(module)
    return {"": _of_edges(module)} if location is Location.EDGE else _of_graph(module)


def count(words: Iterable[str]) -> int:
    """How many candidates some words are."""
    return sum(CONSTANTS if text.endswith(CONSTANT) else 1 for text in words)


def _of_nodes(module: Candidates) -> dict[str, list[str]]:
    own = [f"{x}_j" for x in module.xs] + module.gs
    own += [f"{base} + {CONSTANT}" for base in (f"{module.name}_j", *module.gs)]
    pairs = [f"{x}_i" for x in module.xs] + [f"{w}_ij" for w in module.ws]
    pairs += [f"{x}_i + {w}_ij" for x in module.xs for w in module.ws]
    return {"": own, "of any node i": pairs}


def _of_graph(module: Candidates) -> dict[str, list[str]]:
    y, gs = module.name, module.gs
    own = [*gs, f"{y} + {CONSTANT}", *(text for g in gs for text in (f"{y} - {g}", f"{y} - {g} - 1/n"))]
    nodes = [text for x in module.xs for text in (f"{x}_i", f"{y} - {x}_i", *(f"{g} + {x}_i" for g in gs))]
    return {"": own, "of any node i": [*nodes, *(f"place of i along {p}, over n" for p in module.pointers)]}


def _of_edges(module: Candidates) -> list[str]:
    y, marks = module.name, getattr(module, "marks", [])
    found = [f"{w}_ij" for w in module.ws] + [f"{w}_ji" for w in module.ws]
    found += [f"{w}_im + {w}_mj, m = {m}" for w in module.ws for m in marks]
    others = [f"{y} of {place}" for p in module.lists for place in (f"({p}_i, j)", f"(i, {p}_j)", f"({p}_i, {p}_j)")]
    return [*found, *others, *(f"{base} + {CONSTANT}" for base in (f"{y}_ij", *others))]
