"""Do auxiliary tasks help? The same run with and without them, seed by seed (nar/model/objectives/auxiliary.py).

    python benchmarks/task_hinting.py                  # all of CASES: a quarter of an hour of one core
    python benchmarks/task_hinting.py --case dijkstra  # one of them

Small networks and short trainings, which decide nothing about large ones; what is held equal is everything but the
auxiliary tasks: initial parameters, data, noise, steps. Written to benchmarks/task_hinting.json: node scores at every
size, and the difference that the tasks make, whatever its sign; and as a table into docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import statistics
import tempfile
import time
from typing import Any

import torch

from nar.config import Config
from nar.experiments.experiment import train

RESULT = pathlib.Path(__file__).with_suffix(".json")
PAGE = RESULT.parents[1] / "docs" / "training.md"
PLACE = re.compile(r"(<!-- task_hinting -->).*?(<!-- /task_hinting -->)", re.S)
SEEDS = (0, 1)
SETTINGS: dict[str, Any] = {
    "processor": "mpnn", "hidden": 32, "batch_size": 16, "steps": 400, "val_samples": 32, "eval_sizes": (16, 32, 64),
    "device": "cpu", "threads": 1,
}  # fmt: skip
CASES = {
    "insertion_sort": {"algo": "insertion_sort", "auxiliary": ("successor",), "supervision": "moments",
                       "hint_feedback": "hard"},
}  # fmt: skip


def scores(seed: int, **settings: Any) -> dict[str, float]:
    """Node score by size of one run."""
    with tempfile.TemporaryDirectory() as folder:
        results = train(Config(**SETTINGS | settings, seed=seed, out=pathlib.Path(folder) / "run"))
    return {str(entry["size"]): round(entry["score"], 4) for entry in results["evaluations"]}


def compared(case: dict[str, Any]) -> dict[str, Any]:
    """Both runs of every seed, and the mean difference at every size in percent."""
    without = {name: value for name, value in case.items() if name != "auxiliary"}
    began = time.process_time()
    rows = [{"seed": seed, "with": scores(seed, **case), "without": scores(seed, **without)} for seed in SEEDS]
    return {"settings": {n: list(v) if isinstance(v, tuple) else v for n, v in case.items()}, "runs": rows,
            "difference": difference(rows), "cpu_seconds": round(time.process_time() - began)}  # fmt: skip


def difference(rows: list[dict[str, Any]]) -> dict[str, float]:
    """With minus without: the mean over seeds, in percent, by size."""
    sizes = rows[0]["with"]
    return {n: round(100 * statistics.mean(row["with"][n] - row["without"][n] for row in rows), 2) for n in sizes}


def table(found: dict[str, Any]) -> str:
    """What docs/training.md says of the results."""
    settings = found["settings"]
    about = f"{settings['processor']} with {settings['hidden']} features, {settings['steps']} steps of "
    about += (
        f"{settings['batch_size']} graphs, {len(settings['seeds'])} seeds; node scores in percent, means over seeds:"
    )
    header = ["algorithm", "tasks", *(f"n = {size}: without, with" for size in settings["eval_sizes"])]
    lines = [about, "", f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, result in found["results"].items():
        means = {
            kind: {n: statistics.mean(100 * row[kind][n] for row in result["runs"]) for n in result["difference"]}
            for kind in ("without", "with")
        }
        cells = [f"{means['without'][n]:.1f}, {means['with'][n]:.1f}" for n in result["difference"]]
        lines.append(f"| {' | '.join([f'`{name}`', ', '.join(result['settings']['auxiliary']), *cells])} |")
    return "\n".join(lines)


def filled(page: str, found: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    return PLACE.sub(lambda marks: f"{marks[1]}\n{table(found)}\n{marks[2]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=list(CASES), help="default: all")
    chosen = parser.parse_args().case
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {"results": {}}
    found |= {"settings": SETTINGS | {"seeds": list(SEEDS)}, "torch": torch.__version__}
    for name in [chosen] if chosen else CASES:
        found["results"][name] = compared(CASES[name])
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        print(name, found["results"][name]["difference"])
    PAGE.write_text(filled(PAGE.read_text(), found))


if __name__ == "__main__":
    main()
