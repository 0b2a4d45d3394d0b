"""The table of CLRS-30 as a queue of training runs, recorded one after the other in results/clrs30.csv.

    python benchmarks/clrs30.py --minutes 60                        # go on with the next runs of the queue, on one core
    python benchmarks/clrs30.py --recipe step --seed 0 --minutes 60 # only these (also --algo, --processor)
    python benchmarks/clrs30.py --list                              # what is recorded and what is to come
    python benchmarks/clrs30.py --add runs/bfs-mpnn-seed0           # record finished runs that were made by hand

The queue, its recipes and its sizes are those of benchmarks/clrs30_cells.py. A run that is stopped in its training when
the time is up goes on from its last checkpoint the next time, an evaluation begins anew. Runs are made by `nar train`,
sizes above the canonical one by `nar evaluate` on as many graphs as cost minutes (`--patience 5`: five times as many,
also where fewer are recorded), in processes of their own; numbers come from this checkout, so run it in a clean clone
of the commit that they are to stand for. Runs stay in runs/clrs30, where later tasks evaluate them further.

The file has one row per cell and size: scores as shares of 1 at that size and on how many graphs, score and exactness
where the reasoner itself says when a rollout ends (if it can, and was asked), the training steps, the CPU seconds that
training and all evaluations took, and of these the seconds of training alone, by the clock (empty where nobody
measured), and what made them. Runs of one cell on one kind of machine give the same numbers;
`--again ALGORITHM-PROCESSOR-RECIPE-SEED` makes a cell a second time and compares.
`python benchmarks/clrs30_report.py` makes the report of the file, and README's section of results.
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

import result_files
from clrs30_cells import CANONICAL, RECIPES, Cell, Task, graphs, queue, sizes_of, tasks

from nar import datasets
from nar.cli import train_settings
from nar.config import FREE, Config
from nar.evaluation import protocol
from nar.results.schema import read

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "clrs30.csv"
RUNS = ROOT / "runs" / "clrs30"
COLUMNS = (
    "algorithm", "processor", "recipe", "seed", "size", "samples", "score", "exact", "valid", "learned_end",
    "learned_end_exact", "steps", "cpu_seconds", "train_seconds", "device", "commit", "command",
)  # fmt: skip
FILTERS = ("algo", "processor", "recipe", "seed")  # the parts of a cell, as flags
PROGRAM = "from nar.cli.main import main; raise SystemExit(main())"


def rows() -> list[dict[str, str]]:
    """What is recorded; "" in columns that came later."""
    if not TABLE.is_file():
        return []
    with open(TABLE, newline="") as file:
        return [dict.fromkeys(COLUMNS, "") | row for row in csv.DictReader(file)]


def cell_of(row: dict[str, str]) -> Cell:
    return row["algorithm"], row["processor"], row["recipe"], int(row["seed"])


def flags_of(cell: Cell) -> list[str]:
    """The flags of `nar train` that make it."""
    algorithm, processor, recipe, seed = cell
    sizes = ["--eval-sizes", *map(str, sizes_of(algorithm, CANONICAL))] if recipe != "protocol" else []
    return ["--algo", algorithm, "--processor", processor, "--seed", str(seed), *RECIPES[recipe], *sizes]


def recipe_of(results: dict) -> str:
    """The recipe of this table by which a run was made; ValueError where there is none."""
    made = Config.from_dict({name: value for name, value in results["config"].items() if name not in ("out", "seeds")})
    (name,) = made.algo
    algorithm = datasets.get(name)
    for recipe in RECIPES:
        asked = train_settings.read(flags_of((name, made.processor, recipe, made.seed)), "nar train")
        one, other = (protocol.resolved(config, algorithm).to_dict() for config in (made, asked))
        if one["recipe"] == other["recipe"] and all(
            one[key] == other[key] for key in one if key not in FREE - {"steps"}
        ):
            return recipe
    raise ValueError("made by settings that no recipe of the table has")


def of_the_table(entry: dict, end: str = "oracle") -> bool:
    """Is an evaluation of the algorithm's own distribution, with the trace's number of steps or another end?"""
    return entry["setting"] == {} and entry["termination"] == end


def record(results: dict, cpu_seconds: float | None, command: str | None = None) -> list[dict[str, str]]:
    """The rows of a finished run, put into the table in the place of older ones of its cell; ValueError if unfit.

    `command`: what trained it, where that is not this queue's.
    """
    run, made = results["run"], results["provenance"]
    if run["interrupted"] or len(run["algorithms"]) != 1:
        raise ValueError("only whole runs of one algorithm are recorded")
    if "+" in (made["commit"] or "+"):
        raise ValueError(f"made by code that is no commit ({made['commit']}); run in a clean clone")
    cell = run["algorithms"][0], run["processor"], recipe_of(results), run["seed"]
    trained = command or shlex.join(["python", "train.py", *flags_of(cell), "--threads", "1"])
    directory = train_settings.read(flags_of(cell), "nar train").run_dir
    fresh = []
    asked = {entry["size"]: entry for entry in results["evaluations"] if of_the_table(entry, "learned")}
    for entry in results["evaluations"]:
        if not of_the_table(entry):
            continue
        size, samples, by = entry["size"], entry["samples"], trained
        learned = asked.get(size, {})
        learned = learned if learned.get("data") == entry.get("data") else {}  # on the same graphs
        if "evaluated" in entry:
            by += f" && nar evaluate {directory} --sizes {size} --samples {samples}"
        values = (
            *cell, size, samples, entry["score"], entry["exact"], entry["valid"],
            learned.get("score"), learned.get("exact"), run["steps"],
            "" if cpu_seconds is None else round(cpu_seconds), round(run["train_seconds"]), made["device"],
            entry.get("evaluated", made)["commit"], by,
        )  # fmt: skip
        fresh.append({name: "" if value is None else str(value) for name, value in zip(COLUMNS, values, strict=True)})
    kept = [row for row in rows() if cell_of(row) != cell]
    order = {cell: place for place, cell in enumerate(queue())}
    table = sorted(kept + fresh, key=lambda row: (order.get(cell_of(row), len(order)), cell_of(row), int(row["size"])))
    result_files.write_csv(TABLE, COLUMNS, table)
    return fresh


def call(arguments: list[str], out: pathlib.Path, deadline: float) -> bool:
    """A `nar` command in a process of its own, its CPU seconds added to those of the run; False: the time was up."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(out.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=log, stderr=log, cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()  # it goes on from its last checkpoint: a polite end would be evaluated
            code = None
            process.wait()
        except KeyboardInterrupt:
            process.kill()
            raise
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent(out).write_text(json.dumps(spent_so_far(out) + seconds))
    if code:
        raise SystemExit(f"nar {' '.join(arguments)} ended with code {code}; see {out.with_suffix('.log')}")
    return code == 0


def spent(out: pathlib.Path) -> pathlib.Path:
    """The file with the CPU seconds of the processes that worked on a run so far."""
    return out.with_suffix(".cpu.json")


def spent_so_far(out: pathlib.Path) -> float:
    return json.loads(spent(out).read_text()) if spent(out).is_file() else 0.0


def there(out: pathlib.Path) -> dict[int, int]:
    """At which sizes a finished run is evaluated, on how many graphs; none where it is not finished."""
    results = read(out) if (out / "results.json").is_file() else None
    if not results or results["run"]["interrupted"]:
        return {}
    return {entry["size"]: entry["samples"] for entry in results["evaluations"] if of_the_table(entry)}


def make(task: Task, folder: pathlib.Path, device: str, patience: float, deadline: float) -> dict | None:
    """Train a cell, or go on with it, and evaluate it; its results, or None where the time was up first."""
    cell, sizes = task
    out = folder / "-".join(map(str, cell))
    folder.mkdir(parents=True, exist_ok=True)
    first = set(sizes_of(cell[0], CANONICAL)) if sizes else {protocol.canonical_size(datasets.get(cell[0]))}
    if not first <= there(out).keys():
        local = ["--device", device, "--threads", "1", "--out", str(out), *(["--resume"] if out.exists() else [])]
        local += ["--checkpoint-every", "100"] if cell[2] != "protocol" else []  # of 1,000 steps, not 10,000
        if not call(["train", *flags_of(cell), *local], out, deadline):
            return None
    for size in sizes or ():
        samples = 0 if size in first else graphs(cell[0], size, device, patience)
        if there(out).get(size, 0) < samples:
            wanted = ["--sizes", str(size), "--samples", str(samples), "--device", device]
            if not call(["evaluate", str(out), *wanted], out, deadline):
                return None
    return read(out) | {"cpu_seconds": spent_so_far(out)}


def to_come(device: str, patience: float) -> list[Task]:
    """The tasks of which something that can be had is not recorded, or on fewer graphs."""
    found: dict[Cell, dict[int, float]] = {}
    for row in rows():
        found.setdefault(cell_of(row), {})[int(row["size"])] = float(row["samples"] or "inf")

    def missing(task: Task) -> bool:
        cell, sizes = task
        if sizes is None:
            return cell not in found
        first, of_cell = sizes_of(cell[0], CANONICAL), found.get(cell, {})
        return any(
            size not in of_cell if size in first else of_cell.get(size, 0) < graphs(cell[0], size, device, patience)
            for size in sizes
        )

    return [task for task in tasks() if missing(task)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after so many minutes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--patience", type=float, default=1.0, help="so many times as many graphs at larger sizes")
    parser.add_argument("--largest", type=int, default=1024, help="evaluate no larger sizes")
    parser.add_argument("--list", action="store_true", help="show the queue and train nothing")
    parser.add_argument("--add", nargs="+", type=pathlib.Path, default=[], metavar="RUN", help="record finished runs")
    parser.add_argument("--again", metavar="CELL", help="ALGORITHM-PROCESSOR-RECIPE-SEED: make it again and compare")
    for name in FILTERS:
        parser.add_argument(f"--{name}", nargs="+", default=[], help="only cells with one of these")
    options = parser.parse_args()
    chosen = [getattr(options, name) for name in FILTERS]

    def wanted(task: Task) -> bool:
        cell, sizes = task
        small = max(sizes or [0]) <= options.largest
        return small and all(not values or str(part) in values for part, values in zip(cell, chosen, strict=True))

    for run in options.add:
        results = read(run)
        record(results, None, results["command"])
        print(f"{run}: recorded")
    left = [task for task in to_come(options.device, options.patience) if wanted(task)]
    if options.list:
        for task in filter(wanted, tasks()):
            at = "at " + " ".join(map(str, task[1])) if task[1] else ""
            print("to come " if task in left else "recorded", *task[0], at)
    if options.add or options.list:
        return
    deadline = time.monotonic() + 60 * options.minutes
    if options.again:
        left = [task for task in tasks() if "-".join(map(str, task[0])) == options.again][:1]
        if not left:
            parser.error(f"--again {options.again}: no cell of the queue")
    for task in left:
        folder = RUNS / "again" if options.again else RUNS
        results = make(task, folder, options.device, options.patience, deadline)
        if results is None:
            print("the time is up during", *task[0])
            return
        if options.again:
            before = {row["size"]: float(row["score"]) for row in rows() if cell_of(row) == task[0]}
            now = {str(entry["size"]): entry["score"] for entry in results["evaluations"]}
            same = now.items() <= before.items()
            print(*task[0], "gives the same scores" if same else f"gave {before}, now {now}")
            continue
        for row in record(results, results["cpu_seconds"]):
            print(*(row[name] for name in COLUMNS[:-1]), flush=True)


if __name__ == "__main__":
    main()
