"""Aggregators as modules: what a node makes of its incoming messages, for nar's processors and for PyTorch Geometric.

Every class here is called in two ways:

    how(messages [B, sender, receiver, F], mask [B, sender, receiver] or None)   in hood.reduce and hood.pool, or
                                                                                 as an option: reduction=MaxAggregator()
    aggr(x [E, F], index [E])                                                    as a torch_geometric.nn.Aggregation

Both end in one method, `reduce_sequence(messages [G, S, F], mask [G, S] or None) -> [G, F]`, which a subclass defines.
It must give what the True positions alone would give, in their order: then a node's result depends on its own messages
and never on padding, which is to say never on the degrees of other nodes of the batch. (PyTorch Geometric's own LSTM,
GRU and LCM aggregations read the padding as messages of zeros.)

Four axes without an index of integers are the first kind of call, everything else is the second.

Here are the base class and maximum, sum and mean; LSTM and GRU are in recurrent.py, monoids in monoid.py. They
all import torch_geometric, so only those who use an aggregator pay for that.

Shapes: B graphs, S senders, R receivers, F features; G sequences of S messages; E edges.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import Aggregation


class Aggregator(Aggregation):
    """Base class: a subclass defines `reduce_sequence`."""

    permutation_invariant: bool = False  # the order of the messages has no effect

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        """One vector [G, F] per sequence; positions where `mask_GS` is False do not exist (None: all do).

        Positions that exist need not come first. A sequence without any gives zeros, unless the class says otherwise.
        """
        raise NotImplementedError

    def reduce_dense(self, messages_BSRF: Tensor, mask_BSR: Tensor | None = None) -> Tensor:
        """One vector per receiver, [B, R, F], from messages of all pairs; the senders are the sequence."""
        graphs, _, receivers, _ = messages_BSRF.shape
        mask_GS = None if mask_BSR is None else mask_BSR.transpose(1, 2).flatten(0, 1)
        return self.reduce_sequence(messages_BSRF.transpose(1, 2).flatten(0, 1), mask_GS).unflatten(
            0, (graphs, receivers)
        )

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
        max_num_elements: int | None = None,
    ) -> Tensor:
        """PyTorch Geometric's arguments; the elements of a group are read in the order in which they stand in `x`.

        `index` need not be sorted. Elements of a group beyond `max_num_elements` are left out.
        """
        if _is_dense(x, index, ptr):
            return self.reduce_dense(x, index)
        x_LEF = x.movedim(dim, -2)
        lead = x_LEF.shape[:-2]
        sequences_LGSF, mask_GS = _sequences(
            x_LEF.reshape(math.prod(lead), *x_LEF.shape[-2:]), index, ptr, dim_size, max_num_elements
        )
        layers, groups = sequences_LGSF.shape[:2]
        if mask_GS is not None:
            mask_GS = mask_GS.expand(layers, -1, -1).flatten(0, 1)
        reduced = self.reduce_sequence(sequences_LGSF.flatten(0, 1), mask_GS)
        return reduced.reshape(*lead, groups, reduced.shape[-1]).movedim(-2, dim)

    def __call__(self, x: Tensor, index: Tensor | None = None, ptr: Tensor | None = None, *rest: Any, **named: Any):
        if _is_dense(x, index, ptr):
            return nn.Module.__call__(self, x, index)
        return super().__call__(x, index, ptr, *rest, **named)


def _is_dense(x: Tensor, index: Tensor | None, ptr: Tensor | None) -> bool:
    return ptr is None and x.dim() == 4 and (index is None or index.dtype == torch.bool)


def _sequences(
    x_LEF: Tensor, index: Tensor | None, ptr: Tensor | None, groups: int | None, longest: int | None
) -> tuple[Tensor, Tensor | None]:
    """Elements by group, [L, G, S, F], padded at the end, and which positions are elements, [G, S] (None: all)."""
    layers, elements, features = x_LEF.shape
    if index is None:
        if ptr is None:
            raise ValueError("need index or ptr to know which group an element belongs to, got neither")
        sizes_G = ptr.diff()
        index = torch.repeat_interleave(sizes_G, output_size=elements)
        groups = len(sizes_G)
    else:
        if groups is None:
            groups = int(index.max()) + 1 if elements else 0
        sizes_G = index.new_zeros(groups).scatter_add_(0, index, torch.ones_like(index))
    index, order = torch.sort(index, stable=True)
    most, least = torch.stack([sizes_G.max(), sizes_G.min()]).tolist() if groups else (0, 0)
    length = max(1, most if longest is None else min(most, longest))
    position = torch.arange(elements, device=index.device) - (sizes_G.cumsum(0) - sizes_G)[index]
    # elements beyond the length go to one more row, which is cut off
    slot = torch.where(position < length, index * length + position, groups * length)
    rows_LEF = x_LEF.new_zeros(layers, groups * length + 1, features).index_copy(1, slot, x_LEF[:, order])
    sequences = rows_LEF[:, :-1].reshape(layers, groups, length, features)
    if groups and least >= length:
        return sequences, None
    return sequences, torch.arange(length, device=index.device) < sizes_G.unsqueeze(1)


class _Simple(Aggregator):
    permutation_invariant = True
    scatter: str  # PyTorch Geometric's name of the reduction: over an index it needs no padding at all

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2, max_num_elements=None):
        if _is_dense(x, index, ptr) or max_num_elements is not None:
            return super().forward(x, index, ptr, dim_size, dim, max_num_elements)
        return self.reduce(x, index, ptr, dim_size, dim, self.scatter)


class MaxAggregator(_Simple):
    """The largest value per feature; zero without messages."""

    scatter = "max"

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        if mask_GS is None:
            return messages_GSF.amax(1)
        largest_GF = messages_GSF.masked_fill(~mask_GS.unsqueeze(-1), -torch.inf).amax(1)
        return largest_GF.where(mask_GS.any(1, keepdim=True), 0.0)


class SumAggregator(_Simple):
    """The sum."""

    scatter = "sum"

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        return (messages_GSF if mask_GS is None else messages_GSF.where(mask_GS.unsqueeze(-1), 0.0)).sum(1)


class MeanAggregator(_Simple):
    """The mean; zero without messages."""

    scatter = "mean"

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        if mask_GS is None:
            return messages_GSF.mean(1)
        count_G1 = mask_GS.sum(1, keepdim=True).clamp(min=1)
        return messages_GSF.where(mask_GS.unsqueeze(-1), 0.0).sum(1) / count_G1
