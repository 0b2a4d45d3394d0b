"""The protocol, written out a second time: settings, sizes, seeds, optimiser, loss. Whoever changes one changes two.

The data are held in test_protocol_data.py, the choice of the model and its test in test_protocol_choice.py.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import TEST_SEED
from nar.evaluation.evaluate import test_set as drawn_test_set
from nar.evaluation.protocol import test_samples as samples_of_test  # pytest takes what begins with test for a test
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.training import moments
from nar.training.learner import SingleLearner, mix
from nar.training.tasks import TRAINING_STREAM, VALIDATION_SEED, tasks, training_batch, validation_set

DEFAULTS = {
    # what is learned, how long
    "algo": ("bellman_ford",), "processor": "triplet_gmpnn", "seed": 42, "steps": 10_000,
    # data
    "batch_size": 32, "train_sizes": None, "train_families": (), "random_pos": True, "val_size": None, "val_samples": 0,
    "traces": None, "val_every": 50, "eval_sizes": None, "eval_samples": 0,
    # optimiser
    "learning_rate": 0.001, "learning_rate_schedule": "constant", "weight_decay": 0.0, "grad_clip": 1.0,
    "optimizer": "adam", "average": 0.0, "precision": "float32", "patience": 0,
    "change_weight": 1.0,
    "change_balance": 0.0,
    "train_weights": (),
    "init_processor": None, "freeze": "nothing",
    # network
    "hidden": 128, "layer_norm": True, "triplet_features": 8, "heads": 1, "option": (),
    "message_passing_steps": 1, "layout": "dense",
    "dropout": 0.0, "encoder_init": "xavier_on_scalars", "pointer_head": "max", "log_n_scale": False,
    "comparison_units": 0, "edge_pointer_repair": False, "relations": "none", "trails": False, "like_with_like": False,
    "output_step": False,
    "candidates": False, "selection": False,
    # hints and what is trained besides
    "hint_mode": "encoded_decoded", "hint_feedback": "soft", "teacher_forcing": 0.0, "halting": "none",
    "auxiliary": (), "auxiliary_weight": 1.0,
    "reconstruction": "none", "reconstruction_weight": None, "reconstruction_mask": None,
    # whole rollouts; the rest is for single steps
    "supervision": "rollout", "history": None, "moments": 4, "last_moments": 0.3, "own_moments": 0.0,
    "event_balance": 0.0,
}  # fmt: skip

# Where, how fast and how often saved; numbers are the same up to rounding. A new setting belongs here or above.
NO_NUMBERS = {
    "seeds", "checkpoint_every", "device", "threads", "workers", "memory", "stack", "compile", "cuda_graphs", "tracker",
    "out", "resume", "recipe",
}  # fmt: skip

OTHER_SIZES = {
    "naive_string_matcher": ((20,), 20, (20, 40, 80, 160, 320)),
    "kmp_matcher": ((20,), 20, (20, 40, 80, 160, 320)),
    "segments_intersect": ((4,), 4, (4,)),
}
ONE_OUTPUT = {"binary_search", "minimum", "quickselect", "naive_string_matcher", "kmp_matcher", "segments_intersect"}


# Settings


def test_every_default_is_the_protocols():
    found = {field.name: field.default for field in dataclasses.fields(Config)}
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS
    assert found.keys() - NO_NUMBERS == DEFAULTS.keys() and not NO_NUMBERS & DEFAULTS.keys()
    assert NO_NUMBERS < found.keys()
    made = Config()
    assert {name: getattr(made, name) for name in DEFAULTS} == DEFAULTS


def test_the_default_network():
    reasoner = Reasoner.from_config(Config())
    assert reasoner.parameter_count() == 524_604
    options = (reasoner.hint_mode, reasoner.hint_feedback, reasoner.message_passing_steps, reasoner.dropout)
    assert options == ("encoded_decoded", "soft", 1, 0.0) and reasoner.history
    # cut at two deviations, which leaves 0.88 of one: of 1/sqrt(fan_in), but of 1/sqrt(hidden) for scalar hints
    weights = reasoner.state_dict()
    of_input, of_hint = (weights[f"encoders.bellman_ford.maps.{name}.0.weight"] for name in ("A", "d"))
    assert of_input.shape == of_hint.shape == (128, 1)
    assert 0.75 < of_input.std() < 1.0 and of_input.abs().max() <= 2
    assert 0.75 < of_hint.std() * math.sqrt(128) < 1.0


# Sizes


@pytest.mark.parametrize("name", datasets.names())
def test_sizes_and_samples(name):
    (task,) = tasks(Config(algo=name))
    expected = OTHER_SIZES.get(name, ((4, 7, 11, 13, 16), 16, (16, 32, 64, 128, 256)))
    assert (task.train_sizes, task.val_size, task.eval_sizes) == expected
    multiplier = {"find_maximum_subarray_kadane": 32}.get(name, 64 if name in ONE_OUTPUT else 1)
    canonical = 80 if name in ("kmp_matcher", "naive_string_matcher") else 64
    counts = [samples_of_test(task.algorithm, size) for size in expected[2]]
    assert counts == [32 * multiplier if size <= canonical else 32 for size in expected[2]]
    assert task.algorithm.num_samples_multiplier == multiplier


@pytest.mark.parametrize(("name", "samples"), [("bfs", [64]), ("minimum", [64] * 4), ("segments_intersect", [64] * 4)])
def test_validation_samples(name, samples):
    batches = validation_set(datasets.get(name), Config(algo=name))
    assert [len(batch) for batch in batches] == samples
    assert {batch.nodes for batch in batches} == {4 if name == "segments_intersect" else 16}


def test_validation_is_on_the_largest_training_size():
    (task,) = tasks(Config(algo="bfs", train_sizes=(9, 12, 5)))
    assert task.val_size == 12


def test_one_size_a_step_in_turn():
    config, algorithm = Config(algo="insertion_sort", batch_size=1), datasets.get("insertion_sort")
    sizes = [training_batch(algorithm, config, step).nodes for step in range(12)]
    assert sizes == [4, 7, 11, 13, 16, 4, 7, 11, 13, 16, 4, 7]


# Seeds

MIXED = [
    5732826375231505755,
    7829184764001561178,
    7896617691693857887,
    1246512530140951215,
    8144561418073184113,
]


def test_streams_of_data():
    assert (TRAINING_STREAM, moments.STREAM, VALIDATION_SEED, TEST_SEED) == (0, 1, 2, 3)
    algorithm, config = datasets.get("bfs"), Config(algo="bfs", seed=5)
    p = tuple(k / 10 for k in range(1, 10))

    def drawn(seed, nodes, **params):
        return algorithm.sample(np.random.RandomState(seed), nodes, **params)["A"]

    training = [training_batch(algorithm, config, step) for step in (0, 3)]
    for batch, step, nodes in zip(training, (0, 3), (4, 13), strict=True):
        np.testing.assert_array_equal(batch.inputs["A"][batch.order.index(0)], drawn([5, 0, step], nodes, p=p))
    (validation,) = validation_set(algorithm, config)
    np.testing.assert_array_equal(validation.inputs["A"][validation.order.index(0)], drawn(2, 16, p=p))
    for size in (16, 64, 128):  # the test has one probability of edges
        traces, manifest = drawn_test_set(algorithm, size)
        np.testing.assert_array_equal(next(iter(traces)).compact["A"], drawn(3, size, p=(0.5,)))
        assert manifest["seed"] == 3 and manifest["samples"] == 32 and manifest["params"]["p"] == [0.5]
    seeds = [[5, 0, 0], [5, 0, 1], [5, 1, 0], [0, 0, 0], [2, 0, 0], [3, 0, 0], [42, 0, 0], 2, 3]
    first = [np.random.RandomState(seed).uniform() for seed in seeds]
    assert len(set(first)) == len(seeds)  # a list of a number and zeros is not the number


def test_positions_are_random_in_training_and_validation():
    algorithm, config = datasets.get("bfs"), Config(algo="bfs")
    for batch in (training_batch(algorithm, config, 4), *validation_set(algorithm, config)):
        pos_BN = batch.inputs["pos"]
        assert pos_BN.shape[1] == 16 and len({tuple(row) for row in pos_BN.tolist()}) == len(pos_BN)
        assert (pos_BN.diff() > 0).all()
        assert 0.4 < pos_BN.mean() < 0.6 and pos_BN[:, 0].std() > 0.02


def test_parameters_and_noise_are_of_the_runs_seed():
    config = Config(hidden=8, seed=9)
    torch.manual_seed(9)
    expected = Reasoner.build("bellman_ford", "triplet_gmpnn", hidden=8).state_dict()
    found = Reasoner.from_config(config).state_dict()
    assert found.keys() == expected.keys() and all(found[name].equal(value) for name, value in expected.items())
    numbers = [(42, 0), (42, 1), (0, 0), (42, 1, 0, 1), (42, 1, 1)]
    assert [mix(*n) for n in numbers] == MIXED
    assert len(set(MIXED)) == len(MIXED)


# Optimiser


def small(**changes):
    """A learner of the protocol's settings, of a small network in float64, and its first batches."""
    config = Config(algo="bfs", processor="mpnn", hidden=8, batch_size=4, train_sizes=(5, 4), seed=3, **changes)
    learner = SingleLearner(Reasoner.from_config(config).double().train(), config)
    return learner, [training_batch(datasets.get("bfs"), config, step) for step in range(6)]


def test_settings_of_adam():
    learner, batches = small()
    learner.step([batches[0]], 0)
    (group,) = learner.optimizer_states()[0]["param_groups"]
    assert (group["lr"], group["betas"], group["eps"]) == (0.001, (0.9, 0.999), 1e-8)
    assert group["weight_decay"] == 0 and not group["amsgrad"] and not group["maximize"]


@pytest.mark.parametrize(("scale", "too_long"), [(1.0, True), (0.1, False)])
def test_steps_are_those_of_pytorchs_adam_with_clipped_gradients(scale, too_long):
    """`scale`: of all parameters; small ones have short gradients."""
    learner, batches = small()
    other = Reasoner.from_config(learner.config).double().train()
    parameters = list(other.parameters())
    with torch.no_grad():
        for parameter in (*learner.reasoner.parameters(), *parameters):
            parameter.mul_(scale)
    adam = torch.optim.Adam(parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-8)
    norms = []
    for step in range(6):
        found = learner.step([batches[step]], step, progress=step / 6)
        torch.manual_seed(mix(3, step))
        loss = total_loss(batches[step], other(batches[step], progress=step / 6))
        adam.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, 1.0)))
        adam.step()
        torch.testing.assert_close(found, loss.detach().view(1), rtol=1e-9, atol=0)
    assert min(norms) > 1.5 if too_long else max(norms) < 0.9, norms
    for mine, theirs in zip(learner.reasoner.parameters(), parameters, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-9)


def length_of_first_gradient(**changes):
    """Adam's first mean is a tenth of the gradient that it was given."""
    learner, batches = small(**changes)
    learner.step([batches[0]], 0)
    states = learner.optimizer_states()[0]["state"].values()
    return 10 * math.sqrt(sum(float(state["exp_avg"].square().sum()) for state in states))


def test_long_gradients_are_cut_to_length_one():
    whole = length_of_first_gradient(grad_clip=0.0)
    assert whole > 2
    assert length_of_first_gradient() == pytest.approx(1.0, rel=1e-5)
    assert length_of_first_gradient(grad_clip=2 * whole) == pytest.approx(whole)


# Loss


def test_the_loss_is_the_plain_sum_of_averages():
    """Bellman-Ford by hand: the output, and the averages of three hints over all live entries of all steps at once."""
    algorithm = datasets.get("bellman_ford")
    batch = draw(algorithm, 7, 6, seed=(1,), random_pos=True, p=(0.2, 0.6))
    assert len(set(batch.lengths)) > 1
    torch.manual_seed(1)
    with torch.no_grad():
        rollout = Reasoner.build("bellman_ford", "mpnn", hidden=8).double()(batch)

    def pointer(logits_N, truth):
        return float(torch.logsumexp(logits_N, 0) - logits_N[truth])

    found = np.mean([
        pointer(rollout.outputs["pi"][b, i], int(batch.outputs["pi"][b, i])) for b in range(6) for i in range(7)
    ])  # fmt: skip
    entries = {"pi_h": [], "d": [], "msk": []}
    for step, predicted in enumerate(rollout.hints):
        for b in [b for b in range(6) if batch.lengths[b] > step + 1]:
            truth = {name: batch.hints[name][step + 1, b] for name in entries}
            for i in range(7):
                entries["pi_h"].append(pointer(predicted["pi_h"][b, i], int(truth["pi_h"][i])))
                entries["d"].append(float(predicted["d"][b, i] - truth["d"][i]) ** 2)
                x, is_set = float(predicted["msk"][b, i]), int(truth["msk"][i])
                entries["msk"].append(math.log1p(math.exp(-x if is_set else x)))
    found += sum(np.mean(values) for values in entries.values())
    assert float(total_loss(batch, rollout)) == pytest.approx(found, rel=1e-9)
