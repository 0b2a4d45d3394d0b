"""The queue of the CLRS-30 table and what it records (benchmarks/clrs30.py)."""

import copy
import importlib.util
from pathlib import Path

import pytest

from nar import recipes
from nar.cli import train_settings
from nar.results.schema import read

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clrs30(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("clrs30", ROOT / "benchmarks" / "clrs30.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TABLE", tmp_path / "clrs30.csv")
    return module


@pytest.fixture(scope="module")
def results():
    return read(ROOT / "results" / "bfs-mpnn" / "seed1")


def test_every_cell_stands_once_in_the_queue_and_cheap_ones_first(clrs30):
    queue = clrs30.queue()
    assert len(queue) == len(set(queue))
    assert queue[:3] == [("segments_intersect", "triplet_gmpnn", "protocol", seed) for seed in range(3)]
    assert {("insertion_sort", "g_forgetnet", "protocol", 2), ("dijkstra", "triplet_gmpnn", "protocol", 1)} < set(queue)


def test_a_cell_is_recorded_once_with_a_row_per_size(clrs30, results):
    clrs30.record(results, "protocol", 12.4, "first")
    other = copy.deepcopy(results)
    other["run"]["seed"] = 0
    clrs30.record(other, "protocol", None, "other")
    clrs30.record(results, "protocol", 99.6, "second")
    rows = clrs30.rows()
    assert [(r["seed"], r["size"], r["command"]) for r in rows] == [
        (seed, size, command)
        for seed, command in (("0", "other"), ("1", "second"))
        for size in "16 32 64 128 256".split()
    ]
    assert [row["cpu_seconds"] for row in rows] == [""] * 5 + ["100"] * 5
    expected = {str(e["size"]): (e["score"], e["exact"], e["valid"]) for e in results["evaluations"]}
    assert {r["size"]: (float(r["score"]), float(r["exact"]), float(r["valid"])) for r in rows[5:]} == expected


@pytest.mark.parametrize("part, key, value", [("run", "interrupted", True), ("provenance", "commit", "abc1234+")])
def test_what_nobody_could_repeat_is_refused(clrs30, results, part, key, value):
    unfit = copy.deepcopy(results)
    unfit[part][key] = value
    with pytest.raises(ValueError):
        clrs30.record(unfit, "protocol", None, "")
    assert clrs30.rows() == []


def test_every_recipe_is_made_by_its_flags(clrs30, results):
    assert clrs30.RECIPES.keys() == recipes.RECIPES.keys()
    for name, flags in clrs30.RECIPES.items():
        assert train_settings.read(["--algo", "bfs", *flags], "nar train") == recipes.config(name, algo="bfs")
    with pytest.raises(ValueError, match="made by the recipe protocol, not step"):
        clrs30.record(results, "step", None, "")
    step = copy.deepcopy(results)
    step["config"]["recipe"] = "step"
    assert {row["recipe"] for row in clrs30.record(step, "step", None, "")} == {"step"}
    clrs30.record(results, "protocol", None, "")
    assert len(clrs30.rows()) == 10  # cells of their own


def test_other_test_distributions_are_left_out(clrs30, results):
    more = copy.deepcopy(results)
    more["evaluations"].append(more["evaluations"][0] | {"setting": {"family": "grid"}})
    more["evaluations"].append(more["evaluations"][0] | {"termination": "fixed_point"})
    assert len(clrs30.record(more, "protocol", None, "")) == 5


def test_the_recorded_table_is_of_cells_of_the_queue(clrs30, monkeypatch):
    monkeypatch.setattr(clrs30, "TABLE", ROOT / "results" / "clrs30.csv")
    cells = [clrs30.cell_of(row) for row in clrs30.rows()]
    assert cells and all(0 <= float(row["score"]) <= 1 for row in clrs30.rows())
    assert len({(cell, row["size"]) for cell, row in zip(cells, clrs30.rows(), strict=True)}) == len(cells)
