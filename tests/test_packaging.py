"""The wheel holds what the tree holds, under the names by which it is imported; a bare checkout says what to do."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"nar": "nar", "datasets": "nar/datasets", "processors": "nar/processors"}  # in the tree: in the wheel

SHIPPED = ["nar/reasoners/made_up/card.json", "nar/reasoners/made_up/model.safetensors"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in a wheel built from a copy of the tree, so that no build folder is left or reused; its
    metadata; and the wheel itself."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    for name in SHIPPED:  # whether or not any reasoner comes with nar now
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("made up")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "out"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (copy / "out").glob("neural_algorithmic_reasoning-*-py3-none-any.whl")
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    return names, metadata, built


def test_wheel_holds_the_tree_and_nothing_else(wheel):
    expected = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".json", ".toml", ".css", ".html", ".svg", ".md", ".safetensors"}
        or path.name == "py.typed"
    }
    assert {"nar/py.typed", "nar/model/rollout.py", "nar/datasets/bellman_ford.py"} <= expected
    assert {"nar/results/published.json", "nar/processors/mpnn.py"} <= expected
    found = {name for name in wheel[0] if ".dist-info/" not in name}
    assert found == expected | set(SHIPPED)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel[0])


def test_what_is_in_the_wheel_trains_and_reports(wheel, tmp_path):
    """Away from the tree, with nothing of nar but what is in the wheel."""
    with zipfile.ZipFile(wheel[2]) as archive:
        archive.extractall(tmp_path / "installed")
    settings = "--algo bfs --processor mpnn --hidden 4 --steps 1 --batch-size 2 --train-sizes 4 --val-samples 2 "
    settings += "--val-every 1 --eval-sizes 4 --eval-samples 2 --device cpu --threads 1 --out run"
    program = "import sys; from nar.cli import main; print(main.__file__); sys.exit(main.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "train", *settings.split()]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "NUMBA_DISABLE_JIT": "1"}  # in seconds
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"best.pt", "results.json", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert done.stdout.startswith(str(tmp_path / "installed"))


def test_the_list_of_packages_is_the_tree():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        ".".join((target, *path.parent.relative_to(ROOT / folder).parts)).replace("/", ".")
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(listed) == len(set(listed)) and set(listed) == folders
    for folder in FOLDERS:
        assert all((path.parent / "__init__.py").is_file() for path in (ROOT / folder).rglob("*.py"))


def test_metadata(wheel):
    lines = wheel[1].splitlines()
    assert "Name: neural-algorithmic-reasoning" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert "Requires-Python: >=3.11" in lines
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")}
    assert {"clrs", "test", "dev"} <= extras


def test_every_import_is_a_declared_requirement():
    """What nar imports from outside is in the dependencies or, for optional parts, in an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    declared = {
        r.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip().replace("-", "_") for r in requirements
    }
    if "pillow" in declared:
        declared.add("PIL")
    if "dm_clrs" in declared:
        declared.add("clrs")
    used = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used.add((node.module or "").split(".")[0])
    assert used - declared - set(sys.stdlib_module_names) - {"nar"} == set()


@pytest.mark.parametrize("folder", ["datasets", "processors"])
def test_the_folders_refuse_their_bare_names(folder):
    """`import datasets` in a checkout must not quietly give our folder to somebody who wants Hugging Face's package."""
    done = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f"nar.{folder}" in done.stderr and "pip install -e ." in done.stderr


def test_an_uninstalled_checkout_says_what_to_run():
    command = [sys.executable, "-S", "train.py", "--algo", "bellman_ford"]  # -S: without installed packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "pip install -e ." in done.stderr
