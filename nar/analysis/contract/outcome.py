"""What comes of a check of a processor: it holds, it does not, or it was skipped; and why."""

import dataclasses
import os
import traceback

import torch

from nar import version
from nar.nn.processor import Processor

EXACT = 1e-9  # of float64 results that two routes must share, relative to their size


@dataclasses.dataclass
class Outcome:
    """What came of one check."""

    check: str
    holds: bool | None  # None: skipped
    text: str

    def __str__(self) -> str:
        return f"  {({True: 'ok', False: 'FAIL', None: 'skip'})[self.holds]:<5} {self.check:<12} {self.text}"


class Failed(Exception):
    """A check's reason for not holding."""


class Skipped(Exception):
    """A check's reason for not having been made."""


def describe_error(error: Exception) -> str:
    """An exception in one line, with the last place in code that is neither nar's engine nor a library's."""
    first = " ".join((str(error).strip() or "no message").split("\n")[0].split())
    own = os.path.dirname(version.__file__)
    library, python = os.path.dirname(os.path.dirname(torch.__file__)), os.path.dirname(os.__file__)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((own + os.sep, library + os.sep, python + os.sep, "<"))
    ]
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first[:200]}{place}"


def declares(processor: Processor, fact: str) -> bool:
    """Whether the class or the instance says so itself, rather than Processor by default."""
    classes = type(processor).__mro__
    return fact in vars(processor) or any(fact in vars(c) for c in classes[: classes.index(Processor)])
