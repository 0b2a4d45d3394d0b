"""Record finished runs in results/: what was measured, every seed, and a table beside the published scores.

    for seed in 0 1 2; do python train.py --algo bellman_ford --processor mpnn --seed $seed; done
    python benchmarks/extrapolation.py runs/bellman_ford-mpnn-seed*

Per algorithm and processor: results.json and metrics.jsonl of every seed (enough for `nar report` to write the seed's
report again), the report of the lowest seed, a figure over all seeds (score.svg); and results/README.md, the table over
everything recorded so far. Runs that were stopped early or that took other sizes or samples than the default are
refused.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from nar.config import FREE, Config
from nar.evaluation.protocol import TEST_SIZES
from nar.reports import report
from nar.reports.rendering import html
from nar.results import study
from nar.results.comparability import unusual
from nar.results.published import ibarz2022
from nar.results.schema import read

ROOT = Path(__file__).resolve().parents[1] / "results"
NOTE = (
    "score in percent, n = 64, canonical CLRS-30 test set; mean and the printed +- over seeds (the table does not say "
    "which kind); memnet, mpnn and pgn reprint the CLRS-30 baselines of Velickovic et al. 2022"
)
LOCAL = FREE - {"steps"}  # settings that say where a run was made, not what it was


def clean(results: dict[str, Any]) -> dict[str, Any]:
    """The results without paths and other traces of the machine's file system."""
    config = Config.from_dict(results["config"])
    if results["run"]["interrupted"] or config.eval_sizes not in (None, TEST_SIZES) or config.eval_samples:
        raise SystemExit(
            f"{config.run_dir} was stopped early or evaluated on other sets than the default: not recorded"
        )
    settings = {k: v for k, v in config.to_dict().items() if k not in LOCAL}
    default = Config().to_dict()
    if other := unusual(settings):
        raise SystemExit(f"{config.run_dir} was not made with the default protocol: {', '.join(other)}")
    command = f"python train.py --algo {config.title} --processor {config.processor} --seed {config.seed}"
    return results | {"config": default | settings, "command": command}


def record(run_dirs: list[Path]) -> None:
    for run_dir in run_dirs:
        results = clean(read(run_dir))
        run = results["run"]
        target = ROOT / f"{run['algorithms'][0]}-{run['processor']}" / f"seed{run['seed']}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "results.json").write_text(json.dumps(results) + "\n")
        shutil.copy(run_dir / "metrics.jsonl", target)


def recorded() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """All recorded results by algorithm and processor, in order of their seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(ROOT.glob("*/seed*")):
        results = read(path)
        groups[results["run"]["algorithms"][0], results["run"]["processor"]].append(results)
    return {key: sorted(runs, key=lambda r: r["run"]["seed"]) for key, runs in sorted(groups.items())}


def cell(runs: list[dict[str, Any]], size: int, key: str = "score") -> str:
    """Mean, standard deviation over seeds, and every seed."""
    values = [100 * e[key] for run in runs for e in run["evaluations"] if e["size"] == size]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"**{statistics.mean(values):.2f}**{spread} ({', '.join(f'{v:.2f}' for v in values)})"


def summary(groups: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    sizes, source = TEST_SIZES, ibarz2022()[0].source
    lines = [
        "# Recorded results",
        "",
        "All runs of the CLRS-30 table: [clrs30.csv](clrs30.csv), and its report, [report/](report/README.md).",
        "SALSA-CLRS's table, on sparse graphs of up to 1,600 nodes: [salsa.md](salsa.md).",
        "The runs below are kept whole.",
        "",
        "Node score in percent: **mean** ± standard deviation over seeds (every seed in brackets), trained on at most",
        "16 nodes with the default protocol. n = 64 is the canonical CLRS-30 test set; the others are drawn from the",
        "same distribution (as many graphs up to n = 64, 32 above). The checkpoint of each run was chosen by",
        "validation at n = 16 alone. The number of steps comes from the trace (oracle termination).",
        "",
        "| algorithm | processor | " + " | ".join(f"n = {size}" for size in sizes) + " | published at n = 64 |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for (algorithm, processor), runs in groups.items():
        cells = " | ".join(cell(runs, size) for size in sizes)
        printed = [f"{s.mean:.2f} ± {s.spread:.2f} ({s.seeds} seeds)" for s in ibarz2022(algorithm, processor)]
        mark = printed[0] if printed else ""
        lines.append(f"| {algorithm} | [{processor}]({algorithm}-{processor}/) | {cells} | {mark} |")
    lines += ["", f"Published: {source.name} ([source]({source.url})): {NOTE}."]
    lines += ["", "Whole graphs with every output right, in percent:", ""]
    lines += ["| algorithm | processor | " + " | ".join(f"n = {size}" for size in sizes) + " |"]
    lines += ["|---" * (len(sizes) + 2) + "|"]
    for (algorithm, processor), runs in groups.items():
        cells = " | ".join(cell(runs, size, "exact") for size in sizes)
        lines.append(f"| {algorithm} | {processor} | {cells} |")
    lines += [
        "",
        "Made by (the seed and, where a run is not of the default algorithm or processor, their flags added):",
        "",
    ]
    for runs in groups.values():
        made = runs[0]["provenance"]
        seconds = statistics.median(run["run"]["train_seconds"] for run in runs)
        lines.append(
            f"- `{runs[0]['command']}`, {len(runs)} seeds; nar {made['nar']} {made['commit']}, torch {made['torch']}, "
            f"numpy {made['numpy']}, {made['device']}, {made['threads']} thread; median {seconds / 60:.0f} minutes"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", nargs="*", type=Path, help="run directories of finished runs; none: only write the table"
    )
    record(parser.parse_args().runs)
    groups = recorded()
    for (algorithm, processor), runs in groups.items():
        folder = ROOT / f"{algorithm}-{processor}"
        (figure,) = [one for one in report.document(study.read(folder)).figures() if one.name == "score"]
        (folder / "score.svg").write_text(html.figure_file(figure), encoding="utf-8")
        report.write_report(folder / f"seed{runs[0]['run']['seed']}")
    (ROOT / "README.md").write_text(summary(groups))
    print(summary(groups))


if __name__ == "__main__":
    main()
