"""`nar check NAME`: the contract of processors or of algorithms, run on your own."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from nar.cli import console
from nar.lookup import addressed


@dataclasses.dataclass
class Check:
    """Settings of `nar check NAME`."""

    option: tuple[str, ...] = ()
    """Options of a processor, each name=value, the value as in Python: --option heads=4 reduction=sum."""
    compile: bool = True
    """Try torch.compile on a processor, too (some seconds)."""


def main(argv: list[str]) -> int:
    """Prints one line per check; returns 1 where one does not hold."""
    (name,), settings = console.parse_named(
        Check, argv, "nar check",
        "Run the contract of processors on a class, or that of algorithms on an algorithm, and print what holds: "
        "nar check my_module:MyProcessor [options], nar check my_module:algorithm",
        "a processor or an algorithm first: nar check my_module:MyProcessor, nar check my_module:algorithm",
    )  # fmt: skip
    from nar import datasets
    from nar.traces.algorithm import Algorithm

    is_algorithm = isinstance(addressed("name", name, "my_module:algorithm"), Algorithm) if ":" in name else (
        name.partition("-")[0] in datasets.TABLE
    )  # fmt: skip
    return _algorithm(name, settings) if is_algorithm else _processor(name, settings)


def _algorithm(name: str, settings: Check) -> int:
    from nar import datasets
    from nar.analysis.algorithm_contract.check import CHECKS
    from nar.analysis.algorithm_contract.examples import Examples

    if settings.option:
        raise ValueError(f"--option is for processors, and {name} is an algorithm")
    algorithm = datasets.get(name)
    print(f"{name}: {algorithm.citation}", flush=True)
    return _report(Examples(algorithm), CHECKS)


def _processor(name: str, settings: Check) -> int:
    from nar import processors
    from nar.analysis.contract.check import CHECKS
    from nar.analysis.contract.fixture import FEATURES, Fixture

    kind, fixed = processors.find(name)
    options = processors.options_from(name, settings.option)
    try:
        processors.build(name, FEATURES, **options)
    except ValueError:  # wrong options are the caller's mistake, in one line
        raise
    except Exception:  # everything else is an outcome
        pass
    with_options = "".join(f" {key}={value!r}" for key, value in (fixed | options).items())
    print(f"{name}: {kind.__module__}:{kind.__qualname__}{with_options}", flush=True)
    made = {check: function for check, function in CHECKS.items() if settings.compile or check != "compile"}
    return _report(Fixture(lambda features: processors.build(name, features, **options)), made)


def _report(subject: Any, checks: Mapping[str, Callable[[Any], str]]) -> int:
    """One line per check and one for all; 1 where one does not hold."""
    from nar.analysis.contract import check

    counts = {True: 0, False: 0, None: 0}
    for outcome in check.run(subject, checks):
        print(outcome, flush=True)
        counts[outcome.holds] += 1
    left = len(checks) - sum(counts.values())
    print(
        f"{counts[True]} hold, {counts[False]} fail, {counts[None]} skipped"
        + (f", {left} not tried before these are mended" if left else "")
    )
    return 1 if counts[False] else 0
