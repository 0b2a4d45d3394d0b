"""The command `nar`: train, list, report. `train.py` is a door to `nar train`."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Sequence

from nar import console
from nar.names import suggest

USAGE = """usage: nar COMMAND [--help]

commands:
  train     train a reasoner, evaluate it at several sizes and write its report
  list      the algorithms and processors that can be named
  report    write the report of a run directory again: nar report runs/NAME
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; mistakes of the user are one line on stderr and exit code 2."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if argv else 2
    command, *rest = argv
    commands = {"train": _train, "list": _list, "report": _report}
    if command not in commands:
        console.fail(suggest("command", command, commands, "nar --help"))
    with console.errors():
        commands[command](rest)
    return 0


def _train(argv: list[str]) -> None:
    from nar.config import Config

    sys.path.insert(0, "")  # my_module:MyProcessor is looked for in the current folder first
    config = console.parse(
        Config, argv, "nar train", "Train a reasoner, evaluate it at several sizes, write its report."
    )
    from nar.train import train

    train(config, command=shlex.join(["python", "train.py", *argv]))


def _list(argv: list[str]) -> None:
    if argv:
        raise ValueError(f"nar list takes nothing, got {argv[0]!r}")
    from nar import datasets, processors

    print("algorithms (--algo):")
    for name in datasets.names():
        print(f"  {name:<22} {_about(datasets.TABLE[name])}")
    print("\nprocessors (--processor):")
    for name in processors.names():
        path, options = processors.TABLE[name]
        chosen = ", ".join(key.replace("_", " ") for key in options)
        print(f"  {name:<22} {_about(path)}" + (f" [{chosen}]" if chosen else ""))
    print("\nyour own processor: --processor my_module:MyProcessor")


def _about(path: str) -> str:
    """The first line of the docstring of a table entry's module."""
    return (importlib.import_module(path.split(":")[0]).__doc__ or "").strip().split("\n")[0].rstrip(".")


def _report(argv: list[str]) -> None:
    if len(argv) != 1 or argv[0].startswith("-"):
        raise ValueError("nar report takes one run directory: nar report runs/NAME")
    from nar import report

    print(report.write_report(argv[0]))
