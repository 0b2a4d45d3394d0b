"""What must hold of a processor: the checks behind `nar check` and behind the tests over the table of processors.

Every check is a function of a `Fixture` (how the processor is made, and inputs for it) that returns in a few words what
holds, raises Failed with the reason where something does not, or Skipped. `run` turns that into Outcomes. All but the
dtype check compute in float64, so that equal means equal up to rounding.
"""

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nar.analysis.contract import cost, dependence, form, numbers
from nar.analysis.contract.fixture import Fixture
from nar.analysis.contract.outcome import Failed, Outcome, Skipped, describe_error
from nar.device import untouched

CHECKS: dict[str, Callable[[Fixture], str]] = {  # in the order in which they are reported
    "shapes": form.shapes,
    "parameters": form.parameters,
    "dtype": form.dtype,
    "device": form.device,
    "permutation": dependence.permutation,
    "batch": dependence.batch,
    "finished": dependence.finished,
    "history": dependence.history,
    "edges": dependence.edges,
    "adjacency": dependence.adjacency,
    "padding": dependence.padding,
    "gradients": numbers.gradients,
    "finite": numbers.finite,
    "determinism": numbers.determinism,
    "pieces": numbers.pieces,
    "cost": cost.cost,
    "compile": numbers.compile,
}


def run(subject: Any, checks: Mapping[str, Callable[[Any], str]] = CHECKS) -> Iterator[Outcome]:
    """Every check in turn. Where the first fails, on what all of them need, the rest is not tried."""
    for name in checks:
        outcome = run_one(subject, name, checks)
        yield outcome
        if outcome.holds is False and name == next(iter(checks)):
            return


def run_one(subject: Any, name: str, checks: Mapping[str, Callable[[Any], str]] = CHECKS) -> Outcome:
    """One check; an exception out of what is checked is a reason, too."""
    try:
        with untouched():
            return Outcome(name, True, checks[name](subject))
    except (Skipped, Failed) as reason:
        return Outcome(name, None if isinstance(reason, Skipped) else False, str(reason))
    except Exception as error:  # whatever the processor's own code raises
        if os.environ.get("NAR_DEBUG"):
            traceback.print_exc()
        return Outcome(name, False, describe_error(error))
