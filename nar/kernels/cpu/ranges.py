"""Compiled CPU kernels (numba) for operations that PyTorch would spread over many passes through memory.

Every kernel has a plain PyTorch twin with which the tests compare values and gradients. A kernel handles the graphs
`first` to `last` on one thread and releases the interpreter's lock. Work that is worth it is cut into one range of
graphs per PyTorch thread, and what is summed over graphs goes to one slot per range. Within a range every operation
stays on its thread: matrix products of a few graphs are too small to be shared, ranges of graphs are not. (numba's own
parallel loops keep idle threads spinning, which made everything around them ten times slower.)

Here are the max-plus product and how ranges are run; the kernels behind fused.py are in messages.py and
pointers.py.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.traces.record import compiled

PARALLEL_FROM = 2**21  # numbers in the largest array below which cutting a batch costs more than it saves
SAFE = {"nsz", "arcp", "contract"}  # what the compiler may assume; NaN and infinity are kept
SUMS = SAFE | {"reassoc"}  # and, where numbers are added up, in any order


def usable(*tensors: Tensor) -> bool:
    """Can compiled CPU kernels take these tensors? Others go the plain way."""
    return (
        all(t.device.type == "cpu" for t in tensors)
        and {t.dtype for t in tensors} in ({torch.float32}, {torch.float64})
        and not torch.compiler.is_compiling()
    )


def partials(*shape: int, like: Tensor) -> Tensor:
    """Zeros [threads, *shape]: one slot per range of graphs for what is summed over graphs."""
    return like.new_zeros(torch.get_num_threads(), *shape)


def total(slots: Tensor) -> Tensor:
    """The sum of what `partials` gave room for."""
    return slots[0] if len(slots) == 1 else slots.sum(0)


def in_ranges(work: Callable[[int, int, int], None], graphs: int, numbers: int) -> None:
    """`work(first, last, slot)` over all graphs: at once, or where `numbers` are many, a range per thread.

    `work` may use kernels and PyTorch operations that write into given memory; it runs without gradients.
    """
    threads = min(torch.get_num_threads(), graphs)
    if threads <= 1 or numbers < PARALLEL_FROM:
        work(0, graphs, 0)
        return
    bounds = [graphs * t // threads for t in range(threads + 1)]
    before, pool = torch.get_num_threads(), _threads()
    others = [pool.submit(work, bounds[t], bounds[t + 1], t) for t in range(1, threads)]
    torch.set_num_threads(1)  # of this thread, for its own range
    try:
        with torch.no_grad():
            work(bounds[0], bounds[1], 0)
    finally:
        for other in others:
            other.result()
        torch.set_num_threads(before)


def run(kernel: Callable[..., None], numbers: int, *tensors: Tensor) -> None:
    """`kernel(first, last, *arrays)` over all graphs of the tensors, `in_ranges`."""
    given = arrays(*tensors)
    in_ranges(lambda first, last, _: kernel(first, last, *given), len(tensors[0]), numbers)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), initializer=_settle)


def _settle() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.set_flush_denormal(True)  # see nar/device.py


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but not its threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


def arrays(*tensors: Tensor) -> Any:
    """The same memory for kernels."""
    return [(t.detach() if t.requires_grad else t).numpy() for t in tensors]


LANES = 64  # columns of a max-plus product that are found together; a constant, so that the compiler needs no rest


@compiled(nogil=True, fastmath=SAFE)
def _max_plus(first, last, left, right, best, where):
    """`where` may be empty: then only the maxima are found."""
    senders, rows, width = left.shape[1:]
    columns = right.shape[2]
    keep = where.shape[0] > 0
    groups = (columns + LANES - 1) // LANES
    turned = np.zeros((groups, senders, LANES), right.dtype)  # columns last: they are many, features are few
    own = np.empty((rows, senders), left.dtype)
    value = np.empty(LANES, right.dtype)
    index = np.empty(LANES, np.int32)
    for b in range(first, last):
        for f in range(width):
            for i in range(senders):
                for j in range(rows):
                    own[j, i] = left[b, i, j, f]
                for k in range(columns):
                    turned[k // LANES, i, k % LANES] = right[b, i, k, f]
            for group in range(groups):
                other = turned[group]
                here = slice(group * LANES, min(columns, (group + 1) * LANES))
                for j in range(rows):
                    for k in range(LANES):
                        value[k] = own[j, 0] + other[0, k]
                        index[k] = 0
                    if keep:
                        for i in range(1, senders):
                            for k in range(LANES):
                                candidate = own[j, i] + other[i, k]
                                better = (candidate > value[k]) | (candidate != candidate)  # NaN wins
                                value[k] = candidate if better else value[k]
                                index[k] = i if better else index[k]
                        chosen = where[b, j, here]
                        for k in range(chosen.shape[0]):
                            chosen[k, f] = index[k]
                    else:
                        for i in range(1, senders):
                            for k in range(LANES):
                                candidate = own[j, i] + other[i, k]
                                better = (candidate > value[k]) | (candidate != candidate)
                                value[k] = candidate if better else value[k]
                    found = best[b, j, here]
                    for k in range(found.shape[0]):
                        found[k, f] = value[k]


@compiled(nogil=True)
def _max_plus_backward(first, last, grad, where, left, right):
    rows, columns, width = grad.shape[1:]
    for b in range(first, last):
        for j in range(rows):
            for k in range(columns):
                for f in range(width):
                    i = where[b, j, k, f]
                    left[b, i, j, f] += grad[b, j, k, f]
                    right[b, i, k, f] += grad[b, j, k, f]


def max_plus(left: Tensor, right: Tensor, *, keep: bool = True) -> tuple[Tensor, Tensor]:
    """See nar.nn.reductions.max_plus; returns the product and the sender [B, N, N, F] that gave each maximum.

    Without `keep` the latter is empty.
    """
    left, right = left.detach().contiguous(), right.detach().contiguous()
    best = left.new_empty(left.shape[0], left.shape[2], right.shape[2], left.shape[3])
    where = torch.empty(best.shape if keep else (0, 0, 0, 0), dtype=torch.int16)
    run(_max_plus, best.numel() * left.shape[1] // 4, left, right, best, where)
    return best, where


def max_plus_backward(grad: Tensor, where: Tensor, senders: int) -> tuple[Tensor, Tensor]:
    """Gradients of both factors: each entry's gradient goes to the sender that gave its maximum."""
    grad = grad.contiguous()
    graphs, rows, columns, width = grad.shape
    left, right = grad.new_zeros(graphs, senders, rows, width), grad.new_zeros(graphs, senders, columns, width)
    run(_max_plus_backward, 2 * grad.numel(), grad, where, left, right)
    return left, right
