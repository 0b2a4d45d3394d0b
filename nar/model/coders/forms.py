"""The forms in which values of probes are encoded: floats, one-hot rows, and the raw channels that encoders map.

Shapes: N nodes, C classes.
"""

import torch
from torch import Tensor

from nar.traces.spec import IGNORED, POINTERS, Location, Probe, Type


def dense(probe: Probe, value: Tensor, nodes: int, dtype: torch.dtype) -> Tensor:
    """The float form that is encoded: one-hot rows for indices and classes, numbers as they are.

    Integer tensors are compact (spec.py), floating ones of an index type are probabilities already and pass through;
    ignored classes become -1 in the last class, as dm-clrs stores them.
    """
    if value.is_floating_point() or probe.type in (Type.SCALAR, Type.MASK):
        return value.to(dtype)
    width = probe.classes if probe.type is Type.CATEGORICAL else nodes
    index = value.long()
    rows = torch.zeros(*value.shape, width, dtype=dtype, device=value.device)
    if probe.type is not Type.CATEGORICAL:
        return rows.scatter(-1, index.unsqueeze(-1), 1.0)
    ignored = index == IGNORED
    rows = rows.scatter(-1, index.masked_fill(ignored, width - 1).unsqueeze(-1), 1.0)
    return torch.where(ignored.unsqueeze(-1), -rows, rows)


def place(probe: Probe) -> Location:
    """Where a probe's encoding is added: pointers of nodes live on edges, pointers of the graph on nodes."""
    if probe.type in POINTERS:
        return Location.NODE if probe.location is Location.GRAPH else Location.EDGE
    return probe.location


def channels(probe: Probe, value: Tensor, nodes: int, dtype: torch.dtype) -> list[Tensor]:
    """The raw channels [..., c] of a probe, one tensor per encoder map: two for an edge pointer, else one."""
    if probe.location is Location.EDGE and probe.type in POINTERS:
        if value.is_floating_point():
            return [value.mean(1).unsqueeze(-1), value.mean(2).unsqueeze(-1)]
        # pointers given as indices: count instead of building N x N x N one-hot rows
        index = value.long()
        ones = torch.full_like(index, 1.0 / nodes, dtype=dtype)
        empty = torch.zeros(*index.shape, dtype=dtype, device=index.device)
        into_target = empty.scatter_add(2, index.transpose(1, 2), ones)  # [a, c] = mean over i of p[i, a] == c
        from_source = empty.scatter_add(2, index, ones)  # [a, c] = mean over j of p[a, j] == c
        return [into_target.unsqueeze(-1), from_source.unsqueeze(-1)]
    value = dense(probe, value, nodes, dtype)
    return [value if probe.type is Type.CATEGORICAL else value.unsqueeze(-1)]
