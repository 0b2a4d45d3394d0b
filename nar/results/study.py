"""Many runs as one study: which of them repeat each other with another seed, and what may be averaged.

    study = nar.results.study.read(["runs"])                    # every finished run below the folder
    for group in study.select(algorithm="bfs", size=64):
        print(group.label, group.seeds, group.interval("score"))

A *label* names what was trained: the processor, and the settings in which runs of the study differ. Runs that differ in
their seed alone share a label. A *seed group* holds what runs of one label scored in one evaluation: the same
algorithm, size, setting, termination and data, one entry per seed. What cannot be averaged is left out and named in
`left_out`; what a reader must know about the rest, comparability.py says. Nothing here depends on the order in which
runs are given.
"""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nar.results import faithfulness_file, run_labels, schema
from nar.results.statistics import Interval, interval
from nar.text_format import printable

Item = TypeVar("Item")
Key = TypeVar("Key")

_OF_A_RUN = ("results.json", "config.json")  # a directory with one of these is a run's


@dataclasses.dataclass
class StoredRun:
    """One finished run, as it was read."""

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

    @property
    def title(self) -> str:
        """Its algorithms in one word."""
        return "+".join(self.algorithms)

    @property
    def single_steps(self) -> bool:
        """Was it trained on single steps of traces instead of rollouts?"""
        return self.results["config"].get("supervision") == "moments"


@dataclasses.dataclass
class Repeated:
    """What was found of one thing with several seeds; `seeds` and `entries` in one order."""

    seeds: list[Any]
    entries: list[Mapping[str, Any]]

    def by_seed(self, name: str) -> dict[Any, float]:
        """A number of the entries by seed, of those seeds that have it and where it is finite.

        `name` is a field ("score", "exact", "valid", "seconds", ...) or a path into the entry ("outputs.pi.value",
        "hints.d.value", "steps_taken.mean").
        """
        found = {}
        for seed, value in zip(self.seeds, self.entries, strict=True):
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if isinstance(value, int | float) and math.isfinite(value):
                found[seed] = float(value)
        return found

    def values(self, name: str) -> list[float]:
        """The same without the seeds, in the order of `seeds`."""
        return list(self.by_seed(name).values())

    def interval(self, name: str) -> Interval | None:
        """Mean and interval over seeds; None where no seed has this number."""
        values = self.values(name)
        return interval(values) if values else None

    def is_share(self, name: str = "score") -> bool:
        """Whether this number is a share of 1; scores that contain an error are not."""
        return name != "score" or all(map(schema.is_share, self.entries))


@dataclasses.dataclass
class SeedGroup(Repeated):
    """What the runs of one label scored in one evaluation, seed by seed; `seeds`, `entries`, `runs` in one order."""

    runs: list[StoredRun]
    algorithm: str
    label: str
    size: int
    setting: dict[str, Any]  # {} = the algorithm's own distribution
    termination: str

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

    runs: list[StoredRun]
    groups: list[SeedGroup]
    left_out: list[str]  # what was found and not used, and why; one sentence each

    def algorithms(self) -> list[str]:
        """The algorithms evaluated, sorted."""
        return sorted({group.algorithm for group in self.groups})

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
    ) -> list[SeedGroup]:
        """The groups with these values, sorted by algorithm, label, size; None = any, {} = without a setting."""
        wanted = {"algorithm": algorithm, "label": label, "size": size, "setting": setting, "termination": termination}
        return [
            group
            for group in self.groups
            if all(value is None or value == getattr(group, name) for name, value in wanted.items())
        ]


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items with the same key, by key, in the order in which they first appear."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def read(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Study:
    """The study of all finished runs at and below these paths; ValueError where there are none.

    A path is a run directory, or a folder that holds run directories at any depth. Below a folder, runs that have not
    finished and files that cannot be read are left out and named; a run that is given by its own path must be readable.
    Of several paths (a shell's results/*), files and folders without any run are left out and named, too. What
    `nar faithfulness` left in the run directories is read as well; where it cannot be used, the run stays without.
    """
    found: dict[Path, tuple[Path, dict[str, Any], list[dict[str, Any]]]] = {}  # each as it was named first
    measured, left_out = {}, []
    given = list(map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths))
    for path in given:
        if path.is_file() and len(given) > 1:
            left_out.append(f"{printable(path)} is a file, not a run")
            continue
        if not path.is_dir():
            raise ValueError(f"{path} is not a folder; give run directories (runs/NAME) or a folder of them (runs)")
        is_run = any((path / name).is_file() for name in _OF_A_RUN)
        directories = [path] if is_run else sorted({file.parent for name in _OF_A_RUN for file in path.rglob(name)})
        if not directories and len(given) > 1:
            left_out.append(f"no run in {printable(path)}")
            continue
        if not directories:
            raise ValueError(f"no run in {path}: a run directory holds results.json (nar train makes one)")
        for directory in directories:
            try:
                if (place := directory.resolve()) not in found:
                    found[place] = directory, schema.read(directory), schema.read_metrics(directory)
            except ValueError as error:
                if is_run:
                    raise
                left_out.append(printable(f"{directory}: {error}"))
    if not found:
        raise ValueError("no finished run: " + "; ".join(left_out))
    runs = [run for _, run in sorted(found.items())]
    for directory, results, _ in runs:
        try:
            measured[directory] = faithfulness_file.read(directory, results["run"].get("best_step"))
        except ValueError as error:
            left_out.append(str(error))
    return collect(runs, left_out, measured)


def collect(
    runs: Iterable[tuple[Path, Mapping[str, Any], list[dict[str, Any]]]],
    left_out: Sequence[str] = (),
    faithfulness: Mapping[Path, Mapping[str, Any] | None] | None = None,
) -> Study:
    """The study of runs given as (path, results, metrics), and what was measured of some of them, by path."""
    upgraded = [(path, schema.upgraded(content), metrics) for path, content, metrics in runs]
    labels = run_labels.of_runs([content for _, content, _ in upgraded])
    stored = [
        StoredRun(path, content, rows, label, (faithfulness or {}).get(path))
        for (path, content, rows), label in zip(upgraded, labels, strict=True)
    ]
    stored.sort(key=lambda run: (run.algorithms, run.label, run.seed, str(run.path)))
    groups, unused = _seed_groups(stored)
    return Study(stored, groups, [*left_out, *unused])


def _seed_groups(runs: Sequence[StoredRun]) -> tuple[list[SeedGroup], list[str]]:
    """The evaluations of all runs, those of one label side by side; and what could not be put beside the others."""
    # evaluations that may be averaged but for their data, by data: {key: {hash: {seed: (run, entry)}}}
    found: dict[tuple, dict[str, dict[int, tuple[StoredRun, dict[str, Any]]]]] = {}
    left_out = []
    for run in runs:
        for entry in run.results["evaluations"]:
            algorithm, size, setting, termination = schema.key(entry)
            data = (entry.get("data") or {}).get("sha256") or "unknown"  # what tells data sets apart
            seeds = found.setdefault((algorithm, run.label, size, setting, termination), {}).setdefault(data, {})
            if run.seed in seeds and seeds[run.seed][0] is not run:
                left_out.append(
                    f"{printable(run.path)}: seed {run.seed} of {run.label} on {algorithm} at n = {size} "
                    f"is there already, in {printable(seeds[run.seed][0].path)}"
                )
            else:
                seeds[run.seed] = (run, entry)  # of a run evaluated twice on the same data, the later one

    groups = []
    for (algorithm, label, size, setting, termination), by_data in sorted(found.items()):
        chosen = max(by_data, key=lambda data: _preference(data, by_data[data]))
        named = {data: f"seeds {', '.join(map(str, sorted(seeds)))}" for data, seeds in by_data.items()}
        for data in sorted(by_data.keys() - {chosen}):
            left_out.append(
                f"{label} on {algorithm} at n = {size}: {named[data]} were scored on other data ({data[:10]}) than "
                f"{named[chosen]} ({chosen[:10]}) and are not averaged with them"
            )
        seeds = sorted(by_data[chosen])
        own, entries = map(list, zip(*(by_data[chosen][seed] for seed in seeds), strict=True))
        groups.append(SeedGroup(seeds, entries, own, algorithm, label, size, json.loads(setting), termination))
    return groups, left_out


def _preference(data: str, seeds: Mapping[int, tuple[StoredRun, Mapping[str, Any]]]) -> tuple:
    """Which of several data sets a group keeps: that of most seeds, then the canonical one, then the largest."""
    entry = next(iter(seeds.values()))[1]
    canonical = str((entry.get("data") or {}).get("set", "")).startswith("clrs30-v1")
    return len(seeds), canonical, entry["samples"], data
