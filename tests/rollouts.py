"""Reasoners of a spec with every kind of probe, for all and some processors, and whether two rollouts are the same."""

import naive
import torch

from nar import processors
from nar.model.reasoner import Reasoner

LENGTHS = [5, 3, 2, 2, 1]
EVERY = processors.names()
SOME = ["mpnn", "gatv2", "deepsets", "triplet_gpgn_mask"]


def reasoner(kind, features=4, spec=None, **options):
    torch.manual_seed(7)
    spec = spec or naive.everything()
    made = (
        Reasoner.from_settings({"everything": spec}, lambda: processors.build(kind, features), **options)
        .double()
        .eval()
    )
    with torch.no_grad():  # biases of zero would hide a bias that is forgotten or added twice
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return made


def assert_same(ours, theirs, tolerance=1e-10):
    assert ours.outputs.keys() == theirs.outputs.keys() and len(ours.hints) == len(theirs.hints)
    pairs = [(n, v, theirs.outputs[n]) for n, v in ours.outputs.items()]
    for s, (one, other) in enumerate(zip(ours.hints, theirs.hints, strict=True)):
        assert one.keys() == other.keys()
        pairs += [(f"{n} at step {s}", v, other[n]) for n, v in one.items()]
    for name, value, expected in pairs:
        torch.testing.assert_close(
            value.double(), expected.double(), rtol=tolerance, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )


DECIDING = ("discrete", "finite_state")
