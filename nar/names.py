"""Unknown names: one line that says what was got, what was probably meant, and where the known names are listed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 12  # up to so many known names are printed where none of them resembles what was typed


def closest(got: str, known: Iterable[str]) -> str | None:
    """The known name that `got` most likely stands for, or None where nothing resembles it.

    Spelling comes first; then a name of which `got` is a part ("prim" for "mst_prim"), or which is a part of it.
    """
    folded = {name.lower().replace("-", "_"): name for name in known}
    key = got.lower().replace("-", "_")
    matches = difflib.get_close_matches(key, folded, n=1, cutoff=0.6)
    if not matches and len(key.strip("_")) >= 3:
        matches = [name for name in folded if key in name or (len(name) >= 3 and name in key)]
    return folded[matches[0]] if matches else None


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
