"""Layers that obey the equations of asynchrony, with drawn parameters, and a step and states for them."""

import torch

from nar import processors
from nar.nn.affine import AffineFeatures
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step

B, N, F = 2, 6, 4
EQUATIONS = ("aggregation", "action", "cocycle", "multimorphism")
LAYERS = {"l2_max": {}, "l3_tropical": {}, "receiver": {"receiver_slot": True}, "unbounded": {"bound": None}}


def made(name="l3_tropical", dtype=torch.float32, features=F, seed=1, **options):
    torch.manual_seed(seed)
    kind = "l2_max" if name == "l2_max" else "l3_tropical"
    processor = processors.build(kind, features, **LAYERS.get(name, {}), **options).to(dtype)
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def step_of(x, e, g, adjacency=None):
    return Step(x, g, Dense(AffineFeatures.of(e), x.shape[1], adjacency))


def data(dtype=torch.float32, seed=0, features=F, nodes=N, adjacency=False):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, nodes, features), (B, nodes, nodes, features), (B, features), (B, nodes, features))
    x, e, g, state = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    links = (torch.rand(B, nodes, nodes, generator=generator) < 0.4) | torch.eye(nodes, dtype=torch.bool)
    return step_of(x, e, g, links if adjacency else None), state
