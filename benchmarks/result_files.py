"""Result files of the speed benchmarks: one row for every measurement, written as soon as it is made.

A row is told from others by its settings (`identity`, a tuple of the row's keys). It is measured again where the file
has none of these settings, or one made by other versions or on another CPU: `--keep` is content with any version,
`--again` with none.
"""

from __future__ import annotations

import csv
import json
import pathlib

MADE_BY = ("sources", "torch", "cpu", "peer")  # keys of row["versions"] whose change makes a row old


def load(path):
    """The file's content, or an empty result."""
    return json.loads(path.read_text()) if path.is_file() else {"rows": []}


def save(path, result):
    """Replace the file in one move."""
    temporary = pathlib.Path(f"{path}.tmp")
    temporary.write_text(json.dumps(rounded(result), indent=1) + "\n")
    temporary.replace(path)


def write_csv(path, columns, rows):
    """Replace a table in one move."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def find(rows, settings, identity):
    """The row of these settings, or None."""
    return next((row for row in rows if all(row.get(key) == settings.get(key) for key in identity)), None)


def put(rows, row, identity):
    """The rows with this one added, or in the place of the one with its settings."""
    if find(rows, row, identity) is None:
        return [*rows, row]
    return [row if all(old.get(key) == row.get(key) for key in identity) else old for old in rows]


def wanted(rows, settings, versions, identity, *, again=False, keep=False):
    """Must this be measured?"""
    row = find(rows, settings, identity)
    if row is None or again:
        return True
    return not keep and any(row["versions"].get(name) != versions.get(name) for name in MADE_BY)


def add_flags(parser, default):
    """The flags that say which rows are measured, and where they are kept."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--again", action="store_true", help="measure also what is recorded")
    which.add_argument("--keep", action="store_true", help="keep what is recorded, whichever version it was made by")
    parser.add_argument("--output", type=pathlib.Path, default=default)


def rounded(value):
    """Floats with four significant digits, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
