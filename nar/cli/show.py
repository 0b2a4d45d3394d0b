"""`nar show NAME`: an algorithm on a small random input, its steps printed and drawn."""

from __future__ import annotations

import ast
import dataclasses
import pathlib
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from nar.cli import console
from nar.lookup import suggest

if TYPE_CHECKING:
    from nar.traces.algorithm import Algorithm


@dataclasses.dataclass
class Show:
    """Settings of `nar show NAME`; the sampler's own parameters are flags as well: --p 0.3, --low -1."""

    n: int = 8
    """Size of the input, as the sampler counts it."""
    seed: int = 0
    """Which input is drawn."""
    param: tuple[str, ...] = ()
    """Parameters of the sampler, each name=value, the value as in Python: --param p=0.3 low=-1."""
    steps: int = 60
    """At most so many steps are printed; of longer traces the middle is left out. 0: all."""
    figure: bool = True
    """Write a figure."""
    out: str | None = None
    """File of the figure, .png, .svg or .pdf [NAME-nN-seedSEED.png]."""
    gif: str | None = None
    """Write an animation, one frame per step; the file may be left out [NAME-nN-seedSEED.gif]."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.steps == 1:
            raise ValueError(f"--steps must be 0 (all) or at least 2, got {self.steps}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed must be a whole number from 0 to 2**32 - 1, got {self.seed}")
        if self.out is not None and not self.figure:
            raise ValueError("--out names the file of the figure, which --no-figure leaves out")
        for flag, path, endings in (("--out", self.out, (".png", ".svg", ".pdf")), ("--gif", self.gif, (".gif",))):
            if path is not None and pathlib.Path(path).suffix.lower() not in endings:
                raise ValueError(f"{flag} must be a file ending in {', '.join(endings)}, got {path!r}")


def main(argv: list[str]) -> None:
    """Prints the trace; writes a figure and, if asked to, an animation."""
    from nar import datasets

    sys.path.insert(0, "")  # my_module:algorithm is looked for in the current folder first
    name = argv[0] if argv and not argv[0].startswith("-") else None
    if name is None and not {"-h", "--help"} & set(argv):
        raise ValueError("nar show takes the name of an algorithm first: nar show bellman_ford --n 8 (nar list)")
    algorithm = datasets.get(name) if name else None
    known = algorithm.params if algorithm else {}
    default_gif = f"{name}.gif"
    settings = console.parse(
        Show, _sampler_flags(argv[1:] if name else argv, known, default_gif), "nar show",
        "Run an algorithm on a random input, print its steps, and draw them: nar show NAME [options]",
    )  # fmt: skip
    assert algorithm is not None  # --help has ended the program
    pairs = [_parameter(text, algorithm) for text in settings.param]
    params = dict(pairs)
    if twice := next((key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1), None):
        raise ValueError(f"parameter {twice} is given twice, and only the last would count")

    import numpy as np

    from nar.traces.drawing import figure as drawing
    from nar.traces.drawing import text as show

    try:
        inputs = algorithm.sample(np.random.RandomState(settings.seed), settings.n, **params)
    except TypeError as error:  # a word where the sampler computes with numbers
        raise ValueError(f"--param {' '.join(settings.param)} does not suit {name}: {error}") from None
    trace = algorithm.run(**inputs)
    print(show.text(trace, settings.steps or None), flush=True)
    stem = f"{name}-n{settings.n}-seed{settings.seed}".replace(":", ".")
    if settings.figure:
        path = _file(settings.out or f"{stem}.png")
        drawing.figure(trace).savefig(path)
        print(f"figure: {path}")
    if settings.gif:
        path = _file(f"{stem}.gif" if settings.gif == default_gif else settings.gif)
        drawing.animate(trace, path)
        print(f"animation: {path}")


def _sampler_flags(argv: list[str], known: Collection[str], gif: str) -> list[str]:
    """`argv` with --low -1 written as --param low=-1 for the sampler's parameters, and a file after a bare --gif."""
    own = [f"--{field.name}" for field in dataclasses.fields(Show)]
    flags = [*own, "--no-figure", "--help", *(f"--{name.replace('_', '-')}" for name in known)]
    found: list[str] = []
    params: list[str] = []
    tokens = list(argv)
    while tokens:
        flag, equals, value = tokens.pop(0).partition("=")
        key = flag.removeprefix("--").replace("-", "_")
        values = [value] if equals else []
        while not equals and tokens and not re.match(r"--?[A-Za-z]", tokens[0]):
            values.append(tokens.pop(0))
        if flag == "--param":
            params += values or [""]
        elif flag.startswith("--") and key in known and values:
            params.append(f"{key}={values[0] if len(values) == 1 else '(' + ', '.join(values) + ')'}")
        elif flag.startswith("--") and flag not in flags:
            raise ValueError(suggest("flag", flag, flags, "nar show --help"))
        elif flag == "--gif" and not values:
            found += [flag, gif]
        else:
            found += [f"{flag}={value}"] if equals else [flag, *values]
    return [*found, *(["--param", *params] if params else [])]


def _parameter(text: str, algorithm: Algorithm) -> tuple[str, Any]:
    """One name=value of --param; a value that is no Python literal is a word."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--param takes name=value, got {text!r}; parameters: {', '.join(algorithm.params) or 'none'}")
    if key not in algorithm.params:
        raise ValueError(suggest(f"parameter of {algorithm.name}", key, algorithm.params))
    return key, _value(value)


def _value(text: str) -> Any:
    """A value of the command line as Python writes it; what is no Python literal is a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _file(path: str) -> pathlib.Path:
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
