"""The command line as people meet it: flags read from a settings dataclass, and every mistake answered in one line.

tyro does the reading and prints `--help`. Where it finds a mistake it prints a box of several lines; here that box
is caught and one line is written in its place, with a suggestion for a misspelt flag. Exit code 2 either way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import os
import re
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from nar.lookup import suggest

Config = TypeVar("Config")

# What a value of each type looks like, in words; the plural is for lists.
_WORDS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a name", "names"),
    type(None): ("None", "None"),
}


def parse(config_class: type[Config], argv: Sequence[str], prog: str, description: str | None = None) -> Config:
    """Reads `argv` into an instance of the dataclass `config_class`; a mistake ends the program with one line, code 2.

    Every field is a flag: `--learning-rate 0.001` (underscores are read as dashes), `--resume` or `--no-resume` for
    a bool, `--eval-sizes 16 32` for a tuple. Nothing is positional. A ValueError from the class's own
    `__post_init__` is reported by its own message.
    """
    import tyro  # 0.1 s, and only the command line needs it

    flags = [word.partition("=")[0] for word in argv if word.startswith("--")]
    # numbers are a list as a whole; words, such as --option a=1, one would expect to add up
    fields = dataclasses.fields(config_class)  # pyright: ignore[reportArgumentType]
    several = {f"--{f.name.replace('_', '-')}" for f in fields if "tuple[str" in str(f.type)}
    if twice := next((flag for flag in flags if flags.count(flag) > 1 and flag in several), None):
        fail(f"{twice} is given twice, and only the last would count; give several values after one {twice}", prog)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(config_class, args=list(argv), prog=prog, description=description)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        fail(_mistake(config_class, argv, box.getvalue(), stop.__context__), prog)


def fail(message: str, prog: str = "nar") -> NoReturn:
    """Ends the program with one line on stderr and exit code 2."""
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def errors(prog: str = "nar") -> Iterator[None]:
    """Turns what a user can mend (ValueError, OSError) into one line and exit code 2.

    Other exceptions are our mistakes and keep their traceback. A ValueError that was raised outside nar, say in the
    user's own processor, is followed by its place; with NAR_DEBUG set, every traceback is shown.
    """
    try:
        yield
        sys.stdout.flush()  # what is short is only written now
    except BrokenPipeError:  # `nar list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains again
        raise SystemExit(141) from None
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        if os.environ.get("NAR_DEBUG"):
            raise
        message = _os_error(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        fail(message + _place(error), prog)


def _os_error(error: OSError) -> str:
    if error.errno is None:
        return str(error) or type(error).__name__
    path = error.filename2 or error.filename
    where = f": {path}" if path is not None else ""
    advice = {
        errno.EACCES: "; choose a directory that you may write to",
        errno.EPERM: "; choose a directory that you may write to",
        errno.EROFS: "; choose a directory that you may write to",
        errno.ENOSPC: "; free some space and resume: what was already written is intact",
        errno.EDQUOT: "; free some space and resume: what was already written is intact",
    }.get(error.errno, "")
    return f"{os.strerror(error.errno).lower()}{where}{advice}"


def _innermost(error: BaseException | None) -> types.TracebackType | None:
    """The end of the traceback: where the exception was raised."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _package(trace: types.TracebackType) -> str:
    return trace.tb_frame.f_globals.get("__name__", "").split(".")[0]


def _place(error: BaseException) -> str:
    """Where a ValueError came from, if not from nar itself, which words its own messages for the user."""
    trace = _innermost(error)
    if isinstance(error, OSError) or trace is None or _package(trace) == "nar":
        return ""
    code = trace.tb_frame.f_code
    file = os.path.basename(code.co_filename)
    return f" ({file}, line {trace.tb_lineno}, in {code.co_name}; NAR_DEBUG=1 shows the traceback)"


def _mistake(config_class: type, argv: Sequence[str], box: str, cause: BaseException | None) -> str:
    """What is wrong with `argv`, looked for in the order in which a reader would: flags, their values, the rest."""
    flags = dict(_flags(config_class))
    values: dict[str, list[str]] = {}
    flag = None  # the one to which the words being read belong
    for token in argv:
        if re.match(r"--?[A-Za-z]", token):
            name, equals, value = token.partition("=")
            flag = name.replace("_", "-")
            if flag not in flags:
                return suggest("flag", name, flags, "--help lists all")
            values[flag] = [value] if equals else []
        elif flag is None:
            return f"unexpected {token!r}: settings are given by name, as in {next(iter(flags))} VALUE"
        else:
            values[flag].append(token)

    trace = _innermost(cause) if isinstance(cause, ValueError) else None
    if trace is not None and _package(trace) != "tyro":
        return str(cause)  # the settings' own check
    for flag, given in values.items():
        if not _fits(flags[flag], given):
            return f"{flag} takes {_describe(flags[flag])}; got {' '.join(map(repr, given)) or 'nothing'}"
    return _flatten(box)


def _flags(config_class: type) -> Iterator[tuple[str, Any]]:
    """Every flag with the type of its value."""
    kinds = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.init:
            name, kind = field.name.replace("_", "-"), kinds[field.name]
            yield f"--{name}", kind
            if kind is bool:
                yield f"--no-{name}", kind


def _options(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the type alone where it is none."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _describe(kind: Any) -> str:
    if len(_options(kind)) > 1:
        return " or ".join(_describe(option) for option in _options(kind))
    if kind is bool:
        return "no value (write it alone, or as --no-...)"
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if typing.get_origin(kind) in (tuple, list):
        return _WORDS.get(arguments[0], ("", "a list"))[1]
    return _WORDS.get(kind, (f"a {kind.__name__.lower()}", ""))[0]


def _fits(kind: Any, given: list[str]) -> bool:
    if len(_options(kind)) > 1:
        return any(_fits(option, given) for option in _options(kind))
    if kind is bool:
        return not given
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (tuple, list):
        return all(_fits(arguments[0], [value]) for value in given)
    if kind is type(None) or typing.get_origin(kind) is typing.Literal:
        return len(given) == 1 and given[0] in map(str, arguments or (None,))
    try:
        return len(given) == 1 and kind(given[0]) is not None
    except (ValueError, TypeError):
        return False


def _flatten(box: str) -> str:
    """tyro's box as one line: its first paragraph, without frame, colours and the pointer to --help."""
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = line.strip().strip("│|").strip()
        if lines and re.fullmatch(r"[─╰╯+-]+", text):
            break
        if text and text[0] not in "╭╰+─":
            lines.append(text)
    return " ".join(lines) or "these settings could not be read (--help lists all)"
