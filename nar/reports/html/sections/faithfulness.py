"""Does it execute the algorithm, or does it only arrive at its answers? What `nar faithfulness` measured, on a scale.

The scale is made of baselines: a filled mark is a trained network or the compiled reference, which does execute the
algorithm; the hollow one on the same lane is the same network untrained, or the reference with its weights shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nar.reports import faithfulness_means
from nar.reports.faithfulness_means import CHANCE, MEASURES, Measured
from nar.reports.figures import is_percent
from nar.reports.html.axis import Axis
from nar.reports.html.chart import Chart, Style
from nar.reports.html.context import View, chunks, part
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    Panel,
    details,
    element,
    figure,
    join,
    number,
    percent,
    table,
    with_interval,
)
from nar.reports.html.legend import CHANCE as CHANCE_DASHES
from nar.reports.html.legend import chance_swatch, legend, swatch
from nar.text_format import listed

_REFERENCE = Style("plain", 4)
_HOLLOW = Style("plain", 0)
_LANE = 9  # units between the lanes of a row
_SHORT = {"explained variance": "variance", "balanced accuracy": "balanced"}
_LONGEST = 22  # characters of a row's name


def section(view: View) -> Markup | None:
    """Two panels for every algorithm: what networks do, and what their hidden states tell."""
    found = faithfulness_means.of_study(view.study)
    if not found:
        return None
    by_graphs: dict[tuple[str, int, int, int], list[Measured]] = {}
    for one in found:
        by_graphs.setdefault(one.graphs, []).append(one)
    groups = [(_heading(members), _panels(view, members)) for members in by_graphs.values()]
    labels = [label for label in view.labels if any(one.label == label for one in found)]
    entries = [(label, swatch(view.styles[label], "dot")) for label in labels]
    if any(one.kind == "compiled" for one in found):
        entries.append(("compiled reference", swatch(_REFERENCE, "dot")))
        entries.append(("the same untrained, or with shuffled weights", swatch(_HOLLOW, "hollow")))
    else:
        entries.append(("the same untrained", swatch(_HOLLOW, "hollow")))
    if any(one.values(*CHANCE) for one in found):
        entries.append(("chance", chance_swatch()))
    numbers = details("Every number of this figure", _numbers(found), _probes(found))
    return figure(groups, _caption(found), legend(entries), numbers, details("How it was measured", *_provenance(view)))


def _heading(members: Sequence[Measured]) -> str:
    one = members[0]
    edges = any(member.values(*MEASURES["ignored"]) for member in members)
    return f"{one.algorithm}, n = {one.size}" + (f"; edges changed at n = {one.small}" if edges else "")


def _panels(view: View, members: Sequence[Measured]) -> list[Panel]:
    """Of so many labels as fit a panel, with the references in each."""
    labels = [label for label in view.labels if any(one.label == label for one in members)]
    portions, heading, panels = chunks(labels), _heading(members), []
    hints = {name: metric for one in members for name, metric in one.probes().items()}
    for title, axis, places in (
        ("what it does", "share (%)", MEASURES),
        (
            "what its hidden states tell",
            "score of a linear probe (%)",
            {_row_name(name, metric): ("probes", name, "value") for name, metric in hints.items()},
        ),
    ):
        for index, portion in enumerate(portions):
            shown = [one for one in members if one.label in portion or not one.label]
            rows = {name: path for name, path in places.items() if any(_drawn(one, path) for one in shown)}
            if rows:
                panels.append(_panel(view, shown, rows, axis, part(title, index, len(portions)), heading))
    return panels


def _row_name(hint: str, metric: str) -> str:
    short = f" ({_SHORT.get(metric, metric)})"
    room = _LONGEST - len(short)
    return (hint if len(hint) <= room else hint[: room - 1] + "…") + short


def _drawn(one: Measured, path: Sequence[str]) -> bool:
    """Whether there is a number of this row that is a share of 1."""
    return bool(one.values(*path)) and (tuple(path) != MEASURES["score"] or is_percent(one.rows[0]))


def _panel(
    view: View, members: Sequence[Measured], rows: Mapping[str, Sequence[str]], axis: str, title: str, heading: str
) -> Panel:
    """One row per measure, and in it one lane per network, the reference's last."""
    lanes = list(dict.fromkeys(one.label for one in members))
    unit = 16 + _LANE * len(lanes)
    y = Axis("", len(rows) - 0.4, -0.6, [(float(k), name) for k, name in enumerate(rows)])
    x = Axis(axis, -3.0, 102.0, [(float(v), str(v)) for v in range(0, 101, 20)])  # with room for marks at both ends
    left = min(150, max(40, round(6.2 * max(map(len, rows))) + 12))
    chart = Chart(x, y, height=round(60 + unit * (len(rows) + 0.2)), left=left)
    if "sources" in rows:
        _chance(chart, members, list(rows).index("sources"))
    # the hollow ones first, so that filled ones lie on top
    for one in sorted(members, key=lambda one: one.kind in ("trained", "compiled")):
        style = view.styles[one.label] if one.label else _REFERENCE
        lane = _LANE * (lanes.index(one.label) - (len(lanes) - 1) / 2) / unit
        told = []
        for k, (name, path) in enumerate(rows.items()):
            found = one.interval(*path)
            if found is None or not _drawn(one, path):
                continue
            at = k + lane
            if found.low is not None and found.high is not None:
                chart.across(100 * found.low, 100 * found.high, at, style)
            text = f"{one.name}, {name}: {with_interval(found.mean, found.low, found.high)}"
            hollow = one.kind in ("untrained", "shuffled")
            chart.dots([(100 * found.mean, at)], style, hollow=hollow, titles=[text])
            told.append(f"{name} {number(100 * found.mean)}")
        chart.sentences.append(f"{one.name}: {', '.join(told)}." if told else f"{one.name}: nothing measured.")
    return chart.panel(title, heading)


def _chance(chart: Chart, members: Sequence[Measured], row: int) -> None:
    """The graphs are the same for all, and so is chance."""
    found = next((mean for one in members if (mean := one.interval(*CHANCE)) is not None), None)
    if found is not None:
        at = 100 * found.mean
        level = Style("plain", 0, CHANCE_DASHES)
        chart.line([(at, row - 0.45), (at, row + 0.45)], level, markers=False)
        chart.sentences.append(f"Chance of sources: {number(at)}.")


def _caption(found: Sequence[Measured]) -> Markup:
    """What each measure is, and what it cannot say."""
    what = {
        "score": "the node score on these graphs, of the answers alone",
        "hints": "how often what it predicts of the algorithm's state is right, over all steps",
        "acting": "the same at those entries alone that the algorithm changes in a step",
        "ignored": "of changes of one edge that do not matter, how many leave the answer as it was",
        "followed": "of changes of one edge that do, how many move the answer from the old right one to the new",
        "sources": "where the algorithm changes a node, how much of what the node listens to comes from senders that "
        "the algorithm could have used",
    }  # fmt: skip
    shown = [name for name in what if any(one.values(*MEASURES[name]) for one in found)]
    items = [element("li", element("strong", name), f": {what[name]}.") for name in shown]
    if any(one.probes() for one in found):
        text = (
            ": what one linear map reads off them of each hint, by explained variance (below zero at the left edge), "
            "balanced accuracy (50 is guessing) or accuracy."
        )
        items.append(element("li", element("strong", "hidden states"), text))
    scale = (
        "Filled marks are trained networks (means over seeds, with pale bars as 95% intervals), hollow ones on the "
        "same lane the same networks before their training. "
    )
    if any(one.kind == "compiled" for one in found):
        scale += (
            "The compiled reference has weights that were written down to execute the algorithm; its hollow mark is "
            "the same with its weights shuffled. A network that executes the algorithm is where the reference is, and "
            "far from the hollow marks."
        )
    limits = (
        "No measure says much alone. Hints count a tie that is broken in another way as an error; a network that never "
        "changes its answer ignores every edge; what can be read off a state need not be used, and a decoder can hide "
        "a poor state or spoil a good one. Networks that sum their messages show no sources, pointers have no probe."
    )
    return join(scale, element("ul", *items), limits)


def _written(one: Measured, *path: str, share: bool = True) -> str:
    found = one.interval(*path)
    return with_interval(found.mean, found.low, found.high, share) if found else NOTHING


def _numbers(found: Sequence[Measured]) -> Markup:
    rows = []
    for one in found:
        share = is_percent(one.rows[0])
        chance = one.interval(*CHANCE)
        rows.append((
            one.algorithm, one.name, str(len(one.rows)) if one.label else NOTHING, str(one.size), str(one.small),
            str(one.samples), _written(one, "score", share=share) + ("" if share else " (error)"),
            _written(one, "exact"), _written(one, "valid"),
            *(_written(one, *MEASURES[name]) for name in ("hints", "acting", "ignored")),
            _written(one, "interventions", "ignored_throughout"), _written(one, *MEASURES["followed"]),
            _written(one, *MEASURES["sources"]), percent(chance.mean if chance else None),
        ))  # fmt: skip
    header = (
        "algorithm", "network", "seeds", "n", "n of changed edges", "graphs", "score (%)", "exact (%)", "valid (%)",
        "hints (%)", "acting (%)", "ignored (%)", "ignored at every step (%)", "followed (%)", "sources (%)",
        "chance (%)",
    )  # fmt: skip
    return table(header, rows, "Faithfulness", words=(0, 1))


def _probes(found: Sequence[Measured]) -> Markup | None:
    rows = [
        (one.algorithm, one.name, str(one.size), hint, metric, _written(one, "probes", hint, "value"))
        for one in found
        for hint, metric in one.probes().items()
    ]
    header = ("algorithm", "network", "n", "hint", "metric", "linear probe (%)")
    return table(header, rows, "Linear probes", words=(0, 1, 3, 4)) if rows else None


def _provenance(view: View) -> list[Markup]:
    """The commands, and what they were run with."""
    made = [run.faithfulness["measured"] for run in view.study.runs if run.faithfulness]
    names = ("nar", "commit", "torch", "device", "date", "checkpoint")
    values = {name: list(dict.fromkeys(str(one.get(name) or "not known") for one in made)) for name in names}
    said = "; ".join(f"{name} {listed(found)}" for name, found in values.items())
    commands = dict.fromkeys(str(one.get("command")) for one in made)
    return [element("p", f"{said}.", class_="meta"), element("pre", "\n".join(commands), tabindex="0")]
