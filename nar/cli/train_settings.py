"""The settings of a run from flags: a recipe gives the defaults, every flag comes before it."""

from collections.abc import Sequence

from nar import recipes
from nar.cli import console
from nar.config import Config
from nar.lookup import suggest


def read(argv: Sequence[str], prog: str, description: str | None = None) -> Config:
    """The settings; `--help` shows the defaults of a recipe that is given beside it. Mistakes are one line, code 2."""
    given = [values[0] for name, values in console.split(argv)[1] if name == "--recipe" and values]
    recipe = given[-1] if given else "protocol"  # of several the last counts, as with every flag
    if recipe not in recipes.RECIPES:
        console.fail(suggest("recipe", recipe, recipes.RECIPES, "nar list"), prog)
    return console.parse(Config, argv, prog, description, recipes.config(recipe))
