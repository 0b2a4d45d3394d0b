"""PyTorch Geometric and its binary companions in versions that do not fit: one line where they can be done without."""

import os
import subprocess
import sys

import pytest

from nar import processors

SYMBOL = "/lib/_scatter.so: undefined symbol: _ZN5torch3jit17parseSchemaOrNameERKSs"
ERRORS = {
    "torch_scatter": f"OSError({SYMBOL!r})",
    "torch_sparse": "AttributeError(\"module 'torch' has no attribute 'x'\")",
    "torch_cluster": "RuntimeError('compiled with\\nanother CUDA')",
    "torch_spline_conv": f"ImportError({SYMBOL!r})",  # which PyTorch Geometric takes for one that is not installed
    "pyg_lib": "SystemError('initialization failed')",
}
TRAINED = """
import networkx, nar
from nar.cli import list
print(nar.load('bfs').run(networkx.path_graph(3), source=0).valid)
print(list._about("nar.processors.lcm:LCM") != "")
"""
ASKED = """
import torch
from nar import processors
from nar.cli import console
with console.errors():
    layer = processors.build("torch_geometric.nn:SAGEConv", 8)
    print(sum(parameter.numel() for parameter in layer.parameters()) > 0, processors.find("lcm")[0].__name__)
"""


def said(code, folder):
    """Exit code, and lines of stdout and stderr, where `folder` holds the libraries."""
    settings = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-c", code]
    found = subprocess.run(words, env=settings, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    return found.returncode, found.stdout.splitlines(), found.stderr.splitlines()


def test_companions_that_do_not_load_are_done_without(tmp_path):
    for name, error in ERRORS.items():
        (tmp_path / f"{name}.py").write_text(f"raise {error}\n")
    code, out, err = said(ASKED, tmp_path)
    assert (code, out) == (0, ["True LCM"]), err
    assert len(err) == 1 and err[0].startswith("PyTorch Geometric goes on without pyg-lib (initialization failed), ")
    assert f"torch-scatter ({SYMBOL[:80]})" in err[0] and "torch-sparse (module 'torch' has no attribute 'x')" in err[0]


def test_a_pytorch_geometric_that_does_not_load_is_needed_by_its_layers_alone(tmp_path):
    (tmp_path / "torch_geometric.py").write_text("raise AttributeError('no x\\nno y')\n")
    code, out, err = said(TRAINED + ASKED, tmp_path)
    assert (code, out) == (2, ["True", "True"])
    assert len(err) == 1 and err[0].startswith(
        "nar: error: processor 'torch_geometric.nn:SAGEConv' needs PyTorch Geometric, which does not load "
        "(AttributeError: no x no y): install a torch_geometric that fits PyTorch "
    )


def test_mistakes_in_ones_own_module_keep_their_place(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_fails.py").write_text("not_there\n")
    with pytest.raises(NameError, match="not_there"):
        processors.find("mine_fails:Mine")
    (tmp_path / "mine_warns.py").write_text("import warnings\nwarnings.warn('mind this')\nMine = 3\n")
    with pytest.warns(UserWarning, match="mind this"), pytest.raises(ValueError, match="not a subclass"):
        processors.find("mine_warns:Mine")
