"""The benchmarks of cost: exponents of how it grows with size (scaling.py), hours of a table (clrs30_cost.py)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts beside each other, not a package

import clrs30_cost
import measuring
import scaling
from benchmark_rows import cost_row, scaling_rows


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
