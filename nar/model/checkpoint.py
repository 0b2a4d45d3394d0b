"""Checkpoints: the parameters of a reasoner with the settings of its run, and what is needed to go on with it.

Checkpoints are read with `weights_only=True` and nothing else: they hold tensors, numbers and text. `read` finds the
trained reasoner in whatever nar leaves behind: `read("runs/NAME").build()`.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from nar.config import Config
from nar.device import untouched
from nar.lookup import closest, suggest
from nar.model import export_reader
from nar.model.reasoner import Reasoner
from nar.system import files
from nar.system.shapes import misfit

FORMAT = 1  # of checkpoints; raised when an older nar could not read a newer file

_KIND = {  # of what a checkpoint holds
    "format": int, "model?": dict[str, Tensor], "config?": dict, "optimizer?": dict, "step?": int, "seconds?": float,
    "processes?": int, "losses?": list[float], "best?": {"step": int, "score?": float, "loss?": float},
}  # fmt: skip


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint with the digest of its content: tensors, numbers, text and containers of these."""
    content = {"format": FORMAT, "made_by": "nar", **content}
    files.write(path, lambda file: torch.save({**content, "sha256": digest(content)}, file))


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; ValueError says whether it is missing, damaged, foreign or newer than this nar."""
    if not path.is_file():
        raise ValueError(f"no checkpoint {path}; a run directory made by train.py holds best.pt and last.pt")
    advice = "delete it and train again, or restore it from a copy"
    data = io.BytesIO(path.read_bytes())
    try:
        content = torch.load(data, map_location=device, weights_only=True)
    except Exception as error:  # whatever the unpickler stumbles over in bytes that are no checkpoint
        if "Unsupported global" in str(error):
            raise ValueError(
                f"{path} holds whole Python objects, as torch.save(reasoner) writes them, and reading these would "
                "run code: where the reasoner is at hand, reasoner.save(PATH) writes what nar loads"
            ) from None
        raise ValueError(f"{path} is truncated or not a checkpoint of nar; {advice}") from error
    if not isinstance(content, dict) or content.get("made_by") != "nar":
        state = isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values())
        raise ValueError(
            f"{path} is a state dict, which does not say what network it is of: make that by nar.Reasoner.build(...), "
            "give it load_state_dict(torch.load(...)), and reasoner.save(PATH) writes what nar loads"
            if state
            else f"{path} is a PyTorch file, but not a checkpoint of nar; give a run directory made by train.py, or a "
            "file made by reasoner.save"
        )
    whole = content.pop("sha256", None) == digest(content) if "sha256" in content else _sums_are_right(data)
    if not whole:
        raise ValueError(f"{path} is damaged: its content is not what was written; {advice}")
    if isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise ValueError(
            f"{path} was written by a newer nar (format {content['format']}, this one reads {FORMAT}): upgrade"
        )
    if wrong := misfit(content, _KIND):
        raise ValueError(f"{path} is damaged: {wrong}; {advice}")
    return content


def digest(content: Any) -> str:
    """Of containers of tensors, numbers and text: equal only where everything is, to the bit."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            add(f"{value.dtype} {list(value.shape)}")
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping | list | tuple):
            add(f"{type(value).__name__} {len(value)}")
            for part in value.items() if isinstance(value, Mapping) else value:
                add(part)
        else:
            found.update(f"{value!r}\0".encode())

    add(content)
    return found.hexdigest()


def _sums_are_right(data: BinaryIO) -> bool:
    """Of a file of an earlier nar, without a digest: do the archive's own checksums hold?"""
    try:
        return zipfile.ZipFile(data).testzip() is None
    except Exception:  # whatever a damaged archive leads to
        return False


class SavedReasoner(NamedTuple):
    """What a run directory, a checkpoint or an export says about a trained reasoner."""

    config: Config
    parameters: Mapping[str, Tensor]
    source: Path  # the file that held the parameters
    step: int | None = None  # of the training at which they were
    score: float | None = None  # in validation, the mean over algorithms

    def build(self, device: torch.device | str = "cpu") -> Reasoner:
        """The reasoner, in evaluation mode. ValueError where the parameters do not fit the code that there is now.

        A processor of one's own, `my_module:MyProcessor`, is imported again: its file must be where Python finds it.
        """
        with untouched():  # building draws initial parameters
            reasoner = Reasoner.from_config(self.config)
        reasoner.load_parameters(self.parameters, self.source)
        return reasoner.to(device).eval()


def save_reasoner(reasoner: Reasoner, path: Path) -> Path:
    """What `reasoner.save(path)` does: a checkpoint from which `read` makes the same network; returns its file."""
    if reasoner.made_by is None:
        raise ValueError(
            "this reasoner was made around a processor that is no name: make it by nar.Reasoner.build(algorithm, "
            "'my_module:MyProcessor', hidden=...), with the class in a file, and it can be saved"
        )
    config, file = Config(**reasoner.made_by), path if path.suffix == ".pt" else path / "best.pt"
    # a module that was given to torch.compile stands in another one, of which a network made anew knows nothing
    parameters = {name.replace("_orig_mod.", ""): value for name, value in reasoner.state_dict().items()}
    SavedReasoner(config, parameters, file).build()  # what cannot be loaded is not worth saving
    file.parent.mkdir(parents=True, exist_ok=True)
    save(file, {"model": parameters, "config": config.to_dict()})
    return file


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
        about = card.get("training", {})
        scores = about.get("validation") or {}
        score = sum(scores.values()) / len(scores) if scores else None
        config = Config.from_dict(card["config"], file.with_name(export_reader.CARD))
        return SavedReasoner(config, parameters, file, about.get("steps"), score)
    if not path.exists() and (meant := closest(str(path), export_reader.shipped())):
        raise ValueError(f"no {path}, and no reasoner of this name comes with nar; did you mean {meant!r}? (nar list)")
    file = path if path.is_file() or path.suffix == ".pt" else path / f"{which}.pt"
    content = load(file, device)
    if not {"config", "model"} <= content.keys():
        raise ValueError(f"{file} holds no reasoner (its settings or parameters are missing); give a run directory")
    best = content.get("best", content)
    score = best.get("score")
    validated = score is not None and math.isfinite(score)
    config = Config.from_dict(content["config"], file)
    return SavedReasoner(config, content["model"], file, best.get("step"), score if validated else None)
