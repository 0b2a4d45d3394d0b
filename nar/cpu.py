"""Compiled CPU kernels (numba) for operations that PyTorch would spread over many passes through memory.

Every kernel has a plain PyTorch twin with which the tests compare values and gradients. A kernel handles a range of
graphs on one thread and releases the interpreter's lock; large batches are cut into one range per PyTorch thread.
(numba's own parallel loops keep idle threads spinning, which made everything around them ten times slower.)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from torch import Tensor

PARALLEL_FROM = 2**24  # operations below which cutting a batch into threads costs more than it saves
FLOAT_RULES = {"nsz", "arcp", "contract"}  # what the compiler may assume; NaN and infinity are kept

_pool: ThreadPoolExecutor | None = None


def over_graphs(kernel: Callable, graphs: int, operations: int, *arrays: np.ndarray) -> None:
    """Run `kernel(first, last, *arrays)` for all graphs, side by side on PyTorch's number of threads where it pays."""
    global _pool
    threads = min(torch.get_num_threads(), graphs)
    if threads == 1 or operations < PARALLEL_FROM:
        kernel(0, graphs, *arrays)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor()
    bounds = [graphs * t // threads for t in range(threads + 1)]
    list(_pool.map(lambda t: kernel(bounds[t], bounds[t + 1], *arrays), range(threads)))


@numba.njit(cache=True, nogil=True, fastmath=FLOAT_RULES)
def _max_plus(first, last, left, right, best, where):
    senders, rows, width = left.shape[1:]
    columns = right.shape[2]
    for b in range(first, last):
        for j in range(rows):
            for k in range(columns):
                for f in range(width):
                    best[b, j, k, f] = left[b, 0, j, f] + right[b, 0, k, f]
                    where[b, j, k, f] = 0
        for i in range(1, senders):
            for j in range(rows):
                for k in range(columns):
                    for f in range(width):
                        candidate = left[b, i, j, f] + right[b, i, k, f]
                        if candidate > best[b, j, k, f]:
                            best[b, j, k, f] = candidate
                            where[b, j, k, f] = i


@numba.njit(cache=True, nogil=True)
def _max_plus_backward(first, last, grad, where, left, right):
    rows, columns, width = grad.shape[1:]
    for b in range(first, last):
        for j in range(rows):
            for k in range(columns):
                for f in range(width):
                    i = where[b, j, k, f]
                    left[b, i, j, f] += grad[b, j, k, f]
                    right[b, i, k, f] += grad[b, j, k, f]


def max_plus(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """See nar.aggregate.max_plus; returns the product and the sender [B, N, N, F] that gave each maximum."""
    left, right = left.detach().contiguous(), right.detach().contiguous()
    graphs, senders, rows, width = left.shape
    best = left.new_empty(graphs, rows, right.shape[2], width)
    where = torch.empty(best.shape, dtype=torch.int16)
    arrays = [tensor.numpy() for tensor in (left, right, best, where)]
    over_graphs(_max_plus, graphs, best.numel() * senders, *arrays)
    return best, where


def max_plus_backward(grad: Tensor, where: Tensor, senders: int) -> tuple[Tensor, Tensor]:
    """Gradients of both factors: each entry's gradient goes to the sender that gave its maximum."""
    grad = grad.contiguous()
    graphs, rows, columns, width = grad.shape
    left, right = grad.new_zeros(graphs, senders, rows, width), grad.new_zeros(graphs, senders, columns, width)
    arrays = [tensor.numpy() for tensor in (grad, where, left, right)]
    over_graphs(_max_plus_backward, graphs, grad.numel(), *arrays)
    return left, right
