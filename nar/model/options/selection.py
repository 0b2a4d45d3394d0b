"""Pointers and mask_ones as choices that exact numbers settle (choice.py): an option of the decoder.

Of a pointer from i, candidate j has the numbers x_j, w_ij, w_ji, x_j + w_ij and x_j + w_ji of all scalars x of nodes
and w of edges; what chooses one node of the graph has x_j.

Shapes: B graphs, N nodes, K numbers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options.choice import Choice
from nar.model.options.ways import POSITIONS
from nar.nn.layers import linear
from nar.traces.spec import Location, Probe, Stage, Type


class Selection(nn.Module):
    """The choice of one probe: of pointers from the decoder's view of pairs, else from the logits that there are."""

    def __init__(self, probe: Probe, spec: Mapping[str, Probe], features: int, hints_are_fed: bool = True) -> None:
        super().__init__()
        stages = (Stage.INPUT, Stage.HINT) if hints_are_fed else (Stage.INPUT,)
        given = {n: p for n, p in spec.items() if p.stage in stages and p.type is Type.SCALAR}
        self.pairs = probe.type is Type.POINTER and probe.location is Location.NODE
        self.xs = [n for n, p in given.items() if p.location is Location.NODE]
        self.ws = [n for n, p in given.items() if p.location is Location.EDGE] if self.pairs else []
        self.ordered = POSITIONS in self.xs  # of equal ones the first is preferred
        self.eligible = linear(features, 1) if self.pairs else None
        count = len(self.xs) + 2 * len(self.ws) * (1 + len(self.xs))
        self.rules = nn.Parameter(torch.zeros(1 + 2 * count))

    def reads(self) -> list[str]:
        """The inputs and hints whose numbers it takes."""
        return [*self.xs, *self.ws]

    def forward(self, logits: Tensor | None, inputs: DecoderInputs) -> Choice:
        values = inputs.values
        if self.eligible is not None:  # pointer j -> i is a message from i to j
            logits = self.eligible(inputs.pairs).squeeze(-1).transpose(1, 2)
        assert logits is not None
        x = [values[n].unsqueeze(1) if self.pairs else values[n] for n in self.xs]
        w = [part for n in self.ws for part in (values[n], values[n].transpose(1, 2))]
        numbers = [*x, *w, *(one + along for one in x for along in w)]
        if not numbers:
            return Choice(logits, logits.new_zeros(*logits.shape, 0), self.rules)
        numbers = [number.expand_as(logits) for number in numbers]
        places = None
        if self.ordered:
            places = (values[POSITIONS].unsqueeze(1) if self.pairs else values[POSITIONS]).expand_as(logits)
        return Choice(logits, torch.stack(numbers, -1), self.rules, places=places)


def selects(probe: Probe) -> bool:
    """Does it choose one of many nodes, each of which has numbers?"""
    return (probe.type, probe.location) in (
        (Type.POINTER, Location.NODE),
        (Type.POINTER, Location.GRAPH),
        (Type.MASK_ONE, Location.NODE),
    )
