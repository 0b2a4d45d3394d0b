"""Processes that share the batches of a run on a CPU: batches cut well, sums of the same bits, the same run."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import shared_batch_tasks
import torch
from shared_runs import SETTINGS, followers_for_few_steps, run

from nar import datasets
from nar.experiments import experiment
from nar.model.batch import collate
from nar.training import distributed, learner, shared_batch

pytestmark = pytest.mark.usefixtures("no_report")

worth_it = pytest.fixture(followers_for_few_steps)


@pytest.mark.parametrize("world", [2, 3])
def test_batches_are_cut_where_all_take_equally_long(world):
    """Against all ways to cut."""
    rng = np.random.RandomState(0)
    for beside, once in itertools.product((0.0, 3.5, 56.0), (0.0, 0.4)):
        for _ in range(10):
            steps = sorted(rng.randint(1, 9, size=9).tolist(), reverse=True)
            ways = [(0, *ends, 9) for ends in itertools.combinations(range(1, 9), world - 1)]

            def time(share, beside=beside, once=once):
                return beside * max(share) + sum(share) + once * len(share)

            slowest = {way: max(time(steps[i:j]) for i, j in itertools.pairwise(way)) for way in ways}
            dealt = max(time(steps[rank::world]) for rank in range(world))
            found = distributed.cut(steps, world, beside, once)
            if found is None:
                assert dealt <= min(slowest.values()) + 1e-6
            else:
                assert slowest[tuple(found)] == pytest.approx(min(slowest.values())) and min(slowest.values()) < dealt
    assert distributed.cut([5] * 8, world, 3.5, 0.4) is None or world == 3  # eight graphs are no thirds


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").open()]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of a run of two processes, and of how many graphs the first one took its steps."""
    out, sizes, step = tmp_path_factory.mktemp("together") / "two", [], learner.SingleLearner.step

    def watched(self, batches, *arguments, **options):
        sizes.append(len(batches[0]))
        return step(self, batches, *arguments, **options)

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_batch, "WORTH", 1)
        patch.setattr(learner.SingleLearner, "step", watched)
        patch.setattr("nar.reports.report.write_report", lambda run_dir: run_dir / "report.html")
        patch.setattr("nar.inference.example.write", lambda *_: None)
        run(out)
    torch.set_num_threads(before)
    return out, sizes


@pytest.mark.parametrize("world", [2, 3])
def test_sums_are_the_same_bits_everywhere(world):
    rounds = [(1, torch.float32), (5, torch.float64), (2**20 + 1, torch.float32), (3, torch.int64), (0, torch.float32)]
    with shared_batch.spawned(world, shared_batch_tasks.add, [*rounds, (6, torch.float64)]) as ranks:
        for size, dtype in rounds:
            found = ranks.sum(shared_batch_tasks.numbers(0, size, dtype))
            expected = sum(shared_batch_tasks.numbers(rank, size, dtype) for rank in range(world))
            if world == 2:
                assert torch.equal(found, expected)
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
            assert all(torch.equal(theirs, found) for theirs in ranks.gathered(found))
        found = ranks.sum(shared_batch_tasks.numbers(0, 6, torch.float64).view(3, 2).t())  # not contiguous
        assert found.shape == (2, 3)


def test_what_processes_give_is_gathered_in_their_order():
    world, sizes = 3, [1, 100_000, 3, 0]
    with shared_batch.spawned(world, shared_batch_tasks.gather, sizes) as ranks:
        for size in sizes:
            assert ranks.gathered([0] * size) == [[rank] * size for rank in range(world)]


def test_validation_is_shared_where_everyone_gets_a_graph():
    algorithm, rng = datasets.get("bfs"), np.random.RandomState(0)
    large, small = (
        collate([algorithm.run(**algorithm.sample(rng, 5)) for _ in range(count)], algorithm) for count in (7, 2)
    )
    places = [distributed.Ranks(rank, 3, Path()) for rank in range(3)]
    shares = [place.validation_share(lambda: [[large], [large]]) for place in places]
    assert sorted(b for share in shares for b in share[0][0].order) == sorted(large.order)
    assert all(share[1][0].whole is large for share in shares)
    assert [place.validation_share(lambda: [[large], [small]]) for place in places] == [[[large], [small]], None, None]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {
            "supervision": "moments", "hint_feedback": "hard", "own_moments": 0.3, "event_balance": 1.0,
            "learning_rate_schedule": "one_cycle", "weight_decay": 0.1,
        },
    ],
)  # fmt: skip
def test_a_run_is_that_of_one_process(tmp_path, worth_it, capsys, changed):
    found = run(tmp_path / "two", **changed)
    assert "2 processes share every batch" in capsys.readouterr().err and torch.get_num_threads() == 1
    run(tmp_path / "one", threads=1, **changed)
    assert "share" not in capsys.readouterr().err
    two, one = rows(tmp_path / "two"), rows(tmp_path / "one")
    assert [row["step"] for row in two] == [2, 4, 6]
    for ours, theirs in zip(two, one, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
    assert found["run"]["processes"] == 1  # the batch has not grown, which is what readers ask
    assert found["provenance"]["threads"] == 2


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, worth_it, together):
    run(tmp_path / "parts", steps=4)
    run(tmp_path / "parts", resume=True)
    whole, parts = (torch.load(out / "last.pt", weights_only=True) for out in (together[0], tmp_path / "parts"))
    assert all(torch.equal(value, parts["model"][name]) for name, value in whole["model"].items())
    assert [row["loss"] for row in rows(together[0])] == [row["loss"] for row in rows(tmp_path / "parts")]


def test_seeds_one_after_the_other(tmp_path, worth_it):
    found = experiment.train_seeds(dataclasses.replace(SETTINGS, out=tmp_path / "both", seeds=(3, 4), steps=4))
    run(tmp_path / "alone", seed=4, steps=4)
    assert [results["run"]["seed"] for results in found] == [3, 4]
    (second,) = [path for path in (tmp_path / "both").iterdir() if path.name.endswith("seed4")]
    assert [row["loss"] for row in rows(second)] == [row["loss"] for row in rows(tmp_path / "alone")]


def test_who_trains_alone(tmp_path, worth_it, monkeypatch, capsys):
    assert [shared_batch.size(8, 32, chosen=chosen) for chosen in (False, True)] == [shared_batch.AT_MOST, 8]
    assert [shared_batch.size(4, batch, chosen=True) for batch in (1, 3, 4, 7, 8)] == [1, 1, 2, 3, 4]
    run(tmp_path / "workers", workers=1)
    monkeypatch.setattr(shared_batch, "WORTH", 7)
    run(tmp_path / "short")
    assert "share" not in capsys.readouterr().err


def test_own_code_is_found_by_the_others_and_all_begin_with_the_parameters_of_the_first(
    tmp_path, worth_it, monkeypatch, capsys
):
    """A processor of the current folder, which the first process has on its path, and which draws its parameters from a
    generator that no seed of nar's reaches."""
    (tmp_path / "drawn_processor.py").write_text(
        "import os\n\nfrom nar.processors.mpnn import MPNN\n\n\nclass Drawn(MPNN):\n"
        "    def __init__(self, features):\n        super().__init__(features)\n"
        "        self.skip.weight.data += 0.01 * (os.getpid() % 7)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    run(tmp_path / "two", processor="drawn_processor:Drawn")
    assert "2 processes share every batch" in capsys.readouterr().err
    run(tmp_path / "one", processor="drawn_processor:Drawn", threads=1)
    for ours, theirs in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)


def test_numbers_are_of_the_kind_that_the_first_process_works_with():
    torch.set_default_dtype(torch.float64)
    try:
        with shared_batch.spawned(2, shared_batch_tasks.different_kind, None) as ranks:
            assert torch.equal(ranks.sum(torch.ones(3)), torch.full((3,), 2.0))
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_step_of_the_first_process_is_a_share_of_the_batch(together):
    assert len(together[1]) == 6 and all(0 < size < 7 for size in together[1])
