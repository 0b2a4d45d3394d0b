"""What a reader must know before believing the numbers of a run or of a study, one sentence each."""

from collections.abc import Mapping, Sequence
from typing import Any

from nar import datasets, recipes
from nar.config import FREE
from nar.evaluation import protocol
from nar.results.schema import Results
from nar.results.study import StoredRun, Study, grouped

FEW_GRAPHS = 32  # CLRS-30 has so many in each test set, or more


def of_run(results: Results) -> list[str]:
    """What limits the results of one run."""
    run, found = results["run"], []
    if run["interrupted"]:
        found.append(f"Interrupted at step {run['steps']:,} of {run['steps_planned']:,}; scores of what was reached.")
    recipe, other = results["config"].get("recipe", "protocol"), unusual(results["config"])
    begun = recipes.begun_with(results["config"])
    if run["steps"] < begun.steps:
        whose = "published protocol" if begun.recipe == "protocol" else f"recipe {begun.recipe}"
        than = f"Trained for {run['steps']:,} steps, the {whose} for {begun.steps:,}"
        found.append(f"{than}: not comparable with published scores.")
    named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in other.items())
    if recipe != "protocol":
        but = f", but for {named}" if other else ""
        found.append(f"By the recipe {recipe}{but}, not the published protocol: not comparable with published scores.")
    elif other:
        found.append(f"Not the published protocol ({named}): not comparable with published scores.")
    if (several := len(run["algorithms"])) > 1:
        found.append(f"Trained on {several} algorithms together; published scores are of networks trained on one.")
    if run["best_validation"] is None:
        found.append("Never validated: the weights evaluated are the last ones, not selected ones.")
    found += [
        f"The processor makes no use of features of edges: of {name}, it never sees {', '.join(probes)}."
        for name, probes in run.get("unseen", {}).items()
    ]
    found += _not_evaluated(results)
    few = sorted({e["size"] for e in results["evaluations"] if e["samples"] < FEW_GRAPHS})
    if few:
        found.append(f"Fewer than 32 graphs at n = {', '.join(map(str, few))}: expect differences by chance.")
    return found


def of_study(study: Study) -> list[str]:
    """What limits the comparisons of a study; `left_out` comes with it."""
    found = grouped(((text, run) for run in study.runs for text in of_run(run.results)), lambda pair: pair[0])
    alone = len(study.runs) == 1
    lines = [text if alone else f"{text} ({named([run for _, run in of], study)})" for text, of in found.items()]
    return [*lines, *_versions(study), *_seeds(study), *study.left_out]


def named(runs: Sequence[StoredRun], study: Study) -> str:
    """Some runs of a study in words: of every label what it is, and its seeds where these are not all."""
    if len(runs) == len(study.runs):
        return "every run"
    parts = []
    for (algorithms, label), every in grouped(study.runs, lambda run: (run.title, run.label)).items():
        if own := [str(run.seed) for run in every if run in runs]:
            seeds = f", seed {', '.join(own)}" if len(own) < len(every) else ""
            parts.append(f"{algorithms} with {label}{seeds}")
    return "; ".join(parts)


def unusual(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a run another one than its recipe's for its algorithm, processor and seed."""
    algorithms = config.get("algo", ())
    algorithm = algorithms if isinstance(algorithms, str) else (algorithms or ["bellman_ford"])[0]
    begun = recipes.begun_with(config)
    default = resolved = begun.to_dict()
    chosen = FREE | {"algo", "processor", "seed"}
    try:
        resolved = protocol.resolved(begun, datasets.get(algorithm)).to_dict()  # sizes left open, filled in
    except Exception:  # somebody's own algorithm, whose module is not here any more or cannot be imported
        chosen |= {"train_sizes", "val_size"}
    return {
        name: value
        for name, value in config.items()
        if name in default and name not in chosen and value not in (default[name], resolved[name])
    }


def _not_evaluated(results: Results) -> list[str]:
    """Sizes that were asked for and are not there."""
    run, found = results["run"], []
    asked = results["config"].get("eval_sizes") or ()
    for algorithm in run["algorithms"]:
        done = {e["size"] for e in results["evaluations"] if e["algorithm"] == algorithm}
        left_out = set(run["left_out"].get(algorithm, ()))
        if missing := sorted((set(asked) | left_out) - done):
            named = f" {algorithm}" if len(run["algorithms"]) > 1 else ""
            why = "too long for a CPU" if left_out >= set(missing) else "the evaluation was interrupted"
            found.append(f"Not evaluated{named} at n = {', '.join(map(str, missing))}: {why}.")
    return found


def _versions(study: Study) -> list[str]:
    """Results of different code are not repetitions of one experiment."""
    names = {"versions of nar": "nar", "commits": "commit", "versions of torch": "torch"}
    made = {what: {str(run.results["provenance"].get(name)) for run in study.runs} for what, name in names.items()}
    different = {what: ", ".join(sorted(values)) for what, values in made.items() if len(values) > 1}
    return [f"Made by different {what}: {values}; see the table of runs." for what, values in different.items()]


def _seeds(study: Study) -> list[str]:
    """Labels with fewer seeds than others, and single seeds."""
    networks = grouped(study.groups, lambda group: (group.algorithm, group.label))
    counts = {network: max(len(group.seeds) for group in groups) for network, groups in networks.items()}
    most = max(counts.values(), default=0)
    few = grouped((one for one in counts if counts[one] < most), lambda one: (one[1], counts[one]))
    short = [f"{label} ({count}; {', '.join(name for name, _ in of)})" for (label, count), of in few.items()]
    lines = [f"Fewer seeds than the {most} of others: {'; '.join(short)}."] if short else []
    if most == 1:
        lines.append("One seed each: single runs of one setting can differ by much, and one run gives no interval.")
    elif 0 < most < 5:
        lines.append(f"{most} seeds are few: their intervals are too narrow to hold the true mean in 95% of cases.")
    return lines
