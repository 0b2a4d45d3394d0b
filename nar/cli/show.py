"""`nar show NAME`: an algorithm on a small random input, its steps printed and drawn."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from nar.cli import console
from nar.lookup import suggest
from nar.text_format import printable

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

    name = next(iter(console.split(argv)[0]), "")
    algorithm = datasets.get(name) if name else None
    default_gif = f"{name}.gif"
    _, settings = console.parse_named(
        Show, _sampler_flags(argv, algorithm.params if algorithm else {}, default_gif), "nar show",
        "Run an algorithm on a random input, print its steps, and draw them: nar show NAME [options]",
        "the name of an algorithm first: nar show bellman_ford --n 8 (nar list)",
    )  # fmt: skip
    assert algorithm is not None  # --help has ended the program
    pairs = [_parameter(text, algorithm) for text in settings.param]
    params = dict(pairs)
    if twice := next((key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1), None):
        raise ValueError(f"parameter {twice} is given twice, and only the last would count")

    import numpy as np

    from nar.traces.drawing import text as show

    try:
        inputs = algorithm.sample(np.random.RandomState(settings.seed), settings.n, **params)
    except TypeError as error:  # a word where the sampler computes with numbers
        raise ValueError(f"--param {' '.join(settings.param)} does not suit {name}: {error}") from None
    trace = algorithm.run(**inputs)
    print(show.text(trace, settings.steps or None), flush=True)
    stem = f"{name}-n{settings.n}-seed{settings.seed}".replace(":", ".")
    if settings.figure or settings.gif:
        from nar.traces.drawing import figure as drawing
    if settings.figure:
        path = settings.out or f"{stem}.png"
        drawing.save(drawing.figure(trace), path)
        print(f"figure: {printable(path)}")
    if settings.gif:
        path = pathlib.Path(f"{stem}.gif" if settings.gif == default_gif else settings.gif)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.animate(trace, path)
        print(f"animation: {printable(path)}")


def _sampler_flags(argv: list[str], known: Collection[str], gif: str) -> list[str]:
    """`argv` with --low -1 written as --param low=-1 for the sampler's parameters, and a file after a bare --gif."""
    flags = [console.flag(name) for name in (*Show.__dataclass_fields__, "no_figure", "help", *known)]
    found, given = console.split(argv)
    params: list[str] = []
    for flag, values in given:
        key = flag[2:].replace("-", "_")
        if flag == "--param":
            params += values or [""]
        elif key in known:
            params.append(f"{key}={values[0] if len(values) == 1 else '(' + ', '.join(values) + ')'}")
        elif flag not in (*flags, "-h"):
            raise ValueError(suggest("flag", flag, flags, "nar show --help"))
        else:
            found += [flag, *([gif] if flag == "--gif" and not values else values)]
    return [*found, *(["--param", *params] if params else [])]


def _parameter(text: str, algorithm: Algorithm) -> tuple[str, Any]:
    """One name=value of --param; a value that is no Python literal is a word."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--param takes name=value, got {text!r}; parameters: {', '.join(algorithm.params) or 'none'}")
    if key not in algorithm.params:
        raise ValueError(suggest(f"parameter of {algorithm.name}", key, algorithm.params))
    with contextlib.suppress(ValueError, SyntaxError):
        return key, ast.literal_eval(value)
    return key, value
