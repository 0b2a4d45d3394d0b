"""What a machine may do to a run without stopping it: damaged caches, closed streams, odd names, settings of others."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nar.config import Config
from nar.experiments.sweep import directory_name

STEPS = """
from nar.traces.record import compiled

@compiled
def double(x):
    return 2 * x
"""


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "folder"])
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
def test_damaged_files_in_the_cache_of_compiled_code(tmp_path, monkeypatch, damage, ending):
    """Machine code would be run as it is, and numba stops at an index that it cannot read."""
    (tmp_path / "steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "steps", raising=False)
    assert importlib.import_module("steps").double(3) == 6
    cached = [path for path in (tmp_path / "__pycache__").iterdir() if path.suffix == ending]
    assert cached
    for path in cached:
        data = bytearray(path.read_bytes())
        if damage == "flip":
            for place in range(0, len(data), 50):
                data[place] ^= 255
        kinds = {"cut": data[: len(data) // 2], "flip": data, "text": b"hello", "empty": b"", "folder": b""}
        path.unlink()
        path.mkdir() if damage == "folder" else path.write_bytes(kinds[damage])
    del sys.modules["steps"]
    assert importlib.import_module("steps").double(4) == 8
    del sys.modules["steps"]


def test_streams_that_are_closed_and_a_window_system_that_is_not_there(tmp_path):
    settings = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "COLUMNS": "1"}
    line = f"{sys.executable} -m nar show bfs --n 4 --out a.svg <&- >&- 2>&-"
    found = subprocess.run(line, shell=True, cwd=tmp_path, env=settings, check=False)
    assert found.returncode == 0 and (tmp_path / "a.svg").read_text().startswith("<svg")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
def test_a_path_that_is_not_utf8_and_somebody_elses_settings_of_matplotlib(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: module://nowhere\n")
    name = os.fsencode(tmp_path) + b"/\xff.svg"
    words = [sys.executable, "-m", "nar", "show", "bfs", "--n", "4", "--out", name]
    found = subprocess.run(words, capture_output=True, cwd=tmp_path, check=False)
    assert found.returncode == 0 and b"udcff.svg" in found.stdout and os.path.isfile(name)


def test_a_terminal_that_is_one_letter_wide(tmp_path):
    settings = os.environ | {"COLUMNS": "1"}
    words = [sys.executable, "-m", "nar", "train", "--help"]
    assert subprocess.run(words, env=settings, capture_output=True, check=False, timeout=100).returncode == 0


def test_thirty_algorithms_have_a_directory_that_can_be_made(tmp_path):
    from nar import datasets

    config = Config(algo=tuple(datasets.names()))
    for name in (config.run_dir.name, directory_name(config, {"option": ("a" * 300,)})):
        (tmp_path / name).mkdir()
        assert name.endswith("seed42") or "-seed42-" in name
    other = Config(algo=tuple(datasets.names())[::-1])
    assert other.run_dir != config.run_dir
    assert Config(algo="bfs").run_dir.name == "bfs-triplet_gmpnn-seed42"


def test_no_file_is_read_or_written_in_the_encoding_of_the_machine():
    root, found = Path(__file__).resolve().parents[1], []
    for folder in ("nar", "datasets", "processors"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
                    continue
                named = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                owner = getattr(getattr(node.func, "value", None), "id", "")
                modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                binary = any("b" in mode and len(mode) <= 3 for mode in modes)
                if named in ("open", "read_text") and owner not in ("os", "Image") and not binary:
                    found.append(f"{path.relative_to(root)}:{node.lineno}")
                if named == "write_text" and isinstance(node.func, ast.Attribute) and owner != "files":
                    found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert not found


def test_a_home_directory():
    assert Config(out="~/runs").out == Config(out=os.path.expanduser("~/runs")).out
