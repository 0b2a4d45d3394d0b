"""The layers of nar, kept true: imports point to earlier layers, nothing goes in a circle, light imports stay light."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"nar": "nar", "nar.datasets": "datasets", "nar.processors": "processors"}

# In a layer: its own modules and those of all layers before it may be imported. A module belongs to the longest name.
LAYERS = """
version lookup text_format
system
config device
recipes
traces
datasets
traces.formats
kernels
nn
processors
model
evaluation
results
training
inference
reports
analysis
experiments
cli __main__
"""
LAYER = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}
TABLES = {"nar.datasets", "nar.processors", "nar.datasets.canonical"}  # how the engine reaches algorithms and networks
# Modules that load neither PyTorch nor a reference: traces, and all that reads the files of runs.
LIGHT = ("nar.traces", "nar.datasets", "nar.reports", "nar.config", "nar.recipes", "nar.lookup", "nar.version")
HEAVY = {"torch", "torch_geometric", "jax", "tensorflow", "clrs"}
ENTRIES = 13  # of one folder, beside its __init__: about a dozen


def modules():
    """Every module of the package with its source file."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


MODULES = modules()


@functools.cache
def imports(path, top_level_only=False):
    """The modules that a file imports; from package import name counts as package.name where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if top_level_only and (typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            lazy |= set(ast.walk(node))
    found = set()
    for node in ast.walk(tree):
        if node in lazy:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import in line {node.lineno}; imports here are absolute"
            module = node.module or ""
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else module for name in names}
    return found


@functools.cache
def graph():
    """What every module imports of the others: read when it is first asked for, not by all who collect the tests."""
    return {name: imports(path) & MODULES.keys() for name, path in MODULES.items() if name != "nar"}


def layer(module):
    """The number of a module's layer: that of the longest name in LAYERS which it begins with."""
    parts = module.split(".")[1:]
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in LAYER:
            return LAYER[name]
    raise AssertionError(f"{module} is in no layer")


def test_the_reader_of_imports_sees_every_form(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "import torch.nn\nfrom nar.traces import spec\nfrom nar import datasets\n"
        "from nar.datasets import get, bellman_ford\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax\ndef f():\n    import scipy\n"
    )
    everything = {"torch.nn", "nar.traces.spec", "nar.datasets", "nar.datasets.bellman_ford", "typing", "scipy", "jax"}
    assert imports(file) == everything
    assert imports(file, top_level_only=True) == everything - {"scipy", "jax"}


@pytest.mark.parametrize("name", LAYER)
def test_a_layer_imports_from_earlier_layers_only(name):
    assert any(module == f"nar.{name}" or module.startswith(f"nar.{name}.") for module in MODULES)
    wrong = [
        f"{module} imports {target}"
        for module, targets in graph().items()
        if layer(module) == LAYER[name]
        for target in targets
        if target == "nar" or layer(target) > LAYER[name]
    ]
    assert not wrong


def test_the_engine_reaches_algorithms_and_networks_through_their_tables():
    for module, targets in graph().items():
        for target in targets:
            inside = target.startswith(("nar.datasets.", "nar.processors.")) and target not in TABLES
            assert not inside or module.split(".")[1] == target.split(".")[1], f"{module} imports {target}"


def test_no_import_goes_in_a_circle():
    done, path = set(), []

    def visit(name):
        assert name not in path, f"import cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for target in graph()[name]:
                visit(target)
            done.add(path.pop())

    for name in graph():
        visit(name)
    assert done == set(graph())


@pytest.mark.parametrize("light", LIGHT)
def test_what_reads_files_and_makes_traces_loads_no_pytorch(light):
    def visit(name, found):
        if name not in found:
            # pyg is PyTorch Geometric's: a module of its own, which nothing else loads
            found[name] = imports(MODULES[name], top_level_only=True)
            for target in found[name] & graph().keys():
                visit(target, found)
        return found

    for module in graph():
        if (module == light or module.startswith(f"{light}.")) and module != "nar.traces.formats.pyg":
            for name, targets in visit(module, {}).items():
                heavy = {target.split(".")[0] for target in targets} & HEAVY
                assert not heavy, f"{module} loads {heavy} by {name}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in (ROOT / "nar").rglob("*.py")}))
def test_a_folder_can_be_overlooked(folder):
    files = [p for p in folder.glob("*.py") if not p.stem.startswith("__")]
    entries = [*files, *(p for p in folder.iterdir() if (p / "__init__.py").exists())]
    assert len(entries) <= ENTRIES + (folder.name == "nar") * 6, f"{folder} has {len(entries)} entries"
    if folder.name != "nar":
        init = ast.parse((folder / "__init__.py").read_text())
        assert len(ast.get_docstring(init) or "") > 80 and len(init.body) == 1, f"{folder} does not say what is in it"


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_long_files_say_why(folder):
    for path in (ROOT / folder).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        reason = "long because" in (ast.get_docstring(ast.parse(text)) or "").lower()
        assert len(text.splitlines()) <= 300 or reason, f"{path} has {len(text.splitlines())} lines and no reason"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import nar", {"torch", "numba", "jax", "tensorflow", "matplotlib"}),
        ("import nar.datasets", {"torch", "jax", "tensorflow", "clrs", "matplotlib"}),
        (
            "import nar.datasets; [nar.datasets.get(n) for n in nar.datasets.names()]",
            {"torch", "jax", "tensorflow", "clrs"},
        ),
        ("import nar.processors", {"jax", "tensorflow", "clrs"}),
        ("import nar.experiments.jobs", {"torch", "numba", "matplotlib"}),  # what a worker of a sweep starts with
    ],
)
def test_what_an_import_leaves_unloaded(statement, absent):
    code = f"import sys; {statement}; print(*sorted(set(sys.argv[1:]) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *absent], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
