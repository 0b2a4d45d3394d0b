"""Settings of the recipe step in miniature, and untrained reasoners of it."""

import torch

from nar import recipes
from nar.model.reasoner import Reasoner

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
