"""Many runs as one study: what is averaged and what is not, what runs are called, and what their reader must know."""

import copy
import itertools
import math
import shutil
from pathlib import Path

import made_up_runs
import pytest
from made_up_runs import collect, elsewhere, evaluation, measured, measured_row, run, three_seeds, write

from nar.reports import csv_tables, report
from nar.results import comparability, published, run_labels, statistics, study

# Seed groups


def test_runs_that_differ_in_their_seed_share_a_group():
    found = collect(*three_seeds())
    assert found.algorithms() == ["bfs"] and found.labels() == ["mpnn", "triplet_gmpnn"]
    (group,) = found.select(algorithm="bfs", label="mpnn", size=64)
    assert group.seeds == [0, 1, 2] and group.values("score") == [0.6, 0.5, 0.4]
    assert group.by_seed("exact") == {0: 0.3, 1: 0.25, 2: 0.2}
    assert [run.seed for run in group.runs] == [0, 1, 2] and group.samples == 32
    assert group.interval("score") == statistics.interval([0.4, 0.5, 0.6])
    assert group.interval("valid") is None and group.values("valid") == []
    assert group.values("outputs.pi.value") == group.values("hints.pi_h.value") == [0.6, 0.5, 0.4]
    assert group.values("hints.absent.value") == group.values("data.set") == []


def test_a_study_does_not_depend_on_the_order_of_its_runs():
    runs = three_seeds()
    expected = None
    for order in itertools.islice(itertools.permutations(range(5)), 0, None, 7):
        found = study.collect([(Path(f"runs/{i}"), runs[i], []) for i in order])
        text = report.document(found), csv_tables.scores(found), csv_tables.summary(found)
        expected = expected or text
        assert text == expected


def test_select_narrows_by_each_value():
    grid = evaluation(score=0.1, setting={"family": "grid"})
    stopped = evaluation(score=0.2, termination="fixed_point")
    found = collect(run(evaluations=[evaluation(), evaluation(size=16), grid, stopped]), run(processor="gat"))
    assert len(found.groups) == 6
    assert [group.values("score") for group in found.select(setting={"family": "grid"})] == [[0.1]]
    assert [group.values("score") for group in found.select(termination="fixed_point")] == [[0.2]]
    assert [group.label for group in found.select(size=64, setting={}, termination="oracle")] == ["gat", "mpnn"]
    assert found.select(algorithm="dfs") == []


def test_scores_on_other_data_are_not_averaged():
    other = [elsewhere(evaluation(score=0.0))]
    found = collect(run(seed=0), run(seed=1), run(seed=2, evaluations=other))
    (group,) = found.select(size=64)
    assert group.seeds == [0, 1] and group.values("score") == [0.5, 0.5]
    (sentence,) = found.left_out
    assert sentence == (
        f"mpnn on bfs at n = 64: seeds 2 were scored on other data (cccccccccc) than seeds 0, 1 "
        f"({made_up_runs.graphs('bfs', 64, None)[:10]}) and are "
        "not averaged with them"
    )
    assert sentence in comparability.of_study(found)
    # of one seed each, the canonical set is kept
    (group,) = collect(run(seed=2, evaluations=other), run(seed=0)).select(size=64)
    assert group.seeds == [0] and group.data["set"] == "clrs30-v1/test"


def test_a_seed_counts_once():
    found = collect(run(scores=(0.9, 0.5)), run(scores=(0.9, 0.7)))
    assert [group.values("score") for group in found.groups] == [[0.9], [0.5]]
    assert found.left_out == [
        f"runs/1: seed 0 of mpnn on bfs at n = {size} is there already, in runs/0" for size in (16, 64)
    ]
    # a run that was evaluated again on the same data: what was found last
    again = run(evaluations=[evaluation(score=0.1), evaluation(score=0.2)])
    assert collect(again).groups[0].values("score") == [0.2] and collect(again).left_out == []


def test_algorithms_of_a_generalist_have_groups_of_their_own():
    found = collect(run(("bfs", "dfs"), seed=0), run(("bfs", "dfs"), seed=1), run(seed=0))
    assert found.labels() == ["mpnn", "mpnn, trained on bfs+dfs"]
    assert {(c.algorithm, c.label, tuple(c.seeds)) for c in found.groups} == {
        ("bfs", "mpnn", (0,)),
        ("bfs", "mpnn, trained on bfs+dfs", (0, 1)),
        ("dfs", "mpnn, trained on bfs+dfs", (0, 1)),
    }
    assert collect(run(("bfs", "dfs"))).labels() == ["mpnn"]  # nothing to tell it apart from


# Labels


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{}, {"hidden": 64}], ["mpnn", "mpnn, hidden 64"]),
        ([{"hidden": 32}, {"hidden": 64}], ["mpnn, hidden 32", "mpnn, hidden 64"]),
        ([{"hidden": 64}, {"hidden": 64}], ["mpnn, hidden 64"] * 2),
        ([{}, {"steps": 500}], ["mpnn", "mpnn, 500 steps"]),
        ([{}, {"layer_norm": False}], ["mpnn", "mpnn, no layer norm"]),
        ([{}, {"log_n_scale": True}], ["mpnn", "mpnn, log n scale"]),
        ([{}, {"option": ["heads=4", "reduction=sum"]}], ["mpnn", "mpnn, heads=4, reduction=sum"]),
        ([{"train_sizes": [4, 8]}, {}], ["mpnn, train sizes 4 8", "mpnn, train sizes 4 7 11 13 16"]),
        ([{}, {"eval_samples": 8, "device": "cpu", "threads": 3, "out": "x"}], ["mpnn", "mpnn"]),
        ([{"hidden": 64, "dropout": 0.5}, {"hidden": 64}], ["mpnn, hidden 64, dropout 0.5", "mpnn, hidden 64"]),
        ([{"option": ["layer=torch_geometric.nn:SAGEConv"], "steps": 5, "train_sizes": [4]}], ["mpnn, layer=SAGEConv"]),
    ],
)
def test_labels_name_what_differs_and_is_not_the_default(settings, expected):
    assert run_labels.of_runs([run(**one) for one in settings]) == expected


def test_labels_say_the_same_words_in_the_same_order():
    runs = [run(), run(hidden=64), run(("dfs",)), run(("dfs",), dropout=0.5, hidden=64)]
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
    strings = run(("kmp_matcher",), evaluations=[])
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
    assert found.runs[0].metrics == made_up_runs.METRICS and found.left_out == []
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
    assert "is truncated or damaged" in found.left_out[0] and "no results.json" in found.left_out[1]
    assert set(found.left_out) <= set(comparability.of_study(found))
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
    told = measured(["bfs"])
    write(tmp_path / "runs" / "plain", run(seed=0))
    write(tmp_path / "runs" / "told", run(seed=1), faithfulness=told)
    found = study.read(tmp_path)
    assert [one.faithfulness for one in found.runs] == [None, told] and found.left_out == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is truncated or damaged: it is no JSON"),
        ("[]", "is not what nar faithfulness leaves"),
        ('{"schema": 1}', "is not what nar faithfulness leaves: size is missing"),
        ('{"schema": 2}', "has schema 2, this version of nar reads 1"),
        (measured(["bfs"], rows=[{"algorithm": "bfs"}]), "is not what nar faithfulness leaves: rows[0].kind is"),
        (measured(["bfs"], rows=[measured_row("bfs", "trained", 0.5) | {"probes": 3}]), "rows[0].probes must be"),
        (
            measured(["bfs"], rows=[measured_row("bfs", "trained", 0.5) | {"outputs": {"pi": 1}}]),
            "rows[0].outputs.pi must",
        ),
        (measured(["bfs"], size="large"), "size must be a whole number, got 'large'"),
        (measured(["bfs"], measured=[]), "measured must be names with values, got []"),
        (measured(["bfs"], best_step=50), "is of step 50, the run's weights are of step 9350"),  # resumed since then
    ],
)
def test_measurements_that_cannot_be_used_are_named_and_the_run_stays(tmp_path, content, reason):
    one = write(tmp_path / "run", run(), faithfulness=content)
    for path in (tmp_path, one):
        found = study.read(path)
        assert [r.faithfulness for r in found.runs] == [None] and len(found.groups) == 2
        (note,) = found.left_out
        assert str(one / "faithfulness.json") in note and reason in note
        assert f"nar faithfulness {one}" in note and note in comparability.of_study(found)


# Warnings


def test_no_warning_without_cause():
    assert comparability.of_study(collect(*[run("bfs", p, s) for p in ("mpnn", "gat") for s in range(5)])) == []


def test_warnings_name_the_runs_they_are_about():
    interrupted = run(seed=1, of_run={"interrupted": True, "steps": 700})
    other = run(processor="gat", made={"commit": "def5678", "nar": "0.2.0"})
    found = comparability.of_study(collect(run(seed=0), interrupted, other))
    assert "Interrupted at step 700 of 10,000; scores of what was reached. (bfs with mpnn, seed 1)" in found
    assert "Made by different commits: abc1234, def5678; see the table of runs." in found
    assert "Made by different versions of nar: 0.1.0, 0.2.0; see the table of runs." in found
    assert "Fewer seeds than the 2 of others: gat (1; bfs)." in found
    assert any(line.startswith("2 seeds are few") for line in found)
    assert any(line.startswith("One seed each") for line in comparability.of_study(collect(run())))
    some = collect(
        *[run("bfs", p, s, steps=500 if p == "mpnn" or s == 1 else 10_000) for p in ("mpnn", "gat") for s in (0, 1)]
    )
    (line,) = [line for line in comparability.of_study(some) if line.startswith("Trained for 500 steps")]
    assert line.endswith(" (bfs with gat, 500 steps; bfs with mpnn, 500 steps)")
    every = comparability.of_study(collect(run(seed=0, steps=500), run(seed=1, steps=500)))
    assert any(line.startswith("Trained for 500 steps") and line.endswith("(every run)") for line in every)


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
    for score in published.ibarz2022():
        table.setdefault(score.processor, []).append(score.mean)
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
    report.document(collect(*runs))
    assert runs == before
