"""Sorting and searching step by step: traces worked out by hand, one element alone, where equal numbers go."""

from inputs import hint_rows, run


def test_bubble_sort_step_by_step():
    assert hint_rows(run("bubble_sort", [3, 1, 2])) == [
        # pred_h   i  j
        [[0, 0, 1], 0, 0],
        [[0, 0, 1], 0, 2],  # 1 and 2 are in order
        [[1, 1, 0], 1, 0],  # 1 3 2
        [[2, 1, 1], 2, 0],  # 1 2 3
    ]


def test_heapsort_step_by_step():
    assert hint_rows(run("heapsort", [1, 3, 2])) == [
        # pred_h    parent    i  j  largest, heap_size, phase
        [[0, 0, 1], [0, 0, 0], 2, 2, 2, 2, 0],
        [[0, 0, 1], [0, 0, 0], 2, 2, 2, 2, 0],  # leaves
        [[0, 0, 1], [0, 0, 0], 1, 1, 1, 2, 0],
        [[1, 1, 0], [1, 1, 1], 1, 1, 0, 2, 0],  # 3 1 2: the root sinks
        [[1, 1, 0], [1, 1, 1], 1, 0, 0, 2, 0],
        [[2, 0, 2], [2, 1, 2], 2, 1, 0, 0, 1],  # 2 1 | 3
        [[2, 0, 2], [2, 1, 2], 1, 2, 2, 0, 2],
        [[0, 2, 0], [0, 1, 2], 0, 2, 0, 0, 1],  # 1 | 2 3
        [[0, 2, 0], [0, 1, 2], 2, 0, 0, 0, 2],
    ]


def test_quicksort_step_by_step():
    assert hint_rows(run("quicksort", [2, 3, 1])) == [
        # pred_h   p  r  i  j
        [[0, 0, 1], 0, 2, 0, 0],
        [[0, 0, 1], 0, 2, 0, 1],
        [[1, 2, 2], 2, 0, 2, 0],  # 1 | 3 2
        [[1, 2, 2], 1, 0, 1, 1],
        [[2, 0, 2], 0, 1, 0, 1],  # 1 2 3
    ]


def test_quicksort_sorts_the_left_part_first():
    trace = run("quicksort", [2, 1, 4, 5, 3])  # partitioned: 2 1 | 3 | 5 4; then 1 2, then 4 5
    assert trace.compact["p"].tolist() == [0, 0, 0, 0, 0, 0, 1, 3, 2]
    assert trace.compact["r"].tolist() == [4, 4, 4, 4, 2, 1, 0, 2, 3]


def test_quickselect_step_by_step():
    trace = run("quickselect", [2, 3, 1])
    third = 1 / 3
    assert hint_rows(trace) == [
        # pred_h   p  r  i  j  i_rank, target, pivot
        [[0, 0, 1], 0, 2, 0, 0, 0, third, 2],
        [[0, 0, 1], 0, 2, 0, 1, 0, third, 2],
        [[1, 2, 2], 2, 0, 2, 0, 0, third, 2],  # 1 | 3 2: the median is on the right, of rank 0 there
        [[1, 2, 2], 1, 0, 1, 1, third, 0, 0],
        [[2, 0, 2], 0, 1, 0, 1, 0, 0, 0],
    ]
    assert trace.compact["median"] == 0


def test_binary_search_step_by_step():
    trace = run("binary_search", 4, [1, 3, 5, 7])
    pred = [0, 0, 1, 2]
    assert hint_rows(trace) == [[pred, 0, 3, 1], [pred, 2, 3, 2], [pred, 2, 2, 2]]  # low, high, mid
    assert (trace.compact["return"], trace.compact["target"]) == (2, 4)


def test_one_element_is_one_moment():
    """dm-clrs's quicksort records nothing here and fails."""
    assert hint_rows(run("quicksort", [5])) == [[[0], 0, 0, 0, 0]]
    assert hint_rows(run("bubble_sort", [5])) == [[[0], 0, 0]]
    assert hint_rows(run("quickselect", [5])) == [[[0], 0, 0, 0, 0, 0, 0, 0]]
    assert hint_rows(run("binary_search", 9, [5])) == [[[0], 0, 0, 0]]


def test_equal_numbers_go_where_the_textbook_puts_them():
    """Bubble sort is stable; a pivot goes behind its equals; the root of a heap goes behind its equals."""
    assert run("bubble_sort", [2, 1, 2, 1]).compact["pred"].tolist() == [3, 1, 0, 1]  # order 1, 3, 0, 2
    assert run("quicksort", [1, 1, 1]).compact["pred"].tolist() == [0, 0, 1]
    assert run("quickselect", [1, 1, 1, 1]).compact["median"] == 2
    assert run("heapsort", [1, 1]).compact["pred"].tolist() == [1, 1]
