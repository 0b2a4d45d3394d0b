"""What reports say, of one run and of many: the numbers of their tables, figures and text."""

import re
from xml.etree import ElementTree

from made_up_runs import (
    collect,
    elsewhere,
    evaluation,
    everything,
    generalist,
    measured,
    one_run,
    run,
    three_seeds,
    write,
)
from report_tables import SCORES, plain, tables, tables_of

from nar.cli import main as cli
from nar.reports import report
from nar.results import published, study


def sections(found):
    return {section.id: section for section in report.document(found).sections}


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
