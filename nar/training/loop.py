"""The training loop: runs are trained from the step that they are at to their last one, or until Ctrl-C.

Everything random is a pure function of the seed and the step, so a resumed run continues bit for bit on a CPU. A run
loses at most the steps since its last checkpoint, whatever stops it.
"""

import contextlib
import dataclasses
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from tqdm import tqdm

from nar import datasets, device
from nar.config import Config
from nar.model.batch import Batch
from nar.system import limits
from nar.text_format import counted, printable
from nar.training import memory, shared_batch
from nar.training.cuda_graphs import CudaGraphLearner
from nar.training.distributed import Ranks
from nar.training.interrupt import interruptible
from nar.training.learner import Learner, SingleLearner, StackedLearner, why_not_stackable
from nar.training.prefetch import Prefetcher
from nar.training.run import TrainingRun
from nar.training.tasks import training_batch

GPU_WORKERS = 8  # processes that draw batches for a GPU, if there are as many cores

Say = Callable[[str], None]


def train(runs: Sequence[TrainingRun], say: Say) -> bool:
    """Train runs that differ in their seeds, together where that is possible; False where Ctrl-C ended it early."""
    first, config = runs[0], runs[0].config
    on_gpu, ranks = first.on.type == "cuda", first.ranks
    for run in runs:
        say(
            f"{config.title} with {config.processor}: {run.reasoner.parameter_count():,} parameters on {run.on}, "
            f"{config.steps:,} steps, run directory {printable(run.directory)}"
            + (f", resumed at step {run.step:,}" if run.resumed else "")
            + (f", {ranks.world} processes" if ranks.world > 1 else "")
        )
    for name, probes in first.unseen.items():
        say(f"{config.processor} makes no use of features of edges: of {name}, it never sees {', '.join(probes)}")
    together = len(runs) > 1 and (config.stack == "always" or (config.stack == "auto" and on_gpu))
    stacked = (together or (on_gpu and ranks.world == 1)) and _stackable(runs, say)
    if together := together and stacked:
        for run in runs:
            run.trained_with = [run.config.seed for run in runs]
    with interruptible("step") as interrupted, contextlib.ExitStack() as stack:
        if ranks.first:
            for run in runs:
                stack.enter_context(run.open_metrics())
        if ranks.world == 1 and not on_gpu and not stacked and not config.workers and config.layout == "dense":
            stack.enter_context(_batches_shared(runs, say))
        for group, until in _phases(runs, together):
            if interrupted.is_set():
                break
            _train_until(group, until, stacked, interrupted)
            for run in (run for run in group if run.stopped_early and run.step < config.steps):
                better = f"nothing better in {counted(config.patience, 'validation')}"
                say(f"{run.directory}: stopped at step {run.step:,}, {better} after step {run.best['step']:,}")
    return not interrupted.is_set()


def _phases(runs: Sequence[TrainingRun], together: bool) -> Iterator[tuple[list[TrainingRun], int]]:
    """Which runs are trained next, up to which step. Runs that are behind (a resumed one) catch up with the others."""
    last = runs[0].config.steps
    if not together:
        yield from (([run], last) for run in runs if not run.done)
        return
    while behind := [run for run in runs if not run.done]:
        least = min(run.step for run in behind)
        group = [run for run in behind if run.step == least]
        yield group, min([run.step for run in runs if run.step > least], default=last)


def _train_until(runs: list[TrainingRun], until: int, stacked: bool, interrupted: threading.Event) -> None:
    """Train runs that are at the same step, as one learner, up to another step."""
    first = runs[0]
    config, ranks, on = first.config, first.ranks, first.on
    ranks.start_equal([*first.reasoner.parameters(), *first.reasoner.buffers()])
    learner = _learner(runs, stacked)
    workers = config.workers
    if workers is None:
        workers = min(GPU_WORKERS, limits.cores() - 1) if on.type == "cuda" else 0
    if any(name.startswith("__main__:") for name in config.algo):
        workers = 0  # other processes do not run the program's own file
    draw = functools.partial(step_batches, [run.config for run in runs], ranks=ranks)
    for run in runs:
        run.reasoner.train()
    started, before = time.perf_counter(), [run.seconds for run in runs]
    interval = 0.5 if sys.stderr.isatty() else 30.0
    with contextlib.ExitStack() as stack:
        if on.type == "cpu":
            stack.enter_context(device.tiny_numbers_are_zero())
        prefetcher = stack.enter_context(Prefetcher(draw, range(first.step, until), on, workers))
        bar = stack.enter_context(
            tqdm(total=config.steps, initial=first.step, unit="step", mininterval=interval, disable=not ranks.first)
        )

        def ends() -> bool:
            """Ctrl-C, or one of these runs is done before the others."""
            return interrupted.is_set() or (ranks.first and any(run.done for run in runs))

        while first.step < until and not ranks.any(ends(), on):
            step = first.step
            batches = prefetcher.next()
            losses = [
                learner.step(of_seeds, step, task=task, progress=step / config.steps)
                for task, of_seeds in enumerate(batches)
            ]
            seconds = time.perf_counter() - started
            for run, loss, so_far in zip(runs, torch.stack(losses).mean(0), before, strict=True):
                run.took_step(loss, so_far + seconds)
            if on.type == "cpu" and not torch.isfinite(torch.stack([run.logged[-1] for run in runs])).all():
                _give_up(runs, learner)
            validating = first.step % config.val_every == 0 or first.step == config.steps
            shares = [ranks.gathered(run.score_validation()) for run in runs] if validating else []
            if not ranks.first:
                first.logged.clear()
                continue
            if validating:
                means = [run.mean_loss() for run in runs]  # waits for a GPU
                waiting = prefetcher.waited / (time.perf_counter() - started)
                facts = {"train_size": batches[0][0].nodes, "waiting": round(waiting, 4)}
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


def step_batches(configs: Sequence[Config], step: int, *, ranks: Ranks) -> list[list[Batch]]:
    """The batches of one step: of every algorithm, one for every run."""
    return [
        [training_batch(datasets.get(name), config, step, ranks=ranks) for config in configs]
        for name in configs[0].algo
    ]


def _learner(runs: Sequence[TrainingRun], stacked: bool) -> Learner:
    first = runs[0]
    config, reasoners = first.config, [run.reasoner for run in runs]
    learner: Learner
    if not stacked:
        learner = SingleLearner(first.reasoner, config, ranks=first.ranks, recompute=_recompute(first))
    else:
        graphs = first.on.type == "cuda" and config.cuda_graphs == "auto"
        learner = (CudaGraphLearner if graphs else StackedLearner)(reasoners, [run.config for run in runs])
    states = [run.optimizer for run in runs]
    if all(state is not None for state in states):
        learner.load_optimizer_states(states)  # type: ignore[arg-type]
    return learner


def _stackable(runs: Sequence[TrainingRun], say: Say) -> bool:
    """Can the runs be computed as one, or (a single one) be recorded on a GPU? Says why not."""
    first = runs[0]
    instead = "one after the other" if len(runs) > 1 else "without CUDA graphs"
    if first.config.layout == "sparse":
        say(f"trained {instead}: every sparse batch has edges of its own")
        return False
    for task in first.tasks:
        size = dataclasses.replace(first.config, train_sizes=task.train_sizes[:1], batch_size=2)
        batch = training_batch(task.algorithm, size, 0).to(first.on)
        if reason := why_not_stackable(first.reasoner, first.config, batch):
            say(f"trained {instead}: {reason}")
            return False
    if _recompute(first, len(runs)):
        say(f"trained {instead}: there is too little memory to keep all steps of all samples")
        return False
    return True


def _recompute(run: TrainingRun, stacked: int = 0) -> bool:
    """Is there no room to keep everything for the backward pass? See memory.recompute."""
    if run.config.layout == "sparse" and run.config.memory == "auto":  # graphs of the training sizes are small
        return False
    largest = [
        training_batch(task.algorithm, dataclasses.replace(run.config, train_sizes=(max(task.train_sizes),)), 0)
        for task in run.tasks
    ]
    return memory.recompute(run.reasoner, largest, run.config.memory, run.on, stacked=stacked)


@contextlib.contextmanager
def _batches_shared(runs: Sequence[TrainingRun], say: Say) -> Iterator[None]:
    """While it lasts, batches are shared among as many processes as there are threads, if the runs are long enough."""
    config, threads = runs[0].config, torch.get_num_threads()
    world = shared_batch.size(threads, config.batch_size, chosen=bool(config.threads))
    # a function of the settings alone: a resumed run goes on as it began
    if world == 1 or config.steps < shared_batch.WORTH or all(run.done for run in runs):
        yield
        return
    single = runs[0].ranks
    with contextlib.ExitStack() as stack:
        try:
            ranks = stack.enter_context(shared_batch.spawned(world, _follow, [run.config for run in runs]))
        except shared_batch.NotStarted as reason:  # such as a processor that only this process knows
            say(f"trained in one process, not in {world}: {reason}")
        else:
            say(f"{world} processes share every batch")
            torch.set_num_threads(1)
            stack.callback(torch.set_num_threads, threads)
            for run in runs:
                run.ranks = ranks
        yield
    for run in runs:
        run.ranks = single


def _follow(configs: Sequence[Config], ranks: Ranks) -> None:
    """What the other processes that share batches do: the same steps, each with its share of the batch."""
    cpu = torch.device("cpu")
    device.prepare(cpu)
    runs = [TrainingRun(config, cpu, ranks) for config in configs]
    ranks.meet()
    for group, until in _phases(runs, together=False):
        _train_until(group, until, False, threading.Event())


def _save(runs: Sequence[TrainingRun], learner: Learner) -> None:
    for run, state in zip(runs, learner.optimizer_states(), strict=True):
        run.save_last(state)


def _give_up(runs: Sequence[TrainingRun], learner: Learner) -> None:
    """One run's loss is no number any more: keep the others, and say which."""
    others, errors = [], []
    for run, state in zip(runs, learner.optimizer_states(), strict=True):
        try:
            run.save_last(state)
            others.append(str(run.config.seed))
        except ValueError as error:
            errors.append(error)
    go_on = f"; the other seeds go on with --seeds {' '.join(others)} --resume" if others else ""
    raise ValueError(f"{errors[0]}{go_on}")


def _postfix(runs: Sequence[TrainingRun], losses: Sequence[float], waiting: float) -> str:
    """What the progress bar shows; of several seeds, means."""
    best = sum(run.best["score"] for run in runs) / len(runs)
    found = f"loss {sum(losses) / len(losses):.3f}, best validation {best:.2%}, {waiting:.0%} waiting for data"
    return found if len(runs) == 1 else f"{len(runs)} seeds: {found}"
