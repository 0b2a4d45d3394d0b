"""Batches on their way to the device, and how long the training waits for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import torch

from nar.model.batch import Batch

AHEAD = 2  # batches that a GPU's feed has on the device beforehand

Items = list[list[Batch]]  # of one step: by task, of every seed


class Feed:
    """The items of a generator on the device, in order. `waited`: seconds that the taker spent waiting for them.

    On a GPU a thread takes them from the generator and copies them through pinned memory on a stream of its own, while
    the steps before are computed. On a CPU they are made when they are asked for.
    """

    def __init__(self, items: Generator[Items], device: torch.device) -> None:
        self.items, self.device, self.waited = items, device, 0.0
        self.thread: threading.Thread | None = None
        if device.type == "cuda":
            self.ready: queue.Queue = queue.Queue(AHEAD)
            self.stop = threading.Event()
            self.stream = torch.cuda.Stream(device)
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        if self.thread is not None:
            self.stop.set()
            self.thread.join()
        self.items.close()

    def next(self) -> Items:
        """The next item; raises what making it raised."""
        began = time.perf_counter()
        try:
            return self._take() if self.thread is not None else each(next(self.items), lambda b: b.to(self.device))
        finally:
            self.waited += time.perf_counter() - began

    def _take(self) -> Items:
        item, copied, error = self.ready.get()
        if error is not None:
            raise error
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(copied)
        each(item, lambda batch: batch.used_on(stream))
        return item

    def _run(self) -> None:
        for item, error in _until_failure(self.items):
            copied = None
            if error is None:
                try:
                    with torch.cuda.stream(self.stream):
                        item = each(item, lambda batch: batch.pinned().to(self.device, non_blocking=True))
                        copied = self.stream.record_event()
                except Exception as failure:  # no memory, above all
                    item, error = None, failure
            while not self.stop.is_set():
                try:
                    self.ready.put((item, copied, error), timeout=0.1)
                    break
                except queue.Full:
                    continue
            if self.stop.is_set():
                return


def each(items: Items, do: Callable[[Batch], Batch]) -> Items:
    """The same lists of what `do` makes of every batch."""
    return [[do(batch) for batch in batches] for batches in items]


def _until_failure(items: Generator[Items]) -> Generator[tuple[Any, BaseException | None]]:
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except BaseException as error:  # to be raised where the item is asked for
            yield None, error
            return
        yield item, None
