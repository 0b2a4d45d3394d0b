"""How everything was made: selection, runs, versions, commands, data sets, every setting; pictures of one rollout."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.reports.blocks import Block, Details, Heading, Paragraph, Picture, Preformatted, Section, Span, Table, Text
from nar.reports.context import ReportContext
from nar.reports.number_format import NOTHING, number, percent
from nar.results import comparability
from nar.results.study import StoredRun, grouped
from nar.text_format import duration, listed

_PICTURES = (("example.svg", "image/svg+xml"), ("trace.svg", "image/svg+xml"), ("example.png", "image/png"))
_MOST_BYTES = 300_000  # of one picture
_MOST_PICTURES = 4


def section(context: ReportContext) -> Section:
    """Provenance of every number of the report."""
    runs, data = context.study.runs, _data_table(context)
    trained = sum(run.results["run"]["train_seconds"] for run in runs)
    settings = _values_table("Settings", "setting", runs, lambda run: run.results["config"])
    blocks: list[Block] = [
        Heading("How weights were selected"),
        Paragraph(_selection(context)),
        Heading("Runs"),
        Paragraph(f"{duration(trained)} of training in all."),
        _runs_table(runs),
        Heading("Versions"),
        _values_table("Versions", "made with", runs, lambda run: run.results.get("provenance") or {}),
        Details("The versions of every run", [_origins_table(runs)]),
        Heading("Commands"),
        Preformatted("\n".join(dict.fromkeys(str(run.results.get("command")) for run in runs))),
        Heading("Test data"),
        Paragraph(
            "Each set is made by its generator from the seed alone; equal hashes mean equal graphs, bit for bit."
        ),
        Details(f"Every test set with its hash ({len(data.rows)})", [data]),
        Heading("Settings"),
        Details("Every setting of every run", [settings]),
    ]
    return Section("made", "How it was made", blocks)


def _selection(context: ReportContext) -> str:
    """Which graphs chose the weights, and what they were trained on if not on rollouts; the exceptions by name."""
    runs, found = context.study.runs, []
    if single := [run for run in runs if run.single_steps]:
        own = any(run.results["config"].get("own_moments") for run in single)
        found.append(
            f"Trained on single steps of traces, from true hints{' or after one step of their own' * own}, and not on "
            f"rollouts: {comparability.named(single, context.study)}. Validation and tests are rollouts all the same."
        )
    validated = [run for run in runs if run.results["run"].get("best_validation") is not None]
    larger = [
        run for run in validated for sizes in [run.results["run"]["train_sizes"]]
        if any(n > max(sizes.get(name) or [0]) for name, n in run.results["run"]["validation_size"].items())
    ]  # fmt: skip
    never = [run for run in runs if run not in validated]
    if validated:
        which = "every run" if len(validated) == len(runs) else f"{len(validated)} of {len(runs)} runs"
        best = [run.results["run"]["best_validation"] for run in validated]
        scores = percent(min(best)) if min(best) == max(best) else f"{percent(min(best))} to {percent(max(best))}"
        found.append(f"The weights of {which} are those with the best score on validation graphs ({scores}%).")
        inside = "No graph larger than those trained on had any part in the choice"
        found.append(inside + (", except as follows." if larger else "."))
    if larger:
        found.append(f"Chosen on larger graphs than any trained on: {comparability.named(larger, context.study)}.")
    if never:
        found.append(f"Never validated, the weights are the last ones: {comparability.named(never, context.study)}.")
    found.append(
        "Intervals are 95% bootstrap intervals of the mean over seeds. No number of this report is a best of several "
        "runs: nothing here is a maximum."
    )
    return " ".join(found)


def _runs_table(runs: Sequence[StoredRun]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for run in runs:
        made = run.results["run"]
        steps = f"{made['steps']:,}" + f" of {made['steps_planned']:,}" * (made["steps"] < made["steps_planned"])
        ending = " (interrupted)" if made["interrupted"] else " (stopped early)" * made.get("stopped_early", False)
        selected = f"{made['best_step']:,}" if made.get("best_validation") is not None else NOTHING
        validation = percent(made.get("best_validation"))
        if len(made["validation"]) > 1:
            validation += f" ({', '.join(f'{name} {percent(value)}' for name, value in made['validation'].items())})"
        rows.append((
            run.title, run.label, run.results["config"].get("recipe", "protocol"), str(run.seed),
            number(made.get("parameters")),
            steps + ending, selected, validation, duration(made["train_seconds"]),
            _sizes({name: ", ".join(map(str, made["train_sizes"].get(name, ()))) for name in run.algorithms}),
            _sizes({name: str(made["validation_size"].get(name, NOTHING)) for name in run.algorithms}),
        ))  # fmt: skip
    header = (
        "algorithm", "network", "recipe", "seed", "parameters", "steps", "selected", "validation (%)", "time",
        "n trained on", "n validated",
    )  # fmt: skip
    return Table("Every run", header, rows, (0, 1, 2, 9))


def _origins_table(runs: Sequence[StoredRun]) -> Table:
    """Where, when and by what code each run was made."""
    above = os.path.commonpath([run.path.absolute().parent for run in runs])  # so that reports move with their runs
    names = ("device", "nar", "commit", "torch", "date")
    rows = [
        (
            run.title, run.label, str(run.seed), *(str(run.results["provenance"].get(n) or "not known") for n in names),
            Span(os.path.relpath(run.path, above), "code"),
        )
        for run in runs
    ]  # fmt: skip
    header = ("algorithm", "network", "seed", *names, "directory")
    return Table("Origin of every run", header, rows, (0, 1, *range(3, 9)))


def _sizes(by_algorithm: Mapping[str, str]) -> str:
    """Sizes once where they are the same for all algorithms."""
    if len(set(by_algorithm.values())) == 1:
        return next(iter(by_algorithm.values()))
    return "; ".join(f"{name} {sizes}" for name, sizes in by_algorithm.items()) or NOTHING


def _values_table(
    name: str, head: str, runs: Sequence[StoredRun], of_run: Callable[[StoredRun], Mapping[str, Any]]
) -> Table:
    """One row per name: one value where all runs agree, else each value with the runs that have it."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in of_run(run)):
        found = grouped(runs, lambda run, key=key: _text(of_run(run).get(key, "not recorded")))
        texts = [
            value if len(found) == 1 else f"{value} ({listed([f'{r.title} {r.label} seed {r.seed}' for r in who], 3)})"
            for value, who in found.items()
        ]
        rows.append((key, "; ".join(texts[:12]) + f"; and {len(texts) - 12} more values" * (len(texts) > 12)))
    return Table(name, (head, "value"), rows, (0, 1))


def _text(value: Any) -> str:
    """A value of a JSON file as text: lists with spaces, no quotes around words."""
    if isinstance(value, list):
        return " ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return "none" if value is None else str(value)


def _data_table(context: ReportContext) -> Table:
    """The manifests of all data sets, each once."""
    rows: list[tuple[Text, ...]] = []
    for group in context.study.groups:
        data = group.data
        params = ", ".join(f"{name}={_text(value)}" for name, value in (data.get("params") or {}).items()) or "defaults"
        rows.append((
            str(data.get("set", NOTHING)), group.algorithm, str(data.get("length", group.size)),
            str(data.get("samples", group.samples)), str(data.get("seed", NOTHING)), params,
            str(data.get("generator", NOTHING)), Span(str(data.get("sha256", NOTHING)), "code"),
        ))  # fmt: skip
    header = ("set", "algorithm", "n", "graphs", "seed", "parameters", "generator", "sha256")
    return Table("Test sets", header, list(dict.fromkeys(rows)), (0, 1, 5, 6, 7))


def examples(context: ReportContext) -> Section | None:
    """A trace beside the model's own, of the first run of each label that has such a picture."""
    alike = grouped(context.study.runs, lambda run: (run.title, run.label)).values()
    found = [picture for runs in alike if (picture := next(filter(None, map(_picture, runs)), None)) is not None]
    return Section("example", "One rollout, drawn", found[:_MOST_PICTURES]) if found else None


def _picture(run: StoredRun) -> Picture | None:
    """The run's picture with what it shows in words."""
    for name, kind in _PICTURES:
        path = run.path / name
        if path.is_file() and 0 < path.stat().st_size <= _MOST_BYTES:
            told = path.with_suffix(".txt")
            what = f"{run.title} with {run.label}, seed {run.seed}"
            text = told.read_text(encoding="utf-8").strip() if told.is_file() else ""
            alternative = text or f"A trace of {what} beside the model's predictions; no description was recorded"
            steps = _steps(path.with_name("example_steps.json")) if path.name == "example.svg" else ("", {})
            return Picture(path, kind, alternative, f"{what}: the algorithm's trace and the model's.", text, *steps)
    return None


def _steps(path: Path) -> tuple[str, dict[str, str]]:
    """The key and the frames of a picture that can be stepped through; nothing where there are none to be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _MOST_BYTES else {}
        return str(found["key"]), {str(title): str(frame) for title, frame in found["frames"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}
