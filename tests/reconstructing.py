"""Reasoners that reconstruct, with drawn parameters: their kinds, and lengths of batches for them."""

import naive
import torch

from nar import processors
from nar.model.reasoner import Reasoner

LENGTHS = [5, 3, 2, 2, 1]
KINDS = ["mpnn", "triplet_gmpnn", "pgn_mask"]


def reasoner(kind, features=4, spec=None, **options):
    torch.manual_seed(7)
    options = {"reconstruction": "plain"} | options
    specs = {"everything": spec or naive.everything()}
    made = Reasoner.from_settings(specs, lambda: processors.build(kind, features), **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return made
