"""Sections that the report of one run and the report of a study share, each for one algorithm, as parts of Markdown.

A section that has nothing to say is an empty list. Every number is a mean over seeds with its interval and every seed's
value (markdown.py: interval); of one run it is that run's number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from nar.evaluation import axes
from nar.reports import faithfulness_means, figures, markdown
from nar.results.statistics import interval
from nar.results.study import Cell, Study
from nar.text_format import duration


def plain(study: Study, algorithm: str, label: str | None = None) -> list[Cell]:
    """The cells of the algorithm's own distribution, ended by the oracle; where none was, by what ended them."""
    cells = study.select(algorithm, label, setting={})
    oracle = [cell for cell in cells if cell.termination == "oracle"]
    first = sorted({cell.termination for cell in cells})[:1]
    return oracle or [cell for cell in cells if cell.termination in first]


def sizes(cells: Sequence[Cell]) -> list[int]:
    return sorted({cell.size for cell in cells})


def score_text(cell: Cell, name: str = "score") -> str:
    """A score, an exact share or a valid share over seeds."""
    share = figures.is_percent(cell.entries[0], name) if name == "score" else True
    return markdown.interval(cell.interval(name), cell.values(name), share=share)


def against_size(cells: Sequence[Cell], name: str, labels: Sequence[str]) -> list[tuple[str, ...]]:
    """A row for each label: the label, and the number at every size; a dash where it was not evaluated."""
    found = {(cell.label, cell.size): score_text(cell, name) for cell in cells}
    return [(label, *(found.get((label, size), "-") for size in sizes(cells))) for label in labels]


def terminations(study: Study, algorithm: str) -> list[str]:
    """Scores with and without the oracle side by side, where a rollout was ended by anything else."""
    cells = study.select(algorithm, setting={})
    if {cell.termination for cell in cells} <= {"oracle"}:
        return []
    rows = [
        (
            cell.label, str(cell.size), cell.termination, score_text(cell), score_text(cell, "exact"),
            _steps(cell, "steps_taken.mean") if cell.values("steps_taken.mean") else _steps(cell, "steps_mean"),
            _steps(cell, "steps_mean"),
        )
        for cell in sorted(cells, key=lambda cell: (cell.label, cell.size, cell.termination != "oracle"))
    ]  # fmt: skip
    return [
        "Who ends the rollout: the trace (oracle, as in CLRS, which tells the model how many steps the algorithm "
        "takes), or the model itself. Steps are means per graph.",
        markdown.table(["", "n", "ended by", "score", "exact", "steps taken", "steps needed"], rows),
    ]


def settings(study: Study, algorithm: str) -> list[str]:
    """Scores on other distributions than the algorithm's own, under a row of its own one."""
    cells = study.select(algorithm)
    varied = {(cell.label, cell.size, cell.termination) for cell in cells if cell.setting}
    if not varied:
        return []
    shown = [cell for cell in cells if (cell.label, cell.size, cell.termination) in varied]
    rows = [
        (
            cell.label, str(cell.size), axes.described(cell.setting), score_text(cell), score_text(cell, "exact"),
            score_text(cell, "valid"), f"{cell.samples:,}",
        )
        for cell in sorted(shown, key=_own_first)
    ]  # fmt: skip
    return [
        "On graphs of other kinds than trained on; `own` is the distribution of the other tables.",
        markdown.table(["", "n", "distribution", "score", "exact", "valid", "graphs"], rows),
    ]


def _own_first(cell: Cell) -> tuple:
    return cell.label, cell.size, cell.termination, bool(cell.setting), axes.described(cell.setting)


def first_errors(study: Study, algorithm: str) -> list[str]:
    """The first step at which a predicted hint leaves the true trace, where that was recorded."""
    rows = []
    for cell in plain(study, algorithm):
        recorded = [entry["first_error"] for entry in cell.entries if entry.get("first_error")]
        if not recorded:
            continue
        never = [sum(step is None for step in steps) / len(steps) for steps in recorded]
        left = [step for steps in recorded for step in steps if step is not None]
        when = f"{median(left):g} (from {min(left)} to {max(left)})" if left else "-"
        text = markdown.interval(interval(never), never)
        rows.append((cell.label, str(cell.size), text, when, _steps(cell, "steps_mean")))
    if not rows:
        return []
    return [
        "The first step at which a predicted hint differs from the algorithm's at any node (real numbers not counted): "
        "the share of graphs in which none ever does; of the others the median step and its range, over all seeds.",
        markdown.table(["", "n", "never", "first wrong step", "steps needed"], rows),
    ]


def hints(study: Study, algorithm: str) -> list[str]:
    """Scores of the predicted hints, mean over steps and graphs, against size."""
    cells = plain(study, algorithm)
    rows = []
    for label in dict.fromkeys(cell.label for cell in cells):
        own = {cell.size: cell for cell in cells if cell.label == label}
        found = [hint for cell in own.values() for entry in cell.entries for hint in entry["hints"].items()]
        for name, metric in {name: hint["metric"] for name, hint in found}.items():
            path = f"hints.{name}.value"
            values = [own[size].interval(path) if size in own else None for size in sizes(cells)]
            rows.append((label, f"`{name}`", metric, *(markdown.value(v.mean if v else None, metric) for v in values)))
    if not rows:
        return []
    return [
        "What the models predicted for the state of the algorithm after every step, from their own predictions of the "
        "step before, as a mean over steps, graphs and seeds. An MSE is an error: lower is better.",
        markdown.table(["", "hint", "metric", *(f"n = {size}" for size in sizes(cells))], rows),
    ]


def faithfulness(study: Study, algorithm: str) -> list[str]:
    """What `nar faithfulness` measured, with its baselines; a row for each network and for each baseline."""
    rows = []
    for one in faithfulness_means.of_study(study, algorithm):
        cells = {name: _over_seeds(one, *path) for name, path in faithfulness_means.MEASURES.items()}
        if not figures.is_percent(one.rows[0]):
            cells["score"] = _over_seeds(one, "score", share=False)
        if chance := one.interval(*faithfulness_means.CHANCE):
            cells["sources"] += f", chance {markdown.percent(chance.mean)}"
        told = [
            f"`{name}` {_over_seeds(one, 'probes', name, 'value')} ({metric})" for name, metric in one.probes().items()
        ]
        rows.append((one.name, str(one.size), str(one.small), *cells.values(), "; ".join(told) or "-"))
    if not rows:
        return []
    return [
        "On graphs of n nodes, **hints**: how often predicted hints are the "
        "trace's; **acting**: the same where the algorithm changes something. Of edges changed in graphs of m nodes, "
        "**ignored**: irrelevant ones that leave the answer as it was; **followed**: relevant ones that move it to the "
        "new right one. **Sources**: how much of what nodes listen to comes from senders that the algorithm could have "
        "used. **Probes**: what one linear map reads off hidden states. The compiled reference executes the algorithm, "
        "untrained and shuffled networks do not; no column says much alone (docs/faithfulness.md).",
        markdown.table(["", "n", "m", *faithfulness_means.MEASURES, "probes"], rows),
    ]


def _over_seeds(one: faithfulness_means.Measured, *path: str, share: bool = True) -> str:
    return markdown.without_seeds(one.interval(*path), share)


def cost(study: Study, algorithm: str) -> list[str]:
    """What an evaluation costs: seconds per graph and memory against size, mean over seeds."""
    cells = plain(study, algorithm)
    rows = []
    for label in dict.fromkeys(cell.label for cell in cells):
        own = {cell.size: cell for cell in cells if cell.label == label}
        run = next(iter(own.values())).runs[0].results
        times, memory = [], []
        for size in sizes(cells):
            seconds = own[size].values("seconds") if size in own else []
            peak = own[size].values("peak_memory_mb") if size in own else []
            times.append(markdown.milliseconds(sum(seconds) / len(seconds) / own[size].samples) if seconds else "-")
            memory.append(f"{sum(peak) / len(peak):,.0f} MB" if peak else "-")
        trained = [r.results["run"]["train_seconds"] for cell in own.values() for r in cell.runs]
        facts = f"{run['run']['parameters']:,}", duration(sum(trained) / len(trained))
        rows.append((label, "time per graph", *times, *facts))
        if any(text != "-" for text in memory):
            rows.append((label, "peak memory", *memory, "", ""))
    header = ["", "", *(f"n = {size}" for size in sizes(cells)), "parameters", "training time"]
    return [markdown.table(header, rows)] if rows else []


def _steps(cell: Cell, name: str) -> str:
    found = cell.interval(name)
    return f"{found.mean:,.1f}" if found else "-"
