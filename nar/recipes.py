"""Recipes: named sets of defaults that the settings of a run begin with.

    >>> nar.recipes.config("step", algo="bfs", steps=100)  # what is given comes before the recipe

On the command line: `nar train --recipe step --algo bfs --steps 100`. A recipe sets nothing that a flag could not.
A run says by which one it was made (`Config.recipe`) and holds every setting itself, so that it is read the same when a
later version changes the recipe.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nar.config import Config
from nar.lookup import suggest


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
            "train_families": ("erdos_renyi", "sparse_erdos_renyi", "grid", "barabasi_albert"),
            "candidates": True,
            "selection": True,
            "output_step": True,
            "random_pos": False,  # relations see positions' order alone, of which 0 is the least, as in tests
            "hint_feedback": "hard",
            "hidden": 64,
            "steps": 1000,
            "learning_rate": 2e-3,
            "learning_rate_schedule": "one_cycle",
            "change_weight": 10.0,
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


def begun_with(settings: Mapping[str, Any]) -> Config:
    """The defaults that stored settings began with: the protocol's where they name no recipe that is known here."""
    name = settings.get("recipe", "protocol")
    return config(name if name in RECIPES else "protocol")
