"""Files of a run directory, written to a temporary name and renamed: a crash or a full disk never costs what was there.

Checkpoints are read with `weights_only=True` and nothing else: they hold tensors, numbers and text.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

FORMAT = 1  # of checkpoints; raised when an older nar could not read a newer file


def write(path: Path, put: Callable[[BinaryIO], Any]) -> None:
    """Create or replace `path` in one move; on failure the old file stays and OSError names the path."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                put(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except RuntimeError as error:  # PyTorch's zip writer hides the system's error
            reason = error.__context__ if isinstance(error.__context__, OSError) else None
            raise OSError(reason.errno if reason else None, f"could not write {path}: {error}") from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write(path, lambda file: file.write((json.dumps(value, indent=1) + "\n").encode()))


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; `content` must hold tensors, numbers, text and containers of these."""
    write(path, lambda file: torch.save({"format": FORMAT, "made_by": "nar", **content}, file))


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
