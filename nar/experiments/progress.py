"""The progress of a sweep for whoever waits: one line that moves on a terminal, one line per run elsewhere."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from nar.experiments.sweep import Outcome, SweepJob, progress
from nar.text_format import counted, duration

STOPPING = "stopping in good order: after the training step, or the test size, under way; Ctrl-C again stops at once"


class Progress:
    """Counts runs; a run under way counts for the part of its training that is done, which the time left rests on."""

    def __init__(self, runs: Sequence[SweepJob], already: int) -> None:
        """`runs` are still to do, `already` are done."""
        self.runs, self.already = runs, already
        self.total = already + len(runs)
        self.ended = 0
        self.active: dict[str, SweepJob] = {}
        self.before: dict[str, float] = {}  # progress when the run was started here
        self.began = time.perf_counter()
        self.stream = sys.stderr  # while a run is carried out in this process, sys.stderr is its log
        self.bar = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[Progress]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        main = threading.current_thread() is threading.main_thread()
        earlier = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False) if main else -1
        if self.stream.isatty():
            layout = "{desc}: {percentage:3.0f}%|{bar:20}| {postfix} [{elapsed}]"
            self.bar = tqdm(total=self.total, initial=self.already, file=self.stream, desc="sweep", bar_format=layout)
        thread = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            if main:
                signal.set_wakeup_fd(earlier)
            theirs.close()
            thread.join()
            ours.close()
            if self.bar is not None:
                self._update()
                self.bar.close()

    def started(self, run: SweepJob) -> None:
        self.active[run.name] = run
        self.before[run.name] = progress(run)

    def died(self, run: SweepJob, reason: str) -> None:
        self.active.pop(run.name, None)
        self.say(f"{run.name}: {reason}; it is resumed")

    def ends(self, run: SweepJob, outcome: Outcome) -> None:
        self.active.pop(run.name, None)
        self.ended += outcome.kind != "interrupted"
        how = f"{outcome.kind} after {duration(outcome.seconds)}"
        if outcome.validation is not None:
            how += f", validation {outcome.validation:.2%}"
        if outcome.error:
            how += f": {outcome.error}"
        more = self.ended < len(self.runs) and outcome.kind != "interrupted"
        left = f"; {self._left()}" if self.bar is None and more else ""
        self.say(f"{self.already + self.ended}/{self.total} {run.name}: {how}{left}")

    def say(self, text: str) -> None:
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def _left(self) -> str:
        """Time left, as fast as it went so far."""
        under_way = {name: progress(run) - self.before[name] for name, run in list(self.active.items())}
        done = self.ended + sum(under_way.values())
        missing = max(len(self.runs) - done, 0)
        if done <= 0:
            return "time left unknown"
        return f"about {duration((time.perf_counter() - self.began) * missing / done)} left"

    def _update(self) -> None:
        assert self.bar is not None
        active = list(self.active.values())
        parts = [progress(run) for run in active]
        self.bar.n = min(self.already + self.ended + sum(parts), self.total)
        text = f"{self.already + self.ended}/{counted(self.total, 'run')}, {self._left()}"
        if active:
            more = f" and {len(active) - 1} more" if len(active) > 1 else ""
            text += f", now {active[0].name} ({parts[0]:.0%}){more}"
        self.bar.set_postfix_str(text, refresh=True)

    def _listen(self, signals: socket.socket) -> None:
        """Says that Ctrl-C was heard: the run under way, whose own words go to its log, needs a moment to end.

        Between signals the line of a terminal moves on.
        """
        told = False
        while True:
            if not select.select([signals], [], [], None if self.bar is None else 1.0)[0]:
                self._update()
            elif not (number := signals.recv(1)):  # the other end is closed
                return
            elif not told and number[0] in (signal.SIGINT, signal.SIGTERM):
                told = True
                self.say(STOPPING)
