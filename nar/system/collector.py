"""Python's garbage collector in processes that belong to nar: what was imported is not searched for garbage.

PyTorch, numba and nar are objects without number that stay as long as the process does. To search them for garbage
again and again while they are imported, and once more when the process ends, takes a good part of the time that a
process needs to start and end; what it still has then goes back to the system in any case. As with the allocator, the
command line and the processes it starts do it, and no function of the library.
"""

import atexit
import contextlib
import gc
from collections.abc import Iterator


def no_search_at_the_end() -> None:
    """For this process: when it ends, garbage that was not found before is left to the system."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """For imports: while it lasts, no garbage is searched for."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
