"""The report as one web page: answer first, then figures with their numbers, then how everything was made.

    nar.reports.html.page.write(nar.results.study.read(["runs"]), "report")

report.html is made from result files alone: no model, no torch. It is one file that needs nothing else: styles and
figures are inside, no script, no font or picture from elsewhere. Equal results give equal bytes. The parts are in
nar/page_*.py, one kind of figure each; nar/page.css says how they look, in light, dark and print.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nar.reports.html.context import View
from nar.reports.html.elements import Markup, details, element, join
from nar.reports.html.sections import (
    compare,
    cost,
    errors,
    faithfulness,
    heat,
    hints,
    measures,
    score,
    settings,
    summary,
    termination,
    training,
)
from nar.reports.html.sections import made as page_made
from nar.results.study import Study
from nar.text_format import counted

# id, heading, and what makes the section; one that returns None is left out, of the contents as well.
_SECTIONS: tuple[tuple[str, str, Callable[[View], Markup | None]], ...] = (
    ("score", "Score against size", score.section),
    ("heat-map", "Algorithms and processors", heat.section),
    ("comparisons", "Compared seed by seed", compare.section),
    ("hints", "Along the rollout", hints.section),
    ("errors", "Where errors begin", errors.section),
    ("faithfulness", "Does it execute the algorithm?", faithfulness.section),
    ("termination", "Who ends the rollout", termination.section),
    ("settings", "Other distributions", settings.section),
    ("measures", "Inside the processor", measures.section),
    ("example", "One rollout, drawn", page_made.examples),
    ("cost", "Cost", cost.section),
    ("training", "Training", training.section),
    ("made", "How it was made", page_made.section),
)
_FEW_WARNINGS = 3  # shown at once; more are folded away


def write(study: Study, out_dir: str | os.PathLike[str], against: str | None = None) -> Path:
    """Writes report.html into `out_dir`, which is made if need be; returns its path.

    `against`: the label that others are compared with; by default triplet_gmpnn where there is one, else the first.
    """
    path = Path(out_dir) / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(study, against), encoding="utf-8")
    return path


def document(study: Study, against: str | None = None) -> str:
    """The text of the page."""
    view = View(study, against)
    sections = [(id_, heading, made) for id_, heading, make in _SECTIONS if (made := make(view)) is not None]
    title = summary.title(view)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content="nar report"),
        element("title", f"{title} - extrapolation report"),
        element("style", Markup(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))),
    )
    body = element(
        "body",
        element("a", "Skip to the figures", href=f"#{sections[0][0]}", class_="skip"),
        element(
            "div",
            element("header", element("h1", title), summary.answer(view), _warnings(study)),
            _contents(sections),
            element("main", _glance(view), *(_section(*one) for one in sections)),
            element("footer", element("p", _footer(view))),
            class_="frame",
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _section(id_: str, heading: str, content: Markup) -> Markup:
    return element(
        "section", element("h2", heading, id=f"{id_}-heading"), content, id=id_, aria_labelledby=f"{id_}-heading"
    )


def _contents(sections: list[tuple[str, str, Markup]]) -> Markup:
    links = [element("li", element("a", heading, href=f"#{id_}")) for id_, heading, _ in sections]
    inner = element("div", element("h2", "Contents", id="contents"), element("ol", *links))
    return element("nav", inner, aria_labelledby="contents")


def _glance(view: View) -> Markup | None:
    """The numbers that most readers came for."""
    numbers = score.at_a_glance(view)
    if numbers is None:
        return None
    text = (
        "Node score in percent, mean over seeds; in bold, with its 95% interval, at the size that the text speaks of."
    )
    if all(len(cell.seeds) == 1 for cell in view.cells):
        text = "Node score in percent, of one seed; in bold at the size that the text speaks of."
    return join(element("p", text, class_="meta"), numbers)


def _warnings(study: Study) -> Markup | None:
    found = study.warnings()
    notes = [element("p", element("strong", "Note. "), warning, class_="note") for warning in found]
    if not notes:
        return None
    rest = notes[_FEW_WARNINGS:]
    return join(*notes[:_FEW_WARNINGS], details(counted(len(rest), "more note"), *rest) if rest else None)


def _footer(view: View) -> str:
    """What the page is made from."""
    versions = sorted({str((run.results.get("provenance") or {}).get("nar")) for run in view.study.runs})
    files = counted(len(view.study.runs), "result file")
    return f"Made by nar report from {files} of nar {', '.join(versions)}. One file, no scripts."
