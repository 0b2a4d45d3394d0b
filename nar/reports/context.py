"""What all sections ask of a study: which seed groups belong into a figure, and how each label looks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from nar.reports.charts.shapes import Shape, Style, named_style, ordered_style, swatch
from nar.results.published import CANONICAL
from nar.results.study import SeedGroup, StoredRun, Study, grouped

REFERENCE = "triplet_gmpnn"  # the published protocol's network: what others are compared with unless asked otherwise
TOGETHER = 7  # labels that one panel takes; more go into further panels

Name = TypeVar("Name")
Legend = list[tuple[str, list[Shape]]]


class ReportContext:
    """A study with the choices that every section shares."""

    def __init__(self, study: Study, against: str | None = None) -> None:
        """`against`: the label that others are compared with, where there is one of this name."""
        self.study, self.against = study, against
        self.labels: list[str] = study.labels()
        self.algorithms: list[str] = study.algorithms()
        self.learned = list(dict.fromkeys([*self.algorithms, *(a for run in study.runs for a in run.algorithms)]))
        self.styles: dict[str, Style] = {label: named_style(k) for k, label in enumerate(self.labels)}
        # who ended the rollouts that are spoken of: the oracle, or where it ended none, the first other in order
        own = {a: {group.termination for group in study.select(a, setting={})} or {"oracle"} for a in self.algorithms}
        self.termination = {a: min(ends, key=lambda end: (end != "oracle", end)) for a, ends in own.items()}
        # the plain groups: of the algorithms' own distribution, ended by the oracle where there is one
        self.groups = [g for g in study.groups if not g.setting and g.termination == self.termination[g.algorithm]]
        self._plain = by_network(self.groups)

    def plain(self, algorithm: str, label: str) -> list[SeedGroup]:
        """The plain groups of one algorithm and label, by size."""
        return self._plain.get((algorithm, label), [])

    def at(self, algorithm: str, label: str, size: int | None) -> SeedGroup | None:
        return next((group for group in self.plain(algorithm, label) if group.size == size), None)

    def pairs(self) -> list[tuple[str, str]]:
        """Every (algorithm, label) with plain groups, algorithms first."""
        return [(algorithm, label) for algorithm in self.algorithms for label in self.labels_of(algorithm)]

    def labels_of(self, algorithm: str) -> list[str]:
        return [label for label in self.labels if self.plain(algorithm, label)]

    def sizes(self, algorithm: str | None = None) -> list[int]:
        """The sizes evaluated, of one algorithm or of all."""
        return sorted({group.size for group in self.groups if algorithm in (None, group.algorithm)})

    def shared_sizes(self, algorithm: str) -> list[int]:
        """The sizes at which most labels of the algorithm were evaluated: all of them, if there are such sizes."""
        found = [group.size for label in self.labels_of(algorithm) for group in self.plain(algorithm, label)]
        most = max(map(found.count, found), default=0)
        return sorted({size for size in found if found.count(size) == most})

    def headline(self, algorithm: str) -> int | None:
        """The size to speak of: that of the canonical CLRS-30 test set if it is a shared one, else the largest."""
        shared = self.shared_sizes(algorithm)
        canonical = [g.size for g in self.groups if g.algorithm == algorithm and g.data.get("set") == CANONICAL]
        return max(set(canonical) & set(shared), default=max(shared, default=None))

    def reference(self, algorithm: str) -> str:
        """The label that others are compared with: the one asked for, else the protocol's network, else the first."""
        labels = self.labels_of(algorithm)
        return next((name for name in (self.against, REFERENCE) if name in labels), labels[0] if labels else "")

    def runs(self, algorithm: str, label: str | None = None) -> list[StoredRun]:
        """The runs that were trained on an algorithm."""
        return [run for run in self.study.runs if algorithm in run.algorithms and label in (None, run.label)]

    def trained(self, algorithm: str) -> list[int]:
        """All sizes that any run of an algorithm was trained on."""
        return sorted({size for run in self.runs(algorithm) for size in trained_sizes(run, algorithm)})

    def trained_by_all(self, algorithm: str) -> list[int]:
        """The sizes of `trained` that are extrapolation for no label."""
        limits = [max(sizes) for run in self.runs(algorithm) if (sizes := trained_sizes(run, algorithm))]
        return [size for size in self.trained(algorithm) if size <= min(limits, default=0)]

    def legend(self, labels: Iterable[str] | None = None, kind: str = "line") -> Legend:
        """What the series of these labels look like; by default of those with plain groups."""
        shown = {label for _, label in self.pairs()} if labels is None else set(labels)
        return [(label, swatch(self.styles[label], kind)) for label in self.labels if label in shown]


def by_network(groups: Iterable[SeedGroup]) -> dict[tuple[str, str], list[SeedGroup]]:
    """The groups of each algorithm and label."""
    return grouped(groups, lambda group: (group.algorithm, group.label))


class SizeStyles(dict[int, Style]):
    """How series of the sizes of some groups look, in their order."""

    def __init__(self, groups: Iterable[SeedGroup]) -> None:
        sizes = sorted({group.size for group in groups})
        super().__init__({size: ordered_style(k, len(sizes)) for k, size in enumerate(sizes)})

    def legend(self) -> Legend:
        return [(f"n = {size}", swatch(style)) for size, style in self.items()]


def trained_sizes(run: StoredRun, algorithm: str) -> list[int]:
    """The sizes that a run was trained on."""
    return [int(n) for n in (run.results["run"].get("train_sizes") or {}).get(algorithm, ())]


def portions(title: str, names: Sequence[Name], most: int = TOGETHER) -> Iterator[tuple[str, list[Name]]]:
    """The names or rows in portions of about equal size, at most `most` in each, with the title of each one's panel."""
    count = -(-len(names) // most)
    size = -(-len(names) // count) if count else 1
    for k in range(count):
        yield title if count == 1 else f"{title} ({k + 1} of {count})", list(names[k * size : (k + 1) * size])
