"""Order relations along edges: those of nar/model/options/relations.py where all pairs of nodes are not there.

What is said of a pair is said of the edge between its nodes, in the same order of channels. What a node of the dense
layout finds out from all others within a step, that its number is the least of those that are marked, is here a
relation of its own, in time that grows with the nodes:

    nodes    x_i is the least, or the largest, of those marked in the mask k

Relations that need paths of two edges, or lists given as inputs, are left out.

Shapes: B graphs, N nodes, E edges, R = B N rows. Numbers of nodes are [B, N], of edges [E]; pointers are [E], at the
edge that arrives at who points (see EdgePointers).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nar.model.options import relation_kinds as kinds
from nar.model.options.relations import Relation, Relations
from nar.nn.sparse.edge_list import EdgeList
from nar.nn.sparse.segments import reduce
from nar.traces.spec import Location, Probe, Stage, Type


class EdgeRelations(Relations):
    """All relations along edges among the probes of the given stages."""

    def __init__(self, spec: Mapping[str, Probe], stages: Sequence[Stage], **options: bool) -> None:
        super().__init__(spec, stages, **options)
        there = {name: probe for name, probe in spec.items() if probe.stage in stages}
        self.of = {stage: [r for r in found if r.channels in KINDS] for stage, found in self.of.items()}
        self.of[Stage.HINT] += extremes(there)

    def along(self, stage: Stage, value: Callable[[str], Tensor], edges: EdgeList) -> Iterator[tuple[Location, Tensor]]:
        """`channels`, from the float forms of probes by name in the sparse layout."""
        values: dict[str, Tensor] = {}

        def operand(name: str) -> Tensor:
            if name not in values:
                *derived, probe = name.split()
                values[name] = depth(edges, operand(probe)) if derived == ["depth"] else value(name)
            return values[name]

        for relation in self.of[stage]:
            found = KINDS[relation.channels](edges, *map(operand, relation.operands))
            yield relation.location, torch.stack(found, -1)


def extremes(spec: Mapping[str, Probe]) -> Iterator[Relation]:
    """Of every number and mask of nodes of which one is a hint."""
    on_nodes = {name: probe for name, probe in spec.items() if probe.location is Location.NODE}
    masks = [name for name, probe in on_nodes.items() if probe.type is Type.MASK]
    for x in (name for name, probe in on_nodes.items() if probe.type is Type.SCALAR):
        for k in masks:
            if Stage.HINT in (spec[x].stage, spec[k].stage):
                says = (f"{x}_i is the least of {k}", f"{x}_i is the largest of {k}")
                yield Relation((x, k), Location.NODE, says, extreme_of)


def extreme_of(x_BN: Tensor, mask_BN: Tensor) -> list[Tensor]:
    """Is x_i the least, the largest, of the marked ones, of which it is one? Nodes that do not exist are none."""
    among = mask_BN > 0.5
    low = x_BN.masked_fill(~among, torch.inf).amin(1, keepdim=True)
    high = x_BN.masked_fill(~among, -torch.inf).amax(1, keepdim=True)
    return [(among & (x_BN == end)).to(x_BN.dtype) for end in (low, high)]


def first(edges: EdgeList, x_BN: Tensor) -> Tensor:
    """x_i [E] of the sender i."""
    return x_BN.flatten().index_select(0, edges.senders)


def second(edges: EdgeList, x_BN: Tensor) -> Tensor:
    """x_j [E] of the receiver j."""
    return x_BN.flatten().index_select(0, edges.receivers)


def turned(edges: EdgeList, x_E: Tensor) -> Tensor:
    """What is said of j and i."""
    return x_E.index_select(0, edges.twins)


def arriving(edges: EdgeList, x_E: Tensor) -> Tensor:
    """The sum [B, N] over the edges that arrive at a node."""
    return reduce(x_E, "sum", edges.starts).view(-1, edges.nodes)


def index(edges: EdgeList, pointer_E: Tensor) -> Tensor:
    """The node [B, N] that every node points to."""
    return arriving(edges, (pointer_E > 0.5) * edges.sender_index.to(torch.float64)).long()


def depth(edges: EdgeList, pointer_E: Tensor) -> Tensor:
    """Hops [B, N] along a pointer to a node that points to itself; N - 1 or more on a cycle."""
    to_BN, here = index(edges, pointer_E), torch.arange(edges.nodes, device=pointer_E.device)
    to_BN = torch.where(edges.exists, to_BN, here)
    hops = (to_BN != here).to(pointer_E.dtype)
    for _ in range((edges.nodes - 1).bit_length()):
        hops, to_BN = hops + hops.gather(1, to_BN), to_BN.gather(1, to_BN)
    return hops


def less_or_more(edges: EdgeList, x_BN: Tensor) -> list[Tensor]:
    return kinds.compared(first(edges, x_BN), second(edges, x_BN), exactly=True)


def ordered(edges: EdgeList, x_BN: Tensor) -> list[Tensor]:
    ranked_BN = x_BN.masked_fill(~edges.exists, torch.inf).sort(1).values.contiguous()
    place_BN = torch.searchsorted(ranked_BN, x_BN.contiguous(), right=True)
    beyond_BN = torch.cat([ranked_BN, torch.full_like(ranked_BN[:, :1], torch.inf)], 1).gather(1, place_BN)
    follows = (second(edges, x_BN) == first(edges, beyond_BN)).to(x_BN.dtype)
    return [*less_or_more(edges, x_BN), follows, turned(edges, follows)]


def ordered_across(edges: EdgeList, x_BN: Tensor, y_BN: Tensor) -> list[Tensor]:
    less, more = kinds.compared(first(edges, x_BN), second(edges, y_BN))
    return [less, more, turned(edges, more), turned(edges, less)]


def along(edges: EdgeList, x_BN: Tensor, w_E: Tensor) -> list[Tensor]:
    to_E = second(edges, x_BN)
    sums, alone = kinds.compared(first(edges, x_BN) + w_E, to_E), kinds.compared(w_E, to_E)
    return [part for two in (sums, alone) for part in (*two, *(turned(edges, one) for one in two))]


def by_way(edges: EdgeList, w_E: Tensor, mark_BN: Tensor) -> tuple[Tensor, Tensor]:
    """w_im and w_mj [E] for the marked node m; 0 where there is no edge."""
    mark_E = first(edges, mark_BN)
    return first(edges, arriving(edges, turned(edges, w_E) * mark_E)), second(edges, arriving(edges, w_E * mark_E))


def edge_against_marked(
    edges: EdgeList, w_E: Tensor, m_BN: Tensor, n_BN: Tensor, pos_BN: Tensor | None = None
) -> list[Tensor]:
    def least(of_E: Tensor) -> Tensor:
        return -reduce(-of_E, "max", edges.bounds).index_select(0, edges.graph)

    nodes = torch.arange(edges.nodes, device=m_BN.device).expand(m_BN.shape)
    rank_BN = nodes if pos_BN is None else pos_BN.argsort(1).argsort(1)
    ends_E = first(edges, rank_BN), second(edges, rank_BN)
    place_E = (torch.minimum(*ends_E) * edges.nodes + torch.maximum(*ends_E)).double()  # n^2 is past float32
    pair_E = first(edges, m_BN) * second(edges, n_BN)
    marked_B = reduce(w_E * pair_E, "sum", edges.bounds)
    marked_B = marked_B.masked_fill((m_BN * n_BN).sum(1) > 0.5, -torch.inf)
    marked_E = marked_B.index_select(0, edges.graph)
    ends_B = (rank_BN * m_BN).sum(1), (rank_BN * n_BN).sum(1)
    marked_place_E = (torch.minimum(*ends_B) * edges.nodes + torch.maximum(*ends_B)).index_select(0, edges.graph)
    equal_E = w_E == marked_E
    less_E = (w_E < marked_E) | (equal_E & (place_E < marked_place_E))
    more_E = (w_E > marked_E) | (equal_E & (place_E > marked_place_E))
    above_E = torch.where(more_E & (w_E != 0) & (edges.senders != edges.receivers), w_E, torch.inf)
    least_E = least(above_E)
    following_E = torch.where((above_E == least_E) & (least_E < torch.inf), place_E, torch.inf)
    first_E = (following_E == least(following_E)) & (following_E < torch.inf)
    return [one.to(w_E.dtype) for one in (less_E, more_E, first_E)]


def pointed(edges: EdgeList, pointer_E: Tensor) -> list[Tensor]:
    to_BN = index(edges, pointer_E)
    return [(first(edges, to_BN) == second(edges, to_BN)).to(pointer_E.dtype), pointer_E]


def neighbours_of_mark(edges: EdgeList, pointer_E: Tensor, mark_BN: Tensor) -> list[Tensor]:
    to_BN = arriving(edges, turned(edges, pointer_E * second(edges, mark_BN)))
    return [to_BN, arriving(edges, pointer_E * first(edges, mark_BN)) * (1 - mark_BN)]


# how the relations of the dense layout are computed along edges
KINDS: dict[Callable[..., list[Tensor]], Callable[..., list[Tensor]]] = {
    kinds.ordered: ordered,
    kinds.ordered_across: ordered_across,
    kinds.less_or_more: less_or_more,
    kinds.along: along,
    kinds.both_ways: lambda edges, w: kinds.compared(w, turned(edges, w)),
    kinds.by_way_against_edge: lambda edges, w, m: kinds.compared(torch.add(*by_way(edges, w, m)), w, exactly=True),
    kinds.both_by_way: lambda edges, e, m: [by_way(edges, e, m)[0] * by_way(edges, e, m)[1]],
    kinds.edge_against_marked: edge_against_marked,
    kinds.pointed: pointed,
    kinds.neighbours_of_mark: neighbours_of_mark,
    **{
        same: lambda edges, *operands, same=same: same(*operands)
        for same in (
            kinds.compared, kinds.sign, kinds.node_against_graph, kinds.node_and_graph_against, kinds.same_mark,
            kinds.marked_compared, kinds.as_it_is, extreme_of,
        )
    },
}  # fmt: skip
