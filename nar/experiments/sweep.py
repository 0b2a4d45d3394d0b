"""A sweep: one training run for every algorithm, processor, value of a varied setting, and seed.

Each run is an ordinary run directory. Its name says what the run is and ends in a hash of all settings that change what
is learned, so that the same run is always found in the same place: finished ones are left alone, interrupted ones are
resumed, and another setting gives another directory.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nar import datasets
from nar.config import FREE, Config
from nar.system import files, limits
from nar.text_format import short

# Settings in which two runs may differ and still have the same directory. Other test graphs do not need other training:
# the finished run is only evaluated again.
NOT_HASHED = FREE - {"steps", "patience"}


@dataclasses.dataclass(frozen=True)
class SweepJob:
    """One run of a sweep: its settings, and what of them to show (`varied`: setting -> value)."""

    config: Config
    varied: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.config.run_dir.name

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.config.run_dir.parent / "logs" / f"{self.name}.log"


@dataclasses.dataclass(frozen=True)
class State:
    """How far a run has come, by the files in its directory."""

    kind: Literal["new", "interrupted", "not evaluated", "finished", "unreadable"]
    step: int = 0
    seconds: float | None = None  # of training and evaluation; known of finished runs
    reason: str = ""  # why it is unreadable

    def __str__(self) -> str:
        return {
            "new": "new",
            "interrupted": f"to resume at step {self.step:,}",
            "not evaluated": f"trained {self.step:,} steps, to evaluate",
            "finished": "finished",
            "unreadable": f"unreadable: {self.reason}",
        }[self.kind]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of an attempt at a run."""

    kind: Literal["finished", "interrupted", "failed"]
    seconds: float  # of this attempt
    error: str = ""  # one line, of failed runs
    validation: float | None = None  # the best score, of finished runs


def product(
    algorithms: Sequence[str],
    names: Sequence[str | None],
    seeds: Sequence[int],
    base: Config,
    folder: Path,
    vary: Sequence[tuple[str, Sequence[Any]]] = (),
    of_recipe: Mapping[str, Config] | None = None,
) -> list[SweepJob]:
    """All runs, seed by seed: a sweep that is stopped early has compared everything with the first seeds.

    `algorithms`: bfs+dijkstra is one run that learns both. `names`: processors; None is that of the base settings.
    `vary`: settings and their values. `of_recipe`: base settings of varied recipes, which are more than their names.
    ValueError for a name that does not exist, for one that is given twice, and for settings that do not fit together.
    """
    from nar import processors  # with PyTorch, which a worker loads when it has a run

    for what, given in (("--algos", algorithms), ("--processors", names), ("seeds", seeds), *vary):
        if not given:
            raise ValueError(f"{what}: nothing to sweep over; give one value or more")
        if twice := next((value for k, value in enumerate(given) if value in given[:k]), None):
            raise ValueError(f"{what}: {twice} is given twice")
    for name in sorted({name for text in algorithms for name in text.split("+")}):
        datasets.get(name)
    bases = {"": base} | dict(of_recipe or {})
    for name in dict.fromkeys(name or one.processor for name in names for one in bases.values()):
        processors.find(name)
    found = []
    keys = [name for name, _ in vary]
    for seed, algorithm, processor, values in itertools.product(
        seeds, algorithms, names, itertools.product(*(values for _, values in vary))
    ):
        varied = dict(zip(keys, values, strict=True))
        start = bases.get(varied.get("recipe", ""), base)
        settings = {"processor": processor or start.processor, "seed": seed, "resume": True, "out": None, **varied}
        config = dataclasses.replace(start, algo=tuple(algorithm.split("+")), **settings)
        if (needed := 4 * config.hidden**2) > (free := limits.free_memory()):  # one map of the network, at least
            raise ValueError(
                f"--hidden {config.hidden:,}: the parameters alone would need over {needed / 2**30:,.0f} GB of memory, "
                f"and {free / 2**30:,.1f} GB are free: choose less"
            )
        found.append(SweepJob(dataclasses.replace(config, out=folder / directory_name(config, varied)), varied))
    return found


def directory_name(config: Config, varied: Mapping[str, Any] | None = None) -> str:
    """A readable name that only this run has, as bfs-mpnn-hidden64-seed0-1f0c2a9b."""
    words = {n: "+".join(map(str, v)) if isinstance(v, tuple) else str(v) for n, v in (varied or {}).items()}
    shown = "".join(f"-{name}{word}" for name, word in words.items())
    text = f"{short(config.title, 100)}-{config.processor}{short(shown, 60)}-seed{config.seed}-{digest(config)}"
    return re.sub(r"[^\w.+-]", ".", text)


def digest(config: Config, *, without: Sequence[str] = ()) -> str:
    """Eight hexadecimal digits that stand for all settings that change what is learned, except those in `without`.

    Settings left at their defaults do not count, so that a setting that a later version adds changes no name.
    """
    default = Config().to_dict()
    always = {"algo", "processor", "seed", "steps"} - set(without)
    settings = {
        name: value
        for name, value in config.to_dict().items()
        if name in always or (name not in NOT_HASHED and name not in without and value != default[name])
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def state(run: SweepJob) -> State:
    """How far this run has come."""
    config = run.config
    folder = config.run_dir
    try:
        results = files.read_json(folder / "results.json", "the results of a run", dict, "remove it to train again")
        made = results["run"]
        if (made["steps"] == config.steps or made.get("stopped_early")) and not made["interrupted"]:
            if not _evaluated(config, results):
                return State("not evaluated", made["steps"])
            seconds = made["train_seconds"] + sum(entry["seconds"] for entry in results["evaluations"])
            return State("finished", made["steps"], seconds)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return State("unreadable", reason=f"{folder / 'results.json'} ({type(error).__name__}: {error})")
    if not (folder / "last.pt").is_file():
        return State("new")
    from nar.model import checkpoint

    try:
        step = checkpoint.load(folder / "last.pt")["step"]
    except (OSError, ValueError, KeyError) as error:
        return State("unreadable", reason=str(error))
    return State("interrupted" if step < config.steps else "not evaluated", step)


def _evaluated(config: Config, results: Mapping[str, Any]) -> bool:
    """Do the results have all test sizes? A run that was stopped while it was evaluated has the first ones."""
    from nar.training.tasks import tasks

    if results["config"]["eval_samples"] != config.eval_samples:
        return False
    left_out = results["run"].get("left_out", {}) if config.eval_sizes is None else {}
    found = {(entry["algorithm"], entry["size"]) for entry in results["evaluations"]}
    return all(
        (task.name, size) in found or size in left_out.get(task.name, ())
        for task in tasks(config)
        for size in task.eval_sizes
    )


def execute(run: SweepJob, command: str) -> Outcome:
    """Start the run or go on with it, in this process; what it prints goes to its log.

    Never raises: errors are in the outcome, with their traceback in the log, and Ctrl-C interrupts this run.
    """
    began = time.perf_counter()
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(run.log, "a", buffering=1, encoding="utf-8", errors="backslashreplace") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            from nar.experiments.experiment import train

            results = train(run.config, command=command)
            finished = state(run).kind == "finished"
        except KeyboardInterrupt:
            return Outcome("interrupted", time.perf_counter() - began)
        except (Exception, SystemExit) as error:
            traceback.print_exc(file=log)
            message = " ".join(str(error).split())
            error_line = message if isinstance(error, ValueError) and message else f"{type(error).__name__}: {message}"
            return Outcome("failed", time.perf_counter() - began, error_line)
    seconds = time.perf_counter() - began
    if not finished:  # Ctrl-C, to which training itself listens, and ends in good order
        return Outcome("interrupted", seconds)
    return Outcome("finished", seconds, validation=results["run"]["best_validation"])


def progress(run: SweepJob) -> float:
    """The part of the training steps done, as far as the last validation tells."""
    try:
        *_, last = (run.config.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return min(json.loads(last)["step"] / max(run.config.steps, 1), 1.0)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0.0
