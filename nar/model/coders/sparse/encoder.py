"""Encode traces on edges: the maps of an Encoder, whose edge channels [E, K] are a row per edge.

Pointers of nodes live on the edge from who points to whom, as in the dense layout. What a node can be connected to is
said by the graph alone: hints add no edges.

Shapes: B graphs, N nodes, E edges, K edge channels.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nar.model.coders.decoder import Decoder
from nar.model.coders.encoder import Encoder, RawChannels
from nar.model.coders.forms import dense, place
from nar.model.coders.sparse import choices
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.coders.sparse.decoder_inputs import SparseDecoderInputs
from nar.model.coders.sparse.relations import EdgeRelations
from nar.model.coders.step_encoder import StepEncoder
from nar.nn.affine import AffineFeatures
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Processor, Step
from nar.nn.sparse import segments
from nar.nn.sparse.edge_list import EdgeList
from nar.nn.sparse.hood import Sparse
from nar.nn.sparse.predictions import pointed
from nar.traces.sparse.trace import check_spec
from nar.traces.spec import POINTERS, Location, Probe, Spec, Stage, Type


def on_edges(probe: Probe) -> bool:
    """Has it a number for every edge?"""
    return probe.location is Location.EDGE or (probe.location is Location.NODE and probe.type in POINTERS)


def form(probe: Probe, value: Tensor, edges: EdgeList, dtype: torch.dtype) -> Tensor:
    """The float form that is encoded (encoder.dense): pointers of nodes as a number for every edge [E], at the edge
    that arrives at who points; floating ones have that form already."""
    if probe.location is Location.NODE and probe.type in POINTERS:
        return value if value.is_floating_point() else pointed(value, edges).to(dtype)
    return dense(probe, value, edges.nodes, dtype)


class SparseStepEncoder(StepEncoder):
    """The same questions as StepEncoder is asked, over one rollout of a SparseBatch."""

    batch: SparseBatch

    def __init__(self, encoder: Encoder, processor: Processor, batch: SparseBatch, **options: Any) -> None:
        self.asker, self.edges = type(processor).__name__, batch.edges
        self.decoder_inputs = functools.partial(SparseDecoderInputs, edge_list=batch.edges)
        super().__init__(encoder, processor, batch, **options)

    def first(self, values: Any, graphs: int) -> Any:
        return values  # every graph is kept

    def form(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        if name not in self.encoder.probes:  # what is remembered of the steps before
            return values[name]
        return form(self.encoder.probes[name], values[name], self.edges, self.reference.dtype)

    def entries(self, draw_B: Tensor, name: str, like: Tensor) -> Tensor:
        draw = draw_B.index_select(0, self.edges.graph) if on_edges(self.encoder.probes[name]) else draw_B
        return super().entries(draw, name, like)

    def shapes(self, graphs: int) -> dict[Location, tuple[int, ...]]:
        return super().shapes(graphs) | {Location.EDGE: (len(self.edges),)}

    def channels(self, stage: Stage, values: Mapping[str, Tensor]) -> tuple[RawChannels, None]:
        parts: dict[Location, list[Tensor]] = {location: [] for location in Location}
        for name, probe in self.encoder.stage(stage).items():
            if name not in self.encoder.maps:
                continue
            value = self.form(name, values)
            if probe.location is Location.NODE and probe.type in POINTERS:
                value = segments.of_twins(value, self.edges)
            parts[place(probe)].append(value if probe.type is Type.CATEGORICAL else value.unsqueeze(-1))
        if isinstance(self.encoder.relations, EdgeRelations):

            def operand(name: str) -> Tensor:
                return self.encoder.quantity(name, self.form(name, values))

            for location, found in self.encoder.relations.along(stage, operand, self.edges):
                parts[location].append(found)
        return {key: torch.cat(found, dim=-1) if found else None for key, found in parts.items()}, None

    def hood(self, edges: AffineFeatures, links: Tensor | None, kept: int) -> tuple[Neighbourhood, None]:
        return Sparse(edges, self.edges, self.asker), None


def check(algorithm: str, encoder: Encoder, decoder: Decoder, processor: Processor) -> None:
    """ValueError where something needs all pairs of nodes."""
    check_spec(algorithm, Spec({**encoder.probes, **decoder.probes}))
    asker = type(processor).__name__
    if processor.needs_pairs or processor.edge_readout:
        raise ValueError(
            f"{asker} keeps or compares all pairs of nodes, which the sparse layout does not have; choose a processor "
            "that follows the graph's edges (pgn, gat, gin, lcm_masked, rnar_masked, ...) or --layout dense"
        )
    with torch.no_grad():  # whom it listens to shows on one node, too
        x_11F = torch.zeros(1, 1, processor.features).to(next(encoder.parameters()))
        loop = EdgeList.of([(1, torch.zeros(2, 1, dtype=torch.long, device=x_11F.device))])
        hood = Sparse(AffineFeatures.of(x_11F[0]), loop, asker)
        processor(Step(x_11F, x_11F[0], hood), processor.initial_state(1, 1, x_11F))
    for module in (*decoder.choices.values(), *decoder.edge_choices.values(), *decoder.selections.values()):
        choices.check(module)
    if encoder.relation_maps and not isinstance(encoder.relations, EdgeRelations):
        raise ValueError("relations of all pairs of nodes were learned; the sparse layout has others: train with it")
    options = {
        "edge_pointer_repair": encoder.look_ups or decoder.triplets,
        "comparison_units": decoder.comparisons,
        "log_n_scale": decoder.scales,
    }
    for name, used in options.items():
        if used:
            raise ValueError(
                f"{name} looks at all pairs of nodes, which the sparse layout does not have; leave it away"
            )
