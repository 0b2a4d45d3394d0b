"""The benchmark of the sparse layout: how rows are summed up, and the table of the docs, which is that of its file."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package

import sparse  # noqa: E402
import sparse_steps  # noqa: E402


def row(nodes, layout="sparse", processor="pgn", scale=1.0):
    edges = 11 * nodes
    return {"nodes": nodes, "layout": layout, "processor": processor, "threads": 1, "edges": edges} | {
        "cpu_seconds": scale * 1e-6 * edges, "peak_mb": scale * 1e-3 * edges**0.9
    }  # fmt: skip


def test_exponents_and_ratios():
    rows = [row(nodes) for nodes in sparse.NODES] + [row(1600), row(1600, "dense", scale=7.0)]
    (found,) = sparse.summary(rows)
    assert found["cpu_seconds_exponent"] == pytest.approx(1.0) and found["peak_mb_exponent"] == pytest.approx(0.9)
    assert found["dense_cpu_seconds_ratio"] == pytest.approx(7.0) == found["dense_peak_mb_ratio"]
    lines = sparse.table({"rows": rows, "summary": [found]}).splitlines()
    assert lines[2] == "| 100 | 1,100 | 1.1 ms, 1 MiB |" and len(lines) == 2 + len(sparse.NODES) + 2
    assert "pgn 1.00" in lines[-1] and "7 times as long" in lines[-1]


def test_the_docs_show_what_was_measured():
    result = json.loads((ROOT / "benchmarks" / "sparse.json").read_text())
    assert sparse.table(result) in (ROOT / "docs" / "sparse.md").read_text()
    for found, again in zip(result["summary"], sparse.summary(result["rows"]), strict=True):
        assert found["processor"] == again["processor"] and found.keys() == again.keys()
        for name in found.keys() - {"processor"}:
            assert found[name] == pytest.approx(again[name], rel=1e-2)


def test_the_docs_say_what_was_measured_of_learned_steps():
    rows = json.loads((ROOT / "benchmarks" / "sparse_steps.json").read_text())["rows"]
    asked = {
        (name, family, nodes, samples)
        for name in sparse_steps.ALGORITHMS
        for nodes, samples in sparse_steps.SIZES.items()
        for family in sparse_steps.families(name, nodes)
    }
    assert {(row["algo"], row["family"], row["nodes"], row["samples"]) for row in rows} == asked
    assert len(rows) == len(asked) == 32 and {row["exact"] for row in rows} == {1.0}


def test_tasks_are_told_apart():
    tasks = list(sparse.tasks(["pgn", "gin"]))
    keys = {tuple(task[name] for name in sparse.IDENTITY) for task in tasks}
    assert len(keys) == len(tasks) == 2 * len(sparse.NODES) + 2
