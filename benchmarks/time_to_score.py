"""CPU-seconds of training until the published score at 64 nodes is reached: own recipe, own protocol run, dm-clrs's.

    python benchmarks/time_to_score.py --peer-python PYTHON                # PYTHON: an interpreter that has dm-clrs
    python benchmarks/time_to_score.py --algo bellman_ford --side step --seeds 0 1 2
    python benchmarks/time_to_score.py --table                             # what is measured so far

The mark is the mean of Triplet-GMPNN in Ibarz et al. 2022, Table 2, on the canonical test set. `step` is `nar train
--recipe step`, `protocol` the default of `nar train`, `dm-clrs` the training of dm-clrs's examples/run.py with its
default flags and triplet_gmpnn (benchmarks/score_peer.py); without an interpreter for it (--peer-python, or
NAR_PEER_PYTHON), its column says missing.

What counts is the CPU time of the process for setting up, drawing batches and updates, on one core: compilation is part
of it, and the updates in which batches had a shape for the first time, in which most is compiled, also stand apart. The
score is measured after 25 updates and then whenever there are a quarter more (`--ratio`); neither that nor validation
counts. So the mark was passed between two such checkpoints, both of which the file has; the table shows the later one.
A training that ends, or takes more CPU time than `--minutes`, before it has reached the mark is said to be above what
it took. Sides take turns, seed by seed; the table has medians over seeds.

Stopping at a test score is a measurement of speed, not a selection of models: what is stopped here is not used for
anything, and no score of it enters any other table. Weights are those of the moment, without a choice by validation.

Every measurement is written to benchmarks/time_to_score.json as soon as it is made, and not made again by the same
versions. `python benchmarks/speed_tables.py docs/speed.md` puts the table on its page.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import statistics
import tempfile
import time

import measuring
import result_files
from train_step import peer_versions

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
PEER = pathlib.Path(__file__).with_name("score_peer.py")
ALGORITHMS = ("bellman_ford", "insertion_sort", "dfs")
SIDES = {"step": "nar, recipe `step`", "protocol": "nar, the protocol", "dm-clrs": "dm-clrs"}
IDENTITY = ("algo", "side", "seed")
FIRST = 25  # updates before the first checkpoint


def checkpoints(steps, ratio):
    """After how many updates the score is measured: at FIRST, then always `ratio` times as many, and at the end."""
    found, at = [], FIRST
    while at < steps:
        found.append(at)
        at = max(at + 1, math.ceil(at * ratio))
    return [*found, steps]


def until_mark(update, score, *, steps, mark, limit, ratio, spent=0.0, clock=time.process_time):
    """Train until the score is reached, the updates are made or the CPU seconds are spent; what happened on the way.

    `update(step)` makes an update, drawing included, and says whether its batch had a new shape; `score()` is measured
    off the clock; `spent`: seconds before the first update.
    """
    wanted, curve, seconds, compiling = checkpoints(steps, ratio), [], spent, 0.0
    for step in range(steps):
        began = clock()
        new = update(step)
        took = clock() - began
        seconds, compiling = seconds + took, compiling + took * bool(new)
        over = seconds > limit
        if step + 1 in wanted or over:
            curve.append({"steps": step + 1, "cpu_seconds": seconds, "score": float(score())})
            if curve[-1]["score"] >= mark or over:
                break
    reached = curve[-1]["score"] >= mark
    before = curve[-2] if len(curve) > 1 else {"steps": 0, "cpu_seconds": 0.0}
    return {
        "reached": reached,
        "steps": curve[-1]["steps"],
        "cpu_seconds": curve[-1]["cpu_seconds"],
        "not_yet_at": {name: before[name] for name in ("steps", "cpu_seconds")} if reached else None,
        "new_shapes_cpu_seconds": compiling,
        "curve": curve,
    }


def measure_ours(task):
    """A training of ours, as nar/training/loop.py makes it with one process, without validation."""
    import torch

    from nar import datasets, device, recipes
    from nar.datasets import canonical
    from nar.evaluation.evaluate import evaluate
    from nar.training.distributed import SINGLE
    from nar.training.learner import SingleLearner
    from nar.training.run import TrainingRun
    from nar.training.tasks import training_batch

    on, algorithm = torch.device("cpu"), datasets.get(task["algo"])
    chosen = device.prepare(on, 1)
    settings = {"algo": task["algo"], "seed": task["seed"], **task.get("settings", {})}
    traces, began = list(canonical.canonical("clrs30-v1", "test", algorithm)[0]), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(recipes.config(task["side"], **settings, out=pathlib.Path(folder)), on, SINGLE)
    config, reasoner, sizes = run.config, run.reasoner.train(), set()
    learner, setting_up = SingleLearner(reasoner, config), time.process_time() - began

    def update(step):
        batch = training_batch(algorithm, config, step)
        with device.tiny_numbers_are_zero():
            learner.step([batch], step, progress=step / config.steps)
        return batch.nodes not in sizes and (sizes.add(batch.nodes) or True)

    def score():
        return evaluate(reasoner, algorithm, traces, validity=False).score

    limits = {name: task[name] for name in ("mark", "limit", "ratio")}
    found = until_mark(update, score, steps=config.steps, spent=setting_up, **limits)
    return found | {"planned_steps": config.steps, "versions": measuring.versions() | chosen}


def measure(task, peer_python):
    """One training in a process of its own, on one core."""
    if task["side"] == "dm-clrs":
        return measuring.start([peer_python, str(PEER), json.dumps(task)], cores=1)
    return measuring.in_own_process(__file__, task, cores=1)


def mark_of(algorithm):
    """The published score, a share of 1."""
    from nar.results import published

    return published.ibarz2022(algorithm, "triplet_gmpnn")[0].mean / 100


def middle(rows):
    """The median over seeds, and whether it is one that did not arrive, which counts as longer than all that did."""
    less, seconds = statistics.median_low((not row["reached"], row["cpu_seconds"]) for row in rows)
    return seconds, less


def words(rows):
    """The median over seeds in words, and every seed's."""
    if not rows:
        return "missing"
    seconds, less = middle(rows)
    each = ", ".join(f"{'> ' * (not row['reached'])}{row['cpu_seconds']:,.0f}" for row in rows)
    return f"{'> ' * less}{seconds:,.0f} s" + (f" ({each})" if len(rows) > 1 else " (1 seed)")


def ratio_to_step(of_side, of_step):
    """How many times as long as `step`, of medians; more than that where a side did not arrive, – where `step` did not,
    or either is not there."""
    if not of_side or not of_step or middle(of_step)[1]:
        return "–"
    (seconds, less), (step, _) = middle(of_side), middle(of_step)
    return f"{'> ' * less}{seconds / step:,.0f}x"


def made(result):
    """The table: a row for every algorithm, a column for every side."""
    from speed_tables import table  # which has this table, too

    lines = []
    for algorithm in dict.fromkeys([*ALGORITHMS, *(row["algo"] for row in result["rows"])]):
        rows = {
            side: sorted((r for r in result["rows"] if (r["algo"], r["side"]) == (algorithm, side)),
                         key=lambda r: r["seed"])
            for side in SIDES
        }  # fmt: skip
        against = [ratio_to_step(rows[side], rows["step"]) for side in list(SIDES)[1:]]
        lines.append([f"`{algorithm}`", f"{100 * mark_of(algorithm):.2f}", *map(words, rows.values()), *against])
    header = ["CPU-seconds to the published score", "score, %", *SIDES.values(), "protocol / step", "dm-clrs / step"]
    return table(header, lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=os.environ.get("NAR_PEER_PYTHON"), help="that has dm-clrs==2.0.3")
    parser.add_argument("--algo", nargs="+", default=ALGORITHMS)
    parser.add_argument("--side", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=30.0, help="CPU time of a training, at most")
    parser.add_argument("--ratio", type=float, default=1.25, help="updates at a checkpoint over those at the last")
    parser.add_argument("--table", action="store_true", help="print the table and measure nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    result_files.add_flags(parser, OUTPUT)
    options = parser.parse_args()
    if options.ratio <= 1 or options.minutes <= 0:
        parser.error("--ratio must be above 1 and --minutes above 0")
    return options


def tasks(options):
    """The measurements asked for: of every algorithm, the sides in turn, seed by seed."""
    for algorithm in options.algo:
        for seed in options.seeds:
            for side in options.side:
                limits = {"mark": mark_of(algorithm), "limit": 60 * options.minutes, "ratio": options.ratio}
                yield {"algo": algorithm, "side": side, "seed": seed, **limits}


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure_ours(json.loads(options.worker))))
        return
    if options.table:
        print(made(result_files.load(options.output)))
        return
    versions = measuring.made_by() | {"peer": None}
    if "dm-clrs" in options.side and options.peer_python:
        peer = {"sources": None, "torch": None, "cpu": versions["cpu"], "peer": peer_versions(options.peer_python)}
    for task in tasks(options):
        result = result_files.load(options.output)
        name = " ".join(str(task[key]) for key in IDENTITY)
        if task["side"] == "dm-clrs" and not options.peer_python:
            print(f"{name}: missing (no --peer-python)", flush=True)
            continue
        own = peer if task["side"] == "dm-clrs" else versions
        old = result_files.find(result["rows"], task, IDENTITY)
        longer = old is not None and not old["reached"] and old["limit"] < task["limit"] and not old["ended"]
        if longer or result_files.wanted(result["rows"], task, own, IDENTITY, again=options.again, keep=options.keep):
            found = measure(task, options.peer_python)
            found["versions"] = found["versions"] | own
            ended = found["steps"] == found["planned_steps"]
            row = result_files.rounded(task | found | {"ended": ended, "date": time.strftime("%Y-%m-%d")})
            result = {"unit": "CPU-seconds of training", "rows": result_files.put(result["rows"], row, IDENTITY)}
            result_files.save(options.output, result)
        row = result_files.find(result["rows"], task, IDENTITY)
        arrived = "reached" if row["reached"] else "not reached"
        print(f"{name}: {arrived} after {row['cpu_seconds']:,.1f} s and {row['steps']:,} updates", flush=True)


if __name__ == "__main__":
    main()
