"""The answer of a study in one table: every algorithm's score with every network at one size, and their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nar.reports import figures, markdown
from nar.reports.study_sections import plain
from nar.results import published
from nar.results.statistics import interval
from nar.results.study import Cell, Study


def overview(study: Study) -> list[str]:
    """Parts of Markdown; nothing where there is one algorithm, whose own table says the same."""
    chosen = {algorithm: found for algorithm in study.algorithms() if (found := headline(study, algorithm))}
    if len(chosen) < 2:
        return []
    labels = study.labels()
    rows = [
        (
            algorithm,
            str(next(iter(cells.values())).size),
            *(_text(cells.get(label)) for label in labels),
            _published(algorithm, cells),
        )
        for algorithm, cells in chosen.items()
    ]
    sentence = "Score at the size of the canonical test set, or, without it, at the largest size that all have."
    means = [_mean_over_algorithms(chosen, label) for label in labels]
    if any(text != "-" for text in means):
        rows.append((f"mean over {len(chosen)} algorithms", "", *means, ""))
        sentence += " The mean over algorithms is taken within each seed, of networks and seeds that have them all."
    return [sentence, markdown.table(["", "n", *labels, "published"], rows)]


def headline(study: Study, algorithm: str) -> dict[str, Cell]:
    """By label, the cells at the size to speak of: the canonical set's if all have it, else the largest that all have.

    Where the labels have no size in common it is the largest of any.
    """
    by_size: dict[int, dict[str, Cell]] = {}
    for cell in plain(study, algorithm):
        by_size.setdefault(cell.size, {})[cell.label] = cell
    if not by_size:
        return {}
    most = max(map(len, by_size.values()))
    shared = {size: cells for size, cells in by_size.items() if len(cells) == most}
    return max(shared.items(), key=lambda item: (all(map(_canonical, item[1].values())), item[0]))[1]


def _canonical(cell: Cell) -> bool:
    return cell.data.get("set") == published.CANONICAL


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return markdown.without_seeds(cell.interval("score"), figures.is_percent(cell.entries[0]))


def _published(algorithm: str, cells: Mapping[str, Cell]) -> str:
    """What Ibarz et al. 2022 print for the same networks on the same set."""
    processors = sorted({cell.runs[0].results["run"]["processor"] for cell in cells.values() if _canonical(cell)})
    rows = [row for row in published.ibarz2022()["scores"] if row["algorithm"] == algorithm]
    found = [f"{row['processor']} {row['mean']:.2f}%" for row in rows if row["processor"] in processors]
    return ", ".join(found) or "-"


def _mean_over_algorithms(chosen: Mapping[str, Mapping[str, Cell]], label: str) -> str:
    """Of the seeds that have every algorithm; a dash where there is none, or an algorithm is scored by an error."""
    cells: Sequence[Cell | None] = [found.get(label) for found in chosen.values()]
    own = [cell for cell in cells if cell is not None and figures.is_percent(cell.entries[0])]
    if len(own) < len(chosen):
        return "-"
    scores = [cell.by_seed("score") for cell in own]
    seeds = sorted(set.intersection(*(set(one) for one in scores)))
    means = [sum(one[seed] for one in scores) / len(scores) for seed in seeds]
    return markdown.without_seeds(interval(means)) if means else "-"
