"""Training: settings -> data -> reasoner -> loop -> best checkpoint -> evaluation -> report, read from top to bottom.

Everything random is a pure function of the seed and the step, so a resumed run continues bit for bit on a CPU. A run
loses at most the steps since its last checkpoint, whatever stops it; Ctrl-C (or SIGTERM) ends it early in good order:
what was reached so far is evaluated and reported.
"""

from __future__ import annotations

import contextlib
import functools
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from nar import checkpoint, datasets, device, parallel, protocol
from nar.algorithm import Algorithm
from nar.batch import Batch, collate, draw
from nar.config import Config
from nar.evaluate import evaluate, test_samples, test_set
from nar.loss import ALONE, total_loss
from nar.reasoner import Reasoner
from nar.run_directory import Metrics, open_run, provenance
from nar.workers import made

TRAINING_STREAM, VALIDATION_SEED = 0, 2  # validation data is the same whatever the run's seed


def train(config: Config, *, command: str = "") -> dict[str, Any]:
    """Train, evaluate and report one run; returns what results.json holds. ValueError where settings do not fit."""
    # settings
    algorithm = datasets.get(config.algo)
    by_default = config.eval_sizes is None
    config = protocol.resolved(config, algorithm)
    ranks, on = parallel.join(device.choose(config.device))
    reasoner = Reasoner.from_config(config)
    run_dir = config.run_dir
    best_file = run_dir / "best.pt"
    with ranks.first_alone():
        resumed = open_run(config, write=ranks.first)
    chosen = device.prepare(on, config.threads)
    reasoner.to(on)

    # data
    val_batches = validation_set(algorithm, config)

    # optimiser
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=config.learning_rate, fused=True)
    step, seconds, best = 0, 0.0, {"step": -1, "score": -math.inf, "loss": math.inf}
    if resumed is not None:
        reasoner.load_parameters(resumed["model"], run_dir / "last.pt")
        optimizer.load_state_dict(resumed["optimizer"])
        step, seconds = resumed["step"], resumed["seconds"]
        if best_file.is_file():  # may be newer than last.pt; the same steps would find the same best again
            best = checkpoint.load(best_file)["best"]
    tell = functools.partial(print, file=sys.stderr) if ranks.first else lambda _: None
    tell(
        f"{config.algo} with {config.processor}: {reasoner.parameter_count():,} parameters on {on}, "
        f"{config.steps:,} steps, run directory {run_dir}"
        + (f", resumed at step {step:,}" if resumed else "")
        + (f", {ranks.world} processes" if ranks.world > 1 else "")
    )

    def save_last() -> None:
        state = {"model": reasoner.state_dict(), "optimizer": optimizer.state_dict(), "config": config.to_dict()}
        checkpoint.save(run_dir / "last.pt", {**state, "step": step, "seconds": seconds})

    def save_best() -> None:
        checkpoint.save(best_file, {"model": reasoner.state_dict(), "config": config.to_dict(), "best": best})

    # loop
    reasoner.train()
    logged: list[float] = []
    began = time.perf_counter() - seconds
    interval = 0.5 if sys.stderr.isatty() else 30.0
    batches = made(
        functools.partial(training_batch, algorithm, config, ranks=ranks),
        range(step, config.steps),
        config.workers,
        f"the training batch (seed {config.seed}) of step",
    )
    with (
        contextlib.closing(batches),
        _interruptible("step") as interrupted,
        Metrics(run_dir / "metrics.jsonl", keep_until=step) if ranks.first else contextlib.nullcontext() as metrics,
        tqdm(total=config.steps, initial=step, unit="step", mininterval=interval, disable=not ranks.first) as bar,
    ):
        while step < config.steps and not ranks.any(interrupted.is_set(), on):
            batch = next(batches).to(on)
            torch.manual_seed(_mix(config.seed, step, ranks.rank))  # dropout, Gumbel noise, teacher forcing
            rollout = reasoner(batch, teacher_forcing=config.teacher_forcing, progress=step / config.steps)
            loss = total_loss(batch, rollout, ranks) if ranks.world > 1 else total_loss(batch, rollout)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            ranks.sum_gradients(reasoner.parameters())
            if config.grad_clip:
                torch.nn.utils.clip_grad_norm_(reasoner.parameters(), config.grad_clip)
            logged.append(ranks.sum(loss.detach()).item())  # waits for the device
            if not math.isfinite(logged[-1]):
                raise ValueError(
                    f"the loss became {logged[-1]} at step {step + 1}; lower --learning-rate (now "
                    f"{config.learning_rate}) or --grad-clip; {run_dir} keeps the checkpoints made before"
                )
            optimizer.step()
            step += 1
            seconds = time.perf_counter() - began

            if metrics is None:  # not the process that writes
                continue
            if step % config.val_every == 0 or step == config.steps:
                found = evaluate(reasoner, algorithm, batches=val_batches, loss=True, validity=False)
                mean_loss = sum(logged) / len(logged)
                logged.clear()
                metrics.write(
                    {"step": step, "loss": mean_loss, "train_size": batch.nodes, "seconds": round(seconds, 2)}
                    | {"validation_score": found.score, "validation_loss": found.loss}
                    | {name: sum(values) / len(values) for name, values in found.measures.items()}
                )
                if (found.score, -found.loss) > (best["score"], -best["loss"]):  # ties: the lower validation loss
                    best = {"step": step, "score": found.score, "loss": found.loss}
                    save_best()
                bar.set_postfix_str(f"loss {mean_loss:.3f}, validation {found.score:.2%}, best {best['score']:.2%}")
            if step % config.checkpoint_every == 0:
                save_last()
            bar.update()
        if ranks.first:
            save_last()
    ranks.leave()
    if not ranks.first:
        return {}
    if best["step"] < 0:  # stopped before the first validation: there is nothing to choose from but the last step
        best = {"step": step, "score": -math.inf, "loss": math.inf}
        save_best()

    # evaluation
    results = {
        "schema": 1,
        "run": {
            "algorithm": config.algo,
            "processor": config.processor,
            "seed": config.seed,
            "parameters": reasoner.parameter_count(),
            "processes": ranks.world,
            "steps": step,
            "steps_planned": config.steps,
            "interrupted": step < config.steps,
            "best_step": best["step"],
            "best_validation": best["score"] if math.isfinite(best["score"]) else None,
            "train_seconds": round(seconds, 2),
            "train_sizes": list(config.train_sizes or ()),
            "validation_size": config.val_size,
        },
        "config": config.to_dict(),
        "command": command,
        "provenance": provenance(on) | chosen,
    }
    reasoner.load_state_dict(checkpoint.load(best_file, on)["model"])
    results["evaluations"] = []
    test_sizes = config.eval_sizes or ()
    if by_default and on.type == "cpu":
        test_sizes = [n for n in test_sizes if _affordable(algorithm, n, config.eval_samples)]
        if left_out := sorted(set(config.eval_sizes or ()) - set(test_sizes)):
            results["run"]["left_out"] = left_out
            tell(
                f"not evaluated at {', '.join(map(str, left_out))}: {algorithm.name} takes "
                f"{protocol.steps_at(algorithm, left_out[0]):,} steps there, too many for a CPU; "
                f"--eval-sizes {' '.join(map(str, config.eval_sizes or ()))} does it all the same"
            )
    with (
        _interruptible("size", already=interrupted.is_set()) as interrupted,
        tqdm(test_sizes, unit="size", disable=not test_sizes) as bar,
    ):
        for size in bar:
            bar.set_description(f"evaluating {size} nodes")
            if interrupted.is_set():
                break
            traces, manifest = test_set(algorithm, size, config.eval_samples)
            score = evaluate(reasoner, algorithm, traces)
            entry = {"algorithm": config.algo, "size": size, **score.to_dict(), "data": manifest}
            results["evaluations"].append(entry)
            checkpoint.write_json(run_dir / "results.json", results)
    checkpoint.write_json(run_dir / "results.json", results)

    # report
    from nar import report

    path = report.write_report(run_dir)
    print(report.table(results))
    print(f"report: {path}")
    return results


def _affordable(algorithm: Algorithm, size: int, samples: int) -> bool:
    """The canonical set always is: without it a run cannot be compared."""
    if size <= protocol.canonical_size(algorithm):
        return True
    return protocol.affordable(algorithm, size, samples or test_samples(algorithm, size))


def training_batch(algorithm: Algorithm, config: Config, step: int, *, ranks: parallel.Ranks = ALONE) -> Batch:
    """The batch of one step, or this process's share of it: a pure function of the settings and the step."""
    sizes = protocol.resolved(config, algorithm).train_sizes or ()
    batch = draw(
        algorithm,
        sizes[step % len(sizes)],
        config.batch_size * ranks.world,
        seed=(config.seed, TRAINING_STREAM, step),
        random_pos=config.random_pos,
        **algorithm.train_params,
    )
    return ranks.share(batch)


def validation_set(algorithm: Algorithm, config: Config) -> list[Batch]:
    """Validation data from the training distribution, the same for every seed."""
    samples = config.val_samples or (64 if algorithm.num_samples_multiplier == 1 else 256)
    rng = np.random.RandomState(VALIDATION_SEED)
    size = protocol.resolved(config, algorithm).val_size or 0
    traces = [algorithm.run(**algorithm.sample(rng, size, **algorithm.train_params)) for _ in range(samples)]
    positions = rng if config.random_pos else None
    return [collate(traces[i : i + 64], algorithm, random_pos=positions) for i in range(0, len(traces), 64)]


@contextlib.contextmanager
def _interruptible(unit: str, *, already: bool = False) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, to stop after this `unit`; the second one acts as usual.

    `already`: the first one came earlier, and what is done now is the good order in which the run ends.
    """
    event = threading.Event()
    if already or threading.current_thread() is not threading.main_thread():
        yield event
        return
    before: dict[int, Any] = {}

    def stop(number: int, _: Any) -> None:
        event.set()
        print(f"\nstopping after this {unit}; once more to stop at once", file=sys.stderr)
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mix(seed: int, step: int, rank: int) -> int:
    """A seed for PyTorch from several numbers, without the patterns of a sum."""
    numbers = (seed, step, rank) if rank else (seed, step)
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
