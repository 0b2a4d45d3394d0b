"""Recipes: named sets of defaults that the settings of a run begin with.

    >>> nar.recipes.config("step", algo="bfs", steps=100)  # what is given comes before the recipe

On the command line: `nar train --recipe step --algo bfs --steps 100`. A recipe sets nothing that a flag could not.
A run says by which one it was made (`Config.recipe`) and holds every setting itself, so that it is read the same when a
later version changes the recipe.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nar.config import FREE, Config
from nar.lookup import suggest
from nar.text_format import short

LONGEST = 80  # letters of a run directory's name for settings


class Recipe(NamedTuple):
    """What it is for, in a line, and the settings that it changes."""

    about: str
    settings: Mapping[str, Any]


RECIPES = {
    "protocol": Recipe("the published protocol, as it is compared in the literature", {}),
    "step": Recipe(
        "learning the single step of an algorithm",
        {
            "processor": "relational",
            "supervision": "moments",
            "relations": "instead",
            "trails": True,
            "like_with_like": True,
            "train_families": ("erdos_renyi", "sparse_erdos_renyi", "grid", "barabasi_albert"),
            "train_weights": ("ties",),
            "candidates": True,
            "selection": True,
            "output_step": True,
            "halting": "supervised",
            "random_pos": False,  # relations see positions' order alone, of which 0 is the least, as in tests
            "hint_feedback": "hard",
            "hidden": 64,
            "steps": 1000,
            "learning_rate": 2e-3,
            "learning_rate_schedule": "one_cycle",
            "change_weight": 10.0,
            "change_balance": 1.0,
            "event_balance": 0.5,
            "weight_decay": 1e-4,
            "val_every": 250,
            "val_samples": 32,
        },
    ),
}


def config(name: str = "protocol", **settings: Any) -> Config:
    """The settings of a recipe, with those given in their place. ValueError for a recipe that does not exist."""
    if name not in RECIPES:
        raise ValueError(suggest("recipe", name, RECIPES, "nar list"))
    label: dict[str, Any] = {"recipe": name}
    return Config(**label, **{**RECIPES[name].settings, **settings})


def default(processors: Iterable[str] = ()) -> str:
    """What the command line begins with where no recipe is named: step, by which all thirty algorithms score above the
    published mean (results/clrs30.csv); where networks are named to compare them, the protocol."""
    return "step" if all(name == RECIPES["step"].settings["processor"] for name in processors) else "protocol"


def begun_with(settings: Mapping[str, Any]) -> Config:
    """The defaults that stored settings began with: the protocol's where they name no recipe that is known here."""
    name = settings.get("recipe", "protocol")
    return config(name if name in RECIPES else "protocol")


def run_name(settings: Config) -> str:
    """What the directory of a run is called: algorithms, processor, what differs from the recipe's defaults, seed."""
    words = "".join(f"-{word}" for word in unusual(settings))
    if len(words) > LONGEST:
        words = f"{words[: LONGEST - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return re.sub(r"[^\w.+=-]", ".", f"{short(settings.title, 100)}-{settings.processor}{words}-seed{settings.seed}")


def unusual(settings: Config) -> list[str]:
    """What makes a run another one than the protocol's for its algorithm, processor and seed, in short words: its
    recipe, and what differs from that: hidden64, no_layer_norm, heads=4, layer=SAGEConv."""
    begun = begun_with({"recipe": settings.recipe})
    found = [settings.recipe] * (settings.recipe != "protocol")
    for field in dataclasses.fields(settings):
        name, value = field.name, getattr(settings, field.name)
        if name in FREE | {"algo", "processor", "seed"} or value == getattr(begun, name):
            continue
        if name == "option":
            found += [re.sub(r"=.*[:/]", "=", word) for word in value]
        elif value is None or isinstance(value, bool):
            found.append(name if value else f"no_{name}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            said = "+".join(one.name if isinstance(one, Path) else str(one) for one in values)
            found.append(f"{name}{said}" if said[:1].isdigit() else f"{name}={said}")
    return found
