"""Encode: every probe by a linear map of its own, summed into node, edge and graph features.

Pointers on nodes are edge features, edge pointers are averaged over their first and over their second node, everything
else goes where it lives (Ibarz et al. 2022; dm-clrs 2.0.3). Contributions are summed, so

    nodes_BNF = sum over probes of  channels_BNC @ weight_CF + bias_F,

and likewise for edges, where the raw channels are few (at most six in CLRS-30) and features are never built
(nar/nn/affine.py).

Shapes: B graphs, N nodes, F features, C classes, K edge channels.
"""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nar.model.coders.forms import channels, dense, place
from nar.model.coders.sparse.relations import EdgeRelations
from nar.model.options.edge_pointers import LookUp, is_edge_pointer
from nar.model.options.relation_kinds import BEYOND
from nar.model.options.relations import Relations
from nar.nn.affine import AffineFeatures
from nar.nn.layers import linear
from nar.traces.spec import POINTERS, Location, Probe, Spec, Stage, Type

RELATIONS = ("none", "beside", "instead")
RawChannels = dict[Location, Tensor | None]  # of every location, [B, (N, (N,)) C]; None: no probe lives there


class Encoder(nn.Module):
    """One linear map per input and hint probe of one algorithm (two for an edge pointer).

    `init`: `xavier_on_scalars` (the protocol's) draws the maps of scalar hints with deviation 1/sqrt(features) instead
    of 1/sqrt(fan_in) = 1; `default` treats all alike. `relations`: order relations of scalars are encoded beside them
    or instead of them, `trails`: with where marks have been, `like_with_like`: positions are compared among themselves
    and indicators (Spec.indicators) encoded as they are (nar/model/options/relations.py; of the `layout` sparse, those
    along edges). `edge_pointer_repair`: pairs look up what their edge pointers point to
    (nar/model/options/edge_pointers.py).
    """

    def __init__(
        self,
        spec: Spec,
        features: int,
        *,
        encode_hints: bool = True,
        init: str = "xavier_on_scalars",
        relations: str = "none",
        trails: bool = False,
        like_with_like: bool = False,
        edge_pointer_repair: bool = False,
        layout: str = "dense",
    ) -> None:
        super().__init__()
        if relations not in RELATIONS:
            raise ValueError(f"unknown relations {relations!r}; choose one of {', '.join(RELATIONS)}")
        if init not in ("xavier_on_scalars", "default"):
            raise ValueError(f"unknown encoder initialisation {init!r}; choose xavier_on_scalars or default")
        self.features, self.indicators = features, spec.indicators
        stages = (Stage.INPUT, Stage.HINT) if encode_hints else (Stage.INPUT,)
        self.probes = {name: p for name, p in spec.items() if p.stage in stages}
        compared = {name: p for name, p in self.probes.items() if not like_with_like or name not in spec.indicators}
        self.maps = nn.ModuleDict()
        for name, probe in self.probes.items():
            if relations == "instead" and probe.type is Type.SCALAR and name in compared:
                continue
            scalar_hint = probe.stage is Stage.HINT and probe.type is Type.SCALAR
            std = features**-0.5 if init == "xavier_on_scalars" and scalar_hint else None
            count = 2 if probe.location is Location.EDGE and probe.type in POINTERS else 1
            self.maps[name] = nn.ModuleList(linear(probe.classes or 1, features, std=std) for _ in range(count))
        kind = EdgeRelations if layout == "sparse" else Relations
        wanted = stages if relations != "none" else ()
        self.relations = kind(compared, wanted, trails=trails, like_with_like=like_with_like)
        self.relation_maps = nn.ModuleDict()
        for (stage, location), count in self.relations.counts.items():
            self.relation_maps[f"{stage}_{location}"] = linear(count, features)
        self.look_ups = nn.ModuleDict()
        if edge_pointer_repair:
            width = {place: self.weights(place)[0].shape[0] for place in Location}
            for name, probe in self.probes.items():
                if is_edge_pointer(probe):
                    self.look_ups[name] = LookUp(width[Location.NODE], width[Location.EDGE], features)

    def stage(self, stage: Stage) -> dict[str, Probe]:
        return {name: p for name, p in self.probes.items() if p.stage == stage}

    def weights(self, location: Location, stage: Stage | None = None) -> tuple[Tensor, Tensor]:
        """Weight [C, F] and bias [F] from all raw channels of a location to its features, in the order of `encode`.

        With `stage`, only the rows of that stage's probes.
        """
        reference = next(self.parameters())
        layers: list[nn.Linear] = []
        for wanted in (Stage.INPUT, Stage.HINT) if stage is None else (stage,):
            for name, probe in self.stage(wanted).items():
                if place(probe) is location and name in self.maps:
                    layers += self.maps[name]  # type: ignore[arg-type]
            if (key := f"{wanted}_{location}") in self.relation_maps:
                layers.append(self.relation_maps[key])  # type: ignore[arg-type]
        if not layers:
            return reference.new_zeros(0, self.features), reference.new_zeros(self.features)
        weight = torch.cat([layer.weight.t() for layer in layers])
        # one by one: the sum of a stack would give all biases one gradient tensor, which clipping scales once for each
        return weight, functools.reduce(torch.add, [layer.bias for layer in layers])

    def encode(
        self, stage: Stage, values: Mapping[str, Tensor], nodes: int, *, adjacency: bool
    ) -> tuple[RawChannels, Tensor | None]:
        """Raw channels of the probes of one stage; `values` are compact or soft, for hints those of inputs as well.

        `adjacency`: with it, bool [B, N, N], symmetric, without self-loops unless the probes have them.
        """
        dtype = next(self.parameters()).dtype
        parts: dict[Location, list[Tensor]] = {location: [] for location in Location}
        linked: Tensor | None = None
        for name, probe in self.stage(stage).items():
            found = channels(probe, values[name], nodes, dtype)
            if name in self.maps:
                parts[place(probe)] += found
            if adjacency:
                links = _links(probe, found[0])
                linked = links if linked is None else linked if links is None else linked | links
        for location, found in self.relations.channels(stage, lambda name: self.operand(name, values, nodes)):
            parts[location].append(found)
        return {key: torch.cat(value, dim=-1) if value else None for key, value in parts.items()}, linked

    def dense(self, name: str, values: Mapping[str, Tensor], nodes: int) -> Tensor:
        """The float form of one of the values."""
        if name not in self.probes:  # what is known of the steps before
            return values[name]
        return dense(self.probes[name], values[name], nodes, next(self.parameters()).dtype)

    def operand(self, name: str, values: Mapping[str, Tensor], nodes: int) -> Tensor:
        """The form of one of the values that relations compare."""
        return self.quantity(name, self.dense(name, values, nodes))

    def quantity(self, name: str, value: Tensor) -> Tensor:
        """What an indicator counts as where numbers are compared; others are as they are."""
        return value * BEYOND if name in self.indicators else value

    def with_look_ups(self, weight_KF: Tensor, bias_F: Tensor) -> tuple[Tensor, Tensor]:
        """The map of the channels of `look_up`, from that of the edges' own; the same without edge pointer repair."""
        if not self.look_ups:
            return weight_KF, bias_F
        weights, biases = zip(*(module.weights() for module in self.look_ups.values()), strict=True)  # type: ignore[operator]
        return torch.cat([weight_KF, *weights]), functools.reduce(torch.add, biases, bias_F)

    def look_up(
        self, values: Mapping[str, Tensor], nodes: AffineFeatures, edges: AffineFeatures, after: tuple[Tensor, Tensor]
    ) -> AffineFeatures:
        """The edges, and what their edge pointers point to.

        `values`: of inputs and current hints; `after`: the map that `with_look_ups` gave.
        """
        found, x_BNF = [edges.channels], nodes.dense()
        for name, module in self.look_ups.items():
            pointer_BNNN = dense(self.probes[name], values[name], x_BNF.shape[1], x_BNF.dtype)
            found.append(module(pointer_BNNN, nodes.channels, x_BNF, edges))
        return AffineFeatures(torch.cat(found, dim=-1), *after, edges.weights)


def _links(probe: Probe, channels_BNN1: Tensor) -> Tensor | None:
    """The edges a probe adds to the adjacency of PGN and GAT: node pointers above one half and edge masks, symmetric.

    As in the reference, a mask fed back softly is a sigmoid, hence positive everywhere: from the second step on such
    algorithms see a complete graph unless hints are fed back hard.
    """
    if probe.location is Location.NODE and probe.type in POINTERS:
        threshold = 0.5
    elif probe.location is Location.EDGE and probe.type is Type.MASK:
        threshold = 0.0
    else:
        return None
    value = channels_BNN1.detach().squeeze(-1)
    return value + value.transpose(1, 2) > threshold
