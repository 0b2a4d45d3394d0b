"""The report of a finished run: report.md, its figures and report.html, made from results.json and metrics.jsonl alone.

Reports can be made again at any time and anywhere: no model is loaded and no torch is imported. `table` is the short
form that training prints at its end. The report of several runs is study_report.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.reports import markdown, report_figures, study_sections
from nar.reports.html import page
from nar.results import comparability, published, schema, study
from nar.results.schema import Evaluation, Results
from nar.results.study import Study
from nar.text_format import duration


def write_report(run_dir: str | Path) -> Path:
    """Writes report.md, its figures and report.html into `run_dir`, from the files there; returns the path to show."""
    run_dir = Path(run_dir)
    alone = study.read_one(run_dir)
    (run,) = alone.runs
    drawn = report_figures.draw(run_dir, _plain(run.results), run.metrics)
    (run_dir / "report.md").write_text(text(run.results, drawn, run.faithfulness), encoding="utf-8")
    return page.write(alone, run_dir)


def table(found: Results) -> str:
    """The results of a run in plain text."""
    found = schema.upgraded(found)
    shown = [e for e in found["evaluations"] if not e["setting"]]
    named = len(schema.by_algorithm(found)) > 1
    ended = any(e["termination"] != "oracle" for e in shown)
    rows = [_columns(named, ended, "algorithm", "size", "ended by", "graphs", "score", "exact", "valid", "steps",
                     "seconds", "data")]  # fmt: skip
    for e in shown:
        rows.append(_columns(
            named, ended, e["algorithm"], str(e["size"]), e["termination"], f"{e['samples']:,}", markdown.score(e),
            markdown.percent(e["exact"]), markdown.percent(e["valid"]), _steps(e), f"{e['seconds']:,.2f}",
            e["data"]["set"],
        ))  # fmt: skip
    words = {0: named, 1 + named: ended, len(rows[0]) - 1: True}
    lines = markdown.text_table(rows, {column for column, word in words.items() if word})
    return "\n".join([_title(found), lines, *comparability.of_run(found)])


def text(found: Results, figure_links: Sequence[str] = (), faithfulness: Mapping[str, Any] | None = None) -> str:
    """The text of report.md; `faithfulness`: what `nar faithfulness` measured of the run."""
    found = schema.upgraded(found)
    alone = study.collect([(Path(), found, [])], faithfulness={Path(): faithfulness})
    run = found["run"]
    sections = (
        ("Termination", study_sections.terminations),
        ("Other distributions", study_sections.settings),
        ("Where errors begin", study_sections.first_errors),
        ("Does it execute the algorithm?", study_sections.faithfulness),
    )
    parts = [
        f"# {_name(found)} with {run['processor']}",
        f"{_title(found)} {_trained_on(found)}",
        *(f"> **Note.** {warning}" for warning in comparability.of_run(found)),
        "## Results",
        _results_table(found),
        _how_to_read(found),
        _selection(found),
        *_published_lines(found),
        *(link for link in figure_links if link.endswith("(score.png)")),
        *(part for title, section in sections for part in _section(title, section, alone)),
        "## Hints",
        "What the model predicted for the state of the algorithm after every step, from its own predictions of the "
        "step before, as a mean over steps and graphs. An MSE is an error: lower is better. Lines in the figure are "
        "dotted where fewer than half of the graphs are still running.",
        _hint_table(_plain(found)),
        *(link for link in figure_links if not link.endswith("(score.png)") and "](measures_" not in link),
        *_measures(_plain(found), [link for link in figure_links if "](measures_" in link]),
        "## How it was made",
        f"```\n{found['command']}\n```",
        markdown.table(["", ""], list(_facts(found))),
        "Data sets, each made by its generator from the seed alone:",
        data_table(found["evaluations"]),
        "<details><summary>Every setting</summary>",
        markdown.table(["setting", "value"], [(f"`{k}`", f"`{_shown(v)}`") for k, v in found["config"].items()]),
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def data_table(evaluations: Sequence[Evaluation]) -> str:
    """The manifests of the data sets of these evaluations, each once."""
    rows = []
    for e in evaluations:
        data = e["data"]
        params = ", ".join(f"{k}={v}" for k, v in data["params"].items()) or "defaults"
        rows.append((
            data["set"], e["algorithm"], str(data["length"]), f"{data['samples']:,}", str(data["seed"]), params,
            data["generator"], f"`{data['sha256'][:10]}`",
        ))  # fmt: skip
    header = ["set", "algorithm", "n", "graphs", "seed", "parameters", "generator", "sha256"]
    return markdown.table(header, list(dict.fromkeys(rows)))


def _name(found: Results) -> str:
    return "+".join(found["run"]["algorithms"])


def _plain(found: Results) -> dict[str, Any]:
    """The results without other distributions and without terminations beside the oracle, for tables by size."""
    own = [e for e in found["evaluations"] if not e["setting"]]
    oracle = [e for e in own if e["termination"] == "oracle"]
    return {**found, "evaluations": oracle or [e for e in own if e["termination"] == own[0]["termination"]]}


def _title(found: Results) -> str:
    run = found["run"]
    best = f", best validation at {run['best_step']:,}" if run["best_validation"] is not None else ""
    return (
        f"{_name(found)} with {run['processor']}, seed {run['seed']}: {run['parameters']:,} parameters, "
        f"{run['steps']:,} steps{best}, {duration(run['train_seconds'])} on {found['provenance']['device']}."
    )


def _trained_on(found: Results) -> str:
    sizes = found["run"]["train_sizes"]
    named = {algorithm: markdown.numbers(values) for algorithm, values in sizes.items()}
    if len(set(named.values())) == 1:
        return f"Trained on graphs of {next(iter(named.values()))} nodes."
    return "Trained on graphs of " + "; ".join(f"{values} nodes ({name})" for name, values in named.items()) + "."


def _selection(found: Results) -> str:
    run = found["run"]
    if run["best_validation"] is None:
        return "The weights are the last ones: the run ended before its first validation."
    sizes = run["validation_size"]
    within = all(sizes[name] <= max(run["train_sizes"][name]) for name in sizes)
    several = len(run["algorithms"]) > 1
    return (
        f"The weights are those of step {run['best_step']:,}, which had the best score on validation graphs of size "
        f"{markdown.numbers(sorted(set(sizes.values())))} ({markdown.percent(run['best_validation'])}"
        + (", mean over algorithms" if several else "") + "). "
        + ("No larger graph had any part in the choice." if within else "That is larger than any graph trained on.")
        + _validation_of_each(run)
    )  # fmt: skip


def _validation_of_each(run: Mapping[str, Any]) -> str:
    if len(run["validation"]) < 2:
        return ""
    each = ", ".join(f"{name} {markdown.percent(value)}" for name, value in run["validation"].items())
    return f" Validation of each algorithm at that step: {each}."


def _section(title: str, section: Any, alone: Study) -> list[str]:
    """A section over all algorithms of the run; nothing where no algorithm has anything to say."""
    names = sorted({*alone.algorithms(), *alone.runs[0].algorithms})  # measured ones need not have been evaluated
    several = len(names) > 1
    found = {algorithm: section(alone, algorithm) for algorithm in names}
    parts: list[str] = []
    for algorithm, (introduction, *rest) in ((name, parts) for name, parts in found.items() if parts):
        parts += [] if parts else [f"## {title}", introduction]
        parts += [f"### {algorithm}", *rest] if several else rest
    return parts


def _columns(named: bool, ended: bool, algorithm: str, size: str, termination: str, *rest: str) -> tuple[str, ...]:
    """A row of the tables of results: with the algorithm, with who ended the rollout, where these differ."""
    return (*([algorithm] * named), size, *([termination] * ended), *rest)


def _steps(e: Evaluation) -> str:
    """Steps per graph, mean/maximum: those taken, which the oracle makes those needed."""
    taken = e.get("steps_taken") or {"mean": e["steps_mean"], "max": e["steps_max"]}
    return f"{taken['mean']:,.1f}/{taken['max']:,}"


def _results_table(found: Results) -> str:
    rows = []
    shown = [e for e in found["evaluations"] if not e["setting"]]
    ended = any(e["termination"] != "oracle" for e in shown)
    for e in shown:
        factor = e["size"] / max(found["run"]["train_sizes"][e["algorithm"]])
        rows.append(_columns(
            True, ended, e["algorithm"], str(e["size"]), e["termination"], f"{factor:.3g}x", markdown.score(e),
            markdown.percent(e["exact"]), markdown.percent(e["valid"]), f"{e['samples']:,}", _steps(e),
            f"{e['seconds']:,.2f}", f"{e['data']['set']} `{e['data']['sha256'][:10]}`",
        ))  # fmt: skip
    header = _columns(True, ended, "algorithm", "n", "ended by", "extrapolation", "score", "exact", "valid", "graphs",
                      "taken" if ended else "steps", "seconds", "data")  # fmt: skip
    return markdown.table(header, rows)


def _how_to_read(found: Results) -> str:
    valid = any(e["valid"] is not None for e in found["evaluations"])
    own = any(e["termination"] != "oracle" for e in found["evaluations"])
    return "\n".join([
        "How to read it:",
        "",
        "- **score** is the node score of CLRS: the mean over the algorithm's outputs, where a pointer counts only if "
        "its argmax is exactly the right node, and a mask by its F1 over all graphs together;",
        "- **exact** is the share of graphs in which every output of every node is right;",
        *(["- **valid** is the share of graphs whose answer is correct if ties may be broken in another way;"] * valid),
        "- **extrapolation** is n as a multiple of the largest size trained on; up to 1x is in-distribution;",
        "- **steps** (mean/maximum per graph) come from the trace: the model is told when the algorithm ended (the "
        "oracle termination of CLRS) and does not stop by itself"
        + (", except where the table names another termination;" if own else ";"),
        "- **seconds** is the wall time of the rollouts; **data** names the set and the start of its hash;",
        "- this is one seed: single runs of one setting can differ by much, and one run gives no interval.",
    ])  # fmt: skip


def _published_lines(found: Results) -> list[str]:
    """What papers print for the same network, sets and algorithms."""
    lines = []
    for algorithm in schema.by_algorithm(found):
        for row in published.scores(algorithm, found["run"]["processor"], published.CANONICAL):
            remark = f"; {row.remark}" if row.source.short != "Ibarz et al. 2022" else ""
            lines.append(
                f"Published for {algorithm} with {row.processor} on {row.benchmark}: {row} "
                f"([{row.source.short}]({row.source.url}){remark})."
            )
    return lines


def _hint_table(found: Results) -> str:
    tables = []
    for algorithm, evaluations in schema.by_algorithm(found).items():
        names = list(dict.fromkeys(name for e in evaluations for name in e["hints"]))
        rows = []
        for name in names:
            metric = next(e["hints"][name]["metric"] for e in evaluations if name in e["hints"])
            values = [
                markdown.value(e["hints"][name]["value"], metric) if name in e["hints"] else "-" for e in evaluations
            ]
            rows.append((f"`{name}`", metric, *values))
        if rows:
            tables.append(markdown.table([algorithm, "metric", *(f"n = {e['size']}" for e in evaluations)], rows))
    return "\n\n".join(tables) or "This run used no hints."


def _measures(found: Results, links: Sequence[str]) -> list[str]:
    """A section of its own for processors that measure themselves; nothing for the others."""
    tables = []
    for algorithm, evaluations in schema.by_algorithm(found).items():
        names = list(dict.fromkeys(name for e in evaluations for name in e.get("measures", ())))
        rows = [(f"`{name}`", *(report_figures.mean_measure(e, name) for e in evaluations)) for name in names]
        if rows:
            tables.append(markdown.table([algorithm, *(f"n = {e['size']}" for e in evaluations)], rows))
    if not tables:
        return []
    text = (
        "What the processor says of itself: means over the graphs still running, in the table over all steps, in the "
        "figure step by step and, on validation graphs, over the training. Lines are dotted where fewer than half of "
        "the graphs are still running."
    )
    return ["## Measures", text, *tables, *links]


def _facts(found: Results) -> list[tuple[str, str]]:
    run, made = found["run"], found["provenance"]
    return [
        ("seed", str(run["seed"])),
        ("parameters", f"{run['parameters']:,}"),
        ("training steps", f"{run['steps']:,} of {run['steps_planned']:,}"),
        ("training time", duration(run["train_seconds"])),
        ("device", made["device"]),
        ("versions", ", ".join(f"{name} {made[name]}" for name in ("nar", "torch", "numpy", "python") if name in made)),
        ("commit", f"`{made['commit']}`" if made.get("commit") else "not known"),
        ("date", made.get("date", "not known")),
    ]


def _shown(value: Any) -> Any:
    """A setting as people write it: a list of one algorithm is that algorithm."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) else value
