"""Results of runs that never were: the one way in which tests of reports build what they report.

`evaluation`, `run` and `write` make results whose every number is given or plain to see; `detailed` and the studies
below have every kind of number that a report can show.
"""

import hashlib
import math
from pathlib import Path

import numpy as np

from nar.config import Config
from nar.results import study
from nar.system.files import json_text

SIZES = (16, 64, 256)
HINTS = {"pi_h": "accuracy", "d": "mse", "msk": "f1"}
# with the characters that HTML, attributes and ids must not take as they are
EVIL = "my.module_with_a_very_long_name_that_never_ends:<b>\"processor\"&'x'"


def evaluation(algorithm="bfs", size=64, score=0.5, **other):
    """One evaluation; `other` replaces what it has."""
    data = {
        "set": "clrs30-v1/test" if size == 64 else "nar/test", "generator": "nar 0.1.0", "seed": 3, "length": size,
        "params": {"p": [0.5]}, "samples": 32, "sha256": graphs(algorithm, size, other.get("setting")),
    }  # fmt: skip
    return {
        "algorithm": algorithm, "size": size, "setting": {}, "termination": "oracle", "samples": 32, "score": score,
        "exact": score / 2, "valid": None, "outputs": {"pi": {"metric": "accuracy", "value": score}},
        "hints": {"pi_h": {"metric": "accuracy", "value": score, "per_step": [1.0, score], "live": [32, 8]}},
        "steps_mean": 5.5, "steps_max": 7, "measures": {}, "seconds": 0.32, "data": data,
    } | other  # fmt: skip


def graphs(*parts):
    """A hash, the same for the same graphs."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def elsewhere(entry):
    """The same evaluation on other graphs."""
    return {**entry, "data": {**entry["data"], "sha256": "c" * 64, "set": "nar/test"}}


def run(
    algorithms="bfs", processor="mpnn", seed=0, scores=(0.9, 0.5), evaluations=None, made=(), of_run=(), **settings
):
    """The results.json of a finished run of the protocol; `scores` at n = 16 and 64, unless `evaluations` are given.

    `made` changes its provenance, `settings` its config, `of_run` what else is said of the run.
    """
    algorithms = [algorithms] if isinstance(algorithms, str) else list(algorithms)
    config = Config().to_dict() | {"algo": algorithms, "processor": processor, "seed": seed} | settings
    if evaluations is None:
        evaluations = [evaluation(a, n, x) for a in algorithms for n, x in zip((16, 64), scores, strict=True)]
    about = {
        "algorithms": algorithms, "processor": processor, "seed": seed, "parameters": 414468, "processes": 1,
        "steps": config["steps"], "steps_planned": config["steps"], "interrupted": False, "best_step": 9350,
        "best_validation": 0.9951, "validation": dict.fromkeys(algorithms, 0.9951), "train_seconds": 3725.4,
        "train_sizes": {name: config["train_sizes"] or [4, 7, 11, 13, 16] for name in algorithms},
        "validation_size": dict.fromkeys(algorithms, 16), "left_out": {},
    }  # fmt: skip
    provenance = {
        "nar": "0.1.0", "commit": "abc1234", "torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.7", "device": "cpu",
        "threads": 1, "date": "2026-11-20",
    }  # fmt: skip
    return {
        "schema": 2, "run": about | dict(of_run), "config": config,
        "command": f"nar train --algo {' '.join(algorithms)} --processor {processor} --seed {seed}",
        "provenance": provenance | dict(made), "evaluations": evaluations,
    }  # fmt: skip


def one_run(seed=42):
    """A run of two sizes, the larger one without a valid share."""
    small = evaluation("bellman_ford", 16, 0.9985, exact=0.97, valid=1.0, samples=128)
    large = evaluation("bellman_ford", 64, 0.9744, exact=0.3125, seconds=1.94)
    for entry, errors in ((small, [0.01, 0.02]), (large, [0.04, 0.5])):
        hint = {"metric": "mse", "value": 0.0123, "per_step": errors, "live": [32, 31]}
        entry["hints"] = {"pi_h": {**entry["hints"]["pi_h"], "value": 0.875}, "d": hint}
    return run("bellman_ford", "triplet_gmpnn", seed, evaluations=[small, large])


def generalist():
    """Two algorithms, trained on and scored at different sizes."""
    of_run = {
        "validation": {"bellman_ford": 0.9902, "bfs": 1.0}, "train_sizes": {"bellman_ford": [4, 16], "bfs": [4, 8]},
        "validation_size": {"bellman_ford": 16, "bfs": 8},
    }  # fmt: skip
    entries = [evaluation("bellman_ford", 16, 0.9985), evaluation("bfs", 64, 0.9744)]
    return run(("bellman_ford", "bfs"), "triplet_gmpnn", evaluations=entries, of_run=of_run)


def three_seeds():
    """Two networks; seeds in no order, and one network without seed 1."""
    mpnn = [run("bfs", "mpnn", seed, scores) for seed, scores in ((2, (0.9, 0.4)), (0, (0.9, 0.6)), (1, (0.6, 0.5)))]
    return [*mpnn, run("bfs", "triplet_gmpnn", 2, (1.0, 0.8)), run("bfs", "triplet_gmpnn", 0, (0.8, 0.7))]


METRICS = [
    {"step": 50 * k, "loss": 3.0 / k + 0.05 * math.cos(k * k), "validation_score": 1 - 0.4 / k, "gate": 0.5 - 0.1 / k}
    for k in range(1, 201)
]


def place(results):
    """The directory of a run."""
    about = results["run"]
    return Path(f"runs/{'+'.join(about['algorithms'])}-{about['processor']}-seed{about['seed']}")


def collect(*runs, metrics=METRICS, measured=()):
    """The study of these results, each in a directory of its own; `measured`: of each of the first ones."""
    paths = [place(one) if [place(other) for other in runs].count(place(one)) == 1 else Path(f"runs/{k}")
             for k, one in enumerate(runs)]  # fmt: skip
    told = dict(zip(paths, measured, strict=False))
    return study.collect([(path, one, metrics) for path, one in zip(paths, runs, strict=True)], faithfulness=told)


def write(folder, results, metrics=METRICS, faithfulness=None):
    """The files of a run; returns its directory."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json_text(results))
    (folder / "metrics.jsonl").write_text("".join(json_text(row) + "\n" for row in metrics))
    if faithfulness is not None:
        text = faithfulness if isinstance(faithfulness, str) else json_text(faithfulness)
        (folder / "faithfulness.json").write_text(text)
    return folder


def measured_row(algorithm, kind, level, sources=True):
    """What `nar faithfulness` says of one reasoner that is about `level` good, less in each measure than before."""
    share = [level ** (1 + 0.5 * k) for k in range(6)]
    return {
        "algorithm": algorithm, "who": kind, "kind": kind, "score": share[0], "exact": share[0] ** 4, "valid": None,
        "outputs": {"pi": {"metric": "accuracy", "value": share[0]}},
        "external": {"area": share[1], "acting": share[2], "below": None, "per_step": [share[1]], "live": [32]},
        "interventions": {"ignored": share[3], "ignored_throughout": share[4], "followed": share[4]},
        "sources": {"mass": share[5], "first": share[5], "chance": 0.125} if sources else None,
        "probes": {
            "d": {"metric": "explained variance", "value": 3 * level - 2},
            "msk_of_a_long_name_indeed": {"metric": "balanced accuracy", "value": 0.5 + level / 2},
            "u": {"metric": "accuracy", "value": level**2},
        },
    }  # fmt: skip


def measured(algorithms, level=0.9, sources=True, **changed):
    """The content of a faithfulness.json."""
    baselines = [
        measured_row(algorithm, kind, at, sources or kind != "untrained")
        for algorithm in algorithms
        for kind, at in (("untrained", 0.3), ("compiled", 1.0), ("shuffled", 0.2))
    ]
    return {
        "schema": 1, "size": 64, "small": 16, "samples": 32, "best_step": 9350,
        "measured": {
            "command": "nar faithfulness runs/*", "checkpoint": "best", "nar": "0.1.0", "commit": "abc1234",
            "torch": "2.13.0", "device": "cpu", "date": "2026-11-21",
        },
        "rows": [measured_row(algorithm, "trained", level, sources) for algorithm in algorithms],
        "baselines": baselines,
    } | changed  # fmt: skip


def detailed(algorithm, size, rng, level, **other):
    """An evaluation with everything that can be recorded, whose score is about `level`, less on larger graphs."""
    score = float(np.clip(level - 0.04 * math.log2(size / 16) + 0.01 * rng.standard_normal(), 0.0, 1.0))
    steps = int(3 + 2 * math.log2(size))
    live = [32] * (steps // 2) + list(range(31, 31 - steps + steps // 2, -1))
    hints = {}
    for name, metric in HINTS.items():
        along = np.clip(score - 0.01 * np.arange(steps) / level + 0.005 * rng.standard_normal(steps), 0.001, 1)
        values = 0.1 * (1.001 - along) if metric == "mse" else along
        hints[name] = {"metric": metric, "value": float(values.mean()), "per_step": values.tolist(), "live": live}
    wrong = [int(step) if step <= steps else None for step in rng.geometric(min(1.0, 1.2 - score), 32)]
    more = {
        "exact": score**8, "valid": min(1.0, score**6), "hints": hints, "steps_mean": steps - 1.5, "steps_max": steps,
        "first_error": wrong, "seconds": 1e-4 * size**2 * (1 + 0.1 * rng.random()),
        "peak_memory_mb": 30 + 0.004 * size**2,
    }  # fmt: skip
    return evaluation(algorithm, size, score, **(more | other))


def detailed_run(algorithms="bfs", processor="mpnn", seed=0, level=0.95, **changed):
    """A run with these evaluations at all SIZES."""
    rng = np.random.RandomState(seed + 1000 * len(processor))
    names = [algorithms] if isinstance(algorithms, str) else algorithms
    return run(
        algorithms, processor, seed, evaluations=[detailed(a, n, rng, level) for a in names for n in SIZES], **changed
    )


def everything(seeds=range(3)):
    """A study with all that a report can show: settings, terminations, measures, faithfulness, hostile names, a
    generalist."""
    runs, told = [], []
    for processor, level in (("mpnn", 0.93), ("triplet_gmpnn", 0.97), (EVIL, 0.7)):
        for seed in seeds:
            for algorithm in ("bellman_ford", "bfs"):
                rng = np.random.RandomState(seed)
                entries = [detailed(algorithm, size, rng, level) for size in SIZES]
                for entry in entries:
                    entry["measures"] = {"gate": (0.3 + 0.1 * rng.random(12)).tolist()}
                for key, choices in (
                    ("family", ("barabasi_albert", "grid", "watts_strogatz")),
                    ("density", (0.1, 0.3, 0.9)),
                    ("scale", (0.001, 1.0, 1000.0)),
                    ("weights", ("ties",)),
                ):
                    entries += [detailed(algorithm, 64, rng, level - 0.2, setting={key: v}) for v in choices]
                for end in ("fixed_point", "learned"):
                    taken = {"mean": 9.0 + rng.random(), "max": 15}
                    for size in SIZES:
                        entries.append(detailed(algorithm, size, rng, level - 0.1, termination=end, steps_taken=taken))
                runs.append(run(algorithm, processor, seed, evaluations=entries))
                told.append(measured([algorithm], level - 0.05 * seed, sources=processor != EVIL))
    runs += [detailed_run(("bellman_ford", "bfs", "dijkstra"), "mpnn", seed, 0.9) for seed in seeds]
    return collect(*runs, measured=told)


def bare(**changed):
    """One run, one seed, no hints, no interval."""
    results = detailed_run("bfs", "mpnn", 7, **changed)
    for entry in results["evaluations"]:
        entry["hints"], entry["first_error"], entry["valid"] = {}, None, None
    return collect(results)


def broken():
    """Numbers that are not there: NaN, null, no evaluations, an interruption, no metrics."""
    results = detailed_run(of_run={"interrupted": True, "steps": 120, "best_validation": None, "best_step": None})
    first, second, third = results["evaluations"]
    first["score"], first["exact"] = math.nan, None
    second["hints"]["pi_h"]["per_step"][1] = None
    second["hints"]["d"]["per_step"] = [math.nan] * 3
    second["seconds"] = 0.0
    third["outputs"]["d"] = {"metric": "mse", "value": 0.1}  # an error in the score
    empty = run("dijkstra", "gat", evaluations=[], of_run={"validation": {}, "validation_size": {}})
    return study.collect([(place(results), results, []), (place(empty), empty, [{"step": 1, "loss": math.nan}])])


def large(algorithms=30, networks=10):
    """Hundreds of seed groups."""
    return collect(*(
        detailed_run(f"algorithm_{a}", f"network_{k}", seed, 0.99 - 0.05 * k - 0.01 * a)
        for a in range(algorithms) for k in range(networks) for seed in range(2)
    ))  # fmt: skip
