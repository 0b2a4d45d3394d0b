"""CPU-seconds to the published score (benchmarks/time_to_score.py): what counts, when it stops, what the table says."""

import sys
from pathlib import Path

import pytest

from nar import recipes
from nar.experiments.experiment import train
from nar.results import published

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the benchmarks are scripts beside each other, not a package
# ruff: noqa: E402

import result_files
import time_to_score


class Training:
    """Updates of 2 s, of 10 s where shapes are new, scores that rise by a tenth an update and take an hour."""

    def __init__(self):
        self.now, self.made = 0.0, 0

    def update(self, step):
        assert step == self.made
        self.made, new = self.made + 1, step in (0, 30)
        self.now += 10 if new else 2
        return new

    def score(self):
        self.now += 3600
        return min(self.made / 100, 1)

    def until(self, mark, **more):
        settings = {"steps": 200, "limit": 1e9, "ratio": 1.25, "clock": lambda: self.now} | more
        return time_to_score.until_mark(self.update, self.score, mark=mark, **settings)


def test_scores_are_measured_a_quarter_further_each_time():
    assert time_to_score.checkpoints(100, 1.25) == [25, 32, 40, 50, 63, 79, 99, 100]
    assert time_to_score.checkpoints(10, 2) == [10] and time_to_score.checkpoints(27, 1.001) == [25, 26, 27]


def test_the_time_until_the_mark_is_that_of_updates_alone():
    found = Training().until(0.35, spent=5.0)
    assert found["reached"] and found["steps"] == 40 and found["cpu_seconds"] == 5 + 2 * 10 + 38 * 2
    assert found["not_yet_at"] == {"steps": 32, "cpu_seconds": 5 + 2 * 10 + 30 * 2}  # and not after so many
    assert found["new_shapes_cpu_seconds"] == 20
    assert [(point["steps"], point["score"]) for point in found["curve"]] == [(25, 0.25), (32, 0.32), (40, 0.4)]
    first = Training().until(0.25)
    assert first["steps"] == 25 and first["not_yet_at"] == {"steps": 0, "cpu_seconds": 0.0}


def test_a_training_that_does_not_arrive_is_stopped_at_its_end_or_its_limit():
    ended = Training().until(2.0)
    assert not ended["reached"] and ended["steps"] == 200 and ended["not_yet_at"] is None
    stopped = Training().until(0.35, limit=30)
    assert not stopped["reached"] and stopped["steps"] == 12 and stopped["cpu_seconds"] == 32
    assert Training().until(0.1, limit=30)["reached"]  # where it has arrived by then, it has


def row(side="step", seed=0, seconds=50.0, reached=True, algo="bfs"):
    return {"algo": algo, "side": side, "seed": seed, "cpu_seconds": seconds, "reached": reached}


def test_the_table_has_medians_and_says_what_is_missing_or_did_not_arrive():
    rows = [row(seed=seed, seconds=seconds) for seed, seconds in ((0, 40.0), (1, 90.0), (2, 50.0))]
    rows += [row("protocol", 0, 1000.0), row("protocol", 1, 1800.0, False), row("protocol", 2, 1800.0, False)]
    rows += [row("dm-clrs", 0, 5000.0)]
    lines = time_to_score.made({"rows": rows}).splitlines()
    assert len(lines) == 2 + len(time_to_score.ALGORITHMS) + 1
    mark = f"{published.ibarz2022('bfs', 'triplet_gmpnn')[0].mean:.2f}"
    assert lines[-1] == (
        f"| `bfs` | {mark} | 50 s (40, 90, 50) | > 1,800 s (1,000, > 1,800, > 1,800) "
        "| 5,000 s (1 seed) | > 36x | 100x |"
    )
    assert lines[2].startswith("| `bellman_ford` | 97.39 | missing | missing | missing | – | – |")


@pytest.mark.parametrize("side", ["step", "protocol"])
def test_our_trainings_are_those_of_nar_train(side, tmp_path):
    tiny = {"steps": 3, "hidden": 8, "train_sizes": (4,), "batch_size": 2}
    task = {"algo": "bfs", "side": side, "seed": 1, "mark": 1.1, "limit": 1000.0, "ratio": 2, "settings": tiny}
    found = time_to_score.measure_ours(task)
    assert not found["reached"] and found["steps"] == found["planned_steps"] == 3 and found["cpu_seconds"] > 0
    rest = {"val_samples": 1, "val_every": 3, "eval_sizes": (64,), "threads": 1, "device": "cpu"}
    config = recipes.config(side, algo="bfs", seed=1, out=tmp_path / "run", **tiny, **rest)
    entry = train(config)["evaluations"][0]
    assert entry["termination"] == "oracle"
    assert [point["score"] for point in found["curve"]] == [pytest.approx(entry["score"], abs=1e-9)]


def test_recorded_trainings_agree_with_themselves():
    for row in result_files.load(time_to_score.OUTPUT)["rows"]:
        slack = -1e-4 if row["reached"] else 1e-4  # the file holds four digits
        assert (row["curve"][-1]["score"] >= row["mark"] + slack) == row["reached"]
        assert row["curve"][-1]["cpu_seconds"] == row["cpu_seconds"]
        assert all(point["score"] < row["mark"] + 1e-4 for point in row["curve"][:-1])
