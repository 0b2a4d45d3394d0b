"""The speed benchmarks: which rows are measured, how they are summed up and fitted, tables that equal their files.

Nothing here asserts how long anything takes.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from nar import Reasoner, datasets
from nar.model.batch import collate

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))  # the benchmarks are scripts beside each other, not a package
# ruff: noqa: E402

import clrs30_cost
import cores
import drawn
import measuring
import result_files
import scaling
import speed_tables
import task_hinting
import train_step

IDENTITY = ("algo", "nodes")
NOW = {"sources": "abc", "torch": "2.13"}


def compared(algo="bfs", processor="mpnn", what="training step", nodes=16, cpu=6.0, memory=4.0, **more):
    """A row of train_step.json, ours at 0.1 s and 500 MiB."""
    ours = {name: 0.1 for name in train_step.TIMES} | {"peak_memory_mb": 500.0, "calls": 25}
    theirs = {name: 0.1 * cpu for name in train_step.TIMES} | {"peak_memory_mb": 500.0 * memory, "calls": 3}
    versions = {"nar": "0.1", "torch": "2.13", "peer": "dm-clrs 2.0.3"}
    about = {"what": what, "algo": algo, "processor": processor, "nodes": nodes, "batch": 32, "hidden": 128, "cores": 1}
    ratios = {"ratio_cpu": cpu, "ratio_wall": cpu + 1, "ratio_memory": memory}
    measured = {"ours": ours, "dm_clrs": theirs, "rounds": 2, "together": True}
    return about | ratios | measured | {"versions": versions, "date": "2026-01-01"} | more


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


def test_slope_equals_scipys():
    rng = np.random.RandomState(0)
    x = 2.0 ** np.arange(8)
    y = 3 * x**1.7 * np.exp(0.1 * rng.randn(8))
    fit = stats.linregress(np.log(x[4:]), np.log(y[4:]))  # the larger half
    exponent, error = scaling.slope(list(zip(x, y, strict=True))[::-1])
    assert exponent == pytest.approx(fit.slope) and error == pytest.approx(fit.stderr)


def test_slope_is_that_of_the_larger_half():
    points = [(1, 5.0), (2, 5.0), (4, 5.0), (8, 10.0), (16, 40.0), (32, 160.0)]
    exponent, error = scaling.slope(points)
    assert exponent == pytest.approx(2) and error == pytest.approx(0, abs=1e-9)
    exponent, error = scaling.slope([(1, 0.0), (2, 3.0), (4, 24.0)])  # no logarithm of zero
    assert exponent == pytest.approx(3) and error is None
    assert scaling.slope([(1, 1.0)]) == (None, None)
    assert scaling.slope([(1, 8.0), (2, 4.0), (4, 2.0)])[0] == pytest.approx(-1)  # three points at least


def scaling_rows():
    key = {"algo": "bfs", "processor": "mpnn", "device": "cpu", "hidden": 128, "batch": 1, "steps": 4}
    by_n = [
        key | {"axis": "n", "what": "evaluation", "nodes": n, "steps_mean": 4.0, "seconds": 9.0, "calls": 2}
        | {"seconds_per_message_step": 2e-5 * n**2, "peak_mb": 0.5 * n}
        for n in (16, 32, 64, 128)
    ]  # fmt: skip
    by_n.append(key | {"axis": "n", "what": "evaluation", "nodes": 256, "stopped": "needs more than 8 GiB"})
    by_steps = [
        key | {"axis": "T", "what": "training", "nodes": 16, "steps_mean": t, "seconds": 0.1 * t, "peak_mb": 7.0}
        | {"seconds_per_message_step": 0.1, "calls": 2}
        for t in (2.0, 4.0, 8.0)
    ]  # fmt: skip
    return by_n + by_steps


def test_exponents_of_curves():
    by_steps, by_n = scaling.exponents(scaling_rows())
    assert by_n["time_exponent"] == pytest.approx(2) and by_n["memory_exponent"] == pytest.approx(1)
    assert (by_n["axis"], by_n["points"], by_n["largest"]) == ("n", 4, 128)
    assert by_steps["time_exponent"] == pytest.approx(1) and by_steps["memory_exponent"] == pytest.approx(0)
    assert (by_steps["axis"], by_steps["largest"]) == ("T", 8)


def test_a_series_stops_before_the_limit(monkeypatch):
    task = dict.fromkeys(scaling.IDENTITY, 1) | {"device": "cpu", "memory_gib": 8}
    assert "would probably" in scaling.attempt(task, limit=45, before=3.0)["stopped"]
    for error, reason in (
        (scaling.subprocess.TimeoutExpired("x", 45), "takes longer than 45 s"),
        (MemoryError("signal 9"), "needs more than 8 GiB"),
        (SystemExit("can't allocate memory"), "needs more than 8 GiB"),
    ):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(measuring, "in_own_process", fail)
        assert scaling.attempt(task, limit=45, before=2.0)["stopped"] == reason

    def broken(*_, **__):
        raise SystemExit("KeyError: 'nodes'")

    monkeypatch.setattr(measuring, "in_own_process", broken)
    with pytest.raises(SystemExit, match="KeyError"):
        scaling.attempt(task, limit=45)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("what", ["training", "evaluation"])
def test_a_point_of_a_curve(what):
    task = {
        "what": what,
        "algo": "insertion_sort",
        "processor": "mpnn",
        "nodes": 6,
        "steps": 3,
        "batch": 2,
        "hidden": 8,
    }
    found = scaling.measure(task | {"device": "cpu", "seconds": 0.0, "memory_gib": 0})
    assert (found["steps_max"], found["steps_mean"], found["calls"]) == (3, 3, 1)
    assert found["seconds_per_message_step"] == pytest.approx(found["seconds"] / 3) and found["peak_mb"] >= 0


def cost_row(algo="bfs", device="cpu", together=1, **more):
    sizes = [{"nodes": n, "seconds": s, "draw_seconds": 0.01} for n, s in ((4, 0.1), (16, 0.3))]
    return {
        "algo": algo, "processor": "triplet_gmpnn", "hidden": 128, "batch": 32, "device": device, "sizes": sizes,
        "seeds_together": together, "seeds_at_once": together, "validation_seconds": 2.0, "evaluation_seconds": 30.0,
        "device_name": "a", **more
    }  # fmt: skip


def test_cost_of_the_runs_of_an_algorithm():
    alone = clrs30_cost.cost_of(cost_row())
    assert alone["seconds_per_step"] == pytest.approx(0.2)  # sizes take turns
    # 5 seeds x 10,000 steps x 0.2 s; drawing 0.01 s a step; 5 x 200 validations; 5 evaluations
    parts = [alone[part] for part in ("training", "drawing", "validation", "evaluation")]
    assert parts == pytest.approx([10_000, 500, 2_000, 150]) and alone["total"] == pytest.approx(12_650)
    assert clrs30_cost.cost_of(cost_row(together=5, seeds_at_once=1))["training"] == pytest.approx(10_000)
    for together, groups in ((5, 1), (2, 3), (8, 1)):
        found = clrs30_cost.cost_of(cost_row(device="cuda", together=together))
        assert found["training"] == pytest.approx(2_000 * groups) and found["drawing"] == 0
        assert found["validation"] == pytest.approx(2_000)  # a seed's own, whoever it is trained with


def test_totals_keep_devices_apart():
    rows = [cost_row(), cost_row("dfs"), cost_row(device="cuda", together=5), cost_row("my_own", device="cuda")]
    on_cpu, on_cuda = clrs30_cost.totals(rows)
    assert (on_cpu["device"], on_cpu["algorithms"], on_cuda["device"], on_cuda["algorithms"]) == ("cpu", 2, "cuda", 1)
    assert on_cpu["hours"] == pytest.approx(2 * 12_650 / 3600) and on_cpu["hours_per_run"] == pytest.approx(2530 / 3600)
    assert on_cuda["minutes"] == pytest.approx((2_000 + 2_000 + 150) / 60) and on_cuda["processes_to_keep_up"] == 1
    slow = clrs30_cost.totals([cost_row(device="cuda", sizes=[{"seconds": 0.01, "draw_seconds": 0.025}])])[0]
    assert slow["processes_to_keep_up"] == 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_slice_of_an_algorithm():
    task = {
        "algo": "insertion_sort",
        "processor": "mpnn",
        "hidden": 8,
        "batch": 2,
        "device": "cpu",
        "seeds_together": 1,
    }
    found = clrs30_cost.measure(task | {"warm_up": 1, "calls": 2, "seconds": 100.0})
    assert found["seeds_at_once"] == 1
    assert [size["nodes"] for size in found["sizes"]] == [4, 7, 11, 13, 16]
    assert all(size["calls"] == 2 and size["seconds"] > 0 and size["draw_seconds"] > 0 for size in found["sizes"])
    assert [size["message_steps"] for size in found["sizes"]] == [3, 6, 10, 12, 15]
    assert found["validation_seconds"] > 0 and found["evaluation_seconds"] > 0


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


def test_figures_show_what_is_there():
    rows = [compared(), compared("dfs", cpu=3.5), compared(what="evaluation", nodes=64)]
    figure = drawn.train_step({"rows": rows})
    assert len(figure.axes) == 3
    assert [t.get_text() for t in figure.axes[0].texts] == ["6.0x", "3.5x"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["bfs, mpnn", "dfs, mpnn"]
    assert "n = 64" in figure.axes[2].get_title(loc="left")
    rows = scaling_rows()
    figure = drawn.scaling(scaling.curves(rows), scaling.exponents(rows))
    assert len(figure.axes) == 4
    (label,) = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert label.startswith("mpnn: n^2.00 ± 0.00")
    rows = [cost_row(), cost_row(device="cuda", together=5)]
    figure = drawn.clrs30_cost({"rows": rows, "totals": clrs30_cost.totals(rows)})
    assert [axis.get_xlabel() for axis in figure.axes] == ["CPU-hours (a)", "GPU-minutes (a), 5 seeds together"]
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == pytest.approx(12_650 / 3600)


def test_tables():
    text = speed_tables.compared_steps({"rows": [compared("minimum", what="evaluation"), compared("dfs"), compared()]})
    lines = text.splitlines()
    assert lines[2].startswith(
        "| training step | `bfs` | `mpnn` | 16 | 100 ms | 600 ms | 6.0x | 7.0x | 500 MiB | 2,000"
    )
    assert "`dfs`" in lines[3] and lines[4].startswith("| evaluation, a message step | `minimum`")
    summary = train_step.summary([compared(cpu=4.0), compared("dfs", cpu=9.0)])
    assert "geometric mean | 5x | **6.00x** | yes |" in speed_tables.goals({"rows": [], "summary": summary})
    assert speed_tables.goals({"rows": []}) == "Not measured yet.\n"
    assert "| n^2.00 ± 0.00 | n^1.00 ± 0.00 |" in speed_tables.growth({"exponents": scaling.exponents(scaling_rows())})
    assert "| 256 | needs more than 8 GiB | – |" in speed_tables.points({"rows": scaling_rows()})
    totals = clrs30_cost.totals([cost_row(), cost_row(device="cuda", together=5)])
    text = speed_tables.whole_table({"totals": totals})
    assert "| 1 of 30 | 4 CPU-hours | 0.70 CPU-hours |" in text and "| 1 of 30 | 69.2 GPU-minutes |" in text


def test_cores_are_compared_round_by_round():
    def found(*seconds):
        return [{"seconds_per_step": s, "versions": {"cpu": "a chip"}} for s in seconds]

    one, two = cores.rows({1: found(0.1, 0.3, 0.2), 2: found(0.05, 0.1, 0.2)})
    assert one["faster_than_one"] == 1 and two["faster_than_one"] == 2  # 2, 3 and 1; medians would give 0.2 / 0.1
    assert two["seconds_per_step"] == 0.1 and two["whole_run_seconds"] == pytest.approx(1000)
    (alone,) = cores.rows({4: found(0.1)})
    assert "faster_than_one" not in alone
    about = {"algo": "bfs", "processor": "mpnn"}
    text = speed_tables.several_cores({"rows": [one | about, two | about]})
    assert "| `bfs` | `mpnn` | 2 | 100 ms | 16.7 min | 2.00x | a chip |" in text


@pytest.mark.parametrize("page", ["README.md", "docs/speed.md"])
def test_tables_on_the_pages_equal_the_result_files(page):
    text = (ROOT / page).read_text()
    assert speed_tables.filled(text) == text, f"python benchmarks/speed_tables.py {page}"
    places = [name for _, name, _ in speed_tables.PLACE.findall(text)]
    assert page == "README.md" or set(places) == set(speed_tables.TABLES)


def test_recorded_results_agree_with_their_rows():
    for module, made in (
        (train_step, lambda rows: {"summary": train_step.summary(rows)}),
        (scaling, lambda rows: {"exponents": scaling.exponents(rows)}),
        (clrs30_cost, lambda rows: {"totals": clrs30_cost.totals(rows)}),
    ):
        result = result_files.load(module.OUTPUT)
        if not result["rows"]:
            continue
        for key, value in made(result["rows"]).items():
            assert close(result[key], value), f"{module.OUTPUT.name}: {key}"


def test_what_task_hinting_made_of_small_runs_is_as_recorded():
    found = json.loads(task_hinting.RESULT.read_text())
    assert set(found["results"]) == set(task_hinting.CASES)
    for name, result in found["results"].items():
        case = {key: list(v) if isinstance(v, tuple) else v for key, v in task_hinting.CASES[name].items()}
        assert result["settings"] == case and len(result["runs"]) == len(task_hinting.SEEDS)
        assert result["difference"] == task_hinting.difference(result["runs"])
    page = task_hinting.PAGE.read_text()
    assert task_hinting.filled(page, found) == page
    rows = [{"with": {"8": 0.5}, "without": {"8": 0.25}}, {"with": {"8": 0.5}, "without": {"8": 0.75}}]
    assert task_hinting.difference(rows[:1]) == {"8": 25.0} and task_hinting.difference(rows) == {"8": 0.0}


def close(ours, theirs):
    """The same but for what rounding the rows to four digits can have changed."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(close(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    return math.isclose(ours, theirs, rel_tol=0.01, abs_tol=0.01) if isinstance(ours, float) else ours == theirs


def test_flags_of_result_files():
    parser = argparse.ArgumentParser()
    result_files.add_flags(parser, Path("x.json"))
    assert not parser.parse_args([]).again and parser.parse_args([]).output == Path("x.json")
    with pytest.raises(SystemExit):
        parser.parse_args(["--again", "--keep"])
    assert json.loads(json.dumps(result_files.rounded({"x": (1.0, 2)}))) == {"x": [1.0, 2]}
