"""The run directory: config.json, config.toml, metrics.jsonl and .csv, best.pt, last.pt, results.json, the report."""

import contextlib
import csv
import datetime
import io
import json
import platform
import subprocess
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import torch

from nar.config import Config
from nar.model import checkpoint
from nar.results.trackers import Trackers
from nar.system import files
from nar.system.shapes import misfit
from nar.version import __version__


def open_run(config: Config, *, write: bool = True) -> dict[str, Any] | None:
    """Make the run directory, or check that it is this run's; returns the checkpoint to continue from, if any.

    Of several processes of one run, one may `write`.
    """
    run_dir = config.run_dir
    settings = run_dir / "config.json"
    last = run_dir / "last.pt"
    if run_dir.is_dir() and not settings.is_file() and files.content(run_dir):
        raise ValueError(f"{run_dir} is not empty and not a run directory; choose another --out")
    if settings.is_file():
        stored = files.read_json(settings, "the settings of a run", dict, "choose another --out")
        earlier = Config.from_dict(stored, settings)
        if last.is_file() and (differences := config.differences(earlier)):  # else the run never came to anything
            raise ValueError(f"{run_dir} holds a run with {'; '.join(differences)}; choose another --out")
        if last.is_file() and not config.resume:
            at = f"step {_checkpoint_of(config, last)['step']:,} of {earlier.steps:,}"
            advice = "add --resume to go on from there, or choose another --out"
            raise ValueError(f"{run_dir} holds this run at {at}; {advice}")
    resumed = _checkpoint_of(config, last) if config.resume and last.is_file() else None
    if write:
        run_dir.mkdir(parents=True, exist_ok=True)
        files.write_json(settings, config.to_dict())
        files.write_text(run_dir / "config.toml", as_toml(config))
    return resumed


def as_toml(config: Config) -> str:
    """The settings as `nar train --config FILE` takes them: without the directory, and without None, which TOML lacks.

    JSON's numbers, words and lists are TOML's, but for what it does to letters beyond ASCII.
    """
    values = {n: v for n, v in config.to_dict().items() if v is not None and n not in ("out", "resume")}
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()]
    return "".join(["# nar train --config FILE repeats this run; flags beside it come first\n", *lines])


def _checkpoint_of(config: Config, last: Path) -> dict[str, Any]:
    """The checkpoint to continue from, if it is one of this run."""
    found = checkpoint.load(last)
    needed = {"step", "config", "model", "optimizer", "seconds"}
    if not needed <= found.keys() or config.differences(Config.from_dict(found["config"], last)):
        advice = "restore it from a copy or choose another --out"
        raise ValueError(f"{last} is not the last checkpoint of this run; {advice}")
    return found


class Metrics:
    """metrics.jsonl, one line per record, and the same as a table in metrics.csv; trackers are told as well.

    When a run is resumed, the records up to the step it is resumed from are kept, in both files.
    """

    def __init__(
        self, path: Path, *, keep_until: int, config: Config | None = None, trackers: Trackers | None = None
    ) -> None:
        """`config` names the trackers where they are not there yet, without it there are none; ValueError where one of
        them does not exist."""
        self.path, self.config = path, config
        self.resumed_at = keep_until
        self.trackers = trackers or Trackers(config)
        self.records: list[dict[str, Any]] = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
            with contextlib.suppress(ValueError, RecursionError):  # a line cut off by a crash, or damaged
                record = json.loads(line)
                if not misfit(record, {"step": int}) and record["step"] <= keep_until:
                    self.records.append(record)
        lines = [files.json_text(record) + "\n" for record in self.records]
        files.write(path, lambda file: file.write("".join(lines).encode()))

    def __enter__(self) -> Self:
        self.lines = open(self.path, "a", buffering=1, encoding="utf-8")
        self.table = self._open_table()
        if self.config is not None:
            self.trackers.tell("start", self.config.to_dict(), self.path.parent, self.resumed_at)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.lines.close()
        self.table.close()
        if kind is not None:
            self.finish(None)

    def write(self, record: dict[str, Any]) -> None:
        self.lines.write(files.json_text(record) + "\n")
        self.records.append(record)
        if record.keys() <= set(self.columns):
            csv.DictWriter(self.table, self.columns, lineterminator="\n").writerow(record)
        else:  # a column that was not there before
            self.table.close()
            self.table = self._open_table()
        numbers = {n: float(x) for n, x in record.items() if n != "step" and isinstance(x, int | float)}
        self.trackers.tell("log", record["step"], numbers)

    def finish(self, results: dict[str, Any] | None) -> None:
        """Tell the trackers what the run has come to, when it has been evaluated or an error has ended it."""
        self.trackers.tell("finish", results)
        self.trackers.trackers.clear()

    def _open_table(self) -> TextIO:
        """metrics.csv written anew and open at its end; columns stand in the order in which they first appeared."""
        path = self.path.with_suffix(".csv")
        self.columns = list(dict.fromkeys(name for record in self.records for name in record))
        text = io.StringIO()
        if self.columns:
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)
        files.write(path, lambda file: file.write(text.getvalue().encode()))
        return open(path, "a", buffering=1, encoding="utf-8", newline="")


def provenance(on: torch.device) -> dict[str, Any]:
    """What is needed to know where numbers come from."""
    return {
        "nar": __version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def made_by(command: str, which: str, on: torch.device) -> dict[str, Any]:
    """What is to be known of numbers that a command finds of a finished run's best or last checkpoint."""
    here = provenance(on)
    names = ("nar", "commit", "torch", "device", "date")
    return {"command": command, "checkpoint": which, **{name: here[name] for name in names}}


def _commit() -> str | None:
    """The commit of nar's own checkout, or None for an installed package; a plus sign marks local changes."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        run = {"cwd": root, "capture_output": True, "text": True, "timeout": 10, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **run).stdout.strip()
        status = ["git", "status", "--porcelain", "nar", "datasets", "processors"]
        changed = subprocess.run(status, **run).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
