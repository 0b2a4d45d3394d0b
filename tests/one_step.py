"""Processors with drawn parameters, and one step of them on random inputs."""

import torch
from naive import F64, built

from nar import processors
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.deepsets import DeepSets
from nar.processors.gat import GAT
from nar.processors.gatv2 import GATv2
from nar.processors.mpnn import MPNN
from nar.processors.pgn import PGN

EVERY = processors.names()
CLRS = (PGN, MPNN, DeepSets, GAT, GATv2)  # dm-clrs's own, whose equations are written out here once more
LITERAL = [name for name in EVERY if processors.find(name)[0] in CLRS]
GATED = [name for name in LITERAL if getattr(processors.build(name, 4), "gate", None) is not None]
B, N, F = 3, 5, 4
SIGMOID_3 = 0.0474  # sigmoid(-3)


def made(kind, features=F, **options):
    torch.manual_seed(3)
    processor = processors.build(kind, features, **options).double()
    with torch.no_grad():
        for name, parameter in processor.named_parameters():
            if parameter.dim() == 1 and not name.startswith("gate.2"):
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(features=F, seed=0):
    """x, e, g, a symmetric adjacency with self-loops, and a hidden state."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, features), (B, N, N, features), (B, features), (B, N, features))
    x, e, g, hidden = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = torch.rand(B, N, N, generator=generator) < 0.3
    return x, e, g, links | links.transpose(1, 2) | torch.eye(N, dtype=torch.bool), hidden


def state_with(processor, hidden):
    """A state whose first part is the given hidden one."""
    state = processor.initial_state(len(hidden), hidden.shape[1], hidden)
    return (hidden, *state[1:]) if isinstance(state, tuple) else hidden


def hidden_of(state):
    return state[0] if isinstance(state, tuple) else state


def apply(processor, x, e, g, adjacency, hidden, layout=Dense):
    return processor(Step(x, g, layout(built(e), x.shape[1], adjacency)), state_with(processor, hidden))
