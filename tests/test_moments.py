"""Single steps of traces: which ones are chosen, and that learning them all is learning the trace from true hints."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from nar import datasets, processors
from nar.config import Config
from nar.model.batch import Batch, draw
from nar.model.objectives.emphasis import Emphasis
from nar.model.objectives.losses import losses, total_loss
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.model.schedule import SortedLengths
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec
from nar.training import moments
from nar.training.distributed import Ranks
from nar.training.learner import SingleLearner
from nar.training.tasks import training_batch

STEP_BY_STEP = {"supervision": "moments", "hint_feedback": "hard"}
config = functools.partial(Config, algo="bfs", **STEP_BY_STEP)


def tiny():
    """Three traces of 4, 2 and 1 snapshots on two nodes: d says moment and trace, the matrices A are told in runs."""
    spec = Spec({
        "x": ("input", "node", "scalar"), "d": ("hint", "node", "scalar"), "m": ("hint", "graph", "mask"),
        "A": ("hint", "edge", "mask"), "y": ("output", "node", "mask"),
    })  # fmt: skip
    d_TB = torch.tensor([[0.0, 1.0, 2.0], [10, 11, 0], [10, 0, 0], [30, 0, 0]])
    values = torch.arange(4, dtype=torch.int8).view(4, 1, 1).expand(4, 2, 2)  # no masks: told apart by their numbers
    return Batch(
        "tiny", spec, 2,
        inputs={"x": torch.tensor([0.0, 1, 2]).unsqueeze(1).expand(3, 2)},
        hints={
            "d": d_TB.unsqueeze(2).expand(4, 3, 2),
            "m": torch.tensor([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=torch.int8),
            "A": RunLengthArray(values, torch.tensor([[0, 2, 3], [0, 2, 3], [1, 2, 3], [1, 2, 3]])),
        },
        outputs={"y": torch.tensor([0, 1, 1], dtype=torch.int8).unsqueeze(1).expand(3, 2)},
        schedule=SortedLengths([4, 2, 1]),
        order=[2, 0, 1],
    )  # fmt: skip


# What is chosen


def test_the_moments_of_a_tiny_batch():
    found = moments.chosen(tiny(), config(moments=9), 0)
    assert found.lengths == [2, 2, 2, 2, 1] and found.order == [2, 2, 2, 0, 1]
    assert found.ends.tolist() == [False, False, True, True, True]
    assert found.hints["d"][..., 1].tolist() == [[0, 10, 10, 1, 2], [10, 10, 30, 11, 2]]
    assert found.hints["m"].tolist() == [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    assert found.hints["A"][..., 0, 1].tolist() == [[0, 0, 1, 2, 3], [0, 1, 1, 2, 3]]
    assert found.inputs["x"][:, 0].tolist() == [0, 0, 0, 1, 2] and found.outputs["y"][:, 1].tolist() == [0, 0, 0, 1, 1]
    assert found.steps == 1


def test_moments_that_are_reached_by_the_reasoners_own_decision_begin_one_earlier():
    found = moments.chosen(tiny(), config(moments=9, own_moments=1.0), 0)
    assert found.lengths == [3, 3, 2, 2, 1] and found.order == [2, 2, 2, 0, 1]
    assert found.hints["d"][..., 0].tolist() == [[0, 10, 0, 1, 2], [10, 10, 10, 11, 2], [10, 30, 10, 11, 2]]
    assert found.ends.tolist() == [False, True, False, True, True]


def test_a_chosen_moment_is_that_of_the_trace_whatever_its_hints_are_stored_as():
    batch = draw(datasets.get("strongly_connected_components"), 7, 5, seed=(1,), random_pos=True)
    assert isinstance(batch.hints["A_t"], RunLengthArray)
    found = moments.chosen(batch, config(moments=3), 4)
    assert len(found) == 15
    dense = {name: torch.from_numpy(np.asarray(value)) for name, value in batch.hints.items()}
    for row, place in enumerate(found.order):
        b = batch.order.index(place)
        same = [
            t for t in range(batch.lengths[b] - 1)
            if all(dense[n][t : t + 2, b].equal(value[:, row]) for n, value in found.hints.items())
        ]  # fmt: skip
        assert same and (found.ends[row] == (same[-1] == batch.lengths[b] - 2))
        assert all(batch.inputs[n][b].equal(value[row]) for n, value in found.inputs.items())
        assert all(batch.outputs[n][b].equal(value[row]) for n, value in found.outputs.items())


def picked(steps, times=4000, preference=0.0, **asked):
    """How often each moment of the first trace is picked, as a share of the times."""
    counts = np.zeros(steps[0])
    rng = np.random.RandomState(0)
    for _ in range(times):
        found = moments.pick(np.array(steps), preference, asked["count"], asked["last"], rng)
        own = [t for b, t in found if b == 0]
        assert found == sorted(set(found)) and len(own) == min(asked["count"], steps[0])
        counts[own] += 1
    return counts / times


def test_all_moments_are_picked_alike_but_the_last_as_often_as_it_is_asked_for():
    np.testing.assert_allclose(picked([6, 2], count=2, last=0.0), 2 / 6, atol=0.03)
    # it is drawn with a probability of 1/3, and else given the place of another in half of all cases
    shares = picked([6, 2], count=2, last=0.5)
    assert shares[-1] == pytest.approx(1 / 3 + 2 / 3 / 2, abs=0.03) and shares.sum() == pytest.approx(2)
    assert picked([6], count=1, last=1.0).tolist() == [0, 0, 0, 0, 0, 1]
    assert picked([3], count=5, last=0.0).tolist() == [1, 1, 1]


def test_events_are_counted_over_the_batch():
    """Of trace 0: d and m change, A changes, d changes; of trace 1: d changes; of trace 2: nothing."""
    found = moments.event_frequencies(tiny())
    np.testing.assert_allclose(found, [[1 / 5, 2 / 5, 1 / 5], [1 / 5, 1, 1], [2 / 5, 1, 1]])


@pytest.mark.parametrize(
    ("balance", "expected"),
    [(0.0, [1 / 3, 1 / 3, 1 / 3]), (1.0, [0.4, 0.4, 0.2]), (0.5, [0.369, 0.369, 0.261])],
)
def test_rare_events_are_preferred_as_asked(balance, expected):
    """Chances of 5, 5 and 5/2, of their square roots, and of none of them."""
    preference_SB = -balance * np.log(moments.event_frequencies(tiny()))
    found = picked([3, 1, 1], preference=preference_SB, count=1, last=0.0)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_training_batches_are_functions_of_seed_and_step():
    algorithm = datasets.get("insertion_sort")

    def hints(step, **changes):
        settings = Config(algo="insertion_sort", batch_size=3, train_sizes=(9,), **STEP_BY_STEP, **changes)
        return training_batch(algorithm, settings, step).hints["i"]

    assert hints(3).equal(hints(3)) and not hints(3).equal(hints(4)) and not hints(3).equal(hints(3, seed=1))
    # rollouts of the same seed and step are of the same traces
    whole = training_batch(algorithm, Config(algo="insertion_sort", batch_size=3, train_sizes=(9,)), 3)
    every = training_batch(algorithm, config(algo="insertion_sort", batch_size=3, train_sizes=(9,), moments=99), 3)
    assert len(every) == sum(length - 1 for length in whole.lengths)
    assert every.inputs["key"].unique(dim=0).equal(whole.inputs["key"].unique(dim=0))


def test_a_step_costs_the_same_however_long_the_traces_are():
    sizes = {}
    for name in ("minimum", "insertion_sort", "heapsort"):
        batch = training_batch(datasets.get(name), config(algo=name, batch_size=8, train_sizes=(16,)), 0)
        sizes[name] = (len(batch), batch.steps, {len(value) for value in batch.hints.values()})
    whole = training_batch(datasets.get("heapsort"), Config(algo="heapsort", batch_size=8, train_sizes=(16,)), 0)
    assert set(map(str, sizes.values())) == {"(32, 1, {2})"} and whole.steps > 50


# What it costs


def networks(name, **options):
    torch.manual_seed(2)
    made = Reasoner.build(name, "gmpnn", hidden=8, history=False, hint_feedback="hard", **options)
    return made.double().train()


@pytest.mark.parametrize("name", ["bellman_ford", "floyd_warshall", "insertion_sort", "minimum", "segments_intersect"])
def test_the_loss_of_all_moments_is_that_of_the_rollout_from_true_hints(name):
    batch = draw(datasets.get(name), 4 if name == "segments_intersect" else 5, 6, seed=(3,), random_pos=True)
    reasoner = networks(name, halting="supervised")
    expected = losses(batch, reasoner(batch, teacher_forcing=1.0, gumbel=False))
    every = moments.chosen(batch, config(moments=99), 0)
    found = losses(every, reasoner(every, gumbel=False))
    assert found.keys() == expected.keys() and "halting" in found
    for part, value in expected.items():
        torch.testing.assert_close(found[part], value, rtol=1e-9, atol=1e-12, msg=part)
    reasoner.history = True
    other = losses(batch, reasoner(batch, teacher_forcing=1.0, gumbel=False))
    assert batch.steps == 1 or (total_loss(every, reasoner(every, gumbel=False)) - sum(other.values())).abs() > 1e-6


def test_outputs_count_at_the_end_of_a_trace_only():
    batch = moments.chosen(draw(datasets.get("bfs"), 6, 8, seed=(0,), random_pos=True), config(), 0)
    assert 0 < batch.ends.sum() < len(batch)
    reasoner = networks("bfs")
    rollout = reasoner(batch)
    before = losses(batch, rollout)
    for places, same in ((~batch.ends, True), (batch.ends, False)):
        wrong = batch.outputs["pi"].clone()
        wrong[places] = (wrong[places] + 1) % 6
        after = losses(dataclasses.replace(batch, outputs={"pi": wrong}), rollout)
        assert after["pi_h"] == before["pi_h"] and (after["pi"] == before["pi"]) == same
    assert losses(dataclasses.replace(batch, ends=batch.ends & False), rollout)["pi"] == 0


def test_own_moments_are_fed_what_the_reasoner_made_of_the_one_before():
    """By hand: a step from true hints, its decisions, a step from these; both are learned."""
    batch = draw(datasets.get("insertion_sort"), 6, 4, seed=(5,), random_pos=True)
    sample, start, reasoner = np.array([0, 0, 1, 3]), np.array([0, 2, 3, 1]), networks("insertion_sort")
    both = moments.parts(batch, sample, start, np.full(4, 3))
    found = losses(both, reasoner(both, gumbel=False))
    first, second = (moments.parts(batch, sample, start + k, np.full(4, 2)) for k in (0, 1))
    rollout = reasoner(first, gumbel=False)
    decided = feed_back(batch.spec, rollout.hints[0], how="hard")
    fed = {name: torch.stack([decided[name], value[1]]) for name, value in second.hints.items()}
    assert any(not value[0].equal(second.hints[name][0]) for name, value in fed.items())
    second = dataclasses.replace(second, hints=fed)
    one, two = losses(first, rollout), losses(second, reasoner(second, gumbel=False))
    assert both.ends.tolist() == second.ends.tolist() == [False, False, True, False]
    for name, value in found.items():
        expected = two[name] if name in batch.outputs else (one[name] + two[name]) / 2
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=0, msg=name)


@pytest.mark.parametrize("name", ["bfs", "bridges"])
def test_in_evaluation_every_step_begins_with_the_initial_state(name):
    """And with the hints decided last; what a hint ignores, as bridges where there is no edge, it goes on to ignore."""
    batch = draw(datasets.get(name), 7, 4, seed=(1,), random_pos=True)
    reasoner = networks(name).eval()
    whole = reasoner(batch, keep_states=True)
    hints = {name: value[:2] for name, value in batch.hints.items()}
    for s, (expected, state) in enumerate(zip(whole.hints, whole.states, strict=True)):
        alone = dataclasses.replace(batch, hints=hints, schedule=SortedLengths([2] * len(batch)))
        rollout = reasoner(alone, keep_states=True)
        live = len(expected["pi_h"])
        for name, value in expected.items():
            torch.testing.assert_close(rollout.hints[0][name][:live], value, msg=f"{name} of step {s}")
        torch.testing.assert_close(rollout.states[0][: len(state)], state)
        before = {name: value[0] for name, value in hints.items()}
        decided = feed_back(batch.spec, rollout.hints[0], how="hard", before=before)
        hints = {name: torch.stack([value, value]) for name, value in decided.items()}
    assert batch.steps > 2


@pytest.mark.parametrize("ranks", [Ranks(0, 2), Ranks(0, 3)])
def test_the_losses_of_shares_add_up_to_those_of_the_whole(ranks, tmp_path):
    for folder in (None, tmp_path):
        settings = config(batch_size=4, train_sizes=(6,), own_moments=0.3)
        shares = [dataclasses.replace(ranks, rank=rank, folder=folder) for rank in range(ranks.world)]
        batches = [training_batch(datasets.get("bfs"), settings, 2, ranks=share) for share in shares]
        whole, reasoner = batches[0].whole, networks("bfs", halting="supervised")
        assert sum(map(len, batches)) == len(whole) and 0 < whole.ends.sum() < len(whole)
        emphasis = Emphasis(2.0, 0.7)
        expected = losses(whole, reasoner(whole), emphasis)
        found = [losses(batch, reasoner(batch), emphasis) for batch in batches]
        for name, value in expected.items():
            torch.testing.assert_close(sum(part[name] for part in found), value, rtol=1e-9, atol=0, msg=name)


@pytest.mark.parametrize("name", processors.names())
def test_every_processor_learns_from_moments(name):
    settings = config(
        processor=name, hidden=16, batch_size=4, train_sizes=(5,), learning_rate=3e-3, steps=30, own_moments=0.25,
        learning_rate_schedule="one_cycle", weight_decay=1e-3,
    )  # fmt: skip
    learner = SingleLearner(Reasoner.from_config(settings).train(), settings)
    batch = training_batch(datasets.get("bfs"), settings, 0)
    found = [learner.step([batch], step, progress=step / 30).item() for step in range(30)]
    assert np.isfinite(found).all() and np.mean(found[-5:]) < 0.9 * np.mean(found[:3])


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"moments": 3}, "--moments must be left away without --supervision moments"),
        ({"event_balance": 0.5}, "--event-balance must be left away without --supervision moments"),
        ({"supervision": "moments"}, "--hint-feedback must be hard or hard_on_eval with --supervision moments"),
        (STEP_BY_STEP | {"hint_feedback": "straight_through"}, "--hint-feedback must be hard or hard_on_eval"),
        (STEP_BY_STEP | {"teacher_forcing": 0.5}, "--teacher-forcing must be left away with --supervision moments"),
        (STEP_BY_STEP | {"reconstruction": "plain"}, "--reconstruction must be left away with"),
        ({"supervision": "moments", "hint_mode": "none"}, "--hint-mode must be left away with"),
        (STEP_BY_STEP | {"halting": "ponder"}, "--halting must be none or supervised with"),
        (STEP_BY_STEP | {"history": True}, "--history must be left away with"),
        (STEP_BY_STEP | {"hint_feedback": "hard_on_eval", "own_moments": 0.1}, "must be hard with --own-moments"),
        (STEP_BY_STEP | {"last_moments": 1.5}, "--last-moments must be between 0 and 1"),
        (STEP_BY_STEP | {"moments": 0}, "--moments must be at least 1"),
        ({"hint_mode": "decoded_only", "history": False}, "--history must be left away with --hint-mode decoded_only"),
        ({"weight_decay": -0.1}, "--weight-decay must be 0 or more"),
    ],
)
def test_settings_that_do_not_go_together_are_named(settings, said):
    with pytest.raises(ValueError) as error:
        Config(**settings)
    assert said in str(error.value)


def test_history_is_kept_in_rollouts_and_not_of_moments():
    assert Reasoner.from_config(Config(algo="bfs", hidden=4, triplet_features=1)).history
    assert not Reasoner.from_config(config(hidden=4, triplet_features=1)).history
    assert not Reasoner.from_config(Config(algo="bfs", hidden=4, triplet_features=1, history=False)).history
    with pytest.raises(ValueError, match="hint_mode none feeds none"):
        Reasoner.build("bfs", "mpnn", hidden=4, history=False, hint_mode="none")
