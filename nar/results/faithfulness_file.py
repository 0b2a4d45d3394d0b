"""RUN/faithfulness.json: what `nar faithfulness` measured of a run, kept for its reports.

    schema      1
    size        nodes of the graphs on which hints, sources and probes were scored; small: of those on which edges were
                changed and probes fitted; samples: graphs of each
    best_step   the training step of the weights measured
    measured    {command, checkpoint, nar, commit, torch, device, date}
    rows        one for each algorithm of the run, as nar/analysis/faithfulness/report.py's measure makes them, with
                algorithm, who and kind ("trained")
    baselines   the same of what a reader needs beside them; kind: "untrained", "compiled", "shuffled"

Nothing here may import torch: reports read it anywhere.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from nar.results.schema import scores_as_numbers
from nar.system import files
from nar.system.shapes import misfit

NAME = "faithfulness.json"
SCHEMA = 1
Kind = Literal["trained", "untrained", "compiled", "shuffled"]
KINDS = get_args(Kind)
_SCORED = {"metric": str}
_ROW = {
    "algorithm": str, "kind": Kind, "score": float | None,
    "outputs": dict[str, _SCORED], "probes": dict[str, _SCORED] | None,
    "external": dict | None, "interventions": dict | None, "sources": dict | None,
}  # fmt: skip
_KIND = {  # whatever reports take for granted; what they look for and do not find is shown as not there
    "size": int, "small": int, "samples": int, "best_step": int, "measured": dict,
    "rows": list[_ROW], "baselines": list[_ROW],
}  # fmt: skip


def content(report: Mapping[str, Any], run: str | Path, measured: Mapping[str, Any]) -> dict[str, Any]:
    """What of a report of many runs (nar/analysis/faithfulness/report.py's compare) is about one of them."""
    of_run = [row for row in report["rows"] if str(run) in row["of"]]
    plain = [{name: value for name, value in row.items() if name not in ("of", "step")} for row in of_run]
    return {
        "schema": SCHEMA,
        **{name: report[name] for name in ("size", "small", "samples")},
        "best_step": next(row["step"] for row in of_run if row["kind"] == "trained"),
        "measured": dict(measured),
        "rows": [row for row in plain if row["kind"] == "trained"],
        "baselines": [row for row in plain if row["kind"] != "trained"],
    }


def read(run_dir: str | Path, best_step: int | None = None) -> dict[str, Any] | None:
    """What was measured of a run; None where nothing was.

    ValueError where the file is another one, or tells of other weights than those that the run has now (`best_step`).
    """
    path = Path(run_dir) / NAME
    if not path.is_file():
        return None
    again, what = f"measure again: nar faithfulness {run_dir}", "what nar faithfulness leaves"
    found = files.read_json(path, what, {"schema": int}, again)
    if found["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {found['schema']}, this version of nar reads {SCHEMA}; {again}")
    if wrong := misfit(found, _KIND):
        raise ValueError(f"{path} is not {what}: {wrong}; {again}")
    if found["best_step"] != best_step:
        raise ValueError(f"{path} is of step {found['best_step']}, the run's weights are of step {best_step}; {again}")
    return scores_as_numbers(found)
