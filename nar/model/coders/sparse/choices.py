"""Candidates and selection along edges: a Choice of every node among what arrives at it, and its own.

Numbers and pointers are those of nar/model/options/candidates.py and selection.py, whose modules and weights these are,
with neighbours in the place of all nodes. Nodes with similar numbers of edges make one Choice, padded to the largest of
them by candidates that are not eligible.

Shapes: B graphs, N nodes, E edges, R = B N rows; G rows of a group, S edges of each at most, P numbers of an edge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options.candidates import NodeCandidates
from nar.model.options.choice import Choice
from nar.model.options.selection import Selection
from nar.model.options.ways import POSITIONS
from nar.nn import units
from nar.nn.affine import materialize
from nar.nn.sparse.edge_list import EdgeList
from nar.nn.sparse.predictions import Chosen, pointed

OUT, FAR = -1e9, 1e30  # of a candidate that only fills up: how eligible it is, and its number, which nothing equals


@dataclasses.dataclass(eq=False)
class GroupedChoice(Chosen):
    """Choices of the rows of every group of `edges`, in its order: of an edge to point along, or of a number."""

    choices: list[Choice]
    edges: EdgeList

    def __len__(self) -> int:
        return len(self.edges.sizes)

    def numel(self) -> int:
        return sum(choice.numel() for choice in self.choices)

    def cpu(self) -> GroupedChoice:
        return GroupedChoice([choice.cpu() for choice in self.choices], self.edges.to("cpu"))

    @property
    def points(self) -> bool:
        """Does it choose edges?"""
        return all(choice.values is None for choice in self.choices)

    def decided(self) -> Tensor:
        """The node, or the number, of every node [B, N]."""
        edges = self.edges
        if not self.points:
            return self._rows(lambda choice, *_: choice.decided())
        own = torch.arange(edges.nodes, device=edges.senders.device).repeat(len(self))
        return self._rows(
            lambda choice, _, places, __: edges.sender_index[places.gather(1, choice.index().unsqueeze(1)).squeeze(1)],
            own,
        )

    def expected(self) -> Tensor:
        """Of numbers their mean [B, N], of edges their probabilities [E]."""
        if not self.points:
            return self._rows(lambda choice, *_: choice.expected())
        found = self.choices[0].eligible.new_zeros(len(self.edges))
        for choice, (_, places, here) in zip(self.choices, self.edges.groups, strict=True):
            found = found.index_put((places[here],), choice.expected()[here])
        return found

    def straight_through(self) -> Tensor:
        """The decision in the form of `expected`, with its gradients."""
        relaxed, decided = self.expected(), self.decided()
        return units.straight_through(
            pointed(decided, self.edges).to(relaxed.dtype) if self.points else decided, relaxed
        )

    def losses(self, truth_BN: Tensor) -> Tensor:
        """The loss [B, N] of every node; 0 of those that do not exist."""
        edges, truth_R = self.edges, truth_BN.flatten()

        def of_group(choice: Choice, rows: Tensor, places: Tensor, here: Tensor) -> Tensor:
            truth_G = truth_R[rows]
            if self.points:
                truth_G = ((edges.sender_index[places] == truth_G.unsqueeze(1)) & here).to(torch.int8).argmax(1)
            return choice.losses(truth_G)

        return self._rows(of_group)

    def _rows(self, of_group: Callable[..., Tensor], default: Tensor | None = None) -> Tensor:
        """What every group has found, [B, N]."""
        groups = self.edges.groups
        parts = [of_group(choice, *group) for choice, group in zip(self.choices, groups, strict=True)]
        found = parts[0].new_zeros(self.edges.rows) if default is None else default.to(parts[0].dtype)
        rows = torch.cat([rows for rows, *_ in groups])
        return found.index_put((rows,), torch.cat(parts)).view(len(self), self.edges.nodes)


def chosen(module: Any, inputs: DecoderInputs, edges: EdgeList) -> GroupedChoice:
    """What a module of candidates or selection chooses along edges."""
    if isinstance(module, NodeCandidates):
        return _numbers(module, inputs, edges)
    assert isinstance(module, Selection)
    return _pointers(module, inputs, edges)


def check(module: Any) -> None:
    """ValueError where a choice is among more than neighbours."""
    fits = isinstance(module, NodeCandidates) and not module.planes
    if not fits and not isinstance(module, Selection):
        raise ValueError(
            "candidates of numbers of pairs, graphs and coordinates look at all nodes, which the sparse layout does "
            "not have; leave --candidates away"
        )


def _numbers(module: NodeCandidates, inputs: DecoderInputs, edges: EdgeList) -> GroupedChoice:
    d_BNR, values = materialize(inputs.nodes), inputs.values
    x = [values[n] for n in module.xs]
    g = [values[n].unsqueeze(1).expand_as(edges.exists) for n in module.gs]
    w = [values[n] for n in module.ws]
    own = [*x, *g, *(base + c for base in (values[module.name], *g) for c in module.constants)]
    along = [one.flatten().index_select(0, edges.senders) for one in x]
    number_EP = torch.stack([*along, *w, *(one + edge for one in along for edge in w)], -1)
    logits, computed = module.own(d_BNR).split([len(own) + 1, 1], -1)
    own_RO = torch.cat([torch.stack(own, -1), computed], -1).flatten(0, 1)
    logits_RO, of_pairs = logits.flatten(0, 1), module.pairs(inputs.pairs)
    choices = []
    for rows, places, here in edges.groups:
        missing = ~here.unsqueeze(-1)
        eligible = of_pairs[places].masked_fill(missing, OUT), number_EP[places].masked_fill(missing, FAR)
        choices.append(module.choice(eligible, (logits_RO[rows], own_RO[rows])))
    return GroupedChoice(choices, edges)


def _pointers(module: Selection, inputs: DecoderInputs, edges: EdgeList) -> GroupedChoice:
    values = inputs.values
    x = [values[n].flatten().index_select(0, edges.senders) for n in module.xs]
    w = [part for n in module.ws for part in (values[n].index_select(0, edges.twins), values[n])]
    numbers = [*x, *w, *(one + edge for one in x for edge in w)]
    assert module.eligible is not None
    logits_E = module.eligible(inputs.pairs).squeeze(-1)
    number_EK = torch.stack(numbers, -1) if numbers else logits_E.new_zeros(len(edges), 0)
    place_E = values[POSITIONS].flatten().index_select(0, edges.senders) if module.ordered else None
    choices = []
    for _, places, here in edges.groups:
        eligible = logits_E[places].masked_fill(~here, OUT)
        number = number_EK[places].masked_fill(~here.unsqueeze(-1), FAR)
        choices.append(Choice(eligible, number, module.rules, places=None if place_E is None else place_E[places]))
    return GroupedChoice(choices, edges)
