"""`nar export RUN --out DIR`: the reasoner of a run as safetensors with a JSON card, to share and to load elsewhere."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from nar.cli import console
from nar.text_format import printable


@dataclasses.dataclass
class Export:
    """Settings of `nar export RUN`."""

    out: Path | None = None
    """Folder for model.safetensors and card.json [RUN/export]."""
    which: Literal["best", "last"] = "best"
    """The checkpoint: of the best validation score, or of the last training step."""
    half: bool = False
    """Store the weights in half precision; refused where that changes a decision on the test sets of the largest
    training size and of the canonical size, on which both are run."""


def main(argv: list[str]) -> None:
    (run,), settings = console.parse_named(
        Export, argv, "nar export",
        "Write a trained reasoner as safetensors with a JSON card: nar export RUN --out DIR",
        "one run directory first: nar export runs/NAME --out DIR",
    )  # fmt: skip
    from nar.inference import export
    from nar.model.export_reader import read_card

    sys.path.insert(0, "")  # my_module:MyProcessor is looked for in the current folder first
    out = export.write(run, settings.out or Path(run) / "export", settings.which, half=settings.half)
    card = read_card(out)
    plain = [e for e in card["scores"] if not e.get("setting") and e.get("termination", "oracle") == "oracle"]
    scores = ", ".join(f"{e['algorithm']} {e['score']:.1%} at {e['size']}" for e in plain)
    learned = " + ".join(card["algorithms"])
    print(f"{printable(out)}: {learned} with {card['processor']}, {card['parameters']:,} parameters")
    print(f"scores: {scores or 'none, the run was not evaluated'}")
    if sets := card.get("half_precision"):
        where = ", ".join(f"{one['algorithm']} at {one['size']} ({one['samples']} graphs)" for one in sets)
        print(f"half precision: every decision is that of the whole weights on {where}")
    print(f'load it with nar.load("{printable(out)}")')
