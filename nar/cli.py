"""The command `nar`: train, list, show, report. `train.py` is a door to `nar train`."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import pathlib
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from nar import console
from nar.names import suggest

if TYPE_CHECKING:
    from nar.algorithm import Algorithm

# what can be typed after `nar`: where it is (a function of the other arguments) and what it does
COMMANDS = {
    "train": ("nar.cli:_train", "train a reasoner, evaluate it at several sizes and write its report"),
    "sweep": ("nar.sweep_command:main", "train algorithms x processors x seeds, and compare them in one report"),
    "list": ("nar.cli:_list", "the algorithms and processors there are; nar list NAME: one processor, its options"),
    "check": ("nar.cli:_check", "run the contract of processors on your own: nar check my_module:MyProcessor"),
    "show": ("nar.cli:_show", "run an algorithm on a small input and see its steps: nar show bellman_ford --n 8"),
    "evaluate": ("nar.evaluate_command:main", "saved runs on more sizes, graph families, densities, weights"),
    "report": ("nar.report_command:run", "the report of runs, from their files: nar report runs --out report"),
    "export": ("nar.export_command:main", "a trained reasoner as safetensors with a JSON card, to share"),
    "faithfulness": ("nar.cli:_faithfulness", "do runs execute the algorithm, or only arrive at its answers?"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; mistakes of the user are one line on stderr and exit code 2."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS)) + 2
        lines = [f"  {name:<{width}}{about}" for name, (_, about) in COMMANDS.items()]
        print("\n".join(["usage: nar COMMAND [--help]", "", "commands:", *lines]))
        return 0 if argv else 2
    command, *rest = argv
    if command == "--version":
        from nar import __version__

        print(f"nar {__version__}")
        return 0
    if command not in COMMANDS:
        console.fail(suggest("command", command, COMMANDS, "nar --help"))
    module, _, function = COMMANDS[command][0].partition(":")
    with console.errors():
        return getattr(importlib.import_module(module), function)(rest) or 0


def _train(argv: list[str]) -> None:
    from nar.config import Config

    sys.path.insert(0, "")  # my_module:MyProcessor is looked for in the current folder first
    config = console.parse(
        Config, argv, "nar train", "Train a reasoner, evaluate it at several sizes, write its report."
    )
    from nar.train import train_seeds

    door = ["python", "train.py"] if sys.argv[0].endswith("train.py") else ["nar", "train"]
    train_seeds(config, command=shlex.join([*door, *argv]))


def _list(argv: list[str]) -> None:
    from nar import datasets, processors

    if {"-h", "--help"} & set(argv):
        print("usage: nar list [NAME]\n\nall algorithms and processors; with a NAME, that processor and its options")
        return
    if len(argv) > 1 or (argv and argv[0].startswith("-")):
        raise ValueError(f"nar list takes nothing, or the name of one processor; got {' '.join(argv)!r}")
    if argv:
        sys.path.insert(0, "")
        print(_described(argv[0]))
        return
    width = max(map(len, [*datasets.names(), *processors.names()]))
    print("algorithms (--algo):")
    by_category: dict[str, list[str]] = {}
    for name in datasets.names():
        by_category.setdefault(datasets.get(name).category, []).append(name)
    for category, names in sorted(by_category.items()):
        print(f"  {category}")
        for name in names:
            print(f"    {name:<{width}}  {_about(datasets.TABLE[name])}")
    print("\nprocessors (--processor):")
    for name in processors.names():
        path, options = processors.TABLE[name]
        chosen = ", ".join(f"{key}={value}".removesuffix("=True") for key, value in options.items())
        print(f"    {name:<{width}}  {_about(path)}" + (f" [{chosen}]" if chosen else ""))
    print("\noptions of one processor: nar list NAME; your own: --processor my_module:MyProcessor")


def _described(name: str) -> str:
    """What a processor is, by the first paragraph of its file; its options with their defaults; what it declares."""
    from nar import datasets, processors

    if name in datasets.TABLE and name not in processors.TABLE:
        raise ValueError(f"{name} is an algorithm: nar show {name} runs it; nar list takes the name of a processor")
    try:
        found, fixed = processors.find(name)
    except ValueError as error:
        raise ValueError(f"nar list takes nothing, or the name of a processor: {error}") from None
    lines = [f"{name}: {found.__module__}:{found.__qualname__}", ""]
    about = [text for text in (sys.modules[found.__module__].__doc__, found.__doc__) if text]
    lines += [paragraph + "\n" for paragraph in dict.fromkeys(inspect.cleandoc(t).split("\n\n")[0] for t in about)]
    lines.append("options (--option name=value):")
    free = processors.accepts(name)
    options = {p: parameter.default for p, parameter in _keywords(found).items() if p in free}
    lines += [f"  {option} = {default!r}" for option, default in options.items()] or ["  none"]
    if fixed:
        lines += ["", f"chosen by the name: {', '.join(f'{key} = {value!r}' for key, value in fixed.items())}"]
    facts = ("permutation_equivariant", "uses_history", "uses_adjacency", "masks_decoders", "cost")
    declared: Any = found
    with contextlib.suppress(Exception):  # options may change the facts; where it cannot be built, the class says
        declared = processors.build(name, 16)
    lines += ["", "declares:", *(f"  {fact} = {getattr(declared, fact)!r}" for fact in facts)]
    return "\n".join(lines)


def _keywords(kind: type) -> dict[str, inspect.Parameter]:
    """Keyword-only parameters of the constructor, those of base classes too."""
    found: dict[str, inspect.Parameter] = {}
    for cls in kind.__mro__:
        if "__init__" in vars(cls):
            for name, parameter in inspect.signature(cls.__init__).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY:
                    found.setdefault(name, parameter)
    return found


@dataclasses.dataclass
class Check:
    """Settings of `nar check NAME`."""

    option: tuple[str, ...] = ()
    """Options of the processor, each name=value, the value as in Python: --option heads=4 reduction=sum."""
    compile: bool = True
    """Try torch.compile on it, too (some seconds)."""


def _check(argv: list[str]) -> int:
    sys.path.insert(0, "")
    name = argv[0] if argv and not argv[0].startswith("-") else None
    if name is None and not {"-h", "--help"} & set(argv):
        raise ValueError("nar check takes a processor first: nar check my_module:MyProcessor")
    settings = console.parse(
        Check, argv[1:] if name else argv, "nar check",
        "Run the contract of processors on a class and print what holds: nar check my_module:MyProcessor [options]",
    )  # fmt: skip
    assert name is not None  # --help has ended the program
    from nar import check, processors

    kind, fixed = processors.find(name)
    options = processors.options_from(name, settings.option)
    try:
        processors.build(name, check.FEATURES, **options)
    except ValueError:  # wrong options are the caller's mistake, in one line
        raise
    except Exception:  # everything else is a finding
        pass
    with_options = "".join(f" {key}={value!r}" for key, value in (fixed | options).items())
    print(f"{name}: {kind.__module__}:{kind.__qualname__}{with_options}", flush=True)
    counts = {True: 0, False: 0, None: 0}
    trial = check.Trial(lambda features: processors.build(name, features, **options), name)
    for finding in check.run(trial, () if settings.compile else ("compile",)):
        print(finding, flush=True)
        counts[finding.holds] += 1
    left = len(check.CHECKS) - sum(counts.values()) - (not settings.compile)
    print(
        f"{counts[True]} hold, {counts[False]} fail, {counts[None]} skipped"
        + (f", {left} not tried before these are mended" if left else "")
    )
    return 1 if counts[False] else 0


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


def _show(argv: list[str]) -> None:
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

    from nar import drawing, show

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


def _about(path: str) -> str:
    """The first line of the docstring of a table entry's module, cut where a part of it ends, to fit a terminal."""
    line = (importlib.import_module(path.split(":")[0]).__doc__ or "").strip().split("\n")[0].rstrip(".,")
    parts = re.split(r"(?=[,;:] | \()", line)
    while len("".join(parts)) > 75 and len(parts) > 1:
        parts.pop()
    text = "".join(parts)
    return text + ")" * (text.count("(") - text.count(")"))


@dataclasses.dataclass
class Faithfulness:
    """Settings of `nar faithfulness RUN ...`."""

    size: int = 64
    """Nodes of the graphs on which hints, sources and probes are scored."""
    small: int = 16
    """Nodes of the graphs on which probes are fitted and edges are changed."""
    samples: int = 32
    """Graphs of each."""
    out: str | None = None
    """Write all numbers to this JSON file, too."""

    def __post_init__(self) -> None:
        for name in ("size", "small", "samples"):
            if getattr(self, name) < 2:
                raise ValueError(f"--{name} must be at least 2, got {getattr(self, name)}")


def _faithfulness(argv: list[str]) -> None:
    count = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    runs, rest = argv[:count], argv[count:]
    if not runs and not {"-h", "--help"} & set(argv):
        raise ValueError("nar faithfulness takes run directories: nar faithfulness runs/NAME ...")
    settings = console.parse(
        Faithfulness, rest, "nar faithfulness", "Do runs execute the algorithm, or only arrive at its answers?"
    )
    from nar import checkpoint, faithfulness_report

    sys.path.insert(0, "")  # as in nar train
    found = faithfulness_report.compare(runs, size=settings.size, small=settings.small, samples=settings.samples)
    print(faithfulness_report.text(found))
    if settings.out:
        checkpoint.write_json(_file(settings.out), found)
