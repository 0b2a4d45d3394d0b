"""Ways from i to j by a node k that is free: the least of a number over all k, and which k it is.

What dynamic programs over pairs do at every step. With w a number of edges and P a list (an input by which every node
points to the one before it), k stands for one of

    k          w_ik + w_kj                                   (paths)
    P_k        w_i,Pk + w_kj                                 (an interval, cut between P_k and k; k not the first)
    P_k, x     w_i,Pk + w_kj + x_Pi x_Pk x_j                 (x a quantity of nodes)

and, where there is a mask e of edges of the same stage, only such k count of which both edges are marked. Nothing is
learned here; what becomes of the least is a matter of candidates.py and edge_choices.py.

Quantities are numbers of nodes that are inputs, positions excepted: `pos` is the one name that the protocol knows
(nar/model/batch.py draws it anew), and says which node is which, not how much of anything there is.

Cost: B N^3 additions for every kind of way; without gradients, some i at a time.

Shapes: B graphs, N nodes.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from nar.model.options.relation_kinds import shift
from nar.traces.spec import Location, Probe, Stage, Type

POSITIONS = "pos"
CHUNK_NUMBERS = 2**22


class Way(NamedTuple):
    """A kind of way, by the names of what it is of."""

    number: str  # w
    mask: str | None  # e
    list: str | None  # P
    quantity: str | None  # x


class Least(NamedTuple):
    """The best of one kind of way between all pairs [B, N, N]; without any, infinity."""

    number: Tensor
    node: Tensor  # k or P_k


def quantities(spec: Mapping[str, Probe]) -> list[str]:
    """The numbers of nodes that are inputs and more than positions."""
    return [
        name for name, probe in spec.items()
        if (probe.stage, probe.location, probe.type) == (Stage.INPUT, Location.NODE, Type.SCALAR) and name != POSITIONS
    ]  # fmt: skip


def lists(spec: Mapping[str, Probe]) -> list[str]:
    """The inputs by which every node points to another."""
    return [n for n, p in spec.items() if (p.stage, p.location, p.type) == (Stage.INPUT, Location.NODE, Type.POINTER)]


def ways(spec: Mapping[str, Probe]) -> list[Way]:
    """All kinds that these probes allow."""
    edges = [(n, p) for n, p in spec.items() if p.location is Location.EDGE and p.stage is not Stage.OUTPUT]
    found = []
    for w, probe in edges:
        if probe.type is not Type.SCALAR:
            continue
        masks = [n for n, p in edges if p.type is Type.MASK and p.stage is probe.stage]
        for e in masks or [None]:
            found.append(Way(w, e, None, None))
            found += [Way(w, e, p, x) for p, x in itertools.product(lists(spec), (None, *quantities(spec)))]
    return found


def operands(found: list[Way]) -> list[str]:
    """The probes that these are of."""
    return list(dict.fromkeys(name for way in found for name in way if name is not None))


@torch.no_grad()
def least(way: Way, values: Mapping[str, Tensor]) -> Least:
    """Of one kind, from the float form of its operands. Of equal ways, that of the first k."""
    w_BNN = values[way.number]
    nodes = w_BNN.shape[1]
    node_BN = torch.arange(nodes, device=w_BNN.device).expand(len(w_BNN), -1)
    into = out = w_BNN
    if way.mask is not None:
        into = out = w_BNN.masked_fill(values[way.mask] < 0.5, torch.inf)
    of_i, of_k, of_j = None, None, None
    if way.list is not None:
        pointer = values[way.list]
        own_BN, node_BN = node_BN, pointer.argmax(-1)
        into = shift(into, pointer)[1].masked_fill((node_BN == own_BN).unsqueeze(1), torch.inf)
        if way.quantity is not None:
            of_j = values[way.quantity]
            of_i = of_k = of_j.gather(1, node_BN)
    numbers, ks = [], []
    step = max(1, CHUNK_NUMBERS // max(1, w_BNN.numel()))
    for i in range(0, nodes, step):
        here = slice(i, i + step)
        total_BijK = into[:, here].unsqueeze(2) + out.transpose(1, 2).unsqueeze(1)
        if of_i is not None and of_k is not None and of_j is not None:
            # multiplied in the order in which algorithms do
            total_BijK = total_BijK + of_i[:, here, None, None] * of_k[:, None, None] * of_j[:, None, :, None]
        number, k = total_BijK.min(-1)
        numbers.append(number)
        ks.append(k)
    k_BNN = torch.cat(ks, 1)
    return Least(torch.cat(numbers, 1), node_BN.unsqueeze(1).expand_as(k_BNN).gather(2, k_BNN))
