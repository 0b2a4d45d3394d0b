"""A processor's step without its arithmetic: PyTorch's fake tensors have shapes, dtypes and devices, but no numbers.

Two things are learned that way, on any machine: how the work grows with the number of nodes, counted instead of timed,
and whether everything stays on one device. The fake device is `meta`, which has no compiled kernels of ours, so the
plain PyTorch routes are counted, as on a GPU.

Work: numbers that each operation writes, or reads where it reduces, and multiply-adds of matrix products.

Shapes: B graphs, N nodes, F features.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nar.nn.affine import AffineFeatures
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor, Step

CHANNELS = 3  # raw edge channels of an encoded graph: CLRS-30 has up to six
REDUCING = {"sum", "mean", "amax", "amin", "max", "min", "prod", "any", "all", "logsumexp", "var", "var_mean", "std"}
WAITS = (DataDependentOutputException, DynamicOutputShapeException)


def work(processor: Processor, nodes: int, *, fake: bool = True) -> int:
    """Operations of one step and its readout on one complete graph.

    Raises what PyTorch raises where tensors of several devices meet or a number is read back (WAITS). `fake=False`
    computes, on the CPU, for processors whose work depends on the data; compiled kernels are not counted then.
    """
    features, device = processor.features, "meta" if fake else "cpu"
    if fake:
        processor = copy.deepcopy(processor).requires_grad_(False)
    with FakeTensorMode(allow_non_fake_inputs=False) if fake else contextlib.nullcontext(), torch.no_grad():
        if fake:  # what is neither parameter nor buffer stays behind, as it does in `.to(device)`
            processor._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"))
        nodes_BNF = torch.ones(1, nodes, features, device=device)
        channels_BNNK = torch.ones(1, nodes, nodes, CHANNELS, device=device)
        edge_map = torch.ones(CHANNELS, features, device=device), torch.ones(features, device=device)
        adjacency = torch.ones(1, nodes, nodes, dtype=torch.bool, device=device) if processor.uses_adjacency else None
        hood = Dense(AffineFeatures(channels_BNNK, *edge_map), nodes, adjacency)
        step = Step(nodes_BNF, torch.ones(1, features, device=device), hood)
        before = processor.initial_state(1, nodes, nodes_BNF)
        with _Counter() as counter:
            after = processor(step, before)
            processor.readout(step, before, after)
        for tensor in _tensors((before, after)):
            if tensor.device.type != device:
                raise RuntimeError(f"a part of the state is on the device {tensor.device}, the inputs are not")
    return counter.work


def exponent(processor: Processor, nodes: int, *, fake: bool = True) -> float:
    """The k of N^k that the work approaches, from graphs of `nodes`, two and four times as many.

    The ratio of two works misses the limit 2^k by lower terms, which shrink like 1 / N: half of them is taken away.
    """
    small, middle, large = (work(processor, factor * nodes, fake=fake) for factor in (1, 2, 4))
    return math.log2(max(1.0, 2 * large / middle - middle / small))


def _tensors(values: Any) -> Iterable[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)


class _Counter(TorchDispatchMode):
    """Adds up the work of every operation that PyTorch carries out."""

    def __init__(self) -> None:
        super().__init__()
        self.work = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if func.is_view or name == "_unsafe_view":
            return out
        written = sum(t.numel() for t in _tensors(out))
        given = [t.numel() for t in _tensors(args)]
        if name in REDUCING:
            written = max([written, *given])
        elif name.endswith("_") and name.startswith(("index_", "scatter", "masked_scatter")):
            written = max(given[1:], default=0)  # they return all of the tensor into which they write a part
        self.work += written
        if (products := flop_registry.get(func.overloadpacket)) is not None:
            self.work += products(*args, **(kwargs or {}), out_val=out) // 2
        return out
