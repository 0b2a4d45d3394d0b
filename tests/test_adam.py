"""The optimiser against PyTorch's."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch

from nar.config import Config
from nar.training.optimizer.adam import Adam
from nar.training.optimizer.chosen import follow
from nar.training.optimizer.schedule import learning_rate


def parameters():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((3, 4), (5,), (2, 2, 2), ())]


def take(steps, optimizer, mine, seed, without=()):
    torch.manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        for place, parameter in enumerate(mine):
            gradient = torch.randn_like(parameter)
            if place not in without:
                parameter.grad = gradient
        optimizer.step()


def compare(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_updates_are_those_of_pytorch_with_and_without_gradients():
    mine, theirs = parameters(), parameters()
    ours, reference = Adam(mine, 1e-2), torch.optim.Adam(theirs, lr=1e-2)
    for seed, without in enumerate([(), (1,), (0, 2), (), (0, 1, 2, 3)]):
        take(3, ours, mine, seed, without)
        take(3, reference, theirs, seed, without)
        compare(mine, theirs)


def test_with_weight_decay_updates_are_those_of_adamw():
    mine, theirs = parameters(), parameters()
    ours, reference = Adam(mine, 1e-2, 0.3), torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.3)
    for seed, without in enumerate([(), (1,), (0, 2), (0, 1, 2, 3)]):
        take(3, ours, mine, seed, without)
        take(3, reference, theirs, seed, without)
        compare(mine, theirs)
    plain = parameters()
    take(3, Adam(plain, 1e-2), plain, 0)
    assert (plain[0] - mine[0]).abs().max() > 1e-3


@pytest.mark.parametrize("steps", [7, 33, 400])
def test_one_cycle_is_pytorchs(steps):
    mine, theirs = parameters(), parameters()
    config = Config(learning_rate=2e-2, learning_rate_schedule="one_cycle", steps=steps)
    ours, reference = Adam(mine, 2e-2), torch.optim.Adam(theirs, lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        reference, 2e-2, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    for step in range(steps):
        assert learning_rate(config, step) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        follow(ours, config, step)
        take(1, ours, mine, step)
        take(1, reference, theirs, step)
        schedule.step() if step + 1 < steps else None
    compare(mine, theirs)


def test_the_step_size_rises_for_a_tenth_of_the_steps_and_falls():
    config = Config(learning_rate=0.1, learning_rate_schedule="one_cycle", steps=1000)
    found = [learning_rate(config, step) for step in range(1000)]
    assert (found[0], found[99], found[-1]) == pytest.approx((0.004, 0.1, 4e-7))
    assert found[:100] == sorted(found[:100]) and found[99:] == sorted(found[99:], reverse=True)
    assert [learning_rate(Config(learning_rate=0.1), step) for step in (0, 500, 9999)] == [0.1] * 3
    assert [learning_rate(Config(learning_rate_schedule="one_cycle", steps=10), 0)] == [0.001]  # nothing to rise over


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("from_ours", [True, False])
def test_either_reads_the_states_of_the_other(from_ours, decay):
    first, second = parameters(), parameters()
    theirs = torch.optim.AdamW if decay else torch.optim.Adam
    make = {
        True: lambda p: Adam(p, 1e-2, decay),
        False: lambda p: theirs(p, lr=1e-2, weight_decay=decay, fused=True),
    }
    one, other = make[from_ours](first), make[not from_ours](second)
    take(4, one, first, 1, without=(2,))
    with torch.no_grad():
        for parameter, value in zip(second, first, strict=True):
            parameter.copy_(value)
    other.load_state_dict(copy.deepcopy(one.state_dict()))  # PyTorch keeps the tensors themselves
    take(3, one, first, 2)
    take(3, other, second, 2)
    compare(first, second)


def test_a_loaded_state_is_a_copy():
    mine = parameters()
    ours = Adam(mine, 1e-2)
    take(2, ours, mine, 1)
    again = Adam(parameters(), 1e-2)
    again.load_state_dict(ours.state_dict())
    before = again.state[0]["exp_avg"].clone()
    take(1, ours, mine, 2)
    assert torch.equal(again.state[0]["exp_avg"], before)


def test_training_loads_neither_the_compiler_nor_torch_geometric():
    code = (
        "import sys, torch\n"
        "from nar import datasets\n"
        "from nar.model.batch import draw\n"
        "from nar.config import Config\n"
        "from nar.training.learner import SingleLearner\n"
        "from nar.model.reasoner import Reasoner\n"
        "config = Config(algo='bfs', processor='triplet_gmpnn', hidden=8)\n"
        "batch = draw(datasets.get('bfs'), 4, 2, seed=(0,), random_pos=True)\n"
        "SingleLearner(Reasoner.from_config(config).train(), config).step([batch], 0)\n"
        "print(*{'torch._inductor', 'torch._dynamo', 'torch_geometric'} & set(sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout.split() == []
