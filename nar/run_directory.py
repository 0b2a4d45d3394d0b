"""The run directory: config.json, metrics.jsonl, best.pt, last.pt, results.json, report.md and its figures."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nar import checkpoint
from nar.config import Config


def open_run(config: Config, *, write: bool = True) -> dict[str, Any] | None:
    """Make the run directory, or check that it is this run's; returns the checkpoint to continue from, if any.

    Of several processes of one run, one may `write`.
    """
    run_dir = config.run_dir
    settings = run_dir / "config.json"
    last = run_dir / "last.pt"
    if run_dir.is_dir() and not settings.is_file() and any(run_dir.iterdir()):
        raise ValueError(f"{run_dir} is not empty and not a run directory; choose another --out")
    if settings.is_file():
        try:
            earlier = Config.from_dict(json.loads(settings.read_text()))
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise ValueError(f"{settings} cannot be read ({error}); choose another --out") from error
        if differences := config.differences(earlier):
            raise ValueError(f"{run_dir} holds a run with {'; '.join(differences)}; choose another --out")
        if last.is_file() and not config.resume:
            done = _checkpoint_of(config, last)["step"]
            raise ValueError(
                f"{run_dir} holds this run at step {done:,} of {earlier.steps:,}; add --resume to go on from there, "
                "or choose another --out"
            )
    resumed = _checkpoint_of(config, last) if config.resume and last.is_file() else None
    if write:
        run_dir.mkdir(parents=True, exist_ok=True)
        checkpoint.write_json(settings, config.to_dict())
    return resumed


def _checkpoint_of(config: Config, last: Path) -> dict[str, Any]:
    """The checkpoint to continue from, if it is one of this run."""
    found = checkpoint.load(last)
    if not {"step", "config"} <= found.keys() or config.differences(Config.from_dict(found["config"])):
        raise ValueError(
            f"{last} is not the last checkpoint of this run; restore it from a copy or choose another --out"
        )
    return found


class Metrics:
    """metrics.jsonl: one line per record, kept when a run is resumed up to the step it is resumed from."""

    def __init__(self, path: Path, *, keep_until: int) -> None:
        self.path = path
        kept = []
        if path.is_file():
            for line in path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # a line cut off by a crash
                    if json.loads(line)["step"] <= keep_until:
                        kept.append(line + "\n")
        checkpoint.write(path, lambda file: file.write("".join(kept).encode()))

    def __enter__(self) -> Metrics:
        self.file = open(self.path, "a", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, record: dict[str, Any]) -> None:
        self.file.write(json.dumps(record) + "\n")


def provenance(on: torch.device) -> dict[str, Any]:
    """What is needed to know where numbers come from."""
    import nar

    return {
        "nar": nar.__version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _commit() -> str | None:
    """The commit of nar's own checkout, or None for an installed package; a plus sign marks local changes."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        run = {"cwd": root, "capture_output": True, "text": True, "timeout": 10, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "nar", "datasets", "processors"], **run
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
