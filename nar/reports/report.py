"""Reports: report.html, report.md with its figures, and tables for other programs, made from result files alone.

One run is a study of one run: whatever is said of many is said of one, by the same sections. Reports can be made again
at any time and anywhere: no model is loaded and no torch is imported. Means are over seeds, with an interval, and every
seed stands beside them; nothing is ever a maximum. `table` and `study_table` are the short forms that terminals show.
"""

from pathlib import Path

from nar.lookup import suggest
from nar.reports import csv_tables
from nar.reports.blocks import Document
from nar.reports.context import ReportContext
from nar.reports.number_format import percent, text_table, with_interval
from nar.reports.rendering import html, markdown
from nar.reports.sections import (
    comparisons,
    cost,
    distributions,
    errors,
    faithfulness,
    hints,
    provenance,
    score,
    summary,
    termination,
    training,
)
from nar.results import comparability, schema, study
from nar.results.schema import Results
from nar.results.study import Study
from nar.system import files
from nar.text_format import counted, duration, listed

_SECTIONS = (
    score.section, score.heat_map, comparisons.section, hints.section, errors.section, faithfulness.section,
    termination.section, distributions.section, hints.measures, provenance.examples, cost.section, training.section,
    provenance.section,
)  # fmt: skip


def write_report(run_dir: str | Path) -> Path:
    """Writes report.html, report.md and its figures into a run's directory, from the files there; returns the page."""
    return _write(study.read(run_dir), Path(run_dir))


def write(found: Study, out_dir: str | Path, against: str | None = None) -> Path:
    """Writes the report of a study into `out_dir`, with scores.csv and summary.csv; returns the page.

    `against`: the label with which the others are compared; ValueError where there is none of this name.
    """
    check_against(found, against)
    out_dir = Path(out_dir)
    page = _write(found, out_dir, against)
    files.write_text(out_dir / "scores.csv", csv_tables.scores(found))
    files.write_text(out_dir / "summary.csv", csv_tables.summary(found))
    return page


def check_against(found: Study, against: str | None) -> None:
    """ValueError where no runs of the study have this label."""
    if against is not None and against not in found.labels():
        raise ValueError(suggest("label", against, found.labels(), "the labels are those of the report's tables"))


def _write(found: Study, out_dir: Path, against: str | None = None) -> Path:
    made = document(found, against)
    out_dir.mkdir(parents=True, exist_ok=True)
    for figure in made.figures():
        files.write_text(out_dir / f"{figure.name}.svg", html.figure_file(figure))
    files.write_text(out_dir / "report.md", markdown.text(made, out_dir))
    files.write_text(out_dir / "report.html", html.page(made))
    return out_dir / "report.html"


def document(found: Study, against: str | None = None) -> Document:
    """The whole report as data; `against`: the label that others are compared with, else context.REFERENCE."""
    context = ReportContext(found, against)
    sections = [made for section in _SECTIONS if (made := section(context)) is not None]
    versions = listed(sorted({str(run.results["provenance"].get("nar")) for run in found.runs}))
    files = counted(len(found.runs), "result file")
    footer = f"Made by nar report from {files} of nar {versions}."
    notes = comparability.of_study(found)
    return Document(
        summary.title(context), summary.answer(context), notes, score.at_a_glance(context), sections, footer
    )


def study_table(found: Study) -> str:
    """Mean scores in plain text, for a terminal."""
    context = ReportContext(found)
    tables = []
    for algorithm in context.algorithms:
        columns = {"": context.labels_of(algorithm)}
        for size in context.sizes(algorithm):
            groups = [context.at(algorithm, label, size) for label in columns[""]]
            columns[f"n = {size}"] = [
                "-" if group is None else with_interval(group.interval("score"), group.is_share(), "%")
                for group in groups
            ]
        tables.append(f"{algorithm}\n{text_table(columns, words=[''])}")
    return "\n\n".join(tables)


def table(found: Results) -> str:
    """The results of a run in plain text, as training prints them at its end."""
    found = schema.upgraded(found)
    shown = [e for e in found["evaluations"] if not e["setting"]]
    steps = [(e.get("steps_taken") or {"mean": e["steps_mean"], "max": e["steps_max"]}).values() for e in shown]
    columns = {
        "algorithm": [e["algorithm"] for e in shown],
        "size": [str(e["size"]) for e in shown],
        "ended by": [e["termination"] for e in shown],
        "graphs": [f"{e['samples']:,}" for e in shown],
        "score": [_percent(e["score"]) if schema.is_share(e) else f"{e['score']:.4g}" for e in shown],
        "exact": [_percent(e["exact"]) for e in shown],
        "valid": [_percent(e["valid"]) for e in shown],
        # per graph, mean/most: those taken, which the oracle makes those needed
        "steps": [f"{mean:,.1f}/{most:,}" for mean, most in steps],
        "seconds": [f"{e['seconds']:,.2f}" for e in shown],
        "data": [e["data"]["set"] for e in shown],
    }
    hidden = ["algorithm"] * (len({e["algorithm"] for e in found["evaluations"]}) < 2)
    hidden += ["ended by"] * ({e["termination"] for e in shown} <= {"oracle"})
    lines = text_table(columns, ("algorithm", "ended by", "data"), hidden)
    run = found["run"]
    best = f", best validation at {run['best_step']:,}" if run["best_validation"] is not None else ""
    title = (
        f"{'+'.join(run['algorithms'])} with {run['processor']}, seed {run['seed']}: {run['parameters']:,} parameters, "
        f"{run['steps']:,} steps{best}, {duration(run['train_seconds'])} on {found['provenance']['device']}."
    )
    return "\n".join([title, lines, *comparability.of_run(found)])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{percent(share)}%"
