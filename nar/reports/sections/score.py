"""Scores: against size, with whole graphs right and valid answers, and what papers print; algorithms x networks."""

import bisect
from collections.abc import Iterator, Mapping

from nar.reports.blocks import Details, Figure, Paragraph, Scale, Section, Shaded, Span, Table, Text
from nar.reports.charts.axis import SCORES, score_axis, size_axis
from nar.reports.charts.chart import Chart, Panel, aside
from nar.reports.charts.shapes import MARK_SWATCH, SHADE_SWATCH
from nar.reports.context import ReportContext, portions, trained_sizes
from nar.reports.number_format import NOTHING, known, number, score_text, seeds_text
from nar.results import published
from nar.results.published import PublishedScore
from nar.results.statistics import Interval, interval
from nar.results.study import SeedGroup

_LIMITS = (10.0, 30.0, 50.0, 65.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9)  # percent, where colours change


def section(context: ReportContext) -> Section | None:
    """The figure and its tables; None where nothing was evaluated."""
    if not context.groups:
        return None
    panels = [panel for a in context.algorithms for name in SCORES for panel in _panels(context, a, name)]
    marked = any(_published(group) for group in context.groups if group.is_share())
    legend = context.legend()
    legend += [("sizes trained on", SHADE_SWATCH)] * any(map(context.trained, context.algorithms))
    legend += [("published score", MARK_SWATCH)] * marked
    purpose = "How well the networks execute an algorithm on graphs larger than those that they were trained on."
    same = list(dict.fromkeys(score for group in context.groups for score in _published(group)))
    sets = {(group.algorithm, group.data.get("set")) for group in context.groups}
    rest = [score for a in context.algorithms for score in published.scores(a) if score not in same]
    rest.sort(key=lambda score: (score.algorithm, score.benchmark) not in sets)
    numbers = [_results_table(context), *([_published_table("Published scores", same)] if same else [])]
    blocks = [Paragraph(purpose), Figure("score", panels, _caption(context, marked), legend, numbers, most=120)]
    if rest:
        text = "Not comparable unless data and protocol are the same; the first ones are of test sets evaluated here."
        others = [Paragraph(text), _published_table("Other published scores", rest)]
        blocks.append(Details("What else papers print for these algorithms, with sources", others))
    return Section("score", "Score against size", blocks)


def _caption(context: ReportContext, marked: bool) -> str:
    several = any(len(group.seeds) > 1 for group in context.groups)
    valid = any(group.values("valid") for group in context.groups)
    ends = dict.fromkeys(context.termination.values())
    sentences = (
        "Lines join means over seeds, pale bars are 95% intervals of the mean, rings are single seeds." * several,
        "One seed each, so there is no interval." * (not several),
        "The node score is the mean over the algorithm's outputs, where a pointer counts only if it is exactly the "
        "right node, and a mask by its F1. Exact graphs are those with every output of every node right.",
        "Valid answers are right if ties may be broken in another way." * valid,
        "The number of steps is told to the model (the oracle termination of CLRS)." * ("oracle" in ends),
        *(f"Rollouts end by {end.replace('_', ' ')}." for end in ends if end != "oracle"),
        "Extrapolation is n as a multiple of the largest size trained on; up to 1x is in-distribution.",
        "Diamonds are scores printed in the literature, from the canonical test set, with their printed spread."
        * marked,
        "Percent axes begin above 0 where nothing lies below.",
    )
    return " ".join(filter(None, sentences))


def _panels(context: ReportContext, algorithm: str, name: str) -> Iterator[Panel]:
    """The panels of one quantity, as many as the labels need."""
    own = {label: context.plain(algorithm, label) for label in context.labels_of(algorithm)}
    own = {label: groups for label, groups in own.items() if any(group.values(name) for group in groups)}
    groups = [group for found in own.values() for group in found]
    if not groups:
        return
    marks = [(group, score) for group in groups for score in _published(group) if name == "score"]
    y = score_axis(groups, name, [score.mean / 100 for _, score in marks])
    trained = context.trained_by_all(algorithm)
    for title, portion in portions(y.label if y.factor == 100 else SCORES[name], list(own)):
        chart = Chart(size_axis([*context.sizes(algorithm), *trained[:1], *trained[-1:]]), y)
        if trained:
            chart.shade(trained[0], trained[-1])
        for place, label in enumerate(portion):
            style, shift = context.styles[label], aside(place, len(portion))
            chart.means([(g.size, g.by_seed(name)) for g in own[label]], style, label, shift)
            for size, score in [(g.size, s) for g, s in marks if g.label == label and y.factor == 100]:
                about = f"ublished for {score.method}: {score} ({score.source.short})"
                chart.mark(size, score.mean, score.spread, f"p{about}", style, shift)
                chart.sentences.append(f"P{about}.")
        yield chart.panel(title, algorithm)


def _published(group: SeedGroup) -> list[PublishedScore]:
    """Each score that is printed for a group's processor on its very data."""
    processors = {run.results["run"]["processor"] for run in group.runs}
    found = published.scores(group.algorithm, benchmark=group.data["set"]) if group.data.get("set") else []
    return [score for score in found if score.processor in processors]


def _results_table(context: ReportContext) -> Table:
    """One row per algorithm, label and size."""
    rows = []
    for group in context.groups:
        trained = [size for run in group.runs for size in trained_sizes(run, group.algorithm)]
        steps = [group.entries[0].get(name) for name in ("steps_mean", "steps_max")]
        rows.append((
            group.algorithm, group.label, str(group.size), f"{group.size / max(trained):.3g}x" if trained else NOTHING,
            score_text(group), seeds_text(group), score_text(group, "exact"), score_text(group, "valid"),
            f"{group.samples:,}", "/".join(number(value) for value in steps if known(value)),
            ", ".join(map(str, group.seeds)),
        ))  # fmt: skip
    header = (
        "algorithm", "network", "n", "extrapolation", "score (%)", "every seed", "exact (%)", "valid (%)", "graphs",
        "steps (mean/most)", "seeds",
    )  # fmt: skip
    return Table("Scores of every algorithm, label and size", header, rows, (0, 1))


def at_a_glance(context: ReportContext) -> list[Paragraph | Table]:
    """Means at every size, one row per algorithm and label, with the interval at the headline size, which comes first:
    a phone shows it without scrolling."""
    sizes = context.sizes()
    if not sizes:
        return []
    headlines = sorted({size for a in context.algorithms if (size := context.headline(a)) is not None})
    if len(sizes) > 8:
        kept = {sizes[0], sizes[-1], *sizes[:: -(-len(sizes) // 6)]}
        sizes = [size for size in sizes if size in kept]
    sizes = [*headlines, *(size for size in sizes if size not in headlines)]
    rows = []
    for algorithm, label in context.pairs():
        groups = {size: context.at(algorithm, label, size) for size in sizes}
        headline = context.headline(algorithm)
        texts = (
            Span(score_text(group), "strong") if group and size == headline else score_text(group, brief=True)
            for size, group in groups.items()
        )
        rows.append((algorithm, label, *texts))
    several = any(len(group.seeds) > 1 for group in context.groups)
    what = "mean over seeds; in bold, with its 95% interval," if several else "of one seed; in bold"
    text = f"Node score in percent, {what} at the size that the text speaks of."
    header = ("algorithm", "network", *(f"n = {size}" for size in sizes))
    return [Paragraph(text, "meta"), Table("Node score at every size", header, rows, (0, 1))]


def _published_table(name: str, scores: list[PublishedScore]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for score in scores:
        url = score.source.url or ""
        rows.append((
            score.algorithm, score.method, score.processor or NOTHING, str(score.size or NOTHING),
            f"{score.mean:.2f}{score.plus_minus}", score.spread_is or NOTHING, str(score.seeds or NOTHING),
            score.metric, score.benchmark or "not stated",
            Span(score.source.short, href=url if url.startswith("https://") else None), score.remark,
        ))  # fmt: skip
    header = (
        "algorithm", "method", "here", "n", "score (%)", "± is", "seeds", "metric", "test set", "source", "remark",
    )  # fmt: skip
    return Table(name, header, rows, (0, 1, 2, 5, 7, 8, 9, 10))


def heat_map(context: ReportContext) -> Section | None:
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
        ((algorithm, " ", Span(f"n = {sizes[algorithm]}", "small")), *map(_field, groups), _printed(groups))
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


def _printed(groups: list[SeedGroup | None]) -> str:
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
