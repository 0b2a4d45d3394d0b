"""`nar list [NAME]`: the algorithms, processors, recipes and reasoners there are; with a NAME, one of the first two."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nar.cli import console
from nar.lookup import suggest
from nar.results.study import grouped

if TYPE_CHECKING:
    from nar.traces.algorithm import Algorithm


def main(argv: list[str]) -> None:
    """All of them, or one processor or algorithm in detail."""
    from nar import datasets, processors, recipes
    from nar.model import export_reader

    if {"-h", "--help"} & set(argv):
        print(
            "usage: nar list [NAME]\n\nall algorithms, processors and recipes; with a NAME, one processor and its "
            "options,\nor one algorithm: its probes, order relations and candidates"
        )
        return
    if len(argv) > 1 or (argv and argv[0].startswith("-")):
        raise ValueError(f"nar list takes nothing, or the name of one processor or algorithm; got {' '.join(argv)!r}")
    if argv:
        from nar.model.options import in_words

        if _is_algorithm(argv[0]):
            text, _, end = in_words.described(argv[0]).rstrip("\n").rpartition("\n")
            print(f"{text}{_drawn(datasets.get(argv[0]))}\n{end}")
        else:
            print(_described(argv[0]))
        return
    width = max(map(len, [*datasets.names(), *processors.names()]))
    print("algorithms (--algo):")
    for category, names in sorted(grouped(datasets.names(), lambda name: datasets.get(name).category).items()):
        print(f"  {category}")
        for name in names:
            print(f"    {name:<{width}}  {_about(datasets.TABLE[name])}")
    print("\nprocessors (--processor):")
    for name in processors.names():
        path, options = processors.TABLE[name]
        chosen = ", ".join(f"{key}={value}".removesuffix("=True") for key, value in options.items())
        print(f"    {name:<{width}}  {_about(path)}" + (f" [{chosen}]" if chosen else ""))
    print("\nrecipes (--recipe), each with what it sets:")
    for name, recipe in recipes.RECIPES.items():
        print(f"    {name:<{width}}  {recipe.about}")
        print(textwrap.indent(_settings(recipe.settings), f"    {'':<{width}}  "))
    if shipped := export_reader.shipped():
        print("\ntrained reasoners that come with nar, for nar.load and nar evaluate:")
    for name in shipped:
        print(f"    {name:<{width}}  {_shipped(export_reader.read_card(export_reader.SHIPPED / name))}")
    print("\none algorithm, or a processor and its options: nar list NAME; your own: --processor my_module:MyProcessor")


def _shipped(card: Mapping[str, Any]) -> str:
    """What a shipped reasoner is, and its score and share of exact graphs by size."""
    scores = [e for e in card["scores"] if not e["setting"] and e["termination"] == "oracle"]
    sizes = ", ".join(f"{e['score']:.2%} ({e['exact']:.0%} exact) at {e['size']}" for e in scores)
    return f"{card['processor']}, recipe {card['config'].get('recipe', 'protocol')}: {sizes}"


def _settings(settings: Mapping[str, Any]) -> str:
    """The flags of `nar train` that give these settings, a line or more."""
    words = []
    for name, value in settings.items():
        switch = console.flag(name) if value else f"--no-{console.flag(name)[2:]}"
        values = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(switch if isinstance(value, bool) else f"{console.flag(name)} {values}")
    lines, line = [], ""
    for word in words or ["the defaults of every flag"]:
        if line and len(line) + len(word) > 75:
            lines, line = [*lines, line], ""
        line += f" {word}" if line else word
    return "\n".join([*lines, line])


def _drawn(algorithm: Algorithm) -> str:
    """How inputs of an algorithm are drawn: parameters of the sampler and their values in training; sizes."""
    from nar.config import Config
    from nar.evaluation import protocol
    from nar.traces.inputs import families

    lines = ["inputs, as nar show and algorithm.sample draw them (parameters: --p 0.3, --family ba):"]
    for name, value in algorithm.params.items():
        train = algorithm.train_params.get(name, value)
        lines.append(f"  {name} = {value!r}" + (f", in training {train!r}" if train != value else ""))
    lines += ["  no parameters"] * (not algorithm.params)
    if "family" in algorithm.params:
        known = f"families: {', '.join([families.RANDOM, *families.TABLE])}"
        lines += textwrap.wrap(known, 100, initial_indent="  ", subsequent_indent="    ")
    sizes = protocol.resolved(Config(), algorithm)
    for name, of in (("trained on", sizes.train_sizes), ("tested at", sizes.eval_sizes)):
        lines.append(f"  {name} sizes {' '.join(map(str, of or ()))}")
    least = f"of at least {algorithm.min_nodes}"
    lines.append(f"  sizes {least}" + (f"; always {algorithm.fixed_nodes} nodes" if algorithm.fixed_nodes else ""))
    return "\n".join(["", *lines, ""])


def _is_algorithm(name: str) -> bool:
    """Rather than a processor; ValueError where it is the name of neither."""
    from nar import datasets, processors

    if name in processors.TABLE:
        return False
    try:
        datasets.get(name)
    except ValueError:
        if ":" in name:  # an address: of a processor, or wrong in a way that is said where one is looked for
            return False
        every = [*datasets.names(), *processors.names()]
        raise ValueError(suggest("processor or algorithm", name, every, "nar list")) from None
    return True


def _described(name: str) -> str:
    """What a processor is, by the first paragraph of its file; its options with their defaults; what it declares."""
    from nar import processors

    try:
        found, fixed = processors.find(name)
    except ValueError as error:
        raise ValueError(f"nar list takes nothing, or the name of a processor or algorithm: {error}") from None
    lines = [f"{name}: {found.__module__}:{found.__qualname__}", ""]
    about = [text for text in (sys.modules[found.__module__].__doc__, found.__doc__) if text]
    lines += [paragraph + "\n" for paragraph in dict.fromkeys(inspect.cleandoc(t).split("\n\n")[0] for t in about)]
    lines.append("options (--option name=value):")
    lines += [f"  {option} = {default!r}" for option, default in processors.accepts(name).items()] or ["  none"]
    if fixed:
        lines += ["", f"chosen by the name: {', '.join(f'{key} = {value!r}' for key, value in fixed.items())}"]
    facts = ("permutation_equivariant", "uses_history", "uses_edges", "uses_adjacency", "masks_decoders", "cost")
    declared: Any = found
    with contextlib.suppress(Exception):  # options may change the facts; where it cannot be built, the class says
        declared = processors.build(name, 16)
    lines += ["", "declares:", *(f"  {fact} = {getattr(declared, fact)!r}" for fact in facts)]
    return "\n".join(lines)


def _about(path: str) -> str:
    """The first line of the docstring of a table entry's module, cut where a part of it ends, to fit a terminal."""
    spec = importlib.util.find_spec(path.split(":")[0])  # its text alone: libraries that it needs may be broken
    source = spec.loader.get_source(spec.name) if spec is not None else ""  # type: ignore[union-attr]
    line = (ast.get_docstring(ast.parse(source or "")) or "").split("\n")[0].rstrip(".,")
    parts = re.split(r"(?=[,;:] | \()", line)
    while len("".join(parts)) > 75 and len(parts) > 1:
        parts.pop()
    text = "".join(parts)
    return text + ")" * (text.count("(") - text.count(")"))
