"""The same numbers on a GPU as on the CPU, forward and backward. Skipped where there is no CUDA device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nar import datasets
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("algorithm", datasets.names())
@pytest.mark.parametrize("kind", ["triplet_gmpnn", "pgn_mask", "gat", "gatv2", "deepsets"])
def test_a_rollout_on_a_gpu_equals_one_on_the_cpu(algorithm, kind):
    batch = draw(datasets.get(algorithm), 6, 5, seed=(0,), random_pos=True)
    torch.manual_seed(0)
    reasoner = Reasoner.build(algorithm, kind, hidden=16).double()
    results = {}
    for device in ("cpu", "cuda"):
        reasoner.to(device).zero_grad()
        rollout = reasoner(batch.to(device), gumbel=False)
        loss = total_loss(batch.to(device), rollout)
        loss.backward()
        gradients = [p.grad.cpu().numpy().copy() for p in reasoner.parameters() if p.grad is not None]
        results[device] = loss.item(), [v.detach().cpu().numpy() for v in rollout.outputs.values()], gradients
    (loss, outputs, gradients), (expected_loss, expected_outputs, expected_gradients) = results["cuda"], results["cpu"]
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-9)
    for ours, expected in zip(outputs + gradients, expected_outputs + expected_gradients, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-8)


def test_training_runs_on_a_gpu(tmp_path):
    from nar.config import Config
    from nar.experiments.experiment import train

    config = Config(
        algo="bfs",
        processor="mpnn",
        hidden=16,
        steps=4,
        eval_sizes=(5,),
        device="cuda",
        val_every=2,
        out=tmp_path / "run",
    )
    assert train(config)["provenance"]["device"] != "cpu"
