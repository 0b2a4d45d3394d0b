"""Outputs by a step of their own: its schedule, what they are read off, and that hints stay those without it."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from step_recipe import reasoner

import nar
from nar import datasets, recipes
from nar.config import Config
from nar.evaluation.evaluate import decided_outputs
from nar.model.batch import collate, draw
from nar.model.coders.step_encoder import StepEncoder, same_hints
from nar.model.options.choice import Choice
from nar.model.options.relations import marks_of_hints, trail_of
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.model.schedule import OutputStep, SortedLengths
from nar.training.learner import SingleLearner
from nar.training.tasks import training_batch


def batch_of(name="bellman_ford", nodes=6, samples=6, seed=5):
    """With traces of several lengths."""
    made = draw(datasets.get(name), nodes, samples, seed=(seed,), random_pos=False, **datasets.get(name).train_params)
    made = made.with_lengths([max(1, length - b % 3) for b, length in enumerate(sorted(made.lengths, reverse=True))])
    return made.with_lengths(sorted(made.lengths, reverse=True))


def values(found):
    return found.logits if isinstance(found, Choice) else found


# The schedule


def test_one_step_more_for_everyone():
    lengths = [4, 2, 2, 1]
    schedule = OutputStep(lengths)
    assert (schedule.steps, len(schedule), schedule.samples_leave) == (4, 4, True)
    assert [schedule.num_running(s) for s in range(4)] == [4, 3, 1, 1]
    assert [schedule.num_with_hint(s) for s in range(4)] == [3, 1, 1, 0]
    assert [schedule.ends(s).tolist() for s in range(4)] == [[n == s + 1 for n in lengths] for s in range(4)]
    assert [schedule.running(s).tolist() for s in (0, 3)] == [[True] * 4, [True, False, False, False]]
    assert SortedLengths(lengths).steps == 3 and OutputStep([1]).steps == 1


# Outputs


@pytest.mark.parametrize("name", ["bellman_ford", "insertion_sort", "floyd_warshall", "dfs"])
def test_outputs_are_read_off_the_last_hints(name):
    """By the rollout, and by a single step that is given what the rollout predicted last."""
    made, batch = reasoner(name), batch_of(name)
    assert len(set(batch.lengths)) > 1
    with torch.no_grad():
        whole = made(batch)
        assert [len(next(iter(hints.values()))) for hints in whole.hints] == [
            sum(length > s + 1 for length in batch.lengths) for s in range(batch.lengths[0] - 1)
        ]
        decided = [feed_back(batch.spec, hints, how="hard") for hints in whole.hints]
        for b, length in enumerate(batch.lengths):
            one = batch.rows([b])
            now, before = one.hints, None
            now = {n: v[:1] for n, v in one.hints.items()}
            if length > 1:
                now = {n: v[b : b + 1].unsqueeze(0) for n, v in decided[length - 2].items()}
                if length > 2:
                    before = {n: v[b : b + 1] for n, v in decided[length - 3].items()}
                else:
                    before = {n: v[0] for n, v in one.hints.items()}
            unchanged = torch.zeros(1, dtype=torch.bool)
            if before is not None:
                unchanged = same_hints(one.spec, before, {n: v[0] for n, v in now.items()}, one.all_of)
            fed = [{n: v[0] for n, v in one.hints.items()}]
            fed += [{n: v[b : b + 1] for n, v in hints.items()} for hints in decided[: max(0, length - 2)]]
            steps, marks = StepEncoder(made.coders(name)[0], made.processor, one), marks_of_hints(one.spec)
            memory = steps.memory()
            for hints in fed[: length - 1]:  # of all moments before the last
                memory = steps.remember(memory, hints, hints, 1)
            trails = [memory[trail_of(mark)] for mark in marks]
            trails = torch.stack(trails, 1) if marks else torch.zeros(1, 0, one.nodes)
            last = dataclasses.replace(
                one, hints=now, schedule=SortedLengths([1]), ends=torch.tensor([True]), unchanged=unchanged,
                trails=trails,
            )  # fmt: skip
            for output, found in made(last).outputs.items():
                torch.testing.assert_close(values(found)[0], values(whole.outputs[output])[b], msg=output)


def test_without_the_step_outputs_are_of_the_hints_before():
    """The same network, once without: outputs of the last true step are those of one step fewer."""
    made, batch = reasoner(), batch_of()
    batch = batch.rows([0])
    with torch.no_grad():
        made.output_step = False
        plain = made(batch)
        made.output_step = True
        fewer = made(batch.with_lengths([batch.lengths[0] - 1]))
        more = made(batch)
    assert torch.equal(plain.outputs["pi"].eligible, fewer.outputs["pi"].eligible)
    assert not torch.equal(plain.outputs["pi"].eligible, more.outputs["pi"].eligible)


def test_hints_are_those_of_a_rollout_without_it():
    made, batch = reasoner(), batch_of()
    with torch.no_grad():
        found = made(batch)
        made.output_step = False
        for one, other in zip(found.hints, made(batch).hints, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(values(one[n]), values(other[n])) for n in one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_step": True, "hint_mode": "none"}, "--output-step must be left away with --hint-mode none"),
        (
            {"output_step": True, "hint_mode": "decoded_only"},
            "--output-step must be left away with --hint-mode",
        ),
        ({"candidates": True, "hint_mode": "decoded_only"}, "--candidates must be left away with --hint-mode decoded"),
        ({"output_step": True, "halting": "ponder"}, "--halting must be none or supervised with --output-step"),
    ],
)
def test_what_does_not_go_together(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(algo="bfs", **settings)
    assert recipes.config("step", algo="bfs").output_step and recipes.config("step", algo="bfs").halting == "supervised"
    assert Config(algo="bfs", output_step=True, halting="supervised").output_step  # of rollouts, too


def test_what_must_be_read_off_the_state_is_not_looked_up():
    """With reconstruction, whose decoders see no numbers of the step."""
    settings = {"candidates": True, "selection": True, "relations": "beside", "reconstruction": "masked", "hidden": 8}
    settings = Config(algo="bellman_ford", processor="mpnn", batch_size=3, train_sizes=(4,), steps=2, **settings)
    made = Reasoner.from_config(settings).train()
    learner = SingleLearner(made, settings)
    batches = [training_batch(datasets.get("bellman_ford"), settings, step) for step in range(2)]
    assert all(math.isfinite(learner.step([batch], step).item()) for step, batch in enumerate(batches))
    assert made.coders("bellman_ford")[1].choices and not made.reconstruction.decoder("bellman_ford").choices


def test_samples_do_not_see_each_other():
    made, batch = reasoner(), batch_of(samples=7)
    with torch.no_grad():
        together = made(batch).outputs["pi"].logits
        for which in ([0], [3], [1, 4, 6]):
            torch.testing.assert_close(made(batch.rows(which)).outputs["pi"].logits, together[which])


@pytest.mark.parametrize("name", ["insertion_sort", "bellman_ford", "floyd_warshall", "quickselect"])
def test_a_solver_answers_as_the_rollout_does(name):
    """Of permutations, pointers of nodes and of pairs: outputs, hints of every step, probabilities."""
    algorithm, made = datasets.get(name), reasoner(name).float()
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(0), 5, **algorithm.train_params))
    found = nar.Solver(made).run(trace)
    with torch.no_grad():
        rollout = made(collate([trace], algorithm), decide_hints=True)
    outputs = decided_outputs(made.specs[name], rollout)
    assert outputs.keys() == found.compact.keys()
    assert all(np.array_equal(outputs[n][0].numpy(), found.compact[n]) for n in outputs)
    assert {len(values) for values in found.hints.values()} == {len(rollout.hints)} == {trace.length - 1}

    def numbers(value):
        parts = value.values() if isinstance(value, dict) else value
        return [n for part in parts for n in numbers(part)] if isinstance(value, dict | list) else [value]

    sure = [p for of in found.confidence.values() for p in numbers(of)]
    assert sure and all(0 < p <= 1 for p in sure)
