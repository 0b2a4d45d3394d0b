"""Choices that exact numbers settle: an option of the decoder.

"The nearest of those that are still in the queue" is a condition, which a network can learn, and a comparison, which it
can make only as finely as it was trained to. So whatever chooses one of many nodes (pointers, mask_ones, candidates of
candidates.py) is given, beside what the network says of each, the numbers v of that node or pair in a last linear term:

    logit = beta (logsigmoid(u) + a v)      u from the network, a learned, starting at 0

logsigmoid makes all that are eligible (u well above 0) equal, so that the numbers alone decide among them, and lets the
others fall as far as needed. The softmax over logits is trained as always; what is decided is the argmax, which depends
neither on beta nor on how close the numbers are.

Shapes: B graphs, N nodes, K numbers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.traces.spec import Location, Probe, Stage, Type

BETA = 20.0
RATE = 10.0


class Numbers(nn.Module):
    """beta (logsigmoid(u) + a v) for logits u that have a number v of their own each, [..., K]."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(count))

    def forward(self, logits: Tensor, numbers: Tensor) -> Tensor:
        return settled(logits, self.weights * numbers)


def settled(logits: Tensor, weighed: Tensor) -> Tensor:
    """The logits of the module's docstring."""
    return BETA * (logsigmoid(logits) + RATE * weighed)


class Selection(nn.Module):
    """The same for what chooses a node: for every pointer i -> j x_j, w_ij, w_ji of all scalars; else x_i."""

    def __init__(self, probe: Probe, spec: Mapping[str, Probe], hints_are_fed: bool = True) -> None:
        super().__init__()
        stages = (Stage.INPUT, Stage.HINT) if hints_are_fed else (Stage.INPUT,)
        given = {n: p for n, p in spec.items() if p.stage in stages and p.type is Type.SCALAR}
        self.pairs = probe.type is Type.POINTER and probe.location is Location.NODE
        self.xs = [n for n, p in given.items() if p.location is Location.NODE]
        self.ws = [n for n, p in given.items() if p.location is Location.EDGE] if self.pairs else []
        self.weights = nn.Parameter(torch.zeros(len(self.xs) + 2 * len(self.ws) * (1 + len(self.xs))))

    def reads(self) -> list[str]:
        """The inputs and hints whose numbers it takes."""
        return [*self.xs, *self.ws]

    def forward(self, logits: Tensor, inputs: DecoderInputs) -> Tensor:
        values = inputs.values
        x = [values[n].unsqueeze(1) if self.pairs else values[n] for n in self.xs]
        w = [part for n in self.ws for part in (values[n], values[n].transpose(1, 2))]
        numbers = [*x, *w, *(one + along for one in x for along in w)]
        weights = self.weights if self.training else one_number(self.weights)
        weighed = torch.stack([number.expand_as(logits) for number in numbers], -1) @ weights
        return settled(logits, weighed)


def one_number(weights: Tensor) -> Tensor:
    """Only the largest weight: what is decided is decided by one number, for a sum of two is never exactly another."""
    return torch.where(weights.abs() == weights.abs().amax(), weights, 0.0)


def selects(probe: Probe) -> bool:
    """Does it choose one of many nodes, each of which has numbers?"""
    return (probe.type, probe.location) in (
        (Type.POINTER, Location.NODE),
        (Type.POINTER, Location.GRAPH),
        (Type.MASK_ONE, Location.NODE),
    )
