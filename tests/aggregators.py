"""Aggregators of every kind with drawn parameters, messages and masks for them, and recurrent ones step by step."""

import torch
from naive import F64

from nar.nn.aggregators import MaxAggregator, MeanAggregator, SumAggregator
from nar.nn.monoid import LCMAggregator
from nar.nn.recurrent import GRUAggregator, LSTMAggregator

B, S, R, F = 3, 6, 4, 4
SIMPLE = {"max": MaxAggregator, "sum": SumAggregator, "mean": MeanAggregator}
CELLS = {"lstm": LSTMAggregator, "gru": GRUAggregator}
EVERY = {
    **{name: made for name, made in SIMPLE.items()},
    "lstm": lambda: LSTMAggregator(F, F),
    "gru_both_ways": lambda: GRUAggregator(F, F, layers=2, bidirectional=True),
    "lcm": lambda: LCMAggregator(F),
}


def shaken(module, seed=0):
    """In double precision, with biases that are no zeros and no ones."""
    torch.manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module


def made(kind, seed=0):
    return shaken(EVERY[kind](), seed)


def messages(seed=0, shape=(B, S, R, F)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def mask(seed=1, shape=(B, S, R), density=0.5):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


def lstm_step(layer, m, state):
    h, c = state
    i, f, g, o = (layer.input @ m + layer.state @ h + layer.bias).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(layer, m, state):
    (h,) = state
    (r_m, z_m, n_m), (r_h, z_h, n_h) = (layer.input @ m + layer.bias).chunk(3), (layer.state @ h).chunk(3)
    r, z = torch.sigmoid(r_m + r_h), torch.sigmoid(z_m + z_h)
    n = torch.tanh(n_m + r * (n_h + layer.candidate_bias))
    return ((1 - z) * n + z * h,)


def literal(aggregator, messages_BSRF, mask_BSR):
    """Every receiver by itself; a message that is masked holds the state."""
    step, parts = (lstm_step, 2) if isinstance(aggregator, LSTMAggregator) else (gru_step, 1)
    rows = []
    for b in range(messages_BSRF.shape[0]):
        for r in range(messages_BSRF.shape[2]):
            found = []
            for way, layers in enumerate(aggregator.ways):
                states = [tuple(torch.zeros(aggregator.width, dtype=F64) for _ in range(parts)) for _ in layers]
                order = range(messages_BSRF.shape[1])
                for s in reversed(order) if way else order:
                    if mask_BSR is None or mask_BSR[b, s, r]:
                        m = messages_BSRF[b, s, r]
                        for n, layer in enumerate(layers):
                            states[n] = step(layer, m, states[n])
                            m = states[n][0]
                found.append(states[-1][0])
            rows.append(torch.cat(found))
    return torch.stack(rows).view(messages_BSRF.shape[0], messages_BSRF.shape[2], -1)
