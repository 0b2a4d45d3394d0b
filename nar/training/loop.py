"""Training: settings -> data -> reasoner -> loop -> best checkpoint -> evaluation -> report, read from top to bottom.

Everything random is a pure function of the seed and the step, so a resumed run continues bit for bit on a CPU. A run
loses at most the steps since its last checkpoint, whatever stops it; Ctrl-C (or SIGTERM) ends it early in good order:
what was reached so far is evaluated and reported.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nar import datasets, device
from nar.config import Config
from nar.evaluation.evaluate import entry
from nar.model import checkpoint
from nar.model.batch import Batch
from nar.results.schema import placed
from nar.training import distributed, memory, shared_batch
from nar.training.cuda_graphs import Recorded
from nar.training.interrupt import interruptible
from nar.training.learner import Alone, Learner, Stacked, why_not_stackable
from nar.training.prefetch import Feed
from nar.training.run import Run
from nar.training.tasks import affordable, training_batch
from nar.training.workers import made

GPU_WORKERS = 8  # processes that draw batches for a GPU, if there are as many cores


def train(config: Config, *, command: str = "") -> dict[str, Any]:
    """Train, evaluate and report one run; returns what results.json holds. ValueError where settings do not fit."""
    if config.seeds:
        raise ValueError("several seeds are several runs: call train_seeds, or nar.training.loop with one --seed")
    return train_seeds(config, command=command)[0]


def train_seeds(config: Config, *, command: str = "") -> list[dict[str, Any]]:
    """The same for every one of `config.seeds`, trained together where that is possible; results in their order."""
    # settings
    ranks, on = distributed.join(device.choose(config.device))
    if config.seeds and ranks.world > 1:
        raise ValueError("--seeds trains several runs in one process; with torchrun give one --seed")
    by_default = config.eval_sizes is None
    runs = [Run(one, on, ranks) for one in config.of_seeds()]
    chosen = device.prepare(on, config.threads)
    tell = functools.partial(print, file=sys.stderr) if ranks.first else lambda _: None
    _introduce(runs, tell)

    # loop
    wanted = config.stack == "always" or (config.stack == "auto" and on.type == "cuda")
    several = len(runs) > 1 and wanted
    stacked = (several or (on.type == "cuda" and ranks.world == 1)) and _stackable(runs, tell)
    with interruptible("step") as interrupted, contextlib.ExitStack() as files:
        if ranks.first:
            for run in runs:
                files.enter_context(run.open_metrics())
        if ranks.world == 1 and on.type == "cpu" and not stacked and not config.workers:
            files.enter_context(_shared(runs, tell))
        for group, until in _phases(runs, stacked and several):
            if interrupted.is_set():
                break
            _learn(group, until, stacked, interrupted)
    ranks.leave()
    if not ranks.first:
        return [{}]

    # evaluation and report
    found = []
    with interruptible("size", already=interrupted.is_set()) as interrupted:
        for run in runs:
            if run.step == 0 < run.config.steps and len(runs) > 1:
                tell(f"{run.directory}: not begun; --resume goes on with it")
                continue
            run.load_best()
            results = run.results(command, chosen, stacked=list(config.seeds) if stacked and several else None)
            found.append(_evaluate(run, results, by_default, interrupted, tell))
    if len(found) > 1:
        from nar.reports import report
        from nar.results import study

        name = f"{config.title}-{config.processor}-seeds".replace(":", ".")
        folder = Path("runs") / name if config.out is None else Path(config.out)
        path = report.write(study.read([run.directory for run in runs if run.metrics]), folder)
        print(f"report of all seeds: {path}")
    return found


@contextlib.contextmanager
def _shared(runs: Sequence[Run], tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, batches are shared among as many processes as there are threads, if the runs are long enough."""
    config, threads = runs[0].config, torch.get_num_threads()
    world = shared_batch.size(threads, config.batch_size, chosen=bool(config.threads))
    # a function of the settings alone: a resumed run goes on as it began
    if world == 1 or config.steps < shared_batch.WORTH or all(run.step >= config.steps for run in runs):
        yield
        return
    alone = runs[0].ranks
    with contextlib.ExitStack() as stack:
        try:
            ranks = stack.enter_context(shared_batch.hired(world, follow, [run.config for run in runs]))
        except shared_batch.NotCome as reason:  # such as a processor that only this process knows
            tell(f"trained in one process, not in {world}: {reason}")
        else:
            tell(f"{world} processes share every batch")
            torch.set_num_threads(1)
            stack.callback(torch.set_num_threads, threads)
            for run in runs:
                run.ranks = ranks
        yield
    for run in runs:
        run.ranks = alone


def follow(configs: Sequence[Config], ranks: shared_batch.Crew) -> None:
    """What the other processes of a crew do: the same steps, each with its share of the batch."""
    cpu = torch.device("cpu")
    device.prepare(cpu)
    runs = [Run(config, cpu, ranks) for config in configs]
    ranks.meet()
    for group, until in _phases(runs, together=False):
        _learn(group, until, False, threading.Event())


def _introduce(runs: Sequence[Run], tell: Callable[[str], None]) -> None:
    for run in runs:
        config, world = run.config, run.ranks.world
        tell(
            f"{config.title} with {config.processor}: {run.reasoner.parameter_count():,} parameters on {run.on}, "
            f"{config.steps:,} steps, run directory {run.directory}"
            + (f", resumed at step {run.step:,}" if run.resumed else "")
            + (f", {world} processes" if world > 1 else "")
        )


def _stackable(runs: Sequence[Run], tell: Callable[[str], None]) -> bool:
    """Can the runs be computed as one, or (a single one) be recorded on a GPU? Says why not."""
    first = runs[0]
    instead = "one after the other" if len(runs) > 1 else "without CUDA graphs"
    for task in first.tasks:
        size = dataclasses.replace(first.config, train_sizes=task.train_sizes[:1], batch_size=2)
        batch = training_batch(task.algorithm, size, 0).to(first.on)
        if reason := why_not_stackable(first.reasoner, first.config, batch):
            tell(f"trained {instead}: {reason}")
            return False
    if _recompute(first, len(runs)):
        tell(f"trained {instead}: there is too little memory to keep all steps of all samples")
        return False
    return True


def _recompute(run: Run, stacked: int = 0) -> bool:
    """Is there no room to keep everything for the backward pass? See memory.recompute."""
    largest = [
        training_batch(task.algorithm, dataclasses.replace(run.config, train_sizes=(max(task.train_sizes),)), 0)
        for task in run.tasks
    ]
    return memory.recompute(run.reasoner, largest, run.config.memory, run.on, stacked=stacked)


def _phases(runs: Sequence[Run], together: bool) -> Iterator[tuple[list[Run], int]]:
    """Which runs are trained next, up to which step. Runs that are behind (a resumed one) catch up with the others."""
    last = runs[0].config.steps
    if not together:
        yield from (([run], last) for run in runs if run.step < last)
        return
    while behind := [run for run in runs if run.step < last]:
        least = min(run.step for run in behind)
        group = [run for run in behind if run.step == least]
        yield group, min([run.step for run in runs if run.step > least], default=last)


def _learner(runs: Sequence[Run], stacked: bool) -> Learner:
    first = runs[0]
    config, reasoners = first.config, [run.reasoner for run in runs]
    learner: Learner
    if not stacked:
        learner = Alone(first.reasoner, config, ranks=first.ranks, recompute=_recompute(first))
    else:
        graphs = first.on.type == "cuda" and config.cuda_graphs == "auto"
        learner = (Recorded if graphs else Stacked)(reasoners, [run.config for run in runs])
    states = [run.optimizer for run in runs]
    if all(state is not None for state in states):
        learner.load_optimizer_states(states)  # type: ignore[arg-type]
    return learner


def step_batches(configs: Sequence[Config], step: int, *, ranks: distributed.Ranks) -> list[list[Batch]]:
    """The batches of one step: of every algorithm, one for every run."""
    return [
        [training_batch(datasets.get(name), config, step, ranks=ranks) for config in configs]
        for name in configs[0].algo
    ]


def _learn(runs: list[Run], until: int, stacked: bool, interrupted: threading.Event) -> None:
    """Train some runs, which are at the same step, up to another step."""
    first = runs[0]
    config, ranks, on = first.config, first.ranks, first.on
    ranks.start_equal([*first.reasoner.parameters(), *first.reasoner.buffers()])
    learner = _learner(runs, stacked)
    workers = config.workers
    if workers is None:
        workers = min(GPU_WORKERS, (os.cpu_count() or 1) - 1) if on.type == "cuda" else 0
    batches = made(
        functools.partial(step_batches, [run.config for run in runs], ranks=ranks),
        range(first.step, until),
        workers,
        f"the training batches (seed {', '.join(str(run.config.seed) for run in runs)}) of step",
    )
    for run in runs:
        run.reasoner.train()
    started, before = time.perf_counter(), [run.seconds for run in runs]
    interval = 0.5 if sys.stderr.isatty() else 30.0
    with contextlib.ExitStack() as stack:
        if on.type == "cpu":
            stack.enter_context(device.tiny_numbers_are_zero())
        feed = stack.enter_context(Feed(batches, on))
        bar = stack.enter_context(
            tqdm(total=config.steps, initial=first.step, unit="step", mininterval=interval, disable=not ranks.first)
        )
        while first.step < until and not ranks.any(interrupted.is_set(), on):
            step = first.step
            items = feed.next()
            losses = [
                learner.step(items[task], step, task=task, progress=step / config.steps) for task in range(len(items))
            ]
            seconds = time.perf_counter() - started
            for run, loss, so_far in zip(runs, torch.stack(losses).mean(0), before, strict=True):
                run.logged.append(loss)
                run.step, run.seconds = step + 1, so_far + seconds
            if on.type == "cpu" and not torch.isfinite(torch.stack([run.logged[-1] for run in runs])).all():
                _give_up(runs, learner)
            validating = first.step % config.val_every == 0 or first.step == config.steps
            shares = [ranks.gathered(run.score_validation()) for run in runs] if validating else []
            if not ranks.first:
                first.logged.clear()
                continue
            if validating:
                means = [run.mean_loss() for run in runs]  # waits for a GPU
                waiting = feed.waited / (time.perf_counter() - started)
                facts = {"train_size": items[0][0].nodes, "waiting": round(waiting, 4)}
                for run, of_run, mean in zip(runs, shares, means, strict=True):
                    run.validate(of_run, mean, facts)
                bar.set_postfix_str(_postfix(runs, means, waiting))
            if first.step % config.checkpoint_every == 0:
                _save(runs, learner)
            bar.update()
        if ranks.first:
            _save(runs, learner)
        for run, state in zip(runs, learner.optimizer_states(), strict=True):
            run.optimizer = state


def _save(runs: Sequence[Run], learner: Learner) -> None:
    for run, state in zip(runs, learner.optimizer_states(), strict=True):
        run.save_last(state)


def _give_up(runs: Sequence[Run], learner: Learner) -> None:
    """One run's loss is no number any more: keep the others, and say which."""
    failed: list[tuple[Run, ValueError]] = []
    for run, state in zip(runs, learner.optimizer_states(), strict=True):
        try:
            run.save_last(state)
        except ValueError as error:
            failed.append((run, error))
    others = [str(run.config.seed) for run in runs if run not in [run for run, _ in failed]]
    go_on = f"; the other seeds go on with --seeds {' '.join(others)} --resume" if others else ""
    raise ValueError(f"{failed[0][1]}{go_on}")


def _postfix(runs: Sequence[Run], losses: Sequence[float], waiting: float) -> str:
    """Of several seeds, means."""
    best = sum(run.best["score"] for run in runs) / len(runs)
    found = f"loss {sum(losses) / len(losses):.3f}, best validation {best:.2%}, {waiting:.0%} waiting for data"
    return found if len(runs) == 1 else f"{len(runs)} seeds: {found}"


def _evaluate(
    run: Run,
    results: dict[str, Any],
    by_default: bool,
    interrupted: threading.Event,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Test the best parameters at every size, write results.json after each, and the report."""
    samples = run.config.eval_samples
    results["evaluations"] = run.earlier_evaluations()
    wanted = []
    for task in run.tasks:
        sizes = list(task.eval_sizes)
        if by_default and run.on.type == "cpu":
            sizes = [n for n in sizes if affordable(task.algorithm, n, samples)]
        if left_out := sorted(set(task.eval_sizes) - set(sizes)):
            results["run"].setdefault("left_out", {})[task.name] = left_out
            tell(
                f"{task.name} is not evaluated at {', '.join(map(str, left_out))}: so many steps are too many for a "
                f"CPU; --eval-sizes {' '.join(map(str, task.eval_sizes))} does it all the same"
            )
        wanted += [(task, size) for size in sizes]
    with tqdm(wanted, unit="size", disable=not wanted) as bar:
        for task, size in bar:
            bar.set_description(f"evaluating {task.name if len(run.tasks) > 1 else ''} {size} nodes".replace("  ", " "))
            if interrupted.is_set():
                break
            for end in ["oracle"] if run.config.halting == "none" else ["oracle", "learned"]:
                found = entry(run.reasoner, task.algorithm, size, samples=samples, termination=end)
                results["evaluations"] = placed(results["evaluations"], found)
            checkpoint.write_json(run.directory / "results.json", results)
    if results["evaluations"] or not wanted:
        checkpoint.write_json(run.directory / "results.json", results)
    if run.metrics is not None:
        run.metrics.finish(results)

    from nar.inference import example
    from nar.reports import report

    first = run.tasks[0]
    example.write(run.reasoner, first.algorithm, run.directory, max(first.train_sizes))
    path = report.write_report(run.directory)
    print(report.table(results))
    print(f"report: {path}")
    return results
