"""C's memory allocator in processes that belong to nar: what is freed is kept for the next tensors.

A step frees tensors of megabytes and asks for as many again. glibc gives the free end of its heap back to the system
whenever it is larger than twice the largest block that was freed so far, and the system then clears every page anew: of
a step on a sparse graph of 3,000 nodes that takes two thirds of the time (benchmarks/allocator.py). Kept, such a
process stays as large as it was at its largest. It is the caller's process that is set up so, hence the command line
and the processes it starts do it, and no function of the library.
"""

import contextlib
import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**31 - 1  # bytes at the end of the heap: the most that mallopt takes
LARGE = 32 * 2**20  # blocks from this size on are the system's from the start: the most that mallopt takes


def keep_freed_memory() -> bool:
    """For the rest of this process; False where the allocator is not glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_MMAP_THRESHOLD, LARGE))
    return False
