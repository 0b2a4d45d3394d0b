"""What is swept, as a command line or a TOML file says it: the product, and any setting of training."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nar.cli import console, train_settings
from nar.cli.console import flag
from nar.cli.train_settings import as_flag, as_flags, load_toml, text
from nar.config import Config
from nar.lookup import suggest

SHIPPED = Path(__file__).parent  # NAME.toml
BY_SWEEP = {"algo": "--algos", "processor": "--processors", "seed": "--seeds", "seeds": "--seeds"}  # not given alone
# settings of a run that the sweep does not choose itself
_SHARED = {field.name for field in dataclasses.fields(Config)} - BY_SWEEP.keys() - {"out", "resume"}

ABOUT = (
    "Train every algorithm with every processor and seed, and compare them in one report: nar sweep [small | "
    "FILE.toml] [flags]. Besides these flags, every setting of `nar train` may be given; it holds for all runs."
)


@dataclasses.dataclass
class Sweep:
    """Settings of `nar sweep`."""

    algos: tuple[str, ...] = ("bellman_ford",)
    """Algorithms; bfs+dijkstra is one run that learns both with one processor."""
    processors: tuple[str, ...] = ()
    """Processors [that of the recipe: relational for step, triplet_gmpnn for protocol]. Without --recipe, those that
    are named are compared by the protocol."""
    seeds: int = 3
    """So many seeds, counted from 0."""
    seed_list: tuple[int, ...] = ()
    """These seeds instead."""
    vary: tuple[str, ...] = ()
    """Settings to sweep over, each with its values: hidden=32,64 hint_mode=none,encoded_decoded."""
    out: Path | None = None
    """Folder of the run directories and of the report [runs/sweep, or runs/NAME of the TOML file]."""

    jobs: int = 0
    """Runs at once, each in a process of its own; 1 = in this process. 0 = one per CPU core, on a GPU 1; with Ray: as
    many as it has room for."""
    engine: Literal["local", "ray"] = "local"
    """Where runs are trained: on this machine, or on a Ray cluster."""
    ray_address: str | None = None
    """Ray cluster to use, as in ray.init: auto, or ray://HOST:10001. None = Ray is started on this machine."""
    cpus_per_run: float = 1.0
    """CPU cores that Ray keeps free for each run."""
    gpus_per_run: float = 0.0
    """GPUs that Ray gives to each run; 0.25 = four runs share one. 0 = runs are trained on CPUs."""

    dry_run: bool = False
    """List the runs, what has become of them so far and what they will cost, and do nothing."""
    report: bool = True
    """Write a report over all finished runs at the end."""

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("jobs", 0), ("cpus_per_run", 0), ("gpus_per_run", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{flag(name)} must be at least {least}; got {getattr(self, name)}")
        if self.engine != "ray":
            for name in ("ray_address", "cpus_per_run", "gpus_per_run"):
                if getattr(self, name) != getattr(Sweep, name):
                    raise ValueError(f"{flag(name)} is for --engine ray, which was not given")


def read(argv: Sequence[str]) -> tuple[Sweep, Config, list[tuple[str, list[Any]]], dict[str, Config]]:
    """The sweep, the settings that all its runs share, and the varied ones with their values; where recipes are varied,
    the shared settings as each of them gives them.

    `argv` may begin with the name of a shipped sweep or a TOML file (or have it as --config); its flags come before
    what the file says. Mistakes are ValueErrors, or end the program with one line.
    """
    files, flags = console.split(argv)
    given = dict(flags)
    if twice := next((name for name in given if sum(name == other for other, _ in flags) > 1), None):
        raise ValueError(f"{twice} is given twice; give several values after one {twice}")
    if len(files) > 1:
        raise ValueError(f"unexpected {files[1]!r}: the name of a sweep comes first, and flags follow")
    if "--config" in given:
        files += given.pop("--config") or [""]
        if len(files) > 1 or not files[0]:
            raise ValueError("--config takes one TOML file, and no other may be named")
    path = _file(files[0]) if files else None
    if path is not None:
        given = dict(_from_toml(path, given)) | given
    own = {flag(field.name) for field in dataclasses.fields(Sweep)} | {"--no-dry-run", "--no-report"}
    for_all = {flag(name) for name in _SHARED}
    for_all |= {f"--no-{name[2:]}" for name in for_all}
    for name in given:
        if (setting := name[2:].replace("-", "_")) in BY_SWEEP and name not in own:
            raise ValueError(f"a sweep takes {BY_SWEEP[setting]} instead of {name}")
        if name == "--seeds" and len(given[name]) > 1:
            raise ValueError(f"--seeds is how many, from 0 on; for these ones: --seed-list {' '.join(given[name])}")
        if name not in own | for_all | {"--help", "-h"}:
            raise ValueError(suggest("flag", name, own | for_all, "nar sweep --help; nar train --help"))
    mine = [word for name, values in given.items() if name not in for_all for word in (name, *values)]
    shared = [word for name, values in given.items() if name in for_all for word in (name, *values)]
    sweep = console.parse(Sweep, mine, "nar sweep", ABOUT)
    sweep.out = sweep.out or Path("runs") / (path.stem.removeprefix("sweep_") if path else "sweep")
    vary = [_varied(text) for text in sweep.vary]
    if fixed := next((name for name, _ in vary if flag(name) in shared), None):
        raise ValueError(f"{flag(fixed)} is given and varied as well; leave one of them away")
    of_recipe = {name: _of_runs([*shared, "--recipe", name], sweep.processors) for name in dict(vary).get("recipe", ())}
    return sweep, _of_runs(shared, sweep.processors), vary, of_recipe


def _of_runs(words: Sequence[str], processors: Sequence[str] = ()) -> Config:
    """Settings of training, which begin with a recipe."""
    return train_settings.read(words, "nar sweep", processors=processors)


def shipped() -> list[str]:
    """Names of the sweeps that come with nar."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def _file(name: str) -> Path:
    if name in shipped():
        return SHIPPED / f"{name}.toml"
    if not Path(name).is_file():
        raise ValueError(suggest("sweep", name, shipped(), "a name of these, or an existing TOML file"))
    return Path(name)


def _from_toml(path: Path, given: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The file's entries as flags, without those that `given` ones replace."""
    table = load_toml(path)
    if (vary := table.get("vary")) is not None:
        if not isinstance(vary, dict):
            raise ValueError(f"{path}: vary is a table of lists, as in\n[vary]\nhidden = [32, 64]")
        lists = ((key, each if isinstance(each, list) else [each]) for key, each in vary.items())
        table["vary"] = [f"{key}={','.join(map(text, each))}" for key, each in lists]
    kinds = {field.name: field.type for field in dataclasses.fields(Config) if field.name in _SHARED}
    return as_flags(table, path, kinds | {field.name: field.type for field in dataclasses.fields(Sweep)}, given)


def _varied(text: str) -> tuple[str, list[Any]]:
    """hidden=32,64 as ("hidden", [32, 64]). The parts of a value that is itself a list are joined by +."""
    key, equals, values = text.partition("=")
    name = key.replace("-", "_")
    if not equals or not values:
        raise ValueError(f"--vary takes settings with their values, as in hidden=32,64; got {text!r}")
    if name in BY_SWEEP:
        raise ValueError(f"--vary {name}: a sweep takes {BY_SWEEP[name]}")
    if name not in _SHARED:
        raise ValueError(suggest("setting", name, _SHARED, "nar train --help"))
    kind = typing.get_type_hints(Config)[name]
    if kind is bool and (wrong := set(values.lower().split(",")) - {"true", "false"}):
        raise ValueError(f"--vary {name} takes true, false or both, as in {name}=true,false; got {min(wrong)!r}")
    found = []
    for value in values.split(","):
        given, words = as_flag(kind, name, value.split("+") if "tuple" in str(kind) else [value])
        found.append(getattr(_of_runs([given, *words]), name))
    return name, found
