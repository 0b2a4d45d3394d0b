"""What a run gains from several CPU cores: seconds per step of `nar train` with one process and with several.

    python benchmarks/cores.py                                     # one core against all, the default run; 4 minutes
    python benchmarks/cores.py --algo bfs --processor mpnn --cores 1 2 4

Real runs of the published protocol, cut after `--steps` steps, with data, validation and metrics, in turns, each in a
fresh process. Counted are the steps after the first hundred: before them processes start and kernels are loaded. Wall
seconds, since it is about them: on a machine with other work the ratio says little. The cost of all steps of a run is
projected from it; its evaluation comes on top. Written to benchmarks/cores.json.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time

import measuring
import result_files

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("algo", "processor", "cores")
BEFORE = 100  # steps that are not counted
WHOLE = 10_000  # steps of a run of the published protocol


def measure(task):
    """Wall seconds per step of one run, in this process and those that it starts."""
    from nar.config import Config
    from nar.experiments.experiment import train

    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        config = Config(
            algo=(task["algo"],), processor=task["processor"], steps=task["steps"], threads=task["cores"],
            device="cpu", eval_sizes=(4,), eval_samples=1, out=run,
        )  # fmt: skip
        train(config)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    begin = next(row for row in rows if row["step"] >= BEFORE)
    return {
        "seconds_per_step": (rows[-1]["seconds"] - begin["seconds"]) / (rows[-1]["step"] - begin["step"]),
        "versions": measuring.versions(),
    }


def rows(measured):
    """A row for every number of cores, from what was measured with it, round by round."""
    for cores, found in measured.items():
        seconds = statistics.median(one["seconds_per_step"] for one in found)
        row = {"cores": cores, "seconds_per_step": seconds, "whole_run_seconds": WHOLE * seconds, "rounds": len(found)}
        if 1 in measured:
            pairs = zip(measured[1], found, strict=True)
            row["ratios_by_round"] = [one["seconds_per_step"] / it["seconds_per_step"] for one, it in pairs]
            row["faster_than_one"] = statistics.median(row["ratios_by_round"])
        yield row | {"versions": found[0]["versions"]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algo", default="bellman_ford")
    parser.add_argument("--processor", default="triplet_gmpnn")
    parser.add_argument("--cores", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 2 * BEFORE:
        parser.error(f"--steps must be at least {2 * BEFORE}")
    return options


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    versions, measured = measuring.made_by(), {cores: [] for cores in options.cores}
    for _ in range(options.rounds):
        for cores, found in measured.items():
            task = {"algo": options.algo, "processor": options.processor, "steps": options.steps, "cores": cores}
            found.append(measuring.in_own_process(__file__, task))
            print(f"{cores} core(s): {found[-1]['seconds_per_step'] * 1000:.1f} ms per step", flush=True)
    result = result_files.load(options.output)
    for row in rows(measured):
        row |= {"algo": options.algo, "processor": options.processor, "date": time.strftime("%Y-%m-%d")}
        row["versions"] |= versions
        result["rows"] = result_files.put(result["rows"], row, IDENTITY)
    result_files.save(options.output, result)


if __name__ == "__main__":
    main()
