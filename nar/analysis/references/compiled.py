"""Compiled references: reasoners whose weights are written down instead of learned, exact at every step.

    exact = compiled("bellman_ford")  # a nar.Reasoner: evaluate it, compare others with it, run nar.Solver(exact)
    soft = compiled("bellman_ford", beta=1e4)  # softmax instead of argmin

The idea is that of neural compilation (Saldyt and Kambhampati, arXiv 2505.18623). What is compiled here is everything
that a reasoner has weights for:

- encoders: one-hot maps that put every probe the step needs into a channel of its own, all others to zero;
- the processor's units (steps.py): which channels are keys, which open a message;
- decoders: one-hot maps from the channels of the processor's state to hints and outputs. A mask has the logit +-SHARP,
  so that feeding back softly and feeding back hard are the same numbers.

The arithmetic around them (argmin over open neighbours, lexicographic in key and position) is code of the processor, no
learned network would find it by itself: a reference says what exact execution scores, not what can be trained.

What is exact. Every step makes one addition per offer, the one that the algorithm makes, and copies the rest. With
float64 inputs and weights all hints and outputs are the trace's. In float32 a scalar hint is its rounded value, and two
offers closer than rounding may change places: weights enter batches as float32 numbers. Sums of weights that float32
holds exactly (whole numbers, multiples of 2^-16) have no such cases.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nar.analysis.references.steps import Passage, Relaxation, Settling
from nar.lookup import suggest
from nar.model.batch import training_spec
from nar.model.coders.decoder import Decoder
from nar.model.coders.encoder import Encoder, place
from nar.model.reasoner import Reasoner
from nar.traces.spec import POINTERS, Location, Type

SHARP = 200.0  # logit of certainty: exp(-200) is 0 in float32, so a sigmoid or softmax of it is a decision
NEXT = 1e5  # the same for positions, which lie 1/n apart

BIAS = "1"
Units = list[Mapping[str, float]]  # one row of weights per unit: channel -> weight, "1" -> bias


@dataclasses.dataclass(frozen=True)
class Program:
    """An algorithm's step in weights. Channels are named after the probes that are encoded into them."""

    processor: type
    nodes: tuple[str, ...]  # channels of encoded nodes
    edges: tuple[str, ...]  # channels of encoded edges
    units: Mapping[str, Units]  # of the processor's maps
    reads: Mapping[str, int]  # hint or output -> channel of the processor's node or edge state
    added: tuple[str, ...] = ()  # channels of nodes that the processor itself appends

    @property
    def features(self) -> int:
        return max(len(self.nodes), len(self.edges), 2)


_BFS = Program(
    Relaxation,
    nodes=("pos", "reach_h"),
    edges=("adj", "pi_h"),
    units={
        "sender": [{"pos": 1}, {"reach_h": 1}, {"pos": 1}],  # the first of the reached neighbours
        "receiver": [{BIAS: -1}, {"reach_h": 1, BIAS: -0.5}, {}],  # unless something else was there before
        "edge": [{}, {"adj": 1, BIAS: -1.5}],
        "old": [{"pi_h": 1}],
    },
    reads={"pi": 0, "pi_h": 0, "reach_h": 1},
)
PROGRAMS = {  # by algorithm
    "bfs": _BFS,
    "reachability": dataclasses.replace(  # without pointers
        _BFS, edges=("adj",), units={**_BFS.units, "old": [{}]}, reads={"reach": 1, "reach_h": 1}
    ),
    "bellman_ford": Program(
        Relaxation,
        nodes=("pos", "d", "msk"),
        edges=("A", "adj", "pi_h"),
        units={
            "sender": [{"d": 1}, {"msk": 1}, {"pos": 1}],
            "receiver": [{"d": 1}, {"msk": 1, BIAS: -0.5}, {}],
            "edge": [{"A": 1}, {"adj": 1, BIAS: -1.5}],
            "old": [{"pi_h": 1}],
        },
        reads={"pi": 0, "pi_h": 0, "d": 0, "msk": 1},
    ),
    "dijkstra": Program(
        Settling,
        nodes=("pos", "d", "mark", "in_queue"),
        edges=("A", "adj", "pi_h"),
        added=("chosen",),
        units={
            "queue": [{"d": 1}, {"in_queue": 1, BIAS: -0.5}, {"pos": 1}],
            "move": [{}, {}, {"chosen": 1}, {"chosen": -1}],  # out of the queue, settled
            "sender": [{"d": 1}, {"chosen": 1}, {"pos": 1}],
            "receiver": [{"d": 1}, {"mark": 1, "in_queue": 1, BIAS: -0.5}, {"mark": -1}],
            "edge": [{"A": 1}, {"adj": 1, BIAS: -1.5}],
            "old": [{"pi_h": 1}],
            "shown": [{"mark": 1}, {"in_queue": 1}, {"chosen": 1}],
        },
        reads={"pi": 0, "pi_h": 0, "d": 0, "mark": 1, "in_queue": 2, "u": 3},
    ),
    "floyd_warshall": Program(
        Passage,
        nodes=("pos", "k"),
        edges=("D", "msk"),
        units={"node": [{"pos": 1}, {"k": 1}], "edge": [{"D": 1}, {"msk": 1}]},
        reads={"Pi": 3, "Pi_h": 2, "D": 0, "msk": 1, "k": 0},
    ),
}


def compiled(algorithm: str, *, beta: float = 0.0) -> Reasoner:
    """The reference of an algorithm, in evaluation mode, parameters frozen.

    `beta`: sharpness of a softmax in the place of the argmin (1e4 suits weights of about 1); 0: the argmin itself.
    """
    from nar import datasets

    if algorithm not in PROGRAMS:
        raise ValueError(suggest("reference", str(algorithm), PROGRAMS, "only these algorithms are compiled"))
    program = PROGRAMS[algorithm]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # building draws parameters, set below
        processor = program.processor(program.features, beta=beta)
        reasoner = Reasoner({algorithm: training_spec(datasets.get(algorithm))}, processor, hint_feedback="hard")
    encoder, decoder = reasoner.coders(algorithm)
    with torch.no_grad():
        for parameter in reasoner.parameters():
            parameter.zero_()
        _write_encoder(encoder, program)
        for name, units in program.units.items():
            _write_units(getattr(processor, name), units, program)
        _write_decoder(decoder, program)
    return reasoner.requires_grad_(False).eval()


def permuted(reasoner: Reasoner, seed: int = 0) -> Reasoner:
    """A copy whose weights are shuffled inside every tensor: as many numbers, the same ones, no algorithm."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = copy.deepcopy(reasoner)
    with torch.no_grad():
        for parameter in shuffled.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return shuffled


def _write_encoder(encoder: Encoder, program: Program) -> None:
    for name, probe in encoder.probes.items():
        where = {Location.NODE: program.nodes, Location.EDGE: program.edges}.get(place(probe), ())
        if name in where:
            maps: Any = encoder.maps[name]
            maps[0].weight[where.index(name), 0] = 1.0


def _write_units(layer: nn.Linear, units: Units, program: Program) -> None:
    """A map of the processor. It reads nodes or edges; channels that the processor appended come last."""
    of_edges = any(name in program.edges for unit in units for name in unit)
    columns = {name: index for index, name in enumerate(program.edges if of_edges else program.nodes)}
    columns |= {name: layer.in_features - len(program.added) + i for i, name in enumerate(program.added)}
    for row, unit in enumerate(units):
        for name, value in unit.items():
            if name == BIAS:
                layer.bias[row] = value
            else:
                layer.weight[row, columns[name]] = value


def _write_decoder(decoder: Decoder, program: Program) -> None:
    """Decoders see [x | state] of nodes and [e | state] of edges: the state begins at column `features`."""
    for name, probe in decoder.probes.items():
        maps: Any = decoder.maps[name]
        column = program.features + program.reads[name]
        if probe.type in POINTERS and probe.location is Location.NODE:
            maps[2].weight[0, column] = 1.0
            maps[3].weight[0, 0] = SHARP
        elif probe.type in POINTERS:
            # of a pointer held as the position P: q - 2 max(P, q) is largest where q, a node's own position, is P
            pair, target, weigh = maps[2], maps[3], maps[4]
            pair.weight[0, column] = 1.0
            pair.bias[1] = -1.0  # below all positions: the second maximum is q itself
            target.weight[:2, program.nodes.index("pos")] = 1.0
            weigh.weight[0, :2] = torch.tensor([-2 * NEXT, NEXT])
        else:
            read = maps[2 if probe.location is Location.EDGE else 0]
            read.weight[0, column] = {Type.SCALAR: 1.0, Type.MASK: 2 * SHARP}.get(probe.type, SHARP)
            if probe.type is Type.MASK:
                read.bias[0] = -SHARP
