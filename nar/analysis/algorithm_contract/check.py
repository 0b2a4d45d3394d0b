"""What must hold of an algorithm: the checks behind `nar check` and behind the tests over the table of algorithms.

Every check is a function of `Examples` that returns in a few words what holds, or raises Failed or Skipped with the
reason. All are made on small inputs, from the smallest size on, of the test's and of the training's distribution.
"""

from collections.abc import Callable

from nar.analysis.algorithm_contract import answers, records, runs
from nar.analysis.algorithm_contract.examples import Examples

CHECKS: dict[str, Callable[[Examples], str]] = {  # in the order in which they are reported
    "sampler": runs.sampler,
    "forms": records.forms,
    "order": records.order,
    "compiled": records.compiled,
    "inputs": runs.inputs,
    "determinism": runs.determinism,
    "bound": runs.bound,
    "recover": runs.recover,
    "refusals": runs.refusals,
    "oracle": answers.oracle,
    "validity": answers.validity,
}
