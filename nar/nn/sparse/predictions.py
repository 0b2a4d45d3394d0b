"""What decoders say of edges: a number, mask or class of every edge, and pointers as a choice among edges.

Both are asked the same things as a Choice (nar/model/options/choice.py), what is fed back softly or hard, and have as
many rows as there are graphs in the batch.

Shapes: B graphs, N nodes, E edges, C classes.
"""

import abc
import dataclasses
from typing import Self

import torch
from torch import Tensor

from nar.nn import units
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList


class Chosen(abc.ABC):
    """A choice that says itself what is fed back and what it costs."""

    @abc.abstractmethod
    def expected(self) -> Tensor:
        """What is fed back softly."""

    @abc.abstractmethod
    def decided(self) -> Tensor:
        """What is fed back hard, in compact form."""

    @abc.abstractmethod
    def straight_through(self) -> Tensor:
        """The decision in the form of `expected`, with its gradients."""

    @abc.abstractmethod
    def losses(self, truth_BN: Tensor) -> Tensor:
        """What it costs, of every node."""


@dataclasses.dataclass(eq=False)
class OnEdges:
    """Logits or values of every edge [E] or [E, C]."""

    logits: Tensor
    edges: EdgeList

    def __len__(self) -> int:
        return len(self.edges.sizes)

    def numel(self) -> int:
        return self.logits.numel()

    def cpu(self) -> Self:
        return dataclasses.replace(self, logits=self.logits.cpu(), edges=self.edges.to("cpu"))


@dataclasses.dataclass(eq=False)
class EdgeValues(OnEdges):
    """Of each edge by itself."""


@dataclasses.dataclass(eq=False)
class EdgePointers(OnEdges, Chosen):
    """The logit [E] at an edge j -> i is that of node i pointing to node j."""

    def log_probabilities(self) -> Tensor:
        """[E]; of a node they add up to 1."""
        return segments.log_softmax(self.logits.unsqueeze(1), self.edges).squeeze(1)

    def expected(self) -> Tensor:
        """The probability [E] of every edge; gradients flow."""
        return self.log_probabilities().exp()

    def chosen(self) -> Tensor:
        """Which edges [E] are chosen, one of every node: the likeliest, of equal ones the first."""
        logits, edges = self.logits.detach(), self.edges
        best_E = logits == segments.reduce(logits, "max", edges.starts).index_select(0, edges.receivers)
        before_E = best_E.long().cumsum(0)
        before_R = torch.cat([before_E.new_zeros(1), before_E])[edges.starts[:-1]]
        return best_E & (before_E == before_R.index_select(0, edges.receivers) + 1)

    def decided(self) -> Tensor:
        """The node [B, N] that every node points to; itself, of one that does not exist."""
        edges = self.edges
        found_R = torch.arange(edges.nodes, device=self.logits.device).repeat(len(self))
        which = self.chosen()
        return found_R.index_put((edges.receivers[which],), edges.sender_index[which]).view(len(self), edges.nodes)

    def straight_through(self) -> Tensor:
        """The decision [E] of 0 and 1, with the gradients of `expected`."""
        return units.straight_through(self.chosen().to(self.logits.dtype), self.expected())

    def losses(self, truth_BN: Tensor) -> Tensor:
        """Minus the log-probability [B, N] of the true pointer."""
        right_E = pointed(truth_BN, self.edges)
        log_E = torch.where(right_E, self.log_probabilities(), 0.0)
        return -segments.reduce(log_E, "sum", self.edges.starts).view(truth_BN.shape)


def pointed(index_BN: Tensor, edges: EdgeList) -> Tensor:
    """Along which edges [E] the receiver points back to the sender."""
    return edges.sender_index == index_BN.flatten().index_select(0, edges.receivers)
