"""The report of the CLRS-30 table (benchmarks/clrs30_report.py, its tables and figures): right, and up to date."""

import sys
from pathlib import Path

import pytest

from nar.results import published
from nar.results.statistics import interval

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package
# ruff: noqa: E402

import clrs30
import clrs30_cells as cells
import clrs30_figures as figures
import clrs30_report as report
import clrs30_tables as tables


def row(algorithm="bfs", processor="relational", recipe="step", seed=0, size=64, score=0.5, **more):
    about = {"algorithm": algorithm, "processor": processor, "recipe": recipe, "seed": seed, "size": size}
    found = about | {"score": score, "exact": score / 2, "device": "cpu", "commit": "abc1234"} | more
    return dict.fromkeys(clrs30.COLUMNS, "") | {name: str(value) for name, value in found.items()}


def line(text, begin):
    """The cells of the first line of a table that begins with this cell."""
    (found, *_) = (one for one in text.splitlines() if one.startswith(f"| {begin} |"))
    return [cell.strip() for cell in found.strip("| ").split("|")][1:]


def test_a_cell_has_mean_deviation_interval_and_every_seed():
    middle = interval([90.0, 95.0, 100.0])
    text = tables.whole({0: 0.9, 1: 1.0, 4: 0.95}, of=5)
    assert text == f"**95.00** ± 5.00 [{middle.low:.2f}, {middle.high:.2f}] (90.00, 100.00, 95.00; 3 of 5 seeds)"
    assert tables.whole({0: 0.9}) == "**90.00**" and tables.whole({0: 0.9}, of=3) == "**90.00** (1 of 3 seeds)"
    assert tables.whole({}, of=3) == tables.short({}) == "missing"
    assert tables.short({0: 0.9, 1: 1.0}, of=2) == "95.00 ± 7.07"


def test_scores_stand_beside_what_is_published():
    rows = [row(seed=seed, score=score) for seed, score in enumerate((0.9, 1.0))]
    rows += [row("kmp_matcher", size=80, score=0.75), row("kmp_matcher", size=20, score=0.1)]
    rows += [row(processor="triplet_gmpnn", recipe="protocol", score=0.25), row(recipe="step-one-round", score=0.1)]
    text = tables.scores(tables.Table.of(rows))
    bfs = published.ibarz2022("bfs", "triplet_gmpnn")[0]
    known, protocol, step, exact = line(text, "`bfs`")
    assert known == f"{bfs.mean:.2f}{bfs.plus_minus}" and protocol == "**25.00** (1 of 3 seeds)"
    assert step.startswith("**95.00** ± 7.07 [90.00, 100.00] (90.00, 100.00; 2 of 5") and exact == "47.50 ± 3.54"
    assert line(text, "`kmp_matcher`")[2:] == ["**75.00** (1 of 5 seeds)", "37.50"]
    assert line(text, "`dfs`")[1:] == ["missing"] * 3
    both = (bfs.mean + published.ibarz2022("kmp_matcher", "triplet_gmpnn")[0].mean) / 2
    assert f"mean of 2 of 30 algorithms **85.00**. Published for these: {both:.2f}. Above 99: 0; above the" in text


def test_own_ends_stand_beside_those_that_were_told():
    assert "Nothing is recorded" in tables.own_end(tables.Table.of([row()]))
    rows = [
        row(seed=0, score=0.75, learned_end=0.5, learned_end_exact=0.25),
        row(seed=1, score=1.0),
    ]  # seed 1: not asked
    rows.append(row("dfs", score=1.0, exact=1.0, learned_end=0.99, learned_end_exact=0.9))
    text = tables.own_end(tables.Table.of(rows))
    assert line(text, "`bfs`") == ["75.00", "50.00", "37.50", "25.00"]
    assert line(text, "`dfs`") == ["100.00", "99.00", "100.00", "90.00"]
    assert "Largest difference of two scores: 25.00; 2 of 30 algorithms" in text


def test_means_by_seed_are_of_seeds_that_every_algorithm_has():
    rows = [row(name, seed=seed, score=score) for name, values in (("bfs", (0.5, 0.7, 0.9)), ("dfs", (0.7, 0.9)))
            for seed, score in enumerate(values)]  # fmt: skip
    found = tables.Table.of(rows)
    assert found.mean_over(["bfs", "dfs"], tables.STEP) == pytest.approx({0: 0.6, 1: 0.8})
    assert "by seed, of the 2 that all of these have: **70.00** ± 14.14 [60.00, 80.00] (60.00, 80.00)" in tables.means(
        found
    )


def test_sizes_say_on_how_few_graphs_and_what_takes_too_long():
    rows = [row(size=64, samples=32, score=1.0), row(size=256, samples=32), row(size=512, samples=4)]
    rows += [row(size=512, samples=2, seed=1, score=0.7), row("bubble_sort", samples=32)]
    text = tables.by_size(tables.Table.of(rows), "score")
    assert line(text, "`bfs`") == ["missing", "100.00", "missing", "50.00", "60.00 ± 14.14 (2 to 4 graphs)"]
    assert line(text, "`bubble_sort`") == ["missing", "50.00", "missing", "too long", "too long"]
    assert "Of 28 of 30 algorithms nothing is recorded" in text
    assert tables.by_size(tables.Table.of([]), "score") == "\nOf 30 of 30 algorithms nothing is recorded yet.\n"


def test_ablations_and_networks_have_rows_of_their_own():
    rows = [row("dfs", recipe="step-no-relations", score=0.2), row("dfs", score=0.9)]
    rows += [row("dfs", "pgn", score=0.6), row("bellman_ford", "pgn", "protocol", score=0.7)]
    found, place = tables.Table.of(rows), cells.SIX.index("dfs")
    text = tables.ablation(found)
    assert line(text, "`--relations none --no-trails --no-like-with-like`")[place] == "20.00 (1 of 3 seeds)"
    assert line(text, "as it is")[place] == "90.00 (1 of 3 seeds)"
    assert text.count("\n") == 2 + 1 + len(cells.ABLATIONS)
    lines = [one for one in tables.named_by_step(found).splitlines() if one.startswith("| `pgn`")]
    assert ["60.00" in one for one in lines] == [True, False] and "| with |" in lines[0]
    assert line(tables.named_by_protocol(found), "`pgn`")[1] == "**70.00** (1 of 3 seeds)"


def test_cost_is_in_minutes():
    rows = [row(seed=seed, train_seconds=seconds, cpu_seconds=600) for seed, seconds in ((0, 60), (1, 120))]
    assert line(tables.cost(tables.Table.of(rows)), "`bfs`") == ["missing", "missing", "1.5", "10.0"]


def test_figures_show_what_is_there_and_what_is_missing():
    rows = [row(seed=seed, size=size, score=0.9) for seed in (0, 1) for size in (16, 64, 512)]
    found = tables.Table.of([*rows, row("dfs", "triplet_gmpnn", "protocol", train_seconds=90)])
    drawn = figures.against_size(found)
    panels = {axis.get_title(loc="left"): axis for axis in drawn.axes if axis.get_visible()}
    assert len(panels) == 29 and "segments_intersect" not in panels  # that has one size
    means = [one.get_ydata() for one in panels["bfs"].lines if len(one.get_xdata()) == 3]
    assert [list(values) for values in means] == [[90.0, 90.0, 90.0]]
    assert [text.get_text() for text in panels["heapsort"].texts] == ["missing"] and not panels["dfs"].texts
    assert len(figures.against_size(found, "exact").axes) == 30
    names = [label.get_text() for label in figures.scores(found).axes[0].get_yticklabels()]
    assert names[::-1] == tables.NAMES and len(names) == 30
    at = [
        one.get_xdata()[0]
        for one in figures.cost(found).axes[0].lines
        if one.get_marker() == "s" and len(one.get_xdata())
    ]
    assert at == [1.5]


def test_everything_is_written(tmp_path):
    report.write([row(), row(seed=1)], tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"README.md", *(f"{name}.png" for name in figures.FIGURES)} == {
        "README.md", *(f"{name}.png" for name in report.CAPTIONS)
    }  # fmt: skip


def test_the_report_and_readme_are_of_the_recorded_table(tmp_path):
    how, rows = "python benchmarks/clrs30_report.py", clrs30.rows()
    report.write(rows, tmp_path, figures=False)
    assert (report.REPORT / "README.md").read_text() == (tmp_path / "README.md").read_text(), how
    assert all((report.REPORT / f"{name}.png").is_file() for name in figures.FIGURES), how
    text = report.README.read_text()
    assert len(report.PLACE.findall(text)) == 1 and report.filled(text, rows) == text, how
