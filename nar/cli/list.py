"""`nar list [NAME]`: the algorithms and processors there are; with a NAME, that processor and its options."""

import contextlib
import importlib
import inspect
import re
import sys
from typing import Any

from nar.results.study import grouped


def main(argv: list[str]) -> None:
    """All of both, or one processor in detail."""
    from nar import datasets, processors

    if {"-h", "--help"} & set(argv):
        print("usage: nar list [NAME]\n\nall algorithms and processors; with a NAME, that processor and its options")
        return
    if len(argv) > 1 or (argv and argv[0].startswith("-")):
        raise ValueError(f"nar list takes nothing, or the name of one processor; got {' '.join(argv)!r}")
    if argv:
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
    lines += [f"  {option} = {default!r}" for option, default in processors.accepts(name).items()] or ["  none"]
    if fixed:
        lines += ["", f"chosen by the name: {', '.join(f'{key} = {value!r}' for key, value in fixed.items())}"]
    facts = ("permutation_equivariant", "uses_history", "uses_adjacency", "masks_decoders", "cost")
    declared: Any = found
    with contextlib.suppress(Exception):  # options may change the facts; where it cannot be built, the class says
        declared = processors.build(name, 16)
    lines += ["", "declares:", *(f"  {fact} = {getattr(declared, fact)!r}" for fact in facts)]
    return "\n".join(lines)


def _about(path: str) -> str:
    """The first line of the docstring of a table entry's module, cut where a part of it ends, to fit a terminal."""
    line = (importlib.import_module(path.split(":")[0]).__doc__ or "").strip().split("\n")[0].rstrip(".,")
    parts = re.split(r"(?=[,;:] | \()", line)
    while len("".join(parts)) > 75 and len(parts) > 1:
        parts.pop()
    text = "".join(parts)
    return text + ")" * (text.count("(") - text.count(")"))
