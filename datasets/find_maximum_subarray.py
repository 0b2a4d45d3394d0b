"""Maximum subarray by divide and conquer: in the left half, in the right half, or across the middle."""

import numba
import numpy as np

from nar.datasets.find_maximum_subarray_kadane import is_valid, oracle, prepare, sample
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import arrays
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 4.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "scalar"),
        "start": ("output", "node", "mask_one"),
        "end": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "low": ("hint", "node", "mask_one"),
        "high": ("hint", "node", "mask_one"),
        "mid": ("hint", "node", "mask_one"),
        "left_low": ("hint", "node", "mask_one"),
        "left_high": ("hint", "node", "mask_one"),
        "left_sum": ("hint", "graph", "scalar"),
        "right_low": ("hint", "node", "mask_one"),
        "right_high": ("hint", "node", "mask_one"),
        "right_sum": ("hint", "graph", "scalar"),
        "cross_low": ("hint", "node", "mask_one"),
        "cross_high": ("hint", "node", "mask_one"),
        "cross_sum": ("hint", "graph", "scalar"),
        "ret_low": ("hint", "node", "mask_one"),
        "ret_high": ("hint", "node", "mask_one"),
        "ret_sum": ("hint", "graph", "scalar"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
        "sum": ("hint", "graph", "scalar"),
        "left_x_sum": ("hint", "graph", "scalar"),
        "right_x_sum": ("hint", "graph", "scalar"),
        "phase": ("hint", "graph", "categorical", 3),
    }
)
RECURSION, SCAN_LEFT, SCAN_RIGHT = range(3)  # phases
DIVIDE, LEFT_DONE, RIGHT_DONE = range(3)  # what a call has done so far

# A `part` of the array is (low, mid, high); a subarray is (low, high, sum). Both scans from the middle begin with a sum
# 0.1 below the first element, as good as minus infinity: that element always beats it. (Beyond 1e15 or so it does not,
# and dm-clrs breaks down; here the first element is the best until a better one comes.)


@numba.njit
def snapshot(trace, pred, part, left, right, cross, best, i, j, total, left_x, right_x, phase):
    low, mid, high = part
    record(
        trace, pred, low, high, mid, left[0], left[1], left[2], right[0], right[1], right[2],
        cross[0], cross[1], cross[2], best[0], best[1], best[2], i, j, total, left_x, right_x, phase,
    )  # fmt: skip


@numba.njit
def find_max_crossing_subarray(trace, A, pred, part, left, right):
    """The best subarray across the middle; the last sum, and the best sums left and right of the middle."""
    low, mid, high = part
    unknown = (low, high, 0.0)
    left_sum, right_sum = A[mid] - 0.1, A[mid + 1] - 0.1
    max_left, max_right = mid, mid + 1

    cross = (mid, mid + 1, A[mid] + A[mid + 1] - 0.2)
    snapshot(trace, pred, part, left, right, cross, unknown, mid, mid + 1, 0.0, left_sum, right_sum, SCAN_LEFT)
    total = 0.0
    for i in range(mid, low - 1, -1):
        total += A[i]
        if total > left_sum:
            left_sum, max_left = total, i
        cross = (max_left, mid + 1, left_sum + A[mid + 1] - 0.1)
        snapshot(trace, pred, part, left, right, cross, unknown, i, mid + 1, total, left_sum, right_sum, SCAN_LEFT)

    # From here on, the reference shows the sums of the scans in place of those of the two halves.
    left = (left[0], left[1], left_sum)
    right = (right[0], right[1], right_sum)
    cross = (max_left, mid + 1, left_sum + right_sum)
    snapshot(trace, pred, part, left, right, cross, unknown, low, mid + 1, 0.0, left_sum, right_sum, SCAN_RIGHT)
    total = 0.0
    for j in range(mid + 1, high + 1):
        total += A[j]
        if total > right_sum:
            right_sum, max_right = total, j
        right = (right[0], right[1], right_sum)
        cross = (max_left, max_right, left_sum + right_sum)
        snapshot(trace, pred, part, left, right, cross, unknown, low, j, total, left_sum, right_sum, SCAN_RIGHT)
    return cross, total, left_sum, right_sum


@compiled
def find_maximum_subarray(trace, A):
    # The textbook's recursion, its calls kept in a list: numba 0.68 crashes on compiled recursion read from its cache.
    pred = arrays.predecessors(np.arange(len(A)))
    best = (0, 0, 0.0)  # what the call that ended last returned
    calls: list[tuple] = [(0, len(A) - 1, DIVIDE, best)]  # low, high, what to do now, best subarray of the left half
    while calls:
        low, high, now, left = calls.pop()
        mid = (low + high) // 2
        part = (low, mid, high)
        unknown = (low, high, 0.0)
        if low == high:
            best = (low, high, A[low])
            edge = A[low] - 0.1
            snapshot(trace, pred, part, unknown, unknown, unknown, best, low, high, 0.0, edge, edge, RECURSION)
            continue

        if now == DIVIDE:
            left, right = (low, mid, 0.0), (mid + 1, high, 0.0)
            calls.append((low, high, LEFT_DONE, left))
            calls.append((low, mid, DIVIDE, left))
        elif now == LEFT_DONE:
            left, right = best, (mid + 1, high, 0.0)
            calls.append((low, high, RIGHT_DONE, left))
            calls.append((mid + 1, high, DIVIDE, left))
        else:
            right = best
        cross = (mid, mid + 1, A[mid] + A[mid + 1] - 0.2)
        left_x, right_x = A[mid] - 0.1, A[mid + 1] - 0.1
        snapshot(trace, pred, part, left, right, cross, unknown, mid, mid + 1, 0.0, left_x, right_x, RECURSION)
        if now != RIGHT_DONE:
            continue

        cross, total, left_x, right_x = find_max_crossing_subarray(trace, A, pred, part, left, right)
        if left[2] >= right[2] and left[2] >= cross[2]:
            best = left
        elif right[2] >= left[2] and right[2] >= cross[2]:
            best = right
        else:
            best = cross
        if calls:  # the answer for the whole array is an output, not a hint
            snapshot(trace, pred, part, left, right, cross, best, low, high, total, left_x, right_x, RECURSION)
    return best[0], best[1]


def bound(n):
    """Two scans of each level's elements, a snapshot for each element alone, six around every division in two."""
    levels = (n - 1).bit_length()
    return n * levels + n + 6 * (n - 1)


algorithm = Algorithm(
    name="find_maximum_subarray",
    spec=SPEC,
    citation=CITATION,
    category="divide and conquer",
    steps=find_maximum_subarray,
    prepare=prepare,
    sampler=sample,
    bound=bound,
    oracle=oracle,
    validity=is_valid,
    recover=arrays.recover,
    pred_as_input=True,
)
