"""Trackers: where the numbers of a run go besides its files, such as TensorBoard or a service of your choice.

A tracker is any class with the three methods of `Tracker`; `--tracker my_module:MyTracker` makes one for every run.
What a tracker does wrong never stops a run: it is left out from then on, with one line that says why.
"""

import math
import sys
from pathlib import Path
from typing import Any, Protocol

from nar import lookup
from nar.config import Config

EXAMPLE = "--tracker my_module:MyTracker"


class Tracker(Protocol):
    """What a tracker does. It is made without arguments, before training, by the process that writes the files."""

    def start(self, config: dict[str, Any], run_dir: Path, resumed_at: int) -> None:
        """A run begins (`resumed_at` = 0) or goes on after this step; what came later in an earlier attempt is void.

        `config` holds every setting as config.json does.
        """

    def log(self, step: int, values: dict[str, float]) -> None:
        """The numbers of a validation: loss, validation_score, ...; other names may join in later steps."""

    def finish(self, results: dict[str, Any] | None) -> None:
        """The run has ended: `results` as in results.json, or None where an error ended it."""


def find(address: str) -> Tracker:
    """A new tracker of the class at `my_module:MyTracker`; ValueError where it is none."""
    if ":" not in address:
        raise ValueError(f"--tracker takes my_module:MyTracker, got {address!r} (TensorBoard needs no flag)")
    kind = lookup.addressed("tracker", address, EXAMPLE)
    missing = [name for name in ("start", "log", "finish") if not callable(getattr(kind, name, None))]
    if not isinstance(kind, type) or missing:
        lacks = f"lacks {', '.join(missing)}" if isinstance(kind, type) else "is not a class"
        raise ValueError(f"tracker {address!r} {lacks}; a tracker is a class with start, log and finish")
    try:
        return kind()
    except Exception as error:  # the class is the user's, and so is what it raises
        raise ValueError(f"tracker {address!r} could not be made: {error}") from error


class Trackers:
    """All trackers of a run: those asked for, and TensorBoard where it is installed; none without settings."""

    def __init__(self, config: Config | None) -> None:
        self.trackers: list[Tracker] = []
        if config is not None:
            self.trackers = [find(address) for address in config.tracker]
            try:
                self.trackers.append(TensorBoard())
            except Exception as error:  # whatever a version that does not fit the others raises when it is imported
                if not (isinstance(error, ModuleNotFoundError) and str(error.name).endswith("tensorboard")):
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                    print(f"TensorBoard cannot be used ({reason}); the run goes on without it", file=sys.stderr)

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method of every tracker; one that fails is left out from then on."""
        for tracker in list(self.trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # whatever a service, a network or a user's class runs into
                self.trackers.remove(tracker)
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                name = type(tracker).__name__
                print(f"tracker {name} failed in {method} ({reason}); the run goes on without it", file=sys.stderr)


class TensorBoard:
    """Event files in the run directory: `tensorboard --logdir runs` shows all runs side by side.

    Scores of the test are there as test_score/ALGORITHM, with the size of the graphs in the place of the step.
    """

    def __init__(self) -> None:
        """ImportError where TensorBoard is not installed."""
        from torch.utils.tensorboard import SummaryWriter

        self.new_writer = SummaryWriter

    def start(self, config: dict[str, Any], run_dir: Path, resumed_at: int) -> None:
        purge_step = resumed_at + 1 if resumed_at else None  # hides what an earlier attempt wrote after its checkpoint
        self.writer = self.new_writer(str(run_dir), purge_step=purge_step)

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def finish(self, results: dict[str, Any] | None) -> None:
        for entry in (results or {}).get("evaluations", ()):
            if not entry.get("setting") and entry.get("termination", "oracle") == "oracle":
                self.writer.add_scalar(f"test_score/{entry['algorithm']}", entry["score"], entry["size"])
        self.writer.close()
