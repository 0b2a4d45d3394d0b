"""The speed benchmarks: result files, measuring, which rows are measured, how they are compared and summed up.

Nothing here asserts how long anything takes.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nar import Reasoner, datasets
from nar.model.batch import collate

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts beside each other, not a package

import measuring
import result_files
import train_step
from benchmark_rows import compared

IDENTITY = ("algo", "nodes")
NOW = {"sources": "abc", "torch": "2.13"}


def test_a_row_is_measured_once_per_version():
    rows = [{"algo": "bfs", "nodes": 16, "versions": NOW}]
    same, other_size = {"algo": "bfs", "nodes": 16, "seed": 3}, {"algo": "bfs", "nodes": 4}
    wanted = lambda settings, versions=NOW, **flags: result_files.wanted(rows, settings, versions, IDENTITY, **flags)  # noqa: E731
    assert not wanted(same) and wanted(other_size) and wanted(other_size, keep=True)
    assert wanted(same, again=True)
    changed = NOW | {"sources": "abd"}
    assert wanted(same, changed) and not wanted(same, changed, keep=True)
    assert not wanted(same, NOW | {"commit": "1234567"})  # a commit that leaves the code as it is


def test_rows_take_the_place_of_their_own_settings():
    rows = [{"algo": "bfs", "nodes": 4, "v": 1}, {"algo": "bfs", "nodes": 8, "v": 2}]
    assert result_files.put(rows, {"algo": "bfs", "nodes": 4, "v": 3}, IDENTITY) == [
        {"algo": "bfs", "nodes": 4, "v": 3}, {"algo": "bfs", "nodes": 8, "v": 2}
    ]  # fmt: skip
    assert result_files.put(rows, {"algo": "dfs", "nodes": 4, "v": 3}, IDENTITY)[2]["algo"] == "dfs"
    assert [row["v"] for row in rows] == [1, 2]  # as they were


def test_files_hold_four_digits(tmp_path):
    path = tmp_path / "x.json"
    assert result_files.load(path) == {"rows": []}
    result_files.save(path, {"rows": [{"a": 123456.7, "b": (0.00012345, 7), "c": "1.23456", "d": True}]})
    assert result_files.load(path) == {"rows": [{"a": 123500.0, "b": [0.0001234, 7], "c": "1.23456", "d": True}]}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_flags_of_result_files():
    parser = argparse.ArgumentParser()
    result_files.add_flags(parser, Path("x.json"))
    assert not parser.parse_args([]).again and parser.parse_args([]).output == Path("x.json")
    with pytest.raises(SystemExit):
        parser.parse_args(["--again", "--keep"])
    assert json.loads(json.dumps(result_files.rounded({"x": (1.0, 2)}))) == {"x": [1.0, 2]}


@pytest.mark.parametrize(
    ("takes", "seconds", "calls"),
    [
        ([9, 3, 3, 3, 3, 3], 10, 3),  # a fourth call would end after 12 s
        ([9, 3, 3, 3, 3, 3], 12, 4),
        ([9, 3, 3, 3, 3, 3], 100, 5),  # no more batches
        ([9, 50, 50, 50], 10, 2),  # at least two
        ([9, 1, 9, 1, 1], 18, 2),  # the longest so far is what the next may take
    ],
)
def test_slow_calls_are_made_fewer_times(monkeypatch, takes, seconds, calls):
    clock = [100.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measuring.time, "process_time", lambda: clock[0] / 2)

    def call(batch):
        clock[0] += batch

    timing = measuring.timed(call, takes, seconds=seconds, warm_up=1)
    assert timing.wall == takes[1 : calls + 1] and timing.first == 9
    assert timing.cpu == [t / 2 for t in timing.wall]
    middle = float(np.median(timing.wall))
    assert timing.medians() == {"cpu_seconds": middle / 2, "wall_seconds": middle}


@pytest.mark.parametrize("name", ["insertion_sort", "floyd_warshall"])  # the latter has hints on edges
def test_a_shortened_rollout_is_the_beginning_of_the_whole_one(name):
    algorithm, rng = datasets.get(name), np.random.RandomState(0)
    batch = collate([algorithm.run(**algorithm.sample(rng, 6)) for _ in range(3)], algorithm)
    short = measuring.shortened(batch, 3)
    assert short.lengths == [4, 4, 4] and short.steps == 3 < batch.steps and measuring.graph_steps(short) == 9
    assert measuring.graph_steps(batch) == sum(batch.lengths) - 3
    reasoner = Reasoner.build([name], "mpnn", hidden=8).eval()
    with torch.no_grad():
        whole, part = reasoner(batch), reasoner(short)
    assert len(part.hints) == 3
    for first, second in zip(whole.hints, part.hints, strict=False):
        for hint, values in second.items():
            torch.testing.assert_close(values, first[hint], rtol=1e-4, atol=1e-5)
    assert {k: v.shape for k, v in part.outputs.items()} == {k: v.shape for k, v in whole.outputs.items()}


def test_measurements_in_their_own_processes():
    assert measuring.start([sys.executable, "-c", "print('noise'); print('[1, 2.5]')"], cores=1) == [1, 2.5]
    with pytest.raises(SystemExit, match="no such algorithm"):
        measuring.start([sys.executable, "-c", "raise ValueError('no such algorithm')"])
    with pytest.raises(MemoryError, match="signal 9"):
        measuring.start([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_seeds_are_stacked_where_that_is_possible(monkeypatch):
    algorithm = datasets.get("insertion_sort")
    batches = [collate([algorithm.run(**algorithm.sample(np.random.RandomState(s), 4))], algorithm) for s in (0, 1)]
    learner, chosen = measuring.learner(algorithm, "mpnn", 8, seeds=(0, 1))
    assert len(learner.reasoners) == 2 and "not_stacked" not in chosen
    losses = measuring.trainer(learner)(*batches)
    alone, _ = measuring.learner(algorithm, "mpnn", 8, seeds=(1,))
    torch.testing.assert_close(losses[1:], measuring.trainer(alone)(batches[1]), rtol=1e-3, atol=1e-4)
    monkeypatch.setattr("nar.training.learner.why_not_stackable", lambda *_: "it draws as it goes")
    learner, chosen = measuring.learner(algorithm, "mpnn", 8, seeds=(0, 1))
    assert len(learner.reasoners) == 1 and chosen["not_stacked"] == "it draws as it goes"


def test_default_pairs_are_those_of_the_goal(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_step.py", "--peer-python", "python", "--threads", "1"])
    tasks = list(train_step.tasks(train_step.parse()))
    training = {(t["algo"], t["processor"]) for t in tasks if not t["eval"] and t["nodes"] == 16}
    assert training == {
        (a, p) for a in ("bellman_ford", "bfs", "dijkstra", "dfs", "insertion_sort", "heapsort")
        for p in ("mpnn", "triplet_gmpnn")
    }  # fmt: skip
    assert [(t["algo"], t["processor"], t["nodes"]) for t in tasks if t["eval"]] == [
        ("bellman_ford", "mpnn", 64), ("bellman_ford", "triplet_gmpnn", 64)
    ]  # fmt: skip
    assert all(t["cores"] == 1 and t["batch"] == 32 and t["hidden"] == 128 for t in tasks)


def test_ratios_are_medians_over_rounds_and_not_of_medians():
    task = {"algo": "bfs", "processor": "mpnn", "nodes": 64, "batch": 32, "hidden": 128, "cores": 1, "eval": True}

    def side(per_step, call, memory):
        times = {f"{kind}_seconds{unit}": call for kind in ("cpu", "wall") for unit in ("", "_per_message_step")}
        times |= {"cpu_seconds_per_message_step": per_step, "peak_memory_mb": memory}
        return dict.fromkeys(train_step.KEPT, 1) | times

    pairs = [(side(1, 5, 10), side(4, 5, 40)), (side(2, 5, 10), side(6, 5, 20)), (side(4, 5, 10), side(40, 5, 30))]
    row = train_step.row_of(task, pairs, {}, "today")
    assert row["ratio_cpu"] == 4 and row["ratios_by_round"]["cpu"] == [4, 3, 10]  # per message step, not per call
    assert (row["ratio_wall"], row["ratio_memory"], row["rounds"], row["what"]) == (1, 3, 3, "evaluation")
    assert row["ours"]["cpu_seconds_per_message_step"] == 2 and row["dm_clrs"]["cpu_seconds_per_message_step"] == 6
    row = train_step.row_of(task | {"eval": False}, pairs, {}, "today")
    assert row["ratio_cpu"] == 1 and row["what"] == "training step"


def test_summary_is_over_the_pairs_of_the_goal():
    rows = [
        compared("bfs", cpu=4.0, memory=3.5),
        compared("dfs", "triplet_gmpnn", cpu=9.0, memory=2.0),
        compared("minimum", cpu=1.0, memory=1.0),  # no pair of the goal
        compared("bfs", "gat", cpu=1.0),
        compared("heapsort", nodes=32, cpu=1.0),
        compared("bfs", batch=1, cpu=1.0),
        compared("bellman_ford", what="evaluation", nodes=64, cpu=2.999, memory=1.5),
        compared("bfs", what="evaluation", nodes=64, cpu=1.0),
    ]
    found = train_step.summary(rows)
    assert (found["pairs"], found["pairs_wanted"], found["evaluations"]) == (2, 12, 1)
    assert found["geometric_mean_cpu"] == pytest.approx(6) and found["geometric_mean_memory"] == pytest.approx(7**0.5)
    assert found["lowest_cpu"] == 4 and found["lowest_cpu_at"] == ["bfs", "mpnn"] and found["lowest_memory"] == 2
    assert found["reached"] == {
        "geometric_mean_cpu": True, "lowest_cpu": True, "lowest_memory": False, "lowest_evaluation_cpu": True
    }  # fmt: skip
    assert not train_step.summary([compared(cpu=2.99)])["reached"]["lowest_cpu"]
    assert train_step.summary([])["reached"] == {}


@pytest.mark.parametrize("evaluation", [False, True])
def test_our_side_of_the_comparison(evaluation):
    task = {
        "algo": "insertion_sort",
        "processor": "mpnn",
        "nodes": 5,
        "batch": 3,
        "hidden": 8,
        "steps": 3,
        "seconds": 100,
    }
    found = train_step.measure_ours(task | {"seed": 42, "cores": 1, "eval": evaluation})
    assert set(train_step.KEPT) <= found.keys() and found["calls"] == 3
    assert all(found[name] > 0 for name in train_step.KEPT)
    assert found["versions"]["torch"] == torch.__version__ and found["versions"]["threads"] == 1
