"""Edge pointers as choices among pointers of the step, settled by exact numbers (choice.py): an option of the decoder.

What a pair (i, j) points to next is hardly ever found by looking at all nodes: it is what it points to now, what
another pair does, or the node by which the best way leads. With Q what the hint says now, w any number of edges, m the
marked nodes and P the inputs that point, the candidates and their numbers are

    Q_ij, i, j          w_ij                    Q_mj, m                   w_im + w_mj
    Q_Pi,j              w of (P_i, j)           Q_i,Pj                    w of (i, P_j)
    the k or P_k of the least way from i to j by any node (ways.py): the least; where there is none, Q_ij and w_ij

and always the node that the network scores highest, for what no candidate explains. Who is eligible is learned from the
two nodes and the edge, by which number it is settled from all.

Against a score for every node, a step costs B N^2 F^2 instead of B N^3 F, and is right however many nodes there are.

Shapes: B graphs, N nodes, F features, R width of the nodes' view, C candidates, K numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options import ways
from nar.model.options.choice import Choice
from nar.model.options.edge_pointers import pointer_hint
from nar.model.options.relation_kinds import by_way, shift
from nar.model.options.relations import marks_one
from nar.nn.affine import materialize
from nar.nn.layers import linear
from nar.traces.spec import Location, Probe, Stage, Type


@dataclasses.dataclass(eq=False)
class PointerChoice(Choice):
    """A choice among nodes of which each candidate is one: `values`, and the last is the one of the largest score."""

    scores: Tensor | None = None  # [..., N]

    @property
    def logits(self) -> Tensor:
        """Of a softmax over nodes: their shares of that over the candidates."""
        return self.expected().log()

    def decided(self) -> Tensor:
        return super().decided().long()

    def expected(self) -> Tensor:
        """The probability [..., N] of every node."""
        assert self.values is not None and self.scores is not None
        p = torch.softmax(super().logits, -1)
        return torch.zeros_like(self.scores).scatter_add(-1, self.values.long(), p)

    def missed(self, truth: Tensor) -> Tensor:
        assert self.scores is not None
        return cross_entropy(self.scores.movedim(-1, 1), truth.long(), reduction="none")


class EdgeChoice(nn.Module):
    """The choice of one edge pointer."""

    def __init__(self, name: str, spec: Mapping[str, Probe], node_width: int, features: int) -> None:
        super().__init__()
        given = {n: p for n, p in spec.items() if p.stage is not Stage.OUTPUT}
        self.state = pointer_hint(name, spec)  # Q
        self.ws = [n for n, p in given.items() if p.location is Location.EDGE and p.type is Type.SCALAR]
        self.marks = [n for n, p in given.items() if marks_one(p)]
        self.lists, self.ways = ways.lists(spec), ways.ways(spec)
        states = 0 if self.state is None else 1 + len(self.marks) + 2 * len(self.lists)
        count = states + 2 + len(self.marks) + len(self.ways)
        self.eligible = linear(features, count + 1)
        self.query, self.key = linear(features, features), linear(node_width, features)
        self.rules = nn.Parameter(torch.zeros(1 + 2 * len(self.ws)))

    def reads(self) -> list[str]:
        """The inputs and hints whose values it takes."""
        state = [] if self.state is None else [self.state]
        return [*state, *self.ws, *self.marks, *self.lists, *ways.operands(self.ways)]

    def forward(self, inputs: DecoderInputs) -> PointerChoice:
        assert inputs.pairs is not None
        key_BNF, query_BNNF = self.key(materialize(inputs.nodes)), self.query(inputs.pairs)
        scores = torch.matmul(query_BNNF.flatten(1, 2), key_BNF.transpose(1, 2)).unflatten(1, query_BNNF.shape[1:3])
        found = self.candidates(inputs)
        w = [inputs.values[n] for n in self.ws]
        found.append((scores.detach().argmax(-1), w))
        values = torch.stack([node for node, _ in found], -1).to(scores.dtype)
        numbers = [torch.stack(of, -1) if of else scores.new_zeros(*scores.shape[:3], 0) for _, of in found]
        return PointerChoice(self.eligible(inputs.pairs), torch.stack(numbers, -2), self.rules, values, scores=scores)

    def candidates(self, inputs: DecoderInputs) -> list[tuple[Tensor, list[Tensor]]]:
        """Nodes [B, N, N] and their numbers [B, N, N], each K."""
        values = inputs.values
        w = [values[n] for n in self.ws]
        nodes = inputs.edges.channels.shape[1]
        i_BNN = torch.arange(nodes, device=inputs.edges.channels.device).view(1, -1, 1)
        i_BNN = i_BNN.expand(len(inputs.edges.channels), -1, nodes)
        by_mark = [[by_way(one, values[m]) for one in w] for m in self.marks]
        found = [(i_BNN, w), (i_BNN.transpose(1, 2), w)]
        for m, numbers in zip(self.marks, by_mark, strict=True):
            found.append((values[m].argmax(-1).view(-1, 1, 1).expand_as(i_BNN), numbers))
        now = i_BNN
        if self.state is not None:
            now = values[self.state].argmax(-1)
            found.append((now, w))
            for m, numbers in zip(self.marks, by_mark, strict=True):
                at = values[m].argmax(-1).view(-1, 1, 1).expand(-1, 1, nodes)
                found.append((now.gather(1, at).expand_as(now), numbers))
            for name in self.lists:
                moved = zip(shift(now, values[name]), *(shift(one, values[name]) for one in w), strict=True)
                found += [(node, list(numbers)) for node, *numbers in moved]
        for way in self.ways:
            number, node = inputs.least_way(way)
            exists = number < torch.inf
            own = [torch.where(exists, number, values[n]) if n == way.number else values[n] for n in self.ws]
            found.append((torch.where(exists, node, now), own))
        return found
