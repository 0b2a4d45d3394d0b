"""Candidates and the numbers that settle choices in words, for people who ask what a model can say (`nar list NAME`).

They are in the order of candidates.py, selection.py and edge_choices.py; tests hold that there are as many.
"""

from collections.abc import Iterable

from nar.model.options.candidates import CONSTANTS, Candidates, EdgeCandidates, GraphCandidates, NodeCandidates
from nar.model.options.edge_choices import EdgeChoice
from nar.model.options.selection import Selection
from nar.model.options.ways import Way

CONSTANT = "a constant"  # stands for all CONSTANTS of them
OWN, ANY, TWO = "", "of any node i", "of any two nodes i, k"


def of_number(module: Candidates) -> dict[str, list[str]]:
    """What is eligible as the next value of a number, by where it is taken from; the computed number is left out."""
    if isinstance(module, NodeCandidates):
        return _of_nodes(module)
    if isinstance(module, GraphCandidates):
        return _of_graph(module)
    assert isinstance(module, EdgeCandidates)
    return {OWN: _of_edges(module)}


def count(words: Iterable[str]) -> int:
    """How many candidates some words are."""
    return sum(CONSTANTS if text.endswith(CONSTANT) else 1 for text in words)


def of_selection(module: Selection) -> list[str]:
    """The numbers that can settle a choice of a node j."""
    ws = [f"{w}_{pair}" for w in module.ws for pair in ("ij", "ji")]
    return [*(f"{x}_j" for x in module.xs), *ws, *(f"{x}_j + {w}" for x in module.xs for w in ws)]


def of_edge_pointer(module: EdgeChoice) -> list[str]:
    """Where a pair (i, j) can point to; the node that the network scores highest is left out."""
    found = ["i", "j", *module.marks]
    if (q := module.state) is not None:
        found += [f"{q}_ij", *(f"{q}_mj, m = {m}" for m in module.marks)]
        found += [f"{q} of {place}" for p in module.lists for place in (f"({p}_i, j)", f"(i, {p}_j)")]
    return [*found, *(f"{'k' if way.list is None else f'{way.list}_k'} of {least(way)}" for way in module.ways)]


def least(way: Way) -> str:
    w, e, p, x = way
    k = "k" if p is None else f"{p}_k"
    product = "" if x is None else f" + {x}_{p}i {x}_{k.replace('_', '')} {x}_j"
    marked = "" if e is None else f" with {e} of both"
    return f"the least {w} of (i, {k}) + {w}_kj{product} over k{marked}"


def _of_nodes(module: NodeCandidates) -> dict[str, list[str]]:
    own = [f"{x}_j" for x in module.xs] + module.gs
    own += [f"{base} + {CONSTANT}" for base in (f"{module.name}_j", *module.gs)]
    own += [f"direction from {m} to j in ({p}, {q})" for p, q in module.planes for m in module.marks]
    pairs = [f"{x}_i" for x in module.xs] + [f"{w}_ij" for w in module.ws]
    pairs += [f"{x}_i + {w}_ij" for x in module.xs for w in module.ws]
    return {OWN: own, ANY: pairs, TWO: [f"twice the area of i, j, k in ({p}, {q}), signed" for p, q in module.planes]}


def _of_graph(module: GraphCandidates) -> dict[str, list[str]]:
    y, gs = module.name, module.gs
    own = [*gs, f"{y} + {CONSTANT}", *(text for g in gs for text in (f"{y} - {g}", f"{y} - {g} - 1/n"))]
    nodes = [text for x in module.xs for text in (f"{x}_i", f"{y} - {x}_i", *(f"{g} + {x}_i" for g in gs))]
    places = [f"place of i along {p}, over n" for p in module.pointers]
    nodes += [*places, *(text for one in places for text in (f"{y} - {one}", *(f"{g} + {one}" for g in gs)))]
    return {OWN: own, ANY: nodes}


def _of_edges(module: EdgeCandidates) -> list[str]:
    y = module.name
    found = [f"{w}_ij" for w in module.ws] + [f"{w}_ji" for w in module.ws]
    found += [f"{w}_im + {w}_mj, m = {m}" for w in module.ws for m in module.marks]
    others = [f"{y} of {place}" for p in module.lists for place in (f"({p}_i, j)", f"(i, {p}_j)", f"({p}_i, {p}_j)")]
    found += [*others, *(f"{base} + {CONSTANT}" for base in (f"{y}_ij", *others))]
    sums = [f"{w} of (i, {p}_j) + {x}_{p}j + {z}_j" for w, p, x, z in module.sums]
    for way in module.ways:
        found += [least(way), *(f"{least(way)}, plus {one}" for one in sums if way.quantity is None)]
    return [*found, *sums]
