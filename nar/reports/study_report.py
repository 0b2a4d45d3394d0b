"""The report of a study: report.md, scores.csv, summary.csv and report.html, made from the files of its runs alone.

Means are over seeds, with an interval, and every seed stands beside them; nothing is ever a maximum.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from nar.lookup import suggest
from nar.reports import figures, markdown, report, study_csv, study_sections
from nar.reports.html import page
from nar.reports.study_overview import overview
from nar.reports.study_sections import against_size, plain, sizes
from nar.results import comparability, published, run_labels
from nar.results.statistics import paired
from nar.results.study import Cell, Run, Study
from nar.text_format import counted, duration

REFERENCE = "triplet_gmpnn"  # the published protocol's network: what others are compared with unless asked otherwise


def write(study: Study, out_dir: str | Path, against: str | None = None) -> Path:
    """Writes all files of the report into `out_dir`; returns the path to show.

    `against`: the label with which the others are compared; ValueError where there is none of this name.
    """
    out_dir = Path(out_dir)
    content = text(study, against)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "report.md").write_text(content, encoding="utf-8")
    (out_dir / "scores.csv").write_text(study_csv.scores(study), encoding="utf-8", newline="")
    (out_dir / "summary.csv").write_text(study_csv.summary(study), encoding="utf-8", newline="")
    return page.write(study, out_dir, against)


def table(study: Study) -> str:
    """Mean scores in plain text, for a terminal."""
    tables = []
    for algorithm in study.algorithms():
        cells = plain(study, algorithm)
        rows = [("", *(f"n = {size}" for size in sizes(cells)))]
        for label in dict.fromkeys(cell.label for cell in cells):
            own = {
                cell.size: markdown.without_seeds(cell.interval("score"), _share(cell))
                for cell in cells
                if cell.label == label
            }
            rows.append((label, *(own.get(size, "-") for size in sizes(cells))))
        tables.append(f"{algorithm}\n{markdown.text_table(rows, {0})}")
    return "\n\n".join(tables)


def text(study: Study, against: str | None = None) -> str:
    """The text of report.md."""
    if against is not None and against not in study.labels():
        raise ValueError(suggest("label", against, study.labels(), "the labels are those of the report's tables"))
    parts = [
        f"# {_title(study)}",
        _introduction(study),
        *(f"> **Note.** {warning}" for warning in study.warnings()),
        _how_to_read(study),
        _selection(study),
        *_overview(study),
        *itertools.chain.from_iterable(_algorithm(study, algorithm, against) for algorithm in study.algorithms()),
        "## Runs",
        _runs(study),
        "<details><summary>Commands</summary>",
        "```\n" + "\n".join(dict.fromkeys(run.results["command"] for run in study.runs)) + "\n```",
        "</details>",
        "## Data",
        "Data sets, each made by its generator from the seed alone. Equal hashes are equal data.",
        report.data_table([entry for cell in study.cells for entry in cell.entries]),
        "<details><summary>Every setting</summary>",
        _settings(study),
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(study: Study) -> str:
    algorithms, names = study.algorithms() or ["nothing evaluated"], study.labels()
    what = ", ".join(algorithms) if len(algorithms) <= 4 else f"{len(algorithms)} algorithms"
    long = len(names) > 4 or (len(names) > 1 and any("," in name for name in names))
    return f"{what} with " + (f"{len(names)} networks" if long else ", ".join(names))


def _introduction(study: Study) -> str:
    seeds = sorted({run.seed for run in study.runs})
    seconds = sum(run.results["run"]["train_seconds"] for run in study.runs)
    what = (
        counted(len(study.runs), "run"),
        counted(len(study.algorithms()), "algorithm"),
        counted(len(study.labels()), "network"),
        f"seed{'s' if len(seeds) > 1 else ''} {markdown.numbers(seeds)}",
    )
    return f"{', '.join(what)}; {duration(seconds)} of training in all."


def _how_to_read(study: Study) -> str:
    valid = any(cell.values("valid") for cell in study.cells)
    return "\n".join([
        "How to read it:",
        "",
        "- **97.35%** [96.97, 98.10] (96.97, 96.97, 98.10) is the mean over seeds, its 95% bootstrap interval, and the "
        "value of every seed; a number alone is a single seed, which has no interval. Nothing here is a maximum;",
        "- **score** is the node score of CLRS: the mean over the algorithm's outputs, where a pointer counts only if "
        "its argmax is exactly the right node, and a mask by its F1 over all graphs together;",
        "- **exact** is the share of graphs in which every output of every node is right;",
        *(["- **valid** is the share of graphs whose answer is correct if ties may be broken in another way;"] * valid),
        "- **4x** is n as a multiple of the largest size trained on; up to 1x is in-distribution;",
        "- unless a table says otherwise, the number of steps comes from the trace (the oracle termination of CLRS).",
    ])  # fmt: skip


def _selection(study: Study) -> str:
    """By what the weights were chosen; the exceptions by name."""
    larger = [run for run in study.runs if not _within(run)]
    never = [run for run in study.runs if run.results["run"]["best_validation"] is None]
    sentences = [
        "The weights of each run are those of the step with the best score on validation graphs. No graph larger than "
        "those trained on had any part in the choice" + (", except as follows." if larger or never else ".")
    ]
    if larger:
        sentences.append(f"Chosen on larger graphs than any trained on: {comparability.named(larger, study)}.")
    if never:
        sentences.append(f"Never validated, the weights are the last ones: {comparability.named(never, study)}.")
    return " ".join(sentences)


def _within(run: Run) -> bool:
    trained = run.results["run"]["train_sizes"]
    return all(size <= max(trained[name]) for name, size in run.results["run"]["validation_size"].items())


def _overview(study: Study) -> list[str]:
    found = overview(study)
    return ["## Overview", *found] if found else []


def _algorithm(study: Study, algorithm: str, against: str | None) -> list[str]:
    """Everything about one algorithm."""
    cells = plain(study, algorithm)
    header = ["", *(_size(size, cells) for size in sizes(cells))]
    names = list(dict.fromkeys(cell.label for cell in cells))
    parts = [f"## {algorithm}"]
    if cells:
        graphs = [f"{size}: {markdown.numbers(_samples(cells, size))}" for size in sizes(cells)]
        parts += ["### Score", markdown.table(header, against_size(cells, "score", names))]
        parts += [f"Graphs at n = {'; '.join(graphs)}.", *_published(algorithm, cells)]
        parts += ["### Exact graphs", markdown.table(header, against_size(cells, "exact", names))]
        if any(cell.values("valid") for cell in cells):
            parts += ["### Valid graphs", markdown.table(header, against_size(cells, "valid", names))]
    sections: list[tuple[str, Callable[[Study, str], list[str]]]] = [
        ("Compared seed by seed", lambda study, name: compared(study, name, against)),
        ("Termination", study_sections.terminations),
        ("Other distributions", study_sections.settings),
        ("Hints", study_sections.hints),
        ("Where errors begin", study_sections.first_errors),
        ("Does it execute the algorithm?", study_sections.faithfulness),
        ("Cost", study_sections.cost),
    ]
    for title, section in sections:
        if found := section(study, algorithm):
            parts += [f"### {title}", *found]
    return parts


def _size(size: int, cells: Sequence[Cell]) -> str:
    """n = 64 (4x), where all networks were trained on the same largest size."""
    largest = {max(run.results["run"]["train_sizes"][cell.algorithm]) for cell in cells for run in cell.runs}
    return f"n = {size}" + (f" ({size / largest.pop():.3g}x)" if len(largest) == 1 else "")


def _samples(cells: Sequence[Cell], size: int) -> list[int]:
    return sorted({cell.samples for cell in cells if cell.size == size})


def compared(study: Study, algorithm: str, against: str | None = None) -> list[str]:
    """Each label against one, from the seeds that both have; nothing where there are no two labels."""
    cells = {(cell.label, cell.size): cell for cell in plain(study, algorithm)}
    names = list(dict.fromkeys(label for label, _ in cells))
    reference = against or next((name for name in names if name == REFERENCE), names[0] if names else "")
    rows, least = [], []
    for label, size in cells:
        if label == reference or (reference, size) not in cells:
            continue
        first, second = cells[label, size], cells[reference, size]
        found = paired(first.by_seed("score"), second.by_seed("score"))
        if found is None or first.data.get("sha256") != second.data.get("sha256"):
            continue
        values = [first.by_seed("score")[seed] - second.by_seed("score")[seed] for seed in found.seeds]
        text = markdown.interval(found.difference, values, share=_share(first)).replace("%", "")
        rows.append((label, str(size), text, markdown.numbers(found.seeds), f"{found.p:.3g}"))
        least.append(found.least_p)
    if not rows:
        return []
    chance = (
        f" Of comparisons without any difference, one in twenty has p < 0.05; these are {len(rows)}."
        if len(rows) > 1
        else ""
    )
    return [
        f"Score minus that of {reference} with the same seed, on the same graphs, in percentage points; p is that of a "
        f"two-sided sign-flip permutation test, which with so few pairs cannot be below {min(least):.3g}.{chance}",
        markdown.table(["", "n", f"minus {reference}", "seeds", "p"], rows),
    ]


def _published(algorithm: str, cells: Sequence[Cell]) -> list[str]:
    """Published scores: of the same networks on sets evaluated here in a list, all others folded away."""
    sets = {cell.data.get("set") for cell in cells}
    networks = {run.results["run"]["processor"] for cell in cells for run in cell.runs}
    found = published.scores(algorithm)
    same = [s for s in found if s.benchmark in sets and s.processor in networks]
    header = ["method", "here", "n", "score", "metric", "data", "source", "remark"]
    parts = []
    if same:
        parts += ["Published for the same networks on the same set:", markdown.table(header, [_row(s) for s in same])]
    if rest := [s for s in found if s not in same]:
        parts += [
            f"<details><summary>Other published scores for {algorithm}</summary>",
            "Not comparable unless data and protocol are the same; `not stated` means that the source does not say.",
            markdown.table(header, [_row(s) for s in rest]),
            "</details>",
        ]
    return parts


def _row(score: published.Score) -> tuple[str, ...]:
    source = f"[{score.source.short}]({score.source.url})" if score.source.url else score.source.short
    spread = f" ({score.spread_is})" if score.spread is not None else ""
    return (
        score.method, score.processor or "-", str(score.size or "-"), f"{score}{spread}", score.metric,
        score.benchmark or "not stated", source, score.remark,
    )  # fmt: skip


def _runs(study: Study) -> str:
    rows = []
    for run in study.runs:
        of, made = run.results["run"], run.results["provenance"]
        stopped = " (interrupted)" if of["interrupted"] else ""
        rows.append((
            "+".join(run.algorithms), run.label, str(run.seed), f"{of['steps']:,} of {of['steps_planned']:,}{stopped}",
            f"{of['best_step']:,}" if of["best_validation"] is not None else "-",
            markdown.percent(of["best_validation"]), f"{of['parameters']:,}", duration(of["train_seconds"]),
            str(made.get("device", "-")), f"{made.get('nar', '-')} `{made.get('commit') or 'not known'}`",
            str(made.get("torch", "-")), str(made.get("date", "-")), f"`{run.path}`",
        ))  # fmt: skip
    header = ["algorithms", "network", "seed", "steps", "best step", "validation", "parameters", "training time",
              "device", "nar", "torch", "date", "directory"]  # fmt: skip
    return markdown.table(header, rows)


def _settings(study: Study) -> str:
    """Every setting with the values that it has in the study; where they differ, with the labels that have them."""
    rows = []
    for name in dict.fromkeys(name for run in study.runs for name in run.results["config"]):
        values: dict[str, set[str]] = {}
        for run in study.runs:
            if name in run.results["config"]:
                values.setdefault(str(run.results["config"][name]), set()).add(run.label)
        several = len(values) > 1 and name in run_labels.compared()
        shown = [f"`{value}`" + (f" ({', '.join(sorted(who))})" if several else "") for value, who in values.items()]
        rows.append((f"`{name}`", "; ".join(shown)))
    return markdown.table(["setting", "value"], rows)


def _share(cell: Cell) -> bool:
    """Whether the score is a share of 1, not an error."""
    return figures.is_percent(cell.entries[0])
