"""Recording: how a compiled algorithm writes down its steps.

The steps read like the textbook: a function `steps(trace, ...)` under `@compiled` that calls `record(trace, ...)` with
its hints at every moment that matters and returns the outputs, both in the spec's order. `record` copies at once.
(A numba generator that yields its hints would read as well, but numba 0.68 never frees its arguments.)
"""

import contextlib
import copy
import functools
import hashlib
import inspect
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numba.core.errors
import numba.extending
import numpy as np

from nar.system import files
from nar.traces.run_length import RunLengthArray

TOO_LONG = "more steps than the bound of the algorithm allows"


class TraceRecorder:
    """Room for the hints of one run, which `record` fills.

    `trace` is what a compiled algorithm is handed: [moments so far, most that there may be], and for every hint either
    rows [R, ...] or, for hints kept as a RunLengthArray, (values [R, ...], index [R], how many values so far). Moments
    beyond the R rows are counted but not kept: `length` then says so, and the run is made again with room for all.
    """

    def __init__(self, layout: Sequence[tuple[tuple[int, ...], type, bool]], rows: int, most: int) -> None:
        # Memory that is never written to is never really taken: rows may be many.
        buffers = tuple(
            (np.empty((rows, *shape), dtype), np.empty(rows, np.int32), np.zeros(1, np.int64))
            if is_run_length
            else np.empty((rows, *shape), dtype)
            for shape, dtype, is_run_length in layout
        )
        self.trace = np.array([0, most]), buffers

    @property
    def length(self) -> int:
        return int(self.trace[0][0])

    def hints(self) -> list[np.ndarray | RunLengthArray]:
        """What was written down, by hint; without the empty rows."""
        return [
            RunLengthArray(_kept(b[0], int(b[2][0])), _kept(b[1], self.length))
            if isinstance(b, tuple)
            else _kept(b, self.length)
            for b in self.trace[1]
        ]


def _kept(rows: np.ndarray, count: int) -> np.ndarray:
    # A view keeps the whole buffer alive: worth it only when most of it is used.
    return rows[:count] if 2 * count > len(rows) else rows[:count].copy()


def record(trace, *hints):
    """Write down one snapshot: the hints of the spec, in its order. Compiled code runs the overload below instead."""
    step, buffers = trace
    moment = step[0]
    step[0] += 1
    if moment >= step[1]:
        raise IndexError(TOO_LONG)
    if moment >= len(buffers[0][0] if isinstance(buffers[0], tuple) else buffers[0]):
        return
    for buffer, hint in zip(buffers, hints, strict=True):
        if isinstance(buffer, tuple):
            values, index, count = buffer
            if count[0] == 0 or np.any(values[count[0] - 1] != hint):
                values[count[0]] = hint
                count[0] += 1
            index[moment] = count[0] - 1
        else:
            buffer[moment] = hint


@numba.njit
def _differ(last, hint):
    for i in range(hint.shape[0]):
        difference = False
        for j in range(hint.shape[1]):  # without a way out in the middle: the processor compares many at once
            difference |= last[i, j] != hint[i, j]
        if difference:
            return True
    return False


@numba.extending.overload(record)
def _record(trace, *hints):
    # numba cannot loop over arrays of several types: the loop is written out.
    buffers = trace[1]
    if len(hints) != len(buffers):
        raise numba.core.errors.TypingError(f"record got {len(hints)} hints, the spec has {len(buffers)}")
    lines = [
        "def write(trace, *hints):",
        "    step, buffers = trace",
        "    moment = step[0]",
        "    step[0] = moment + 1",
        "    if moment >= step[1]:",
        f"        raise IndexError({TOO_LONG!r})",
        "    if moment >= len(ROWS):",
        "        return",
    ]
    for k, buffer in enumerate(buffers):
        if isinstance(buffer, numba.types.BaseTuple):
            lines += [
                f"    values{k}, index{k}, count{k} = buffers[{k}]",
                f"    if count{k}[0] == 0 or differ(values{k}[count{k}[0] - 1], hints[{k}]):",
                *_copied(k, f"values{k}[count{k}[0]]", buffer[0].ndim - 1, hints[k], " " * 8),  # pyright: ignore[reportArgumentType]
                f"        count{k}[0] += 1",
                f"    index{k}[moment] = count{k}[0] - 1",
            ]
        else:
            lines += _copied(k, f"buffers[{k}][moment]", buffer.ndim - 1, hints[k])
    rows = "buffers[0][0]" if isinstance(buffers[0], numba.types.BaseTuple) else "buffers[0]"
    scope: dict[str, Any] = {"differ": _differ}
    exec("\n".join(lines).replace("ROWS", rows), scope)
    return scope["write"]


def _copied(k: int, place: str, axes: int, hint: Any, indent: str = " " * 4) -> list[str]:
    """Lines that copy hint number `k`, of the numba type `hint`, to a place with so many axes.

    Loops instead of `place[...] = hint`, for which numba compiles a message about shapes, and with it all its strings:
    a third of the time that compiling an algorithm takes.
    """
    if not isinstance(hint, numba.types.Array):  # one number, be it for all of the place
        return [f"{indent}{place} = hints[{k}]"]
    lines = [
        f"{indent}place{k}, hint{k} = {place}, hints[{k}]",
        f"{indent}if place{k}.shape != hint{k}.shape:",
        f"{indent}    raise ValueError('a hint has not the shape that the spec says')",
    ]
    for axis in range(axes):
        lines.append(f"{indent}{'    ' * axis}for i{axis} in range(place{k}.shape[{axis}]):")
    index = ", ".join(f"i{axis}" for axis in range(axes))
    return [*lines, f"{indent}{'    ' * axes}place{k}[{index}] = hint{k}[{index}]"]


def compiled(function: Callable | None = None, **options: Any) -> Callable:
    """numba's njit (with its `options`) and its file cache, or none where no directory for it can be written.

    numba notices changes of the function's own file by time and size. Its name in the cache is completed by a digest of
    that file and of those whose helpers it calls, so that it can never be stale.
    """
    if function is None:
        return functools.partial(compiled, **options)
    digest = hashlib.sha256()
    for file in sorted(_sources(function)):
        digest.update(pathlib.Path(file).read_bytes())
    name = f"{function.__name__}_{digest.hexdigest()[:12]}"
    function.__qualname__ += name.removeprefix(function.__name__)
    try:
        cached = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba: no locator available
        return numba.njit(**options)(function)
    if not hasattr(cached, "stats"):  # numba is told to compile nothing
        return cached

    @functools.wraps(function)
    def first_call(*arguments):
        nonlocal call
        folder, before = pathlib.Path(cached.stats.cache_path or ""), copy.deepcopy(arguments)
        try:
            _check_cache(folder, name)
            result = cached(*arguments)
            call = cached
            _check_cache(folder, name)
        except Exception:  # the cache's disk is full or was taken away, or a file is damaged; else it is raised again
            for file in folder.glob(f"*{name}*") if folder.is_dir() else ():
                with contextlib.suppress(OSError):
                    file.unlink()
            call = numba.njit(**options)(function)
            _restore(arguments, before)
            result = call(*arguments)
        return result

    call = first_call
    return functools.wraps(function)(lambda *arguments: call(*arguments))


def _restore(arguments: Any, before: Any) -> None:
    """Every array among the arguments as it was, so that what was recorded is not recorded twice."""
    if isinstance(arguments, np.ndarray):
        np.copyto(arguments, before)
    elif isinstance(arguments, tuple):
        for now, then in zip(arguments, before, strict=True):
            _restore(now, then)


def _check_cache(folder: pathlib.Path, name: str) -> None:
    """Take away the files of this name in numba's cache if one is not what it was; remember the sums of new ones.

    numba does not look whether what it loads is whole, and damaged machine code would end the process.
    """
    sums, found = folder / f"{name}.sums", {}
    for file in folder.glob(f"*{name}-*.nb?"):
        found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        known = dict(line.split(" ", 1)[::-1] for line in sums.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        known = {}
    if any(known[file] != found[file] for file in found.keys() & known.keys() if not file.endswith(".nbi")):
        for file in [*found, sums.name]:
            (folder / file).unlink(missing_ok=True)
    elif found != known and found:
        files.write_text(sums, "".join(f"{sha256} {file}\n" for file, sha256 in found.items()))


def _sources(function: Callable) -> set[str]:
    """Files that compiled code of this function comes from: its own, and those of the modules and helpers it names."""
    named = [function.__globals__.get(name) for name in function.__code__.co_names]
    files = {__file__, function.__code__.co_filename}
    for value in named:
        if inspect.ismodule(value):
            files.add(getattr(value, "__file__", None) or "")
        elif helper := getattr(value, "py_func", None):
            files.add(helper.__code__.co_filename)
    # a notebook's cell is no file; of the libraries used, numba's cache knows nothing either
    return {file for file in files if file.endswith(".py") and os.path.exists(file) and "site-packages" not in file}
