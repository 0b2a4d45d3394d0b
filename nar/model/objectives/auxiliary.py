"""Task hinting: heads that share the processor are trained on simpler tasks of the same inputs (Awasthi and Gupta 2023,
"Improving Length-Generalization in Transformers via Task Hinting", arXiv 2310.00726).

The task that helps sorting there is the successor: which element comes next. What it asks for is no step of a trace,
and nobody needs its answer; it draws the processor towards comparisons that hold at every length.

An auxiliary task is a function of one input. Its head is a decoder of the usual kind, off what the processor shows
after the first step of a rollout, when nothing but the inputs is known; its loss, the usual one of its type, is
averaged over the batch and added, times a weight. In evaluation there are no heads. Chosen here and not in the paper:
its batches are of one task or of the other, with inputs of their own, where here every batch has both on the same
inputs; its transformers answer with tokens, these networks with pointers, masks and numbers.

Shapes: B graphs, N nodes.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nar import lookup
from nar.model.batch import Batch
from nar.model.coders.decoder import Decoder
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.objectives.losses import probe_loss
from nar.model.rollout import Rollout, RolloutExtension
from nar.nn.layers import module_key
from nar.traces.spec import Location, Probe, Spec, Stage, Type

EXAMPLE = "--auxiliary my_module:my_task"


class AuxiliaryTask(NamedTuple):
    """What is asked at every node, or of a mask_one: which node."""

    about: str
    type: Type
    of: tuple[Location, Type]  # of which inputs it can be asked
    target: Callable[[Tensor], Tensor]  # such an input [B, ...] -> the answer in compact form, [B, N] or [B]


def successor(x_BN: Tensor) -> Tensor:
    """The node of the next larger number; of the largest, itself."""
    larger_BNN = x_BN.unsqueeze(1) > x_BN.unsqueeze(2)  # [b, i, j]: is x_j larger than x_i?
    return _least(x_BN.unsqueeze(1).expand_as(larger_BNN), larger_BNN)


def minimum(x_BN: Tensor) -> Tensor:
    """The node of the least number."""
    return x_BN.argmin(1)


def rank(x_BN: Tensor) -> Tensor:
    """The share of nodes with smaller numbers."""
    return (x_BN.unsqueeze(1) < x_BN.unsqueeze(2)).to(x_BN.dtype).mean(2)


def degree(adjacency_BNN: Tensor) -> Tensor:
    """The share of nodes to which edges lead, itself aside."""
    return (_apart(adjacency_BNN) & (adjacency_BNN == 1)).to(torch.get_default_dtype()).mean(2)


def nearest(weights_BNN: Tensor) -> Tensor:
    """The node at the end of the lightest edge; itself where there is none."""
    return _least(weights_BNN, _apart(weights_BNN) & (weights_BNN != 0))


def _least(values_BNN: Tensor, among_BNN: Tensor) -> Tensor:
    """Of every row the column of the least value among some, the first of equal ones; of none, the row's own."""
    own_N = torch.arange(values_BNN.shape[1], device=values_BNN.device)
    found_BN = values_BNN.masked_fill(~among_BNN, torch.inf).argmin(2)
    return torch.where(among_BNN.any(2), found_BN, own_N)


def _apart(like_BNN: Tensor) -> Tensor:
    return ~torch.eye(like_BNN.shape[1], dtype=torch.bool, device=like_BNN.device)


NUMBERS, WEIGHTS, EDGES = (Location.NODE, Type.SCALAR), (Location.EDGE, Type.SCALAR), (Location.EDGE, Type.MASK)
TASKS = {
    "successor": AuxiliaryTask("the node of the next larger number", Type.POINTER, NUMBERS, successor),
    "minimum": AuxiliaryTask("the node of the least number", Type.MASK_ONE, NUMBERS, minimum),
    "rank": AuxiliaryTask("the share of nodes with smaller numbers", Type.SCALAR, NUMBERS, rank),
    "degree": AuxiliaryTask("the share of nodes to which edges lead", Type.SCALAR, EDGES, degree),
    "nearest": AuxiliaryTask("the node at the end of the lightest edge", Type.POINTER, WEIGHTS, nearest),
}


def find(name: str) -> AuxiliaryTask:
    """The task of a name, or of one's own, `my_module:my_task`; ValueError where there is none."""
    task = lookup.addressed("auxiliary task", name, EXAMPLE) if ":" in name else TASKS.get(name)
    if task is None:
        raise ValueError(lookup.suggest("auxiliary task", name, TASKS, f"or one of your own, as in {EXAMPLE}"))
    if not isinstance(task, AuxiliaryTask):
        raise ValueError(f"auxiliary task {name!r} is no nar.model.objectives.auxiliary.AuxiliaryTask")
    return task


def inputs_of(task: AuxiliaryTask, spec: Spec) -> list[str]:
    """The inputs of an algorithm of which the task can be asked; positions are no numbers of the problem."""
    return [n for n, p in spec.inputs.items() if (p.location, p.type) == task.of and n != "pos"]


class AuxiliaryHeads(nn.Module):
    """A decoder of all tasks for every algorithm."""

    def __init__(
        self, specs: Mapping[str, Spec], names: Sequence[str], weight: float, *, features: int, node_width: int,
        edge_width: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = weight
        tasks = {name: find(name) for name in names}
        self.asked = {  # by algorithm and head: the task and its input
            algorithm: {
                f"{module_key(name)}_{given}": (task, given)
                for name, task in tasks.items()
                for given in inputs_of(task, spec)
            }
            for algorithm, spec in specs.items()
        }
        for name, task in tasks.items():
            if not any(asked is task for heads in self.asked.values() for asked, _ in heads.values()):
                what = f"{task.of[1]} inputs on {task.of[0]}s"
                raise ValueError(f"auxiliary task {name!r} has no effect: {', '.join(specs)} has no {what}")
        self.decoders = nn.ModuleDict()
        for algorithm, heads in self.asked.items():
            probes = {head: Probe(Stage.OUTPUT, Location.NODE, task.type) for head, (task, _) in heads.items()}
            self.decoders[module_key(algorithm)] = Decoder(
                Spec(probes), features, node_width=node_width, edge_width=edge_width, decode_hints=False,
                hints_are_fed=False,
            )  # fmt: skip

    def decoder(self, algorithm: str) -> Decoder:
        return self.decoders[module_key(algorithm)]  # type: ignore[return-value]

    def losses(self, batch: Batch, inputs: DecoderInputs) -> dict[str, Tensor]:
        """The weighted loss of every head; `inputs`: what decoders are given after the first step."""
        decoder = self.decoder(batch.algorithm)
        # the graph that some processors keep pointers to is that of the algorithm, not of these tasks
        decoded = decoder.decode(Stage.OUTPUT, dataclasses.replace(inputs, adjacency=None))
        found = {}
        for head, (task, given) in self.asked[batch.algorithm].items():
            target = task.target(batch.inputs[given])
            found[head] = self.weight * probe_loss(decoder.probes[head], decoded[head], target)
        return found


class TaskHinting(RolloutExtension):
    """Adds the losses of the heads to one rollout."""

    def __init__(self, heads: AuxiliaryHeads, batch: Batch) -> None:
        self.heads, self.batch = heads, batch
        self.found: dict[str, Tensor] | None = None

    def after_step(self, s: int, inputs: DecoderInputs, predicted: dict[str, Any]) -> None:
        if self.found is None:
            self.found = self.heads.losses(self.batch, inputs)

    def finish(self, rollout: Rollout) -> None:
        rollout.penalties |= self.found or {}
