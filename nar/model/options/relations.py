"""Order relations of numbers, as further channels of nodes, edges and graphs: an option of the encoder.

A network that compares two numbers through linear maps and ReLUs does so at the resolution that it was trained at;
numbers of larger graphs lie closer together. Comparisons are therefore made beforehand, exactly, and only their results
are encoded: they are the same at any size and scale. What they are of is called

    x, y    numbers of nodes          w, v    numbers of edges         g, h    numbers of the graph
    m, n    marks: one node           P       pointers of nodes        c       classes of nodes

in inputs and current hints alike. Everything follows from stage, location and type; nothing is keyed to a name.

    edges    x_i < y_j, x_i > y_j; x_j is next above x_i, and the reverse
             x_i + w_ij < x_j, >; w_ij < x_j, >; and the reverse
             w_ij < v_ij, >; w_ij < w_ji, >; w_im + w_mj < w_ij, > (by way of a marked node)
             w_ij < w_mn, >; w_ij is next above w_mn (w of inputs; of equal edges the first comes first)
             c_i = c_j;  P_i = P_j;  P_j = i;  depth_i < depth_j, >
             w of (P_i, j) < w of (i, P_j), >; masks of (P_i, j) and of (i, P_j) (P of inputs)
             masks of both (i, m) and (m, j); of both (i, k) and (k, j), or (i, P_k) and (k, j), for some k
             (masks of hints, P of inputs)
    nodes    x_i < g, >;  x_i < 0, > (x of hints);  g + x_i < h, >
             i = P_m;  P_i = m
             depth_i is half of depth_m + depth_n, rounded down (P of inputs; m, n also the nodes that point to a mark)
             on which side of the line from m to n, or from P_m to m, (x_i, y_i) lies (x, y of inputs)
    graph    g < h, >;  g < 0, >;  m = n;  x_m < x_n, >;  depth_m < depth_n, >
             no hint changed in the last step (some algorithms write a moment down twice)

and, where `trails` are asked for, memory of where marks have been, which some algorithms keep in a stack of calls:

    nodes    i was m before (m of hints)

With `like_with_like`, positions are compared with positions, and with numbers of the graph (which may be places: how
many nodes are before the one that is sought), but with no other number of a node or edge. That a time is above a
position means one thing among 16 nodes and another among 64, since the one counts steps and the other runs from 0 to 1;
a network that learns from it does not hold on larger graphs. Nor is w compared of a graph without weights, where it
only says that there is an edge (Spec.indicators). Without `like_with_like`, such a w counts as more than any number of
a node or of the graph, since a time that passes 1 in larger graphs is not longer than an edge.

The depth of a node is its number of hops along P to a node that points to itself. Numbers that are as near as roundings
of sums can bring them count as equal.

Shapes: B graphs, N nodes; channels last.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nar.model.options import relation_kinds as kinds
from nar.model.options.ways import POSITIONS
from nar.traces.spec import Location, Probe, Stage, Type

UNCHANGED = "(unchanged)"  # the one operand that is not of a probe


class Relation(NamedTuple):
    """Some channels: what they are of, where they live, what they say, and how they are made."""

    operands: tuple[str, ...]
    location: Location
    says: tuple[str, ...]  # one text per channel
    channels: Callable[..., list[Tensor]]  # of the operands' values, in their order


class Relations:
    """All relations among the probes of the given stages, by the stage at which their last operand is known."""

    def __init__(
        self, spec: Mapping[str, Probe], stages: Sequence[Stage], *, trails: bool = False, like_with_like: bool = False
    ) -> None:
        self.of: dict[Stage, list[Relation]] = {Stage.INPUT: [], Stage.HINT: []}
        known = {name: probe for name, probe in spec.items() if probe.stage in stages}
        self.trails = marks_of_hints(known) if trails else []  # in the order of `trail`
        for relation in (*relations(known, like_with_like), *map(trail, self.trails)):
            probes = [spec.get(name.split()[-1]) for name in relation.operands]
            fixed = all(probe is not None and probe.stage is Stage.INPUT for probe in probes)
            self.of[Stage.INPUT if fixed else Stage.HINT].append(relation)

    @functools.cached_property
    def counts(self) -> dict[tuple[Stage, Location], int]:
        """How many channels there are."""
        found: dict[tuple[Stage, Location], int] = {}
        for stage, relation in ((stage, one) for stage, relations in self.of.items() for one in relations):
            key = stage, relation.location
            found[key] = found.get(key, 0) + len(relation.says)
        return found

    def channels(self, stage: Stage, value: Callable[[str], Tensor]) -> Iterator[tuple[Location, Tensor]]:
        """Those of a stage, in order, from the float form of probes by name."""
        values: dict[str, Tensor] = {}

        def operand(name: str) -> Tensor:
            if name not in values:
                *derived, probe = name.split()
                values[name] = kinds.depth(operand(probe)) if derived == ["depth"] else value(name)
            return values[name]

        compared = self._of_marks(stage, operand)
        for relation in self.of[stage]:
            if relation.operands in compared:
                yield relation.location, compared[relation.operands]
            else:
                yield relation.location, torch.stack(relation.channels(*map(operand, relation.operands)), -1)

    def _of_marks(self, stage: Stage, operand: Callable[[str], Tensor]) -> dict[tuple[str, ...], Tensor]:
        """The channels of every x_m < x_n, >: there is one for any two marks, hundreds of some algorithms, so that each
        number is looked up once and all are compared together."""
        wanted = [relation.operands for relation in self.of[stage] if relation.channels is kinds.marked_compared]
        if not wanted:
            return {}
        ends = dict.fromkeys((x, mark) for x, *marks in wanted for mark in marks)
        numbers = {(x, mark): kinds.at(operand(x), operand(mark)) for x, mark in ends}
        one, other = (torch.stack([numbers[names[0], names[k]] for names in wanted], -1) for k in (1, 2))
        return dict(zip(wanted, torch.stack(kinds.compared(one, other), -1).unbind(-2), strict=True))


def marks_one(probe: Probe) -> bool:
    """Does it choose one node of the graph?"""
    return (probe.location, probe.type) in ((Location.NODE, Type.MASK_ONE), (Location.GRAPH, Type.POINTER))


def marks_of_hints(spec: Mapping[str, Probe]) -> list[str]:
    """The marks that move."""
    return [name for name, probe in spec.items() if probe.stage is Stage.HINT and marks_one(probe)]


def trail_of(mark: str) -> str:
    """The operand that says where it has been."""
    return f"trail {mark}"


def trail(mark: str) -> Relation:
    """Where a mark has been before the current moment, as StepEncoder.remember keeps it."""
    return Relation((trail_of(mark),), Location.NODE, (f"i was {mark} before",), kinds.as_it_is)


def relations(spec: Mapping[str, Probe], like_with_like: bool = False) -> Iterator[Relation]:
    """All relations among these probes; `like_with_like`: none of a position and another number of a node or edge."""

    def found(location: Location, *types: Type, stage: Stage | None = None) -> list[str]:
        wanted = [Stage.INPUT, Stage.HINT] if stage is None else [stage]
        return [n for n, p in spec.items() if p.location is location and p.type in types and p.stage in wanted]

    xs, ws, gs = (found(location, Type.SCALAR) for location in (Location.NODE, Location.EDGE, Location.GRAPH))
    marks = [name for name, probe in spec.items() if marks_one(probe)]
    pointers = found(Location.NODE, Type.POINTER, Type.PERMUTATION_POINTER)
    lists = found(Location.NODE, Type.POINTER, stage=Stage.INPUT)
    depths = [f"depth {p}" for p in pointers]
    quantities = [x for x in xs if x != POSITIONS or not like_with_like]
    yield from _of_pairs(xs, ws, depths, quantities)
    for w, m in itertools.product(ws, marks):
        says = (f"{w}_im + {w}_mj < {w}_ij, m = {m}", f"{w}_im + {w}_mj > {w}_ij, m = {m}")
        yield Relation((w, m), Location.EDGE, says, kinds.by_way_against_edge)
    for e in found(Location.EDGE, Type.MASK, stage=Stage.HINT):
        for m in marks:
            yield Relation((e, m), Location.EDGE, (f"{e} of (i, {m}) and ({m}, j)",), kinds.both_by_way)
        yield Relation((e,), Location.EDGE, (f"{e} of (i, k) and (k, j) for some k",), kinds.both_by_some)
        for p in lists:
            says = (f"{e} of (i, {p}_k) and (k, j) for some k",)
            yield Relation((e, p), Location.EDGE, says, kinds.both_by_some_shifted)
    places = (POSITIONS,) if POSITIONS in spec else ()
    for w in found(Location.EDGE, Type.SCALAR, stage=Stage.INPUT):
        for m, n in itertools.combinations(marks, 2):
            says = tuple(f"{w}_ij {how} {w}_mn, m = {m}, n = {n}" for how in ("<", ">", "is next above"))
            yield Relation((w, m, n, *places), Location.EDGE, says, kinds.edge_against_marked)
    for c in found(Location.NODE, Type.CATEGORICAL, stage=Stage.INPUT):
        yield Relation((c,), Location.EDGE, (f"{c}_i = {c}_j",), kinds.same)
    for p in pointers:
        yield Relation((p,), Location.EDGE, (f"{p}_i = {p}_j", f"{p}_j = i"), kinds.pointed)
    for p in lists:
        for w in ws:
            says = (f"{w} of ({p}_i, j) < {w} of (i, {p}_j)", f"{w} of ({p}_i, j) > {w} of (i, {p}_j)")
            yield Relation((w, p), Location.EDGE, says, kinds.shifted_compared)
        for e in found(Location.EDGE, Type.MASK):
            says = (f"{e} of ({p}_i, j)", f"{e} of (i, {p}_j)")
            yield Relation((e, p), Location.EDGE, says, kinds.shifted)
    yield from _of_nodes(spec, xs, gs, marks, pointers, lists)
    yield from _of_planes([x for x in quantities if spec[x].stage is Stage.INPUT], marks, pointers)
    yield from _of_graphs(xs + depths, gs, marks)
    if any(probe.stage is Stage.HINT for probe in spec.values()):
        yield Relation((UNCHANGED,), Location.GRAPH, ("no hint changed in the last step",), kinds.as_it_is)


def _of_pairs(
    xs: Sequence[str], ws: Sequence[str], depths: Sequence[str], quantities: Sequence[str]
) -> Iterator[Relation]:
    """What is said of pairs by the numbers of nodes and edges alone."""
    for x, y in itertools.combinations_with_replacement(xs, 2):
        if x == y:
            says = [f"{x}_i < {x}_j", f"{x}_i > {x}_j", f"{x}_j is next above {x}_i", f"{x}_i is next above {x}_j"]
            yield Relation((x,), Location.EDGE, tuple(says), kinds.ordered)
        elif x in quantities and y in quantities:
            says = [f"{x}_i < {y}_j", f"{x}_i > {y}_j", f"{y}_i < {x}_j", f"{y}_i > {x}_j"]
            yield Relation((x, y), Location.EDGE, tuple(says), kinds.ordered_across)
    for d in depths:
        yield Relation((d,), Location.EDGE, (f"{d}: i < j", f"{d}: i > j"), kinds.less_or_more)
    for x, w in itertools.product(quantities, ws):
        ends = (("i", "j"), ("j", "i"))
        says = [f"{x}_{i} + {w}_{i}{j} {how} {x}_{j}" for i, j in ends for how in "<>"]
        says += [f"{w}_{i}{j} {how} {x}_{j}" for i, j in ends for how in "<>"]
        yield Relation((x, w), Location.EDGE, tuple(says), kinds.along)
    for w, v in itertools.combinations_with_replacement(ws, 2):
        if w == v:
            yield Relation((w,), Location.EDGE, (f"{w}_ij < {w}_ji", f"{w}_ij > {w}_ji"), kinds.both_ways)
        else:
            yield Relation((w, v), Location.EDGE, (f"{w}_ij < {v}_ij", f"{w}_ij > {v}_ij"), kinds.compared)


def _of_nodes(
    spec: Mapping[str, Probe],
    xs: Sequence[str],
    gs: Sequence[str],
    marks: Sequence[str],
    pointers: Sequence[str],
    lists: Sequence[str],
) -> Iterator[Relation]:
    for x in xs:
        if spec[x].stage is Stage.HINT:
            yield Relation((x,), Location.NODE, (f"{x}_i < 0", f"{x}_i > 0"), kinds.sign)
        for g in gs:
            yield Relation((x, g), Location.NODE, (f"{x}_i < {g}", f"{x}_i > {g}"), kinds.node_against_graph)
            for h in gs:
                if h != g:
                    says = (f"{g} + {x}_i < {h}", f"{g} + {x}_i > {h}")
                    yield Relation((x, g, h), Location.NODE, says, kinds.node_and_graph_against)
    for p, m in itertools.product(pointers, marks):
        yield Relation((p, m), Location.NODE, (f"i = {p} of {m}", f"{p}_i = {m}"), kinds.neighbours_of_mark)
    for p in lists:
        for m, n in itertools.combinations(marks, 2):
            says = [f"i is midway of {a} and {b} along {p}" for a in (m, f"after {m}") for b in (n, f"after {n}")]
            yield Relation((f"depth {p}", p, m, n), Location.NODE, tuple(says), kinds.midway)


def _of_planes(coordinates: Sequence[str], marks: Sequence[str], pointers: Sequence[str]) -> Iterator[Relation]:
    """Of any two inputs as coordinates."""
    for x, y in itertools.combinations(coordinates, 2):
        for m, n in itertools.combinations(marks, 2):
            says = tuple(f"({x}, {y})_i is {side} of the line from {m} to {n}" for side in ("right", "left"))
            yield Relation((x, y, m, n), Location.NODE, says, kinds.side)
        for p, m in itertools.product(pointers, marks):
            says = tuple(f"({x}, {y})_i is {side} of the line from {p} of {m} to {m}" for side in ("right", "left"))
            yield Relation((x, y, p, m), Location.NODE, says, kinds.side_of_pointer)


def _of_graphs(xs: Sequence[str], gs: Sequence[str], marks: Sequence[str]) -> Iterator[Relation]:
    for g in gs:
        yield Relation((g,), Location.GRAPH, (f"{g} < 0", f"{g} > 0"), kinds.sign)
    for g, h in itertools.combinations(gs, 2):
        yield Relation((g, h), Location.GRAPH, (f"{g} < {h}", f"{g} > {h}"), kinds.compared)
    for m, n in itertools.combinations(marks, 2):
        yield Relation((m, n), Location.GRAPH, (f"{m} = {n}",), kinds.same_mark)
        for x in xs:
            says = (f"{x} of {m} < that of {n}", f"{x} of {m} > that of {n}")
            yield Relation((x, m, n), Location.GRAPH, says, kinds.marked_compared)
