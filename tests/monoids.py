"""Learned monoids with drawn parameters, messages of groups of every size, and the operators from their equations."""

import torch

from nar.nn.monoid import LCMAggregator

F64 = torch.float64
F = 4


def made(features=F, **options):
    torch.manual_seed(1)
    aggregator = LCMAggregator(features, **options).double()
    with torch.no_grad():
        for parameter in aggregator.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return aggregator


def ragged(groups=6, longest=7, features=F, seed=0):
    """Messages and a mask with an empty row, a full one, one with a single message, and holes."""
    generator = torch.Generator().manual_seed(seed)
    messages = torch.randn(groups, longest, features, generator=generator, dtype=F64)
    mask = torch.rand(groups, longest, generator=generator) < 0.5
    mask[0], mask[1], mask[2] = False, True, torch.arange(longest) == 3
    return messages, mask


def gru(cell, a, b):
    """GRU(input a, state b) of single vectors, from its equations."""
    (w_r, w_z, w_n), (u_r, u_z, u_n) = cell.weight_ih.chunk(3), cell.weight_hh.chunk(3)
    (b_r, b_z, b_n), (c_r, c_z, c_n) = cell.bias_ih.chunk(3), cell.bias_hh.chunk(3)
    r = torch.sigmoid(w_r @ a + b_r + u_r @ b + c_r)
    z = torch.sigmoid(w_z @ a + b_z + u_z @ b + c_z)
    n = torch.tanh(w_n @ a + b_n + r * (u_n @ b + c_n))
    return (1 - z) * n + z * b


def mlp(f, a, b):
    return f.second(torch.relu(f.first(torch.cat([a, b]))))


LITERAL = {
    "gru": lambda f, a, b: (gru(f.of.cell, a, b) + gru(f.of.cell, b, a)) / 2,
    "mlp": lambda f, a, b: (mlp(f.of, a, b) + mlp(f.of, b, a)) / 2,
    "mapped_sum": lambda f, a, b: f.rho(torch.relu(f.phi(a)) + torch.relu(f.phi(b))),
    "ordered_gru": lambda f, a, b: gru(f.cell, a, b),
    "ordered_mlp": mlp,
}
