"""SALSA-CLRS's table: networks trained on graphs of 4 to 16 nodes, in the sparse layout, tested on up to 1,600 nodes.

    python benchmarks/salsa.py --minutes 60            # go on with the next runs, on one core
    python benchmarks/salsa.py --algo bfs --seed 0     # only these (also --processor)
    python benchmarks/salsa.py --table                 # write results/salsa.md from what is recorded

Graphs, sizes and scores are those of Minder et al. 2023 (arXiv:2309.12253): training on sparse connected random graphs
of at most 16 nodes, 8 a step as there, tests at 16, 80, 160, 800 and 1,600 nodes on that family, on Watts and
Strogatz's and on Delaunay's, by the share of right nodes and of graphs with every node right. Otherwise runs are those
of nar's published protocol, whose networks are fed their own hints (theirs are not), smaller and shorter: hidden size
64, 3,000 steps. Checkpoints are chosen on 32 graphs of 16 nodes. Test sets are smaller than theirs of 1,000 graphs (see
`graphs`).

Every run is made by `nar train` and `nar evaluate` and recorded in results/salsa.csv, a row for each family and size;
numbers come from this checkout, so run it in a clean clone of the commit that they are to stand for. A run that is
stopped goes on the next time.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import statistics
import time

import result_files
from clrs30 import ROOT, call, spent_so_far

from nar.results.schema import read

TABLE = ROOT / "results" / "salsa.csv"
PAGE = TABLE.with_suffix(".md")
STEPS = ROOT / "benchmarks" / "sparse_steps.json"
RUNS = ROOT / "runs" / "salsa"
COLUMNS = (
    "algorithm", "processor", "seed", "family", "size", "samples", "score", "exact", "valid", "cpu_seconds", "commit",
    "command",
)  # fmt: skip
ALGORITHMS = ("bfs", "maximal_independent_set", "dijkstra", "mst_prim")
PROCESSORS = ("gin", "pgn", "rnar_masked")
SEEDS = (0, 1, 2)
SIZES = (16, 80, 160, 800, 1600)
OWN = "sparse_erdos_renyi"  # the family of training
FAMILIES = {OWN: "Erdős-Rényi", "watts_strogatz": "Watts-Strogatz", "delaunay": "Delaunay"}
LONG = ("dijkstra", "mst_prim")  # a step for every node
FLAGS = "--layout sparse --recipe protocol --hidden 64 --batch-size 8 --steps 3000"
# Node and graph accuracy in percent on Erdős-Rényi graphs: SALSA-CLRS's baselines, as Rodionov and Prokhorenkova
# reprint them beside their own (Discrete Neural Algorithmic Reasoning, arXiv:2402.11628), whose network with states of
# a few symbols has 100 / 100 everywhere.
PUBLISHED = {
    ("bfs", "gin"): {16: (98.8, 92.5), 1600: (86.5, 0.0)},
    ("bfs", "pgn"): {16: (100.0, 100.0), 1600: (98.5, 0.0)},
    ("maximal_independent_set", "gin"): {1600: (79.2, 0.0)},
    ("maximal_independent_set", "pgn"): {1600: (98.9, 5.2)},
    ("dijkstra", "gin"): {1600: (36.9, 0.0)},
    ("dijkstra", "pgn"): {1600: (84.5, 0.0)},
    ("mst_prim", "gin"): {1600: (43.2, 0.0)},
    ("mst_prim", "pgn"): {1600: (66.8, 0.0)},
}

Cell = tuple[str, str, int]


def cells() -> list[Cell]:
    """What is made, in order: a seed of everything before the next."""
    return [(algorithm, processor, seed) for seed in SEEDS for algorithm in ALGORITHMS for processor in PROCESSORS]


def graphs(algorithm: str, size: int, family: str) -> int:
    """How many graphs are tested: 32; of those above 160 nodes, where an algorithm takes a step for every node, 4, and
    none of other families than that of training."""
    if algorithm not in LONG or size <= 160:
        return 32
    return 4 if family == OWN else 0


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    if not TABLE.is_file():
        return []
    with open(TABLE, newline="") as file:
        return list(csv.DictReader(file))


def evaluated(results: dict) -> dict[tuple[str, int], dict]:
    """A run's evaluations, by family and size."""
    return {
        (entry["setting"].get("family", OWN), entry["size"]): entry
        for entry in results["evaluations"]
        if entry["termination"] == "oracle"
    }


def make(cell: Cell, deadline: float) -> list[dict[str, str]] | None:
    """The rows of a cell, trained and evaluated; None where the time was up first."""
    algorithm, processor, seed = cell
    out = RUNS / "-".join(map(str, cell))
    RUNS.mkdir(parents=True, exist_ok=True)
    flags = ["--algo", algorithm, "--processor", processor, "--seed", str(seed), *FLAGS.split(), "--eval-sizes", "16"]
    if not (out / "results.json").is_file() or read(out)["run"]["interrupted"]:
        local = ["--device", "cpu", "--threads", "1", "--out", str(out), *(["--resume"] if out.exists() else [])]
        if not call(["train", *flags, *local], out, deadline):
            return None
    for family in FAMILIES:
        for size in SIZES:
            samples = graphs(algorithm, size, family)
            there = evaluated(read(out)).get((family, size), {}).get("samples", 0)
            if there >= samples:
                continue
            wanted = ["--sizes", str(size), "--samples", str(samples)]
            wanted += ["--families", family] if family != OWN else []
            if not call(["evaluate", str(out), *wanted], out, deadline):
                return None
    results = read(out)
    found = []
    for (family, size), entry in evaluated(results).items():
        values = (
            *cell, family, size, entry["samples"], entry["score"], entry["exact"], entry["valid"],
            round(spent_so_far(out)), results["provenance"]["commit"], shlex.join(["python", "train.py", *flags]),
        )  # fmt: skip
        found.append({name: "" if value is None else str(value) for name, value in zip(COLUMNS, values, strict=True)})
    return found


def cell_of(row: dict[str, str]) -> Cell:
    return row["algorithm"], row["processor"], int(row["seed"])


def record(fresh: list[dict[str, str]]) -> None:
    """Put a cell's rows into the file, in the place of older ones."""
    new = {cell_of(row) for row in fresh}
    place = {cell: k for k, cell in enumerate(cells())}
    table = [row for row in rows() if cell_of(row) not in new] + fresh
    table.sort(key=lambda row: (place[cell_of(row)], list(FAMILIES).index(row["family"]), int(row["size"])))
    result_files.write_csv(TABLE, COLUMNS, table)


def page(table: list[dict[str, str]], steps: list[dict]) -> str:
    """results/salsa.md: means and standard deviations over seeds, by family and size, beside what is published; and
    what benchmarks/sparse_steps.py found of single `steps`."""
    seeds = len({row["seed"] for row in table})
    lines = [
        "# SALSA-CLRS",
        "",
        "Share of right nodes / of graphs with every node right, in percent: mean ± standard deviation over",
        f"{seeds} seeds. Trained on graphs of 4 to 16 nodes. Made by `python benchmarks/salsa.py`, which says what is",
        "and what is not as in the publication; rows with commits are in [salsa.csv](salsa.csv). SALSA-CLRS's own",
        "baselines are of Minder et al. 2023 (arXiv:2309.12253), as reprinted in arXiv:2402.11628. `recipe step`: one",
        "seed of `relational` after 500 steps by nar's own recipe, on as many graphs as stand in brackets",
        "([sparse_steps.json](../benchmarks/sparse_steps.json), which goes to 10,000 nodes).",
    ]
    for family, title in FAMILIES.items():
        lines += ["", f"## {title}", "", f"| algorithm | network | {' | '.join(f'n = {n:,}' for n in SIZES)} |"]
        lines += ["|---|---" + "|--:" * len(SIZES) + "|"]
        for algorithm in ALGORITHMS:
            for processor in PROCESSORS:
                wanted = algorithm, processor, family
                own = [row for row in table if (row["algorithm"], row["processor"], row["family"]) == wanted]
                lines.append(f"| {algorithm} | {processor} | {' | '.join(cell_text(own, n) for n in SIZES)} |")
                if family == OWN and (printed := PUBLISHED.get((algorithm, processor))):
                    known = (" / ".join(map(str, printed[n])) if n in printed else "" for n in SIZES)
                    lines.append(f"| {algorithm} | {processor}, published | {' | '.join(known)} |")
            own = {row["nodes"]: row for row in steps if (row["algo"], row["family"]) == (algorithm, family)}
            if own:
                found = (step_text(own[n]) if n in own else "" for n in SIZES)
                lines.append(f"| {algorithm} | recipe step | {' | '.join(found)} |")
    return "\n".join(lines) + "\n"


def cell_text(own: list[dict[str, str]], size: int) -> str:
    """Node and graph accuracy at a size; `missing` where it was not measured."""
    found = [row for row in own if int(row["size"]) == size]
    if not found:
        return "missing"
    parts = []
    for name in ("score", "exact"):
        values = [100 * float(row[name]) for row in found]
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        parts.append(f"{statistics.fmean(values):.1f}{spread}")
    return " / ".join(parts)


def step_text(row: dict) -> str:
    """The same of a reasoner that learned single steps, with the number of graphs."""
    return f"{100 * row['score']:.1f} / {100 * row['exact']:.1f} ({row['samples']})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after so many minutes")
    parser.add_argument("--table", action="store_true", help="write results/salsa.md and train nothing")
    parser.add_argument("--algo", nargs="+", default=ALGORITHMS, choices=ALGORITHMS)
    parser.add_argument("--processor", nargs="+", default=PROCESSORS, choices=PROCESSORS)
    parser.add_argument("--seed", nargs="+", type=int, default=SEEDS, choices=SEEDS)
    options = parser.parse_args()
    if options.table:
        PAGE.write_text(page(rows(), json.loads(STEPS.read_text())["rows"]))
        return
    deadline = time.monotonic() + 60 * options.minutes
    recorded = {cell_of(row) for row in rows()}
    for cell in cells():
        algorithm, processor, seed = cell
        if cell in recorded or algorithm not in options.algo or processor not in options.processor:
            continue
        if seed not in options.seed:
            continue
        fresh = make(cell, deadline)
        if fresh is None:
            print("the time is up during", *cell)
            return
        record(fresh)
        for row in fresh:
            print(*(row[name] for name in COLUMNS[:-1]), flush=True)


if __name__ == "__main__":
    main()
