"""Freed memory is kept in processes of the command line, so that the system need not clear it anew."""

import platform
import subprocess
import sys

import pytest

from nar.cli import main as cli
from nar.config import Config
from nar.experiments.experiment import train
from nar.system import allocator

PROGRAM = """
import resource
import numpy as np
from nar.system import allocator

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [np.ones(2**20) for _ in range(4)]  # 8 MB each
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages()
before, kept = pages(), allocator.keep_freed_memory()
pages()
print(before, kept, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_that_are_freed_are_used_again():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, kept, after = done.stdout.split()
    assert kept == "True" and int(before) > 1000 and int(after) < 100


def test_the_command_line_sets_itself_up_and_no_function_of_the_library_its_caller(monkeypatch, tmp_path, no_report):
    calls = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: calls.append(1))
    train(
        Config(
            algo=("bfs",), processor="mpnn", hidden=8, train_sizes=(4,), eval_sizes=(4,), eval_samples=2, steps=2,
            val_every=2, val_samples=2, batch_size=2, out=tmp_path / "run", device="cpu", threads=1,
        )
    )  # fmt: skip
    assert calls == []
    assert cli.main(["--version"]) == 0 and calls == [1]
