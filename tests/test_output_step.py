"""Outputs by a step of their own, moments for it, and what a step knows of the one before; the recipe as a whole."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch

import nar
from nar import datasets, recipes
from nar.config import Config
from nar.evaluation.evaluate import decided_outputs, evaluate
from nar.experiments.experiment import train, train_seeds
from nar.model.batch import collate, draw
from nar.model.objectives.losses import losses
from nar.model.options.choice import Choice
from nar.model.options.constants import find_constants
from nar.model.options.relations import marks_of_hints
from nar.model.postprocess import feed_back
from nar.model.reasoner import Reasoner
from nar.model.rollout_loop import same_hints
from nar.model.schedule import OutputStep, SortedLengths
from nar.training import moments
from nar.training.distributed import Ranks
from nar.training.learner import SingleLearner
from nar.training.tasks import training_batch

TINY = {"hidden": 8, "batch_size": 4, "train_sizes": (4, 5), "val_size": 5, "val_samples": 4, "device": "cpu"}


def config(name="bellman_ford", **settings):
    return recipes.config("step", algo=name, **TINY | settings)


def reasoner(name="bellman_ford", **settings):
    """Untrained, in float64, with parameters of some size, so that hints change and differ."""
    made = Reasoner.from_config(config(name, **settings)).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.5)
    return made


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
                unchanged = same_hints(before, {n: v[0] for n, v in now.items()})
            fed = [{n: v[0] for n, v in one.hints.items()}]
            fed += [{n: v[b : b + 1] for n, v in hints.items()} for hints in decided[: max(0, length - 2)]]
            encoder, trails = made.coders(name)[0], torch.zeros(1, len(marks_of_hints(one.spec)), one.nodes)
            for hints in fed[: length - 1] if encoder.relations.trails else []:  # of all moments before the last
                trails = encoder.trails(trails, hints)
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


# Moments


@functools.cache
def whole_traces(name="bfs"):
    return draw(datasets.get(name), 6, 5, seed=(0,), random_pos=False, **datasets.get(name).train_params)


def test_rows_of_moments():
    """Every moment is there, hints with their next ones, and the last with nothing but the outputs."""
    batch = whole_traces()
    found = moments.chosen(batch, config("bfs", moments=99), 0)
    assert len(found) == sum(batch.lengths)
    assert sorted(found.lengths, reverse=True) == found.lengths
    assert found.lengths.count(1) == len(batch) and found.lengths.count(2) == sum(batch.lengths) - len(batch)
    assert found.ends.tolist() == [length == 1 for length in found.lengths]
    for row, place in enumerate(found.order):
        b = batch.order.index(place)
        last = batch.lengths[b] - 1
        if found.ends[row]:
            assert all(torch.equal(v[0, row], batch.hints[n][last, b]) for n, v in found.hints.items())
    without = moments.chosen(batch, config("bfs", moments=99, output_step=False), 0)
    assert len(without) == sum(max(1, length - 1) for length in batch.lengths) and set(without.lengths) <= {1, 2}


def test_outputs_are_never_learned_off_hints_of_the_reasoners_own():
    found = moments.chosen(whole_traces(), config("bfs", moments=99, own_moments=1.0), 0)
    assert {length for length, end in zip(found.lengths, found.ends.tolist(), strict=True) if end} == {1}
    assert 3 in found.lengths
    rows = [row for row, length in enumerate(found.lengths) if length == 1]
    assert rows and not any(found.ends[row] for row in range(len(found)) if row not in rows)


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "quicksort"])
def test_losses_of_moments_are_those_of_the_rollout(name):
    """With true hints at every step, all moments together cost what the rollout does, outputs included."""
    algorithm, settings = datasets.get(name), config(name, moments=10**6)
    made = reasoner(name).train()
    batch = draw(algorithm, 5, 3, seed=(1,), random_pos=False, **algorithm.train_params)
    batch = batch.map(lambda v: v.double() if v.is_floating_point() else v)
    parts = moments.chosen(batch, settings, 0)
    with torch.no_grad():
        rolled, single = made(batch, teacher_forcing=1.0, gumbel=False), made(parts, gumbel=False)
        assert [len(next(iter(h.values()))) for h in single.hints] == [sum(length - 1 for length in batch.lengths)]
        ours, theirs = losses(parts, single), losses(batch, rolled)
    assert ours.keys() == theirs.keys()
    for part in ours:
        torch.testing.assert_close(ours[part], theirs[part], rtol=1e-9, atol=1e-9, msg=part)


def test_only_last_moments_have_losses_of_outputs():
    made, parts = reasoner("bfs"), moments.chosen(whole_traces(), config("bfs", moments=99), 0)
    with torch.no_grad():
        rollout = made(parts)
        found = losses(parts, rollout)["pi"]
        each = rollout.outputs["pi"].losses(parts.outputs["pi"])
    torch.testing.assert_close(found, each[parts.ends].mean())


# What a step knows of the one before


def test_who_is_unchanged_in_parts_of_traces():
    """Jarvis' march writes moments down twice."""
    batch = whole_traces("jarvis_march")
    found = moments.chosen(batch, config("jarvis_march", moments=99), 0)
    hints = {n: torch.as_tensor(np.asarray(v)) for n, v in batch.hints.items()}
    expected, seen = {}, 0
    for b, length in enumerate(batch.lengths):
        for t in range(length):
            same = t > 0 and all(torch.equal(v[t, b], v[t - 1, b]) for v in hints.values())
            expected.setdefault(batch.order[b], []).append(same)
    for place, flags in expected.items():
        rows = [row for row, of in enumerate(found.order) if of == place]
        assert sorted(found.unchanged[rows].tolist()) == sorted(flags)
        seen += sum(flags)
    assert seen > 0


def test_a_rollout_finds_the_same():
    """With true hints fed back, the rollout says so where moments do."""
    batch, seen = whole_traces("jarvis_march"), 0
    for t in range(1, batch.lengths[0]):
        kept = batch.schedule.num_with_hint(t - 1)
        before, after = ({n: v[m, : len(batch)] for n, v in batch.hints.items()} for m in (t - 1, t))
        found = same_hints(before, {n: v[:kept] for n, v in after.items()})
        parts = moments.unchanged(batch, torch.arange(kept), torch.full((kept,), t))
        assert torch.equal(found, parts), t
        seen += int(found.sum())
    assert seen > 0


def test_hints_in_another_form_are_not_the_same():
    index, rows = torch.tensor([[0, 1], [1, 1]]), torch.eye(2)[torch.tensor([[0, 1], [1, 1]])]
    assert same_hints({"p": index}, {"p": rows}).tolist() == [False, False]
    assert same_hints({"p": index}, {"p": index[:1]}).tolist() == [True]
    before, after = ({"p": index, "g": torch.tensor([1.0, g])} for g in (2.0, 3.0))
    assert same_hints(before, after).tolist() == [True, False]
    assert same_hints({"p": rows}, {"p": rows.flip(0)}).tolist() == [False, False]


# The recipe


def run(tmp_path, name="bfs", **settings):
    given = {"steps": 4, "val_every": 2, "checkpoint_every": 2, "eval_sizes": (5,), "eval_samples": 2, "threads": 1}
    return config(name, out=tmp_path, **given | settings)


def parameters(folder):
    return nar.load(folder).reasoner.state_dict()


def test_resumed_runs_are_as_if_never_stopped(tmp_path):
    train(run(tmp_path / "b", "dfs", steps=2, learning_rate_schedule="constant"))
    whole = run(tmp_path / "c", "dfs", learning_rate_schedule="constant")
    train(whole)
    train(run(tmp_path / "b", "dfs", learning_rate_schedule="constant", resume=True))
    one, other = ((torch.load(tmp_path / x / "last.pt", weights_only=False))["model"] for x in "bc")
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
    assert any("constants" in n and v.any() for n, v in one.items())
    # and its constants go with it into the reasoner that is loaded
    assert parameters(tmp_path / "c")["decoders.dfs.choices.time.constants"].tolist()[:1] == pytest.approx([0.01])


def test_seeds_together_are_seeds_alone(tmp_path):
    train_seeds(run(tmp_path / "both", "bellman_ford", seeds=(1, 2), stack="always", threads=1))
    for seed in (1, 2):
        train(run(tmp_path / f"{seed}", "bellman_ford", seed=seed))
        one, other = (
            torch.load(folder / "last.pt", weights_only=False)["model"]
            for folder in (tmp_path / "both" / f"seed{seed}", tmp_path / f"{seed}")
        )
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_shared_batch_has_the_gradient_of_the_whole():
    settings = config("bellman_ford", batch_size=5)
    algorithm = datasets.get("bellman_ford")
    made = reasoner().train()
    batch = training_batch(algorithm, settings, 1).map(lambda v: v.double() if v.is_floating_point() else v)

    def gradient(*batches):
        made.zero_grad()
        torch.stack([sum(losses(part, made(part)).values()) for part in batches]).sum().backward()
        return {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}

    shares = [Ranks(rank, 2).share(batch) for rank in range(2)]
    assert sum(map(len, shares)) == len(batch) and all(share.unchanged is not None for share in shares)
    whole, parts = gradient(batch), gradient(*shares)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_takes_steps_and_is_evaluated(name):
    algorithm = datasets.get(name)
    sizes = {"segments_intersect": (4, 4)}.get(name, (20, 24) if "matcher" in name else (4, 6))
    settings = recipes.config("step", algo=name, hidden=16, batch_size=4, steps=3, train_sizes=sizes[:1])
    made = Reasoner.from_config(settings)
    batches = [training_batch(algorithm, settings, step) for step in range(3)]
    find_constants(made.coders(name)[1].choices, batches)
    learner = SingleLearner(made.train(), settings)
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    found = [learner.step([batch], step).item() for step, batch in enumerate(batches)]
    assert all(math.isfinite(loss) and loss > 0 for loss in found)
    moved = [n for n, p in made.named_parameters() if not torch.equal(p, before[n])]
    assert len(moved) > 0.8 * len(before), sorted(before.keys() - moved)
    for nodes in sizes:
        batch = draw(algorithm, nodes, 2, seed=(9,), random_pos=False, **algorithm.train_params)
        scored = evaluate(made, algorithm, batches=[batch], loss=True, validity=False)
        assert 0 <= scored.score <= 1 and math.isfinite(scored.loss)
