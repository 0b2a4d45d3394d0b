"""Names that users give: what they stand for, and one line about those that stand for nothing.

The line says what was got, what was probably meant, and where the known names are listed.
"""

import contextlib
import difflib
import importlib
import importlib.metadata
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

PYG = "torch_geometric"
LISTED = 12  # up to so many known names are printed where none of them resembles what was typed


def closest(got: str, known: Iterable[str]) -> str | None:
    """The known name that `got` most likely stands for, or None where nothing resembles it.

    Spelling comes first; then initials ("lr" for "learning_rate"); then a name of which `got` is a part ("prim" for
    "mst_prim"), or which is a part of it.
    """
    folded = {_fold(name): name for name in known}
    key = _fold(got)
    matches = difflib.get_close_matches(key, folded, n=1, cutoff=0.55)  # lets "agl" find "algo"
    if not matches and len(key) >= 2:
        matches = [name for name in folded if key == "".join(word[:1] for word in name.split("_"))]
    if not matches and len(key) >= 3:
        matches = [name for name in folded if key in name or (len(name) >= 3 and name in key)]
    return folded[matches[0]] if matches else None


def _fold(name: str) -> str:
    """What is compared: without case, dashes of a flag, and the difference between dashes and underscores."""
    return name.lower().replace("-", "_").strip("_")


def suggest(kind: str, got: str, known: Iterable[str], hint: str = "") -> str:
    """The message for an unknown name, without a full stop, to be raised as ValueError by the caller.

    `kind` is what the name should have named ("algorithm", "flag"), `hint` the command that lists the known ones.

    >>> suggest("algorithm", "belman_ford", ["bfs", "bellman_ford"], "nar list")
    "unknown algorithm 'belman_ford'; did you mean 'bellman_ford'? (nar list)"
    """
    known = list(known)
    match = closest(got, known)
    if match is not None:
        rest = f"; did you mean {match!r}?"
    elif 0 < len(known) <= LISTED:
        rest = f"; known: {', '.join(known)}"
    else:
        rest = ""
    return f"unknown {kind} {got!r}{rest}" + (f" ({hint})" if hint else "")


def addressed(kind: str, address: str, example: str) -> Any:
    """What `module:Name` stands for; ValueError says what is wrong with it, or which name was probably meant.

    `kind` is what it should be ("processor"), `example` an address of the right form.
    """
    module_name, name = address.split(":", 1)
    if not all(part.isidentifier() for part in module_name.split(".")) or not name.isidentifier():
        raise ValueError(f"{kind} {address!r} is not of the form module:Name, as in {example}")
    try:
        with _one_line_about_companions():
            module = importlib.import_module(module_name)
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == "<module>"]
        loading = any(frame.f_globals.get("__name__", "").split(".")[0] == PYG for frame in frames)
        if loading or getattr(error, "name", None) == PYG:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ValueError(
                f"{kind} {address!r} needs PyTorch Geometric, which does not load ({reason}): install a "
                f"torch_geometric that fits PyTorch {importlib.metadata.version('torch')}"
            ) from error
        if not isinstance(error, ModuleNotFoundError):
            raise
        if error.name is None or not module_name.startswith(error.name):
            raise  # the module exists; something that it imports does not
        raise ValueError(
            f"{kind} {address!r}: no module named {error.name!r}; run from the folder that holds it or set PYTHONPATH"
        ) from error
    if not hasattr(module, name):
        meant = difflib.get_close_matches(name, [known for known in dir(module) if not known.startswith("_")], 1)
        rest = f"; did you mean '{module_name}:{meant[0]}'?" if meant else ""
        raise ValueError(f"{kind} {address!r}: {name} in {module_name} is not found{rest}")
    return getattr(module, name)


def address_of(got: str) -> str | None:
    """The address that a name without a colon was probably meant to be: my_module.Mine, a layer's bare name."""
    if re.fullmatch(r"[A-Z]\w*Conv", got):
        return f"{PYG}.nn:{got}"
    module, dot, name = got.rpartition(".")
    return f"{module}:{name}" if dot and name.isidentifier() else None


@contextlib.contextmanager
def _one_line_about_companions() -> Iterator[None]:
    """PyTorch Geometric goes on without those of its binary companions (torch_scatter, pyg_lib, ...) that do not load,
    and prints a paragraph about each; here they are named in one line."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    lost = []
    for one in caught:
        if found := re.match(r"An issue occurred while importing '([\w-]+)'.*?: *(.*)", str(one.message), re.S):
            lost.append(f"{found[1]} ({' '.join(found[2].split())[:80]})")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)
    if lost:
        print(f"PyTorch Geometric goes on without {', '.join(lost)}", file=sys.stderr)
