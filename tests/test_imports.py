"""The picture of the flow, kept true: imports point left only, and light imports stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"nar": "nar", "nar.datasets": "datasets", "nar.processors": "processors"}

# What a file in each folder may import from nar, beside the other files of the same folder.
ALLOWED = {
    "nar.datasets": {
        "spec",
        "trace",
        "algorithm",
        "record",
        "graphs",
        "families",
        "arrays",
        "strings",
        "points",
        "names",
    },
    "nar.processors": {
        "spec",
        "process",
        "aggregate",
        "aggregators",
        "recurrent",
        "monoid",
        "semiring",
        "asynchrony",
        "units",
        "neighbourhood",
        "mapped",
        "edge_states",
        "layers",
        "names",
    },
}
DOORS = {"nar.datasets.canonical"}  # beside the tables: the fixed sets, which belong to no single algorithm
WITHOUT_TORCH = {
    "spec",
    "trace",
    "runs",
    "algorithm",
    "record",
    "graphs",
    "families",
    "arrays",
    "strings",
    "points",
    "names",
    "console",
    "results",
    "statistics",
    "labels",
    "comparability",
    "published",
    "markdown",
    "study",
    "study_sections",
    "study_overview",
    "study_csv",
    "study_report",
    "report",
    "report_command",
    "report_figures",
    "figures",
    "page",
    "page_axis",
    "page_chart",
    "page_compare",
    "page_cost",
    "page_errors",
    "page_faithfulness",
    "faithfulness_file",
    "faithfulness_means",
    "page_heat",
    "page_hints",
    "page_html",
    "page_legend",
    "page_made",
    "page_measures",
    "page_score",
    "page_settings",
    "page_steps",
    "page_summary",
    "page_termination",
    "page_training",
    "page_view",
    "figures_parts",
    "figures_rollout",
    "figures_score",
    "figures_training",
    "archive",
    "text",
    "show",
    "drawing",
    "svg",
    "comparison",
    "weights",
    "panels",
    "graph_panels",
    "box_panels",
    "table_panels",
    "layout",
    "protocol",
    "axes",
    "text_form",
    "text_parser",
    "text_reader",
}


def modules():
    """Every module of the package with its source file."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).glob("*.py")):
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found


MODULES = modules()


def imports(path, top_level_only=False):
    """The modules that a file imports; from package import name counts as package.name where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if typing_only or (top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
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
            found |= {name if name in MODULES or name in FOLDERS else module for name in names}
    return found


def test_the_reader_of_imports_sees_every_form(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "import torch.nn\nfrom nar.traces import spec\nfrom nar import datasets\n"
        "from nar.datasets import get, bellman_ford\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax\ndef f():\n    import scipy\n"
    )
    everything = {"torch.nn", "nar.traces.spec", "nar.datasets", "nar.datasets.bellman_ford", "typing", "scipy"}
    assert imports(file) == everything
    assert imports(file, top_level_only=True) == everything - {"scipy"}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(("nar.datasets", "nar.processors"))])
def test_datasets_and_processors_import_from_the_left_only(name):
    package = ".".join(name.split(".")[:2])
    for target in imports(MODULES[name]):
        if target.split(".")[0] == "nar" and not target.startswith(package):
            assert target.removeprefix("nar.") in ALLOWED[package], f"{name} imports {target}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") == 1 and name not in FOLDERS])
def test_the_engine_reaches_algorithms_and_networks_through_their_tables(name):
    for target in imports(MODULES[name]):
        inside = target.startswith(("nar.datasets.", "nar.processors."))
        assert not inside or target in DOORS, f"{name} imports {target}"


def test_no_import_cycles():
    graph = {name: imports(path, top_level_only=True) & MODULES.keys() for name, path in MODULES.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"import cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for target in graph[name]:
                visit(target)
            done.add(path.pop())

    for name in graph:
        visit(name)
    assert done == set(MODULES)


@pytest.mark.parametrize("name", [f"nar.{stem}" for stem in sorted(WITHOUT_TORCH)] + ["nar"])
def test_files_of_the_data_model_never_import_torch(name):
    heavy = {target.split(".")[0] for target in imports(MODULES[name])} & {
        "torch",
        "torch_geometric",
        "jax",
        "tensorflow",
    }
    assert not heavy or name == "nar"  # nar's own names are loaded on demand
    assert not {t.split(".")[0] for t in imports(MODULES[name], top_level_only=True)} & {"torch", "torch_geometric"}


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
    ],
)
def test_what_an_import_leaves_unloaded(statement, absent):
    code = f"import sys; {statement}; print(*sorted(set(sys.argv[1:]) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *absent], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
