"""`nar check NAME`: the contract of processors, run on your own."""

import dataclasses

from nar.cli import console


@dataclasses.dataclass
class Check:
    """Settings of `nar check NAME`."""

    option: tuple[str, ...] = ()
    """Options of the processor, each name=value, the value as in Python: --option heads=4 reduction=sum."""
    compile: bool = True
    """Try torch.compile on it, too (some seconds)."""


def main(argv: list[str]) -> int:
    """Prints one line per check; returns 1 where one does not hold."""
    (name,), settings = console.parse_named(
        Check, argv, "nar check",
        "Run the contract of processors on a class and print what holds: nar check my_module:MyProcessor [options]",
        "a processor first: nar check my_module:MyProcessor",
    )  # fmt: skip
    from nar import processors
    from nar.analysis.contract import check
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
    counts = {True: 0, False: 0, None: 0}
    fixture = Fixture(lambda features: processors.build(name, features, **options))
    for outcome in check.run(fixture, () if settings.compile else ("compile",)):
        print(outcome, flush=True)
        counts[outcome.holds] += 1
    left = len(check.CHECKS) - sum(counts.values()) - (not settings.compile)
    print(
        f"{counts[True]} hold, {counts[False]} fail, {counts[None]} skipped"
        + (f", {left} not tried before these are mended" if left else "")
    )
    return 1 if counts[False] else 0
