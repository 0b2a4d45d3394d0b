"""Many runs as one study: what is averaged and what is not, and the report and tables made of it.

Runs are tiny result files whose every number is written out here.
"""

import copy
import csv
import io
import itertools
import json
import math
import shutil
from pathlib import Path

import pytest
from made_up_runs import measured, measured_row

from nar.cli import main as cli
from nar.config import Config
from nar.reports import study_csv, study_report
from nar.results import published, run_labels, statistics, study

SHA = {16: "a" * 64, 64: "b" * 64}


def evaluation(algorithm="bfs", size=64, score=0.5, **more):
    return {
        "algorithm": algorithm,
        "size": size,
        "samples": 32,
        "score": score,
        "exact": score / 2,
        "valid": None,
        "outputs": {"pi": {"metric": "accuracy", "value": score}},
        "hints": {"pi_h": {"metric": "accuracy", "value": score, "per_step": [1.0, score], "live": [32, 8]}},
        "steps_mean": 5.5,
        "steps_max": 7,
        "measures": {},
        "seconds": 0.32,
        "data": {
            "set": "clrs30-v1/test" if size == 64 else "nar/test",
            "generator": "nar 0.1.0",
            "seed": 3,
            "length": size,
            "params": {"p": [0.5]},
            "samples": 32,
            "sha256": SHA[size],
        },
    } | more


def run(processor="mpnn", seed=0, scores=(0.9, 0.5), algorithms=("bfs",), evaluations=None, made=(), **settings):
    """A finished run of the protocol; `scores` at n = 16 and 64."""
    config = Config(algo=algorithms, processor=processor, seed=seed, **settings).to_dict()
    if evaluations is None:
        evaluations = [evaluation(a, n, x) for a in algorithms for n, x in zip((16, 64), scores, strict=True)]
    return {
        "schema": 2,
        "run": {
            "algorithms": list(algorithms),
            "processor": processor,
            "seed": seed,
            "parameters": 1000,
            "processes": 1,
            "steps": config["steps"],
            "steps_planned": config["steps"],
            "interrupted": False,
            "best_step": 9000,
            "best_validation": 0.99,
            "validation": dict.fromkeys(algorithms, 0.99),
            "train_seconds": 60.0,
            "train_sizes": {a: config["train_sizes"] or [4, 16] for a in algorithms},
            "validation_size": dict.fromkeys(algorithms, 16),
            "left_out": {},
        },
        "config": config,
        "command": f"nar train --processor {processor} --seed {seed}",
        "provenance": {"nar": "0.1.0", "commit": "abc1234", "torch": "2.13", "device": "cpu", "date": "2026-11-21"}
        | dict(made),
        "evaluations": evaluations,
    }


def write(folder, results):
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "metrics.jsonl").write_text('{"step": 50, "loss": 1.0}\n')
    return folder


def collect(*runs):
    return study.collect([(Path(f"runs/{i}"), one, []) for i, one in enumerate(runs)])


def three_seeds():
    """Two networks; seeds in no order, and one network without seed 1."""
    mpnn = [run("mpnn", 2, (0.9, 0.4)), run("mpnn", 0, (0.9, 0.6)), run("mpnn", 1, (0.6, 0.5))]
    return [*mpnn, run("triplet_gmpnn", 2, (1.0, 0.8)), run("triplet_gmpnn", 0, (0.8, 0.7))]


# Cells


def test_runs_that_differ_in_their_seed_share_a_cell():
    found = collect(*three_seeds())
    assert found.algorithms() == ["bfs"] and found.labels() == ["mpnn", "triplet_gmpnn"]
    (cell,) = found.select(algorithm="bfs", label="mpnn", size=64)
    assert cell.seeds == [0, 1, 2] and cell.values("score") == [0.6, 0.5, 0.4]
    assert cell.by_seed("exact") == {0: 0.3, 1: 0.25, 2: 0.2}
    assert [run.seed for run in cell.runs] == [0, 1, 2] and cell.samples == 32
    assert cell.interval("score") == statistics.interval([0.4, 0.5, 0.6])
    assert cell.interval("valid") is None and cell.values("valid") == []
    assert cell.values("outputs.pi.value") == cell.values("hints.pi_h.value") == [0.6, 0.5, 0.4]
    assert cell.values("hints.absent.value") == cell.values("data.set") == []


def test_a_study_does_not_depend_on_the_order_of_its_runs():
    runs = three_seeds()
    expected = None
    for order in itertools.islice(itertools.permutations(range(5)), 0, None, 7):
        found = study.collect([(Path(f"runs/{i}"), runs[i], []) for i in order])
        text = study_report.text(found), study_csv.scores(found), study_csv.summary(found)
        expected = expected or text
        assert text == expected


def test_select_narrows_by_each_value():
    grid = evaluation(score=0.1, setting={"family": "grid"})
    stopped = evaluation(score=0.2, termination="fixed_point")
    found = collect(run(evaluations=[evaluation(), evaluation(size=16), grid, stopped]), run("gat"))
    assert len(found.cells) == 6
    assert [cell.values("score") for cell in found.select(setting={"family": "grid"})] == [[0.1]]
    assert [cell.values("score") for cell in found.select(termination="fixed_point")] == [[0.2]]
    assert [cell.label for cell in found.select(size=64, setting={}, termination="oracle")] == ["gat", "mpnn"]
    assert found.select(algorithm="dfs") == []


def test_scores_on_other_data_are_not_averaged():
    other = [evaluation(score=0.0, data={**evaluation()["data"], "sha256": "c" * 64, "set": "nar/test"})]
    found = collect(run(seed=0), run(seed=1), run(seed=2, evaluations=other))
    (cell,) = found.select(size=64)
    assert cell.seeds == [0, 1] and cell.values("score") == [0.5, 0.5]
    (sentence,) = found.left_out
    assert sentence == (
        "mpnn on bfs at n = 64: seeds 2 were scored on other data (cccccccccc) than seeds 0, 1 (bbbbbbbbbb) and are "
        "not averaged with them"
    )
    assert sentence in found.warnings()
    # of one seed each, the canonical set is kept
    (cell,) = collect(run(seed=2, evaluations=other), run(seed=0)).select(size=64)
    assert cell.seeds == [0] and cell.data["set"] == "clrs30-v1/test"


def test_a_seed_counts_once():
    found = collect(run(scores=(0.9, 0.5)), run(scores=(0.9, 0.7)))
    assert [cell.values("score") for cell in found.cells] == [[0.9], [0.5]]
    assert found.left_out == [
        f"runs/1: seed 0 of mpnn on bfs at n = {size} is there already, in runs/0" for size in (16, 64)
    ]
    # a run that was evaluated again on the same data: what was found last
    again = run(evaluations=[evaluation(score=0.1), evaluation(score=0.2)])
    assert collect(again).cells[0].values("score") == [0.2] and collect(again).left_out == []


def test_algorithms_of_a_generalist_have_cells_of_their_own():
    found = collect(run(algorithms=("bfs", "dfs"), seed=0), run(algorithms=("bfs", "dfs"), seed=1), run(seed=0))
    assert found.labels() == ["mpnn", "mpnn, trained on bfs+dfs"]
    assert {(c.algorithm, c.label, tuple(c.seeds)) for c in found.cells} == {
        ("bfs", "mpnn", (0,)),
        ("bfs", "mpnn, trained on bfs+dfs", (0, 1)),
        ("dfs", "mpnn, trained on bfs+dfs", (0, 1)),
    }
    assert collect(run(algorithms=("bfs", "dfs"))).labels() == ["mpnn"]  # nothing to tell it apart from


# Labels


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{}, {"hidden": 64}], ["mpnn", "mpnn, hidden 64"]),
        ([{"hidden": 32}, {"hidden": 64}], ["mpnn, hidden 32", "mpnn, hidden 64"]),
        ([{"hidden": 64}, {"hidden": 64}], ["mpnn", "mpnn"]),
        ([{}, {"steps": 500}], ["mpnn", "mpnn, 500 steps"]),
        ([{}, {"layer_norm": False}], ["mpnn", "mpnn, no layer norm"]),
        ([{}, {"log_n_scale": True}], ["mpnn", "mpnn, log n scale"]),
        ([{}, {"option": ("heads=4", "reduction=sum")}], ["mpnn", "mpnn, heads=4, reduction=sum"]),
        ([{"train_sizes": (4, 8)}, {}], ["mpnn, train sizes 4 8", "mpnn, train sizes 4 16"]),
        ([{}, {"eval_samples": 8, "device": "cpu", "threads": 3, "out": Path("x")}], ["mpnn", "mpnn"]),
        ([{"hidden": 64, "dropout": 0.5}, {"hidden": 64}], ["mpnn, dropout 0.5", "mpnn"]),
    ],
)
def test_labels_name_what_differs_and_is_not_the_default(settings, expected):
    assert run_labels.of_runs([run(**one) for one in settings]) == expected


def test_labels_say_the_same_words_in_the_same_order():
    runs = [run(), run(hidden=64), run(algorithms=("dfs",)), run(algorithms=("dfs",), dropout=0.5, hidden=64)]
    assert run_labels.of_runs(runs) == ["mpnn", "mpnn, hidden 64", "mpnn", "mpnn, hidden 64, dropout 0.5"]
    assert run_labels.of_runs(runs[::-1]) == run_labels.of_runs(runs)[::-1]


def test_large_generalists_are_counted_unless_there_are_two():
    five, others = (
        ("bfs", "dfs", "minimum", "bubble_sort", "dijkstra"),
        ("bfs", "dfs", "minimum", "heapsort", "bridges"),
    )
    assert run_labels.of_runs([run(algorithms=five), run()]) == ["mpnn, trained on 5 algorithms", "mpnn"]
    names = run_labels.of_runs([run(algorithms=five), run(algorithms=others)])
    assert names == [f"mpnn, trained on {'+'.join(one)}" for one in (five, others)]


def test_settings_that_differ_between_algorithms_alone_are_not_named():
    strings = run(algorithms=("kmp_matcher",), evaluations=[])
    strings["run"]["train_sizes"] = {"kmp_matcher": [20]}
    assert run_labels.of_runs([strings, run()]) == ["mpnn", "mpnn"]


def test_a_setting_that_an_older_run_did_not_know_had_its_default():
    old = run(seed=1)
    for name in ("hint_feedback", "log_n_scale"):
        del old["config"][name]
    assert run_labels.of_runs([old, run()]) == ["mpnn", "mpnn"]
    assert run_labels.of_runs([old, run(log_n_scale=True)]) == ["mpnn", "mpnn, log n scale"]


# Files


def test_runs_are_found_at_any_depth_and_once(tmp_path):
    write(tmp_path / "a" / "b" / "c", run(seed=0))
    write(tmp_path / "a" / "d", run(seed=1))
    inside = [tmp_path / "a", tmp_path / "a" / "d", tmp_path / "a" / "b" / ".." / "d"]
    found = study.read(inside)
    assert [one.path for one in found.runs] == [tmp_path / "a" / "b" / "c", tmp_path / "a" / "d"]
    assert found.runs[0].metrics == [{"step": 50, "loss": 1.0}] and found.left_out == []
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert len(study.read([tmp_path / "a", tmp_path / "link"]).runs) == 2
    assert study.read(str(tmp_path / "a" / "d")).runs[0].seed == 1


def test_unfinished_and_broken_runs_are_left_out_and_named(tmp_path):
    write(tmp_path / "good", run())
    broken = write(tmp_path / "broken", run())
    (broken / "results.json").write_text("{")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.json").write_text("{}")
    found = study.read([tmp_path])
    assert [one.path.name for one in found.runs] == ["good"]
    assert [line.split(": ")[0] for line in found.left_out] == [f"{tmp_path}/broken", f"{tmp_path}/unfinished"]
    assert "is not the results of a run" in found.left_out[0] and "no results.json" in found.left_out[1]
    assert set(found.left_out) <= set(found.warnings())
    for name in ("broken", "unfinished"):  # asked for by its own path
        with pytest.raises(ValueError, match=r"results\.json"):
            study.read([tmp_path / "good", tmp_path / name])
    shutil.rmtree(tmp_path / "good")
    with pytest.raises(ValueError, match=r"no finished run: .*broken"):
        study.read(tmp_path)


def test_paths_without_runs_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent is not a folder; give run directories"):
        study.read([tmp_path / "absent"])
    with pytest.raises(ValueError, match=r"no run in .*: a run directory holds results\.json"):
        study.read([tmp_path])


def test_what_was_measured_of_a_run_comes_with_it(tmp_path):
    write(tmp_path / "runs" / "plain", run(seed=0))
    told = measured(["bfs"], best_step=9000)
    (write(tmp_path / "runs" / "told", run(seed=1)) / "faithfulness.json").write_text(json.dumps(told))
    found = study.read(tmp_path)
    assert [one.faithfulness for one in found.runs] == [None, told] and found.left_out == []
    text = study_report.text(found)
    assert "### Does it execute the algorithm?" in text
    assert "| mpnn | 64 | 16 | 90.00% | 85.38% | 81.00% | 76.84% | 72.90% | 69.16%, chance 12.50% | `d` 70.00%" in text
    assert "Does it execute" not in study_report.text(study.read(tmp_path / "runs" / "plain"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not what nar faithfulness leaves"),
        ("[]", "is not what nar faithfulness leaves"),
        ('{"schema": 1}', "is not what nar faithfulness leaves (KeyError"),
        ('{"schema": 2}', "has schema 2, this version of nar reads 1"),
        (measured(["bfs"], rows=[{"algorithm": "bfs"}]), "is not what nar faithfulness leaves (KeyError('kind')"),
        (measured(["bfs"], rows=[measured_row("bfs", "trained", 0.5) | {"probes": 3}]), "probes is 3"),
        (measured(["bfs"], rows=[measured_row("bfs", "trained", 0.5) | {"outputs": {"pi": 1}}]), "TypeError"),
        (measured(["bfs"], size="large"), "size is 'large'"),
        (measured(["bfs"], measured=[]), "measured is []"),
        (measured(["bfs"], best_step=50), "is of step 50, the run's weights are of step 9000"),  # resumed since then
    ],
)
def test_measurements_that_cannot_be_used_are_named_and_the_run_stays(tmp_path, content, reason):
    one = write(tmp_path / "run", run())
    (one / "faithfulness.json").write_text(content if isinstance(content, str) else json.dumps(content))
    for path in (tmp_path, one):
        found = study.read(path)
        assert [r.faithfulness for r in found.runs] == [None] and len(found.cells) == 2
        (note,) = found.left_out
        assert str(one / "faithfulness.json") in note and reason in note
        assert note.endswith(f"measure again: nar faithfulness {one}") and note in found.warnings()
    assert cli.main(["report", str(one)]) == 0 and reason.split("(")[0] in (one / "report.html").read_text()


def test_numbers_that_are_missing_or_none_break_no_report(tmp_path):
    """Measures that are not there, and numbers that are not finite, as probes of a constant hint are."""
    odd = measured_row("bfs", "trained", 0.5) | {"external": {}, "interventions": {"ignored": None}, "sources": None}
    odd["probes"]["d"]["value"] = math.nan
    one = write(tmp_path / "run", run())
    (one / "faithfulness.json").write_text(json.dumps(measured(["bfs"], rows=[odd], best_step=9000)))
    assert cli.main(["report", str(one)]) == 0 and study.read(one).left_out == []
    assert (
        "| mpnn | 64 | 16 | 50.00% | - | - | - | - | - | `d` - (explained variance);" in (one / "report.md").read_text()
    )


# Warnings


def test_no_warning_without_cause():
    assert collect(*[run(p, s) for p in ("mpnn", "gat") for s in range(5)]).warnings() == []


def test_warnings_name_the_runs_they_are_about():
    interrupted = run(seed=1)
    interrupted["run"] |= {"interrupted": True, "steps": 700}
    found = collect(run(seed=0), interrupted, run("gat", made={"commit": "def5678", "nar": "0.2.0"})).warnings()
    assert "Interrupted at step 700 of 10,000; scores of what was reached. (bfs with mpnn, seed 1)" in found
    assert "Made by different commits: abc1234, def5678; see the table of runs." in found
    assert "Made by different versions of nar: 0.1.0, 0.2.0; see the table of runs." in found
    assert "Fewer seeds than the 2 of others: gat (1; bfs)." in found
    assert any(line.startswith("2 seeds are few") for line in found)
    assert any(line.startswith("One seed each") for line in collect(run()).warnings())
    some = collect(
        *[run(p, s, steps=500 if p == "mpnn" or s == 1 else 10_000) for p in ("mpnn", "gat") for s in (0, 1)]
    )
    (line,) = [line for line in some.warnings() if line.startswith("Trained for 500 steps")]
    assert line.endswith(" (bfs with gat, 500 steps; bfs with mpnn, 500 steps)")
    every = collect(run(seed=0, steps=500), run(seed=1, steps=500)).warnings()
    assert any(line.startswith("Trained for 500 steps") and line.endswith("(every run)") for line in every)


# The report


def test_the_report_holds_means_intervals_and_every_seed():
    text = study_report.text(collect(*three_seeds()))
    assert text.startswith(
        "# bfs with mpnn, triplet_gmpnn\n\n5 runs, 1 algorithm, 2 networks, seeds 0, 1, 2; 5 min 0 s"
    )
    lines = text.splitlines()
    assert "|  | n = 16 (1x) | n = 64 (4x) |" in lines
    assert (
        "| mpnn | **80.00%** [60.00, 90.00] (90.00, 60.00, 90.00) | **50.00%** [40.00, 60.00] (60.00, 50.00, 40.00) |"
        in lines
    )
    assert (
        "| triplet_gmpnn | **90.00%** [80.00, 100.00] (80.00, 100.00) | **75.00%** [70.00, 80.00] (70.00, 80.00) |"
        in text
    )
    assert (
        "Nothing here is a maximum" in text
        and "No graph larger than those trained on had any part in the choice." in text
    )
    assert "| MPNN | mpnn | 64 | 99.89% ± 0.05 over 3 seeds" in text and "### Valid graphs" not in text
    assert "| clrs30-v1/test | bfs | 64 | 32 | 3 | p=[0.5] | nar 0.1.0 | `bbbbbbbbbb` |" in lines
    assert lines.count("| clrs30-v1/test | bfs | 64 | 32 | 3 | p=[0.5] | nar 0.1.0 | `bbbbbbbbbb` |") == 1
    assert "| bfs | mpnn | 1 | 10,000 of 10,000 | 9,000 | 99.00% | 1,000 | 1 min 0 s | cpu | 0.1.0 `abc1234` |" in text
    assert "nar train --processor mpnn --seed 1" in lines
    assert "| mpnn | time per graph | 10 ms | 10 ms | 1,000 | 1 min 0 s |" in lines


def test_networks_are_compared_on_the_seeds_that_both_have():
    found = collect(*three_seeds())
    lines = study_report.text(found).splitlines()
    # seeds 0 and 2: 0.9 - 0.8 and 0.9 - 1.0; 0.6 - 0.7 and 0.4 - 0.8
    assert "| mpnn | 16 | **0.00** [-10.00, 10.00] (10.00, -10.00) | 0, 2 | 1 |" in lines
    assert "| mpnn | 64 | **-25.00** [-40.00, -10.00] (-10.00, -40.00) | 0, 2 | 0.5 |" in lines
    other = study_report.text(found, against="mpnn").splitlines()
    assert "| triplet_gmpnn | 64 | **25.00** [10.00, 40.00] (10.00, 40.00) | 0, 2 | 0.5 |" in other
    with pytest.raises(ValueError, match=r"unknown label 'mpn'; did you mean 'mpnn'\?"):
        study_report.text(found, against="mpn")
    assert "### Compared" not in study_report.text(collect(run()))


def test_only_networks_scored_on_the_same_data_are_compared():
    other = [evaluation(score=0.0, data={**evaluation()["data"], "sha256": "c" * 64})]
    assert "### Compared" not in study_report.text(collect(run(), run("gat", evaluations=other)))


def test_the_overview_has_every_algorithm_at_one_size_and_their_mean():
    assert "## Overview" not in study_report.text(collect(*three_seeds()))
    dfs = [run("mpnn", 0, (0.5, 0.2), ("dfs",)), run("mpnn", 2, (0.5, 0.0), ("dfs",))]
    far = evaluation("dfs", 16, 0.7, data={**evaluation()["data"], "set": "nar/test"})
    dfs.append(run("triplet_gmpnn", 0, algorithms=("dfs",), evaluations=[far, {**far, "size": 32}]))
    lines = study_report.text(collect(*three_seeds(), *dfs)).split("## bfs")[0].splitlines()
    assert "| bfs | 64 | 50.00% [40.00, 60.00] | 75.00% [70.00, 80.00] | mpnn 99.89%, triplet_gmpnn 99.73% |" in lines
    assert "| dfs | 16 | 50.00% [50.00, 50.00] | 70.00% | - |" in lines  # the largest size that both have
    # seeds 0 and 2 of mpnn: (0.6 + 0.5) / 2 and (0.4 + 0.5) / 2; seed 1 has no dfs
    assert "| mean over 2 algorithms |  | 50.00% [45.00, 55.00] | 70.00% |  |" in lines


def test_one_seed_has_no_interval():
    assert "| mpnn | 90.00% | 50.00% |" in study_report.text(collect(run())).splitlines()


def test_a_run_without_evaluations_is_named():
    never = run(evaluations=[])
    never["run"]["best_validation"] = None
    text = study_report.text(collect(never))
    assert text.startswith("# nothing evaluated with mpnn") and "Never validated, the weights are the last ones" in text
    assert "any part in the choice, except as follows." in text and study_report.table(collect(never)) == ""
    larger = run()
    larger["run"]["validation_size"] = {"bfs": 20}
    assert "Chosen on larger graphs than any trained on: bfs with gat, val size 20." in study_report.text(
        collect(run(), {**larger, "run": {**larger["run"], "processor": "gat"}})
    )


def test_an_error_is_not_shown_as_a_percentage():
    score = {"score": 0.02, "outputs": {"d": {"metric": "mse", "value": 0.02}}}
    found = collect(run(evaluations=[evaluation(**score)]), run(seed=1, evaluations=[evaluation(**score)]))
    assert "| mpnn | **0.02** [0.02, 0.02] (0.02, 0.02) |" in study_report.text(found)
    assert study_report.table(found).splitlines()[-1] == "mpnn  0.02 [0.02, 0.02]"


def test_an_algorithm_that_is_not_to_be_found_here():
    found = collect(run(algorithms=("not_here:mine",)), run("gat", algorithms=("not_here:mine",)))
    assert "## not_here:mine" in study_report.text(found) and found.algorithms() == ["not_here:mine"]


# Tables for other programs


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_scores_csv_gives_back_every_number():
    uneven = run("gat", scores=(1 / 3, 0.1 + 0.2))
    uneven["evaluations"][0] |= {"first_error": [None, 2, 5, None], "steps_taken": {"mean": 4.5, "max": 6}}
    uneven["evaluations"][0]["measures"] = {"gate": [0.25, 0.5]}
    runs = [*three_seeds(), uneven]
    rows = rows_of(study_csv.scores(collect(*runs)))
    assert len(rows) == 12
    for row in rows:
        (source,) = [
            r for r in runs if (r["run"]["processor"], r["run"]["seed"]) == (row["processor"], int(row["seed"]))
        ]
        (entry,) = [e for e in source["evaluations"] if e["size"] == int(row["n"])]
        for name in ("score", "exact", "steps_mean", "steps_max", "seconds", "samples"):
            assert float(row[name]) == entry[name], name
        assert float(row["outputs.pi"]) == float(row["hints.pi_h"]) == entry["score"]
        assert row["valid"] == "" and row["data.sha256"] == SHA[entry["size"]] and row["averaged"] == "True"
        assert row["config.hidden"] == "128" and row["made.commit"] == "abc1234" and row["command"] == source["command"]
    (row,) = [row for row in rows if row["label"] == "gat" and row["n"] == "16"]
    assert (row["first_error.never"], row["first_error.median"]) == ("0.5", "3.5")
    assert (row["steps_taken.mean"], row["measures.gate"]) == ("4.5", "0.375")


def test_scores_csv_marks_what_is_in_no_mean():
    other = [evaluation(score=0.0, data={**evaluation()["data"], "sha256": "c" * 64})]
    rows = rows_of(study_csv.scores(collect(run(seed=0), run(seed=1), run(seed=2, evaluations=other))))
    assert [row["averaged"] for row in rows] == ["True"] * 4 + ["False"]


def test_summary_csv_gives_back_every_mean_and_seed():
    found = collect(*three_seeds())
    rows = rows_of(study_csv.summary(found))
    assert len(rows) == len(found.cells) == 4
    for row, cell in zip(rows, found.cells, strict=True):
        assert (row["algorithm"], row["label"], int(row["n"])) == (cell.algorithm, cell.label, cell.size)
        assert [int(seed) for seed in row["seeds"].split()] == cell.seeds
        for name in ("score", "exact", "seconds"):
            interval = cell.interval(name)
            assert float(row[f"{name}_mean"]) == interval.mean
            assert (float(row[f"{name}_low"]), float(row[f"{name}_high"])) == (interval.low, interval.high)
            assert [float(value) for value in row[f"{name}_values"].split()] == cell.values(name)
            assert int(row[f"{name}_n"]) == len(cell.seeds)
    canonical = [row for row in rows if row["n"] == "64"]
    assert [float(row["published_mean"]) for row in canonical] == [pytest.approx(0.9989), pytest.approx(0.9973)]
    assert all(row["published_mean"] == "" for row in rows if row["n"] == "16")


# The command


@pytest.fixture
def folder(tmp_path):
    for index, one in enumerate(three_seeds()):
        write(tmp_path / "runs" / str(index), one)
    return tmp_path / "runs"


def test_nar_report_of_many_runs(folder, tmp_path, capsys):
    assert cli.main(["report", str(folder), "--out", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert "mpnn            80.00% [60.00, 90.00]  50.00% [40.00, 60.00]" in out.splitlines()
    assert out.endswith(f"report: {tmp_path}/report/report.html\n") and "2 seeds are few" not in out
    written = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert set(written) == {"report.html", "report.md", "scores.csv", "summary.csv"}
    runs = [str(path) for path in sorted(folder.iterdir(), reverse=True)]
    assert cli.main(["report", *runs, "--out", str(tmp_path / "again"), "--against", "triplet_gmpnn"]) == 0
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}


def test_nar_report_of_one_run_goes_into_its_directory(folder, capsys):
    assert cli.main(["report", str(folder / "0")]) == 0
    assert capsys.readouterr().out == f"report: {folder}/0/report.html\n"
    assert {"report.html", "report.md", "score.png"} <= {path.name for path in (folder / "0").iterdir()}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "nar report takes run directories or folders of them: nar report runs --out report"),
        (["{}"], "these are 5 runs: name a directory for their report, --out report"),
        (["{}/absent"], "absent is not a folder"),
        (["{}", "--ot", "x"], "unknown flag '--ot'; did you mean '--out'?"),
        (
            ["{}", "--out", "{}/../report", "--against", "triplet"],
            "unknown label 'triplet'; did you mean 'triplet_gmpnn'?",
        ),
    ],
)
def test_mistakes_are_answered_in_one_line(folder, argv, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", *(word.format(folder) for word in argv)])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert expected in message and message.count("\n") == 1
    assert not (folder.parent / "report").exists()


# Published scores


@pytest.mark.parametrize(
    ("algorithm", "method", "mean", "spread", "seeds", "benchmark", "url"),
    [
        ("bellman_ford", "Triplet-GMPNN", 97.39, 0.19, 10, "clrs30-v1/test", "https://proceedings.mlr.press/v198/ibarz22a.html"),
        ("bfs", "MPNN", 99.89, 0.05, 3, "clrs30-v1/test", "https://proceedings.mlr.press/v198/ibarz22a.html"),
        ("activity_selector", "Memnet", 24.10, 2.22, 3, "clrs30-v1/test", "https://proceedings.mlr.press/v198/ibarz22a.html"),
        ("bellman_ford", "EvoPrompting best-of-5 found processors", 97.50, 0.31, None, None, "https://arxiv.org/abs/2302.14838"),
        ("quickselect", "RNAR", 87, None, None, None, "https://arxiv.org/abs/2409.07154"),
        ("category:strings", "M-ReNAR", 74.72, 18.72, 4, None, "https://ojs.aaai.org/index.php/AAAI/article/view/39350"),
        ("overall:30-algorithm mean", "Triplet-GMPNN", 75.98, None, None, "clrs30-v1/test", "https://proceedings.mlr.press/v198/ibarz22a.html"),
    ],
)  # fmt: skip
def test_published_numbers(algorithm, method, mean, spread, seeds, benchmark, url):
    (score,) = [s for s in published.scores(algorithm) if s.method == method]
    assert (score.mean, score.spread, score.seeds, score.benchmark) == (mean, spread, seeds, benchmark)
    assert score.source.url == url and score.size == 64


def test_published_numbers_are_whole():
    scores = published.scores()
    assert len(scores) == 467
    assert all(0 <= s.mean <= 100 and s.source.short and s.metric and s.remark for s in scores)
    table = {}
    for row in published.ibarz2022()["scores"]:
        table.setdefault(row["processor"], []).append(row["mean"])
    # the means that the paper prints below its table
    means = {name: round(math.fsum(values) / len(values), 2) for name, values in table.items()}
    assert means == {"memnet": 38.03, "mpnn": 51.02, "pgn": 52.31, "triplet_gmpnn": 75.98}
    assert all(s.benchmark == "clrs30-v2" for s in published.scores("kmp_matcher") if s.method.startswith("GoNI"))


def test_published_numbers_name_processors_that_there_are():
    from nar import processors

    assert {s.processor for s in published.scores()} - {None} <= set(processors.names())


def test_results_are_not_changed_by_reading_them():
    runs = three_seeds()
    before = copy.deepcopy(runs)
    study_report.text(collect(*runs))
    assert runs == before
