"""`nar sweep`: the runs of a sweep, one after the other or side by side, and the report over them."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nar.cli import report
from nar.cli.sweep_settings import Sweep, read
from nar.config import Config
from nar.system import files, limits
from nar.text_format import counted, duration, printable

if TYPE_CHECKING:  # what loads PyTorch is imported when the settings are right
    from nar.experiments.jobs import Event
    from nar.experiments.sweep import State, SweepJob

INTERRUPTED = 130  # exit code, as a shell has it


def main(argv: Sequence[str]) -> int:
    """Exit code 0: every run is finished; 1: some failed; 130: interrupted. ValueError for settings that do not fit."""
    sweep, base, vary, of_recipe = read(argv)
    from nar.experiments.jobs import RayTasks
    from nar.experiments.sweep import product, state

    if sweep.engine == "ray":
        RayTasks.check()
    folder = sweep.out
    assert folder is not None
    base, jobs = _settled(sweep, base)
    seeds = sweep.seed_list or range(sweep.seeds)
    of_recipe = {name: _settled(sweep, one)[0] for name, one in of_recipe.items()}
    runs = product(sweep.algos, sweep.processors or [None], seeds, base, folder, vary, of_recipe)
    states = {run.name: state(run) for run in runs}
    if sweep.dry_run:
        print(table(runs, states, _failed_before(folder), jobs))
        return 0
    command = shlex.join(["nar", "sweep", *argv])
    with files.locked(folder):
        failures, interrupted = _carry_out(sweep, folder, runs, states, jobs, command)
    finished = [run for run in runs if states[run.name].kind == "finished"]
    print(f"{len(finished)} of {counted(len(runs), 'run')} finished, in {printable(folder)}")
    for name, error in failures.items():
        print(f"failed: {name}: {error} ({printable(folder / 'logs' / name)}.log)", file=sys.stderr)
    if interrupted:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    if sweep.report and finished:
        report.main([*(str(run.config.run_dir) for run in finished), "--out", str(folder / "report")])
    return 1 if failures else 0


def _settled(sweep: Sweep, base: Config) -> tuple[Config, int]:
    """Settings with the device and threads of every run, and how many runs there are at once.

    Runs have one thread each on a CPU, whatever the engine: other threads would give other roundings.
    """
    if sweep.engine == "ray":
        on_cpu = not sweep.gpus_per_run
        if on_cpu and base.device == "auto":
            base = dataclasses.replace(base, device="cpu")
    else:
        from nar import device

        on_cpu = device.choose(base.device).type == "cpu"
    if on_cpu and not base.threads:
        base = dataclasses.replace(base, threads=1)
    if sweep.jobs or sweep.engine == "ray":
        return base, sweep.jobs
    return base, max(limits.cores() // base.threads, 1) if on_cpu else 1


def _carry_out(
    sweep: Sweep, folder: Path, runs: list[SweepJob], states: dict[str, State], jobs: int, command: str
) -> tuple[dict[str, str], bool]:
    """Do what is left to do; `states` is kept up to date. Returns the failures, and whether Ctrl-C ended the sweep."""
    from nar.experiments.progress import Progress
    from nar.experiments.sweep import state

    to_do = [run for run in runs if states[run.name].kind != "finished"]
    failures: dict[str, str] = {}
    interrupted = False

    def save() -> None:
        entries = [_entry(run, states[run.name], failures.get(run.name)) for run in runs]
        files.write_json(folder / "sweep.json", {"schema": 1, "command": command, "runs": entries})

    save()
    if not to_do:
        return failures, interrupted
    at_once = f", {jobs} at once" if jobs > 1 else ""
    already = f", {len(runs) - len(to_do)} are finished" if len(to_do) < len(runs) else ""
    with (
        Progress(to_do, already=len(runs) - len(to_do)).shown() as progress,
        contextlib.closing(_engine(sweep, to_do, jobs, command)) as events,
    ):
        progress.say(f"{counted(len(runs), 'run')} in {printable(folder)}{already}{at_once}")
        for event in events:
            if event.kind == "started":
                progress.started(event.run)
            elif event.outcome is None:
                progress.died(event.run, event.reason)
            else:
                progress.ends(event.run, event.outcome)
                states[event.run.name] = state(event.run)
                if event.outcome.kind == "failed":
                    failures[event.run.name] = event.outcome.error
                interrupted |= event.outcome.kind == "interrupted"
                save()
    done = sum(states[run.name].kind == "finished" or run.name in failures for run in runs)
    return failures, interrupted or done < len(runs)


def _engine(sweep: Sweep, runs: list[SweepJob], jobs: int, command: str) -> Generator[Event]:
    from nar.experiments.jobs import Processes, RayTasks, carry_out, in_process

    if sweep.engine == "ray":
        return carry_out(runs, command, RayTasks(sweep.ray_address, sweep.cpus_per_run, sweep.gpus_per_run), jobs)
    return carry_out(runs, command, Processes(), jobs) if jobs > 1 else in_process(runs, command)


def _entry(run: SweepJob, found: State, error: str | None) -> dict[str, Any]:
    """What sweep.json says about a run."""
    config = run.config
    entry = {"name": run.name, "algorithms": list(config.algo), "processor": config.processor, "seed": config.seed}
    entry |= {"varied": {k: list(v) if isinstance(v, tuple) else v for k, v in run.varied.items()}}
    entry |= {"state": "failed" if error is not None else found.kind, "step": found.step}
    return entry | ({"error": error} if error is not None else {})


def _failed_before(folder: Path) -> dict[str, str]:
    """The runs that failed when this sweep was last carried out, with their errors."""
    try:
        entries = files.read_json(folder / "sweep.json", "a sweep's", {"runs": list[dict]}, "")["runs"]
        return {entry["name"]: entry["error"] for entry in entries if "error" in entry}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def table(runs: Sequence[SweepJob], states: dict[str, State], failed: dict[str, str], jobs: int) -> str:
    """What a sweep would do: its runs, what has become of them, and the cost of those that are left.

    The cost of a run is known when one that differs in its seed only has been finished here.
    """
    from nar.experiments.sweep import digest

    spent: dict[str, list[float]] = {}
    for run in runs:
        if (seconds := states[run.name].seconds) is not None:
            spent.setdefault(digest(run.config, without=["seed"]), []).append(seconds)
    width = max(len(run.name) for run in runs)
    lines, known, unknown = [], [], 0
    for run in runs:
        found = states[run.name]
        what = str(found)
        if found.kind != "finished":
            if alike := spent.get(digest(run.config, without=["seed"])):
                known.append(sum(alike) / len(alike) * (1 - found.step / max(run.config.steps, 1)))
                what += f", about {duration(known[-1])}"
            unknown += not alike
        if run.name in failed:
            what += f"; failed before: {failed[run.name]}"
        lines.append(f"{run.name:<{width}}  {what}")
    kinds = [found.kind for found in states.values()]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    lines.append(f"{counted(len(runs), 'run')}: {counts}")
    if known or unknown:
        parts = [f"about {duration(sum(known) / max(jobs, 1))}"] * bool(known)
        parts += [f"{unknown} of unknown cost"] * bool(unknown)
        at_once = f", {jobs} at once" if jobs > 1 else ""
        lines[-1] += f"; left to do{at_once}: {' and '.join(parts)}"
    return "\n".join(lines)
