"""Finished runs as trained reasoners that come with nar: exports in nar/reasoners, named after their algorithms.

    python benchmarks/ship_reasoners.py runs/dijkstra-step ... --half

A run is refused unless it learned one algorithm of nar to its end, was made by a commit without local changes, and
gets every output of every graph of the canonical test set right (score and exact are 1), in its results and once more
by the weights as they are shipped. All reasoners together stay below 8 MB. A refusal leaves what was there.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import shutil
import sys
import tempfile

from nar import datasets
from nar.datasets import canonical
from nar.evaluation import evaluate, protocol
from nar.inference import export
from nar.model import checkpoint, export_reader
from nar.results import published, schema
from nar.system import files

MOST_BYTES = 8_000_000  # of all reasoners together
LOCAL = {"--out": 1, "--device": 1, "--threads": 1, "--workers": 1, "--resume": 0}  # flags with their values


def unfit(results: dict) -> str | None:
    """Why a run cannot be shipped, by its results; None where it can."""
    run, commit = results["run"], results["provenance"].get("commit")
    if len(run["algorithms"]) != 1 or run["algorithms"][0] not in datasets.names() or ":" in run["processor"]:
        return "only runs of one algorithm and one processor that come with nar are shipped"
    if run["interrupted"] or run["steps"] < run["steps_planned"]:
        return "it was interrupted"
    if commit is None or commit.endswith("+"):
        return f"it was made by code that is no commit ({commit})"
    return inexact(results["evaluations"], datasets.get(run["algorithms"][0]))


def inexact(evaluations: list[dict], algorithm) -> str | None:
    """What is not exact on the canonical test set; None where everything is."""
    size = protocol.canonical_size(algorithm)
    found = [e for e in evaluations if e["size"] == size and not e["setting"] and e["termination"] == "oracle"]
    if not found:
        return f"it was not evaluated at {size}, the canonical size"
    for one in found:
        if one["score"] != 1.0 or one["exact"] != 1.0:
            return f"it is not exact at {size}: score {one['score']:.4f}, exact {one['exact']:.4f}"
        named = published.CANONICAL if algorithm.name in canonical.CLRS30 else "nar/test"
        if one["samples"] < protocol.test_samples(algorithm, size) or one["data"]["set"] != named:
            return f"it was not evaluated on the canonical test set, but on {one['samples']} of {one['data']['set']}"
    return None


def without_local(command: str | None) -> str:
    """A command without the flags that say where a run was made."""
    words, kept = shlex.split(command or ""), []
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if name not in LOCAL:
            kept.append(word)
        elif not equals:
            del words[: LOCAL[name]]
    return shlex.join(kept)


def made(run: pathlib.Path, out: pathlib.Path, half: bool) -> str:
    """Export a run to the folder `out`, in a folder with the name of its algorithm, which is returned; ValueError
    where it cannot be shipped."""
    results = schema.read(run)
    if reason := unfit(results):
        raise ValueError(reason)
    (name,) = results["run"]["algorithms"]
    step = checkpoint.read(run).step
    if results["run"]["best_step"] not in (step, None):
        raise ValueError(f"its results are of step {results['run']['best_step']}, its best checkpoint is of {step}")
    export.write(run, out / name, half=half)
    algorithm = datasets.get(name)
    reasoner = checkpoint.read(out / name).build()
    if reason := inexact([evaluate.entry(reasoner, algorithm, protocol.canonical_size(algorithm))], algorithm):
        raise ValueError(f"evaluated again, {reason}")
    card = export_reader.read_card(out / name)
    card["provenance"]["command"] = without_local(card["provenance"]["command"])
    files.write_json(out / name / export_reader.CARD, export_reader.sealed(card))
    return name


def ship(runs: list[pathlib.Path], folder: pathlib.Path, half: bool) -> list[str]:
    """Put the runs into the folder, all or none of them; their names. ValueError says why not."""
    with tempfile.TemporaryDirectory() as place:
        fresh = pathlib.Path(place)
        names: list[str] = []
        for run in runs:
            try:
                names.append(made(run, fresh, half))
            except ValueError as error:
                raise ValueError(f"{run}: {error}") from error
        if len(set(names)) < len(names):
            raise ValueError(f"two runs of one algorithm: {' '.join(names)}")
        kept = [one for one in folder.glob("*/*") if one.parent.name not in names]
        total = sum(file.stat().st_size for file in [*kept, *fresh.glob("*/*")])
        if total > MOST_BYTES:
            raise ValueError(f"all reasoners would have {total:,} bytes, more than {MOST_BYTES:,}")
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(fresh / name, folder / name)
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN", help="directories of finished runs")
    parser.add_argument("--half", action="store_true", help="weights in half precision, if no decision changes")
    options = parser.parse_args()
    try:
        names = ship(options.runs, export_reader.SHIPPED, options.half)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for name in names:
        card = export_reader.read_card(export_reader.SHIPPED / name)
        scores = {e["size"]: (e["score"], e["exact"]) for e in card["scores"]}
        print(f"{name}: {card['weights']['bytes']:,} bytes, score and exact by size: {json.dumps(scores)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
