"""Ctrl-C and SIGTERM as a wish to end in good order."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interruptible(unit: str | None, *, already: bool = False) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, to stop after this `unit` (None: in silence); the
    second one acts as usual.

    `already`: the first one came earlier, and what is done now is the good order in which the run ends.
    """
    event = threading.Event()
    if already or threading.current_thread() is not threading.main_thread():
        yield event
        return
    before: dict[int, Any] = {}

    def stop(number: int, _: Any) -> None:
        event.set()
        if unit is not None:
            print(f"\nstopping after this {unit}; once more to stop at once", file=sys.stderr)
        restore()

    def restore() -> None:
        for signal_number, handler in before.items():
            if handler is not None:  # one that was not set by Python cannot be set back
                signal.signal(signal_number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield event
    finally:
        restore()
