"""Files that are whole or not there: written in one move, read with their shape checked, by one process at a time.

A file is written to a temporary name beside it and renamed, so that a crash or a full disk never costs what was there.
Whoever writes into a folder of results holds its lock, which the system frees when its process ends, however it does;
the temporary files that are found by whoever holds it are of processes that were killed, and are cleared away.
"""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from nar.system.shapes import misfit

try:
    import fcntl
except ImportError:  # Windows: folders are not locked there
    fcntl = None

LOCK = ".lock"
PATIENCE = 2.0  # seconds, in which another process has written its entry
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def write(path: Path, put: Callable[[BinaryIO], Any]) -> None:
    """Create or replace `path` in one move; on failure the old file stays and OSError names the path."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                put(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except RuntimeError as error:  # PyTorch's zip writer hides the system's error
            reason = error.__context__ if isinstance(error.__context__, OSError) else None
            raise OSError(reason.errno if reason else None, f"could not write {path}: {error}") from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The same of a text; what UTF-8 has no bytes for, such as half of a surrogate pair, is written as \\udc80."""
    write(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))


def write_json(path: Path, value: Any) -> None:
    """The same of what JSON can hold."""
    write_text(path, json_text(value, indent=1) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON as strict readers take it: NaN and infinity, for which it has no words, are null."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda word: None)
        return json.dumps(finite, indent=indent)


def read_json(path: Path, what: str, kind: Any, advice: str) -> Any:
    """What a JSON file holds, of the type `kind` (shapes.py). ValueError names the file: it is not `what`, and why not.

    FileNotFoundError where there is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or one that is nested a thousand deep
        reason = "it is nested too deep" if isinstance(error, RecursionError) else f"it is no JSON ({error})"
        raise ValueError(f"{path} is truncated or damaged: {reason}; {advice}") from None
    if wrong := misfit(found, kind):
        raise ValueError(f"{path} is not {what}: {wrong}; {advice}")
    return found


def content(folder: Path) -> list[Path]:
    """What a folder holds beside locks and what killed processes have left."""
    return [path for path in folder.iterdir() if path.name != LOCK and not _TEMPORARY.fullmatch(path.name)]


@contextlib.contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """While it lasts, no other process has this folder, which is made if need be, and taken away again if it is empty.

    ValueError where another one has it, also after so many seconds. The files of killed processes are cleared away.
    """
    if folder.is_symlink() and not folder.exists():
        raise ValueError(f"{folder} is a link to {os.readlink(folder)}, which is not there")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock, until = folder / LOCK, time.monotonic() + wait
    try:
        while (file := _taken(lock)) is None:
            if time.monotonic() >= until:
                raise ValueError(
                    f"{folder} is in use by another process{_owner(lock)}, and two would mix their results: wait until "
                    "it has ended, or choose another folder with --out"
                )
            time.sleep(0.02)
        with file:
            try:
                for left in folder.iterdir():
                    if _TEMPORARY.fullmatch(left.name):
                        left.unlink(missing_ok=True)
                yield
            finally:
                with contextlib.suppress(OSError):
                    lock.unlink()
    finally:
        with contextlib.suppress(OSError):  # one that is not empty
            for folder in made:
                folder.rmdir()


def _taken(lock: Path) -> TextIO | None:
    """The file of the lock, open, while this process has it; None where another one has."""
    file = open(lock, "a+", encoding="utf-8")
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:  # a file system that has no locks
        return file
    try:
        current = os.path.samestat(os.fstat(file.fileno()), lock.stat())
    except FileNotFoundError:
        current = False
    if not current:  # whoever had it before has just taken its file away
        file.close()
        return _taken(lock)
    file.truncate(0)
    file.write(f"number {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def _owner(lock: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" ({lock.read_text(encoding='utf-8')})"
    return ""
