"""A study as tables for other programs: every evaluation of every run, and every mean. Numbers are written in full."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nar.results import published
from nar.results.study import SeedGroup, StoredRun, Study

MEANS = ("score", "exact", "valid", "steps_mean", "steps_taken.mean", "seconds", "peak_memory_mb")


def scores(study: Study) -> str:
    """One row for each evaluation of each run, with all that is known of it and of its run.

    `averaged` says whether it is part of a mean (evaluations on other data than the other seeds' are not). Lists by
    step and by graph are in the run's results.json alone.
    """
    used = {id(entry) for group in study.groups for entry in group.entries}
    rows = []
    for run in study.runs:
        for entry in run.results["evaluations"]:
            rows.append(_evaluation(entry) | {"averaged": id(entry) in used} | _run(run, entry["algorithm"]))
    return _written(rows, first=("algorithm", "label", "seed", "n", "setting", "termination", "samples"))


def summary(study: Study) -> str:
    """One row for each seed group: mean, ends of the interval, number of seeds and every seed's value of each number.

    Published columns hold the score of the same network on the same set in Ibarz et al. 2022, as a share of 1.
    """
    return _written([_group(group) for group in study.groups])


def _group(group: SeedGroup) -> dict[str, Any]:
    row: dict[str, Any] = {
        "algorithm": group.algorithm,
        "label": group.label,
        "n": group.size,
        "setting": _json(group.setting),
        "termination": group.termination,
        "samples": group.samples,
        "seeds": " ".join(map(str, group.seeds)),
    }
    for name in MEANS:
        found, prefix = group.interval(name), name.replace(".", "_")
        if found is not None:
            ends = {f"{prefix}_low": found.low, f"{prefix}_high": found.high}
            row |= {f"{prefix}_mean": found.mean, **ends, f"{prefix}_n": found.n}
            row[f"{prefix}_values"] = " ".join(map(repr, group.values(name)))
    processor = group.runs[0].results["run"]["processor"]
    canonical = group.data.get("set") == published.CANONICAL
    for score in published.ibarz2022(group.algorithm, processor) if canonical else ():
        row |= {"published_mean": score.mean / 100, "published_seeds": score.seeds}
        row["published_source"] = score.source.url
        if score.spread is not None:
            row["published_spread"] = score.spread / 100
    return row | _prefixed("data", group.data)


def _evaluation(entry: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"n": entry["size"], "setting": _json(entry["setting"]), **_plain(entry)}
    del row["size"]
    for kind in ("outputs", "hints"):
        for name, found in entry.get(kind, {}).items():
            row |= {f"{kind}.{name}": found["value"], f"{kind}.{name}.metric": found["metric"]}
    for name, steps in entry.get("measures", {}).items():
        row[f"measures.{name}"] = sum(steps) / len(steps) if steps else None
    row |= _prefixed("steps_taken", entry.get("steps_taken") or {})
    if first := entry.get("first_error"):
        left = [step for step in first if step is not None]
        row |= {"first_error.never": 1 - len(left) / len(first), "first_error.median": median(left) if left else None}
    return row | _prefixed("data", entry.get("data") or {})


def _run(run: StoredRun, algorithm: str) -> dict[str, Any]:
    of = run.results["run"]
    row: dict[str, Any] = {"label": run.label, "run": str(run.path), "algorithms": run.title}
    row |= _plain(of)
    row["validation"] = of["validation"].get(algorithm)
    row["train_sizes"] = " ".join(map(str, of["train_sizes"].get(algorithm, ())))
    row["validation_size"] = of["validation_size"].get(algorithm)
    row |= _prefixed("made", run.results["provenance"]) | {"command": run.results["command"]}
    settings = {k: v for k, v in run.results["config"].items() if k not in ("algo", "processor", "seed")}
    return row | _prefixed("config", settings)


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{k}": _json(v) if isinstance(v, list | dict) else v for k, v in values.items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if isinstance(v, str | int | float) or v is None}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _written(rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()) -> str:
    """The rows as CSV; columns in the order in which they first appear, after those of `first`; absent values empty."""
    columns = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
