"""The most memory that was in use while something ran, measured without changing what others measure.

On a GPU PyTorch's own count of allocated bytes. On a CPU the resident memory of the whole process, with Python, PyTorch
(about 300 MB) and the data: on Linux looked at every few milliseconds, so that a shorter peak may be missed, elsewhere
the largest since the process began. The system's own mark of the largest is not reset, as others may read it.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

INTERVAL = 0.005  # seconds between two looks
STATM = Path("/proc/self/statm")


class PeakMemory:
    """`with peak.watched(): ...`, any number of times; `peak.megabytes` is the largest of all (10^6 bytes).

    None where it cannot be measured, and before anything was watched.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.megabytes: float | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            yield
            self._add(torch.cuda.max_memory_allocated(self.device))
        elif STATM.is_file():
            done = threading.Event()
            watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
            watcher.start()
            try:
                yield
            finally:
                done.set()
                watcher.join()
        else:
            yield
            with contextlib.suppress(ImportError):  # Windows says nothing
                import resource

                self._add(
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                )

    def _watch(self, done: threading.Event) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        waiting = True
        while waiting:  # once more after the end
            waiting = not done.wait(INTERVAL)
            self._add(int(STATM.read_text(encoding="utf-8").split()[1]) * page)

    def _add(self, found: int) -> None:
        self.megabytes = max(self.megabytes or 0.0, found / 1e6)
