"""What a run leaves behind, as reports read it: results.json in its newest schema, and metrics.jsonl.

results.json, schema 2:

    schema       2
    run          algorithms: [names], processor, seed, parameters, processes, steps, steps_planned, interrupted,
                 stopped_early (only where --patience ended it), best_step, best_validation (mean over algorithms;
                 null: never validated), validation: {algorithm: score}, train_seconds,
                 by algorithm: train_sizes {name: [sizes]}, validation_size {name: size}, left_out {name: [sizes]},
                 unseen {name: [probes on edges that the processor never sees]}
    config       every setting of the run; config.algo is a list
    command      the command line; provenance: {nar, commit, torch, numpy, python, device, threads, date, ...}
    evaluations  one per algorithm, size, setting and termination: {algorithm, size, setting, termination, samples,
                 score, exact, valid, outputs, hints, steps_mean, steps_max, steps_taken, first_error, measures,
                 seconds, peak_memory_mb, data}

An evaluation's `setting` is {} for the algorithm's own distribution, else what differs ({"family": "grid"}); its
`termination` says who ended the rollout: "oracle" (the trace, as in CLRS), "fixed_point" or "learned". A number that is
NaN or infinite is null, as in metrics.jsonl. Schema 1, which knew one algorithm per run, is read as schema 2.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.system import files
from nar.system.shapes import misfit
from nar.text_format import html_table

SCHEMA = 2  # of results.json
ERROR_METRICS = frozenset({"mse"})  # lower is better, no upper bound: never on one axis with accuracies

_ENTRY = {
    "algorithm": str, "size": int, "samples": int,
    "score": float | None, "exact?": float | None, "valid?": float | None,
    "outputs": dict[str, dict], "hints?": dict[str, dict], "setting?": dict, "termination?": str, "seconds?": float,
    "steps_mean?": float, "steps_max?": int, "steps_taken?": dict[str, float], "data?": dict | None,
    "first_error?": list[int | None] | None, "measures?": dict, "peak_memory_mb?": float | None,
}  # fmt: skip
_KIND = {  # of what readers of either schema rely on
    "run": {
        "processor": str, "seed": int, "steps": int, "parameters?": int, "steps_planned?": int, "interrupted?": bool,
        "best_step?": int, "best_validation?": float | None, "train_seconds?": float, "processes?": int,
    },
    "config": dict, "provenance?": dict, "command?": str | None, "evaluations": list[_ENTRY],
}  # fmt: skip


class RunResults(dict[str, Any]):
    """The content of a results.json, a dict in every respect; notebooks show its scores as a table."""

    def _repr_html_(self) -> str:
        run, rows = self["run"], []
        for e in self["evaluations"]:
            shares = [e["score"] if is_share(e) else None, e["exact"], e["valid"]]
            percents = ["" if share is None else f"{share:.2%}" for share in shares]
            percents[0] = percents[0] or f"{e['score']:.4g}"
            setting = ", ".join(f"{name} {value}" for name, value in e["setting"].items())
            rows.append((e["algorithm"], e["size"], setting, e["termination"], e["samples"], *percents))
        header = ("algorithm", "nodes", "setting", "ended by", "graphs", "score", "exact", "valid")
        learned = "+".join(run["algorithms"])
        return html_table(
            f"{learned} with {run['processor']}, seed {run['seed']}, {run['steps']:,} steps", header, rows
        )


Results = Mapping[str, Any]  # the content of a results.json, schema 2
Evaluation = Mapping[str, Any]  # one of its evaluations


def read(run_dir: str | Path) -> RunResults:
    """results.json of a run, as schema 2; ValueError where there is none, or something else."""
    path = Path(run_dir) / "results.json"
    if not path.is_file():
        if any(Path(run_dir).glob("*/results.json")):
            raise ValueError(f"{run_dir} is a folder of runs, not a run; give {run_dir}/*")
        raise ValueError(f"no results.json in {run_dir}: a run writes it when it ends; resume the run to its end first")
    again = "restore it from a copy, or resume the run, which evaluates it again"
    results = files.read_json(path, "the results of a run", {"schema": int, **_KIND}, again)
    if (schema := results["schema"]) not in (1, SCHEMA):
        raise ValueError(
            f"{path} has schema {schema}, this version of nar reads {SCHEMA}: use the version that wrote it"
        )
    try:
        found = upgraded(results)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the results of a run ({error!r}); {again}") from error
    if wrong := misfit(found["run"], {"algorithms": list[str], "validation": dict[str, float | None]}, "run"):
        raise ValueError(f"{path} is not the results of a run: {wrong}; {again}")
    return found


def upgraded(results: Results) -> RunResults:
    """The same results in schema 2, with what older versions left out; `results` is not changed."""
    run, config = dict(results["run"]), dict(results["config"])
    if "algorithms" not in run:  # schema 1
        run["algorithms"] = [run.pop("algorithm")]
    algorithms = run["algorithms"]
    for name in ("train_sizes", "validation_size", "left_out"):
        if not isinstance(run.get(name, {}), Mapping):
            run[name] = {algorithm: run[name] for algorithm in algorithms}
    if isinstance(config.get("algo"), str):
        config["algo"] = [config["algo"]]
    if "validation" not in run:
        best = run["best_validation"]
        run["validation"] = {algorithms[0]: best} if len(algorithms) == 1 and best is not None else {}
    run = {"processes": 1, "left_out": {}} | run
    absent = {"setting": {}, "termination": "oracle", "valid": None, "hints": {}, "measures": {}}
    evaluations = [absent | scores_as_numbers(e) for e in results["evaluations"]]
    return RunResults({**results, "schema": SCHEMA, "run": run, "config": config, "evaluations": evaluations})


def scores_as_numbers(value: Any) -> Any:
    """The same with NaN where a score or an output's value is null: so JSON has NaN and infinity."""
    if isinstance(value, Mapping):
        void = [name for name in ("score", "value") if value.get(name, 0) is None]
        return {n: scores_as_numbers(v) for n, v in value.items()} | dict.fromkeys(void, math.nan)
    return [scores_as_numbers(part) for part in value] if isinstance(value, list) else value


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl in order of their step; of steps that a resumed run repeated, the later row counts."""
    path = Path(run_dir) / "metrics.jsonl"
    rows: dict[int, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if wrong := misfit(row, {"step": int}):
                raise ValueError(wrong)
            rows[row["step"]] = row
        except (ValueError, RecursionError) as error:
            if number < len(lines):  # the last line may have been cut off when the run was killed
                raise ValueError(f"{path}, line {number} is not a row of metrics: {line[:60]!r}") from error
    return [rows[step] for step in sorted(rows)]


def is_share(entry: Evaluation) -> bool:
    """Whether the score is a share of 1, to be written in percent; one that contains an error is not."""
    return not any(output["metric"] in ERROR_METRICS for output in entry["outputs"].values())


def key(entry: Evaluation) -> tuple[str, int, str, str]:
    """What an evaluation is of: algorithm, size, setting and termination."""
    setting = json.dumps(entry.get("setting") or {}, sort_keys=True)
    return entry["algorithm"], entry["size"], setting, entry.get("termination", "oracle")


def placed(evaluations: Sequence[Evaluation], entry: Evaluation) -> list[Evaluation]:
    """The evaluations with this one, in the place of one of the same key."""
    found = list(evaluations)
    place = next((i for i, other in enumerate(found) if key(other) == key(entry)), len(found))
    found[place : place + 1] = [entry]
    return found
