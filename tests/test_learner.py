"""Several seeds at once learn what each learns alone; so does a step that is recorded and replayed."""

from __future__ import annotations

import pytest
import torch

from nar import datasets, processors
from nar.config import Config
from nar.model.batch import draw
from nar.model.objectives.losses import losses, total_loss
from nar.model.reasoner import Reasoner
from nar.training import fixed_shapes
from nar.training.cuda_graphs import CudaGraphLearner, rounded
from nar.training.learner import SingleLearner, StackedLearner, why_not_stackable
from nar.training.tasks import training_batch

# draws of its own, penalties, kernels of which PyTorch cannot map
ONE_BY_ONE = {"g_forgetnet", "lcm_masked", "pyg_gatv2", "pyg_gine", "rnar", "rnar_gru", "rnar_masked"}

SETTINGS = {
    "hidden": 8, "batch_size": 4, "train_sizes": (5, 4), "val_size": 5, "eval_sizes": (5,), "learning_rate": 1e-2,
}  # fmt: skip

# single steps, as many as there are: of different seeds in different number
MOMENTS = {
    "supervision": "moments",
    "hint_feedback": "hard",
    "own_moments": 0.3,
    "event_balance": 0.5,
    "change_balance": 0.5,
}


def configs(algo, processor, seeds=(3, 8, 5), **changes):
    return [Config(algo=algo, processor=processor, seed=seed, **SETTINGS | changes) for seed in seeds]


def reasoner(config):
    return Reasoner.from_config(config).double().train()


def batches(config, step):
    return [training_batch(datasets.get(name), config, step) for name in config.algo]


def steps(learner, settings, count, **options):
    """Losses [steps, tasks, seeds] of the first steps."""
    found = []
    for step in range(count):
        items = [batches(config, step) for config in settings]
        options |= {"progress": step / count}
        found.append(
            [learner.step([item[task] for item in items], step, task=task, **options) for task in range(len(items[0]))]
        )
    return torch.stack([torch.stack(row) for row in found])


@pytest.mark.parametrize(
    ("algo", "processor", "changes"),
    [
        ("bellman_ford", "triplet_gmpnn", {"triplet_features": 2}),
        ("bfs", "mpnn", {"grad_clip": 0.05}),
        ("insertion_sort", "gmpnn", {}),  # permutations, with noise in training
        ("floyd_warshall", "triplet_mpnn", {"triplet_features": 2}),  # edge pointers, hints in runs
        ("articulation_points", "pgn_mask", {"hint_feedback": "hard"}),
        ("dfs", "gatv2", {"hint_mode": "decoded_only"}),
        ("find_maximum_subarray_kadane", "deepsets", {"hint_mode": "none"}),
        (("bfs", "quickselect"), "mpnn", {"grad_clip": 0.05}),
        ("bellman_ford", "triplet_gmpnn", MOMENTS | {"triplet_features": 2, "halting": "supervised"}),
        ("insertion_sort", "gmpnn", MOMENTS | {"learning_rate_schedule": "one_cycle", "steps": 5, "weight_decay": 0.1}),
        ("floyd_warshall", "triplet_mpnn", MOMENTS | {"triplet_features": 2, "moments": 2}),
    ],
)
def test_stacked_seeds_learn_what_each_learns_alone(algo, processor, changes):
    settings = configs(algo, processor, **changes)
    together = StackedLearner([reasoner(config) for config in settings], settings)
    found = steps(together, settings, 4)
    for row, config in enumerate(settings):
        alone = SingleLearner(reasoner(config), config)
        expected = steps(alone, [config], 4)
        torch.testing.assert_close(found[..., row : row + 1], expected, rtol=1e-9, atol=0)
        state, other = alone.reasoner.state_dict(), together.reasoners[row].state_dict()
        assert state.keys() == other.keys()
        for name in state:
            torch.testing.assert_close(other[name], state[name], rtol=1e-7, atol=1e-8)  # Adam enlarges rounding
    assert (found[0] - found[0].flip(-1)).abs().max() > 1e-3  # seeds differ


def test_seeds_go_on_alone_from_where_they_were_together():
    settings = configs("bellman_ford", "mpnn")
    together = StackedLearner([reasoner(config) for config in settings], settings)
    steps(together, settings, 2)
    states = together.optimizer_states()
    alone = SingleLearner(together.reasoners[1], settings[1])
    alone.load_optimizer_states([states[1]])
    again = StackedLearner([reasoner(config) for config in settings], settings)
    for row, one in enumerate(together.reasoners):
        again.reasoners[row].load_state_dict(one.state_dict())
    again.load_optimizer_states(states)
    ahead = [batches(config, 2)[0] for config in settings]
    losses = again.step(ahead, 2)
    torch.testing.assert_close(alone.step([ahead[1]], 2), losses[1:2], rtol=1e-9, atol=0)
    later = [batches(config, 3)[0] for config in settings]
    torch.testing.assert_close(alone.step([later[1]], 3), again.step(later, 3)[1:2], rtol=1e-8, atol=0)


@pytest.mark.parametrize("name", processors.names())
def test_it_is_known_which_processors_are_stackable(name):
    config = Config(algo="insertion_sort", processor=name, **SETTINGS)
    batch = training_batch(datasets.get("insertion_sort"), config, 1)
    found = why_not_stackable(reasoner(config), config, batch)
    assert (found is not None) == (name in ONE_BY_ONE), found


@pytest.mark.parametrize("algo", ["insertion_sort", "bellman_ford", "segments_intersect"])
def test_moments_of_different_number_are_stackable(algo):
    sizes = {"train_sizes": (4,), "val_size": 4, "eval_sizes": (4,)}
    settings = configs(algo, "mpnn", **MOMENTS | sizes)
    drawn = [batches(config, 0)[0] for config in settings]
    assert why_not_stackable(reasoner(settings[0]), settings[0], drawn[0]) is None
    assert algo != "bellman_ford" or len({len(batch) for batch in drawn}) > 1


@pytest.mark.parametrize("changes", [{"dropout": 0.1}, {"teacher_forcing": 0.5}, {"reconstruction": "plain"}])
def test_settings_that_draw_as_they_go_are_not_stackable(changes):
    config = Config(algo="bfs", processor="mpnn", **SETTINGS | changes)
    assert why_not_stackable(reasoner(config), config, training_batch(datasets.get("bfs"), config, 0))


def test_asking_changes_neither_parameters_nor_the_stream_of_random_numbers():
    config = Config(algo="insertion_sort", processor="mpnn", **SETTINGS)
    one, batch = reasoner(config).eval(), training_batch(datasets.get("insertion_sort"), config, 1)
    before, state = {n: p.clone() for n, p in one.state_dict().items()}, torch.get_rng_state()
    assert why_not_stackable(one, config, batch) is None
    assert torch.equal(torch.get_rng_state(), state) and not one.training
    assert all(torch.equal(p, before[n]) for n, p in one.state_dict().items())
    assert all(p.grad is None for p in one.parameters())


@pytest.mark.parametrize("name", datasets.names())
def test_a_batch_of_fixed_shape_has_the_losses_and_outputs_of_the_batch(name):
    batch = draw(datasets.get(name), max(datasets.get(name).train_sizes or (5,)), 3, seed=(1,), random_pos=True)
    torch.manual_seed(0)
    one = Reasoner.build(name, "triplet_gmpnn", hidden=8, triplet_features=2).double().train()
    moments, runs = batch.lengths[0] + 3, fixed_shapes.most_runs(batch) + 2
    torch.manual_seed(1)
    noise = fixed_shapes.uniform_numbers(batch, moments, torch.float64)
    data = fixed_shapes.tensors([batch], moments, runs, [noise])
    data = {
        part: {n: {k: t[0] for k, t in v.items()} if isinstance(v, dict) else v[0] for n, v in values.items()}
        if isinstance(values, dict)
        else [t[0] for t in values] if isinstance(values, list) else values[0]
        for part, values in data.items()
    }  # fmt: skip
    same = fixed_shapes.batch_of(data, batch, moments)
    torch.manual_seed(1)
    rollout = one(batch)
    again = one(same, gumbel=fixed_shapes.replayed(data["noise"]))
    for output, value in rollout.outputs.items():
        torch.testing.assert_close(again.outputs[output], value, rtol=1e-9, atol=1e-9)
    expected, found = losses(batch, rollout), losses(same, again)
    for loss, value in expected.items():
        torch.testing.assert_close(found[loss], value, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(total_loss(same, again), total_loss(batch, rollout), rtol=1e-9, atol=0)


class Replayed:
    """What CUDA graphs do, without them: the same function again; recording computes nothing."""

    def warm_up(self, step):
        return step()

    def record(self, step):
        result = torch.full((2,), float("nan"), dtype=torch.float64)

        def replay():
            result.copy_(step())

        return replay, result


class Failing(Replayed):
    def record(self, step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def test_recorded_steps_are_those_of_stacked_ones():
    settings = configs("insertion_sort", "mpnn", seeds=(1, 2))
    plain = StackedLearner([reasoner(config) for config in settings], settings)
    recorded = CudaGraphLearner([reasoner(config) for config in settings], settings, recorder=Replayed())
    torch.testing.assert_close(steps(recorded, settings, 8), steps(plain, settings, 8), rtol=1e-9, atol=0)
    assert len(recorded.graphs) == 2  # one for each size


def test_a_schedule_goes_on_in_recorded_steps():
    settings = configs("insertion_sort", "discrete", seeds=(1, 2))
    plain = StackedLearner([reasoner(config) for config in settings], settings)
    recorded = CudaGraphLearner([reasoner(config) for config in settings], settings, recorder=Replayed())
    torch.testing.assert_close(steps(recorded, settings, 8), steps(plain, settings, 8), rtol=1e-9, atol=0)
    assert len(recorded.graphs) == 2


def test_recorded_steps_of_moments_follow_the_schedule_of_the_step_size():
    changes = MOMENTS | {"learning_rate_schedule": "one_cycle", "steps": 12, "weight_decay": 0.1}
    settings = configs("bellman_ford", "mpnn", seeds=(1, 2), **changes)
    plain = StackedLearner([reasoner(config) for config in settings], settings)
    recorded = CudaGraphLearner([reasoner(config) for config in settings], settings, recorder=Replayed())
    torch.testing.assert_close(steps(recorded, settings, 12), steps(plain, settings, 12), rtol=1e-9, atol=0)
    assert 0 < len(recorded.graphs) < 6  # the numbers of moments are rounded up, and those of steps are two


def test_a_step_that_cannot_be_recorded_is_computed():
    settings = configs("bfs", "mpnn", seeds=(1, 2))
    plain = StackedLearner([reasoner(config) for config in settings], settings)
    recorded = CudaGraphLearner([reasoner(config) for config in settings], settings, recorder=Failing())
    with pytest.warns(UserWarning, match="without CUDA graphs, more slowly: operation not permitted") as told:
        found = steps(recorded, settings, 12)
    assert len(told) == 1 and not recorded.graphs
    torch.testing.assert_close(found, steps(plain, settings, 12), rtol=1e-9, atol=0)


def test_numbers_are_rounded_up_to_few_others():
    assert [rounded(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 24, 25, 100)] == [
        0, 1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 16, 16, 24, 24, 32, 128,
    ]  # fmt: skip
