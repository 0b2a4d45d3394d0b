"""Every processor learns: 300 steps of Bellman-Ford, then its score on 64 nodes, beside that of the same net untrained.

    python benchmarks/short_runs.py                  # all; continues where it was stopped
    python benchmarks/short_runs.py gat lcm --again  # these two, anew

Each run is the default protocol (python train.py) with `--steps 300 --val-every 100 --eval-sizes 64` and nothing else:
sizes up to 16, batch 32, hidden size 128, the checkpoint with the best validation. A loss that is no number ends a run
and is recorded as its failure. These are short runs: they show that a processor learns, not how well it would do after
the 10,000 steps of the protocol. Claim: no failure, and every processor is above itself untrained. Written to
results/short_runs.json after every processor.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import pathlib
import tempfile
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "results" / "short_runs.json"


def short_run(name: str, seed: int, steps: int, samples: int, more: dict[str, Any]) -> dict[str, Any]:
    """Scores at 64 nodes, trained and untrained, or the reason why there are none."""
    from nar import datasets
    from nar.config import Config
    from nar.evaluation import protocol
    from nar.evaluation.evaluate import evaluate, test_set
    from nar.experiments.experiment import train
    from nar.model.reasoner import Reasoner

    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            algo="bellman_ford", processor=name, seed=seed, steps=steps, val_every=min(100, steps), eval_sizes=(64,),
            eval_samples=samples, device="cpu", threads=1, out=pathlib.Path(folder) / "run", **more,
        )  # fmt: skip
        algorithm = datasets.get(config.algo)
        untrained = Reasoner.from_config(protocol.resolved(config, algorithm))
        before = evaluate(untrained, algorithm, test_set(algorithm, 64, samples)[0]).score
        command = f"python train.py --algo bellman_ford --processor {name} --seed {seed} --steps {steps}"
        command += f" --val-every {config.val_every} --eval-sizes 64" + f" --eval-samples {samples}" * bool(samples)
        command += "".join(f" --{key.replace('_', '-')} {value}" for key, value in more.items())
        row = {"command": f"{command} --device cpu --threads 1", "seed": seed, "untrained": before}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                results = train(config, command=command)
        except ValueError as error:  # a loss that is no number
            return row | {"failed": str(error).replace(folder, "")}
        (evaluation,) = (e for e in results["evaluations"] if e["size"] == 64)
        kept = ("parameters", "train_seconds")
        return (
            row
            | {"trained": evaluation["score"], "steps": results["run"]["steps"]}
            | {key: results["run"][key] for key in kept if key in results["run"]}
            | {key: results["provenance"][key] for key in ("nar", "commit", "torch", "numpy")}
        )


def holds(row: dict[str, Any]) -> bool:
    return "failed" not in row and row["trained"] > row["untrained"]


def main() -> int:
    from nar import processors
    from nar.config import Config

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="processors; default: all of the table")
    parser.add_argument("--again", action="store_true", help="run those anew that are recorded")
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--eval-samples", type=int, default=0, help="test graphs; 0: as many as CLRS-30 has")
    parser.add_argument("--hidden", type=int, default=Config.hidden)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    options = parser.parse_args()
    names = options.names or processors.names()
    for name in names:
        processors.find(name)
    rows = json.loads(options.output.read_text())["rows"] if options.output.is_file() else {}
    for name in names:
        if name not in rows or options.again:
            more = {} if options.hidden == Config.hidden else {"hidden": options.hidden}
            row = short_run(name, options.seed, options.steps, options.eval_samples, more)
            rows[name] = row | {"date": time.strftime("%Y-%m-%d")}
            about = "node score of bellman_ford at 64 nodes, before and after a short training"
            result = {"command": "python benchmarks/short_runs.py", "what": about, "rows": dict(sorted(rows.items()))}
            options.output.with_suffix(".tmp").write_text(json.dumps(result, indent=1) + "\n")
            options.output.with_suffix(".tmp").replace(options.output)
        row = rows[name]
        end = row.get("failed") or f"{row['untrained']:.3f} -> {row['trained']:.3f}"
        print(f"{name:<26} {end}" + ("" if holds(row) else "   DOES NOT HOLD"), flush=True)
    return 0 if all(holds(rows[name]) for name in names) else 1


if __name__ == "__main__":
    raise SystemExit(main())
