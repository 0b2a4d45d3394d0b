"""The queue of the CLRS-30 table and what it records (benchmarks/clrs30.py, clrs30_cells.py)."""

import copy
import csv
import shlex
import sys
import time
from pathlib import Path

import pytest

from nar import datasets, processors, recipes
from nar.cli import train_settings
from nar.datasets import canonical
from nar.evaluation import protocol
from nar.results.schema import read

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package
# ruff: noqa: E402

import clrs30 as script
import clrs30_cells as cells


@pytest.fixture
def clrs30(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "TABLE", tmp_path / "clrs30.csv")
    monkeypatch.setattr(script, "RUNS", tmp_path / "runs")
    return script


@pytest.fixture(scope="module")
def results():
    return read(ROOT / "results" / "bfs-mpnn" / "seed1")


def by_recipe(results, name, **run):
    """The same results, as if a recipe of the table had made them."""
    made = copy.deepcopy(results)
    made["run"] |= run
    cell = ("bfs", made["run"]["processor"], name, made["run"]["seed"])
    config = train_settings.read(script.flags_of(cell), "nar train")
    made["config"] = protocol.resolved(config, datasets.get("bfs")).to_dict()
    return made


def test_the_queue_has_every_cell_of_the_table_the_cheap_ones_first():
    queue = cells.queue()
    assert len(queue) == len(set(queue))
    assert queue[:3] == [("segments_intersect", "triplet_gmpnn", "protocol", seed) for seed in range(3)]
    assert {("insertion_sort", "g_forgetnet", "protocol", 2), ("dijkstra", "triplet_gmpnn", "protocol", 1)} < set(queue)
    step = [cell for cell in queue if cell[1:3] == ("relational", "step")]
    assert len(step) == 150 and {cell[0] for cell in step} == set(canonical.CLRS30)
    assert [seed for *_, seed in step] == [seed for seed in range(5) for _ in range(30)]  # whole seeds first
    ablated = {(cell[2], cell[0], cell[3]) for cell in queue if cell[1] == "relational" and cell[2] != "step"}
    assert len(ablated) == len(cells.ABLATIONS) * 6 * 3


def test_every_cell_is_made_by_flags_that_hold_together():
    kinds = {}  # of every processor with every recipe one cell, and every algorithm with `step`
    for cell in cells.queue():
        kinds.setdefault((cell[0] if cell[1:3] == ("relational", "step") else "", *cell[1:3]), cell)
    assert len(kinds) > 30 + 2 * len(cells.NAMED)
    for algorithm, processor, recipe, seed in kinds.values():
        config = train_settings.read(script.flags_of((algorithm, processor, recipe, seed)), "nar train")
        protocol.resolved(config, datasets.get(algorithm))
        assert (config.algo, config.processor, config.seed) == ((algorithm,), processor, seed)
        processors.build(processor, 8, **processors.options_from(processor, config.option))
    settings = {name: train_settings.read(["--algo", "bfs", *flags], "") for name, flags in cells.RECIPES.items()}
    assert settings["step"] == recipes.config("step", algo="bfs")
    assert settings["protocol"] == recipes.config("protocol", algo="bfs")
    assert len({str(config) for config in settings.values()}) == len(settings)  # each is something else


def test_larger_sizes_have_as_many_graphs_as_cost_minutes():
    assert cells.sizes_of("kmp_matcher", (64, 512)) == (80, 640) and cells.sizes_of("bfs", (64, 512)) == (64, 512)
    assert cells.sizes_of("segments_intersect", cells.LARGER) == (4,)
    assert cells.graphs("bfs", 512) == 32 and cells.graphs("bubble_sort", 512) == 0
    for name in cells.ALL:
        for size in cells.sizes_of(name, cells.LARGER):
            few, many = (cells.graphs(name, size, patience=patience) for patience in (1, 5))
            assert few == 0 or cells.LEAST <= few <= many <= 32
            assert few * cells.work(name, size) <= 3 * cells.BUDGET["cpu"]
            assert cells.graphs(name, size, "cuda:1") >= many
    assert cells.graphs("dfs", 256) < cells.graphs("dfs", 256, patience=5) < 32


@pytest.mark.parametrize("name", ["bfs", "insertion_sort", "kmp_matcher"])
def test_lengths_are_about_those_of_traces(name):
    import numpy as np

    algorithm, (size,) = datasets.get(name), cells.sizes_of(name, (128,))
    found = np.mean([algorithm.run(**algorithm.sample(np.random.RandomState(k), size)).length for k in range(8)])
    assert 0.6 < found / cells.LENGTHS[name][1] < 1.7


def test_a_cell_is_recorded_once_with_a_row_per_size(clrs30, results):
    clrs30.record(results, 12.4, "first")
    other = copy.deepcopy(results)
    other["run"]["seed"] = 0
    clrs30.record(other, None, "other")
    clrs30.record(results, 99.6, "second")
    rows = clrs30.rows()
    assert [(r["seed"], r["size"], r["command"]) for r in rows] == [
        (seed, size, command)
        for seed, command in (("0", "other"), ("1", "second"))
        for size in "16 32 64 128 256".split()
    ]
    assert [row["cpu_seconds"] for row in rows] == [""] * 5 + ["100"] * 5
    assert {row["train_seconds"] for row in rows} == {str(round(results["run"]["train_seconds"]))}
    expected = {str(e["size"]): (e["score"], e["exact"], e["valid"], e["samples"]) for e in results["evaluations"]}
    found = {r["size"]: (*(float(r[k]) for k in ("score", "exact", "valid")), int(r["samples"])) for r in rows[5:]}
    assert found == expected


def test_a_row_has_the_score_of_the_own_end_on_the_same_graphs(clrs30, results):
    asked = copy.deepcopy(results)
    same, other = (copy.deepcopy(asked["evaluations"][k]) for k in range(2))
    same |= {"termination": "learned", "score": 0.25, "exact": 0.125}
    other |= {"termination": "learned", "data": other["data"] | {"sha256": "another"}}
    asked["evaluations"] += [same, other]
    first, second, *_ = clrs30.record(asked, None)
    assert (first["learned_end"], first["learned_end_exact"]) == ("0.25", "0.125")
    assert (second["learned_end"], second["learned_end_exact"]) == ("", "")
    assert len(clrs30.rows()) == 5


def test_a_file_of_fewer_columns_is_read_and_kept(clrs30, results):
    row = {"algorithm": "dfs", "processor": "mpnn", "recipe": "protocol", "seed": "0", "size": "64", "score": "0.5"}
    with open(clrs30.TABLE, "w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    assert clrs30.rows()[0] == dict.fromkeys(clrs30.COLUMNS, "") | row
    clrs30.record(results, None)
    assert len(clrs30.rows()) == 6 and clrs30.rows()[-1]["score"] == "0.5"


@pytest.mark.parametrize("part, key, value", [("run", "interrupted", True), ("provenance", "commit", "abc1234+")])
def test_what_nobody_could_repeat_is_refused(clrs30, results, part, key, value):
    unfit = copy.deepcopy(results)
    unfit[part][key] = value
    with pytest.raises(ValueError):
        clrs30.record(unfit, None)
    assert clrs30.rows() == []


def test_a_run_belongs_to_the_recipe_whose_settings_it_has(clrs30, results):
    for name in cells.RECIPES:
        processor = "relational" if name != "protocol" else "mpnn"
        made = by_recipe(results, name, processor=processor)
        assert clrs30.recipe_of(made) == name
        command = clrs30.record(made, None)[0]["command"]
        again = train_settings.read(shlex.split(command)[2:], "nar train")
        assert clrs30.recipe_of(made | {"config": again.to_dict()}) == name  # the command is of this recipe
    assert len(clrs30.rows()) == 5 * len(cells.RECIPES)  # cells of their own
    for key, value in (("steps", 3), ("learning_rate", 0.5), ("moments", 2), ("eval_samples", 1)):
        made = by_recipe(results, "step", processor="relational")
        made["config"][key] = value
        if key == "eval_samples":  # how many graphs a test has is another matter, and its row says it
            assert clrs30.recipe_of(made) == "step"
        else:
            with pytest.raises(ValueError, match="no recipe of the table"):
                clrs30.recipe_of(made)


def test_rows_name_the_evaluation_that_made_them(clrs30, results):
    made = by_recipe(results, "step", processor="relational")
    made["evaluations"][-1] |= {"samples": 6, "evaluated": {"command": "nar evaluate x", "commit": "1234567"}}
    *first, last = clrs30.record(made, 5.0)
    assert {row["commit"] for row in first} == {results["provenance"]["commit"]} and last["commit"] == "1234567"
    end = " && nar evaluate runs/bfs-relational-step-seed1 --sizes 256 --samples 6"
    assert last["command"] == first[0]["command"] + end and last["samples"] == "6"


def test_other_test_distributions_are_left_out(clrs30, results):
    more = copy.deepcopy(results)
    more["evaluations"].append(more["evaluations"][0] | {"setting": {"family": "grid"}})
    more["evaluations"].append(more["evaluations"][0] | {"termination": "fixed_point"})
    assert len(clrs30.record(more, None)) == 5


def test_what_is_recorded_is_not_made_again(clrs30, results):
    made = by_recipe(results, "step", processor="relational", seed=0)
    made["evaluations"] = [entry for entry in made["evaluations"] if entry["size"] in (16, 64)]
    cell = ("bfs", "relational", "step", 0)
    larger = [(16, 64, 128, 256), (16, 64, 128, 256, 512)]
    assert [sizes for of, sizes in clrs30.to_come("cpu", 1.0) if of == cell] == [(16, 64), *larger]
    clrs30.record(made, None)
    assert [sizes for of, sizes in clrs30.to_come("cpu", 1.0) if of == cell] == larger
    more = by_recipe(results, "step", processor="relational", seed=0)
    more["evaluations"].append(more["evaluations"][-1] | {"size": 512})
    clrs30.record(more, None)
    assert not [sizes for of, sizes in clrs30.to_come("cpu", 1.0) if of == cell]
    for entry in more["evaluations"]:
        entry["samples"] = 32 if entry["size"] <= 64 else 4
    clrs30.record(more, None)  # on fewer graphs than there is time for
    assert [sizes for of, sizes in clrs30.to_come("cpu", 1.0) if of == cell] == larger
    bubble = by_recipe(results, "step", processor="relational", seed=0)
    bubble["run"]["algorithms"] = bubble["config"]["algo"] = ["bubble_sort"]
    for entry in bubble["evaluations"]:
        entry["algorithm"] = "bubble_sort"
    clrs30.record(bubble, None)  # with 16 to 256; 512 takes too long
    assert not [of for of, _ in clrs30.to_come("cpu", 1.0) if of == ("bubble_sort", "relational", "step", 0)]


def test_a_cell_is_trained_then_evaluated_and_goes_on_where_it_was(clrs30, monkeypatch):
    tiny = "--recipe step --steps 2 --hidden 8 --val-samples 1 --train-sizes 4 --eval-samples 2".split()
    monkeypatch.setitem(cells.RECIPES, "step", tiny)
    monkeypatch.setattr(clrs30, "CANONICAL", (4,))
    monkeypatch.setattr(clrs30, "graphs", lambda algorithm, size, *_: 3 if size == 5 else 0)
    task, calls = (("bfs", "relational", "step", 1), (4, 5, 6)), []
    run, soon = clrs30.RUNS, time.monotonic() + 300
    assert clrs30.make(task, run, "cpu", 1.0, time.monotonic() - 1) is None  # stopped before it began
    found = clrs30.make(task, run, "cpu", 1.0, soon)
    assert [(e["size"], e["samples"], e["termination"]) for e in found["evaluations"]] == [
        (4, 2, "oracle"),
        (4, 2, "learned"),
        (5, 3, "oracle"),
    ]
    assert found["run"]["steps"] == 2 and found["cpu_seconds"] > found["run"]["train_seconds"] / 2
    monkeypatch.setattr(clrs30, "call", lambda *arguments: calls.append(arguments))
    assert clrs30.make(task, run, "cpu", 1.0, soon) == found and not calls  # nothing is left to do
    assert clrs30.recipe_of(found) == "step"


def test_the_recorded_table_is_of_cells_of_the_queue(clrs30, monkeypatch):
    monkeypatch.setattr(clrs30, "TABLE", ROOT / "results" / "clrs30.csv")
    recorded = [clrs30.cell_of(row) for row in clrs30.rows()]
    assert recorded and all(0 <= float(row["score"]) <= 1 for row in clrs30.rows())
    assert len({(cell, row["size"]) for cell, row in zip(recorded, clrs30.rows(), strict=True)}) == len(recorded)


def test_larger_sizes_are_left_out_where_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "TABLE", tmp_path / "none.csv")
    words = "clrs30.py --list --algo bfs --recipe step --seed 0 --processor relational".split()
    every = ["16 64", "16 64 128 256", "16 64 128 256 512"]
    for more, expected in (([], every), (["--largest", "256"], every[:2]), (["--largest", "80"], every[:1])):
        monkeypatch.setattr("sys.argv", [*words, *more])
        script.main()
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(" at ")[1] for line in lines] == expected
        assert all(line.startswith("to come") for line in lines)
