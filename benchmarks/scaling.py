"""How time and memory grow with the number of nodes n and with the number of steps T, for training and evaluation.

    python benchmarks/scaling.py                                  # on a CPU: one core, under eight minutes
    python benchmarks/scaling.py --processor rnar --device cuda

- Against n: bellman_ford, trajectories cut after 4 message steps so that growth with T does not mix in. Training: a
  batch of 32, n = 4 ... 64; evaluation: one graph, n = 16 ... 1024. Time is per message step of the batch.
- Against T: dfs with 16 nodes, a batch of 32 cut after 2, 4, 8, ... message steps. Time is of the whole training step
  or evaluation.

Each measurement has a process of its own: time is the median over its calls (CPU seconds on one thread; on CUDA wall
seconds, device synchronised), memory the peak beyond what the process held before (on CUDA: the peak that PyTorch
allocated). The exponent k of n^k or T^k is the slope of the least-squares line through the larger half of the points,
both axes logarithmic, with its standard error. A series stops where a measurement takes longer than `--limit`, runs out
of memory, or where the next one would probably do so. Written to benchmarks/scaling.json and drawn as scaling.png.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import resource
import statistics
import subprocess
import time

import measuring
import result_files

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("what", "axis", "algo", "processor", "nodes", "steps", "batch", "hidden", "device")
PROCESSORS = ("mpnn", "triplet_gmpnn", "gat")
TRAIN_NODES = (4, 8, 16, 32, 64)
EVAL_NODES = (16, 32, 64, 128, 256, 512, 1024)
STEPS = (2, 4, 8, 16, 32, 64)
CUT = 4  # message steps that are measured against n
GROWTH = 8  # of the cost, at most, from one size of a series to the next: n doubles, and the cost may be cubic


def measure(task):
    """One row: seconds and memory of one training step or evaluation, in this process."""
    import numpy as np
    import torch

    from nar import datasets
    from nar.model.batch import collate

    if task["memory_gib"] and task["device"] == "cpu":
        resource.setrlimit(resource.RLIMIT_DATA, (int(task["memory_gib"] * 2**30), resource.RLIM_INFINITY))
    algorithm = datasets.get(task["algo"])
    training = task["what"] == "training"
    rng = np.random.RandomState(0)
    params = algorithm.train_params if training else {}
    learner, chosen = measuring.learner(algorithm, task["processor"], task["hidden"], device=task["device"])
    on = next(learner.reasoners[0].parameters()).device
    step = measuring.trainer(learner) if training else measuring.predictor(learner.reasoners[0])

    def call(batch):
        found = step(batch)
        if training:
            found.item()  # waits for the device

    def draw(nodes, samples):
        return collate([algorithm.run(**algorithm.sample(rng, nodes, **params)) for _ in range(samples)], algorithm)

    call(measuring.shortened(draw(4, 1), 1).to(on))  # libraries are loaded before memory is measured
    whole = draw(task["nodes"], task["batch"])
    batch = measuring.shortened(whole, task["steps"]).to(on)
    del whole
    before = 0.0
    if on.type == "cuda":
        torch.cuda.reset_peak_memory_stats(on)
        before = torch.cuda.memory_allocated(on) / 2**20
    else:
        measuring.forget_peak()
        before = measuring.peak_mb()
    timing = measuring.timed(call, [batch] * 50, seconds=task["seconds"], warm_up=1, least=1)
    after = torch.cuda.max_memory_allocated(on) / 2**20 if on.type == "cuda" else measuring.peak_mb()
    seconds = statistics.median(timing.wall if on.type == "cuda" else timing.cpu)
    return {
        "seconds": seconds,
        "seconds_per_message_step": seconds * len(batch) / measuring.graph_steps(batch),
        "steps_mean": measuring.graph_steps(batch) / len(batch),
        "steps_max": batch.steps,
        "peak_mb": after - before,
        "calls": len(timing.cpu),
        "versions": measuring.versions() | chosen,
    }


def series(options):
    """The measurements in order, those of one curve after another, the cheapest first."""
    common = {"hidden": options.hidden, "device": options.device, "seconds": options.seconds}
    common["memory_gib"] = options.memory
    for processor in options.processor:
        for what, sizes, batch in (("training", TRAIN_NODES, 32), ("evaluation", EVAL_NODES, 1)):
            yield [
                {**common, "what": what, "axis": "n", "algo": options.algo, "processor": processor}
                | {"nodes": n, "steps": CUT, "batch": batch}
                for n in sizes
            ]
    for processor in options.processor[:2]:
        for what in ("training", "evaluation"):
            yield [
                {**common, "what": what, "axis": "T", "algo": options.steps_of, "processor": processor}
                | {"nodes": 16, "steps": steps, "batch": 32}
                for steps in STEPS
            ]


def slope(points):
    """Slope k of log y = k log x + c and its standard error, through the larger half of the points (at least 3).

    None for the slope with fewer than two points, for the error with fewer than three.
    """
    points = sorted((x, y) for x, y in points if x > 0 and y > 0)
    kept = points[-max(3, math.ceil(len(points) / 2)) :]
    if len(kept) < 2:
        return None, None
    xs, ys = [math.log(x) for x, _ in kept], [math.log(y) for _, y in kept]
    fit = statistics.linear_regression(xs, ys)
    if len(kept) < 3:
        return fit.slope, None
    squares = sum((y - fit.slope * x - fit.intercept) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    return fit.slope, math.sqrt(squares / (len(kept) - 2) / spread)


def curves(rows):
    """The rows by curve, (axis, what, algorithm, processor, device, hidden), and its points by quantity."""
    found = {}
    for row in rows:
        key = tuple(row[name] for name in ("axis", "what", "algo", "processor", "device", "hidden"))
        curve = found.setdefault(key, {"time": [], "memory": []})
        if "stopped" not in row:
            x = row["nodes"] if row["axis"] == "n" else row["steps_mean"]
            curve["time"].append((x, row["seconds_per_message_step" if row["axis"] == "n" else "seconds"]))
            curve["memory"].append((x, row["peak_mb"]))
    return {key: {name: sorted(points) for name, points in curve.items()} for key, curve in found.items()}


def exponents(rows):
    """Of every curve, the exponents of time and memory with their standard errors, and the range they are fitted to."""
    found = []
    for (axis, what, algo, processor, device, hidden), curve in sorted(curves(rows).items()):
        about = {"axis": axis, "what": what, "algo": algo, "processor": processor, "device": device, "hidden": hidden}
        for name, points in curve.items():
            exponent, error = slope(points)
            about |= {f"{name}_exponent": exponent, f"{name}_error": error}
        found.append(
            about | {"points": len(curve["time"]), "largest": max((x for x, _ in curve["time"]), default=None)}
        )
    return found


def attempt(task, limit, before=None):
    """The row of one measurement, or why there is none; `before`: seconds of a call at the size before."""
    row = {name: task[name] for name in IDENTITY}
    if before is not None and 2 * GROWTH * before > limit:  # twice: one call warms up
        return row | {"stopped": f"would probably take longer than {limit:g} s"}
    try:
        return row | measuring.in_own_process(__file__, task, cores=task["device"] == "cpu", timeout=limit)
    except subprocess.TimeoutExpired:
        return row | {"stopped": f"takes longer than {limit:g} s"}
    except (MemoryError, SystemExit) as error:
        if isinstance(error, SystemExit) and "alloc" not in str(error) and "memory" not in str(error):
            raise
        return row | {"stopped": f"needs more than {task['memory_gib']:g} GiB"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algo", default="bellman_ford", help="measured against n")
    parser.add_argument("--steps-of", default="dfs", help="algorithm measured against T, with the first two processors")
    parser.add_argument("--processor", nargs="+", default=list(PROCESSORS))
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=2, help="after which a measurement begins no further call")
    parser.add_argument("--limit", type=float, default=45, help="seconds that one measurement may take, start included")
    parser.add_argument("--budget", type=float, default=450, help="seconds after which none is begun")
    parser.add_argument("--memory", type=float, default=8, help="GiB that a measurement may use on a CPU; 0: no limit")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    result_files.add_flags(parser, OUTPUT)
    return parser.parse_args()


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    versions = measuring.made_by()
    began = time.perf_counter()
    for tasks in series(options):
        taken = None  # seconds of a call at the size before
        for task in tasks:
            result = result_files.load(options.output)
            if result_files.wanted(result["rows"], task, versions, IDENTITY, again=options.again, keep=options.keep):
                if time.perf_counter() - began > options.budget:
                    print(f"{options.budget:g} s are over; the same command goes on from here")
                    return finish(options.output)
                row = attempt(task, options.limit, taken)
                row |= {"versions": row.get("versions", {}) | versions, "date": time.strftime("%Y-%m-%d")}
                rows = result_files.put(result["rows"], result_files.rounded(row), IDENTITY)
                result_files.save(options.output, {"exponents": exponents(rows), "rows": rows})
            else:
                row = result_files.find(result["rows"], task, IDENTITY)
            print(line(row), flush=True)
            if "stopped" in row:
                break
            taken = row["seconds"]
    finish(options.output)


def line(row):
    where = f"{row['what']:10} {row['processor']:14} {row['algo']}, n = {row['nodes']}, {row['steps']} steps at most: "
    if "stopped" in row:
        return where + row["stopped"]
    return where + f"{row['seconds'] * 1000:.4g} ms, {row['peak_mb']:.4g} MiB ({row['calls']} calls)"


def finish(output):
    import drawn

    result = result_files.load(output)
    for found in result["exponents"]:
        print(f"{found['what']:10} {found['processor']:14} time ~ {found['axis']}^{found['time_exponent']}")
    drawn.save(drawn.scaling(curves(result["rows"]), result["exponents"]), output.with_suffix(".png"))


if __name__ == "__main__":
    main()
