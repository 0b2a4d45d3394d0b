"""Does it execute the algorithm, or does it only arrive at its answers? What `nar faithfulness` measured, on a scale.

The scale is made of baselines: a filled mark is a trained network or the compiled reference, which does execute the
algorithm; the hollow one on the same lane is the same network untrained, or the reference with its weights shuffled.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from nar.reports import faithfulness_means
from nar.reports.blocks import Details, Figure, Paragraph, Preformatted, Section, Span, Table, Text
from nar.reports.charts.axis import Axis, percent_axis, row_axis
from nar.reports.charts.chart import Chart, Panel, lane
from nar.reports.charts.shapes import CHANCE, CHANCE_SWATCH, Style, swatch
from nar.reports.context import ReportContext, portions
from nar.reports.faithfulness_means import MEASURES, Measured
from nar.reports.number_format import NOTHING, number, percent, with_interval
from nar.results.schema import is_share
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
    found = faithfulness_means.of_study(context.study)
    if not found:
        return None
    by_graphs = grouped(found, lambda one: (one.algorithm, one.size, one.small, one.samples))
    panels = [panel for members in by_graphs.values() for panel in _panels(context, members)]
    compiled = any(one.kind == "compiled" for one in found)
    legend = context.legend({one.label for one in found}, "dot")
    legend += [("compiled reference", swatch(_REFERENCE, "dot"))] * compiled
    untrained = "the same untrained, or with shuffled weights" if compiled else "the same untrained"
    legend += [(untrained, swatch(_HOLLOW, "hollow"))]
    legend += [("chance", CHANCE_SWATCH)] * any(one.values(*faithfulness_means.CHANCE) for one in found)
    points: list[Text] = [
        (Span(name, "strong"), f": {what}.")
        for name, what in _WHAT.items()
        if any(one.values(*MEASURES[name]) for one in found)
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


def _heading(members: Sequence[Measured]) -> str:
    one = members[0]
    edges = any(member.values(*MEASURES["ignored"]) for member in members)
    return f"{one.algorithm}, n = {one.size}" + (f"; edges changed at n = {one.small}" if edges else "")


def _panels(context: ReportContext, members: Sequence[Measured]) -> Iterator[Panel]:
    """Of so many labels as fit a panel, with the references in each."""
    labels = [label for label in context.labels if any(one.label == label for one in members)]
    hints = {name: metric for one in members for name, metric in one.probes().items()}
    probes = {_row_name(name, metric): ("probes", name, "value") for name, metric in hints.items()}
    parts = {"share (%)": ("what it does", MEASURES)}
    parts["score of a linear probe (%)"] = "what its hidden states tell", probes
    for axis, (what, paths) in parts.items():
        for title, portion in portions(what, labels):
            shown = [one for one in members if one.label in portion or not one.label]
            rows = {name: path for name, path in paths.items() if any(_drawn(one, path) for one in shown)}
            if rows:
                x = dataclasses.replace(percent_axis(axis, []), low=-3.0, high=102.0)  # with room at both ends
                yield _panel(context, shown, rows, x, title, _heading(members))


def _row_name(hint: str, metric: str) -> str:
    short = f" ({_SHORT.get(metric, metric)})"
    room = _LONGEST - len(short)
    return (hint if len(hint) <= room else hint[: room - 1] + "…") + short


def _drawn(one: Measured, path: Sequence[str]) -> bool:
    """Whether there is a number of this row that is a share of 1."""
    return bool(one.values(*path)) and (tuple(path) != MEASURES["score"] or is_share(one.rows[0]))


def _panel(
    context: ReportContext, members: Sequence[Measured], rows: Mapping[str, Sequence[str]], x: Axis, title: str, of: str
) -> Panel:
    """One row per measure, and in it one lane per network, the reference's last."""
    lanes = list(dict.fromkeys(one.label for one in members))
    chart = Chart.of_rows(x, row_axis(list(rows)), len(lanes))
    if "sources" in rows:
        _chance(chart, members, list(rows).index("sources"))
    # the hollow ones first, so that filled ones lie on top
    for one in sorted(members, key=lambda one: one.kind in ("trained", "compiled")):
        style = context.styles[one.label] if one.label else _REFERENCE
        shift, told = lane(lanes.index(one.label), len(lanes)), []
        for k, (name, path) in enumerate(rows.items()):
            if _drawn(one, path):
                hollow, values = one.kind in ("untrained", "shuffled"), dict(enumerate(one.values(*path)))
                mean = chart.mean(k, values, style, f"{one.name}, {name}", shift, rings=False, hollow=hollow)
                told.append(f"{name} {number(mean)}")
        chart.sentences.append(f"{one.name}: {', '.join(told)}." if told else f"{one.name}: nothing measured.")
    return chart.panel(title, of)


def _chance(chart: Chart, members: Sequence[Measured], row: int) -> None:
    """The graphs are the same for all, and so is chance."""
    found = next((mean for one in members if (mean := one.interval(*faithfulness_means.CHANCE)) is not None), None)
    if found is not None:
        at = 100 * found.mean
        chart.line([(at, row - 0.45), (at, row + 0.45)], Style("plain", 0, CHANCE))
        chart.sentences.append(f"Chance of sources: {number(at)}.")


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
        "exact (%)": ("exact",), "valid (%)": ("valid",), "hints (%)": MEASURES["hints"],
        "acting (%)": MEASURES["acting"], "ignored (%)": MEASURES["ignored"],
        "ignored at every step (%)": ("interventions", "ignored_throughout"), "followed (%)": MEASURES["followed"],
        "sources (%)": MEASURES["sources"],
    }  # fmt: skip
    rows = []
    for one in found:
        share, chance = is_share(one.rows[0]), one.interval(*faithfulness_means.CHANCE)
        rows.append((
            one.algorithm, one.name, str(len(one.rows)) if one.label else NOTHING, str(one.size), str(one.small),
            str(one.samples), with_interval(one.interval("score"), share) + ("" if share else " (error)"),
            *(with_interval(one.interval(*path)) for path in columns.values()),
            percent(chance.mean if chance else None),
        ))  # fmt: skip
    header = ("algorithm", "network", "seeds", "n", "n of changed edges", "graphs", "score (%)", *columns, "chance (%)")
    probes = [
        (one.algorithm, one.name, str(one.size), hint, metric, with_interval(one.interval("probes", hint, "value")))
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
