"""Scalar hints that are chosen instead of computed: an option of the decoder.

The next value of a number that an algorithm writes down is hardly ever a new one: it is another number of the step, or
a sum of two. A scalar hint is therefore a choice among candidates that are computed exactly, and what is learned is
which of them it is; errors of regression, which would destroy the order of numbers that are close, do not arise. With
x any scalar of nodes, w of edges, g of the graph, y the hint itself, and c constants that are found in traces:

    hint of nodes, y_j    x_j, g, y_j + c, g + c;  from any node i: x_i, w_ij, x_i + w_ij
                          direction from every marked node m to j in a plane (p, q);  the cross product
                          (p_j - p_i) (q_k - q_i) - (p_k - p_i) (q_j - q_i) of any two nodes i, k
    hint of the graph     g, y + c, y - g, y - g - 1/N;  of any node i: x_i, g + x_i, y - x_i, and the same of
                          depth_i / N, its place in a list
    hint of edges, y_ij   w_ij, w_ji, y_ij + c;  w_im + w_mj by way of every marked node m;
                          y of (P_i, j), (i, P_j) and (P_i, P_j) for every input P that points, alone and + c
                          w_i,Pj + p_Pj + q_j;  y of the least way from i to j by any node (ways.py), alone and + those

where p and q are any two quantities of nodes (ways.py); and always a number that is computed by the network, for what
no candidate explains. A candidate's logit is learned from the nodes and edges that it is of; how a choice is made of
them, and settled by the numbers, says choice.py.

Many nodes may have the number that is right, most of them by chance: what a node of a search tree has from its child,
that child has from another, and it is somebody's time. Only the cause holds on larger graphs. So training asks for a
node i that an edge, a pointer or a mark connects with j, where the number of one of these is right.

Shapes: B graphs, N nodes, R width of the nodes' view, F features, C candidates.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options import planes, ways
from nar.model.options.choice import Choice
from nar.model.options.relation_kinds import by_way, depth, shift
from nar.model.options.relations import marks_one
from nar.nn.affine import materialize
from nar.nn.layers import linear
from nar.traces.spec import Location, Probe, Stage, Type

CONSTANTS = 4  # per hint
NEVER = -1e4  # how eligible a candidate is that there was none of in training: far below all, and in half precision


def names_of(spec: Mapping[str, Probe], location: Location) -> list[str]:
    """The scalars that a step is given, on this location."""
    return [
        n for n, p in spec.items()
        if p.stage is not Stage.OUTPUT and p.type is Type.SCALAR and p.location is location
    ]  # fmt: skip


class Candidates(nn.Module):
    """The choice of one scalar hint; its constants are found before training (constants.py)."""

    constants: Tensor

    def __init__(self, name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> None:
        super().__init__()
        self.name = name
        self.xs, self.ws, self.gs = (names_of(spec, where) for where in (Location.NODE, Location.EDGE, Location.GRAPH))
        self.pointers = [n for n, p in spec.items() if p.stage is not Stage.OUTPUT and is_list(p)]
        self.lists = ways.lists(spec)
        self.register_buffer("constants", torch.zeros(CONSTANTS))
        self.rules = nn.Parameter(torch.zeros(3))  # none, the least, the largest

    def reads(self) -> list[str]:
        """The inputs and hints whose numbers it takes."""
        return [*self.xs, *self.ws, *self.gs]

    def choice(self, *groups: tuple[Tensor, Tensor]) -> Choice:
        """From groups of candidates: who is eligible, and the numbers.

        The first group may have an axis more than the last, of the nodes that its candidates are of.
        """
        axes = groups[-1][0].dim() - 1
        eligible, values = (torch.cat([part.flatten(axes) for part in kind], -1) for kind in zip(*groups, strict=True))
        return Choice(eligible, values.unsqueeze(-1), self.rules, values)


class NodeCandidates(Candidates):
    """Of a hint on nodes."""

    def __init__(self, name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> None:
        super().__init__(name, spec, node_width, features)
        self.marks = [n for n, p in spec.items() if p.stage is not Stage.OUTPUT and marks_one(p)]
        self.links = connecting(spec)
        self.planes = list(itertools.combinations(ways.quantities(spec), 2))
        self.marks = self.marks if self.planes else []
        own = len(self.xs) + len(self.gs) + CONSTANTS * (1 + len(self.gs)) + len(self.planes) * len(self.marks)
        pairs = len(self.xs) + len(self.ws) * (1 + len(self.xs))
        self.own = linear(node_width, own + 2)  # and the logit and value of the computed number
        self.pairs = linear(features, pairs)
        self.ends = linear(features, 2 * len(self.planes)) if self.planes else None

    def reads(self) -> list[str]:
        return [*super().reads(), *self.marks, *(self.links if self.training else ())]

    def forward(self, inputs: DecoderInputs) -> Choice:
        d_BNR, values = materialize(inputs.nodes), inputs.values
        nodes = d_BNR.shape[1]
        x = [values[n] for n in self.xs]
        g = [values[n].unsqueeze(1).expand(-1, nodes) for n in self.gs]
        w = [values[n] for n in self.ws]
        own = [*x, *g, *(base + c for base in (values[self.name], *g) for c in self.constants)]
        own += [planes.direction(values[p], values[q], values[m]) for p, q in self.planes for m in self.marks]
        pairs = [one.unsqueeze(2).expand(-1, -1, nodes) for one in x]
        pairs += [*w, *(one.unsqueeze(2) + along for one in x for along in w)]
        number_BIJC = torch.stack(pairs, -1)
        of_pairs = self.pairs(inputs.pairs)
        logits, computed = self.own(d_BNR).split([len(own) + 1, 1], -1)
        groups = [(of_pairs.transpose(1, 2), number_BIJC.transpose(1, 2))]
        if self.ends is not None:
            of_ends = self.ends(inputs.pairs).transpose(1, 2).split(2, -1)
            for (p, q), of_end in zip(self.planes, of_ends, strict=True):
                crosses_BJIK = planes.crosses(values[p], values[q])
                groups.append((of_end[..., :1] + of_end[..., 1].unsqueeze(2), crosses_BJIK))
        made = self.choice(*groups, (logits, torch.cat([torch.stack(own, -1), computed], -1)))
        if not self.training:
            return made
        of_pairs_BJC = near([values[n] for n in self.links], nodes).unsqueeze(-1).expand_as(groups[0][1]).flatten(2)
        rest = made.eligible.shape[-1] - of_pairs_BJC.shape[-1]
        return dataclasses.replace(made, near=torch.nn.functional.pad(of_pairs_BJC, (0, rest), value=True))


class GraphCandidates(Candidates):
    """Of a hint of the graph."""

    def __init__(self, name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> None:
        super().__init__(name, spec, node_width, features)
        of_node = (len(self.xs) + len(self.pointers)) * (2 + len(self.gs))
        own = len(self.gs) * 3 + CONSTANTS + 2
        self.own = nn.Sequential(linear(node_width, features), nn.ReLU(), linear(features, own))
        self.node = nn.Sequential(linear(2 * node_width, features), nn.ReLU(), linear(features, of_node))

    def reads(self) -> list[str]:
        return [*super().reads(), *self.pointers]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """Reasoners that were trained before a candidate came never choose it."""
        last: nn.Linear = self.node[2]  # type: ignore[assignment]
        for name, own, fill in (("weight", last.weight, 0.0), ("bias", last.bias, NEVER)):
            stored = state_dict.get(key := f"{prefix}node.2.{name}")
            if stored is not None and 0 < len(own) - len(stored) and stored.shape[1:] == own.shape[1:]:
                more = stored.new_full((len(own) - len(stored), *own.shape[1:]), fill)
                state_dict[key] = torch.cat([stored, more])
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def forward(self, inputs: DecoderInputs) -> Choice:
        d_BNR, values = materialize(inputs.nodes), inputs.values
        most_BR, nodes = d_BNR.amax(1), d_BNR.shape[1]
        y = values[self.name].unsqueeze(1)
        g = [values[n].unsqueeze(1) for n in self.gs]
        own = [*g, *(y + c for c in self.constants), *(y - one - part for one in g for part in (0.0, 1 / nodes))]
        of_node = [number for x in (values[n] for n in self.xs) for number in (x, y - x, *(one + x for one in g))]
        places = [depth(values[n]) / nodes for n in self.pointers]
        of_node += [*places, *(number for x in places for number in (y - x, *(one + x for one in g)))]
        number_BNC = torch.stack(of_node, -1) if of_node else d_BNR.new_zeros(*d_BNR.shape[:2], 0)
        eligible = self.node(torch.cat([d_BNR, most_BR.unsqueeze(1).expand_as(d_BNR)], -1))
        of_own, computed = self.own(most_BR).split([len(own) + 1, 1], -1)
        return self.choice((eligible, number_BNC), (of_own, torch.cat([*own, computed], -1)))


class EdgeCandidates(Candidates):
    """Of a hint on edges."""

    def __init__(self, name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> None:
        super().__init__(name, spec, node_width, features)
        self.marks = [n for n, p in spec.items() if p.stage is not Stage.OUTPUT and marks_one(p)]
        self.ways = [way for way in ways.ways(spec) if way.number == name]
        pairs = itertools.permutations(ways.quantities(spec), 2)
        self.sums = [(w, p, *two) for two in pairs for w in self.ws for p in self.lists]
        count = len(self.ws) * (2 + len(self.marks)) + 3 * len(self.lists) + CONSTANTS * (1 + 3 * len(self.lists))
        count += len(self.sums) + sum(1 + len(self.sums) * (way.quantity is None) for way in self.ways)
        self.pairs = linear(features, count + 2)

    def reads(self) -> list[str]:
        return [*super().reads(), *self.marks, *self.lists, *ways.operands(self.ways)]

    def forward(self, inputs: DecoderInputs) -> Choice:
        values = inputs.values
        w = [values[n] for n in self.ws]
        numbers = [*w, *(one.transpose(1, 2) for one in w), *(by_way(one, values[m]) for one in w for m in self.marks)]
        bases = [y := values[self.name]]
        for pointer in (values[n] for n in self.lists):
            above, left = shift(y, pointer)
            bases += [above, left, shift(above, pointer)[1]]
        numbers += [*bases[1:], *(base + c for base in bases for c in self.constants)]
        sums = [before_plus(values[w], values[p], values[x], values[z]) for w, p, x, z in self.sums]
        for way in self.ways:
            number = inputs.least_way(way).number
            of_way = [number, *(number + one for one in sums if way.quantity is None)]
            numbers += [torch.where(number < torch.inf, one, y) for one in of_way]
        numbers += sums
        logits, computed = self.pairs(inputs.pairs).split([len(numbers) + 1, 1], -1)
        number_BNNC = torch.cat([torch.stack(numbers, -1), computed], -1)
        return self.choice((logits, number_BNNC))


def connecting(spec: Mapping[str, Probe]) -> list[str]:
    """The probes that connect nodes with each other: masks of edges, pointers of nodes, and marks."""
    kinds = (Location.EDGE, Type.MASK), (Location.NODE, Type.POINTER)
    given = {n: p for n, p in spec.items() if p.stage is not Stage.OUTPUT}
    return [n for n, p in given.items() if marks_one(p) or (p.location, p.type) in kinds]


def near(links: Sequence[Tensor], nodes: int) -> Tensor:
    """Which nodes i [B or 1, N, N i] a node j is connected with, from the float form of `links`: with itself and every
    marked node, along masks and pointers in either direction."""
    found = torch.eye(nodes, dtype=torch.bool)[None]
    for link in links:
        here = (link > 0.5).unsqueeze(1) if link.dim() == 2 else (link + link.transpose(1, 2)) > 0.5
        found = found.to(link.device) | here
    return found


def before_plus(w_BNN: Tensor, pointer_BNN: Tensor, x_BN: Tensor, y_BN: Tensor) -> Tensor:
    """w_i,Pj + x_Pj + y_j."""
    of_before = x_BN.gather(1, pointer_BNN.argmax(-1))
    return shift(w_BNN, pointer_BNN)[1] + of_before.unsqueeze(1) + y_BN.unsqueeze(1)


def is_list(probe: Probe) -> bool:
    """Does every node point to another (the one before it in a list)?"""
    return probe.location is Location.NODE and probe.type is Type.POINTER


def candidates(name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> Candidates:
    """Those of a scalar hint."""
    kinds = {Location.NODE: NodeCandidates, Location.EDGE: EdgeCandidates, Location.GRAPH: GraphCandidates}
    return kinds[spec[name].location](name, spec, node_width, features)
