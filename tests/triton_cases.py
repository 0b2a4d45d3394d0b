"""What the Triton kernels are checked against: the same in plain PyTorch, and drawn arguments."""

from __future__ import annotations

import torch

from nar.kernels.triton import launch
from nar.nn import reductions

DEVICE = "cpu" if launch.interpreted() else "cuda"
F32 = torch.float32


def randn(*shape, dtype=F32):
    return torch.randn(*shape, dtype=dtype, device=DEVICE).requires_grad_()


def same(ours, plain, leaves, tolerance=1e-4):
    """Values and the gradients of a non-linear function of them."""
    results = []
    for function in (ours, plain):
        value = function()
        results.append((value, *torch.autograd.grad(value.sin().sum(), leaves)))
    for one, other in zip(*results, strict=True):
        size = other.abs().max().item() if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * (1 + size))


def plain_messages(channels, edge, senders, receivers, first, second, mask, how="max"):
    parts = channels @ edge + senders.unsqueeze(2) + receivers.unsqueeze(1)
    hidden = torch.relu(torch.relu(parts) @ first[0].t() + first[1])
    return reductions.REDUCTIONS[how](hidden @ second[0].t() + second[1], 1, mask)


def plain_scores(channels, edge, states, own, other, weigh):
    reverse = channels @ edge + (0 if states is None else states)  # [b, j, i]
    return torch.maximum(own.unsqueeze(2), other.unsqueeze(1) + reverse.transpose(1, 2)) @ weigh


def plain_max_plus(left, right):
    return (left.unsqueeze(3) + right.unsqueeze(2)).amax(1)


def messages(graphs, nodes, features, width, masked=False, dtype=F32):
    """Arguments of message_pool, and those of them that have gradients."""
    pairs, states, layer = (graphs, nodes, nodes, width), (graphs, nodes, features), [(features, features), (features,)]
    leaves = [randn(*shape, dtype=dtype) for shape in (pairs, (width, features), states, states, *layer, *layer)]
    with torch.no_grad():
        leaves[4] *= features**-0.5
        leaves[6] *= features**-0.5
    mask = None
    if masked:
        mask = torch.rand(graphs, nodes, nodes, device=DEVICE) < 0.4
        mask |= torch.eye(nodes, dtype=torch.bool, device=DEVICE)  # not symmetric
    return (*leaves[:4], (leaves[4], leaves[5]), (leaves[6], leaves[7]), mask), leaves


def pointers(graphs, nodes, features, width, stateful, dtype=F32):
    shapes = [(graphs, nodes, nodes, width), (width, features), (graphs, nodes, nodes, features)]
    shapes += [(graphs, nodes, features), (graphs, nodes, features), (features,)]
    arguments = [randn(*shape, dtype=dtype) for shape in shapes]
    if not stateful:
        arguments[2] = None
    return arguments, [a for a in arguments if a is not None]
