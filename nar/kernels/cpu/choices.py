"""The compiled twin of Choice.index (nar/model/options/choice.py): which candidate of every row is chosen.

In PyTorch that is eight passes over all candidates of all rows; here a row is looked at twice while it is in the cache,
and where no number settles the choice once.

Shapes: R rows, C candidates, K numbers of each; P rows of places, each of which serves R / P rows.
"""

# pyright: reportCallIssue=false
# (kernels take lists of arrays, unpacked before further arguments, which the type checker cannot count)

from typing import Any

import torch
from torch import Tensor

from nar.kernels.cpu import ranges
from nar.kernels.vmap_rules import Operation, one_by_one
from nar.traces.record import compiled

SHARE = 8  # a candidate is eligible that has more than this part of the largest u


@compiled(nogil=True)
def _chosen(first, last, eligible, numbers, places, rule, index):
    count, ordered = numbers.shape[2], places.shape[0] > 0
    largest, column = rule > count, (rule - 1) % max(1, count)
    rows = eligible.shape[0] // max(1, places.shape[0])
    for r in range(first, last):
        u = eligible[r]
        top = 0
        for c in range(1, u.shape[0]):
            if u[c] > u[top] or (u[c] != u[c] and u[top] == u[top]):  # NaN wins
                top = c
        index[r] = top
        if rule == 0 or not u[top] > 0:  # nothing settles it, or nobody is eligible
            continue
        least, best = u[top] / SHARE, top
        value = numbers[r, top, column]
        for c in range(u.shape[0]):
            if u[c] > least:
                other = numbers[r, c, column]
                if other == value:
                    if ordered:
                        place, own = places[r // rows, c], places[r // rows, best]
                        better = place < own or (place == own and c < best)
                    else:
                        better = u[c] > u[best] or (u[c] == u[best] and c < best)
                else:
                    better = (other > value) == largest
                if better:
                    value, best = other, c
        index[r] = best


class _Index(Operation):
    rule = staticmethod(one_by_one)

    @staticmethod
    def forward(eligible, numbers, places, rule):  # type: ignore[override]
        *shape, count = eligible.shape
        index = torch.empty(shape, dtype=torch.int64)
        rows = index.numel()
        if places.dim() == 3 and places.stride(1) == 0:  # the same for all rows of a graph
            places = places[:, 0]
        flat = eligible.reshape(rows, count), numbers.reshape(rows, count, numbers.shape[-1]), places.reshape(-1, count)
        *given, found = ranges.arrays(*(part.contiguous() for part in flat), index.view(-1))
        which = int(rule)
        ranges.in_ranges(lambda first, last, _: _chosen(first, last, *given, which, found), rows, eligible.numel())
        return (index,)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)


def index(eligible: Tensor, numbers: Tensor, places: Tensor | None, rule: Tensor) -> Tensor:
    """The candidate [...] that is chosen among `eligible` [..., C] by `numbers` [..., C, K] and a rule up to 2 K."""
    places = eligible.new_empty(0, eligible.shape[-1]) if places is None else places
    return _Index.apply(eligible, numbers, places, rule)[0]  # type: ignore[index]
