"""The faithfulness report of trained runs beside their baselines: `nar faithfulness runs/bfs-*`.

Baselines per algorithm: the compiled reference and its shuffled copy (nar/analysis/references/compiled.py, where there
is one), and of every network the untrained one of its first run. Seeds of one network are compared with each other: how
far apart are two that learned the same? Over all runs: how many are effective (score), how many faithful (hint
agreement), and do the two go together?
"""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nar import datasets
from nar.analysis.faithfulness.inside import probes, sources
from nar.analysis.faithfulness.outside import FAITHFUL, external, interventions, on_graphs
from nar.analysis.references import compiled
from nar.config import FREE, Config
from nar.datasets import canonical
from nar.evaluation.evaluate import TEST_SEED, evaluate
from nar.model import checkpoint
from nar.model.reasoner import Reasoner
from nar.text_format import markdown_table
from nar.traces.algorithm import Algorithm

PAIRS = 10  # of seeds of one network that are compared with each other
COLUMNS = (
    "algorithm", "reasoner", "score", "exact", "valid", "hints", "acting", "below", "ignored", "followed", "sources",
    "probes",
)  # fmt: skip
RESAMPLES = 2000  # of the bootstrap behind the interval of the rank correlation


def measure(
    reasoner: Reasoner, algorithm: Algorithm, *, size: int = 64, small: int = 16, samples: int = 32
) -> dict[str, Any]:
    """All measures of one reasoner on test graphs of `size` nodes; what does not apply is None.

    Probes are fitted on graphs of `small` nodes, interventions are made on such graphs.
    """
    traces = list(canonical.draw(algorithm, size, samples, TEST_SEED))
    fitting = list(canonical.draw(algorithm, small, max(samples, 64), TEST_SEED + 1))
    hints = bool(algorithm.spec.hints) and reasoner.hint_mode != "none"
    changes = interventions(reasoner, algorithm, size=small, samples=samples) if on_graphs(algorithm) else None
    return {
        "size": size,
        **evaluate(reasoner, algorithm, traces).rates(),
        "external": external(reasoner, algorithm, traces) if hints else None,
        "interventions": changes,
        "sources": sources(reasoner, algorithm, traces) if hints else None,
        "probes": probes(reasoner, algorithm, fitting, traces) if algorithm.spec.hints else None,
    }


def compare(runs: Sequence[str | Path], *, size: int = 64, small: int = 16, samples: int = 32) -> dict[str, Any]:
    """Measure trained runs, on every algorithm that they have learned, and their baselines.

    Of each row, `kind` says what it is (trained, untrained, compiled, shuffled), `of` which runs it tells about.
    """
    sizes = {"size": size, "small": small, "samples": samples}

    def row(name: str, who: str, kind: str, of: Sequence[_Trained], reasoner: Reasoner) -> dict[str, Any]:
        about = {"algorithm": name, "who": who, "kind": kind, "of": [run.path for run in of]}
        return about | measure(reasoner, datasets.get(name), **sizes)

    rows: list[dict[str, Any]] = []
    trained: dict[str, dict[str, list[_Trained]]] = {}  # by algorithm and network
    for path in runs:
        saved = checkpoint.read(path)
        run = _Trained(str(Path(path)), saved.config, saved.build())
        # what runs share that differ in their seed alone, or in how they were computed
        settings = run.config.to_dict().items()
        network = json.dumps({setting: value for setting, value in settings if setting not in FREE | {"seed"}})
        for name in run.config.algo:
            trained.setdefault(name, {}).setdefault(network, []).append(run)
            rows.append(row(name, f"{run.config.processor} seed {run.config.seed}", "trained", [run], run.reasoner))
            rows[-1]["step"] = saved.step
    seeds: list[dict[str, Any]] = []
    for name, networks in trained.items():
        for found in networks.values():
            config = found[0].config
            untrained = Reasoner.from_config(config).eval()
            rows.append(row(name, f"untrained {config.processor}", "untrained", found, untrained))
            for one, other in itertools.islice(itertools.combinations(found, 2), PAIRS):
                if one.reasoner.hint_mode != "none":
                    traces = canonical.draw(datasets.get(name), size, samples, TEST_SEED)
                    agreed = external(one.reasoner, datasets.get(name), traces, against=other.reasoner)
                    who = f"{config.processor} seeds {one.config.seed}, {other.config.seed}"
                    measured = {"hints": agreed["area"], "acting": agreed["acting"], "outputs": agreed["outputs"]}
                    seeds.append({"algorithm": name, "who": who, **measured})
        if name in compiled.PROGRAMS:
            exact, every = compiled.compiled(name), list(itertools.chain(*networks.values()))
            rows.append(row(name, "compiled", "compiled", every, exact))
            rows.append(row(name, "compiled, shuffled", "shuffled", every, compiled.permuted(exact)))
    return {**sizes, "rows": rows, "seeds": seeds, "table": _table(rows)}


class _Trained(NamedTuple):
    """A run that is measured."""

    path: str
    config: Config
    reasoner: Reasoner


def _table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of effective and faithful runs per algorithm, and Spearman's rank correlation over all runs."""
    counts: dict[str, Counter[str]] = {}
    pairs = []
    for row in rows:
        if row["kind"] != "trained" or row["external"] is None or row["external"]["area"] is None:
            continue
        pairs.append((row["score"], row["external"]["area"]))
        effective, faithful = (value >= FAITHFUL for value in pairs[-1])
        kind = f"{'effective' if effective else 'not effective'}, {'faithful' if faithful else 'not faithful'}"
        counts.setdefault(row["algorithm"], Counter())[kind] += 1
    rho, low, high = spearman(pairs)
    return {"counts": counts, "spearman": rho, "interval": [low, high], "runs": len(pairs)}


def spearman(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, float | None, float | None]:
    """Rank correlation and its 95% bootstrap interval; None for fewer than four pairs or no variation."""
    values = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    if len(values) < 4 or (rho := _rho(values)) is None:
        return None, None, None
    rng = np.random.RandomState(0)
    drawn = [_rho(values[rng.randint(len(values), size=len(values))]) for _ in range(RESAMPLES)]
    low, high = np.percentile([r for r in drawn if r is not None], [2.5, 97.5])
    return rho, float(low), float(high)


def _rho(values: np.ndarray) -> float | None:
    ranks = np.stack([_ranks(column) for column in values.T])
    if (ranks.std(1) == 0).any():
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    below, at_most = (values[:, None] > values).sum(1), (values[:, None] >= values).sum(1)
    return (below + at_most + 1) / 2


def text(report: dict[str, Any]) -> str:
    """The report as it is printed: Markdown tables."""
    parts = [
        f"{report['samples']} graphs of {report['size']} nodes; interventions on graphs of {report['small']}. Columns:"
        "\nscore, whole graphs right, right answers (ties broken in any way); hint agreement over all steps, where the"
        f"\nalgorithm acts, first step below {FAITHFUL}; irrelevant edges ignored, relevant ones followed; mass on "
        "valid\nsources (chance in brackets); linear probes, mean over hints.",
        markdown_table(COLUMNS, [_cells(row) for row in report["rows"]]),
    ]
    if report["seeds"]:
        measured = ("hints", "acting", "outputs")
        rows = [[row["algorithm"], row["who"], *(_number(row[key]) for key in measured)] for row in report["seeds"]]
        parts += ["Two seeds of one network, agreement with each other:"]
        parts += [markdown_table(["algorithm", "reasoners", *measured], rows)]
    table = report["table"]
    if table["counts"]:
        parts += [f"Effective: score at least {FAITHFUL}. Faithful: hint agreement at least {FAITHFUL}."]
        counts = {name: "; ".join(f"{n} {kind}" for kind, n in of.items()) for name, of in table["counts"].items()}
        parts += ["\n".join(f"- {name}: {words}" for name, words in counts.items())]
    if table["spearman"] is not None:
        low, high = table["interval"]
        parts += [
            f"Spearman's rho of score and hint agreement over {table['runs']} runs: {table['spearman']:.2f} "
            f"(95% bootstrap interval {low:.2f} to {high:.2f})"
        ]
    return "\n\n".join(parts)


def _cells(row: dict[str, Any]) -> list[str]:
    outside, change, inside = row["external"] or {}, row["interventions"] or {}, row["sources"]
    probed = [p["value"] for p in (row["probes"] or {}).values()]
    return [
        row["algorithm"], row["who"], *(_number(row[key]) for key in ("score", "exact", "valid")),
        _number(outside.get("area")), _number(outside.get("acting")),
        "never" if outside and outside["below"] is None else str(outside.get("below", "-")),
        _number(change.get("ignored")), _number(change.get("followed")),
        "-" if inside is None else f"{inside['mass']:.3f} ({inside['chance']:.3f})",
        _number(float(np.mean(probed)) if probed else None),
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
