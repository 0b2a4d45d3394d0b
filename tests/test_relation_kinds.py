"""Order relations of numbers: every kind by hand, and which see the order alone."""

import itertools

import numpy as np
import pytest
import torch
from naive import F64

from nar.model.options import relation_kinds as kinds


def t(*rows):
    """One graph."""
    return torch.tensor([rows if len(rows) > 1 else rows[0]], dtype=F64)


def one_hot(*index, nodes=None):
    """Marks or pointers of one graph."""
    return torch.nn.functional.one_hot(torch.tensor([index]), nodes or len(index)).to(F64)


def mark(node, nodes):
    return one_hot(node, nodes=nodes)[:, 0]


def found(channels):
    return [channel[0].int().tolist() for channel in channels]


def test_comparisons_allow_for_the_roundings_of_sums():
    a = torch.tensor([1.0, 1.0, 1.0, -1.0, 0.0, 1e6])
    b = torch.tensor([1 + 1e-6, 1 + 4e-6, 1 - 4e-6, 1.0, 1e-30, 1e6 + 1])
    assert [part.tolist() for part in kinds.compared(a, b)] == [[0, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0]]
    assert kinds.compared(a, b, exactly=True)[0].tolist() == [1, 1, 0, 1, 1, 1]
    assert found(kinds.sign(t(-2.0, -1e-7, 0.0, 1e-7, 2.0))) == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    tenth = sum([0.1] * 10)
    assert tenth != 1.0 and found(kinds.compared(t(tenth), t(1.0))) == [0, 0]


def test_order_with_ties():
    """2, 1, 2, 5: next above 1 are both 2, next above each 2 is 5, above 5 nobody."""
    less, more, follows, back = found(kinds.ordered(t(2.0, 1.0, 2.0, 5.0)))
    assert less == [[0, 0, 0, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert more == np.transpose(less).tolist()
    assert follows == [[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert back == np.transpose(follows).tolist()
    assert found(kinds.less_or_more(t(2.0, 1.0, 2.0, 5.0))) == [less, more]
    assert found([kinds.next_above(t(3.0, 3.0))]) == [[[0, 0], [0, 0]]]
    # numbers of one node are compared exactly, however close they are
    near = torch.tensor([[1.0, 1.0]]).nextafter(torch.tensor([[1.0, 2.0]]))
    assert found(kinds.ordered(near))[0] == [[0, 1], [0, 0]]


def test_order_across_two_numbers():
    less, more, reverse_less, reverse_more = found(kinds.ordered_across(t(1.0, 4.0), t(2.0, 1.0)))
    assert (less, more) == ([[1, 0], [0, 0]], [[0, 0], [1, 1]])
    assert reverse_less == [[0, 1], [0, 1]]  # y_i < x_j: 2 < 4, 1 < 4
    assert reverse_more == [[1, 0], [0, 0]]  # y_i > x_j: 2 > 1


def test_relaxation_along_an_edge():
    """x = 0, 3, 7 with edges 0 -> 1 of 3, 0 -> 2 of 6, 1 -> 2 of 5: the way by 0 to 2 is better, to 1 as good."""
    w = t([0.0, 3, 6], [0, 0, 5], [0, 0, 0])
    x = t(0.0, 3.0, 7.0)
    less, more, less_back, more_back, *alone = found(kinds.along(x, w))
    assert less == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert more == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert less_back == np.transpose(less).tolist() and more_back == np.transpose(more).tolist()
    for i, j in itertools.product(range(3), repeat=2):
        assert alone[0][i][j] == alone[2][j][i] == (w[0, i, j] < x[0, j])
        assert alone[1][i][j] == alone[3][j][i] == (w[0, i, j] > x[0, j])
    # what was x_j computed from is no longer below it, although sums in another order differ
    x_j = torch.tensor([0.1, 0.1 + 0.2 + 0.3], dtype=torch.float32).view(1, 2)
    way = torch.tensor([[0.0, 0.5], [0, 0]]).view(1, 2, 2)
    assert [channel[0, 0, 1].item() for channel in kinds.along(x_j, way)[:2]] == [0, 0]


def test_both_ways():
    assert found(kinds.both_ways(t([0.0, 3], [1, 0]))) == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]


def test_by_way_of_a_mark():
    w = t([0.0, 9, 2], [1, 0, 4], [3, 5, 0])
    sums = kinds.by_way(w, mark(2, 3))
    for i, j in itertools.product(range(3), repeat=2):
        assert sums[0, i, j] == w[0, i, 2] + w[0, 2, j]
    assert found(kinds.by_way_against_edge(w, mark(2, 3))) == [
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
    ]


def test_edges_against_the_marked_edge():
    """Self-loops and absent edges are compared, but are never the next above."""
    w = t([2.5, 1, 2], [4, 0, 3], [2, 0, 9])
    less, more, following = found(kinds.edge_against_marked(w, mark(0, 3), mark(2, 3)))  # against 2
    assert less == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert more == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert following == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # 3, not the self-loop of 2.5
    less, more, following = found(kinds.edge_against_marked(w, mark(1, 3), mark(1, 3)))  # of no edge: before all
    assert less == [[0] * 3] * 3 and more == [[1] * 3] * 3
    assert following == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found(kinds.edge_against_marked(w, mark(1, 3), mark(0, 3)))[2] == [[0] * 3] * 3  # 4 is the largest
    equal = t([0.0, 2], [2, 0])
    assert found(kinds.edge_against_marked(equal, mark(1, 2), mark(1, 2)))[2] == [[0, 1], [1, 0]]  # both of two ends


def test_of_equal_edges_the_first_comes_first():
    """All three weigh the same: in the order (0, 1), (0, 2), (1, 2), or of positions, in which 2 is the first node."""
    w = t([0, 5, 5], [5, 0, 5], [5, 5, 0.0])
    of_two, pos = (mark(0, 3), mark(2, 3)), torch.tensor([[0.3, 0.7, 0.1]], dtype=w.dtype)
    less, more, following = found(kinds.edge_against_marked(w, *of_two))
    assert less == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]  # absent edges and self-loops of weight 0 are less
    assert more == following == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    less, more, following = found(kinds.edge_against_marked(w, *of_two, pos))
    assert more == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]  # (2, 1) and then (0, 1)
    assert following == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    last = kinds.edge_against_marked(w, mark(0, 3), mark(1, 3), pos)
    assert found(last)[1:] == [[[0] * 3] * 3] * 2


def test_same_class_and_same_target():
    assert found(kinds.same(one_hot(2, 0, 2, nodes=3))) == [[[1, 0, 1], [0, 1, 0], [1, 0, 1]]]
    assert [found(kinds.same_mark(mark(1, 3), mark(other, 3))) for other in range(3)] == [[0], [1], [0]]


def test_shifts_along_a_list():
    """P = 0, 0, 1: every node points to the one before it."""
    w, p = t([1.0, 2, 3], [4, 5, 6], [7, 8, 9]), one_hot(0, 0, 1)
    assert found(kinds.shift(w, p)) == [[[1, 2, 3], [1, 2, 3], [4, 5, 6]], [[1, 1, 2], [4, 4, 5], [7, 7, 8]]]
    assert found(kinds.shifted(w, p)) == found(kinds.shift(w, p))
    above, left = kinds.shift(w, p)
    assert found(kinds.shifted_compared(w, p)) == [(above < left)[0].int().tolist(), (above > left)[0].int().tolist()]


@pytest.mark.parametrize(
    ("pointers", "depths"),
    [
        ([0, 0, 1, 2, 3], [0, 1, 2, 3, 4]),
        ([1, 2, 3, 4, 4], [4, 3, 2, 1, 0]),
        ([2, 2, 2, 0, 3], [1, 1, 0, 2, 3]),  # a tree
        ([0, 1, 1, 0, 3], [0, 0, 1, 1, 2]),  # a forest
        ([0], [0]),
    ],
)
def test_depths_in_lists_and_trees(pointers, depths):
    assert found([kinds.depth(one_hot(*pointers))]) == [depths]


def test_depths_on_cycles_are_beyond_all_others():
    depths = kinds.depth(one_hot(1, 2, 0, 0, 4))[0]
    assert (depths[:4] >= 4).all() and depths[4] == 0


def test_numbers_against_those_of_the_graph():
    x, g, h = t(1.0, 2.0, 3.0), torch.tensor([2.0], dtype=F64), torch.tensor([4.0], dtype=F64)
    assert found(kinds.node_against_graph(x, g)) == [[1, 0, 0], [0, 0, 1]]
    assert found(kinds.node_and_graph_against(x, g, h)) == [[1, 0, 0], [0, 0, 1]]
    assert found(kinds.marked_compared(x, mark(0, 3), mark(2, 3))) == [1, 0]
    assert found(kinds.marked_compared(x, mark(2, 3), mark(2, 3))) == [0, 0]


def test_neighbours_of_a_mark():
    p = one_hot(0, 0, 1, 1)
    assert found(kinds.neighbours_of_mark(p, mark(1, 4))) == [[1, 0, 0, 0], [0, 0, 1, 1]]
    assert found(kinds.neighbours_of_mark(p, mark(0, 4))) == [[1, 0, 0, 0], [0, 1, 0, 0]]  # not itself
    assert found(kinds.neighbours_of_mark(p, mark(3, 4)))[1] == [0, 0, 0, 0]


def test_midway_along_a_list():
    """Six nodes in a list, node i at place i; the one after the last mark is the mark itself."""
    p = one_hot(0, 0, 1, 2, 3, 4)
    depth = kinds.depth(p)

    def places(m, n):
        return [row.index(1) if sum(row) == 1 else row for row in found(kinds.midway(depth, p, mark(m, 6), mark(n, 6)))]

    assert places(0, 4) == [2, 2, 2, 3]  # of 0 and 4, 0 and 5, 1 and 4, 1 and 5, rounded down
    assert places(1, 2) == [1, 2, 2, 2]
    assert places(2, 5) == [3, 3, 4, 4]  # nothing comes after 5
    assert places(5, 5) == [5, 5, 5, 5]


def test_sides_of_a_line():
    """From (0, 0) to (0, 2), upwards: (1, 5) is on the right, (-1, 1) on the left, (0, 9) on it."""
    x, y = t(0.0, 0.0, 1.0, -1.0, 0.0), t(0.0, 2.0, 5.0, 1.0, 9.0)
    right, left = found(kinds.side(x, y, mark(0, 5), mark(1, 5)))
    assert (right, left) == ([0, 0, 1, 0, 0], [0, 0, 0, 1, 0])
    assert found(kinds.side(x, y, mark(1, 5), mark(0, 5))) == [left, right]
    p = one_hot(3, 0, 2, 3, 4)  # 1 points to 0: the line from 0 to 1
    assert found(kinds.side_of_pointer(x, y, p, mark(1, 5))) == [right, left]


def test_only_order_matters_where_numbers_are_compared_as_they_are():
    """Any strictly rising map of all numbers leaves these as they are; a common shift, the ways along edges, too."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randint(-9, 9, (4, 5), generator=generator).double() for _ in range(2))
    w = torch.randint(-9, 9, (4, 5, 5), generator=generator).double()
    g = x[:, 2]
    m, n = one_hot(3, 1, 0, 4, nodes=5)[0], one_hot(2, 2, 0, 1, nodes=5)[0]
    for rising in (lambda z: z**3, lambda z: torch.exp(z / 4), lambda z: z + 100):
        for kind, operands in (
            (kinds.ordered, (x,)), (kinds.ordered_across, (x, y)), (kinds.node_against_graph, (x, g)),
            (kinds.both_ways, (w,)), (kinds.compared, (w, w.flip(1))),
        ):  # fmt: skip
            for before, after in zip(kind(*operands), kind(*map(rising, operands)), strict=True):
                assert torch.equal(before, after), kind
        for before, after in zip(kinds.marked_compared(x, m, n), kinds.marked_compared(rising(x), m, n), strict=True):
            assert torch.equal(before, after)
    for before, after in zip(kinds.along(x, w)[:4], kinds.along(x + 8, w)[:4], strict=True):
        assert torch.equal(before, after)
    for before, after in zip(kinds.side(x, y, m, n), kinds.side(2 * x + 8, 2 * y - 16, m, n), strict=True):
        assert torch.equal(before, after)
