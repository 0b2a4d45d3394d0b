"""Decode: logits and values of hints and outputs (what becomes of them: postprocess.py).

Formulas of dm-clrs 2.0.3 (Ibarz et al. 2022), with d the node readout [x | H | H'], eps the edge features [e | e'] and
g the encoded graph; every map is linear with bias:

    node scalar, mask, mask_one       D d_i                                       (mask_one: one logit per node)
    node categorical                  D d_i, one logit per class
    node pointer, permutation         s[i, j] = w max(P1 d_i, P2 d_j + P3 eps[j, i]) + b
    edge scalar, mask, categorical    D1 d_i + D2 d_j + D3 eps[i, j]
    edge pointer                      s[i, j, k] = w max(D1 d_i + D2 d_j + D3 eps[i, j], D4 d_k) + b
    graph                             D1 max over i of d_i + D2 g                  (pointer: + D3 d_j for each node j)

Options: `pointer_head="additive"` (Vinyals et al. 2015) scores pointers by w tanh(sum) + b, with the same maps:

    node pointer                      s[i, j] = w tanh(P1 d_i + P2 d_j + P3 eps[j, i]) + b
    edge pointer                      s[i, j, k] = w tanh(D1 d_i + D2 d_j + D3 eps[i, j] + D4 d_k) + b

`log_n_scale` multiplies whatever a softmax over nodes follows by s log n (nar/nn/units.py; masks, numbers and classes
are left alone), `comparison_units` adds to node pointers and to edges a comparison of learned operands of d_i and d_j,
to what else lives on nodes one of two operands of d_i. In nar/model/options: `edge_pointer_repair` (edge_pointers.py);
`candidates` makes hints that are numbers a choice among exact ones (candidates.py), `selection` makes pointers and
mask_ones one that exact numbers settle (selection.py, edge_choices.py; then edge pointers need no repair), with
`like_with_like` without indicators (Spec.indicators) among the numbers. Probes that are none of what an option is for
are left alone.

A permutation's logits become the logarithm of a doubly stochastic matrix (Sinkhorn, 10 iterations at temperature 0.1,
diagonal excluded; Mena et al. 2018), with Gumbel noise while training.

Exact shortcuts: max(a, c) = a + ReLU(c - a) needs one tensor of messages instead of three; the part of eps that encodes
raw channels is composed with the decoder's map and never built; edge pointers are decoded a few targets at a time.

Shapes: B graphs, N nodes, F features, R width of d.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nar.kernels.cpu import fused, ranges
from nar.model.coders.decoder_inputs import DecoderInputs, PairView
from nar.model.options.candidates import candidates
from nar.model.options.edge_choices import EdgeChoice
from nar.model.options.edge_pointers import TripletScores, is_edge_pointer, marks, pointer_hint
from nar.model.options.selection import Selection, selects
from nar.model.postprocess import SINKHORN_STEPS, Noise, log_sinkhorn
from nar.nn import units
from nar.nn.affine import joint_linear, materialize
from nar.nn.layers import linear
from nar.traces.spec import POINTERS, Location, Probe, Spec, Stage, Type

POINTER_HEADS = ("max", "additive")
EDGE_POINTER_CHUNK_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class DecoderOptions:
    """The options of the module's docstring; ValueError for one that does not exist."""

    pointer_head: str = "max"
    log_n_scale: bool = False
    comparison_units: int = 0
    edge_pointer_repair: bool = False
    candidates: bool = False
    selection: bool = False
    like_with_like: bool = False

    def __post_init__(self) -> None:
        if self.pointer_head not in POINTER_HEADS:
            raise ValueError(f"unknown pointer_head {self.pointer_head!r}; choose one of {', '.join(POINTER_HEADS)}")
        if self.comparison_units < 0:
            raise ValueError(f"comparison_units must be 0 or more, got {self.comparison_units}")

    def check(self, specs: Mapping[str, Spec], stages: Sequence[Stage]) -> None:
        """ValueError where an option has no effect on what is decoded: on any probe of these stages."""
        decoded = [probe for spec in specs.values() for probe in spec.values() if probe.stage in stages]
        for name, used, missing in (
            ("pointer_head", map(has_pointer_head, decoded), "pointers of nodes or pairs"),
            ("log_n_scale", map(chooses_node, decoded), "outputs or hints that choose a node"),
            ("comparison_units", map(compares, decoded), "outputs or hints of nodes or pairs"),
        ):
            if getattr(self, name) != getattr(STANDARD, name) and not any(used):
                raise ValueError(f"{name} has no effect: {', '.join(specs)} has no {missing}; leave it away")


STANDARD = DecoderOptions()


class Decoder(nn.Module):
    """The maps of every output and (with `decode_hints`) every hint of one algorithm."""

    def __init__(
        self,
        spec: Spec,
        features: int,
        *,
        node_width: int,
        edge_width: int,
        options: DecoderOptions = STANDARD,
        decode_hints: bool = True,
        hints_are_fed: bool = True,
    ) -> None:
        """`features`: hidden size; `node_width`: width of d; `edge_width`: width of eps (features, or more).

        `hints_are_fed`: `decode` is given the hints that were encoded, which the repair of edge pointers reads.
        """
        super().__init__()
        self.features, self.pointer_head = features, options.pointer_head
        stages = (Stage.OUTPUT, Stage.HINT) if decode_hints else (Stage.OUTPUT,)
        self.probes = {name: p for name, p in spec.items() if p.stage in stages}
        self.maps = nn.ModuleDict()
        compared = spec.quantities if options.like_with_like else spec
        choosing = [n for n, p in self.probes.items() if options.candidates and hints_are_fed and is_number(p)]
        self.choices = nn.ModuleDict({n: candidates(n, compared, node_width, features) for n in choosing})
        selected = [n for n, p in self.probes.items() if options.selection and selects(p)]
        self.selections = nn.ModuleDict({n: Selection(spec[n], compared, features, hints_are_fed) for n in selected})
        at_edges = [n for n, p in self.probes.items() if options.selection and hints_are_fed and is_edge_pointer(p)]
        self.edge_choices = nn.ModuleDict({n: EdgeChoice(n, compared, node_width, features) for n in at_edges})
        self.pair_view = PairView(node_width, edge_width, features) if options.candidates or options.selection else None
        for name, probe in self.probes.items():
            width = probe.classes or 1
            pointer = probe.type in POINTERS
            if name in self.choices or name in self.edge_choices or (name in self.selections and _of_pairs(probe)):
                sizes = []
            elif self.pair_view is not None and probe.location is Location.EDGE and not pointer:
                sizes = [(features, width)]
            elif probe.location is Location.NODE and pointer:
                sizes = [(node_width, features), (node_width, features), (edge_width, features), (features, 1)]
            elif probe.location is Location.NODE:
                sizes = [(node_width, width)]
            elif probe.location is Location.EDGE and pointer:
                sizes = [(node_width, features), (node_width, features), (edge_width, features)]
                sizes += [(node_width, features), (features, 1)]
            elif probe.location is Location.EDGE:
                sizes = [(node_width, width), (node_width, width), (edge_width, width)]
            else:
                sizes = [(node_width, width), (features, width)] + [(node_width, 1)] * pointer
            self.maps[name] = nn.ModuleList(linear(*size) for size in sizes)
        self.scales, self.comparisons, self.triplets = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name, probe in self.probes.items():
            if options.log_n_scale and chooses_node(probe):
                self.scales[name] = units.LogScale()
            if options.comparison_units and compares(probe) and name not in self.choices:
                width = probe.classes or 1
                self.comparisons[name] = units.Comparison(node_width, node_width, width, units=options.comparison_units)
        self.pointer_hints = {name: pointer_hint(name, spec) for name in self.probes} if hints_are_fed else {}
        self.marks = marks(spec)
        for name, probe in self.probes.items():
            if options.edge_pointer_repair and is_edge_pointer(probe) and name not in self.edge_choices:
                fed = self.pointer_hints.get(name) is not None
                self.triplets[name] = TripletScores(node_width, edge_width, fed=fed, marks=len(self.marks))

    def stage(self, stage: Stage) -> dict[str, Probe]:
        return {name: p for name, p in self.probes.items() if p.stage == stage}

    def reads(self) -> list[str]:
        """The inputs and hints of which `decode` needs the values that were encoded."""
        hints = {hint for name in self.triplets if (hint := self.pointer_hints.get(name)) is not None}
        wanted = [*sorted(hints), *self.marks] if hints else []
        modules = [*self.choices.values(), *self.edge_choices.values(), *self.selections.values()]
        return list(dict.fromkeys([*wanted, *(name for module in modules for name in module.reads())]))  # type: ignore[operator]

    def decode(self, stage: Stage, inputs: DecoderInputs, noise: Noise = False) -> dict[str, Any]:
        """Logits and values (of candidates: a Choice) of one stage's probes; `noise`: Gumbel noise on permutations."""
        if self.pair_view is not None and self.stage(stage):
            inputs = dataclasses.replace(inputs, pairs=self.pair_view(inputs))
        found: dict[str, Any] = {}
        for name, probe in self.stage(stage).items():
            if name in self.choices or name in self.edge_choices:
                found[name] = inputs.chosen((self.choices if name in self.choices else self.edge_choices)[name])
            elif name in self.selections and _of_pairs(probe):
                found[name] = inputs.chosen(self.selections[name], None)
        probes = {name: probe for name, probe in self.stage(stage).items() if name not in found}
        if not probes:
            return found
        maps_of = {name: list(self.maps[name]) for name in probes}  # type: ignore[arg-type]
        of_nodes = {name: self._node_maps(probe, maps_of[name]) for name, probe in probes.items()}
        together = [layer for layers in of_nodes.values() for layer in layers]
        values = iter(joint_linear(together, inputs.nodes, inputs.edges.weights)) if together else iter(())
        by_location = {Location.NODE: self._node, Location.EDGE: self._edge, Location.GRAPH: self._graph}
        for name, probe in probes.items():
            own = [next(values) for _ in of_nodes[name]]
            logits = by_location[probe.location](probe, maps_of[name], own, inputs)
            if name in self.triplets:
                hint = self.pointer_hints.get(name)
                pointer_state = None if hint is None else inputs.values[hint]
                marked = [inputs.values[mark] for mark in self.marks if mark in inputs.values]
                logits = logits + self.triplets[name](inputs, pointer_state, marked)
            if name in self.comparisons:
                logits = logits + self._compared(name, probe, materialize(inputs.nodes))
            if name in self.scales:
                logits = self.scales[name](logits, inputs.edges.channels.shape[1])
            if inputs.adjacency is not None and _masked(probe):
                lowest = logits.flatten(1).amin(1).view(-1, *[1] * (logits.dim() - 1))
                logits = torch.where(inputs.adjacency, logits, torch.clamp(lowest - 1.0, max=-1.0))
            if probe.type is Type.PERMUTATION_POINTER:
                logits = log_sinkhorn(logits, SINKHORN_STEPS, noise=noise)
            found[name] = self.selections[name](logits, inputs) if name in self.selections else logits
        return found

    def _node_maps(self, probe: Probe, maps: list[nn.Linear]) -> list[nn.Linear]:
        """Those of a probe's maps that are of d, which `decode` computes for all probes in one product."""
        if probe.location is Location.GRAPH:  # its first map is of the maximum over nodes
            return maps[2:]
        if probe.location is Location.EDGE and probe.type in POINTERS:
            return [maps[0], maps[1], maps[3]]
        if probe.location is Location.EDGE and self.pair_view is not None:
            return []
        return maps[:2]

    def _node(self, probe: Probe, maps: list[nn.Linear], own: list[Tensor], inputs: DecoderInputs) -> Any:
        if probe.type not in POINTERS:
            found = own[0] if probe.type is Type.CATEGORICAL else own[0].squeeze(-1)
            return inputs.among_nodes(found) if probe.type is Type.MASK_ONE else found
        own_BNF, other_BNF = own
        edge, weigh = maps[2:]
        return inputs.pointer_scores(own_BNF, other_BNF, edge, weigh, self.pointer_head == "additive")

    def _edge(self, probe: Probe, maps: list[nn.Linear], own: list[Tensor], inputs: DecoderInputs) -> Any:
        if inputs.pairs is not None and probe.type not in POINTERS:
            found = maps[0](inputs.pairs)
            return inputs.as_predicted(found if probe.type is Type.CATEGORICAL else found.squeeze(-1))
        pair = inputs.pairs_of(own[0], own[1], maps[2])
        if probe.type not in POINTERS:
            return inputs.as_predicted(pair if probe.type is Type.CATEGORICAL else pair.squeeze(-1))
        target_BNF, weigh = own[2], maps[4]
        additive = self.pointer_head == "additive"
        if not additive and ranges.usable(pair, target_BNF):
            return fused.edge_pointer_scores(pair, target_BNF, weigh.weight.flatten()) + weigh.bias
        chunk = max(1, EDGE_POINTER_CHUNK_BYTES // (pair.numel() * pair.element_size()))
        pair_BIJ1F, parts = pair.unsqueeze(3), []
        for target_B11KF in target_BNF[:, None, None].split(chunk, dim=3):
            messages = torch.tanh(target_B11KF + pair_BIJ1F) if additive else torch.relu(target_B11KF - pair_BIJ1F)
            parts.append(weigh(messages).squeeze(-1))
        scores = torch.cat(parts, dim=-1)
        return scores if additive else scores + torch.matmul(pair, weigh.weight.flatten()).unsqueeze(-1)

    def _compared(self, name: str, probe: Probe, nodes_BNR: Tensor) -> Tensor:
        unit: units.Comparison = self.comparisons[name]  # type: ignore[assignment]
        one, other = unit.operands(nodes_BNR, nodes_BNR)
        pairs = probe.location is Location.EDGE or probe.type in POINTERS
        found = unit.compare(one.unsqueeze(2), other.unsqueeze(1)) if pairs else unit.compare(one, other)
        return found if probe.type is Type.CATEGORICAL else found.squeeze(-1)

    def _graph(self, probe: Probe, maps: list[nn.Linear], own: list[Tensor], inputs: DecoderInputs) -> Tensor:
        value = maps[0](inputs.largest()) + maps[1](inputs.graph)
        if probe.type in POINTERS:
            return inputs.among_nodes(value + own[0].squeeze(-1))
        return value if probe.type is Type.CATEGORICAL else value.squeeze(-1)


def _of_pairs(probe: Probe) -> bool:
    """Does every node point to one?"""
    return probe.location is Location.NODE and probe.type is Type.POINTER


def is_number(probe: Probe) -> bool:
    """Is it a number that is written down on the way?"""
    return probe.stage is Stage.HINT and probe.type is Type.SCALAR


def has_pointer_head(probe: Probe) -> bool:
    """Is it scored by comparing every node with what points? (A graph's pointer is a sum over one node.)"""
    return probe.type in POINTERS and probe.location is not Location.GRAPH


def chooses_node(probe: Probe) -> bool:
    """Does a softmax (or Sinkhorn) over nodes follow?"""
    return probe.type in POINTERS or probe.type is Type.MASK_ONE


def compares(probe: Probe) -> bool:
    """Can comparison units say something of it?"""
    return probe.location is Location.NODE or (probe.location is Location.EDGE and probe.type not in POINTERS)


def _masked(probe: Probe) -> bool:
    masked = {Location.NODE: POINTERS, Location.EDGE: frozenset({Type.MASK, Type.MASK_ONE})}
    return probe.type in masked.get(probe.location, ())
