"""How a processor's work grows with the number of nodes N, counted instead of timed, against what it declares.

The step is carried out without its arithmetic: PyTorch's fake tensors have shapes, dtypes and devices, but no numbers.
So it can be counted on any machine, and whether everything stays on one device is learned as well. The fake device is
`meta`, which has no compiled kernels of ours, so the plain PyTorch routes are counted, as on a GPU.

Work: numbers that each operation writes, or reads where it reduces, and multiply-adds of matrix products.

Shapes: B graphs, N nodes, F features.
"""

import contextlib
import copy
import math
import re
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nar.analysis.contract.fixture import Fixture
from nar.analysis.contract.outcome import Failed, declares
from nar.nn.affine import AffineFeatures
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor, Step

COST_FROM = (64, 512)  # nodes from which the work is counted; the second where lower terms hide the first's answer
COST_REAL = 16  # the same for processors that have to be computed to be counted
COST_OFF = 0.35  # by how much the counted exponent may miss the declared one
CHANNELS = 3  # raw edge channels of an encoded graph: CLRS-30 has up to six
REDUCING = {"sum", "mean", "amax", "amin", "max", "min", "prod", "any", "all", "logsumexp", "var", "var_mean", "std"}
WAITS = (DataDependentOutputException, DynamicOutputShapeException)


def order(cost: str) -> float | None:
    """The exponent of a declared cost: N, N^2, N log N, N^2 log N ...; None where it is not of that form."""
    found = re.match(r"(?:O\()?N(?:\^(\d+(?:\.\d+)?))?( log N)?\b", cost)
    if found is None:
        return None
    return float(found[1] or 1) + (0.2 if found[2] else 0.0)  # about what a logarithm adds at these sizes


def cost(fixture: Fixture) -> str:
    """The work of a step grows with the number of nodes as declared."""
    processor = fixture.build(torch.float32)
    declared, measured, nodes = order(processor.cost), 0.0, 0
    try:
        for nodes in COST_FROM:
            measured = exponent(processor, nodes)
            if declared is None or abs(measured - declared) <= COST_OFF:
                break
    except (*WAITS, AssertionError, RuntimeError):  # it needs numbers: smaller graphs, really computed
        nodes = COST_REAL
        measured = exponent(processor, nodes, fake=False)
    text = f"operations grow like N^{measured:.2f} from {nodes} to {4 * nodes} nodes, declared {processor.cost}"
    if declared is None:
        return f"{text} (not compared: N, N^2, N log N ... are)"
    if abs(measured - declared) > COST_OFF:
        said = "" if declares(processor, "cost") else " by default"
        whole = max(round(measured), 1)
        raise Failed(f'{text}{said}: declare cost = "N{f"^{whole}" if whole > 1 else ""}"')
    return text


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


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


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
