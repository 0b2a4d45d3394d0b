"""The command `nar`: what can be typed after it, and where each command is. `train.py` is a door to `nar train`."""

import importlib
import sys
from collections.abc import Sequence

from nar.cli import console
from nar.lookup import suggest
from nar.system import allocator, collector
from nar.version import __version__

# what can be typed after `nar`, each the function `main` of nar/cli/NAME.py, and what it does
COMMANDS = {
    "train": "train a reasoner, evaluate it at several sizes and write its report",
    "sweep": "train algorithms x processors x seeds, and compare them in one report",
    "list": "the algorithms, processors and recipes there are; nar list NAME: one in detail",
    "check": "run the contract of processors on your own: nar check my_module:MyProcessor",
    "show": "run an algorithm on a small input and see its steps: nar show bfs --n 8",
    "evaluate": "saved runs on more sizes, graph families, densities, weights",
    "report": "the report of runs, from their files: nar report runs --out report",
    "export": "a trained reasoner as safetensors with a JSON card, to share",
    "faithfulness": "do runs execute the algorithm, or only arrive at its answers?",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; mistakes of the user are one line on stderr and exit code 2."""
    argv = list(sys.argv[1:] if argv is None else argv)
    console.usable_surroundings()
    allocator.keep_freed_memory()
    collector.no_search_at_the_end()
    sys.path.insert(0, "")  # my_module:MyProcessor is looked for in the current folder first
    with console.errors():
        return _main(argv)


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS)) + 2
        lines = [f"  {name:<{width}}{about}" for name, about in COMMANDS.items()]
        print("\n".join(["usage: nar COMMAND [--help]", "", "commands:", *lines]))
        return 0 if argv else 2
    command, *rest = argv
    if command == "--version":
        print(f"nar {__version__}")
        return 0
    if command not in COMMANDS:
        console.fail(suggest("command", command, COMMANDS, "nar --help"))
    with collector.paused():
        module = importlib.import_module(f"nar.cli.{command}")
    return module.main(rest) or 0
