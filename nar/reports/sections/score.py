"""Score, whole graphs right and validity against size; the table of all results; what papers print."""

from collections.abc import Iterator

from nar.reports.blocks import Details, Figure, Paragraph, Section, Span, Table, Text
from nar.reports.charts.axis import SCORES, score_axis, size_axis
from nar.reports.charts.chart import Chart, Panel, aside
from nar.reports.charts.shapes import MARK_SWATCH, SHADE_SWATCH
from nar.reports.context import ReportContext, portions, trained_sizes
from nar.reports.number_format import NOTHING, known, number, score_text, seeds_text
from nar.results import published
from nar.results.published import PublishedScore
from nar.results.study import SeedGroup


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
    same = list(dict.fromkeys(score for group in context.groups for _, score in _published(group)))
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
    marks = {label: [mark for group in found for mark in _published(group)] for label, found in own.items()}
    shown = [mark.mean / 100 for found in marks.values() for _, mark in found] if name == "score" else []
    y = score_axis(groups, name, shown)
    trained = context.trained_by_all(algorithm)
    for title, portion in portions(y.label if y.factor == 100 else SCORES[name], list(own)):
        chart = Chart(size_axis([*context.sizes(algorithm), *trained[:1], *trained[-1:]]), y)
        if trained:
            chart.shade(trained[0], trained[-1])
        for place, label in enumerate(portion):
            style, shift = context.styles[label], aside(place, len(portion))
            chart.means([(g.size, g.by_seed(name)) for g in own[label]], style, label, shift)
            for size, score in marks[label] if name == "score" and y.factor == 100 else ():
                about = f"ublished for {score.method}: {score} ({score.source.short})"
                chart.mark(size, score.mean, score.spread, f"p{about}", style, shift)
                chart.sentences.append(f"P{about}.")
        yield chart.panel(title, algorithm)


def _published(group: SeedGroup) -> list[tuple[int, PublishedScore]]:
    """The size of a group with each score that is printed for its processor on its very data."""
    processors = {run.results["run"]["processor"] for run in group.runs}
    found = published.scores(group.algorithm, benchmark=group.data["set"]) if group.data.get("set") else []
    return [(group.size, score) for score in found if score.processor in processors]


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
    """Means at every size, one row per algorithm and label, with the interval at the headline size."""
    sizes = context.sizes()
    if not sizes:
        return []
    if len(sizes) > 8:
        headlines = {context.headline(algorithm) for algorithm in context.algorithms}
        kept = {sizes[0], sizes[-1], *headlines, *sizes[:: -(-len(sizes) // 6)]}
        sizes = [size for size in sizes if size in kept]
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
