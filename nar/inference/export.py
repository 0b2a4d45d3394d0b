"""A trained reasoner as two small files to share: its weights as safetensors, and a card that says what they are.

    DIR/model.safetensors   the parameters, by name
    DIR/card.json           format, version; algorithms, processor, parameters, settings; how it was trained and chosen;
                            scores with their test sets (seed, hash); provenance; the hash of the weights; how to load

`nar.load(DIR)` reads both. Neither holds code: a processor of one's own stays an address, my_module:MyProcessor, and
its file must be shared beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nar.config import Config
from nar.model import checkpoint
from nar.results import schema
from nar.version import __version__

FORMAT = "nar reasoner"
VERSION = 1  # raised when an older nar could not read a newer export
CARD, WEIGHTS = "card.json", "model.safetensors"

# Settings that say where and how fast a run was made, not what was learned.
_LOCAL = ("out", "resume", "device", "threads", "workers", "init_processor")
_ENTRY = ("algorithm", "size", "setting", "termination", "samples", "score", "exact", "valid")


def write(run_dir: str | Path, out: str | Path, which: str = "best") -> Path:
    """Export the reasoner of a run directory to the folder `out`, which may hold an earlier export; returns it."""
    safetensors = _safetensors()
    run_dir, out = Path(run_dir), Path(out)
    if is_export(run_dir):
        raise ValueError(f"{run_dir} is an export already; give the run directory that it was made from, or copy it")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not is_export(out))):
        raise ValueError(f"{out} is not empty and not an export; choose another --out")
    from nar.inference.solver import load

    reasoner = load(run_dir, which)  # what cannot be loaded here is not worth sharing
    content = checkpoint.load(run_dir / f"{which}.pt")
    # copies: parameters that share memory are told apart, as safetensors wants them
    tensors = {name: value.detach().clone().contiguous() for name, value in reasoner.state_dict().items()}
    data = safetensors.save(tensors, metadata={"format": "pt"})  # of several entries, the order would be random
    card = _card(run_dir, content, which)
    card["parameters"] = reasoner.parameter_count()
    card["weights"] = {"file": WEIGHTS, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.write(out / WEIGHTS, lambda file: file.write(data))
    checkpoint.write_json(out / CARD, card)
    return out


def is_export(path: Path) -> bool:
    """Is this a folder with an export, or one of the two files of one?"""
    return (path / CARD).is_file() or (path / WEIGHTS).is_file() or path.name in (CARD, WEIGHTS)


def read_card(path: str | Path) -> dict[str, Any]:
    """The card of an export; ValueError says whether it is missing, foreign, damaged or newer than this nar."""
    path = Path(path)
    file = path.parent / CARD if path.name in (CARD, WEIGHTS) else path / CARD
    if not file.is_file():
        raise ValueError(f"no {file}: an export holds {CARD} beside {WEIGHTS}; nar export makes both")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{file} is truncated or damaged: it is no JSON; copy the export again") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ValueError(f"{file} is not the card of a reasoner; nar export makes one from a run directory")
    if not isinstance(card.get("version"), int) or card["version"] > VERSION:
        raise ValueError(
            f"{file} was written by a newer nar (version {card.get('version')}, this one reads {VERSION}): upgrade"
        )
    if not isinstance(card.get("config"), dict) or not isinstance(card.get("weights"), dict):
        raise ValueError(f"{file} is damaged: it says nothing about settings or weights; copy the export again")
    return card


def read(path: str | Path) -> tuple[Config, Mapping[str, Tensor], Path]:
    """Settings and parameters of an export, and the file of the latter."""
    safetensors = _safetensors()
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
        parameters = safetensors.load(data)
    except Exception as error:  # its own exception, which is no ValueError
        raise ValueError(f"{file} is not a safetensors file: {error}") from error
    return Config.from_dict(card["config"]), parameters, file


def _card(run_dir: Path, content: Mapping[str, Any], which: str) -> dict[str, Any]:
    """What the run directory says about the reasoner; a run without results has no scores."""
    config = Config.from_dict(content["config"])
    settings = {name: value for name, value in config.to_dict().items() if name not in _LOCAL}
    try:
        found = schema.read(run_dir)
    except ValueError:
        if (run_dir / "results.json").is_file():
            raise
        found = {"run": {}, "evaluations": [], "provenance": {}}
    run = found["run"]
    own = [address for address in (*config.algo, config.processor) if ":" in address]
    step = run.get("best_step") if which == "best" else run.get("steps")
    return {
        "format": FORMAT,
        "version": VERSION,
        "algorithms": list(config.algo),
        "processor": config.processor,
        "parameters": 0,
        "weights": {},
        "checkpoint": which,
        "training": {
            "steps": step,
            "seed": config.seed,
            "sizes": run.get("train_sizes", {}),
            "validation_size": run.get("validation_size", {}),
            "validation": run.get("validation", {}),
            "seconds": run.get("train_seconds"),
        },
        # scores are those of the best checkpoint, which a run evaluates
        "scores": [
            {name: e[name] for name in _ENTRY if name in e} | {"data": _data(e)}
            for e in (found["evaluations"] if which == "best" else ())
        ],
        "provenance": found.get("provenance", {}) | {"command": found.get("command"), "exported_by": __version__},
        "load": {
            "install": "nar (neural-algorithmic-reasoning) with its extra 'export'",
            "python": 'import nar; reasoner = nar.load("THIS FOLDER"); reasoner.run(graph, source=NODE)',
            "own_code": own,  # addresses that must be importable
        },
        "license": {"nar": "Apache-2.0"},
        "config": settings,
    }


def _data(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Which test set a score belongs to."""
    data = entry.get("data") or {}
    return {name: data[name] for name in ("set", "length", "params", "samples", "seed", "sha256") if name in data}


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ModuleNotFoundError:
        raise ValueError(
            "exports need the package safetensors, and it is not installed: pip install safetensors"
        ) from None
    return safetensors.torch
