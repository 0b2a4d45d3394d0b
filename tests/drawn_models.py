"""Decoders and reasoners with options and drawn parameters, what decoders read, and whether two ways give the same."""

import naive
import torch
from naive import F64

from nar import processors
from nar.model.coders.decoder import Decoder, DecoderOptions
from nar.model.reasoner import Reasoner
from nar.traces.spec import Spec

B, N, F, WIDTH = 2, 4, 5, 6
LENGTHS = [5, 3, 2, 2, 1]

# an algorithm with edge pointers, their hints, two marks, an input edge pointer, and inputs to look up
POINTING = Spec(
    {
        "key": ("input", "node", "scalar"), "A": ("input", "edge", "scalar"), "first": ("input", "edge", "pointer"),
        "Pi_h": ("hint", "edge", "pointer"), "D": ("hint", "edge", "scalar"), "k": ("hint", "node", "mask_one"),
        "at": ("hint", "graph", "pointer"), "label": ("hint", "node", "categorical", 3),
        "Pi": ("output", "edge", "pointer"), "other": ("output", "edge", "pointer"),
    }
)  # fmt: skip


def shaken(module, scale=1.0):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn_like(parameter)
    return module


def decoder(spec, edge_width=F, hints_are_fed=True, **options):
    sizes = {"node_width": WIDTH, "edge_width": edge_width, "hints_are_fed": hints_are_fed}
    return shaken(Decoder(Spec(spec), F, options=DecoderOptions(**options), **sizes).double())


def views(states):
    d, e, g = (torch.randn(*s, dtype=F64, requires_grad=True) for s in ((B, N, WIDTH), (B, N, N, F), (B, F)))
    return d, e, torch.randn(B, N, N, 3, dtype=F64, requires_grad=True) if states else None, g


def same(ours, expected, leaves):
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    found = [torch.autograd.grad(v.clamp(-50, 50).sin().sum(), leaves, allow_unused=True) for v in (ours, expected)]
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def reasoner(kind, features=4, spec=None, scale=0.3, **options):
    torch.manual_seed(7)
    made = Reasoner.from_settings(
        {"everything": spec or naive.everything()}, lambda: processors.build(kind, features), **options
    )
    return shaken(made.double().eval(), scale)
