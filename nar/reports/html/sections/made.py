"""How everything was made: selection, commands, versions, data sets, every setting; and a picture of one rollout."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from nar.reports.html.context import View
from nar.reports.html.elements import NOTHING, Markup, details, element, join, percent, table
from nar.reports.html.sections.training import runs_table
from nar.results.study import Run
from nar.text_format import listed

_PICTURES = (("example.svg", "image/svg+xml"), ("trace.svg", "image/svg+xml"), ("example.png", "image/png"))
_MOST_BYTES = 300_000  # of one picture
_MOST_PICTURES = 4


def section(view: View) -> Markup:
    """Provenance of every number of the page."""
    runs = view.study.runs
    return join(
        element("h3", "How weights were selected"),
        element("p", _selection(view)),
        element("h3", "Runs"),
        runs_table(view),
        element("h3", "Versions"),
        _versions(runs),
        element("h3", "Commands"),
        element("pre", "\n".join(dict.fromkeys(str(run.results.get("command")) for run in runs)), tabindex="0"),
        element("h3", "Test data"),
        element(
            "p", "Each set is made by its generator from the seed alone; equal hashes mean equal graphs, bit for bit."
        ),
        details(_data_summary(view), _data(view)),
        element("h3", "Settings"),
        details("Every setting of every run", _settings(runs)),
    )


def _selection(view: View) -> str:
    """Which graphs chose the weights."""
    runs, found = view.study.runs, []
    validated = [run for run in runs if run.results["run"].get("best_validation") is not None]
    inside = [run for run in validated if _within_training(run)]
    if validated:
        which = "every run" if len(validated) == len(runs) else f"{len(validated)} of {len(runs)} runs"
        best = [run.results["run"]["best_validation"] for run in validated]
        scores = percent(min(best)) if min(best) == max(best) else f"{percent(min(best))} to {percent(max(best))}"
        found.append(f"The weights of {which} are those with the best score on validation graphs ({scores}%).")
        if len(inside) == len(validated):
            found.append(
                "None of these was larger than the graphs trained on: no larger graph had any part in the choice."
            )
        else:
            found.append(
                f"In {len(validated) - len(inside)} of them, validation graphs were larger than those trained on."
            )
    if len(validated) < len(runs):
        found.append(f"{len(runs) - len(validated)} ended before a validation: their weights are the last ones.")
    found.append(
        "Intervals are 95% bootstrap intervals of the mean over seeds. No number of this page is a best of several "
        "runs."
    )
    return " ".join(found)


def _within_training(run: Run) -> bool:
    made = run.results["run"]
    sizes = made.get("validation_size") or {}
    return all(size <= max(made["train_sizes"].get(name) or [0]) for name, size in sizes.items())


def _versions(runs: Iterable[Run]) -> Markup:
    """One row per fact; where runs differ, every value with its number of runs."""
    values: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, value in (run.results.get("provenance") or {}).items():
            text = _text(value) if value is not None else "not known"
            values.setdefault(name, {}).setdefault(text, 0)
            values[name][text] += 1
    rows = []
    for name, counts in values.items():
        text = (
            next(iter(counts))
            if len(counts) == 1
            else listed([f"{value} ({n} runs)" for value, n in counts.items()], 12)
        )
        rows.append((name.replace("_", " "), text))
    return table(("made with", "value"), rows, "Versions", words=(0, 1))


def _data_summary(view: View) -> str:
    sets = {cell.data.get("sha256") for cell in view.study.cells if cell.data}
    return f"Every test set with its hash ({len(sets)})"


def _data(view: View) -> Markup:
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for cell in view.study.cells:
        data = cell.data
        params = ", ".join(f"{name}={_text(value)}" for name, value in (data.get("params") or {}).items()) or "defaults"
        row = (
            str(data.get("set", NOTHING)), cell.algorithm, str(data.get("length", cell.size)),
            str(data.get("samples", cell.samples)), str(data.get("seed", NOTHING)), params,
            str(data.get("generator", NOTHING)), element("code", str(data.get("sha256", NOTHING))),
        )  # fmt: skip
        rows[tuple(map(str, row))] = row
    header = ("set", "algorithm", "n", "graphs", "seed", "parameters", "generator", "sha256")
    return table(header, rows.values(), "Test sets", words=(0, 1, 5, 6, 7))


def _settings(runs: list[Run]) -> Markup:
    """Every setting: one value where all runs agree, else each value with the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run.results.get("config") or {})
    rows = []
    for name in names:
        found: dict[str, list[str]] = {}
        for run in runs:
            value = (run.results.get("config") or {}).get(name, "not recorded")
            found.setdefault(_text(value), []).append(f"{'+'.join(run.algorithms)} {run.label} seed {run.seed}")
        if len(found) == 1:
            rows.append((name, next(iter(found))))
        else:
            lines = [f"{value} ({listed(who, 3)})" for value, who in found.items()]
            rows.append((name, join(*(element("div", line) for line in lines[:12]), _more(len(lines) - 12))))
    return table(("setting", "value"), rows, "Settings", words=(0, 1))


def _more(count: int) -> Markup | None:
    return element("div", f"and {count} more values") if count > 0 else None


def _text(value: Any) -> str:
    """A value of a JSON file as text: lists with spaces, no quotes around words."""
    if isinstance(value, list):
        return " ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return "none" if value is None else str(value)


def examples(view: View) -> Markup | None:
    """A trace beside the model's own, of the first run of each label that has such a picture."""
    shown, seen = [], set()
    for run in view.study.runs:
        key = ("+".join(run.algorithms), run.label)
        if key in seen or len(shown) == _MOST_PICTURES:
            continue
        picture = _picture(run)
        if picture is not None:
            seen.add(key)
            shown.append(picture)
    return element("div", *shown, class_="pictures") if shown else None


def _picture(run: Run) -> Markup | None:
    """The run's picture as an image inside the page: nothing in it can load, run, or clash with the page."""
    for name, kind in _PICTURES:
        path = run.path / name
        if path.is_file() and 0 < path.stat().st_size <= _MOST_BYTES:
            told = path.with_suffix(".txt")
            what = f"{'+'.join(run.algorithms)} with {run.label}, seed {run.seed}"
            text = told.read_text(encoding="utf-8").strip() if told.is_file() else ""
            alternative = text or f"A trace of {what} beside the model's predictions; no description was recorded"
            source = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
            return element(
                "figure",
                element("div", element("img", src=source, alt=alternative), class_="picture"),
                element("figcaption", f"{what}: the algorithm's trace and the model's."),
                details("The picture in words", element("p", text)) if text else None,
            )
    return None
