"""The report of a run, from a results.json whose every number is written out here."""

import copy
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nar.reports import figures, report, report_figures
from nar.results import comparability, published, schema

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def evaluation(size, samples, score, exact, valid, data_set, per_step, live):
    return {
        "algorithm": "bellman_ford",
        "size": size,
        "setting": {},
        "termination": "oracle",
        "samples": samples,
        "score": score,
        "exact": exact,
        "valid": valid,
        "outputs": {"pi": {"metric": "accuracy", "value": score}},
        "hints": {
            "pi_h": {"metric": "accuracy", "value": 0.875, "per_step": [0.9, 0.85, 0.8][: len(live)], "live": live},
            "d": {"metric": "mse", "value": 0.0123, "per_step": per_step, "live": live},
        },
        "steps_mean": 5.125,
        "steps_max": 7,
        "measures": {},
        "seconds": 1.94,
        "data": {
            "set": data_set,
            "generator": "nar 0.1.0",
            "seed": 3,
            "length": size,
            "params": {"p": 0.5},
            "samples": samples,
            "sha256": SHA,
        },
    }


RESULTS = {
    "schema": 2,
    "run": {
        "algorithms": ["bellman_ford"],
        "processor": "triplet_gmpnn",
        "seed": 42,
        "parameters": 524604,
        "steps": 10000,
        "steps_planned": 10000,
        "interrupted": False,
        "best_step": 9350,
        "processes": 1,
        "best_validation": 0.9951,
        "validation": {"bellman_ford": 0.9951},
        "train_seconds": 3725.4,
        "train_sizes": {"bellman_ford": [4, 7, 11, 13, 16]},
        "validation_size": {"bellman_ford": 16},
        "left_out": {},
    },
    "config": {"algo": ["bellman_ford"], "batch_size": 32},
    "command": "python train.py --algo bellman_ford",
    "provenance": {
        "nar": "0.1.0",
        "commit": "abc1234",
        "torch": "2.13.0",
        "numpy": "2.4.6",
        "python": "3.11.7",
        "device": "cpu",
        "date": "2026-11-20",
    },
    "evaluations": [
        evaluation(16, 128, 0.9985, 0.97, 1.0, "fresh", [0.01, 0.02], [128, 60]),
        evaluation(64, 32, 0.9744, 0.3125, None, "clrs30-v1/test", [0.0, 0.04, 0.5], [32, 32, 30]),
    ],
}
METRICS = [
    {"step": 0, "loss": 4.0, "train_size": 4, "seconds": 0.1, "validation_score": 0.1, "validation_loss": 3.0},
    {"step": 50, "loss": 2.0, "train_size": 4, "seconds": 3.1, "validation_score": 0.6, "validation_loss": 1.0},
    {"step": 100, "loss": 0.5, "train_size": 4, "seconds": 6.1, "validation_score": 0.5, "validation_loss": 1.1},
]


def changed(**run):
    found = copy.deepcopy(RESULTS)
    found["run"].update(run)
    return found


def older(found):
    """The same as schema 1 had it."""
    found = copy.deepcopy(found)
    run, (algorithm,) = found["run"], found["run"].pop("algorithms")
    run |= {"algorithm": algorithm, "train_sizes": run["train_sizes"][algorithm]}
    run |= {"validation_size": run["validation_size"][algorithm]}
    for name in ("processes", "validation", "left_out"):
        del run[name]
    found["config"]["algo"] = algorithm
    for e in found["evaluations"]:
        for name in ("setting", "termination", "measures"):
            del e[name]
    return {**found, "schema": 1}


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    return tmp_path


def written(run_dir):
    """The Markdown of the report, made anew."""
    return report.write_report(run_dir).with_name("report.md").read_text()


def generalist():
    """Two algorithms, trained on and scored at different sizes."""
    found = changed(
        algorithms=["bellman_ford", "bfs"],
        validation={"bellman_ford": 0.9902, "bfs": 1.0},
        train_sizes={"bellman_ford": [4, 16], "bfs": [4, 8]},
        validation_size={"bellman_ford": 16, "bfs": 8},
    )
    found["config"]["algo"] = ["bellman_ford", "bfs"]
    found["evaluations"][1]["algorithm"] = "bfs"
    return found


def test_report_and_figures_are_written(run_dir):
    path = report.write_report(run_dir)
    assert path == run_dir / "report.html" and path.is_file()
    text = (run_dir / "report.md").read_text()
    for name in ("score.png", "hints_bellman_ford.png", "training.png"):
        assert f"]({name})" in text
        assert (run_dir / name).read_bytes()[:4] == b"\x89PNG"
    before = {p.name: p.read_bytes() for p in run_dir.iterdir()}
    report.write_report(run_dir)
    assert before == {p.name: p.read_bytes() for p in run_dir.iterdir()}  # making it again changes nothing


def test_results_row_and_provenance():
    text = report.text(RESULTS)
    row = "| bellman_ford | 64 | 4x | 97.44% | 31.25% | - | 32 | 5.1/7 | 1.94 | clrs30-v1/test `9f86d08188` |"
    assert row in text.splitlines()
    assert "| `d` | mse | 0.0123 | 0.0123 |" in text
    assert "| `pi_h` | accuracy | 87.50% | 87.50% |" in text
    assert "those of step 9,350" in text and "(99.51%)" in text
    assert "python train.py --algo bellman_ford" in text
    assert "| training time | 1 h 2 min |" in text
    assert "97.39% ± 0.19 over 10 seeds" in text
    assert "**Note.**" not in text
    assert "No larger graph had any part in the choice." in text
    assert "That is larger than any graph trained on." in report.text(changed(validation_size={"bellman_ford": 20}))


def test_alt_text_holds_the_numbers(run_dir):
    text = written(run_dir)
    assert "n = 16: 99.85% and 97.00%; n = 64: 97.44% and 31.25%](score.png)" in text
    assert "from 4 to 0.5; best validation score 99.51% at step 9,350](training.png)" in text


def test_table_prints_one_row_per_evaluation():
    lines = report.table(RESULTS).splitlines()
    assert lines[1].split() == ["size", "graphs", "score", "exact", "valid", "steps", "seconds", "data"]
    assert lines[2].split() == ["16", "128", "99.85%", "97.00%", "100.00%", "5.1/7", "1.94", "fresh"]
    assert lines[3].split() == ["64", "32", "97.44%", "31.25%", "-", "5.1/7", "1.94", "clrs30-v1/test"]
    assert len(lines) == 4
    assert (
        len({line.index(cell) + len(cell) for line, cell in zip(lines[1:], ("score", "99.85%", "97.44%"), strict=True)})
        == 1
    )


def test_table_names_the_algorithm_where_there_are_several():
    lines = report.table(generalist()).splitlines()
    assert lines[0].startswith("bellman_ford+bfs with triplet_gmpnn, seed 42: 524,604 parameters")
    assert [line.split()[0] for line in lines[1:4]] == ["algorithm", "bellman_ford", "bfs"]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"interrupted": True, "steps": 700}, "Interrupted at step 700 of 10,000"),
        ({"steps": 500, "steps_planned": 500}, "Trained for 500 steps, the published protocol for 10,000"),
        ({"best_validation": None, "best_step": None}, "Never validated"),
    ],
)
def test_warnings(run, expected):
    found = changed(**run)
    assert any(expected in warning for warning in comparability.of_run(found))
    assert expected in report.text(found) and expected in report.table(found)


def test_no_warning_without_cause_and_one_for_few_graphs():
    assert comparability.of_run(RESULTS) == []
    found = copy.deepcopy(RESULTS)
    found["evaluations"][1]["samples"] = 31
    assert comparability.of_run(found) == ["Fewer than 32 graphs at n = 64: expect differences by chance."]


def test_an_evaluation_cut_short_still_gives_a_report(run_dir):
    found = {**copy.deepcopy(RESULTS), "config": {"eval_sizes": [16, 64, 256]}}
    assert comparability.of_run(found) == ["Not evaluated at n = 256: the evaluation was interrupted."]
    found["run"]["left_out"] = {"bellman_ford": [256]}
    assert comparability.of_run(found) == ["Not evaluated at n = 256: too long for a CPU."]
    found["evaluations"] = []
    (run_dir / "results.json").write_text(json.dumps(found))
    text = written(run_dir)
    assert "Not evaluated at n = 16, 64, 256" in text and "](score.png)" not in text and "](training.png)" in text
    assert len(report.table(found).splitlines()) == 3  # title, header, warning


def test_metrics_of_a_resumed_and_killed_run(run_dir):
    with open(run_dir / "metrics.jsonl", "a") as file:
        file.write('{"step": 50, "loss": 1.5}\n{"step": 150, "lo')
    rows = schema.read_metrics(run_dir)
    assert [(row["step"], row["loss"]) for row in rows] == [(0, 4.0), (50, 1.5), (100, 0.5)]


def test_unreadable_files_are_named(run_dir):
    (run_dir / "metrics.jsonl").write_text('{"step": 0, "loss": 1.0}\nnonsense\n{"step": 1, "loss": 1.0}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        schema.read_metrics(run_dir)
    (run_dir / "results.json").write_text('{"schema": 1, "run"')
    with pytest.raises(ValueError, match=r"results\.json is not the results of a run"):
        schema.read(run_dir)
    (run_dir / "results.json").write_text(json.dumps({**RESULTS, "schema": 3}))
    with pytest.raises(ValueError, match="has schema 3, this version of nar reads 2"):
        schema.read(run_dir)
    (run_dir / "results.json").unlink()
    with pytest.raises(ValueError, match=r"no results\.json in"):
        report.write_report(run_dir)


def test_results_of_schema_1_are_read_as_schema_2(run_dir):
    (run_dir / "results.json").write_text(json.dumps(older(RESULTS)))
    assert schema.read(run_dir) == RESULTS
    assert schema.upgraded(RESULTS) == RESULTS
    before = copy.deepcopy(older(RESULTS))
    assert report.text(before) == report.text(RESULTS) and before == older(RESULTS)


def test_recorded_results_are_read():
    recorded = sorted((Path(__file__).parent.parent / "results").glob("*/seed*"))
    assert len(recorded) >= 12
    for run_dir in recorded:
        found = schema.read(run_dir)
        (algorithm,) = found["run"]["algorithms"]
        assert found["config"]["algo"] == [algorithm] == list(found["run"]["validation"])
        assert found["run"]["train_sizes"] == {algorithm: [4, 7, 11, 13, 16]}
        assert {(e["termination"], *e["setting"]) for e in found["evaluations"]} == {("oracle",)}
        assert "Not evaluated" not in report.text(found)


def test_a_generalist_is_reported_by_algorithm(run_dir):
    (run_dir / "results.json").write_text(json.dumps(generalist()))
    text = written(run_dir)
    assert text.startswith("# bellman_ford+bfs with triplet_gmpnn\n")
    assert "Trained on graphs of 4, 16 nodes (bellman_ford); 4, 8 nodes (bfs)." in text
    assert "| bellman_ford | 16 | 1x |" in text and "| bfs | 64 | 8x |" in text
    assert "graphs of size 8, 16 (99.51%, mean over algorithms). No larger" in text
    assert "Validation of each algorithm at that step: bellman_ford 99.02%, bfs 100.00%." in text
    assert "Trained on 2 algorithms together" in text
    assert "Published for bellman_ford with triplet_gmpnn" in text and "Published for bfs with triplet_gmpnn" in text
    assert {"hints_bellman_ford.png", "hints_bfs.png"} <= {path.name for path in run_dir.iterdir()}


def test_an_algorithm_that_is_not_to_be_found_here_is_reported(run_dir):
    found = json.loads(json.dumps(RESULTS).replace('"bellman_ford"', '"not_here:my_algorithm"'))
    (run_dir / "results.json").write_text(json.dumps(found))
    text = written(run_dir)
    assert "# not_here:my_algorithm with triplet_gmpnn" in text and "**Note.**" not in text
    assert comparability.unusual({"algo": ["not_here:mine"], "train_sizes": [4], "hidden": 8}) == {"hidden": 8}
    assert comparability.unusual({"algo": ["bfs"], "train_sizes": [4, 7, 11, 13, 16], "val_size": 16}) == {}
    assert comparability.unusual({"algo": ["bfs"], "train_sizes": [4]}) == {"train_sizes": [4]}
    assert (run_dir / "hints_not_here.my_algorithm.png").is_file()
    assert "not_here:my_algorithm with triplet_gmpnn" in report.table(found)


def test_terminations_settings_and_first_errors_have_sections():
    found = copy.deepcopy(RESULTS)
    assert not {"## Termination", "## Other distributions", "## Where errors begin"} & set(
        report.text(found).splitlines()
    )
    stopped = {
        **found["evaluations"][1],
        "termination": "fixed_point",
        "score": 0.5,
        "steps_taken": {"mean": 9.5, "max": 12},
    }
    grid = {**found["evaluations"][1], "setting": {"family": "grid"}, "score": 0.25}
    found["evaluations"] += [stopped, grid]
    found["evaluations"][0]["first_error"] = [None, 2, 5, None]
    text = report.text(found)
    assert "| bellman_ford | 64 | fixed_point | 4x | 50.00% | 31.25% | - | 32 | 9.5/12 |" in text
    assert "| triplet_gmpnn | 64 | fixed_point | 50.00% | 31.25% | 9.5 | 5.1 |" in text
    lines = text.splitlines()
    own = lines.index("| triplet_gmpnn | 64 | own | 97.44% | 31.25% | - | 32 |")
    assert lines[own + 1] == "| triplet_gmpnn | 64 | family grid | 25.00% | 31.25% | - | 32 |"
    assert "| triplet_gmpnn | 16 | 50.00% | 3.5 (from 2 to 5) | 5.1 |" in text
    assert "n = 64: 25.00%" not in report_figures._score_alt(
        report._plain(found)
    )  # figures and hints: own distribution, oracle
    assert "| `d` | mse | 0.0123 | 0.0123 |" in text


def lines_of(axis):
    return {(line.get_color(), line.get_linestyle()): line.get_xydata().tolist() for line in axis.lines}


def test_score_figure_draws_the_numbers():
    figure = figures.score_against_size([RESULTS], published.ibarz2022())
    (axis,) = figure.axes
    curves = lines_of(axis)
    np.testing.assert_allclose(curves[figures.BLUE, "-"], [[16, 99.85], [64, 97.44]])
    np.testing.assert_allclose(curves[figures.ORANGE, "-"], [[16, 97.0], [64, 31.25]])
    assert axis.containers[0].lines[0].get_xydata().tolist() == [[64, 97.39]]  # the published mark
    shade = axis.patches[0].get_extents().transformed(axis.transData.inverted())
    assert (round(shade.x0, 6), round(shade.x1, 6)) == (4, 16)
    assert axis.get_xscale() == "log" and axis.xaxis.get_transform().base == 2
    assert [label.get_text() for label in axis.get_xticklabels()] == ["16\n(128)", "64\n(32)"]


def test_published_mark_only_for_what_was_published():
    known = published.ibarz2022()
    assert len(known["scores"]) == 120
    assert not figures.score_against_size([changed(processor="gat")], known).axes[0].containers
    only_16 = {**RESULTS, "evaluations": RESULTS["evaluations"][:1]}
    assert not figures.score_against_size([only_16], known).axes[0].containers


def test_every_seed_is_drawn_and_the_mean():
    runs = []
    for seed, score in enumerate((0.9, 0.6, 0.3)):
        run = changed(seed=seed)
        run["evaluations"][1]["score"] = score
        runs.append(run)
    (axis,) = figures.score_against_size(runs).axes
    blue = [line.get_ydata().tolist() for line in axis.lines if line.get_color() == figures.BLUE]
    np.testing.assert_allclose(blue, [[99.85, 90], [99.85, 60], [99.85, 30], [99.85, 60]])
    panels = figures.score_against_size([RESULTS, changed(processor="mpnn")]).axes
    assert [axis.get_title(loc="left") for axis in panels] == ["bellman_ford, triplet_gmpnn", "bellman_ford, mpnn"]


def test_hint_figure_keeps_errors_apart_from_accuracies():
    pi_h, d = figures.hints_against_step(RESULTS["evaluations"]).axes
    assert pi_h.get_ylabel() == "accuracy (%)" and pi_h.get_yscale() == "linear"
    assert d.get_ylabel() == "error (MSE)" and d.get_yscale() == "log"
    by_size = {line.get_color(): line.get_xydata().tolist() for line in d.lines if line.get_linestyle() == "-"}
    assert by_size[figures.BLUE] == [[1, 0.01]]  # at step 2 only 60 of 128 graphs are left: dotted from there
    dotted = [line.get_xydata().tolist() for line in d.lines if line.get_linestyle() != "-"]
    assert dotted == [[[1, 0.01], [2, 0.02]]]
    assert by_size[figures.ORANGE] == [[1, 0.001], [2, 0.04], [3, 0.5]]  # no error at all: a decade below the least
    np.testing.assert_allclose([y for line in pi_h.lines[:1] for y in line.get_ydata()], [90, 85])


def test_hint_figure_of_runs_that_end_at_once():
    ended = evaluation(16, 32, 1.0, 1.0, 1.0, "fresh", [], [])
    for axis in figures.hints_against_step([ended]).axes:
        assert [len(line.get_xdata()) for line in axis.lines] == [0]


def test_training_figure_marks_the_selected_step():
    loss, validation = figures.training(METRICS, best_step=50).axes
    assert loss.lines[0].get_xydata().tolist() == [[0, 4.0], [50, 2.0], [100, 0.5]]
    assert validation.lines[0].get_xydata().tolist() == [[0, 10.0], [50, 60.0], [100, 50.0]]
    assert [axis.lines[-1].get_xdata()[0] for axis in (loss, validation)] == [50, 50]
    (only,) = figures.training([{"step": 0, "loss": 1.0}]).axes
    assert only.get_ylabel() == "training loss"


def measured(gate=([0.5, 0.25], [0.125, 0.375, 0.25])):
    """The found and metrics of a processor with a measure."""
    found = copy.deepcopy(RESULTS)
    for e, steps in zip(found["evaluations"], gate, strict=True):
        e["measures"] = {"gate": steps}
    return found, [row | {"gate": value} for row, value in zip(METRICS, (0.5, 0.75, 0.0625), strict=True)]


def test_measures_have_a_section_and_a_figure(run_dir):
    assert "easures" not in written(run_dir)  # a processor without any
    found, metrics = measured()
    for e in found["evaluations"][:1]:
        e["measures"]["depth"] = [2.0, 4.0]
    (run_dir / "results.json").write_text(json.dumps(found))
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
    text = written(run_dir)
    section = text.split("## Measures")[1].split("## How it was made")[0]
    assert "| `gate` | 0.375 | 0.25 |" in section and "| `depth` | 3 | - |" in section
    alt = "gate, mean over steps, n = 16: 0.375, n = 64: 0.25; over the training from 0.5 to 0.0625. depth"
    assert alt in section and "n = 64: -](measures_bellman_ford.png)" in section
    assert text.count("](measures_bellman_ford.png)") == 1
    assert (run_dir / "measures_bellman_ford.png").read_bytes()[:4] == b"\x89PNG"


def test_measure_figure_draws_the_numbers():
    found, metrics = measured()
    rollout, trained = figures.measures(found["evaluations"], metrics, 50).axes
    by_size = {line.get_color(): line.get_xydata().tolist() for line in rollout.lines if line.get_linestyle() == "-"}
    assert by_size[figures.BLUE] == [[1, 0.5]]  # at step 2 only 60 of 128 graphs are left
    assert by_size[figures.ORANGE] == [[1, 0.125], [2, 0.375], [3, 0.25]]
    assert [[1, 0.5], [2, 0.25]] in [line.get_xydata().tolist() for line in rollout.lines]
    assert trained.lines[0].get_xydata().tolist() == [[0, 0.5], [50, 0.75], [100, 0.0625]]
    assert trained.lines[1].get_xdata()[0] == 50
    low, high = rollout.get_ylim()
    assert (low, high) == trained.get_ylim() and -0.05 < low < 0 and 0.75 < high < 0.85
    assert len(figures.measures(found["evaluations"]).axes) == 1  # without metrics
    assert figures.measures(measured(([-0.5, 0.0], [0.0, 0.0, 0.0]))[0]["evaluations"]).axes[0].get_ylim()[0] < -0.5


def test_measures_of_a_run_without_hints():
    found, _ = measured()
    for e in found["evaluations"]:
        e["hints"] = {}
    (axis,) = figures.measures(found["evaluations"]).axes
    assert next(line.get_xydata().tolist() for line in axis.lines) == [[1, 0.5], [2, 0.25]]


def crowded():
    """Runs that are hard to draw: sizes close together, many hints, long rollouts, zeros and gaps."""
    found = changed()
    for size in (80, 128, 256):
        found["evaluations"].append(evaluation(size, 1000, 0.05, 0.0, 0.0, "fresh", [1e-9, 3.0], [1000, 4]))
    long = [0.99, None, *([0.5] * 3000)]
    for e in found["evaluations"]:
        for index in range(7):
            hint = {
                "metric": "f1",
                "value": 0.5,
                "per_step": long[: 4 * e["size"]],
                "live": [32] * len(long[: 4 * e["size"]]),
            }
            e["hints"][f"mark_{index}"] = hint
        e["measures"] = {"gate": [0.3] * 4 * e["size"], "depth": [-3.0, 1e4]}
    return found


def all_figures():
    yield figures.score_against_size([RESULTS], published.ibarz2022())
    yield figures.score_against_size([crowded()], published.ibarz2022())
    yield figures.score_against_size(
        [changed(seed=1), changed(seed=2), changed(processor="pgn")], published.ibarz2022()
    )
    yield figures.hints_against_step(RESULTS["evaluations"])
    yield figures.hints_against_step(crowded()["evaluations"])
    yield figures.measures(measured()[0]["evaluations"], measured()[1], 50)
    yield figures.measures(crowded()["evaluations"])
    yield figures.training(METRICS, 50)
    yield figures.training(
        [{"step": s, "loss": 10.0 ** (-s / 2000), "validation_score": s / 1e4} for s in range(0, 10001, 50)], 9350
    )
    yield figures.training([{"step": 0, "loss": float("nan")}, {"step": 1, "loss": 0.0}])


def texts(figure):
    """Every piece of text that is drawn; ticks outside the limits of their axis exist but are not drawn."""
    yield from figure.texts
    yield from (text for legend in figure.legends for text in legend.get_texts())
    for axes in figure.axes:
        yield axes._left_title
        for axis in (axes.xaxis, axes.yaxis):
            yield axis.label
            low, high = sorted(axis.get_view_interval())
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True):
                if low <= place <= high:
                    yield label


@pytest.mark.parametrize("figure", list(all_figures()))
def test_no_text_overlaps_and_no_legend_covers_data(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    boxes = []
    for text in texts(figure):
        content, box = text.get_text(), text.get_window_extent()
        if content.strip():
            lines = content.split("\n")
            blank = next(i for i, line in enumerate(lines) if line)  # a label moved down begins with empty lines
            boxes.append((content, Bbox.from_extents(box.x0, box.y0, box.x1, box.y1 - box.height * blank / len(lines))))
    assert len(boxes) > 6
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{name!r} is cut off"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b), f"{one!r} overlaps {other!r}"
    assert min(text.get_fontsize() for text in texts(figure)) >= 9
    (legend,) = figure.legends
    for axes in figure.axes:
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_reports_need_no_torch():
    loaded = "print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    code = f"import sys, nar.reports.report, nar.reports.figures, nar.reports.study_report; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
