"""What all parts of the report page ask of a study: which cells belong into a figure, and how each label looks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from nar.reports.figures import is_percent
from nar.reports.html.chart import Style, named_style
from nar.reports.html.elements import NOTHING, known, number, percent, with_interval
from nar.results import statistics
from nar.results.statistics import Interval
from nar.results.study import Cell, Run, Study

REFERENCE = "triplet_gmpnn"  # the published protocol's network
_ERROR = " (error)"
TOGETHER = 7  # labels that one panel takes; more go into further panels


class View:
    """A study with the choices that every figure shares."""

    def __init__(self, study: Study, against: str | None = None) -> None:
        """`against`: the label that others are compared with, where there is one of this name."""
        self.study, self.against = study, against
        self.labels: list[str] = list(study.labels())
        self.algorithms: list[str] = list(study.algorithms())
        self.styles: dict[str, Style] = {label: named_style(k) for k, label in enumerate(self.labels)}
        plain = [cell for cell in study.cells if not cell.setting]
        terminations = [cell.termination for cell in plain]
        self.termination = "oracle" if "oracle" in terminations or not terminations else terminations[0]
        self._plain: dict[tuple[str, str], list[Cell]] = {}
        for cell in plain:
            if cell.termination == self.termination:
                self._plain.setdefault((cell.algorithm, cell.label), []).append(cell)
        for cells in self._plain.values():
            cells.sort(key=lambda cell: cell.size)

    @property
    def cells(self) -> list[Cell]:
        """The plain cells: of the algorithms' own distribution, ended by the oracle where there is one."""
        return [cell for cells in self._plain.values() for cell in cells]

    def plain(self, algorithm: str, label: str) -> list[Cell]:
        """The plain cells of one algorithm and label, by size."""
        return self._plain.get((algorithm, label), [])

    def pairs(self) -> list[tuple[str, str]]:
        """Every (algorithm, label) with plain cells, algorithms first."""
        return [(a, label) for a in self.algorithms for label in self.labels if self.plain(a, label)]

    def labels_of(self, algorithm: str) -> list[str]:
        return [label for label in self.labels if self.plain(algorithm, label)]

    def sizes(self, algorithm: str) -> list[int]:
        return sorted({cell.size for label in self.labels for cell in self.plain(algorithm, label)})

    def shared_sizes(self, algorithm: str) -> list[int]:
        """The sizes at which most labels of the algorithm were evaluated: all of them, if there are such sizes."""
        found = [size for label in self.labels_of(algorithm) for size in {c.size for c in self.plain(algorithm, label)}]
        most = max(map(found.count, found), default=0)
        return sorted({size for size in found if found.count(size) == most})

    def headline(self, algorithm: str) -> int | None:
        """The size to speak of: that of the canonical CLRS-30 test set if all labels were evaluated on it, else the
        largest."""
        shared = self.shared_sizes(algorithm)
        canonical = {
            cell.size
            for label in self.labels_of(algorithm)
            for cell in self.plain(algorithm, label)
            if any(str((entry.get("data") or {}).get("set", "")).startswith("clrs30") for entry in cell.entries)
        }
        return max(canonical & set(shared), default=max(shared, default=None))

    def reference(self, algorithm: str) -> str:
        """The label that others are compared with: the one asked for, else the protocol's network, else the first."""
        labels = self.labels_of(algorithm)
        return next((name for name in (self.against, REFERENCE) if name in labels), labels[0] if labels else "")

    def at(self, algorithm: str, label: str, size: int | None) -> Cell | None:
        return next((cell for cell in self.plain(algorithm, label) if cell.size == size), None)

    def runs(self, algorithm: str, label: str | None = None) -> list[Run]:
        """The runs that were trained on an algorithm."""
        return [
            run
            for run in self.study.runs
            if algorithm in run.results["run"]["algorithms"] and label in (None, run.label)
        ]

    def trained_by_all(self, algorithm: str) -> list[int]:
        """The sizes of `trained` that are extrapolation for no label."""
        limits = [max(sizes, default=0) for run in self.runs(algorithm) if (sizes := trained_of(run, algorithm))]
        return [size for size in self.trained(algorithm) if size <= min(limits, default=0)]

    def trained(self, algorithm: str) -> list[int]:
        """All sizes that any run of an algorithm was trained on."""
        return sorted({size for run in self.runs(algorithm) for size in trained_of(run, algorithm)})


def trained_of(run: Run, algorithm: str) -> list[int]:
    """The sizes that a run was trained on."""
    return [int(n) for n in (run.results["run"].get("train_sizes") or {}).get(algorithm, ())]


def values(cell: Cell, name: str) -> list[tuple[int, float]]:
    """(seed, value) of every seed that has one; `name` as in Cell.by_seed."""
    return [(seed, value) for seed, value in cell.by_seed(name).items() if known(value)]


def interval(cell: Cell | None, name: str) -> Interval | None:
    """Mean and interval over the seeds that have a value; None where none has."""
    found = tuple(value for _, value in values(cell, name)) if cell is not None else ()
    return _interval(found) if found else None


@functools.lru_cache(maxsize=4096)
def _interval(found: tuple[float, ...]) -> Interval:
    """Several figures ask for the same one, and resampling takes time."""
    return statistics.interval(found)


def is_share(cell: Cell, name: str = "score") -> bool:
    """Whether this value is a share of 1 and can be written in percent; scores that contain an error cannot."""
    return name != "score" or all(is_percent(entry) for entry in cell.entries if entry.get("score") is not None)


def written(cell: Cell | None, name: str = "score") -> str:
    """mean [low, high] of a value, in percent where it is a share; else it is said that it is an error."""
    found = interval(cell, name)
    if cell is None or found is None:
        return NOTHING
    share = is_share(cell, name)
    return with_interval(found.mean, found.low, found.high, share) + ("" if share else _ERROR)


def mean_written(cell: Cell | None, name: str = "score") -> str:
    """The mean alone."""
    found = interval(cell, name)
    if cell is None or found is None:
        return NOTHING
    return percent(found.mean) if is_share(cell, name) else number(found.mean) + _ERROR


def seeds_written(cell: Cell, name: str = "score") -> str:
    """Every seed's value, in the order of the seeds."""
    write = percent if is_share(cell, name) else number
    return ", ".join(write(value) for _, value in values(cell, name)) or NOTHING


def chunks(names: Sequence[Any], most: int = TOGETHER) -> list[list[Any]]:
    """The names in portions of about equal size, at most `most` in each."""
    count = -(-len(names) // most)
    size = -(-len(names) // count) if count else 1
    return [list(names[k : k + size]) for k in range(0, len(names), size)]


def part(title: str, index: int, count: int) -> str:
    """The title of one panel of several that share it."""
    return title if count == 1 else f"{title} ({index + 1} of {count})"
