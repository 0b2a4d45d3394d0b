"""What the whole CLRS-30 table costs: 30 algorithms x 5 seeds x 10,000 steps by the protocol, triplet_gmpnn.

    python benchmarks/clrs30_cost.py                                 # projected for one CPU core, about ten minutes
    python benchmarks/clrs30_cost.py --device cuda --seeds-together 5

For every algorithm, a slice of real training: at each of the protocol's sizes, batches drawn as in training, warm up,
then the median over calls (of one step; on CUDA of five, after which the device is waited for). A step of the protocol
costs the mean over its sizes, which take turns; a run 10,000 of these, a validation every 50 steps (64 samples, or 256)
and an evaluation on the canonical test set. What is counted are CPU seconds on a CPU, where drawing the batches belongs
to the run; on CUDA wall seconds, while other processes draw (the result says how many are needed to keep up).

Evaluation is measured whole on CUDA; on a CPU a few message steps of a batch of the test set are, and multiplied up to
all graphs and steps of it. `--seeds-together N` trains N seeds with stacked parameters; a step's cost is then that of
all N. Every algorithm is written to benchmarks/clrs30_cost.json as soon as it is measured, and not measured again by
the same versions: `--minutes` ends a slice, the same command goes on. The table of pictures is clrs30_cost.png.

Published for comparison: about 0.52 GPU-hours for one run of Triplet-GMPNN by this protocol, that is 78 for 150 runs
(Huang et al., AAAI 2026, on a mixture of RTX 4090, A100 and A6000).
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import time

import measuring
import result_files
from clrs30_rows import IDENTITY, SEEDS, STEPS, cost_of
from traces import CLRS30, cpu

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
PUBLISHED = {"gpu_hours_per_run": 0.52, "runs": 150, "gpu_hours": 78, "by": "Huang et al., AAAI 2026"}
WINDOW = 5  # training steps that a GPU is given before it is waited for, as in training
EVALUATED_STEPS = 3  # message steps of a test batch that are measured on a CPU


def drawn_batch(algorithm, nodes, batch, rng, *, training=True):
    from nar.model.batch import collate

    params = algorithm.train_params if training else {}
    traces = [algorithm.run(**algorithm.sample(rng, nodes, **params)) for _ in range(batch)]
    return collate(traces, algorithm, random_pos=rng if training else None)


def slice_of_training(learner, algorithm, nodes, task, on, rng):
    """Seconds of one training step at one size, of drawing its batches, and how long trajectories are."""
    import torch

    train, window = measuring.trainer(learner), WINDOW if on.type == "cuda" else 1
    windows, drawing = [], []
    for _ in range(task["warm_up"] + task["calls"]):
        began = time.process_time()
        steps = [[drawn_batch(algorithm, nodes, task["batch"], rng) for _ in learner.reasoners] for _ in range(window)]
        drawing.append((time.process_time() - began) / window)
        windows.append([[batch.to(on) for batch in together] for together in steps])

    def call(steps):
        for together in steps:
            train(*together)
        if on.type == "cuda":
            torch.cuda.synchronize(on)

    timing = measuring.timed(call, windows, seconds=task["seconds"], warm_up=task["warm_up"], least=1)
    return {
        "nodes": nodes,
        "seconds": statistics.median(timing.wall if on.type == "cuda" else timing.cpu) / window,
        "draw_seconds": statistics.median(drawing[1:] or drawing),
        "message_steps": statistics.fmean(together[0].steps for steps in windows for together in steps),
        "calls": len(timing.cpu) * window,
    }


def evaluation_seconds(reasoner, algorithm, on):
    """Of the canonical test set, outputs decided, scoring included on CUDA."""
    from nar.datasets import canonical
    from nar.evaluation import evaluate
    from nar.model.batch import collate

    traces, _ = canonical.canonical("clrs30-v1", "test", algorithm)
    if on.type == "cuda":
        began = time.perf_counter()
        evaluate.evaluate(reasoner, algorithm, traces, validity=False)
        return time.perf_counter() - began
    graph_steps = sum(max(1, trace.length - 1) for trace in traces)
    batch = measuring.shortened(collate(traces[:32], algorithm), EVALUATED_STEPS)
    timing = measuring.timed(measuring.predictor(reasoner), [batch] * 2, seconds=0, warm_up=1, least=1)
    return timing.cpu[0] / measuring.graph_steps(batch) * graph_steps


def measure(task):
    """One algorithm's row, in this process."""
    import numpy as np
    import torch

    from nar import datasets
    from nar.evaluation import protocol

    algorithm, rng = datasets.get(task["algo"]), np.random.RandomState(0)
    learner, chosen = measuring.learner(
        algorithm, task["processor"], task["hidden"], seeds=range(task["seeds_together"]), device=task["device"]
    )
    reasoner = learner.reasoners[0]
    on = next(reasoner.parameters()).device
    train_sizes = algorithm.train_sizes or protocol.sizes(algorithm, protocol.TRAIN_SIZES)
    sizes = [slice_of_training(learner, algorithm, nodes, task, on, rng) for nodes in train_sizes]
    validation = [drawn_batch(algorithm, max(train_sizes), 64, rng).to(on)] * 2
    timing = measuring.timed(measuring.predictor(reasoner), validation, seconds=0, warm_up=1, least=1)
    batches = 1 if algorithm.num_samples_multiplier == 1 else 4
    return {
        "sizes": sizes,
        "seeds_at_once": len(learner.reasoners),  # 1 where they cannot be stacked
        "validation_seconds": batches * (timing.wall if on.type == "cuda" else timing.cpu)[0],
        "evaluation_seconds": evaluation_seconds(reasoner, algorithm, on),
        "peak_mb": torch.cuda.max_memory_allocated(on) / 2**20 if on.type == "cuda" else measuring.peak_mb(),
        "device_name": torch.cuda.get_device_name(on) if on.type == "cuda" else cpu(),
        "versions": measuring.versions() | chosen,
    }


def totals(rows):
    """Of every (processor, hidden, batch, device, seeds together): the whole table's cost, as far as it is measured."""
    found = []
    rows = [row for row in rows if row["algo"] in CLRS30]
    settings = [tuple(row[name] for name in IDENTITY[1:]) for row in rows]
    for key in sorted(set(settings)):
        members = [row for row, of in zip(rows, settings, strict=True) if of == key]
        costs = [cost_of(row) for row in members]
        hours = sum(cost["total"] for cost in costs) / 3600
        found.append(
            dict(zip(IDENTITY[1:], key, strict=True))
            | {
                "algorithms": len(members),
                "seconds_per_step_mean": statistics.fmean(cost["seconds_per_step"] for cost in costs),
                **{
                    f"{part}_hours": sum(c[part] for c in costs) / 3600
                    for part in ("training", "drawing", "validation")
                },
                "evaluation_hours": sum(cost["evaluation"] for cost in costs) / 3600,
                "hours": hours,
                "minutes": hours * 60,
                "hours_per_run": hours / (SEEDS * len(members)),
                "processes_to_keep_up": max(
                    math.ceil(cost["draw_seconds_per_step"] / cost["seconds_per_step"]) for cost in costs
                ),
                "device_name": members[-1]["device_name"],
            }
        )
    return found


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algo", nargs="+", default=list(CLRS30), choices=CLRS30, metavar="ALGORITHM")
    parser.add_argument("--processor", default="triplet_gmpnn")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds-together", type=int, default=1, help="seeds that are trained with stacked parameters")
    parser.add_argument("--warm-up", type=int, help="calls at every size before measuring; default: 1, on CUDA 3")
    parser.add_argument("--calls", type=int, help="measured at every size, at most; default: 4, on CUDA 6")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a size, after which no further call is begun")
    parser.add_argument("--minutes", type=float, default=10, help="after which no further algorithm is begun")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    result_files.add_flags(parser, OUTPUT)
    options = parser.parse_args()
    cuda = options.device != "cpu"
    options.warm_up = options.warm_up or (3 if cuda else 1)
    options.calls = options.calls or (6 if cuda else 4)
    return options


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    versions = measuring.made_by()
    names = ("processor", "hidden", "batch", "device", "seeds_together", "warm_up", "calls", "seconds")
    began = time.perf_counter()
    for algo in options.algo:
        task = {"algo": algo} | {name: getattr(options, name) for name in names}
        rows = result_files.load(options.output)["rows"]
        if not result_files.wanted(rows, task, versions, IDENTITY, again=options.again, keep=options.keep):
            continue
        if time.perf_counter() - began > 60 * options.minutes:
            print(f"{options.minutes:g} minutes are over; the same command goes on with {algo}")
            break
        row = {name: task[name] for name in IDENTITY}
        row |= measuring.in_own_process(__file__, task, cores=task["device"] == "cpu")
        row |= {"versions": row["versions"] | versions, "date": time.strftime("%Y-%m-%d")}
        rows = result_files.put(rows, result_files.rounded(row), IDENTITY)
        result_files.save(
            options.output,
            {
                "of": f"{len(CLRS30)} algorithms x {SEEDS} seeds x {STEPS:,} steps",
                "unit": "seconds of the device, or of one CPU core",
                "published": PUBLISHED,
                "totals": totals(rows),
                "rows": rows,
            },
        )
        cost = cost_of(row)
        print(
            f"{algo:30} {cost['seconds_per_step'] * 1000:9.2f} ms a step, {cost['draw_seconds_per_step'] * 1000:7.2f} "
            f"to draw it; {SEEDS} runs {cost['total'] / 60:8.1f} minutes",
            flush=True,
        )
    result = result_files.load(options.output)
    for found in result["totals"]:
        print(json.dumps(found))
    import drawn

    drawn.save(drawn.clrs30_cost(result), options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
