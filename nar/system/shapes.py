"""Is a value of the type that it should be? Types are written as in annotations; a dict names the entries of a dict.

>>> misfit({"steps": "10"}, {"steps": int})
"steps must be a whole number, got '10'"
"""

import functools
import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

# what a value of each type looks like, in words; the plural is for lists
WORDS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a name", "names"),
    Path: ("a path", "paths"),
    bool: ("True or False", "True or False"),
    type(None): ("None", "None"),
    dict: ("names with values", "tables"),
    list: ("a list", "lists"),
}
_ALSO = {int: Integral, float: Real, dict: Mapping, Path: (str, Path), list: (list, tuple)}


@functools.cache
def types_of(kind: type) -> dict[str, Any]:
    """The types of a class's fields, by name."""
    return typing.get_type_hints(kind)


def in_words(kind: Any) -> str:
    """A type for people: "whole numbers", "a path or None", "one of soft, hard"."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (tuple, list):
        return WORDS[arguments[0]][1] if arguments[0] in WORDS else "a list"
    kind = dict if isinstance(kind, dict) or origin is dict else kind
    return WORDS[kind][0] if kind in WORDS else str(kind)


def misfit(value: Any, kind: Any, name: str = "it") -> str | None:
    """What is wrong with a value, which is called `name`; None where it is of the type.

    Of a dict of types all entries must be there, those whose names end in "?" may be missing; others are allowed.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    inside: Iterable[tuple[str, Any, Any]] = ()
    if kind is Any:
        return None
    if isinstance(kind, dict) or origin is dict:
        good = isinstance(value, Mapping)
        if good and isinstance(kind, dict):
            before = "" if name == "it" else f"{name}."
            wanted = {key.removesuffix("?"): of_key for key, of_key in kind.items()}
            if absent := next((key for key in kind if key not in value and not key.endswith("?")), None):
                return f"{before}{absent} is missing"
            inside = [(f"{before}{key}", value[key], of_key) for key, of_key in wanted.items() if key in value]
        elif good:
            inside = [(f"{name}.{key}", one, arguments[1]) for key, one in value.items()]
    elif origin in (typing.Union, types.UnionType):
        good = any(misfit(value, one) is None for one in arguments)
    elif origin is typing.Literal:
        good = any(value == one and type(value) is type(one) for one in arguments)
    elif origin in (tuple, list):
        good = isinstance(value, list | tuple)
        if good and isinstance(arguments[0], dict):
            inside = [(f"{name}[{i}]", one, arguments[0]) for i, one in enumerate(value)]
        elif good:
            good = all(misfit(one, arguments[0]) is None for one in value)
    else:
        good = isinstance(value, _ALSO.get(kind, kind)) and (kind is bool or not isinstance(value, bool))
    if not good:
        return f"{name} must be {in_words(kind)}, got {reprlib.repr(value)}"
    return next((wrong for name, one, of_one in inside if (wrong := misfit(one, of_one, name))), None)
