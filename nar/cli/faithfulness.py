"""`nar faithfulness RUN ...`: do runs execute the algorithm, or only arrive at its answers?

What was found of a run is left in its directory as well, in faithfulness.json, in the place of what an earlier call
found; the run's report is written again with it.
"""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.cli import console


@dataclasses.dataclass
class Faithfulness:
    """Settings of `nar faithfulness RUN ...`."""

    size: int = 64
    """Nodes of the graphs on which hints, sources and probes are scored."""
    small: int = 16
    """Nodes of the graphs on which probes are fitted and edges are changed."""
    samples: int = 32
    """Graphs of each."""
    out: str | None = None
    """Write all numbers to this JSON file, too."""

    def __post_init__(self) -> None:
        for name in ("size", "small", "samples"):
            if getattr(self, name) < 2:
                raise ValueError(f"--{name} must be at least 2, got {getattr(self, name)}")


def main(argv: list[str]) -> None:
    """Prints tables; the numbers go into the run directories."""
    names, settings = console.parse_named(
        Faithfulness, argv, "nar faithfulness", "Do runs execute the algorithm, or only arrive at its answers?",
        "run directories: nar faithfulness runs/NAME ...", several=True,
    )  # fmt: skip
    runs = list(dict.fromkeys(map(Path, names)))
    from nar.analysis.faithfulness import report as faithfulness_report
    from nar.system import files

    for run in runs:
        if (run / "best.pt").is_file():
            with files.locked(run, files.PATIENCE):  # a training at work is named before anything is computed
                pass
    found = faithfulness_report.compare(runs, size=settings.size, small=settings.small, samples=settings.samples)
    print(faithfulness_report.text(found))
    if settings.out:
        out = Path(settings.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(out, found)
    leave(found, [run for run in runs if (run / "best.pt").is_file()], shlex.join(["nar", "faithfulness", *argv]))


def leave(found: Mapping[str, Any], runs: Sequence[Path], command: str) -> None:
    """Put into each of these run directories what was found of that run, and write its report again."""
    import torch

    from nar.reports import report
    from nar.results import faithfulness_file, run_directory
    from nar.system import files

    measured = run_directory.made_by(command, "best", torch.device("cpu"))  # where reasoners are loaded to
    for run in runs:
        with files.locked(run, files.PATIENCE):
            files.write_json(run / faithfulness_file.NAME, faithfulness_file.content(found, run, measured))
    for run in runs:
        if (run / "results.json").is_file():  # else it has not ended, and writes its report when it does
            report.write_report(run)
