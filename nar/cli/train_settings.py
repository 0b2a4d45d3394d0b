"""The settings of a run: a recipe gives the defaults, a file comes before it, every flag before both.

Without --recipe it is step, or where another processor is named than step's, protocol (nar/recipes.py).
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nar import recipes
from nar.cli import console
from nar.cli.console import flag
from nar.config import Config
from nar.lookup import suggest

NOT_IN_FILES = {"out", "resume"}  # where a run is, and what is to become of it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flags(Config):
    """The settings, and where some of them stand."""

    config: Path | None = None
    """Take settings from this TOML file, by the names of their flags, as every run writes them into its config.toml;
    flags that are given come before it."""


def read(argv: Sequence[str], prog: str, description: str | None = None, processors: Sequence[str] = ()) -> Config:
    """The settings; `--help` shows the defaults of a recipe that is given beside it. Mistakes are one line, code 2.

    `processors`: those that are named elsewhere.
    """
    given = dict(flags := console.split(argv)[1])
    if given.get("--config"):
        path = Path(given["--config"][-1])
        kinds = {field.name: field.type for field in dataclasses.fields(Config) if field.name not in NOT_IN_FILES}
        of_file = as_flags(load_toml(path), path, kinds, given)
        before = [word for name, values in of_file for word in (name, *values)]
        argv, prog = [*before, *argv], f"{prog} --config {path}"
        flags = console.split(argv)[1]
    last = {name: values[0] for name, values in flags if values}  # of several the last counts, as with every flag
    processors = [*processors, *(last[name] for name in ("--processor",) if name in last)]
    recipe = last.get("--recipe", recipes.default(processors))
    if recipe not in recipes.RECIPES:
        console.fail(suggest("recipe", recipe, recipes.RECIPES, "nar list"), prog)
    if recipe != "protocol" and not {"--recipe", "--help", "-h"} & given.keys():  # a mistake may be about what it sets
        command, space, rest = prog.partition(" --config")
        prog = f"{command} --recipe {recipe}{space}{rest}"
    found = console.parse(Flags, argv, prog, description, Flags(**vars(recipes.config(recipe))))
    return Config(**{name: value for name, value in vars(found).items() if name != "config"})


def load_toml(path: Path) -> dict[str, Any]:
    """What the file says; ValueError names it where it says nothing that can be read."""
    if not path.is_file():
        raise ValueError(f"no file {path}; settings are read from a TOML file, such as the config.toml of a run")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None


def text(value: Any) -> str:
    """A value of a file as a flag has it."""
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def as_flags(
    table: Mapping[str, Any], path: Path, kinds: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[tuple[str, list[str]]]:
    """What a file says as flags, without those that `given` ones replace; `kinds`: the settings that it may have."""
    for name, value in table.items():
        if name not in kinds:
            raise ValueError(f"{path}: {suggest('setting', name, kinds)}")
        if kinds[name] is str and not isinstance(value, str):
            raise ValueError(f"{path}: {name} must be text in quotes, got {value!r}")
        if flag(name) not in given and f"--no-{flag(name)[2:]}" not in given:
            yield as_flag(kinds[name], name, [text(each) for each in (value if isinstance(value, list) else [value])])


def as_flag(kind: Any, name: str, words: list[str]) -> tuple[str, list[str]]:
    """A setting of this type as it is written on the command line, where a switch has no value."""
    if kind is bool and words[0].lower() in ("true", "false"):
        return flag(name) if words[0].lower() == "true" else f"--no-{flag(name)[2:]}", []
    return flag(name), words
