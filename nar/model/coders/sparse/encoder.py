"""Encode traces on edges: the maps of an Encoder, whose edge channels [E, K] are a row per edge.

Pointers of nodes live on the edge from who points to whom, as in the dense layout. What a node can be connected to is
said by the graph alone: hints add no edges.

Shapes: B graphs, N nodes, E edges, K edge channels.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nar.model.coders.decoder import Decoder
from nar.model.coders.encoder import Encoder, RawChannels, StepEncoder, dense, place
from nar.model.coders.sparse import choices
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.coders.sparse.decoder_inputs import SparseDecoderInputs
from nar.model.coders.sparse.relations import EdgeRelations
from nar.nn.affine import AffineFeatures, ComposedWeights
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

    def __init__(
        self,
        encoder: Encoder,
        processor: Processor,
        batch: SparseBatch,
        *,
        reads: Sequence[str] = (),
        progress: float = 1.0,
        keep: bool = True,
    ) -> None:
        self.asker = type(processor).__name__
        self.encoder, self.batch, self.edges, self.progress = encoder, batch, batch.edges, progress
        self.reads, self.nodes = reads, batch.nodes
        self.reference = next(encoder.parameters())
        self.weights = ComposedWeights(keep=keep)
        self.maps = {location: encoder.weights(location) for location in Location}
        self.inputs = self._channels(Stage.INPUT, batch.inputs)

    def step(
        self, hints: Mapping[str, Tensor], kept: int, unchanged: Tensor | None = None, trails: Tensor | None = None
    ) -> tuple[Step, SparseDecoderInputs]:
        """Inputs and current hints, for the processor and for the decoders; every graph is kept."""
        graphs, nodes = len(self.batch), self.edges.nodes
        values = {**self.batch.inputs, **hints, **self.history(graphs, unchanged, trails)}
        fed = self._channels(Stage.HINT, values)
        shapes = {Location.NODE: (graphs, nodes), Location.EDGE: (len(self.edges),), Location.GRAPH: (graphs,)}
        made = {}
        for location, shape in shapes.items():
            parts = [part for part in (self.inputs[location], fed[location]) if part is not None]
            channels = torch.cat(parts, -1) if parts else self.reference.new_zeros(*shape, 0)
            made[location] = AffineFeatures(channels, *self.maps[location], self.weights)
        features, edges, graph = made[Location.NODE], made[Location.EDGE], made[Location.GRAPH].dense()
        few = features if features.channels.shape[-1] < features.width else None
        hood = Sparse(edges, self.edges, self.asker)
        step = Step(features.dense(), graph, hood, progress=self.progress, features=few, weights=self.weights)
        read = {name: self._form(name, values) for name in self.reads}
        return step, SparseDecoderInputs(few or step.nodes, edges, None, graph, None, read, edge_list=self.edges)

    def _form(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        if name not in self.encoder.probes:  # what is known of the steps before
            return values[name]
        return form(self.encoder.probes[name], values[name], self.edges, self.reference.dtype)

    def mixed(self, draw_B: Tensor, name: str, s: int, predicted: Tensor) -> Tensor:
        """The true hint of moment s for graphs that were drawn, the predicted one for the others, in float form."""
        probe, truth = self.batch.spec[name], self.batch.hints[name][s]
        truth, predicted = (form(probe, value, self.edges, self.reference.dtype) for value in (truth, predicted))
        draw = draw_B.index_select(0, self.edges.graph) if on_edges(probe) else draw_B
        return torch.where(draw.view(-1, *[1] * (truth.dim() - 1)), truth, predicted)

    def _channels(self, stage: Stage, values: Mapping[str, Tensor]) -> RawChannels:
        parts: dict[Location, list[Tensor]] = {location: [] for location in Location}
        for name, probe in self.encoder.stage(stage).items():
            if name not in self.encoder.maps:
                continue
            value = self._form(name, values)
            if probe.location is Location.NODE and probe.type in POINTERS:
                value = segments.of_twins(value, self.edges)
            parts[place(probe)].append(value if probe.type is Type.CATEGORICAL else value.unsqueeze(-1))
        if isinstance(self.encoder.relations, EdgeRelations):

            def operand(name: str) -> Tensor:
                return self.encoder.quantity(name, self._form(name, values))

            for location, found in self.encoder.relations.along(stage, operand, self.edges):
                parts[location].append(found)
        return {key: torch.cat(found, dim=-1) if found else None for key, found in parts.items()}


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
