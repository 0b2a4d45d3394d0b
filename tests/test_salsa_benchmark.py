"""The benchmark after SALSA-CLRS: its cells, how rows are averaged, and the page, which is that of its file."""

import json
import sys
from pathlib import Path

import pytest

from nar import datasets
from nar.traces.sparse import families, sampling

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package

import salsa  # noqa: E402


def row(seed, score, exact, **changed):
    values = {"algorithm": "bfs", "processor": "pgn", "seed": seed, "family": salsa.OWN, "size": 16}
    return {name: str(value) for name, value in (values | {"score": score, "exact": exact} | changed).items()}


def test_scores_are_means_and_deviations_over_seeds():
    own = [row(0, 0.9, 0.5), row(1, 0.8, 0.25)]
    assert salsa.cell_text(own, 16) == "85.0 ± 7.1 / 37.5 ± 17.7" and salsa.cell_text(own, 80) == "missing"
    assert salsa.cell_text(own[:1], 16) == "90.0 / 50.0"
    step = {"algo": "bfs", "family": salsa.OWN, "nodes": 80, "samples": 8, "score": 1.0, "exact": 0.875}
    page = salsa.page(own, [step])
    assert "| bfs | pgn | 85.0 ± 7.1 / 37.5 ± 17.7 | missing | missing | missing | missing |" in page
    assert "| bfs | pgn, published | 100.0 / 100.0 |  |  |  | 98.5 / 0.0 |" in page
    assert "| bfs | recipe step |  | 100.0 / 87.5 (8) |  |  |  |" in page


def test_cells_can_be_made():
    cells = salsa.cells()
    assert len(cells) == len(set(cells)) == 4 * 3 * 3 and [seed for *_, seed in cells] == sorted(s for *_, s in cells)
    assert sampling.FAMILY == salsa.OWN and salsa.FAMILIES.keys() <= families.TABLE.keys()
    assert all(datasets.get(name) for name in salsa.ALGORITHMS)
    assert [salsa.graphs("dijkstra", n, salsa.OWN) for n in salsa.SIZES] == [32, 32, 32, 4, 4]
    assert [salsa.graphs("dijkstra", n, "delaunay") for n in salsa.SIZES] == [32, 32, 32, 0, 0]
    assert {salsa.graphs("bfs", n, "delaunay") for n in salsa.SIZES} == {32}


def test_a_cell_takes_the_place_of_its_older_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(salsa, "TABLE", tmp_path / "salsa.csv")
    full = dict.fromkeys(salsa.COLUMNS, "")
    old = [full | row(seed, 0.5, 0.0, size=size) for seed in (1, 0) for size in (80, 16)]
    salsa.record(old)
    assert [(r["seed"], r["size"]) for r in salsa.rows()] == [("0", "16"), ("0", "80"), ("1", "16"), ("1", "80")]
    salsa.record([full | row(0, 0.75, 0.5)])
    assert [(r["seed"], r["size"], r["score"]) for r in salsa.rows()] == [
        ("0", "16", "0.75"), ("1", "16", "0.5"), ("1", "80", "0.5"),
    ]  # fmt: skip


def test_the_page_is_that_of_the_file():
    if not salsa.TABLE.is_file():
        pytest.skip("nothing is recorded")
    steps = json.loads(salsa.STEPS.read_text())["rows"]
    assert salsa.PAGE.read_text() == salsa.page(salsa.rows(), steps), "python benchmarks/salsa.py --table"
