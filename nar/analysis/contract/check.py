"""What must hold of a processor: the checks behind `nar check` and behind the tests over the table of processors.

Every check is a function of a `Fixture` (how the processor is made, and inputs for it) that returns in a few words what
holds, raises Failed with the reason where something does not, or Skipped. `run` turns that into Outcomes. All but the
dtype check compute in float64, so that equal means equal up to rounding.
"""

import os
import traceback
from collections.abc import Callable, Collection, Iterator

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
    "adjacency": dependence.adjacency,
    "padding": dependence.padding,
    "gradients": numbers.gradients,
    "finite": numbers.finite,
    "determinism": numbers.determinism,
    "pieces": numbers.pieces,
    "cost": cost.cost,
    "compile": numbers.compile,
}


def run(fixture: Fixture, leave_out: Collection[str] = ()) -> Iterator[Outcome]:
    """Every check in turn. Where the processor cannot take a step at all, the rest is not tried."""
    for name in CHECKS:
        if name not in leave_out:
            outcome = run_one(fixture, name)
            yield outcome
            if name == "shapes" and outcome.holds is False:
                return


def run_one(fixture: Fixture, name: str) -> Outcome:
    """One check; an exception out of the processor is a reason, too."""
    try:
        with untouched():
            return Outcome(name, True, CHECKS[name](fixture))
    except (Skipped, Failed) as reason:
        return Outcome(name, None if isinstance(reason, Skipped) else False, str(reason))
    except Exception as error:  # whatever the processor's own code raises
        if os.environ.get("NAR_DEBUG"):
            traceback.print_exc()
        return Outcome(name, False, describe_error(error))
