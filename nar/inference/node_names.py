"""Outputs with nodes by name: from arrays of indices to dicts, lists and single values.

Shapes: N nodes, S steps.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.model.postprocess import SINKHORN_STEPS_OUTPUT, log_sinkhorn
from nar.traces.spec import IGNORED, POINTERS, Probe, Spec, Type


def named(probe: Probe, values: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """An output in compact form, with the nodes' names in place of indices."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [nodes[v] for v in order(values)]
    if probe.type in POINTERS or probe.type is Type.MASK_ONE:
        entries: list[Any] = [nodes[v] for v in values.flat]
    elif probe.type is Type.SCALAR:
        entries = values.ravel().tolist()
    else:
        kind = bool if probe.type is Type.MASK else int
        entries = [None if v == IGNORED else kind(v) for v in values.flat]
    return _keyed(entries, values.ndim, nodes)


def confidence(probe: Probe, compact: np.ndarray, p: np.ndarray, nodes: Sequence[Hashable]) -> Any:
    """Probabilities in the form of the output: as a list in its order, by node, or one number."""
    if probe.type is Type.PERMUTATION_POINTER:
        return [float(p[v]) for v in order(compact)]
    return _keyed(p.ravel().tolist(), p.ndim, nodes)


def probabilities(spec: Spec, logits: Mapping[str, Tensor], predicted: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The probability that the model gives to every predicted entry, in compact form; none for scalars."""
    found = {}
    for name in predicted:
        probe, value = spec[name], logits[name]
        if probe.type is Type.SCALAR:
            continue
        if probe.type is Type.MASK:
            p = torch.sigmoid(value.abs())
        elif probe.type is Type.PERMUTATION_POINTER:
            p = log_sinkhorn(value, SINKHORN_STEPS_OUTPUT).exp().amax(-1)
            first = torch.softmax(logits[f"{name}_mask"], -1).amax(-1, keepdim=True)
            p = torch.where(predicted[name] == torch.arange(p.shape[-1]), first, p)
        else:
            p = torch.softmax(value, -1).amax(-1)
        found[name] = p.numpy()
    return found


def order(pred: np.ndarray) -> list[int]:
    """The list that predecessor pointers describe: from the element that points to itself along those pointing back."""
    successor: dict[int, int] = {}
    for v, u in enumerate(pred.tolist()):
        if u != v:
            successor.setdefault(u, v)
    found = np.flatnonzero(pred == np.arange(len(pred)))[:1].tolist()
    while found and found[-1] in successor:  # ends: every element has one predecessor, so none comes twice
        found.append(successor[found[-1]])
    return found


def _keyed(entries: list[Any], axes: int, nodes: Sequence[Hashable]) -> Any:
    if axes == 0:
        return entries[0]
    keys = nodes if axes == 1 else [(u, v) for u in nodes for v in nodes]
    return dict(zip(keys, entries, strict=True))
