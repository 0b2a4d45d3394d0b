"""Algorithms x networks as a heat map of scores, with their mean over algorithms."""

import bisect
from collections.abc import Mapping

from nar.reports.blocks import Details, Paragraph, Scale, Section, Shaded, Span, Table, Text
from nar.reports.context import ReportContext
from nar.reports.number_format import NOTHING, score_text
from nar.results import published
from nar.results.statistics import Interval, interval
from nar.results.study import SeedGroup

_LIMITS = (10.0, 30.0, 50.0, 65.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9)  # percent, where colours change


def section(context: ReportContext) -> Section | None:
    """Mean score of every algorithm and label at the size to speak of; the other sizes folded away."""
    if len(context.algorithms) < 2:
        return None
    headlines = {algorithm: context.headline(algorithm) for algorithm in context.algorithms}
    caption = (
        "Mean node score in percent, and its 95% interval where there are several seeds, at the size of the canonical "
        "test set, or, without it, at the largest size that all have. The mean over algorithms is taken within each "
        "seed, of networks and seeds that have them all. Colours change at the scores in the scale above, in smaller "
        "steps towards 100. An empty field was not evaluated; a field without colour holds a score with an error in "
        "it, for which lower is better."
    )
    others = [
        Details(f"n = {size}", [_map(context, dict.fromkeys(context.algorithms, size), f"n = {size}")])
        for size in context.sizes()
        if any(headline != size for headline in headlines.values())
    ]
    blocks = [Scale((0.0, *_LIMITS)), _map(context, headlines, "the size in the first column"), Paragraph(caption)]
    return Section("heat-map", "Algorithms and processors", [*blocks, *others])


def _map(context: ReportContext, sizes: Mapping[str, int | None], name: str) -> Table:
    columns = [label for label in context.labels if any(context.plain(a, label) for a in context.algorithms)]
    found = {a: [context.at(a, label, size) for label in columns] for a, size in sizes.items()}
    found = {algorithm: groups for algorithm, groups in found.items() if any(groups)}
    rows: list[tuple[Text | Shaded, ...]] = [
        ((algorithm, " ", Span(f"n = {sizes[algorithm]}", "small")), *map(_field, groups), _published(groups))
        for algorithm, groups in found.items()
    ]
    means = [_mean_over_algorithms([groups[k] for groups in found.values()]) for k in range(len(columns))]
    if any(means) and len(rows) > 1:
        rows.append((("mean ", Span("over all rows", "small")), *map(_shaded, means), ""))
    header = ("algorithm", *columns, "published")
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return Table(f"Mean node score at {name}", header, rows)


def _field(group: SeedGroup | None) -> Shaded:
    if group is None or not group.is_share():
        return Shaded(score_text(group, brief=True), None)
    return _shaded(group.interval("score"))


def _shaded(found: Interval | None) -> Shaded:
    if found is None:
        return Shaded(NOTHING, None)
    mean: Text = f"{100 * found.mean:.2f}"
    if found.low is not None and found.high is not None:
        mean = (mean, " ", Span(f"[{100 * found.low:.1f}, {100 * found.high:.1f}]", "small"))
    return Shaded(mean, bisect.bisect_right(_LIMITS, 100 * found.mean + 1e-9))


def _published(groups: list[SeedGroup | None]) -> str:
    """What Ibarz et al. 2022 print for the same networks on the same set."""
    canonical = [group for group in groups if group is not None and group.data.get("set") == published.CANONICAL]
    processors = sorted({group.runs[0].results["run"]["processor"] for group in canonical})
    found = [score for one in processors for score in published.ibarz2022(canonical[0].algorithm, one)]
    return ", ".join(f"{score.processor} {score.mean:.2f}" for score in found)


def _mean_over_algorithms(groups: list[SeedGroup | None]) -> Interval | None:
    """Of the seeds that have every algorithm; None where there is none, or an algorithm is scored by an error."""
    scores = [group.by_seed("score") for group in groups if group is not None and group.is_share()]
    if len(scores) < len(groups):
        return None  # a mean over other rows than its neighbour's would mislead
    means = [sum(one[seed] for one in scores) / len(scores) for seed in set.intersection(*map(set, scores))]
    return interval(means) if means else None
