"""Batches drawn ahead of time and on their way to the device, and how long the training waits for them.

What is drawn is a pure function of its number, so that neither the count of worker processes nor the death of one
changes anything.
"""

import collections
import contextlib
import pickle
import signal
import sys
import time
import types
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

import torch

from nar.model.batch import Batch
from nar.system import collector

AHEAD = 2  # batches that wait on the device, and that each worker process may be ahead
ATTEMPTS = 3  # workers that may die one after the other before anything more is drawn

StepBatches = list[list[Batch]]  # of one step: by task, of every seed


class Prefetcher:
    """`draw(number)` for every number, in order, on the device. `waited`: seconds that the taker spent waiting for it.

    Without `workers`, on a CPU, batches are drawn when they are asked for. Else a thread takes them from the worker
    processes; on a GPU it copies them through pinned memory on a stream of its own, while the steps before are
    computed.
    """

    def __init__(self, draw: Callable[[int], StepBatches], numbers: range, device: torch.device, workers: int) -> None:
        self.batches, self.device, self.waited = drawn(draw, numbers, workers), device, 0.0
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.thread = ThreadPoolExecutor(1) if self.stream is not None or workers else None
        self.ahead = collections.deque(self.thread.submit(self._fetch) for _ in range(AHEAD) if self.thread is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.thread is not None:
            self.thread.shutdown(cancel_futures=True)
        self.batches.close()

    def next(self) -> StepBatches:
        """The batches of the next number; raises what drawing them raised."""
        began = time.perf_counter()
        try:
            return next(self.batches) if self.thread is None else self._take(self.thread)
        finally:
            self.waited += time.perf_counter() - began

    def _take(self, thread: ThreadPoolExecutor) -> StepBatches:
        self.ahead.append(thread.submit(self._fetch))
        batches, copied = self.ahead.popleft().result()
        if copied is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(copied)
            map_batches(batches, lambda batch: batch.used_on(stream))
        return batches

    def _fetch(self) -> tuple[StepBatches, Any]:
        """In the thread: the next batches, and the end of their way to a GPU."""
        batches = next(self.batches)
        if self.stream is None:
            return batches, None
        with torch.cuda.stream(self.stream):
            batches = map_batches(batches, lambda batch: batch.pinned().to(self.device, non_blocking=True))
            return batches, self.stream.record_event()


def map_batches(batches: StepBatches, do: Callable[[Batch], Batch]) -> StepBatches:
    """The same lists of what `do` makes of every batch."""
    return [[do(batch) for batch in of_seeds] for of_seeds in batches]


def drawn(draw: Callable[[int], Any], numbers: range, workers: int) -> Generator[Any]:
    """`draw(number)` for every number, in order: here where `workers` is 0, else by so many processes ahead of time.

    `draw` must pickle. What it raises is raised here, with its traceback in the message. Where a process dies, all
    start again from the number that is waited for: with this one alone, for a death also takes along what was drawn
    and not yet handed over.
    """
    done = deaths = 0
    while done < len(numbers):
        loader = _loader(draw, numbers[done : done + 1] if deaths else numbers[done:], workers)
        with contextlib.nullcontext() if _is_of_main(draw) else _main_left_out():
            batches = iter(loader)
        try:
            for batch in batches:
                yield batch
                done, deaths = done + 1, 0
        except RuntimeError as error:
            deaths += 1
            if not str(error).startswith("DataLoader worker"):
                raise
            reason = f"a process that draws batches died, waited for at step {numbers[done]} (out of memory?)"
            if deaths == ATTEMPTS:
                raise ChildProcessError(
                    f"{reason}, {deaths} times; --resume goes on from the last checkpoint"
                ) from error
            print(f"{reason}; they are drawn again", file=sys.stderr)
        finally:
            del batches  # which ends its processes


def _loader(draw: Callable[[int], Any], numbers: range, workers: int) -> Any:
    if workers == 0:
        return map(draw, numbers)
    from torch.utils.data import DataLoader

    return DataLoader(
        numbers,  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=draw,  # type: ignore[arg-type]
        num_workers=min(workers, len(numbers)),
        prefetch_factor=AHEAD,
        multiprocessing_context="spawn",  # a fork would copy threads' locks and a CUDA context
        worker_init_fn=_set_up,
        generator=torch.Generator(),  # else it draws from the one that the training seeds
    )


@contextlib.contextmanager
def _main_left_out() -> Iterator[None]:
    """While it lasts, processes that are spawned do not run the program's own file again: a script that trains needs no
    `__main__` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _is_of_main(draw: Callable[[int], Any]) -> bool:
    """Does it need what the program's own file defines, such as an algorithm? Then that file is run again, and needs
    the guard."""
    try:
        with _main_left_out():
            ForkingPickler.dumps(draw)
    except (AttributeError, pickle.PicklingError):
        return True
    return False


def _set_up(_: int) -> None:
    """A process that draws: it leaves Ctrl-C to the one that trains, which waits until it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collector.no_search_at_the_end()
