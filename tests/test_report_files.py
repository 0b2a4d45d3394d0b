"""Files of reports and results: the same when written again, of odd runs and names, unreadable, of an older schema."""

import copy
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up_runs import EVIL, collect, evaluation, everything, run, write
from report_tables import SCORES, tables

from nar.reports import report
from nar.results import comparability, schema, study

RESULTS = Path(__file__).parent.parent / "results"


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
