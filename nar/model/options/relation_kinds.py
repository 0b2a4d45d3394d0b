"""How the relations of relations.py are computed, from the float forms of their operands.

Marks m and pointers P come as one-hot rows, or as probabilities: a number at a marked node is then their mean, and
where a hop along a pointer is needed, the likeliest one counts.

Shapes: B graphs, N nodes, K classes. Every function returns channels of equal shape: [B, N, N], [B, N] or [B].
"""

from typing import Any

import torch
from torch import Tensor

BEYOND = 2.0**40  # what an indicator of edges counts as: more than any number, so that no size of graph overtakes it
ROUNDING = 1e-6  # relative to the numbers that are compared: about eight steps of float32


def compared(a: Tensor, b: Tensor, *, exactly: bool = False) -> list[Tensor]:
    """a < b and a > b, as 0 and 1; unless `exactly`, up to roundings of sums."""
    gap = a - b
    near: Any = 0.0 if exactly else ROUNDING * (a.abs() + b.abs())
    return [(gap < -near).to(gap.dtype), (gap > near).to(gap.dtype)]


def as_it_is(x: Tensor) -> list[Tensor]:
    return [x]


def depth(pointer_BNN: Tensor) -> Tensor:
    """Hops [B, N] along a pointer to a node that points to itself; N - 1 or more on a cycle."""
    nodes = pointer_BNN.shape[1]
    to = pointer_BNN.argmax(-1)
    hops = (to != torch.arange(nodes, device=to.device)).to(pointer_BNN.dtype)
    for _ in range((nodes - 1).bit_length()):  # twice as far every time
        hops = hops + hops.gather(1, to)
        to = to.gather(1, to)
    return hops


def at(x_BN: Tensor, mark_BN: Tensor) -> Tensor:
    """The number [B] of the marked node."""
    return torch.einsum("bn,bn->b", x_BN, mark_BN)


def less_or_more(x_BN: Tensor) -> list[Tensor]:
    return compared(x_BN.unsqueeze(2), x_BN.unsqueeze(1), exactly=True)


def ordered(x_BN: Tensor) -> list[Tensor]:
    """x_i < x_j, x_i > x_j, x_j is next above x_i (of equal ones: all), and the reverse."""
    follows = next_above(x_BN)
    return [*less_or_more(x_BN), follows, follows.transpose(1, 2)]


def next_above(x_BN: Tensor) -> Tensor:
    gap = x_BN.unsqueeze(1) - x_BN.unsqueeze(2)
    above = torch.where(gap > 0, gap, torch.inf)
    least = above.amin(2, keepdim=True)
    return ((above == least) & (least < torch.inf)).to(x_BN.dtype)


def ordered_across(x_BN: Tensor, y_BN: Tensor) -> list[Tensor]:
    less, more = compared(x_BN.unsqueeze(2), y_BN.unsqueeze(1))
    return [less, more, more.transpose(1, 2), less.transpose(1, 2)]


def along(x_BN: Tensor, w_BNN: Tensor) -> list[Tensor]:
    """x_i + w_ij against x_j, and w_ij against x_j; each also from j to i."""
    to = x_BN.unsqueeze(1)
    sums, alone = compared(x_BN.unsqueeze(2) + w_BNN, to), compared(w_BNN, to)
    return [part for two in (sums, alone) for part in (*two, *(one.transpose(1, 2) for one in two))]


def both_ways(w_BNN: Tensor) -> list[Tensor]:
    return compared(w_BNN, w_BNN.transpose(1, 2))


def by_way(w_BNN: Tensor, mark_BN: Tensor) -> Tensor:
    """w_im + w_mj [B, i, j] for the marked node m."""
    into = torch.einsum("bik,bk->bi", w_BNN, mark_BN)
    out = torch.einsum("bk,bkj->bj", mark_BN, w_BNN)
    return into.unsqueeze(2) + out.unsqueeze(1)


def both_by_way(e_BNN: Tensor, mark_BN: Tensor) -> list[Tensor]:
    """Are (i, m) and (m, j) marked for the marked node m?"""
    into = torch.einsum("bik,bk->bi", e_BNN, mark_BN)
    out = torch.einsum("bk,bkj->bj", mark_BN, e_BNN)
    return [into.unsqueeze(2) * out.unsqueeze(1)]


def both_by_some(e_BNN: Tensor) -> list[Tensor]:
    """Are (i, k) and (k, j) marked for some node k?"""
    return [((e_BNN @ e_BNN) > 0.5).to(e_BNN.dtype)]


def both_by_some_shifted(e_BNN: Tensor, pointer_BNN: Tensor) -> list[Tensor]:
    """Are (i, P_k) and (k, j) marked for some node k that does not point to itself?"""
    first = pointer_BNN.diagonal(dim1=1, dim2=2).unsqueeze(1) > 0.5
    into = shift(e_BNN, pointer_BNN)[1].masked_fill(first, 0.0)
    return [((into @ e_BNN) > 0.5).to(e_BNN.dtype)]


def by_way_against_edge(w_BNN: Tensor, mark_BN: Tensor) -> list[Tensor]:
    """Exactly: programs over pairs make so many of these comparisons that some gaps are as small as roundings."""
    return compared(by_way(w_BNN, mark_BN), w_BNN, exactly=True)


def pair_places(pos_BN: Tensor) -> Tensor:
    """The places [B, N, N] of pairs in the order of their first node, then of their second, in either direction."""
    rank_BN = pos_BN.argsort(1).argsort(1)
    one, other = rank_BN.unsqueeze(2), rank_BN.unsqueeze(1)
    return torch.minimum(one, other) * pos_BN.shape[1] + torch.maximum(one, other)


def edge_against_marked(w_BNN: Tensor, m_BN: Tensor, n_BN: Tensor, pos_BN: Tensor | None = None) -> list[Tensor]:
    """w_ij against w of the edge between two marks, and whether it is the next above; where they are one node, all are.

    Of equal edges those come first whose earlier end does, by `pos` or else by index, then those whose later end does,
    as in a list of edges that is sorted by weight; the two directions of an edge have one place. An absent edge (0) and
    a self-loop are never next.
    """
    nodes = w_BNN.shape[1]
    place_BNN = pair_places(torch.arange(nodes, device=w_BNN.device).view(1, -1) if pos_BN is None else pos_BN)
    pair_BNN = m_BN.unsqueeze(2) * n_BN.unsqueeze(1)
    marked, place = ((pair_BNN * of).sum((1, 2), keepdim=True) for of in (w_BNN, place_BNN))
    same = torch.einsum("bi,bi->b", m_BN, n_BN)[:, None, None]
    marked = torch.where(same > 0.5, torch.full_like(marked, -torch.inf), marked)
    equal = w_BNN == marked
    less, more = (w_BNN < marked) | (equal & (place_BNN < place)), (w_BNN > marked) | (equal & (place_BNN > place))
    eye = torch.eye(nodes, dtype=torch.bool, device=w_BNN.device)
    above = torch.where(more & (w_BNN != 0) & ~eye, w_BNN, torch.inf)
    least = above.amin((1, 2), keepdim=True)
    first_BNN = torch.where((above == least) & (least < torch.inf), place_BNN, nodes**2)
    following = (first_BNN == first_BNN.amin((1, 2), keepdim=True)) & (first_BNN < nodes**2)
    return [one.to(w_BNN.dtype) for one in (less, more, following)]


def same(choice_BNK: Tensor) -> list[Tensor]:
    """Do i and j have the same class, or point to the same node?"""
    return [choice_BNK @ choice_BNK.transpose(1, 2)]


def pointed(pointer_BNN: Tensor) -> list[Tensor]:
    """Do i and j point to the same node; does j point to i? (That i points to j is what is encoded anyway.)"""
    return [*same(pointer_BNN), pointer_BNN.transpose(1, 2)]


def shift(w_BNN: Tensor, pointer_BNN: Tensor) -> tuple[Tensor, Tensor]:
    """w of (P_i, j) and of (i, P_j)."""
    to = pointer_BNN.argmax(-1)
    nodes = to.shape[1]
    rows = to.unsqueeze(2).expand(-1, -1, nodes)
    return w_BNN.gather(1, rows), w_BNN.gather(2, rows.transpose(1, 2))


def shifted(w_BNN: Tensor, pointer_BNN: Tensor) -> list[Tensor]:
    return list(shift(w_BNN, pointer_BNN))


def shifted_compared(w_BNN: Tensor, pointer_BNN: Tensor) -> list[Tensor]:
    return compared(*shift(w_BNN, pointer_BNN))


def sign(x: Tensor) -> list[Tensor]:
    return [(x < -ROUNDING).to(x.dtype), (x > ROUNDING).to(x.dtype)]


def node_against_graph(x_BN: Tensor, g_B: Tensor) -> list[Tensor]:
    return compared(x_BN, g_B.unsqueeze(1))


def node_and_graph_against(x_BN: Tensor, g_B: Tensor, h_B: Tensor) -> list[Tensor]:
    return compared(x_BN + g_B.unsqueeze(1), h_B.unsqueeze(1))


def neighbours_of_mark(pointer_BNN: Tensor, mark_BN: Tensor) -> list[Tensor]:
    """Is i where the marked node points; does i, if it is another node, point to the marked one?"""
    to = torch.einsum("bi,bij->bj", mark_BN, pointer_BNN)
    return [to, after(pointer_BNN, mark_BN)]


def after(pointer_BNN: Tensor, mark_BN: Tensor) -> Tensor:
    """The nodes, other than itself, that point to the marked one."""
    return torch.einsum("bij,bj->bi", pointer_BNN, mark_BN) * (1 - mark_BN)


def midway(depth_BN: Tensor, pointer_BNN: Tensor, m_BN: Tensor, n_BN: Tensor) -> list[Tensor]:
    """Is the depth of i that midway between two nodes, rounded down? Of m or the one after it, and n or the one after.

    Where none is after a mark, the mark itself counts.
    """
    places = []
    for mark_BN in (m_BN, n_BN):
        here, following = at(depth_BN, mark_BN), after(pointer_BNN, mark_BN)
        exists = following.sum(1) > 0.5
        places.append((here, torch.where(exists, at(depth_BN, following), here)))
    return [
        (depth_BN == torch.floor((one + other) / 2).unsqueeze(1)).to(depth_BN.dtype)
        for one in places[0]
        for other in places[1]
    ]


def side(x_BN: Tensor, y_BN: Tensor, m_BN: Tensor, n_BN: Tensor) -> list[Tensor]:
    """Is the point (x_i, y_i) right or left of the line from m to n?"""
    mx, my, nx, ny = (at(x, mark).unsqueeze(1) for mark in (m_BN, n_BN) for x in (x_BN, y_BN))
    return compared((nx - mx) * (y_BN - my), (ny - my) * (x_BN - mx))


def side_of_pointer(x_BN: Tensor, y_BN: Tensor, pointer_BNN: Tensor, mark_BN: Tensor) -> list[Tensor]:
    """The same of the line to a mark from where it points."""
    return side(x_BN, y_BN, torch.einsum("bi,bij->bj", mark_BN, pointer_BNN), mark_BN)


def same_mark(m_BN: Tensor, n_BN: Tensor) -> list[Tensor]:
    return [torch.einsum("bn,bn->b", m_BN, n_BN)]


def marked_compared(x_BN: Tensor, m_BN: Tensor, n_BN: Tensor) -> list[Tensor]:
    return compared(at(x_BN, m_BN), at(x_BN, n_BN))
