"""Lists that pointers describe: every element points to the one before it, the first to itself."""

import numpy as np


def linked_list(pointer: np.ndarray) -> np.ndarray | None:
    """The elements in the order of the list that these pointers are; None where they are not one list of all."""
    n = len(pointer)
    nodes = np.arange(n)
    first = np.flatnonzero(pointer == nodes)
    if len(first) != 1 or len(np.unique(pointer[pointer != nodes])) != n - 1:
        return None
    successor = np.full(n, -1)
    successor[pointer[pointer != nodes]] = nodes[pointer != nodes]
    order = [int(first[0])]
    while successor[order[-1]] >= 0:
        order.append(int(successor[order[-1]]))
    return np.array(order) if len(order) == n else None  # the rest runs in a circle
