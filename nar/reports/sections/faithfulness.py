"""Does it execute the algorithm, or does it only arrive at its answers? What `nar faithfulness` measured, on a scale.

The scale is made of baselines: a filled mark is a trained network or the compiled reference, which does execute the
algorithm; the hollow one on the same lane is the same network untrained, or the reference with its weights shuffled.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from nar.reports.blocks import Details, Figure, Paragraph, Preformatted, Section, Span, Table, Text
from nar.reports.charts.axis import Axis, percent_axis, row_axis
from nar.reports.charts.chart import Chart, Panel, lane
from nar.reports.charts.shapes import CHANCE_DASHES, CHANCE_SWATCH, Style, swatch
from nar.reports.context import ReportContext, portions
from nar.reports.faithfulness_means import CHANCE, MEASURES, Measured, of_study
from nar.reports.number_format import NOTHING, number, score_text
from nar.results.study import grouped
from nar.text_format import listed

_REFERENCE = Style("plain", 4)
_HOLLOW = Style("plain", 0)
_SHORT = {"explained variance": "variance", "balanced accuracy": "balanced"}
_LONGEST = 22  # characters of a row's name
_WHAT = {  # each measure is
    "score": "the node score on these graphs, of the answers alone",
    "hints": "how often what it predicts of the algorithm's state is right, over all steps",
    "acting": "the same at those entries alone that the algorithm changes in a step",
    "ignored": "of changes of one edge that do not matter, how many leave the answer as it was",
    "followed": "of changes of one edge that do, how many move the answer from the old right one to the new",
    "sources": "where the algorithm changes a node, how much of what the node listens to comes from senders that the "
    "algorithm could have used",
}


def section(context: ReportContext) -> Section | None:
    """Two panels for every algorithm: what networks do, and what their hidden states tell."""
    found = of_study(context.study)
    if not found:
        return None
    by_graphs = grouped(found, lambda one: (one.algorithm, one.size, one.small, one.samples))
    panels = [panel for members in by_graphs.values() for panel in _panels(context, members)]
    compiled = any(one.kind == "compiled" for one in found)
    legend = context.legend({one.label for one in found}, "dot")
    legend += [("compiled reference", swatch(_REFERENCE, "dot"))] * compiled
    untrained = "the same untrained, or with shuffled weights" if compiled else "the same untrained"
    legend += [(untrained, swatch(_HOLLOW, "hollow"))]
    legend += [("chance", CHANCE_SWATCH)] * any(one.values(CHANCE) for one in found)
    points: list[Text] = [
        (Span(name, "strong"), f": {what}.")
        for name, what in _WHAT.items()
        if any(one.values(MEASURES[name]) for one in found)
    ]
    if any(one.probes() for one in found):
        text = (
            ": what one linear map reads off them of each hint, by explained variance (below zero at the left edge), "
            "balanced accuracy (50 is guessing) or accuracy."
        )
        points.append((Span("hidden states", "strong"), text))
    figure = Figure("faithfulness", panels, _caption(compiled), legend, _numbers(found), points)
    return Section(
        "faithfulness", "Does it execute the algorithm?", [figure, Details("How it was measured", _provenance(context))]
    )


def _panels(context: ReportContext, members: Sequence[Measured]) -> Iterator[Panel]:
    """Of so many labels as fit a panel, with the references in each."""
    labels = [label for label in context.labels if any(one.label == label for one in members)]
    hints = {name: metric for one in members for name, metric in one.probes().items()}
    probes = {_row_name(name, metric): f"probes.{name}.value" for name, metric in hints.items()}
    heading = f"{members[0].algorithm}, n = {members[0].size}"
    if any(one.values(MEASURES["ignored"]) for one in members):
        heading += f"; edges changed at n = {members[0].small}"
    parts = {"share (%)": ("what it does", MEASURES)}
    parts["score of a linear probe (%)"] = "what its hidden states tell", probes
    for axis, (what, paths) in parts.items():
        for title, portion in portions(what, labels):
            shown = [one for one in members if one.label in portion or not one.label]
            rows = {name: path for name, path in paths.items() if any(_drawn(one, path) for one in shown)}
            if rows:
                x = dataclasses.replace(percent_axis(axis, []), low=-3.0, high=102.0)  # with room at both ends
                yield _panel(context, shown, rows, x, title, heading)


def _row_name(hint: str, metric: str) -> str:
    short = f" ({_SHORT.get(metric, metric)})"
    room = _LONGEST - len(short)
    return (hint if len(hint) <= room else hint[: room - 1] + "…") + short


def _drawn(one: Measured, path: str) -> bool:
    """Whether there is a number of this row that is a share of 1."""
    return bool(one.values(path)) and one.is_share(path)


def _panel(
    context: ReportContext, members: Sequence[Measured], rows: Mapping[str, str], x: Axis, title: str, of: str
) -> Panel:
    """One row per measure, and in it one lane per network, the reference's last."""
    lanes = list(dict.fromkeys(one.label for one in members))
    chart = Chart.of_rows(x, row_axis(list(rows)), len(lanes))
    chance = next((found for one in members if (found := one.interval(CHANCE)) is not None), None)
    if "sources" in rows and chance is not None:  # the graphs are the same for all, and so is chance
        at, row = 100 * chance.mean, list(rows).index("sources")
        chart.line([(at, row - 0.45), (at, row + 0.45)], Style("plain", 0, CHANCE_DASHES))
        chart.sentences.append(f"Chance of sources: {number(at)}.")
    # the hollow ones first, so that filled ones lie on top
    for one in sorted(members, key=lambda one: one.kind in ("trained", "compiled")):
        style = context.styles[one.label] if one.label else _REFERENCE
        shift, told = lane(lanes.index(one.label), len(lanes)), []
        for k, (name, path) in enumerate(rows.items()):
            if _drawn(one, path):
                hollow, values = one.kind in ("untrained", "shuffled"), one.by_seed(path)
                mean = chart.mean(k, values, style, f"{one.name}, {name}", shift, rings=False, hollow=hollow)
                told.append(f"{name} {number(mean)}")
        chart.sentences.append(f"{one.name}: {', '.join(told)}." if told else f"{one.name}: nothing measured.")
    return chart.panel(title, of)


def _caption(compiled: bool) -> str:
    """How to read the scale, and what no measure can say."""
    scale = (
        "Filled marks are trained networks (means over seeds, with pale bars as 95% intervals), hollow ones on the "
        "same lane the same networks before their training. "
    )
    if compiled:
        scale += (
            "The compiled reference has weights that were written down to execute the algorithm; its hollow mark is "
            "the same with its weights shuffled. A network that executes the algorithm is where the reference is, and "
            "far from the hollow marks. "
        )
    return scale + (
        "No measure says much alone. Hints count a tie that is broken in another way as an error; a network that never "
        "changes its answer ignores every edge; what can be read off a state need not be used, and a decoder can hide "
        "a poor state or spoil a good one. Networks that sum their messages show no sources, pointers have no probe."
    )


def _numbers(found: Sequence[Measured]) -> list[Table]:
    """All measures, and all probes."""
    columns = {
        "score (%)": "score", "exact (%)": "exact", "valid (%)": "valid", "hints (%)": MEASURES["hints"],
        "acting (%)": MEASURES["acting"], "ignored (%)": MEASURES["ignored"],
        "ignored at every step (%)": "interventions.ignored_throughout", "followed (%)": MEASURES["followed"],
        "sources (%)": MEASURES["sources"],
    }  # fmt: skip
    rows = [
        (
            one.algorithm, one.name, str(len(one.entries)) if one.label else NOTHING, str(one.size), str(one.small),
            str(one.samples), *(score_text(one, path) for path in columns.values()),
            score_text(one, CHANCE, brief=True),
        )
        for one in found
    ]  # fmt: skip
    header = ("algorithm", "network", "seeds", "n", "n of changed edges", "graphs", *columns, "chance (%)")
    probes = [
        (one.algorithm, one.name, str(one.size), hint, metric, score_text(one, f"probes.{hint}.value"))
        for one in found
        for hint, metric in one.probes().items()
    ]
    tables = [Table("Faithfulness", header, rows, (0, 1))]
    if probes:
        header = ("algorithm", "network", "n", "hint", "metric", "linear probe (%)")
        tables.append(Table("Linear probes", header, probes, (0, 1, 3, 4)))
    return tables


def _provenance(context: ReportContext) -> list[Paragraph | Preformatted]:
    """The commands, and what they were run with."""
    made = [run.faithfulness["measured"] for run in context.study.runs if run.faithfulness]
    names = ("nar", "commit", "torch", "device", "date", "checkpoint")
    values = {name: list(dict.fromkeys(str(one.get(name) or "not known") for one in made)) for name in names}
    said = "; ".join(f"{name} {listed(found)}" for name, found in values.items())
    commands = dict.fromkeys(str(one.get("command")) for one in made)
    return [Paragraph(f"{said}.", "meta"), Preformatted("\n".join(commands))]
