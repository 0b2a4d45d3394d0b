"""What to call a run among others: its processor, and the settings in which runs of one algorithm differ.

"mpnn", "mpnn, hidden 64", "gat, heads=4", "mpnn, recipe step", "mpnn, trained on bfs+dfs". A setting is named where
it has not the default of the run's recipe: of two runs with hidden 128 (the protocol's) and 64, one is "mpnn" and the
other "mpnn, hidden 64". Steps, sizes and recipes are named where runs differ in them. Hence equal labels mean equal
settings but for the seed. Settings that do not change what is learned (the device, the sizes
evaluated, where files go) never count.
"""

import json
import re
from collections.abc import Sequence, Set
from typing import Any

from nar import recipes
from nar.config import FREE, Config
from nar.results.schema import Results

# Steps and the recipe are free to change when a run is resumed; here they tell runs apart.
_NOT_COMPARED = (FREE | {"algo", "processor", "seed"}) - {"steps", "recipe"}
# Named only where runs differ in them; sizes that were left open are the algorithm's.
_IF_DIFFERENT = FREE | {"algo", "processor", "seed", "train_sizes", "val_size"}


def of_runs(runs: Sequence[Results]) -> list[str]:
    """The label of each run, in their order."""
    by_algorithm: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for algorithm in run["run"]["algorithms"]:
            by_algorithm.setdefault(algorithm, []).append(_settings(run, algorithm))
    differing = {
        name
        for settings in by_algorithm.values()
        for name in {name for one in settings for name in one}
        if len({json.dumps(one.get(name), sort_keys=True) for one in settings}) > 1
    }
    for run in runs:
        begun, shared = recipes.begun_with(run["config"]).to_dict(), _IF_DIFFERENT
        differing |= {n for n, v in run["config"].items() if n in begun and n not in shared and v != begun[n]}
    order = [*Config().to_dict(), *sorted(differing)]  # the same words in the same order, however runs are given
    sets = {tuple(run["run"]["algorithms"]) for run in runs}
    return [_label(run, sorted(differing, key=order.index), sets) for run in runs]


def _settings(run: Results, algorithm: str) -> dict[str, Any]:
    """The settings that make up a label, as they are for this algorithm; those unknown to the run have their default,
    which is what it was trained with."""
    known = Config().to_dict() | run["config"]
    settings = {name: value for name, value in known.items() if name not in _NOT_COMPARED}
    settings["train_sizes"] = run["run"]["train_sizes"].get(algorithm)
    settings["val_size"] = run["run"]["validation_size"].get(algorithm)
    settings["trained on"] = run["run"]["algorithms"]
    return settings


def _label(run: Results, differing: Sequence[str], sets: Set[tuple[str, ...]]) -> str:
    """The processor, the recipe where runs differ in it, and the differing settings that do not have its default."""
    defaults = recipes.begun_with(run["config"]).to_dict() | {"recipe": "protocol"}
    algorithms = run["run"]["algorithms"]
    settings = _settings(run, algorithms[0])
    words = [_words(name, settings.get(name)) for name in differing if settings.get(name) != defaults.get(name)]
    if "trained on" in differing and len(algorithms) > 1:
        as_many = [one for one in sets if len(one) == len(algorithms)]
        short = len(algorithms) > 4 and len(as_many) == 1
        words.append(f"trained on {len(algorithms)} algorithms" if short else f"trained on {'+'.join(algorithms)}")
    return ", ".join([run["run"]["processor"], *(word for word in words if word)])


def _words(name: str, value: Any) -> str:
    """One setting in words; "" for what is said elsewhere."""
    plain = name.replace("_", " ")
    if name == "trained on":
        return ""
    if name == "steps":
        return f"{value:,} steps"
    if name == "option":
        return ", ".join(re.sub(r"=.*[:/]", "=", word) for word in value)
    if isinstance(value, bool):
        return plain if value else f"no {plain}"
    if value is None:
        return f"no {plain}"
    return f"{plain} {' '.join(map(str, value)) if isinstance(value, list) else value}"
