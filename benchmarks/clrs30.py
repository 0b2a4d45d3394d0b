"""The table of CLRS-30 as a queue of training runs, recorded one after the other in results/clrs30.csv.

    python benchmarks/clrs30.py --minutes 60                # go on with the next runs of the queue, on one core
    python benchmarks/clrs30.py --list                      # the queue, what is recorded and what is to come
    python benchmarks/clrs30.py --add runs/bfs-mpnn-seed0   # record finished runs that were made by hand

A cell is (algorithm, processor, recipe, seed). Cells that tell most and cost least come first (QUEUE; within an entry,
whole seeds of the cheapest algorithm first). A cell that runs when the time is up is stopped and goes on from its last
checkpoint the next time. Runs are made by `nar train` in processes of their own; numbers come from this checkout, so
run it in a clean clone of the commit that they are to stand for.

The file has one row per cell and size: scores as shares of 1 at that size, the training steps, the CPU seconds of
training and evaluation together (empty for runs added by hand, which nobody measured), and what made them. Runs of one
cell on one kind of machine give the same numbers; `--again CELL` makes a cell a second time and compares.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
import time

from nar.results.schema import read

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "clrs30.csv"
RUNS = ROOT / "runs" / "clrs30"
COLUMNS = (
    "algorithm", "processor", "recipe", "seed", "size", "score", "exact", "valid", "steps", "cpu_seconds", "device",
    "commit", "command",
)  # fmt: skip
RECIPES = {"protocol": [], "step": ["--recipe", "step"]}  # flags of `nar train`: the published protocol is its default
SHORT = (
    "segments_intersect binary_search bfs bellman_ford lcs_length minimum task_scheduling activity_selector "
    "find_maximum_subarray_kadane mst_prim dijkstra insertion_sort"
).split()  # algorithms of short traces, the cheapest first (clrs30_cost.json)
NAMED = "mpnn pgn gat deepsets rnar lcm forgetnet g_forgetnet triplet_gmpnn".split()
QUEUE = [  # (algorithms, processors, recipe, seeds)
    (SHORT, ["triplet_gmpnn"], "protocol", range(3)),
    (["bellman_ford", "insertion_sort"], NAMED, "protocol", range(3)),
    (
        "naive_string_matcher matrix_chain_order floyd_warshall graham_scan optimal_bst".split(),
        ["triplet_gmpnn"], "protocol", range(3),
    ),
]  # fmt: skip

Cell = tuple[str, str, str, int]


def queue() -> list[Cell]:
    """Every cell once, in the order in which they are made."""
    found = [
        (algorithm, processor, recipe, seed)
        for algorithms, processors, recipe, seeds in QUEUE
        for algorithm in algorithms
        for processor in processors
        for seed in seeds
    ]
    return list(dict.fromkeys(found))


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    if not TABLE.is_file():
        return []
    with open(TABLE, newline="") as file:
        return list(csv.DictReader(file))


def cell_of(row: dict[str, str]) -> Cell:
    return row["algorithm"], row["processor"], row["recipe"], int(row["seed"])


def record(results: dict, recipe: str, cpu_seconds: float | None, command: str) -> list[dict[str, str]]:
    """The rows of a finished run, put into the table in the place of older ones of its cell; ValueError if unfit."""
    run, made = results["run"], results["provenance"]
    if run["interrupted"] or len(run["algorithms"]) != 1:
        raise ValueError("only whole runs of one algorithm are recorded")
    if (begun := results["config"].get("recipe", "protocol")) != recipe:
        raise ValueError(f"made by the recipe {begun}, not {recipe}")
    if "+" in (made["commit"] or "+"):
        raise ValueError(f"made by code that is no commit ({made['commit']}); run in a clean clone")
    found = [
        {
            "algorithm": entry["algorithm"], "processor": run["processor"], "recipe": recipe, "seed": run["seed"],
            "size": entry["size"], "score": entry["score"], "exact": entry["exact"], "valid": entry["valid"],
            "steps": run["steps"], "cpu_seconds": "" if cpu_seconds is None else round(cpu_seconds),
            "device": made["device"], "commit": made["commit"], "command": command,
        }
        for entry in results["evaluations"]
        if entry["setting"] == {} and entry["termination"] == "oracle"
    ]  # fmt: skip
    fresh = [{name: str(value) for name, value in row.items()} for row in found]
    kept = [row for row in rows() if cell_of(row) != cell_of(fresh[0])]
    order = {cell: place for place, cell in enumerate(queue())}
    table = sorted(kept + fresh, key=lambda row: (order.get(cell_of(row), len(order)), cell_of(row), int(row["size"])))
    temporary = TABLE.with_suffix(".tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    temporary.replace(TABLE)
    return fresh


def train(cell: Cell, deadline: float, folder: pathlib.Path, device: str) -> dict | None:
    """Train a cell, or go on with it; its results, or None where the time was up first."""
    algorithm, processor, recipe, seed = cell
    out = folder / "-".join(map(str, cell))
    spent = out.with_suffix(".cpu.json")  # CPU seconds of the processes that worked on it so far
    flags = ["--algo", algorithm, "--processor", processor, "--seed", str(seed), *RECIPES[recipe]]
    local = ["--device", device, "--threads", "1", "--out", str(out), *(["--resume"] if out.exists() else [])]
    folder.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "from nar.cli.main import main; raise SystemExit(main())"
    with open(out.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "train", *flags, *local],
            stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()  # it goes on from its last checkpoint: a polite end would be evaluated
            code = None
            process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = json.loads(spent.read_text()) if spent.is_file() else 0.0
    seconds += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent.write_text(json.dumps(seconds))
    if code is None:
        return None
    if code != 0:
        raise SystemExit(f"{' '.join(flags)} ended with code {code}; see {out.with_suffix('.log')}")
    return read(out) | {"cpu_seconds": seconds, "flags": flags}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after so many minutes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--list", action="store_true", help="show the queue and train nothing")
    parser.add_argument("--add", nargs="+", type=pathlib.Path, default=[], metavar="RUN", help="record finished runs")
    parser.add_argument("--again", metavar="CELL", help="ALGORITHM-PROCESSOR-RECIPE-SEED: make it again and compare")
    options = parser.parse_args()
    for run in options.add:
        results = read(run)
        record(results, results["config"].get("recipe", "protocol"), None, results["command"])
        print(f"{run}: recorded")
    recorded = {cell_of(row) for row in rows()}
    if options.list:
        for cell in queue():
            print("recorded" if cell in recorded else "to come ", *cell)
    if options.add or options.list:
        return
    deadline = time.monotonic() + 60 * options.minutes
    cells = [cell for cell in queue() if cell not in recorded]
    if options.again:
        cells = [cell for cell in queue() if "-".join(map(str, cell)) == options.again]
    for cell in cells:
        results = train(cell, deadline, RUNS / "again" if options.again else RUNS, options.device)
        if results is None:
            print("the time is up during", *cell)
            return
        if options.again:
            before = {row["size"]: float(row["score"]) for row in rows() if cell_of(row) == cell}
            now = {str(entry["size"]): entry["score"] for entry in results["evaluations"]}
            print(*cell, "gives the same scores" if now == before else f"gave {before}, now {now}")
            continue
        command = shlex.join(["python", "train.py", *results["flags"], "--threads", "1"])
        for row in record(results, cell[2], results["cpu_seconds"], command):
            print(*(row[name] for name in COLUMNS[:-1]), flush=True)


if __name__ == "__main__":
    main()
