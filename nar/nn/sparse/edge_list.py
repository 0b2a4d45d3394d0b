"""The edges of the graphs of a batch, in the one order that makes everything else a reduction over stretches.

Edges are sorted by graph, receiver, sender; for every edge there is its reverse, and every node has a self-loop. Then
what a node receives is one stretch of the list, and the k-th edge that leaves a node is the reverse (`twin`) of the
k-th that arrives.

Shapes: B graphs, N nodes of the largest, E edges. A node is a row of [B * N].
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


@dataclasses.dataclass(eq=False)
class EdgeList:
    """Which edges there are. `EdgeList.of` makes one of plain pairs of nodes."""

    sizes: list[int]  # nodes of every graph
    senders: Tensor  # [E], rows of [B * N]
    receivers: Tensor  # [E], in rising order
    twins: Tensor  # [E]: the place of the reverse edge
    starts: Tensor  # [B * N + 1]: where the stretch of every receiver begins
    nodes: int  # N
    _chunks: dict[int, list[tuple[slice, Tensor]]] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, graphs: Sequence[tuple[int, Tensor]]) -> EdgeList:
        """Of graphs given as (nodes, pairs [2, E] of sender and receiver), sorted by receiver and then sender, with
        every reverse and every self-loop."""
        sizes, nodes = [count for count, _ in graphs], max(count for count, _ in graphs)
        pairs = torch.cat([pairs.long() + b * nodes for b, (_, pairs) in enumerate(graphs)], dim=1)
        senders, receivers = pairs[0].contiguous(), pairs[1].contiguous()
        rows = len(sizes) * nodes
        # sorted by sender and then receiver, edges stand in the order of their reverses
        twins = torch.argsort(senders, stable=True)
        ends = torch.cumsum(torch.bincount(receivers, minlength=rows), 0)
        return cls(sizes, senders, receivers, twins, torch.cat([ends.new_zeros(1), ends]), nodes)

    def __len__(self) -> int:
        """The number of edges."""
        return len(self.senders)

    @property
    def rows(self) -> int:
        """B * N."""
        return len(self.sizes) * self.nodes

    @functools.cached_property
    def degrees(self) -> Tensor:
        """How many edges arrive at every row [B * N]; none beyond the end of a graph."""
        return self.starts.diff()

    @functools.cached_property
    def exists(self) -> Tensor:
        """Which nodes [B, N] there are."""
        sizes_B1 = torch.tensor(self.sizes, device=self.senders.device).unsqueeze(1)
        return torch.arange(self.nodes, device=self.senders.device) < sizes_B1

    @functools.cached_property
    def graph(self) -> Tensor:
        """The graph [E] that an edge is of."""
        return self.receivers // self.nodes

    @functools.cached_property
    def bounds(self) -> Tensor:
        """Where the stretch of every graph begins [B + 1]."""
        return self.starts[:: self.nodes]

    @functools.cached_property
    def sender_index(self) -> Tensor:
        """The index [E] of the sender within its graph."""
        return self.senders % self.nodes

    @functools.cached_property
    def groups(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Rows [G] with similar numbers of edges, the places [G, S] of these, and which of them there are [G, S].

        S is the largest number in the group, and less than twice that of any other: together at most twice the edges.
        """
        found, degrees_R = [], self.degrees
        longest = int(degrees_R.max())
        while longest > 0:
            rows_G = torch.nonzero((degrees_R <= longest) & (degrees_R > longest // 2)).squeeze(1)
            if len(rows_G):
                position_S = torch.arange(longest, device=rows_G.device)
                places_GS = (self.starts[rows_G].unsqueeze(1) + position_S).clamp(max=len(self) - 1)
                found.append((rows_G, places_GS, position_S < degrees_R[rows_G].unsqueeze(1)))
            longest //= 2
        return sorted(found, key=lambda group: len(group[0]))  # last the one that says most, for modules that remember

    def chunks(self, edges: int) -> list[tuple[slice, Tensor]]:
        """All edges cut between receivers into stretches of about so many, each with the starts of its receivers."""
        if edges not in self._chunks:
            found, first, starts = [], 0, self.starts
            while first < self.rows:
                last = int(torch.searchsorted(starts, starts[first] + edges, right=True)) - 1
                last = max(first + 1, last)
                begin, end = starts[[first, last]].tolist()
                found.append((slice(begin, end), starts[first : last + 1] - begin))
                first = last
            self._chunks[edges] = found
        return self._chunks[edges]

    def map(self, change: Callable[[Tensor], Tensor]) -> EdgeList:
        """The same with every tensor changed."""
        moved = {name: change(getattr(self, name)) for name in ("senders", "receivers", "twins", "starts")}
        return self if moved["senders"] is self.senders else dataclasses.replace(self, **moved)

    def to(self, device: torch.device | str) -> EdgeList:
        """The same on another device."""
        return self.map(lambda value: value.to(device))
