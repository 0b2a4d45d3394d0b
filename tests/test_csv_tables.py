"""scores.csv and summary.csv: every number of a study, for other programs."""

import csv
import io

import pytest
from made_up_runs import collect, elsewhere, evaluation, run, three_seeds

from nar.reports import csv_tables


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_scores_csv_gives_back_every_number():
    uneven = run(processor="gat", scores=(1 / 3, 0.1 + 0.2))
    uneven["evaluations"][0] |= {"first_error": [None, 2, 5, None], "steps_taken": {"mean": 4.5, "max": 6}}
    uneven["evaluations"][0]["measures"] = {"gate": [0.25, 0.5]}
    runs = [*three_seeds(), uneven]
    rows = rows_of(csv_tables.scores(collect(*runs)))
    assert len(rows) == 12
    for row in rows:
        (source,) = [
            r for r in runs if (r["run"]["processor"], r["run"]["seed"]) == (row["processor"], int(row["seed"]))
        ]
        (entry,) = [e for e in source["evaluations"] if e["size"] == int(row["n"])]
        for name in ("score", "exact", "steps_mean", "steps_max", "seconds", "samples"):
            assert float(row[name]) == entry[name], name
        assert float(row["outputs.pi"]) == float(row["hints.pi_h"]) == entry["score"]
        assert row["valid"] == "" and row["data.sha256"] == entry["data"]["sha256"] and row["averaged"] == "True"
        assert row["config.hidden"] == "128" and row["made.commit"] == "abc1234" and row["command"] == source["command"]
    (row,) = [row for row in rows if row["label"] == "gat" and row["n"] == "16"]
    assert (row["first_error.never"], row["first_error.median"]) == ("0.5", "3.5")
    assert (row["steps_taken.mean"], row["measures.gate"]) == ("4.5", "0.375")


def test_scores_csv_marks_what_is_in_no_mean():
    other = [elsewhere(evaluation(score=0.0))]
    rows = rows_of(csv_tables.scores(collect(run(seed=0), run(seed=1), run(seed=2, evaluations=other))))
    assert [row["averaged"] for row in rows] == ["True"] * 4 + ["False"]


def test_summary_csv_gives_back_every_mean_and_seed():
    found = collect(*three_seeds())
    rows = rows_of(csv_tables.summary(found))
    assert len(rows) == len(found.groups) == 4
    for row, group in zip(rows, found.groups, strict=True):
        assert (row["algorithm"], row["label"], int(row["n"])) == (group.algorithm, group.label, group.size)
        assert [int(seed) for seed in row["seeds"].split()] == group.seeds
        for name in ("score", "exact", "seconds"):
            interval = group.interval(name)
            assert float(row[f"{name}_mean"]) == interval.mean
            assert (float(row[f"{name}_low"]), float(row[f"{name}_high"])) == (interval.low, interval.high)
            assert [float(value) for value in row[f"{name}_values"].split()] == group.values(name)
            assert int(row[f"{name}_n"]) == len(group.seeds)
    canonical = [row for row in rows if row["n"] == "64"]
    assert [float(row["published_mean"]) for row in canonical] == [pytest.approx(0.9989), pytest.approx(0.9973)]
    assert all(row["published_mean"] == "" for row in rows if row["n"] == "16")
