"""The figures of one run's report.md, each with its numbers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nar.reports import figures, markdown
from nar.results import published, schema
from nar.results.schema import Results


def draw(run_dir: Path, shown: Results, metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draws the evaluations of `shown` and the training into `run_dir`; returns Markdown links to the figures."""
    drawn: list[str] = []

    def save(figure: Any, name: str, alt: str) -> None:
        figure.savefig(run_dir / name, metadata={"Software": None})  # so that equal results give equal bytes
        drawn.append(f"![{alt}]({name})")

    best_step = shown["run"]["best_step"]
    if shown["evaluations"]:
        save(figures.score_against_size([shown], published.ibarz2022()), "score.png", _score_alt(shown))
    for algorithm, evaluations in schema.by_algorithm(shown).items():
        if any(e["hints"] for e in evaluations):
            alt = f"Score of each hint of {algorithm} against the step, one line per size; numbers in the table above"
            save(figures.hints_against_step(evaluations), f"hints_{algorithm}.png".replace(":", "."), alt)
        if any(e["measures"] for e in evaluations):
            figure = figures.measures(evaluations, metrics, best_step)
            save(figure, f"measures_{algorithm}.png".replace(":", "."), _measures_alt(algorithm, evaluations, metrics))
    if any(row.get("loss") is not None for row in metrics):
        save(figures.training(metrics, best_step), "training.png", _training_alt(shown, metrics))
    return drawn


def mean_measure(e: Mapping[str, Any], name: str) -> str:
    """The mean over steps of what a processor says of itself."""
    steps = e.get("measures", {}).get(name, ())
    return f"{sum(steps) / len(steps):.3g}" if steps else "-"


def _score_alt(found: Results) -> str:
    rows = [f"n = {e['size']}: {markdown.score(e)} and {markdown.percent(e['exact'])}" for e in found["evaluations"]]
    return f"Node score and share of exact graphs against the number of nodes. {'; '.join(rows)}"


def _measures_alt(
    algorithm: str, evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]]
) -> str:
    found = []
    for name in dict.fromkeys(name for e in evaluations for name in e.get("measures", ())):
        means = [f"n = {e['size']}: {mean_measure(e, name)}" for e in evaluations]
        column = [row[name] for row in metrics if row.get(name) is not None]
        trained = f"; over the training from {column[0]:.3g} to {column[-1]:.3g}" if column else ""
        found.append(f"{name}, mean over steps, {', '.join(means)}{trained}")
    return f"Measures of the processor on {algorithm} against step. {'. '.join(found)}"


def _training_alt(found: Results, metrics: Sequence[Mapping[str, Any]]) -> str:
    losses = [row["loss"] for row in metrics if row.get("loss") is not None]
    run, best = found["run"], ""
    if run["best_validation"] is not None:
        best = f"; best validation score {markdown.percent(run['best_validation'])} at step {run['best_step']:,}"
    return f"Training loss against step, from {losses[0]:.3g} to {losses[-1]:.3g}{best}"
