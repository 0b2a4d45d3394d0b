"""What a processor is made of, and the form of what it returns: shapes, parameters, dtypes, devices.

Each function here is one check of the contract (check.py). Shapes: B graphs, N nodes.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from nar.analysis.contract import cost
from nar.analysis.contract.fixture import FEATURES, B, Fixture, N, inputs, require_equal, run_steps, state_tensors
from nar.analysis.contract.outcome import Failed, describe_error
from nar.nn.processor import Readout


def shapes(fixture: Fixture) -> str:
    """States and readouts have the promised form, whatever the number of graphs and nodes."""
    processor = fixture.build()
    for graphs, nodes in ((1, 1), (B, 2), (2, N)):
        x = inputs(graphs=graphs, nodes=nodes)
        state = processor.initial_state(graphs, nodes, x.nodes)
        _proper_state(state, "initial_state", graphs, nodes)
        state = processor(x.step(processor.uses_adjacency), state)
        _proper_state(state, "forward", graphs, nodes)
        with torch.no_grad():
            readout = run_steps(processor, [x, x]).readout
        if not isinstance(readout, Readout):
            raise Failed(f"readout returns a {type(readout).__name__}; a nar.Readout is required")
        for name, tensor, width, axes in (
            ("nodes", readout.nodes, processor.node_readout, (graphs, nodes)),
            ("edges", readout.edges, processor.edge_readout, (graphs, nodes, nodes)),
        ):
            found = None if tensor is None else tuple(tensor.shape)
            wanted = (*axes, width) if name == "nodes" or width else None
            if found != wanted:
                raise Failed(f"Readout.{name} is {found}; self.{name[:-1]}_readout = {width} promises {wanted}")
    edges = f", edge readout {processor.edge_readout}" if processor.edge_readout else ""
    wide = f"{processor.node_readout} wide at {processor.features} features"
    return f"1 to {N} nodes, 1 to {B} graphs; node readout {wide}{edges}"


def _proper_state(state: Any, when: str, graphs: int, nodes: int) -> None:
    if type(state) not in (tuple, Tensor):
        raise Failed(f"{when} returns a {type(state).__name__}; a tensor or a plain tuple of tensors is required")
    hidden = state[0] if isinstance(state, tuple) and state else state
    if not isinstance(hidden, Tensor) or hidden.shape[:2] != (graphs, nodes) or hidden.dim() != 3:
        found = tuple(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
        raise Failed(f"{when}: the hidden state is {found}; ({graphs}, {nodes}, features) is required")
    for part in state_tensors(state):
        if not isinstance(part, Tensor) or part.dim() == 0 or part.shape[0] != graphs:
            found = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise Failed(f"{when}: a part of the state is {found}; its first axis must be the {graphs} graphs")


def parameters(fixture: Fixture) -> str:
    """It is built at several sizes, everything that learns is registered, and its parameters are all of it."""
    processor = fixture.make(FEATURES)
    if getattr(processor, "features", None) != FEATURES:
        raise Failed("features is not the hidden size it was made with: call super().__init__(features)")
    for path, module in processor.named_modules():
        if type(module).__module__.startswith("torch."):
            continue
        for key, value in vars(module).items():
            if key.startswith("_"):
                continue
            where = f"{path}.{key}" if path else key
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
            if any(isinstance(v, (nn.Module, nn.Parameter)) for v in held):
                raise Failed(
                    f"{where} is a {type(value).__name__} whose contents are not trained: use nn.ModuleList, "
                    "nn.ModuleDict or nn.ParameterList"
                )
            if isinstance(value, Tensor) or any(isinstance(v, Tensor) for v in held):
                raise Failed(f"{where} is a plain tensor, which is neither saved nor moved to a GPU: register_buffer")
    frozen = [name for name, parameter in processor.named_parameters() if not parameter.requires_grad]
    first, second = fixture.build(), fixture.build()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1.0)
    torch.manual_seed(11)
    third = fixture.make(FEATURES).double().eval()
    with torch.no_grad():
        third.load_state_dict(first.state_dict())
        found, expected = (run_steps(p, [inputs()]).all_tensors() for p in (third, first))
    require_equal(
        found, expected, "a second one with the parameters of the first differs by {}: something random is neither a "
        "parameter nor a buffer, so a saved model would not be the same when loaded",
    )  # fmt: skip
    count = sum(parameter.numel() for parameter in fixture.make(128).parameters())
    return f"{count:,} at hidden size 128" + (f"; not trained: {', '.join(frozen)}" if frozen else "")


def dtype(fixture: Fixture) -> str:
    """Results have the inputs' dtype."""
    for wanted in (torch.float32, torch.float64):
        x = inputs(dtype=wanted)
        result = run_steps(fixture.build(wanted), [x, x])
        for tensor in result.all_tensors():
            if tensor.is_floating_point() and tensor.dtype != wanted:
                raise Failed(f"a result is {tensor.dtype} where inputs and parameters are {wanted}")
    return "float32 and float64 in, the same out"


def device(fixture: Fixture) -> str:
    """Nothing is left on the CPU when the rest is moved; where there is a GPU it is used."""
    processor = fixture.build(torch.float32)
    waits = ""
    try:
        cost.work(processor, N)
    except cost.WAITS as error:
        shapes_depend = type(error).__name__ == "DynamicOutputShapeException"
        why = "some shapes depend on the data" if shapes_depend else "it reads numbers back from the device"
        waits = f"; {why}, which makes a GPU wait"
    except AssertionError as error:
        if "FakeTensor" not in str(error):
            raise
        raise Failed("a tensor that is no parameter and no buffer would stay on the CPU: register_buffer") from None
    except RuntimeError as error:
        if ".numpy()" in str(error):
            raise Failed("numpy is used in forward, which no GPU can do") from None
        if "device" not in str(error):
            raise
        raise Failed(
            "tensors are made on the CPU whatever the device of the inputs (device=state.device): "
            f"{describe_error(error)}"
        ) from None
    if not torch.cuda.is_available():
        return f"follows its inputs (tried without a GPU){waits}"
    x = inputs(dtype=torch.float32)
    on_cpu = run_steps(processor, [x]).all_tensors()
    there = dataclasses.replace(x.map(Tensor.cuda), adjacency=x.adjacency.cuda())
    on_gpu = run_steps(processor.cuda(), [there]).all_tensors()
    if any(t.device.type != "cuda" for t in on_gpu):
        raise Failed("a result is not on the GPU that holds the inputs")
    require_equal([t.cpu() for t in on_gpu], on_cpu, "GPU and CPU differ by {}", within=1e-2)
    return f"follows its inputs, to a GPU too{waits}"
