"""What terminals print of results: the table of a run, its warnings, and `nar report` with its mistakes."""

import pytest
from made_up_runs import METRICS, collect, evaluation, generalist, one_run, run, three_seeds, write

from nar.cli import main as cli
from nar.reports import report
from nar.results import comparability, study


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
