"""A trained reasoner as two small files to share: its weights as safetensors, and a card that says what they are.

    DIR/model.safetensors   the parameters, by name
    DIR/card.json           format, version; algorithms, processor, parameters, settings; how it was trained and chosen;
                            scores with their test sets (seed, hash); provenance; the hash of the weights, the test sets
                            on which half precision changed no decision; how to load

`nar.load(DIR)` reads both. Weights may be stored in half precision, where every decision stays the same
(half_precision.py). Neither holds code: a processor of one's own stays an address, my_module:MyProcessor, and its file
must be shared beside them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch

from nar.config import Config
from nar.inference import half_precision
from nar.model import checkpoint
from nar.model.export_reader import CARD, FORMAT, VERSION, WEIGHTS, is_export, sealed
from nar.results import schema
from nar.system import files
from nar.version import __version__

# Settings that say where and how fast a run was made, not what was learned.
_LOCAL = ("out", "resume", "device", "threads", "workers", "init_processor")
_DATA = ("set", "length", "params", "samples", "seed", "sha256")  # which test set a score belongs to
_ENTRY = ("algorithm", "size", "setting", "termination", "samples", "score", "exact", "valid")


def write(run_dir: str | Path, out: str | Path, which: str = "best", *, half: bool = False) -> Path:
    """Export the reasoner of a run directory to the folder `out`, which may hold an earlier export; returns it.

    `half`: in half precision; ValueError where that would change a decision.
    """
    run_dir, out = Path(run_dir), Path(out)
    if is_export(run_dir):
        raise ValueError(f"{run_dir} is an export already; give the run directory that it was made from, or copy it")
    if out.exists() and (not out.is_dir() or (files.content(out) and not is_export(out))):
        raise ValueError(f"{out} is not empty and not an export; choose another --out")
    saved = checkpoint.read(run_dir / f"{which}.pt", which)
    reasoner = saved.build()  # what cannot be loaded here is not worth sharing
    # copies: parameters that share memory are told apart, as safetensors wants them
    tensors = {name: value.detach().clone().contiguous() for name, value in reasoner.state_dict().items()}
    compared = {}
    if half:
        tensors, compared["half_precision"] = half_precision.halved(reasoner, tensors, saved.config)
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})  # of several entries, the order would be random
    weights = {"file": WEIGHTS, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    card = _card(
        run_dir, saved.config, which, {"parameters": reasoner.parameter_count(), "weights": weights, **compared}
    )
    with files.locked(out):
        files.write(out / WEIGHTS, lambda file: file.write(data))
        files.write_json(out / CARD, sealed(card))
    return out


def _card(run_dir: Path, config: Config, which: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """What the run directory says about the `network`; a run without results has no scores."""
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
        **network,
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
            _selected(e, _ENTRY) | {"data": _selected(e.get("data") or {}, _DATA)}
            for e in (found["evaluations"] if which == "best" else ())
        ],
        "provenance": found.get("provenance", {}) | {"command": found.get("command"), "exported_by": __version__},
        "load": {
            "install": "nar (neural-algorithmic-reasoning)",
            "python": 'import nar; nar.load("THIS FOLDER").run(graph, source=NODE)',
            "own_code": own,  # addresses that must be importable
        },
        "license": {"nar": "Apache-2.0"},
        "config": settings,
    }


def _selected(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
