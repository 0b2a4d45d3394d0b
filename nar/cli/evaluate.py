"""`nar evaluate RUN ...`: finished runs on more sizes and other test distributions, added to their results.json.

Every entry is written as soon as it is there, so that a stopped evaluation loses one at most. An entry of the same
algorithm, size, setting and termination is replaced, all others stay; the report is written again at the end. Exports,
those that come with nar among them, keep no entries: what is found of them is printed.
"""

import dataclasses
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nar import datasets
from nar.cli import console
from nar.config import MOST
from nar.evaluation import axes, protocol
from nar.lookup import suggest
from nar.model import checkpoint, export_reader
from nar.model.termination import TERMINATIONS
from nar.reports.number_format import text_table
from nar.results import schema
from nar.system import files
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import families

LEGEND = (
    "score: the node score of CLRS; exact: graphs with every output as in the trace; valid: with a right answer of any "
    "kind; left the trace: graphs in which a hint goes wrong, and the median step at which it does; steps: mean/most; "
    "seconds: of all rollouts; MB: largest memory of the process (on a GPU: allocated there)"
)


@dataclasses.dataclass
class Evaluate:
    """Settings of `nar evaluate RUN ...`."""

    sizes: tuple[int, ...] = ()
    """Sizes of the test graphs [that of the canonical test set: 64, string matching 80]."""
    families: tuple[str, ...] = ()
    """Families of graphs: er ba grid tree path ... (docs/evaluation.md lists them)."""
    densities: tuple[float, ...] = ()
    """Shares of all pairs of nodes that are joined in random graphs, from 0 to 1."""
    weights: tuple[str, ...] = ()
    """Laws of edge weights: ties (many equally long paths), uniform, exponential, lognormal, integer, equal."""
    scales: tuple[float, ...] = ()
    """Numbers that all weights, keys or coordinates are multiplied with."""
    terminations: tuple[str, ...] = ("oracle",)
    """Who ends the rollouts: oracle (they take the steps that the algorithm took), fixed_point (until a step changes
    nothing), learned (a halting head says so)."""
    cross: bool = False
    """Evaluate every combination of families, densities, weights and scales instead of varying one at a time."""
    samples: int = 0
    """Test graphs of each evaluation; 0 = as many as CLRS-30 has: 32, and up to size 64 more where a graph has one
    output."""
    algorithms: tuple[str, ...] = ()
    """Of a run that learned several algorithms, only these."""
    layout: Literal["dense", "sparse"] | None = None
    """Run in this layout [that of the run]; in another than the run's own, what is found is printed and not kept."""
    which: Literal["best", "last"] = "best"
    """The checkpoint: of the best validation score, or of the last training step."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"--samples must be 0 or more, got {self.samples}")
        if self.samples > (most := MOST["eval_samples"]):
            raise ValueError(f"--samples must be at most {most:,}, got {self.samples:,}")
        for name in ("families", "scales"):
            console.differ(f"--{name}", getattr(self, name), families.full_name)
        for name in self.terminations:
            if name not in TERMINATIONS:
                raise ValueError(suggest("termination", name, TERMINATIONS))


@dataclasses.dataclass
class Job:
    """One entry to be made."""

    run: Path
    algorithm: Algorithm
    size: int
    setting: dict[str, Any]
    termination: str

    def __str__(self) -> str:
        words = [self.algorithm.name, f"{self.size} nodes", axes.described(self.setting), self.termination]
        return f"{self.run.name}: {', '.join(words)}"


def main(argv: list[str]) -> None:
    """The command."""
    runs, settings = console.parse_named(
        Evaluate, argv, "nar evaluate",
        "Evaluate finished runs on more sizes, graph families, densities, weights: nar evaluate RUN ... [options]",
        "run directories, or names of reasoners that come with nar: nar evaluate runs/NAME ... --sizes 16 64 256",
        several=True,
    )  # fmt: skip
    jobs, notes = plan([Path(run) for run in runs], settings)
    for note in notes:
        print(note, file=sys.stderr)
    done = with_own(evaluate_all(jobs, settings, shlex.join(["nar", "evaluate", *argv])))
    print(table(done))
    print("\n" + textwrap.fill(LEGEND, 110))


def plan(runs: Sequence[Path], settings: Evaluate) -> tuple[list[Job], list[str]]:
    """What to evaluate, and what is left out because it does not fit an algorithm or a run, one sentence each.

    An algorithm's own distribution is evaluated where no axis is asked for, and where the run has no entry of it to
    compare with. ValueError where the settings cannot be, and where one of them fits nothing.
    """
    asked = {"family": settings.families, "density": settings.densities}
    asked |= {"weights": settings.weights, "scale": settings.scales}
    varied = axes.settings(asked, cross=settings.cross)
    jobs: list[Job] = []
    unfit: dict[str, str] = {}  # a setting in words, or a termination -> why it does not fit, of the last such case
    notes: dict[str, None] = {}

    def fits(what: str, reason: str | None) -> bool:
        if reason is not None:
            unfit[what] = reason
            notes[f"left out: {reason}"] = None
        return reason is None

    for run in dict.fromkeys(map(export_reader.located, runs)):
        if not run.is_dir():
            advice = (
                "nar evaluate takes directories made by nar train or nar export, and names of reasoners in nar list"
            )
            raise ValueError(f"{run} is not a run directory: {advice}")
        if not export_reader.is_export(run):
            with files.locked(run, files.PATIENCE):  # a training at work is named before anything is computed
                pass
        found = stored(run)
        there = [schema.key(e) for e in found["evaluations"]]
        ends = dict.fromkeys(settings.terminations)
        ends = [end for end in ends if fits(end, _cannot_end(run, found["config"], end))]
        for algorithm in _algorithms(run, found["run"]["algorithms"], settings.algorithms):
            fitting = [one for one in varied if fits(axes.described(one), axes.misfit(algorithm, one))]
            jobs += [
                Job(run, algorithm, size, setting, end)
                for size in _sizes(algorithm, settings.sizes)
                for setting in [{}, *fitting]
                for end in ends
                if setting or not varied or (algorithm.name, size, "{}", end) not in there
            ]
    done = {axes.described(job.setting) for job in jobs} | {job.termination for job in jobs}
    if nowhere := [unfit[words] for words in [*map(axes.described, varied), *settings.terminations]
                   if words in unfit and words not in done]:  # fmt: skip
        raise ValueError(nowhere[0])
    return jobs, list(notes)


def evaluate_all(jobs: Sequence[Job], settings: Evaluate, command: str) -> list[tuple[Job, dict[str, Any]]]:
    """Make the entries one after the other and write each into its run's results.json; at the end, the reports."""
    from nar import device

    with device.untouched():
        return _evaluate_all(jobs, settings, command)


def _evaluate_all(jobs: Sequence[Job], settings: Evaluate, command: str) -> list[tuple[Job, dict[str, Any]]]:
    from tqdm import tqdm

    from nar import device
    from nar.evaluation.evaluate import entry
    from nar.results import run_directory

    on = device.choose(settings.device)
    device.prepare(on)
    evaluated = run_directory.made_by(command, settings.which, on)
    done: list[tuple[Job, dict[str, Any]]] = []
    run, reasoner, own_layout = None, None, None
    try:
        with tqdm(jobs, unit="set") as bar:
            for job in bar:
                bar.set_description(str(job))
                if reasoner is None or run != job.run:
                    run, reasoner = job.run, checkpoint.read(job.run, settings.which, on).build(on)
                    own_layout, reasoner.layout = reasoner.layout, settings.layout or reasoner.layout
                how = {"samples": settings.samples, "setting": job.setting, "termination": job.termination}
                made = entry(reasoner, job.algorithm, job.size, **how)
                if not export_reader.is_export(job.run) and reasoner.layout == own_layout:
                    write(job.run, {**made, "evaluated": evaluated})
                done.append((job, made))
    finally:  # an interrupted evaluation is reported as far as it came
        from nar.reports import report

        for path in dict.fromkeys(job.run for job, _ in done if not export_reader.is_export(job.run)):
            report.write_report(path)
    return done


def stored(run: Path) -> dict[str, Any]:
    """The results of a run; of an export what its card says of the settings, without evaluations, which need more."""
    if not export_reader.is_export(run):
        return schema.read(run)
    card = export_reader.read_card(run)
    return {"run": {"algorithms": card["algorithms"]}, "config": card["config"], "evaluations": []}


def write(run: Path, entry: Mapping[str, Any]) -> None:
    """Put an entry into the run's results.json, in the place of one of the same kind; read anew, so that two
    evaluations of one run can go on side by side."""
    with files.locked(run, files.PATIENCE):
        found = schema.read(run)
        evaluations = schema.placed(found["evaluations"], dict(entry))
        files.write_json(run / "results.json", {**found, "evaluations": evaluations})


def with_own(done: Sequence[tuple[Job, dict[str, Any]]]) -> list[tuple[Job, dict[str, Any]]]:
    """Entries to be printed: before those of another distribution the stored one of the algorithm's own, to compare."""
    shown: list[tuple[Job, dict[str, Any]]] = []
    there = {str(job) for job, _ in done}
    for job, made in done:
        own = dataclasses.replace(job, setting={})
        if str(own) not in there:
            there.add(str(own))
            wanted = (job.algorithm.name, job.size, "{}", job.termination)
            shown += [(own, entry) for entry in stored(job.run)["evaluations"] if schema.key(entry) == wanted]
        shown.append((job, made))
    return shown


def table(done: Sequence[tuple[Job, Mapping[str, Any]]]) -> str:
    """What was found, in plain text; where there is one run, one algorithm or the oracle, their columns say nothing."""
    columns: dict[str, list[str]] = {}
    for job, e in done:
        memory = e.get("peak_memory_mb")
        row = {
            "run": job.run.name, "algorithm": e["algorithm"], "size": f"{e['size']:,}",
            "setting": axes.described(e["setting"]), "end": e["termination"], "graphs": f"{e['samples']:,}",
            **{name: _percent(e[name]) for name in ("score", "exact", "valid")},
            "left the trace": _left(e.get("first_error")), "steps": _steps(e["steps_mean"], e["steps_max"]),
            # results of nar's first version do not have the steps of the rollouts
            "taken": _steps(*e["steps_taken"].values()) if "steps_taken" in e else "-",
            "seconds": f"{e['seconds']:,.2f}", "MB": f"{memory:,.0f}" if memory is not None else "-",
        }  # fmt: skip
        for name, cell in row.items():
            columns.setdefault(name, []).append(cell)
    hidden = {name for name in ("run", "algorithm") if len(set(columns[name])) == 1}
    if set(columns["end"]) <= {"oracle"}:
        hidden |= {"end", "taken"}
    return text_table(columns, words=("run", "algorithm", "setting", "end"), hidden=hidden)


def _algorithms(run: Path, known: Sequence[str], wanted: Sequence[str]) -> list[Algorithm]:
    for name in wanted:
        if name not in known:
            raise ValueError(suggest("algorithm", name, known, f"{run} learned {', '.join(known)}"))
    return [datasets.get(name) for name in wanted or known]


def _cannot_end(run: Path, config: Mapping[str, Any], termination: str) -> str | None:
    """Why the rollouts of a run cannot end in this way; None where they can."""
    if termination == "learned" and config.get("halting", "none") == "none":
        return f"termination learned does not fit {run}: it has no halting head (train with --halting supervised)"
    if termination == "fixed_point" and config.get("hint_mode") == "none":
        return f"termination fixed_point does not fit {run}: it predicts no hints"
    return None


def _sizes(algorithm: Algorithm, sizes: Sequence[int]) -> list[int]:
    for size in sizes:
        if algorithm.fixed_nodes and size != algorithm.fixed_nodes:
            raise ValueError(f"--sizes {size}: {algorithm.name} always has {algorithm.fixed_nodes} nodes")
        if size < (least := max(2, algorithm.min_nodes)):  # a single node leaves nothing to decide
            raise ValueError(f"--sizes {size}: {algorithm.name} needs at least {least} nodes to be evaluated on")
        algorithm.check_room(size)
    return list(dict.fromkeys(sizes)) or [protocol.canonical_size(algorithm)]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"


def _steps(mean: float, most: int) -> str:
    return f"{mean:,.1f}/{most:,}"


def _left(first_error: Sequence[int | None] | None) -> str:
    """How many graphs left the true trace, and the median of the steps at which they did."""
    if first_error is None:
        return "-"
    steps = sorted(step for step in first_error if step is not None)
    if not steps:
        return "none"
    return f"{len(steps)}/{len(first_error)}, step {steps[(len(steps) - 1) // 2]}"
