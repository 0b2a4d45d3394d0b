"""Keeping less for the backward pass changes no number, and is chosen where there is no room."""

from __future__ import annotations

import pytest
import torch

from nar import datasets
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.training import memory


def results(reasoner, batch, recompute, **options):
    reasoner.zero_grad()
    torch.manual_seed(5)
    loss = total_loss(batch, reasoner(batch, recompute=recompute, progress=0.5, **options))
    loss.backward()
    gradients = {n: None if p.grad is None else p.grad.clone() for n, p in reasoner.named_parameters()}
    return loss.detach(), gradients


@pytest.mark.parametrize(
    ("name", "processor", "options"),
    [
        ("bellman_ford", "triplet_gmpnn", {"triplet_features": 2}),
        ("insertion_sort", "gmpnn", {}),  # noise
        ("floyd_warshall", "mpnn", {"edge_pointer_repair": True}),
        ("dfs", "g_forgetnet", {}),  # penalties
        ("bfs", "pgn_mask", {"dropout": 0.3}),
        ("bfs", "v2", {"hint_feedback": "hard"}),
        ("quickselect", "lcm", {"halting": "supervised"}),
    ],
)
def test_recomputing_changes_no_number(name, processor, options):
    # so many samples that some leave the batch before the others
    batch = draw(datasets.get(name), 5, 14, seed=(2,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build(name, processor, hidden=8, **options).double().train()
    forcing = {"teacher_forcing": 0.5}
    loss, gradients = results(reasoner, batch, False, **forcing)
    again, others = results(reasoner, batch, True, **forcing)
    torch.testing.assert_close(again, loss, rtol=1e-12, atol=0)
    for parameter, gradient in gradients.items():
        if gradient is None:
            assert others[parameter] is None
        else:
            torch.testing.assert_close(others[parameter], gradient, rtol=1e-9, atol=1e-12)


def kept(recompute, name="insertion_sort", graphs=4):
    """Bytes that the graph of one training step holds."""
    batch = draw(datasets.get(name), 12, graphs, seed=(2,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build(name, "triplet_gmpnn", hidden=32).train()
    storages = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        rollout = reasoner(batch, recompute=recompute)  # keeps what is counted from being freed and counted again
    assert rollout.hints
    return sum(storages.values()), memory.kept_bytes(reasoner, batch)


def test_recomputing_keeps_much_less_and_the_estimate_is_near_what_is_kept():
    fast, estimate = kept(False)
    small, _ = kept(True)
    assert small < fast / 3
    assert fast / 1.5 < estimate < 1.5 * fast
    fast, estimate = kept(False, "bfs", 24)  # many graphs, few steps
    assert fast / 1.5 < estimate < 1.5 * fast


@pytest.mark.parametrize(
    ("wanted", "free", "expected"),
    [("auto", 10**12, False), ("auto", 10**4, True), ("fast", 1, False), ("small", 10**12, True)],
)
def test_the_choice(wanted, free, expected, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    batch = draw(datasets.get("bfs"), 6, 3, seed=(2,), random_pos=True)
    reasoner = Reasoner.build("bfs", "mpnn", hidden=8)
    assert memory.recompute(reasoner, [batch, batch], wanted, torch.device("cpu")) is expected


def test_asking_leaves_everything_as_it_was():
    batch = draw(datasets.get("insertion_sort"), 6, 3, seed=(2,), random_pos=True)
    reasoner = Reasoner.build("insertion_sort", "mpnn", hidden=8).eval()
    state = torch.get_rng_state()
    assert memory.kept_bytes(reasoner, batch) > 0
    assert torch.equal(torch.get_rng_state(), state) and not reasoner.training
    assert 0 < memory.free_bytes(torch.device("cpu")) < 2**50
