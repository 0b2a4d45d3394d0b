"""Many runs as one study: which of them repeat each other with another seed, and what may be averaged.

    study = nar.results.study.read(["runs"])                    # every finished run below the folder
    for cell in study.select(algorithm="bfs", size=64):
        print(cell.label, cell.seeds, cell.interval("score"))

A *label* names what was trained: the processor, and the settings in which runs of the study differ. Runs that differ in
their seed alone share a label. A *cell* holds what runs of one label scored in one evaluation: the same algorithm,
size, setting, termination and data, one entry per seed. What cannot be averaged is left out and named in `left_out`;
what a reader must know about the rest is in `warnings()`. Nothing here depends on the order in which runs are given.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.results import comparability, faithfulness_file, run_labels, schema
from nar.results.statistics import Interval, interval

_OF_A_RUN = ("results.json", "config.json")  # a directory with one of these is a run's


@dataclasses.dataclass
class Run:
    """One finished run."""

    path: Path
    results: dict[str, Any]  # results.json, schema 2
    metrics: list[dict[str, Any]]  # rows of metrics.jsonl
    label: str
    faithfulness: Mapping[str, Any] | None = None  # faithfulness.json; None where it was not measured

    @property
    def seed(self) -> int:
        return self.results["run"]["seed"]

    @property
    def algorithms(self) -> list[str]:
        return self.results["run"]["algorithms"]


@dataclasses.dataclass
class Cell:
    """What the runs of one label scored in one evaluation, seed by seed; `seeds`, `runs`, `entries` in one order."""

    algorithm: str
    label: str
    size: int
    setting: dict[str, Any]  # {} = the algorithm's own distribution
    termination: str
    seeds: list[int]
    entries: list[dict[str, Any]]
    runs: list[Run]

    def by_seed(self, name: str) -> dict[int, float]:
        """A number of the entries by seed, of those seeds that have it.

        `name` is a field ("score", "exact", "valid", "seconds", ...) or a path into the entry ("outputs.pi.value",
        "hints.d.value", "steps_taken.mean").
        """
        found = ((seed, _at(entry, name)) for seed, entry in zip(self.seeds, self.entries, strict=True))
        return {seed: float(value) for seed, value in found if isinstance(value, int | float)}

    def values(self, name: str) -> list[float]:
        """The same without the seeds, in the order of `seeds`."""
        return list(self.by_seed(name).values())

    def interval(self, name: str) -> Interval | None:
        """Mean and interval over seeds; None where no seed has this number."""
        values = self.values(name)
        return interval(values) if values else None

    @property
    def samples(self) -> int:
        """Graphs that every score is a mean of."""
        return self.entries[0]["samples"]

    @property
    def data(self) -> dict[str, Any]:
        """The manifest of the data set, the same for every seed."""
        return self.entries[0].get("data") or {}


@dataclasses.dataclass
class Study:
    """Runs to be compared."""

    runs: list[Run]
    cells: list[Cell]
    left_out: list[str]  # what was found and not used, and why; one sentence each

    def algorithms(self) -> list[str]:
        """The algorithms evaluated, sorted."""
        return sorted({cell.algorithm for cell in self.cells})

    def labels(self) -> list[str]:
        """What was trained, sorted."""
        return sorted({run.label for run in self.runs})

    def select(
        self,
        algorithm: str | None = None,
        label: str | None = None,
        size: int | None = None,
        setting: Mapping[str, Any] | None = None,
        termination: str | None = None,
    ) -> list[Cell]:
        """The cells with these values, sorted by algorithm, label, size; None = any, {} = without a setting."""
        return [
            cell
            for cell in self.cells
            if algorithm in (None, cell.algorithm)
            and label in (None, cell.label)
            and size in (None, cell.size)
            and (setting is None or dict(setting) == cell.setting)
            and termination in (None, cell.termination)
        ]

    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers, one sentence each."""
        return comparability.of_study(self)


def read(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Study:
    """The study of all finished runs at and below these paths; ValueError names a path without any.

    A path is a run directory, or a folder that holds run directories at any depth. Below a folder, runs that have not
    finished and files that cannot be read are left out and named; a run that is given by its own path must be readable.
    """
    found: dict[Path, tuple[Path, dict[str, Any], list[dict[str, Any]]]] = {}  # by where it is, however it was named
    left_out: list[str] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        given = Path(path)
        if not given.is_dir():
            raise ValueError(f"{given} is not a folder; give run directories (runs/NAME) or a folder of them (runs)")
        if (given / "results.json").is_file() or (given / "config.json").is_file():
            found.setdefault(given.resolve(), _run(given))
            continue
        directories = sorted({file.parent for name in _OF_A_RUN for file in given.rglob(name)})
        if not directories:
            raise ValueError(f"no run in {given}: a run directory holds schema.json (nar train makes one)")
        for directory in directories:
            try:
                found.setdefault(directory.resolve(), _run(directory))
            except ValueError as error:
                left_out.append(f"{directory}: {error}")
    if not found:
        raise ValueError("no finished run: " + "; ".join(left_out))
    return _collected([found[place] for place in sorted(found)], left_out)


def read_one(run_dir: str | os.PathLike[str]) -> Study:
    """The study of one run, by its directory."""
    return _collected([_run(Path(run_dir))])


def _run(path: Path) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    return path, schema.read(path), schema.read_metrics(path)


def _collected(
    runs: Sequence[tuple[Path, dict[str, Any], list[dict[str, Any]]]], left_out: Sequence[str] = ()
) -> Study:
    """With what `nar faithfulness` left in the run directories; where that cannot be used, the run stays without it."""
    measured, unused = {}, []
    for path, content, _ in runs:
        try:
            measured[path] = faithfulness_file.read(path, content["run"].get("best_step"))
        except ValueError as error:
            unused.append(str(error))
    return collect(runs, [*left_out, *unused], measured)


def collect(
    runs: Sequence[tuple[Path, Mapping[str, Any], list[dict[str, Any]]]],
    left_out: Sequence[str] = (),
    faithfulness: Mapping[Path, Mapping[str, Any] | None] | None = None,
) -> Study:
    """The study of runs given as (path, results, metrics), and what was measured of some of them, by path."""
    upgraded = [(path, schema.upgraded(content), metrics) for path, content, metrics in runs]
    names = run_labels.of_runs([content for _, content, _ in upgraded])
    measured = faithfulness or {}
    made = [
        Run(path, content, rows, name, measured.get(path))
        for (path, content, rows), name in zip(upgraded, names, strict=True)
    ]
    made.sort(key=lambda run: (run.algorithms, run.label, run.seed, str(run.path)))
    cells, unused = _cells(made)
    return Study(made, cells, [*left_out, *unused])


def _cells(runs: Sequence[Run]) -> tuple[list[Cell], list[str]]:
    """The evaluations of all runs, those of one label side by side; and what could not be put beside the others."""
    # evaluations that may be averaged but for their data, by data: {key: {hash: {seed: (run, entry)}}}
    groups: dict[tuple, dict[str, dict[int, tuple[Run, dict[str, Any]]]]] = {}
    left_out = []
    for run in runs:
        for entry in run.results["evaluations"]:
            setting = json.dumps(entry["setting"], sort_keys=True)
            key = (entry["algorithm"], run.label, entry["size"], setting, entry["termination"])
            seeds = groups.setdefault(key, {}).setdefault(_hash(entry), {})
            if run.seed in seeds and seeds[run.seed][0] is not run:
                left_out.append(
                    f"{run.path}: seed {run.seed} of {run.label} on {entry['algorithm']} at n = {entry['size']} "
                    f"is there already, in {seeds[run.seed][0].path}"
                )
            else:
                seeds[run.seed] = (run, entry)  # of a run evaluated twice on the same data, the later one

    cells = []
    for key, by_data in sorted(groups.items()):
        algorithm, label, size, setting, termination = key
        chosen = max(by_data, key=lambda data: _preference(data, by_data[data]))
        for data in sorted(by_data.keys() - {chosen}):
            seeds = ", ".join(map(str, sorted(by_data[data])))
            left_out.append(
                f"{label} on {algorithm} at n = {size}: seeds {seeds} were scored on other data ({data[:10]}) than "
                f"seeds {', '.join(map(str, sorted(by_data[chosen])))} ({chosen[:10]}) and are not averaged with them"
            )
        members = [by_data[chosen][seed] for seed in sorted(by_data[chosen])]
        runs_of, entries = [run for run, _ in members], [entry for _, entry in members]
        seeds_of = [run.seed for run in runs_of]
        cells.append(Cell(algorithm, label, size, json.loads(setting), termination, seeds_of, entries, runs_of))
    return cells, left_out


def _hash(entry: Mapping[str, Any]) -> str:
    """What tells data sets apart: the hash of their content."""
    return (entry.get("data") or {}).get("sha256") or "unknown"


def _preference(data: str, seeds: Mapping[int, tuple[Run, Mapping[str, Any]]]) -> tuple:
    """Which of several data sets a cell keeps: that of most seeds, then the canonical one, then the largest."""
    entry = next(iter(seeds.values()))[1]
    canonical = str((entry.get("data") or {}).get("set", "")).startswith("clrs30-v1")
    return len(seeds), canonical, entry["samples"], data


def _at(entry: Mapping[str, Any], name: str) -> Any:
    """The value at a path of names with dots; None where there is none."""
    value: Any = entry
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
