"""The fused CUDA kernels: under Triton's interpreter on the CPU, and on a CUDA device where there is one.

Triton decides when it is imported whether it interprets, so tests/triton_checks.py runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nar.kernels.triton import dispatch, launch

ROOT = Path(__file__).parent.parent
CHECKS = Path(__file__).with_name("triton_checks.py")


def run_checks(interpret):
    environment = os.environ | {"TRITON_INTERPRET": "1" if interpret else "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", str(CHECKS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 30, done.stdout[-2000:]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_kernels_under_the_interpreter():
    run_checks(interpret=True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_kernels_on_a_gpu():
    run_checks(interpret=False)


def test_without_a_gpu_and_without_the_interpreter_nothing_is_taken(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not dispatch.usable(torch.zeros(2, 3, 8))


def test_the_dispatch_works_without_triton():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch, nar.nn.neighbourhood, nar.model.coders.decoder, nar.nn.reductions\n"
        "x = torch.zeros(1, 2, 2, 2); print(nar.nn.reductions.max_plus(x, x).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "1, 2, 2, 2" in done.stdout


def test_how_a_loop_is_cut_to_fill_the_device(monkeypatch):
    monkeypatch.setattr(launch, "multiprocessors", lambda device: 132)
    device = torch.device("cuda")
    assert launch.splits(32, 64, device) == 4  # 128 blocks of 16 turns
    assert launch.splits(1000, 64, device) == 1
    assert launch.splits(1, 1, device) == 1
    assert launch.splits(1, 5, device) == 4  # of two turns each: no cut leaves fewer
