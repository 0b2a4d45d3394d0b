"""An export read again: the weights of a reasoner as safetensors, with a card that says what they are.

nar/inference/export.py writes exports and says what is in them. Neither file holds code. Some come with nar itself, in
nar/reasoners/NAME, and are found by that name wherever there is no file or folder so called.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from nar.system import files
from nar.system.shapes import misfit

FORMAT = "nar reasoner"
VERSION = 1  # raised when an older nar could not read a newer export
CARD, WEIGHTS = "card.json", "model.safetensors"
AGAIN = "copy the export again"
_KIND = {
    "version": int, "algorithms": list[str], "processor": str, "config": dict, "weights": {"bytes": int, "sha256": str},
    "parameters?": int, "training?": {"steps?": int | None}, "scores?": list[dict], "provenance?": dict,
}  # fmt: skip
SHIPPED = Path(str(resources.files("nar") / "reasoners"))  # a folder for each, named after what it has learned


def shipped() -> list[str]:
    """The names of the reasoners that come with nar."""
    return sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}"))


def located(path: str | Path) -> Path:
    """The path itself, or where there is none the folder of the reasoner of this name that comes with nar, if any."""
    path = Path(path).expanduser()
    return SHIPPED / path if not path.exists() and str(path) in shipped() else path


def is_export(path: Path) -> bool:
    """Is this a folder with an export, or one of the two files of one?"""
    return (path / CARD).is_file() or (path / WEIGHTS).is_file() or path.name in (CARD, WEIGHTS)


def read_card(path: str | Path) -> dict[str, Any]:
    """The card of an export; ValueError says whether it is missing, foreign, damaged or newer than this nar."""
    path = Path(path)
    file = path.parent / CARD if path.name in (CARD, WEIGHTS) else path / CARD
    if not file.is_file():
        raise ValueError(f"no {file}: an export holds {CARD} beside {WEIGHTS}; nar export makes both")
    card = files.read_json(file, "the card of a reasoner", Any, AGAIN)
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ValueError(f"{file} is not the card of a reasoner; nar export makes one from a run directory")
    if not isinstance(card.get("version"), int) or card["version"] > VERSION:
        raise ValueError(
            f"{file} was written by a newer nar (version {card.get('version')}, this one reads {VERSION}): upgrade"
        )
    if "sha256" in card and sealed(card)["sha256"] != card["sha256"]:
        raise ValueError(f"{file} is damaged, or was changed by hand: its content is not what was written; {AGAIN}")
    if wrong := misfit(card, _KIND):
        raise ValueError(f"{file} is damaged: {wrong}; {AGAIN}")
    return card


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card with the digest of its content, which the cards of nar's first version do not have."""
    content = json.loads(json.dumps({name: value for name, value in card.items() if name != "sha256"}))
    return content | {"sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    """The card of an export, its parameters, and the file of the latter; ValueError where the two do not fit."""
    card = read_card(path)
    folder = Path(path).parent if Path(path).name in (CARD, WEIGHTS) else Path(path)
    file = folder / WEIGHTS
    if not file.is_file():
        raise ValueError(f"no {file}: the weights that {folder / CARD} describes are missing; copy the export again")
    data = file.read_bytes()
    wanted = card["weights"]
    if len(data) != wanted.get("bytes"):
        kind = "truncated" if len(data) < (wanted.get("bytes") or 0) else "not the one"
        raise ValueError(f"{file} is {kind}: {len(data)} bytes, the card says {wanted.get('bytes')}; copy it again")
    if hashlib.sha256(data).hexdigest() != wanted.get("sha256"):
        raise ValueError(f"{file} and {folder / CARD} do not belong together, or one is damaged; copy the export again")
    try:
        return card, safetensors.torch.load(data), file
    except Exception as error:  # its own exception, which is no ValueError
        raise ValueError(f"{file} is not a safetensors file: {error}") from error
