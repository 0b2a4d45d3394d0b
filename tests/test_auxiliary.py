"""Task hinting: what is asked of which inputs, by hand; the loss; parameters; nothing of it in evaluation."""

import sys
import types

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from nar import datasets
from nar.config import Config
from nar.experiments.experiment import train
from nar.inference import solver
from nar.model.batch import draw, training_spec
from nar.model.objectives import auxiliary
from nar.model.objectives.losses import losses, total_loss
from nar.model.reasoner import Reasoner
from nar.traces.spec import Location, Type
from nar.training.learner import why_not_stackable

X = torch.tensor([[0.5, 0.2, 0.9, 0.2], [3.0, 2.0, 1.0, 0.0]])
A = torch.tensor([[[9.0, 2.0, 0.5, 0.0], [2.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]]])


@pytest.mark.parametrize(
    ("name", "given", "answer"),
    [
        ("successor", X, [[2, 0, 2, 0], [0, 0, 1, 2]]),  # of equal numbers, neither follows the other
        ("minimum", X, [1, 3]),
        ("rank", X, [[0.5, 0.0, 0.75, 0.0], [0.75, 0.5, 0.25, 0.0]]),
        ("nearest", A, [[2, 0, 0, 3]]),  # loops are no edges
        ("degree", (A != 0).float(), [[0.5, 0.25, 0.25, 0.0]]),
    ],
)
def test_targets_by_hand(name, given, answer):
    assert auxiliary.find(name).target(given).tolist() == answer


def test_of_which_inputs_a_task_is_asked():
    def asked(task, algorithm):
        return auxiliary.inputs_of(auxiliary.find(task), training_spec(datasets.get(algorithm)))

    assert asked("successor", "insertion_sort") == ["key"] and asked("rank", "activity_selector") == ["s", "f"]
    assert asked("minimum", "bfs") == [] and asked("degree", "bfs") == ["adj"]  # positions are not numbers
    assert asked("nearest", "dijkstra") == ["A"] and asked("degree", "insertion_sort") == []


def reasoner(algorithms, *tasks, weight=1.0, processor="mpnn"):
    torch.manual_seed(0)
    return Reasoner.build(algorithms, processor, hidden=8, auxiliary=tasks, auxiliary_weight=weight)


def batch_of(name, nodes=6, samples=4):
    return draw(datasets.get(name), nodes, samples, seed=(1,), random_pos=True)


def test_the_losses_are_added_and_weighed():
    batch = batch_of("insertion_sort")
    network = reasoner("insertion_sort", "successor", "rank", weight=0.5).train()
    plain = reasoner("insertion_sort").train()
    found = losses(batch, network(batch, gumbel=False))
    without = losses(batch, plain(batch, gumbel=False))
    mine = {name: float(value.detach()) for name, value in found.items() if name.startswith("penalty ")}
    assert set(mine) == {"penalty successor_key", "penalty rank_key"}
    assert {n: float(v.detach()) for n, v in found.items() if n not in mine} == {
        n: float(v.detach()) for n, v in without.items()
    }
    seen = {}
    decode = network.auxiliary.decoder("insertion_sort").decode
    network.auxiliary.decoder("insertion_sort").decode = lambda *given: seen.update(decode(*given)) or seen
    network(batch, gumbel=False)
    truth = auxiliary.successor(batch.inputs["key"])
    by_hand = 0.5 * cross_entropy(seen["successor_key"].flatten(0, 1), truth.flatten())
    assert mine["penalty successor_key"] == pytest.approx(float(by_hand.detach()), rel=1e-5)
    by_hand = 0.5 * mse_loss(seen["rank_key"], auxiliary.rank(batch.inputs["key"]))
    assert mine["penalty rank_key"] == pytest.approx(float(by_hand.detach()), rel=1e-5)


def test_heads_are_asked_once_and_only_in_training():
    batch, network = batch_of("bfs"), reasoner("bfs", "degree")
    calls = []
    network.auxiliary.register_forward_hook(lambda *_: None)
    real = network.auxiliary.losses
    network.auxiliary.losses = lambda *given: calls.append(1) or real(*given)
    assert max(batch.lengths) > 2
    assert network.train()(batch).penalties.keys() == {"degree_adj"} and calls == [1]
    assert network.eval()(batch).penalties == {} and calls == [1]
    remembered = network.train()(batch, recompute=True).penalties["degree_adj"]
    assert float(remembered.detach()) == pytest.approx(float(network(batch).penalties["degree_adj"].detach()))


@pytest.mark.parametrize("processor", ["triplet_gmpnn", "pgn_mask", "gat"])
def test_gradients_reach_the_processor_and_every_head(processor):
    batch, network = batch_of("dijkstra"), reasoner("dijkstra", "nearest", "degree", processor=processor).train()
    sum(network(batch).penalties.values()).backward()
    for part in (network.auxiliary, network.processor):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())
    assert all(p.grad is not None for p in network.auxiliary.parameters())
    losses_at = []
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        loss = sum(network(batch).penalties.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses_at.append(float(loss.detach()))
    assert losses_at[-1] < 0.7 * losses_at[0]  # it can be learned


def test_algorithms_have_heads_of_their_own():
    network = reasoner(("insertion_sort", "bfs"), "rank", "degree")
    assert {name: list(heads) for name, heads in network.auxiliary.asked.items()} == {
        "insertion_sort": ["rank_key"],
        "bfs": ["degree_adj"],
    }
    own = {id(p) for p in network.parameters_of("bfs")}
    heads = network.auxiliary
    assert own >= {id(p) for p in heads.decoder("bfs").parameters()}
    assert not own & {id(p) for p in heads.decoder("insertion_sort").parameters()}
    assert reasoner("bfs").state_dict().keys() == {n for n in reasoner("bfs", "degree").state_dict() if "aux" not in n}


def test_a_run_with_auxiliary_tasks(tmp_path, no_report, monkeypatch):
    """One's own task, too; the trained reasoner answers without them."""
    module = types.ModuleType("my_tasks")
    node = (Location.NODE, Type.SCALAR)
    module.largest = auxiliary.AuxiliaryTask("the largest", Type.MASK_ONE, node, lambda x_BN: x_BN.argmax(1))
    monkeypatch.setitem(sys.modules, "my_tasks", module)
    config = Config(
        algo="minimum", processor="mpnn", hidden=8, steps=3, batch_size=3, train_sizes=(5,), val_samples=4, val_every=1,
        eval_sizes=(), device="cpu", threads=1, auxiliary=("rank", "my_tasks:largest"), out=tmp_path / "run",
    )  # fmt: skip
    train(config)
    loaded = solver.load(tmp_path / "run")
    assert set(loaded.reasoner.auxiliary.asked["minimum"]) == {"rank_key", "my_tasks:largest_key"}
    assert loaded.run(np.array([0.3, 0.1, 0.2])).steps == 2
    assert "auxiliary" in why_not_stackable(Reasoner.from_config(config), config, batch_of("minimum"))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (("succesor",), "unknown auxiliary task 'succesor'; did you mean 'successor'"),
        (("successor",), "'successor' has no effect: bfs has no scalar inputs on nodes"),
        (("math:pi",), "'math:pi' is no nar.model.objectives.auxiliary.AuxiliaryTask"),
    ],
)
def test_tasks_that_do_not_exist_or_fit(tasks, message):
    with pytest.raises(ValueError, match=message):
        reasoner("bfs", *tasks)


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="--auxiliary-weight must be left away without --auxiliary"):
        Config(auxiliary_weight=0.5)
    with pytest.raises(ValueError, match="--auxiliary must be different tasks"):
        Config(auxiliary=("rank", "rank"))
    assert total_loss(batch_of("bfs"), reasoner("bfs", "degree").train()(batch_of("bfs"))) > 0
