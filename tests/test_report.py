"""What reports say, of one run and of many: the numbers of their tables, figures and text, and what terminals print."""

import copy
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up_runs import (
    EVIL,
    METRICS,
    collect,
    elsewhere,
    evaluation,
    everything,
    measured,
    run,
    three_seeds,
    write,
)

from nar.cli import main as cli
from nar.reports import report
from nar.reports.blocks import Details, Shaded, Span, Table
from nar.results import comparability, published, schema, study

RESULTS = Path(__file__).parent.parent / "results"


def plain(text):
    """A cell without what makes it stand out."""
    if isinstance(text, Shaded | Span):
        return plain(text.text)
    return text if isinstance(text, str) else "".join(map(plain, text))


def tables_of(blocks):
    for block in blocks:
        if isinstance(block, Table):
            yield block
        yield from tables_of(block.blocks if isinstance(block, Details) else getattr(block, "numbers", ()))


def tables(found, against=None):
    """The rows of all tables of a report, by the tables' names, as dicts by column."""
    made = report.document(found, against)
    blocks = [*made.glance, *(block for section in made.sections for block in section.blocks)]
    return {
        table.name: [dict(zip(table.header, map(plain, row), strict=True)) for row in table.rows]
        for table in tables_of(blocks)
    }


def sections(found):
    return {section.id: section for section in report.document(found).sections}


SCORES = "Scores of every algorithm, label and size"


def one_run(seed=42):
    """A run of two sizes, the larger one without a valid share."""
    small = evaluation("bellman_ford", 16, 0.9985, exact=0.97, valid=1.0, samples=128)
    large = evaluation("bellman_ford", 64, 0.9744, exact=0.3125, seconds=1.94)
    for entry, errors in ((small, [0.01, 0.02]), (large, [0.04, 0.5])):
        hint = {"metric": "mse", "value": 0.0123, "per_step": errors, "live": [32, 31]}
        entry["hints"] = {"pi_h": {**entry["hints"]["pi_h"], "value": 0.875}, "d": hint}
    return run("bellman_ford", "triplet_gmpnn", seed, evaluations=[small, large])


def generalist():
    """Two algorithms, trained on and scored at different sizes."""
    of_run = {
        "validation": {"bellman_ford": 0.9902, "bfs": 1.0}, "train_sizes": {"bellman_ford": [4, 16], "bfs": [4, 8]},
        "validation_size": {"bellman_ford": 16, "bfs": 8},
    }  # fmt: skip
    entries = [evaluation("bellman_ford", 16, 0.9985), evaluation("bfs", 64, 0.9744)]
    return run(("bellman_ford", "bfs"), "triplet_gmpnn", evaluations=entries, of_run=of_run)


# Numbers


def test_every_table_and_figure_is_in_the_page_and_in_markdown(tmp_path):
    found = everything()
    page = report.write(found, tmp_path)
    made, markdown = report.document(found), (tmp_path / "report.md").read_text()
    shown = list(tables_of([*made.glance, *(block for section in made.sections for block in section.blocks)]))
    assert len(shown) > 15
    for table in shown:
        for row in table.rows:
            cells = [plain(cell).replace("<", "&lt;").replace("|", "\\|") for cell in row]
            assert re.search(r"\| \W*" + re.escape(cells[-2]), markdown), (table.name, cells)
        assert f'aria-label="{table.name}"' in page.read_text()
    for figure in made.figures():
        panels = [panel for _, group in figure.shown() for panel in group]
        assert f"]({figure.name}.svg)" in markdown
        file = ElementTree.parse(tmp_path / f"{figure.name}.svg")
        named = [e.get("aria-label") for e in file.iter("{http://www.w3.org/2000/svg}svg") if e.get("role") == "img"]
        assert named == [panel.alternative for panel in panels]


def test_scores_of_one_run():
    rows = tables(collect(one_run()))
    first, second = rows[SCORES]
    assert (first["n"], first["extrapolation"], first["graphs"]) == ("16", "1x", "128")
    assert (second["n"], second["extrapolation"], second["graphs"], second["steps (mean/most)"]) == (
        "64",
        "4x",
        "32",
        "5.5/7",
    )
    assert (second["score (%)"], second["exact (%)"], second["valid (%)"]) == ("97.44", "31.25", "–")
    hints = {row["hint"]: row for row in rows["Mean over steps of every hint"]}
    assert (hints["d"]["metric"], hints["d"]["n = 64"], hints["pi_h"]["n = 16"]) == ("mse", "0.0123", "87.50")
    (costs,) = [row for row in rows["Cost"] if row["n"] == "64"]
    assert costs["seconds"] == "1.94" and costs["ms per graph"] == "60.6"
    (about,) = rows["Every run"]
    assert about["parameters"] == "414,468" and about["time"] == "1 h 2 min"
    (origin,) = rows["Origin of every run"]
    assert (origin["commit"], origin["directory"]) == ("abc1234", "bellman_ford-triplet_gmpnn-seed42")
    assert about["selected"] == "9,350" and about["validation (%)"] == "99.51"
    same, *_ = rows["Published scores"]
    assert (same["method"], same["score (%)"], same["seeds"]) == ("Triplet-GMPNN", "97.39 ± 0.19", "10")
    assert len(rows["Published scores"]) + len(rows["Other published scores"]) == len(published.scores("bellman_ford"))


def test_means_intervals_and_every_seed():
    rows = {(row["network"], row["n"]): row for row in tables(collect(*three_seeds()))[SCORES]}
    assert rows["mpnn", "16"]["score (%)"] == "80.00 [60.00, 90.00]"
    assert rows["mpnn", "16"]["every seed"] == "90.00, 60.00, 90.00"
    assert rows["triplet_gmpnn", "64"]["score (%)"] == "75.00 [70.00, 80.00]"
    assert rows["triplet_gmpnn", "64"]["seeds"] == "0, 2"


def test_selection_is_told_with_its_exceptions():
    def text(*runs):
        return plain(sections(collect(*runs))["made"].blocks[1].text)

    assert "nothing here is a maximum" in text(run())
    assert "No graph larger than those trained on had any part in the choice." in text(run())
    never = run(processor="gat", evaluations=[], of_run={"best_validation": None, "best_step": None})
    assert "Never validated, the weights are the last ones: bfs with gat." in text(run(), never)
    larger = run(processor="gat", of_run={"validation_size": {"bfs": 20}})
    assert "Chosen on larger graphs than any trained on: bfs with gat, val size 20." in text(run(), larger)


def test_supervision_on_single_steps_is_told():
    single = {"supervision": "moments", "hint_feedback": "hard"}

    def texts(*runs):
        made = report.document(collect(*runs))
        return plain(made.sections[-1].blocks[1].text), plain(made.lead)

    told, answer = texts(run(**single), run(seed=1, **single))
    assert told.startswith("Trained on single steps of traces, from true hints, and not on rollouts: every run.")
    assert "supervision moments learned bfs from single steps on graphs of at most 16 nodes" in answer
    told, answer = texts(run(), run(processor="gat", own_moments=0.2, **single))
    assert "from true hints or after one step of their own, and not on rollouts: bfs with gat" in told
    assert "single steps" not in answer and "single steps" not in "".join(texts(run()))


def test_networks_are_compared_on_the_seeds_that_both_have():
    name, found = "Differences between labels", collect(*three_seeds())
    small, large = tables(found)[name]
    # seeds 0 and 2: 0.9 - 0.8 and 0.9 - 1.0; 0.6 - 0.7 and 0.4 - 0.8
    assert (small["difference"], small["points"], small["p"]) == (
        "mpnn minus triplet_gmpnn",
        "0.00 [-10.00, 10.00]",
        "1",
    )
    assert (large["points"], large["every seed"]) == ("-25.00 [-40.00, -10.00]", "-10.00, -40.00")
    assert (large["seeds"], large["p"]) == ("0, 2", "0.5")
    _, other = tables(found, "mpnn")[name]
    assert (other["difference"], other["points"]) == ("triplet_gmpnn minus mpnn", "25.00 [10.00, 40.00]")
    assert name not in tables(collect(run()))
    assert name not in tables(collect(run(), run(processor="gat", evaluations=[elsewhere(evaluation(score=0.0))])))


def test_every_algorithm_at_one_size_and_their_mean():
    dfs = [run("dfs", "mpnn", 0, (0.5, 0.2)), run("dfs", "mpnn", 2, (0.5, 0.0))]
    far = elsewhere(evaluation("dfs", 16, 0.7))
    dfs.append(run("dfs", "triplet_gmpnn", 0, evaluations=[far, {**far, "size": 32}]))
    rows = tables(collect(*three_seeds(), *dfs))["Mean node score at the size in the first column"]
    bfs, other, mean = rows
    assert (bfs["algorithm"], bfs["mpnn"], bfs["triplet_gmpnn"]) == (
        "bfs n = 64",
        "50.00 [40.0, 60.0]",
        "75.00 [70.0, 80.0]",
    )
    assert bfs["published"] == "mpnn 99.89, triplet_gmpnn 99.73"
    assert (other["algorithm"], other["mpnn"]) == ("dfs n = 16", "50.00 [50.0, 50.0]")  # the largest that both have
    # seeds 0 and 2 of mpnn: (0.6 + 0.5) / 2 and (0.4 + 0.5) / 2; seed 1 has no dfs
    assert (mean["mpnn"], mean["triplet_gmpnn"]) == ("50.00 [45.0, 55.0]", "70.00")
    assert "heat-map" not in sections(collect(*three_seeds()))


def test_a_generalist_is_reported_by_algorithm():
    rows = tables(collect(generalist()))
    assert [(r["algorithm"], r["n"], r["extrapolation"]) for r in rows[SCORES]] == [
        ("bellman_ford", "16", "1x"),
        ("bfs", "64", "8x"),
    ]
    (about,) = rows["Every run"]
    assert about["n trained on"] == "bellman_ford 4, 16; bfs 4, 8" and about["n validated"] == "bellman_ford 16; bfs 8"
    assert about["validation (%)"] == "99.51 (bellman_ford 99.02, bfs 100.00)"
    assert {score["algorithm"] for score in rows["Published scores"]} == {"bfs"}  # at 64, the canonical set's size


def test_terminations_settings_and_first_errors_have_sections():
    found = one_run()
    assert not {"termination", "settings", "errors", "measures"} & sections(collect(found)).keys()
    large = found["evaluations"][1]
    stopped = {**large, "termination": "fixed_point", "score": 0.5, "steps_taken": {"mean": 9.5, "max": 12}}
    found["evaluations"] += [stopped, {**large, "setting": {"family": "grid"}, "score": 0.25}]
    found["evaluations"][0] |= {"first_error": [None, 2, 5, None]}
    rows = tables(collect(found))
    ended = [tuple(row.values())[2:] for row in rows["Termination"] if row["n"] == "64"]
    assert ended == [
        ("64", "oracle", "97.44", "31.25", "5.5", "5.5"),
        ("64", "fixed point", "50.00", "31.25", "5.5", "9.5"),
    ]
    own, grid = rows["Scores on other distributions"]
    assert (own["setting"], own["score (%)"], grid["setting"], grid["score (%)"]) == (
        "own",
        "97.44",
        "family grid",
        "25.00",
    )
    (errors,) = rows["First errors"]
    assert (errors["never wrong (%)"], errors["rollouts"]) == ("50.00", "4")
    assert (errors["median first error"], errors["earliest"], errors["latest"]) == ("2", "step 2 (1 of them)", "step 5")
    assert [row["score (%)"] for row in rows[SCORES]] == ["99.85", "97.44"]  # own distribution, oracle


def test_measures_are_shown_by_step_and_over_the_training():
    found = one_run()
    for entry, steps in zip(found["evaluations"], ([0.5, 0.25], [0.125, 0.375, 0.25]), strict=True):
        entry["measures"] = {"gate": steps}
    gates = [{"step": 50 * k, "gate": gate} for k, gate in enumerate((0.5, 0.75, 0.0625))]
    made = collect(found, metrics=gates)
    assert [(row["n"], row["mean over steps"]) for row in tables(made)["Measures"]] == [("16", "0.375"), ("64", "0.25")]
    ((_, (rollout, training)),) = sections(made)["measures"].blocks[0].shown()
    assert "n = 64: 0.125 at 1, 0.375 at 2, 0.25 at 3." in rollout.alternative
    assert "0.5 at 0, 0.75 at 50, 0.0625 at 100." in training.alternative


def test_errors_are_not_shares():
    score = {"score": 0.02, "outputs": {"x": {"metric": "mse", "value": 0.02}}}
    found = collect(run(evaluations=[evaluation(**score)]), run(seed=1, evaluations=[evaluation(**score)]))
    (row,) = tables(found)[SCORES]
    assert (row["score (%)"], row["every seed"]) == ("0.02 [0.02, 0.02] (error)", "0.02, 0.02")
    assert report.study_table(found).splitlines()[-1] == "mpnn  0.02 [0.02, 0.02]"


def test_what_was_measured_of_faithfulness(tmp_path):
    runs = [run(seed=0), run(seed=1)]
    rows = tables(collect(*runs, measured=[measured(["bfs"])]))["Faithfulness"]
    (ours,) = [row for row in rows if row["network"] == "mpnn"]
    names = ("score (%)", "hints (%)", "acting (%)", "ignored (%)", "followed (%)", "sources (%)", "chance (%)")
    assert [ours[name] for name in names] == ["90.00", "85.38", "81.00", "76.84", "72.90", "69.16", "12.50"]
    assert "faithfulness" not in sections(collect(*runs))
    # measures that are not there, and numbers that are not finite, as probes of a constant hint are
    odd = measured(["bfs"])["rows"][0] | {"external": {}, "interventions": {"ignored": None}, "sources": None}
    odd["probes"]["d"]["value"] = float("nan")
    one = write(tmp_path / "run", run(), faithfulness=measured(["bfs"], rows=[odd]))
    assert cli.main(["report", str(one)]) == 0 and study.read(one).left_out == []


# Files


def test_writing_again_changes_nothing_and_needs_neither_torch_nor_matplotlib(tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import made_up_runs as m; from nar.reports import report; "
        f"report.write(m.everything(), {str(tmp_path / 'other')!r}); "
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    report.write(everything(), tmp_path / "one")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other")
    )
    assert first == second  # whatever the hashes of strings
    assert {"report.html", "report.md", "scores.csv", "summary.csv", "score.svg", "training.svg"} <= first.keys()


def test_hostile_names_are_no_markup_of_markdown_or_figures(tmp_path):
    report.write(collect(run(processor=EVIL), run(processor="a|b [c](d)")), tmp_path)
    text = re.sub(r"(?s)```.*?```|`[^`]*`", "", (tmp_path / "report.md").read_text())  # in code, nothing is markup
    assert "<b>" not in text and "a\\|b" in text and "[c](d)" not in text.split("](score.svg)")[0].split("![")[1]
    assert EVIL in "".join(ElementTree.parse(tmp_path / "score.svg").getroot().itertext())


def test_a_run_without_evaluations_still_gives_a_report(tmp_path):
    of_run = {"left_out": {"bfs": [256]}, "interrupted": True, "steps": 700}
    results = run(evaluations=[], of_run=of_run, eval_sizes=[16, 256])
    report.write_report(write(tmp_path, results))
    text = (tmp_path / "report.md").read_text()
    assert "Interrupted at step 700 of 10,000" in text and "Not evaluated at n = 16, 256" in text
    assert "](score.svg)" not in text and "](training.svg)" in text
    assert len(report.table(results).splitlines()) == 5  # title, header, three warnings
    assert report.study_table(collect(results)) == ""


def test_an_algorithm_that_is_not_to_be_found_here_is_reported(tmp_path):
    folder = write(tmp_path, run("not_here:mine"))
    report.write_report(folder)
    assert "# not_here:mine with mpnn" in (folder / "report.md").read_text()
    assert comparability.unusual({"algo": ["not_here:mine"], "train_sizes": [4], "hidden": 8}) == {"hidden": 8}
    assert comparability.unusual({"algo": ["bfs"], "train_sizes": [4, 7, 11, 13, 16], "val_size": 16}) == {}
    assert comparability.unusual({"algo": ["bfs"], "train_sizes": [4]}) == {"train_sizes": [4]}


def test_metrics_of_a_resumed_and_killed_run(tmp_path):
    rows = [{"step": step, "loss": loss} for step, loss in ((0, 4.0), (50, 2.0), (100, 0.5), (50, 1.5))]
    write(tmp_path, run(), rows)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 150, "lo')
    assert [(row["step"], row["loss"]) for row in schema.read_metrics(tmp_path)] == [(0, 4.0), (50, 1.5), (100, 0.5)]


def test_a_network_whose_numbers_are_no_longer_finite_is_reported(tmp_path):
    worse = {"score": math.inf, "outputs": {"x": {"metric": "mse", "value": math.inf}}}
    write(
        tmp_path, run(evaluations=[evaluation(**worse)]), [{"step": 50, "loss": math.nan}, {"step": 100, "loss": 1.0}]
    )
    for name in ("results.json", "metrics.jsonl"):
        assert not re.search("NaN|Infinity", (tmp_path / name).read_text())
    (found,) = schema.read(tmp_path)["evaluations"]
    assert math.isnan(found["score"]) and math.isnan(found["outputs"]["x"]["value"])
    assert tables(study.read(tmp_path))[SCORES][0]["score (%)"] == "–"


def test_unreadable_files_are_named(tmp_path):
    write(tmp_path, run())
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "loss": 1.0}\nnonsense\n{"step": 1, "loss": 1.0}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        schema.read_metrics(tmp_path)
    (tmp_path / "results.json").write_text('{"schema": 1, "run"')
    with pytest.raises(ValueError, match=r"results\.json is (truncated or damaged|not the results)"):
        schema.read(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({**run(), "schema": 3}))
    with pytest.raises(ValueError, match="has schema 3, this version of nar reads 2"):
        schema.read(tmp_path)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match=r"no results\.json in"):
        schema.read(tmp_path)
    with pytest.raises(ValueError, match=r"no run in .*: a run directory holds results\.json"):
        report.write_report(tmp_path)


def test_results_of_schema_1_are_read_as_schema_2():
    newest = run()
    older = copy.deepcopy(newest)
    about = older["run"]
    (algorithm,) = about.pop("algorithms")
    about |= {"algorithm": algorithm} | {name: about[name][algorithm] for name in ("train_sizes", "validation_size")}
    for name in ("processes", "validation", "left_out"):
        del about[name]
    older["config"]["algo"] = algorithm
    for entry in older["evaluations"]:
        for name in ("setting", "termination", "measures", "valid"):
            del entry[name]
    older["schema"], before = 1, copy.deepcopy(older)
    assert schema.upgraded(older) == newest == schema.upgraded(newest) and older != newest
    assert older["run"] == before["run"] and older["evaluations"] == before["evaluations"]
    assert report.document(collect(newest)).sections  # of both, since they are equal


def test_recorded_results_are_read():
    found = study.read(RESULTS)
    assert len(found.runs) >= 12
    for one in found.runs:
        (algorithm,) = one.algorithms
        assert one.results["config"]["algo"] == [algorithm] == list(one.results["run"]["validation"])
        assert one.results["run"]["train_sizes"] == {algorithm: [4, 7, 11, 13, 16]}
        assert {(e["termination"], *e["setting"]) for e in one.results["evaluations"]} == {("oracle",)}
        assert not any("Not evaluated" in warning for warning in comparability.of_run(one.results))


# What terminals print


def test_the_table_of_a_run_has_one_row_per_evaluation():
    lines = report.table(one_run()).splitlines()
    assert lines[0].startswith("bellman_ford with triplet_gmpnn, seed 42: 414,468 parameters, 10,000 steps, best")
    assert lines[1].split() == ["size", "graphs", "score", "exact", "valid", "steps", "seconds", "data"]
    assert lines[2].split() == ["16", "128", "99.85%", "97.00%", "100.00%", "5.5/7", "0.32", "nar/test"]
    assert lines[3].split() == ["64", "32", "97.44%", "31.25%", "-", "5.5/7", "1.94", "clrs30-v1/test"]
    assert len(lines) == 4
    ends = {line.index(cell) + len(cell) for line, cell in zip(lines[1:], ("score", "99.85%", "97.44%"), strict=True)}
    assert len(ends) == 1
    several = report.table(generalist()).splitlines()
    assert [line.split()[0] for line in several[1:4]] == ["algorithm", "bellman_ford", "bfs"]


@pytest.mark.parametrize(
    ("of_run", "expected"),
    [
        ({"interrupted": True, "steps": 700}, "Interrupted at step 700 of 10,000"),
        ({"steps": 500, "steps_planned": 500}, "Trained for 500 steps, the published protocol for 10,000"),
        ({"best_validation": None, "best_step": None}, "Never validated"),
    ],
)
def test_warnings_of_a_run(of_run, expected):
    found = run(of_run=of_run)
    assert any(expected in warning for warning in comparability.of_run(found)) and expected in report.table(found)
    assert any(expected in note for note in report.document(collect(found)).notes)


def test_no_warning_without_cause():
    assert comparability.of_run(run()) == []
    (warning,) = comparability.of_run(run(evaluations=[evaluation(samples=31)]))
    assert "32 graphs at n = 64" in warning
    (warning,) = comparability.of_run(run(eval_sizes=[16, 64, 256]))
    assert "n = 256: the evaluation was interrupted" in warning
    (warning,) = comparability.of_run(run(of_run={"left_out": {"bfs": [256]}}))
    assert "n = 256: too long for a CPU" in warning


@pytest.fixture
def folder(tmp_path):
    for index, one in enumerate(three_seeds()):
        write(tmp_path / "runs" / str(index), one, METRICS[:3])
    return tmp_path / "runs"


def test_nar_report_of_many_runs(folder, tmp_path, capsys):
    assert cli.main(["report", str(folder), "--out", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert "mpnn            80.00% [60.00, 90.00]  50.00% [40.00, 60.00]" in out.splitlines()
    assert out.endswith(f"report: {tmp_path}/report/report.html\n") and "2 seeds are few" not in out
    written = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    runs = [str(path) for path in sorted(folder.iterdir(), reverse=True)]
    assert cli.main(["report", *runs, "--out", str(tmp_path / "again"), "--against", "triplet_gmpnn"]) == 0
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}


def test_nar_report_of_one_run_goes_into_its_directory(folder, capsys):
    assert cli.main(["report", str(folder / "0")]) == 0
    assert capsys.readouterr().out == f"report: {folder}/0/report.html\n"
    assert {"report.html", "report.md", "score.svg"} <= {path.name for path in (folder / "0").iterdir()}


def test_several_runs_are_tabled_and_what_is_no_run_is_skipped_with_a_word(folder, capsys):
    assert cli.main(["report", str(folder)]) == 0
    of_folder = capsys.readouterr().out
    assert of_folder.endswith("These are 5 runs: name a directory for the whole report, --out report\n")
    (folder.parent / "table.csv").write_text("a,b\n")
    (folder.parent / "empty").mkdir()
    assert cli.main(["report", *map(str, sorted(folder.parent.iterdir()))]) == 0  # as a shell's *
    of_all = capsys.readouterr().out.splitlines()
    words = [f"no run in {folder.parent}/empty", f"{folder.parent}/table.csv is a file, not a run"]
    assert [line for line in of_all if line not in of_folder.splitlines()] == words
    for alone in ("table.csv", "empty"):  # nothing is left
        with pytest.raises(ValueError, match="run"):
            study.read(folder.parent / alone)
    with pytest.raises(ValueError, match="no finished run"):
        study.read([folder.parent / "table.csv", folder.parent / "empty"])
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, "table.csv", "empty"}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "nar report takes run directories or folders of them"),
        (["{}", "--against", "mpnn"], "--against is for the whole report: name a directory for it, --out report"),
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
