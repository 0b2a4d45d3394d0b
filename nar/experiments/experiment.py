"""One experiment: train, evaluate, report. Ctrl-C ends it early in good order: what was reached so far is evaluated and
reported.
"""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nar import device
from nar.config import Config
from nar.evaluation.evaluate import entries
from nar.evaluation.protocol import affordable
from nar.recipes import run_name
from nar.reports import report
from nar.results import study
from nar.results.schema import RunResults, placed
from nar.system import files
from nar.text_format import printable
from nar.training import distributed, loop
from nar.training.interrupt import interruptible
from nar.training.run import TrainingRun


def train(config: Config, *, command: str = "") -> dict[str, Any]:
    """Train, evaluate and report one run; returns what results.json holds. ValueError where settings do not fit."""
    if config.seeds:
        raise ValueError("several seeds are several runs: call train_seeds, or train with one --seed")
    return train_seeds(config, command=command)[0]


@device.untouched()
def train_seeds(config: Config, *, command: str = "") -> list[dict[str, Any]]:
    """The same for every one of `config.seeds`, trained together where that is possible; results in their order.

    ValueError where another process is at work in one of the run directories.
    """
    ranks, on = distributed.join(device.choose(config.device))
    if config.seeds and ranks.world > 1:
        raise ValueError("--seeds trains several runs in one process; with torchrun give one --seed")
    with contextlib.ExitStack() as stack:
        for one in config.of_seeds() if ranks.first else ():
            stack.enter_context(files.locked(one.run_dir))
        return _train_seeds(config, ranks, on, command)


def _train_seeds(config: Config, ranks: distributed.Ranks, on: torch.device, command: str) -> list[dict[str, Any]]:
    say = functools.partial(print, file=sys.stderr) if ranks.first else lambda _: None
    runs = [TrainingRun(one, on, ranks) for one in config.of_seeds()]
    setup = device.prepare(on, config.threads)
    finished = loop.train(runs, say)
    ranks.leave()
    if not ranks.first:
        return [{}]
    found: list[dict[str, Any]] = []
    evaluated: list[Path] = []
    with interruptible("size", already=not finished) as interrupted:
        for run in runs:
            if run.step == 0 < run.config.steps and len(runs) > 1:
                say(f"{run.directory}: not begun; --resume goes on with it")
                continue
            run.load_best()
            results = RunResults(run.results(command, setup))
            results["evaluations"] = run.earlier_evaluations()
            _evaluate(run, results, config.eval_sizes is None, interrupted, say)
            _report(run, results)
            found.append(results)
            evaluated.append(run.directory)
    if len(found) > 1:
        name = run_name(config).rpartition("-seed")[0] + "-seeds"
        folder = Path("runs") / name if config.out is None else Path(config.out)
        path = report.write(study.read(evaluated), folder)
        print(f"report of all seeds: {printable(path)}")
    return found


def _evaluate(
    run: TrainingRun,
    results: dict[str, Any],
    by_default: bool,
    interrupted: threading.Event,
    say: Callable[[str], None],
) -> None:
    """Test the best parameters at every size and write results.json after each; `by_default`: nobody chose sizes."""
    samples = run.config.eval_samples
    tests = []
    for task in run.tasks:
        sizes = list(task.eval_sizes)
        if by_default and run.on.type == "cpu":
            sizes = [n for n in sizes if affordable(task.algorithm, n, samples)]
        if left_out := sorted(set(task.eval_sizes) - set(sizes)):
            results["run"].setdefault("left_out", {})[task.name] = left_out
            say(
                f"{task.name} is not evaluated at {', '.join(map(str, left_out))}: so many steps are too many for a "
                f"CPU; --eval-sizes {' '.join(map(str, task.eval_sizes))} does it all the same"
            )
        tests += [(task, size) for size in sizes]
    with tqdm(tests, unit="size", disable=not tests) as bar:
        for task, size in bar:
            bar.set_description(f"evaluating {task.name if len(run.tasks) > 1 else ''} {size} nodes".replace("  ", " "))
            if interrupted.is_set():
                break
            ends = ["oracle"] if run.config.halting == "none" else ["oracle", "learned"]
            for found in entries(run.reasoner, task.algorithm, size, samples=samples, terminations=ends):
                results["evaluations"] = placed(results["evaluations"], found)
            files.write_json(run.directory / "results.json", results)
    if results["evaluations"] or not tests:
        files.write_json(run.directory / "results.json", results)
    if run.metrics is not None:
        run.metrics.finish(results)


def _report(run: TrainingRun, results: dict[str, Any]) -> None:
    """An example and the report in the run directory, and the scores as a table on the screen."""
    from nar.inference import example  # loads matplotlib

    first = run.tasks[0]
    example.write(run.reasoner, first.algorithm, run.directory, max(first.train_sizes))
    path = report.write_report(run.directory)
    print(report.table(results))
    print(f"report: {printable(path)}")
