"""The command line as people meet it: flags read from a settings dataclass, and every mistake answered in one line.

tyro does the reading and prints `--help`. Where it finds a mistake it prints a box of several lines; here that box
is caught and one line is written in its place, with a suggestion for a misspelt flag. Exit code 2 either way.
"""

import contextlib
import dataclasses
import errno
import io
import os
import re
import shutil
import sys
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from nar.lookup import suggest
from nar.system.shapes import in_words
from nar.text_format import printable

Settings = TypeVar("Settings")

SWITCH = "no value (write it alone, or as --no-...)"
_NOT_ALLOWED = "; choose a directory that you may write to"
_NO_SPACE = "; free some space and resume: what was already written is intact"
_ADVICE = dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NOT_ALLOWED)
_ADVICE |= dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _NO_SPACE)


def parse(
    kind: type[Settings],
    argv: Sequence[str],
    prog: str,
    description: str | None = None,
    default: Settings | None = None,
) -> Settings:
    """Reads `argv` into an instance of the dataclass `kind`; a mistake ends the program with one line, code 2.

    Every field is a flag: `--learning-rate 0.001` (underscores are read as dashes), `--resume` or `--no-resume` for
    a bool, `--eval-sizes 16 32` for a tuple. Nothing is positional; what is not given is as in `default`. A ValueError
    from the class's own `__post_init__` is reported by its own message.
    """
    import tyro  # 0.1 s, and only the command line needs it

    flags = split(argv)[1]
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    several = {flag(field.name) for field in fields if str(field.type).startswith("tuple")}
    names = [name for name, _ in flags]
    if twice := next((name for name in names if names.count(name) > 1), None):
        advice = f"; give several values after one {twice}" if twice in several else ""
        fail(f"{twice} is given twice, and only the last would count{advice}", prog)
    if empty := next((name for name, values in flags if any(not value.strip() for value in values)), None):
        fail(f"{empty} is given an empty value", prog)
    for name, values in flags:
        if name in several and (twice := next((v for v in values if values.count(v) > 1), None)):
            fail(f"{name} names {twice} twice", prog)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            known: dict[str, Any] = {} if default is None else {"default": default}
            return tyro.cli(kind, args=list(argv), prog=prog, description=description, **known)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        fail(_mistake(kind, argv, stop) or box.getvalue(), prog)


def parse_named(
    kind: type[Settings], argv: Sequence[str], prog: str, description: str, takes: str, several: bool = False
) -> tuple[list[str], Settings]:
    """The names that come before the flags, one or `several`, and the flags as `parse` reads them.

    `takes` says what the names are, with an example, to whoever leaves them away.
    """
    names = split(argv)[0][: None if several else 1]
    places = [os.path.realpath(name) if os.path.exists(name) else name for name in names]
    if twice := next((name for name, place in zip(names, places, strict=True) if places.count(place) > 1), None):
        raise ValueError(f"{twice} is given twice to {prog}")
    if not names and not {"-h", "--help"} & set(argv):
        raise ValueError(f"{prog} takes {takes}")
    return names, parse(kind, argv[len(names) :], prog, description)


def differ(name: str, values: Sequence[Any], meaning: Callable[[Any], Any]) -> None:
    """ValueError where two values of a flag mean the same, by `meaning`."""
    meant = [meaning(value) for value in values]
    if twice := next((value for value in meant if meant.count(value) > 1), None):
        raise ValueError(f"{name} names {twice} twice")


def flag(name: str) -> str:
    """The flag of a setting."""
    return f"--{name.replace('_', '-')}"


def split(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The words before the first flag; the flags in their order, each with the words up to the next one."""
    words: list[str] = []
    flags: list[tuple[str, list[str]]] = []
    for word in argv:
        if re.match(r"--?[A-Za-z]", word):  # a negative number is a value
            name, equals, value = word.partition("=")
            flags.append((name.replace("_", "-"), [value] if equals else []))
        else:
            (flags[-1][1] if flags else words).append(word)
    return words, flags


def fail(message: str, prog: str = "nar") -> NoReturn:
    """Ends the program with one line on stderr and exit code 2."""
    print(f"{prog}: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(2)


def usable_surroundings() -> None:
    """Streams that were closed before the start lead nowhere, for the next file to be opened would get their numbers;
    others write what they have no bytes for, such as a path that is not UTF-8, as its number. Lines have room for a
    word, and matplotlib need not know the window system of whoever started this: nothing here opens a window.
    """
    os.environ["MPLBACKEND"] = "agg"
    if shutil.get_terminal_size().columns < 40:
        os.environ["COLUMNS"] = "40"
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | RuntimeError) and not os.environ.get("NAR_DEBUG"):
            if not isinstance(error, MemoryError) and not re.search("out of memory|can't allocate memory", str(error)):
                raise
            reason = str(error).splitlines()[0][:200] if str(error) else "memory is full"
            fail(f"there is too little memory ({reason}): choose a smaller batch, width or graphs")
        if os.environ.get("NAR_DEBUG") or isinstance(error, MemoryError | RuntimeError):
            raise
        message = str(error) or type(error).__name__
        if isinstance(error, OSError):
            if error.errno is not None:
                path = error.filename2 or error.filename
                where = f": {path}" if path is not None else ""
                message = f"{os.strerror(error.errno).lower()}{where}{_ADVICE.get(error.errno, '')}"
        elif (raised := _raised_in(error))[0] != "nar":  # whose own messages are worded for the user
            message += f" ({raised[1]}; NAR_DEBUG=1 shows the traceback)"
        fail(message, prog)


def _raised_in(error: BaseException) -> tuple[str, str]:
    """The package whose code raised an exception, and the place in words."""
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    place = f"{os.path.basename(frame.f_code.co_filename)}, line {line}, in {frame.f_code.co_name}"
    return frame.f_globals.get("__name__", "").split(".")[0], place


def _mistake(kind: type, argv: Sequence[str], stop: SystemExit) -> str | None:
    """What is wrong with `argv`, looked for in the order in which a reader would: flags, what they mean, their values.

    A value is wrong if tyro cannot read its flag alone. None where all of this is fine.
    """
    import tyro

    hints = typing.get_type_hints(kind)
    kinds = {flag(field.name): hints[field.name] for field in dataclasses.fields(kind)}
    kinds |= {f"--no-{name[2:]}": bool for name in kinds if kinds[name] is bool}
    words, flags = split(argv)
    if unknown := next((name for name, _ in flags if name not in kinds), None):
        return suggest("flag", unknown, kinds, "--help lists all")
    if words:
        return f"unexpected {words[0]!r}: settings are given by name, as in {next(iter(kinds))} VALUE"
    if check := _own_check(stop):
        return check
    for name, values in flags:
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                tyro.cli(kind, args=[name, *values])
        except SystemExit as alone:
            if not _own_check(alone):
                wanted = SWITCH if kinds[name] is bool else in_words(kinds[name])
                return f"{name} takes {wanted}; got {' '.join(map(repr, values)) or 'nothing'}"
    return None


def _own_check(stop: SystemExit) -> str | None:
    """The message of the settings' own check, where that, and not tyro, found the mistake."""
    cause = stop.__context__
    return str(cause) if isinstance(cause, ValueError) and _raised_in(cause)[0] != "tyro" else None
