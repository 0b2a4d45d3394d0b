"""Checkpoints: the parameters of a reasoner with the settings of its run, and what is needed to go on with it.

Checkpoints are read with `weights_only=True` and nothing else: they hold tensors, numbers and text. `read` finds the
trained reasoner in whatever nar leaves behind: `read("runs/NAME").build()`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nar.config import Config
from nar.lookup import closest, suggest
from nar.model import export_reader
from nar.model.reasoner import Reasoner
from nar.system import files

FORMAT = 1  # of checkpoints; raised when an older nar could not read a newer file


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; `content` must hold tensors, numbers, text and containers of these."""
    files.write(path, lambda file: torch.save({"format": FORMAT, "made_by": "nar", **content}, file))


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; ValueError says whether it is missing, truncated, foreign or newer than this nar."""
    if not path.is_file():
        raise ValueError(f"no checkpoint {path}; a run directory made by train.py holds best.pt and last.pt")
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # whatever the unpickler stumbles over in bytes that are no checkpoint
            raise ValueError(
                f"{path} is truncated or not a checkpoint of nar; delete it and train again, or restore it from a copy"
            ) from error
    if not isinstance(content, dict) or content.get("made_by") != "nar":
        raise ValueError(
            f"{path} is a PyTorch file, but not a checkpoint of nar; give a run directory made by train.py"
        )
    if content["format"] > FORMAT:
        raise ValueError(
            f"{path} was written by a newer nar (format {content['format']}, this one reads {FORMAT}): upgrade"
        )
    return content


class SavedReasoner(NamedTuple):
    """What a run directory, a checkpoint or an export says about a trained reasoner."""

    config: Config
    parameters: Mapping[str, Tensor]
    source: Path  # the file that held the parameters
    step: int | None  # of the training at which they were

    def build(self, device: torch.device | str = "cpu") -> Reasoner:
        """The reasoner, in evaluation mode. ValueError where the parameters do not fit the code that there is now.

        A processor of one's own, `my_module:MyProcessor`, is imported again: its file must be where Python finds it.
        """
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # building draws initial parameters
            reasoner = Reasoner.from_config(self.config)
        reasoner.load_parameters(self.parameters, self.source)
        return reasoner.to(device).eval()


def read(path: str | Path, which: str = "best", device: torch.device | str = "cpu") -> SavedReasoner:
    """Read a run directory (its `best` or `last` checkpoint), one checkpoint file, an export (`nar export`), or a
    reasoner that comes with nar, by its name where no file or folder has this name.

    ValueError says what is missing, damaged, foreign or newer than this nar.
    """
    if which not in ("best", "last"):
        raise ValueError(suggest("checkpoint", str(which), ("best", "last")))
    path = export_reader.located(path)
    if export_reader.is_export(path):
        card, parameters, file = export_reader.read(path)
        return SavedReasoner(Config.from_dict(card["config"]), parameters, file, card.get("training", {}).get("steps"))
    if not path.exists() and (meant := closest(str(path), export_reader.shipped())):
        raise ValueError(f"no {path}, and no reasoner of this name comes with nar; did you mean {meant!r}? (nar list)")
    file = path if path.is_file() or path.suffix == ".pt" else path / f"{which}.pt"
    content = load(file, device)
    if not isinstance(content.get("config"), dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"{file} holds no reasoner (its settings or parameters are missing); give a run directory")
    step = content.get("best", content).get("step")
    return SavedReasoner(Config.from_dict(content["config"]), content["model"], file, step)
