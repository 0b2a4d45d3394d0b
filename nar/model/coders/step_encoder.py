"""One step encoded: inputs and current hints become what the processor and the decoders are given.

Inputs do not change over a rollout: they are turned into channels once, and so are the weights of the encoders.

Shapes: B graphs, N nodes, F features; L graphs that are computed at a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.encoder import Encoder, RawChannels, dense
from nar.nn.affine import AffineFeatures, ComposedWeights
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor, Step, rows
from nar.traces.spec import Location, Stage


class StepEncoder:
    """The encoder of one algorithm over one rollout of a batch."""

    def __init__(
        self,
        encoder: Encoder,
        processor: Processor,
        batch: Batch,
        *,
        reads: Sequence[str] = (),
        progress: float = 1.0,
        keep: bool = True,
    ) -> None:
        """`reads`: hints that the decoders read; `keep`: composed weights are kept for the whole rollout."""
        self.encoder, self.batch, self.nodes = encoder, batch, batch.nodes
        self.reads, self.progress = reads, progress
        self.follow, self.mask = processor.uses_adjacency, processor.masks_decoders
        self.reference = next(encoder.parameters())
        self.weights = ComposedWeights(keep=keep)
        self.maps = {location: encoder.weights(location) for location in Location}
        self.look_up_map = encoder.with_look_ups(*self.maps[Location.EDGE])
        self.inputs, self.links = encoder.encode(
            Stage.INPUT, batch.inputs, batch.nodes, adjacency=self.follow or self.mask
        )
        self.self_loops = torch.eye(batch.nodes, dtype=torch.bool, device=self.reference.device)

    def step(self, hints: Mapping[str, Tensor], kept: int) -> tuple[Step, DecoderInputs]:
        """Inputs and current hints of the first `kept` samples: for the processor, and for the decoders."""
        some, masked = slice(0, kept), self.follow or self.mask
        fed, links = self.encoder.encode(Stage.HINT, hints, self.nodes, adjacency=masked)
        inputs = rows(self.inputs, some)
        values = {**rows(self.batch.inputs, some), **hints} if self.encoder.look_ups else hints
        features, edges, graph = self.features(inputs, fed, values, kept)
        nodes, adjacency = features.dense(), None
        if masked:
            adjacency = self.self_loops.expand(kept, -1, -1)
            for found in (rows(self.links, some), links):
                adjacency = adjacency if found is None else adjacency | found
        few = features if features.channels.shape[-1] < features.width else None
        read = {n: dense(self.encoder.probes[n], hints[n], self.nodes, nodes.dtype) for n in self.reads}
        hood = Dense(edges, self.nodes, adjacency if self.follow else None)
        step = Step(nodes, graph, hood, progress=self.progress, features=few, weights=self.weights)
        return step, DecoderInputs(few or nodes, edges, None, graph, adjacency if self.mask else None, read)

    def encode(self, values: Mapping[str, Tensor], graphs: int) -> tuple[AffineFeatures, AffineFeatures, Tensor]:
        """Features of other values of inputs and hints together, of so many graphs."""
        inputs, fed = (
            self.encoder.encode(stage, values, self.nodes, adjacency=False)[0] for stage in (Stage.INPUT, Stage.HINT)
        )
        return self.features(inputs, fed, values, graphs)

    def features(
        self, inputs: RawChannels, hints: RawChannels, values: Mapping[str, Tensor], graphs: int
    ) -> tuple[AffineFeatures, AffineFeatures, Tensor]:
        """Features of nodes, edges and graph from raw channels; `values`: what edge pointers are looked up in."""

        def joined(location: Location, *shape: int) -> AffineFeatures:
            parts = [part for part in (inputs[location], hints[location]) if part is not None]
            channels = torch.cat(parts, -1) if parts else self.reference.new_zeros(graphs, *shape, 0)
            return AffineFeatures(channels, *self.maps[location], self.weights)

        nodes = joined(Location.NODE, self.nodes)
        edges = joined(Location.EDGE, self.nodes, self.nodes)
        if self.encoder.look_ups:
            edges = self.encoder.look_up(values, nodes, edges, self.look_up_map)
        return nodes, edges, joined(Location.GRAPH).dense()
