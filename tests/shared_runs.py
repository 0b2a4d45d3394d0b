"""Runs in miniature whose batches two processes share."""

import dataclasses

import torch

from nar.config import Config
from nar.experiments import experiment
from nar.training import shared_batch

SETTINGS = Config(
    algo="bellman_ford", processor="triplet_gmpnn", hidden=8, steps=6, batch_size=7, train_sizes=(5, 7), val_size=5,
    val_samples=6, val_every=2, checkpoint_every=2, eval_sizes=(5,), eval_samples=3, device="cpu", threads=2,
)  # fmt: skip


def followers_for_few_steps(monkeypatch):
    """Followers for runs of few steps, too: what a fixture gives. Threads are the process's own, and set back."""
    monkeypatch.setattr(shared_batch, "WORTH", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(out, **changed):
    return experiment.train(dataclasses.replace(SETTINGS, out=out, **changed))
