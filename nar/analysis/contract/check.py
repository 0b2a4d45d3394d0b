"""What must hold of a processor: the checks behind `nar check` and behind the tests over the table of processors.

Every check is a function of a `Trial` (how the processor is made, and inputs for it) that returns in a few words what
holds, raises Broken with the reason where something does not, or Skipped. `run` turns that into Findings. All but the
dtype check compute in float64, so that equal means equal up to rounding.
"""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Callable, Collection, Iterator

import torch

from nar.analysis.contract import cost, dependence, form, numbers
from nar.analysis.contract.fixture import FEATURES, Trial
from nar.analysis.contract.outcome import Broken, Skipped, explained

__all__ = ["CHECKS", "FEATURES", "Finding", "Trial", "one", "run"]

CHECKS: dict[str, Callable[[Trial], str]] = {  # in the order in which they are reported
    "shapes": form.shapes,
    "parameters": form.parameters,
    "dtype": form.dtype,
    "device": form.device,
    "permutation": dependence.permutation,
    "batch": dependence.batch,
    "finished": dependence.finished,
    "history": dependence.history,
    "adjacency": dependence.adjacency,
    "padding": dependence.padding,
    "gradients": numbers.gradients,
    "finite": numbers.finite,
    "determinism": numbers.determinism,
    "pieces": numbers.pieces,
    "cost": cost.cost,
    "compile": numbers.compile,
}
FIRST = ("shapes",)  # without these the others have nothing to go by


@dataclasses.dataclass
class Finding:
    """One line of the result."""

    check: str
    holds: bool | None  # None: skipped
    text: str

    def __str__(self) -> str:
        return f"  {({True: 'ok', False: 'FAIL', None: 'skip'})[self.holds]:<5} {self.check:<12} {self.text}"


def run(trial: Trial, leave_out: Collection[str] = ()) -> Iterator[Finding]:
    """Every check in turn. Where the processor cannot take a step at all, the rest is not tried."""
    for name in CHECKS:
        if name in leave_out:
            continue
        finding = one(trial, name)
        yield finding
        if name in FIRST and finding.holds is False:
            return


def one(trial: Trial, name: str) -> Finding:
    """One check; an exception out of the processor is a reason, too."""
    torch.manual_seed(0)
    try:
        return Finding(name, True, CHECKS[name](trial))
    except Skipped as reason:
        return Finding(name, None, str(reason))
    except Broken as reason:
        return Finding(name, False, str(reason))
    except Exception as error:  # whatever the processor's own code raises
        if os.environ.get("NAR_DEBUG"):
            traceback.print_exc()
        return Finding(name, False, explained(error))
