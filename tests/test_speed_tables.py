"""Tables and figures of the speed benchmarks: what they show, and that those on the pages equal the recorded files."""

import json
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package
# ruff: noqa: E402

import clrs30_cost
import cores
import drawn
import result_files
import scaling
import speed_tables
import task_hinting
import train_step
from benchmark_rows import compared, cost_row, scaling_rows


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
