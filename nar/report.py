"""The report of a finished run: report.md and its figures, made from results.json and metrics.jsonl alone.

Reports can be made again at any time and anywhere: no model is loaded and no torch is imported. `table` is the short
form that training prints at its end.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nar import datasets, figures, protocol
from nar.config import FREE, Config

SCHEMA = 1  # of results.json
PROTOCOL_STEPS = 10_000  # training steps of the protocol of Ibarz et al. 2022

Results = Mapping[str, Any]


def write_report(run_dir: str | Path) -> Path:
    """Writes report.md and its figures into `run_dir`, from the files there; returns the path of report.md."""
    run_dir = Path(run_dir)
    results, metrics = read_results(run_dir), read_metrics(run_dir)
    drawn: list[str] = []

    def save(figure: Any, name: str, alt: str) -> None:
        figure.savefig(run_dir / name, metadata={"Software": None})  # so that equal results give equal bytes
        drawn.append(f"![{alt}]({name})")

    if results["evaluations"]:
        save(figures.score_against_size([results], published()), "score.png", _score_alt(results))
    for algorithm, evaluations in _by_algorithm(results).items():
        if any(e["hints"] for e in evaluations):
            alt = f"Score of each hint of {algorithm} against the step, one line per size; numbers in the table above"
            save(figures.hints_against_step(evaluations), f"hints_{algorithm}.png".replace(":", "."), alt)
        if any(e.get("measures") for e in evaluations):
            figure = figures.measures(evaluations, metrics, results["run"]["best_step"])
            save(figure, f"measures_{algorithm}.png".replace(":", "."), _measures_alt(algorithm, evaluations, metrics))
    if any(row.get("loss") is not None for row in metrics):
        save(figures.training(metrics, results["run"]["best_step"]), "training.png", _training_alt(results, metrics))

    path = run_dir / "report.md"
    path.write_text(markdown(results, drawn), encoding="utf-8")
    return path


def read_results(run_dir: str | Path) -> dict[str, Any]:
    """results.json of a run, checked for its schema."""
    path = Path(run_dir) / "results.json"
    if not path.is_file():
        raise ValueError(f"no results.json in {run_dir}: a run writes it when it ends; resume the run to its end first")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        schema = results["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the results of a run ({error!r}); evaluate the run again") from error
    if schema != SCHEMA:
        raise ValueError(
            f"{path} has schema {schema}, this version of nar reads {SCHEMA}: use the version that wrote it"
        )
    return results


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl in order of their step; of steps that a resumed run repeated, the later row counts."""
    path = Path(run_dir) / "metrics.jsonl"
    rows: dict[int, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows[row["step"]] = row
        except (ValueError, KeyError, TypeError) as error:
            if number < len(lines):  # the last line may have been cut off when the run was killed
                raise ValueError(f"{path}, line {number} is not a row of metrics: {line[:60]!r}") from error
    return [rows[step] for step in sorted(rows)]


def published() -> dict[str, Any]:
    """Scores printed in the literature, with their source."""
    return json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


def table(results: Results) -> str:
    """The results of a run in plain text."""
    rows = [("algorithm", "size", "graphs", "score", "exact", "valid", "steps", "seconds", "data")]
    several = len(_by_algorithm(results)) > 1
    for e in results["evaluations"]:
        rows.append((
            e["algorithm"], str(e["size"]), f"{e['samples']:,}", _score(e), _percent(e["exact"]), _percent(e["valid"]),
            f"{e['steps_mean']:,.1f}/{e['steps_max']:,}", f"{e['seconds']:,.2f}", e["data"]["set"],
        ))  # fmt: skip
    rows = [row if several else row[1:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {0, len(widths) - 1} if several else {len(widths) - 1}
    lines = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([_title(results), *(line.rstrip() for line in lines), *warnings(results)])


def warnings(results: Results) -> list[str]:
    """What a reader must know before believing the numbers, one sentence each."""
    run, found = results["run"], []
    if run["interrupted"]:
        found.append(f"Interrupted at step {run['steps']:,} of {run['steps_planned']:,}; scores of what was reached.")
    if run["steps"] < PROTOCOL_STEPS:
        found.append(
            f"Trained for {run['steps']:,} steps, the published protocol for {PROTOCOL_STEPS:,}: "
            "not comparable with published scores."
        )
    if other := unusual(results["config"]):
        named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in other.items())
        found.append(f"Not the published protocol ({named}): not comparable with published scores.")
    if run["best_validation"] is None:
        found.append("Never validated: the weights evaluated are the last ones, not selected ones.")
    missing = sorted(set(results["config"].get("eval_sizes", ())) - {e["size"] for e in results["evaluations"]})
    if missing:
        left_out = set(run.get("left_out", ()))
        why = "too long for a CPU" if left_out >= set(missing) else "the evaluation was interrupted"
        found.append(f"Not evaluated at n = {', '.join(map(str, missing))}: {why}.")
    few = sorted({e["size"] for e in results["evaluations"] if e["samples"] < 32})
    if few:
        found.append(f"Fewer than 32 graphs at n = {', '.join(map(str, few))}: expect differences by chance.")
    return found


def markdown(results: Results, figure_links: Sequence[str] = ()) -> str:
    """The text of report.md."""
    run = results["run"]
    selection = "The weights are the last ones: the run ended before its first validation."
    if run["best_validation"] is not None:
        trained = run["validation_size"] <= max(run["train_sizes"])
        selection = (
            f"The weights are those of step {run['best_step']:,}, which had the best score on validation graphs of "
            f"size {run['validation_size']} ({_percent(run['best_validation'])}). "
            + (
                "No larger graph had any part in the choice."
                if trained
                else "That is larger than any graph trained on."
            )
        )
    parts = [
        f"# {run['algorithm']} with {run['processor']}",
        f"{_title(results)} Trained on graphs of {', '.join(map(str, run['train_sizes']))} nodes.",
        *(f"> **Note.** {warning}" for warning in warnings(results)),
        "## Results",
        _markdown_table(
            ["algorithm", "n", "extrapolation", "score", "exact", "valid", "graphs", "steps", "seconds", "data"],
            [_result_row(results, e) for e in results["evaluations"]],
        ),
        _how_to_read(results),
        selection,
        *_published_lines(results),
        *(link for link in figure_links if link.endswith("(score.png)")),
        "## Hints",
        "What the model predicted for the state of the algorithm after every step, from its own predictions of the "
        "step before, as a mean over steps and graphs. An MSE is an error: lower is better. Lines in the figure are "
        "dotted where fewer than half of the graphs are still running.",
        _hint_table(results),
        *(link for link in figure_links if not link.endswith("(score.png)") and "](measures_" not in link),
        *_measures(results, [link for link in figure_links if "](measures_" in link]),
        "## How it was made",
        f"```\n{results['command']}\n```",
        _markdown_table(["", ""], list(_facts(results))),
        "Data sets, each made by its generator from the seed alone:",
        _markdown_table(
            ["set", "algorithm", "n", "graphs", "seed", "parameters", "generator", "sha256"], _data(results)
        ),
        "<details><summary>Every setting</summary>",
        _markdown_table(["setting", "value"], [(f"`{k}`", f"`{v}`") for k, v in results["config"].items()]),
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def unusual(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a run another one than the default protocol's for its algorithm, processor and seed."""
    algorithm = config.get("algo", Config.algo)
    default = Config(algo=algorithm)
    with contextlib.suppress(ValueError, ImportError, TypeError):  # an algorithm that is not to be found here any more
        default = protocol.resolved(default, datasets.get(algorithm))
    default = default.to_dict()
    chosen = FREE | {"algo", "processor", "seed"}
    return {k: v for k, v in config.items() if k in default and k not in chosen and v != default[k]}


def _title(results: Results) -> str:
    run = results["run"]
    best = f", best validation at {run['best_step']:,}" if run["best_validation"] is not None else ""
    return (
        f"{run['algorithm']} with {run['processor']}, seed {run['seed']}: {run['parameters']:,} parameters, "
        f"{run['steps']:,} steps{best}, {_duration(run['train_seconds'])} on {results['provenance']['device']}."
    )


def _how_to_read(results: Results) -> str:
    valid = any(e["valid"] is not None for e in results["evaluations"])
    return "\n".join([
        "How to read it:",
        "",
        "- **score** is the node score of CLRS: the mean over the algorithm's outputs, where a pointer counts only if "
        "its argmax is exactly the right node, and a mask by its F1 over all graphs together;",
        "- **exact** is the share of graphs in which every output of every node is right;",
        *(["- **valid** is the share of graphs whose answer is correct if ties may be broken in another way;"] * valid),
        "- **extrapolation** is n as a multiple of the largest size trained on; up to 1x is in-distribution;",
        "- **steps** (mean/maximum per graph) come from the trace: the model is told when the algorithm ended (the "
        "oracle termination of CLRS) and does not stop by itself;",
        "- **seconds** is the wall time of the rollouts; **data** names the set and the start of its hash;",
        "- this is one seed: single runs of one setting can differ by much, and one run gives no interval.",
    ])  # fmt: skip


def _result_row(results: Results, e: Mapping[str, Any]) -> tuple[str, ...]:
    factor = e["size"] / max(results["run"]["train_sizes"])
    return (
        e["algorithm"], str(e["size"]), f"{factor:.3g}x", _score(e), _percent(e["exact"]), _percent(e["valid"]),
        f"{e['samples']:,}", f"{e['steps_mean']:,.1f}/{e['steps_max']:,}", f"{e['seconds']:,.2f}",
        f"{e['data']['set']} `{e['data']['sha256'][:10]}`",
    )  # fmt: skip


def _published_lines(results: Results) -> list[str]:
    known = published()
    return [
        f"Published for {row['algorithm']} with {row['processor']} on {known['set']}: {row['mean']:.2f}% "
        f"± {row['spread']:.2f} over {row['seeds']} seeds ([{known['short']}]({known['url']}))."
        for row in known["scores"]
        if row["processor"] == results["run"]["processor"] and row["algorithm"] in _by_algorithm(results)
    ]


def _hint_table(results: Results) -> str:
    tables = []
    for algorithm, evaluations in _by_algorithm(results).items():
        names = list(dict.fromkeys(name for e in evaluations for name in e["hints"]))
        rows = []
        for name in names:
            metric = next(e["hints"][name]["metric"] for e in evaluations if name in e["hints"])
            values = [_value(e["hints"][name]["value"], metric) if name in e["hints"] else "-" for e in evaluations]
            rows.append((f"`{name}`", metric, *values))
        if rows:
            tables.append(_markdown_table([algorithm, "metric", *(f"n = {e['size']}" for e in evaluations)], rows))
    return "\n\n".join(tables) or "This run used no hints."


def _measures(results: Results, links: Sequence[str]) -> list[str]:
    """A section of its own for processors that measure themselves; nothing for the others."""
    tables = []
    for algorithm, evaluations in _by_algorithm(results).items():
        names = list(dict.fromkeys(name for e in evaluations for name in e.get("measures", ())))
        rows = [(f"`{name}`", *(_mean_measure(e, name) for e in evaluations)) for name in names]
        if rows:
            tables.append(_markdown_table([algorithm, *(f"n = {e['size']}" for e in evaluations)], rows))
    if not tables:
        return []
    text = (
        "What the processor says of itself: means over the graphs still running, in the table over all steps, in the "
        "figure step by step and, on validation graphs, over the training. Lines are dotted where fewer than half of "
        "the graphs are still running."
    )
    return ["## Measures", text, *tables, *links]


def _mean_measure(e: Mapping[str, Any], name: str) -> str:
    steps = e.get("measures", {}).get(name, ())
    return f"{sum(steps) / len(steps):.3g}" if steps else "-"


def _facts(results: Results) -> list[tuple[str, str]]:
    run, made = results["run"], results["provenance"]
    return [
        ("seed", str(run["seed"])),
        ("parameters", f"{run['parameters']:,}"),
        ("training steps", f"{run['steps']:,} of {run['steps_planned']:,}"),
        ("training time", _duration(run["train_seconds"])),
        ("device", made["device"]),
        ("versions", ", ".join(f"{name} {made[name]}" for name in ("nar", "torch", "numpy", "python"))),
        ("commit", f"`{made['commit']}`" if made["commit"] else "not known"),
        ("date", made["date"]),
    ]


def _data(results: Results) -> list[tuple[str, ...]]:
    rows = []
    for e in results["evaluations"]:
        data = e["data"]
        params = ", ".join(f"{k}={v}" for k, v in data["params"].items()) or "defaults"
        rows.append((
            data["set"], e["algorithm"], str(data["length"]), f"{data['samples']:,}", str(data["seed"]), params,
            data["generator"], f"`{data['sha256'][:10]}`",
        ))  # fmt: skip
    return rows


def _score_alt(results: Results) -> str:
    rows = [f"n = {e['size']}: {_score(e)} and {_percent(e['exact'])}" for e in results["evaluations"]]
    return f"Node score and share of exact graphs against the number of nodes. {'; '.join(rows)}"


def _measures_alt(
    algorithm: str, evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]]
) -> str:
    found = []
    for name in dict.fromkeys(name for e in evaluations for name in e.get("measures", ())):
        means = [f"n = {e['size']}: {_mean_measure(e, name)}" for e in evaluations]
        column = [row[name] for row in metrics if row.get(name) is not None]
        trained = f"; over the training from {column[0]:.3g} to {column[-1]:.3g}" if column else ""
        found.append(f"{name}, mean over steps, {', '.join(means)}{trained}")
    return f"Measures of the processor on {algorithm} against step. {'. '.join(found)}"


def _training_alt(results: Results, metrics: Sequence[Mapping[str, Any]]) -> str:
    losses = [row["loss"] for row in metrics if row.get("loss") is not None]
    run, best = results["run"], ""
    if run["best_validation"] is not None:
        best = f"; best validation score {_percent(run['best_validation'])} at step {run['best_step']:,}"
    return f"Training loss against step, from {losses[0]:.3g} to {losses[-1]:.3g}{best}"


def _by_algorithm(results: Results) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for e in results["evaluations"]:
        found.setdefault(e["algorithm"], []).append(e)
    return found


def _score(e: Mapping[str, Any]) -> str:
    return _percent(e["score"]) if figures.is_percent(e) else f"{e['score']:.4g}"


def _value(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if metric in figures.ERROR_METRICS else _percent(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
