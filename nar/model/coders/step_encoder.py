"""One step's encoding: from inputs, current hints and what is remembered, what processor and decoders are given.

Inputs do not change over a rollout: they are turned into channels once, and so are the weights of the encoders.

Shapes: B graphs, N nodes, M marks; L live graphs of a step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.encoder import Encoder, RawChannels
from nar.model.options.relations import UNCHANGED, trail_of
from nar.nn.affine import AffineFeatures, ComposedWeights
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.processor import Processor, Step, rows
from nar.traces.spec import Location, Probe, Stage

Memory = dict[str, Tensor]  # operands of relations that are of the steps before


def same_hints(
    spec: Mapping[str, Probe], before: Mapping[str, Tensor], after: Mapping[str, Tensor], all_of: Callable
) -> Tensor | None:
    """Which graphs [L] of `after` have all hints as before; None: hints are in another form than before."""
    same = []
    for name, new in after.items():
        old = before[name][: len(new)]
        if old.shape != new.shape:
            return None
        same.append(all_of(spec[name], old == new))
    return torch.stack(same).all(0)


class StepEncoder:
    """The encoder of one algorithm over one rollout of a batch."""

    decoder_inputs: Callable[..., DecoderInputs] = DecoderInputs

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
        self.encoder, self.processor, self.batch, self.nodes = encoder, processor, batch, batch.nodes
        self.reads, self.progress = reads, progress
        self.linked = processor.uses_adjacency or processor.masks_decoders
        self.reference = next(encoder.parameters())
        self.weights = ComposedWeights(keep=keep)
        self.maps = {location: encoder.weights(location) for location in Location}
        self.look_up_map = encoder.with_look_ups(*self.maps[Location.EDGE])
        self.inputs, self.links = self.channels(Stage.INPUT, batch.inputs)

    def step(self, hints: Mapping[str, Tensor], memory: Memory, kept: int) -> tuple[Step, DecoderInputs]:
        """Inputs and current hints of the first `kept` samples: for the processor, and for the decoders."""
        values = {**self.first(self.batch.inputs, kept), **hints, **rows(memory, slice(0, kept))}
        fed, links = self.channels(Stage.HINT, values)
        features, edges, graph = self.features(self.first(self.inputs, kept), fed, values, kept)
        hood, shown = self.hood(edges, links, kept)
        nodes, few = features.dense(), features if features.channels.shape[-1] < features.width else None
        step = Step(nodes, graph, hood, progress=self.progress, features=few, weights=self.weights)
        read = {name: self.form(name, values) for name in self.reads}
        return step, self.decoder_inputs(few or nodes, edges, None, graph, shown, read)

    def memory(self) -> Memory:
        """What is remembered when the rollout begins; moments of traces know what was before them."""
        return self._memory(len(self.batch), self.batch.unchanged, self.batch.trails)

    def remember(self, memory: Memory, before: Mapping[str, Tensor], hints: Mapping[str, Tensor], kept: int) -> Memory:
        """The same at the next step, to which `hints` of the first `kept` samples are fed, as `before` to the last.

        Where marks have been (Relations.trails), and whose hints are all as before (none, in another form than before).
        """
        relations = self.encoder.relations
        if not relations.counts:
            return memory
        found = {}
        for mark in relations.trails:
            found[trail_of(mark)] = torch.maximum(memory[trail_of(mark)], self.form(mark, before))[:kept]
        same_B = same_hints(self.batch.spec, before, hints, self.batch.all_of)
        unchanged_B = self.reference.new_zeros(kept) if same_B is None else same_B.to(self.reference.dtype)
        return {UNCHANGED: unchanged_B, **found}

    def mixed(self, draw_B: Tensor, name: str, s: int, predicted: Tensor) -> Tensor:
        """The true hint of moment s for graphs that were drawn, the predicted one for the others, in float form."""
        truth = self.form(name, self.first({name: self.batch.hints[name][s]}, len(draw_B)))
        return torch.where(self.entries(draw_B, name, truth), truth, self.form(name, {name: predicted}))

    def encode(self, values: Mapping[str, Tensor], graphs: int) -> tuple[AffineFeatures, AffineFeatures, Tensor]:
        """Features of other values of inputs and hints together, of so many graphs, of which nothing is remembered."""
        values = {**self._memory(graphs), **values}
        inputs, fed = (
            self.encoder.encode(stage, values, self.nodes, adjacency=False)[0] for stage in (Stage.INPUT, Stage.HINT)
        )
        return self.features(inputs, fed, values, graphs)

    def features(
        self, inputs: RawChannels, hints: RawChannels, values: Mapping[str, Tensor], graphs: int
    ) -> tuple[AffineFeatures, AffineFeatures, Tensor]:
        """Features of nodes, edges and graph from raw channels; `values`: what edge pointers are looked up in."""
        made = {}
        for location, shape in self.shapes(graphs).items():
            parts = [part for part in (inputs[location], hints[location]) if part is not None]
            channels = torch.cat(parts, -1) if parts else self.reference.new_zeros(*shape, 0)
            made[location] = AffineFeatures(channels, *self.maps[location], self.weights)
        nodes, edges = made[Location.NODE], made[Location.EDGE]
        if self.encoder.look_ups:
            edges = self.encoder.look_up(values, nodes, edges, self.look_up_map)
        return nodes, edges, made[Location.GRAPH].dense()

    def _memory(self, graphs: int, unchanged_B: Tensor | None = None, trails_BMN: Tensor | None = None) -> Memory:
        marks, like = self.encoder.relations.trails, self.reference
        unchanged_B = like.new_zeros(graphs) if unchanged_B is None else unchanged_B.to(like.dtype)
        trails_BMN = like.new_zeros(graphs, len(marks), self.nodes) if trails_BMN is None else trails_BMN.to(like.dtype)
        return {UNCHANGED: unchanged_B} | {trail_of(mark): trails_BMN[:, place] for place, mark in enumerate(marks)}

    # what differs on edge lists (nar/model/coders/sparse/encoder.py)

    def first(self, values: Any, graphs: int) -> Any:
        """The rows of the first graphs."""
        return rows(values, slice(0, graphs))

    def form(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        """The float form of one of the values."""
        return self.encoder.dense(name, values, self.nodes)

    def entries(self, draw_B: Tensor, name: str, like: Tensor) -> Tensor:
        """What is said of graphs as what is said of the entries of their hint of this name."""
        return draw_B.view(-1, *[1] * (like.dim() - 1))

    def shapes(self, graphs: int) -> dict[Location, tuple[int, ...]]:
        """Of features, without their last axis."""
        n = self.nodes
        return {Location.NODE: (graphs, n), Location.EDGE: (graphs, n, n), Location.GRAPH: (graphs,)}

    def channels(self, stage: Stage, values: Mapping[str, Tensor]) -> tuple[RawChannels, Tensor | None]:
        """Raw channels of the probes of a stage, and the edges that they add where the processor follows them."""
        return self.encoder.encode(stage, values, self.nodes, adjacency=self.linked)

    def hood(self, edges: AffineFeatures, links: Tensor | None, kept: int) -> tuple[Neighbourhood, Tensor | None]:
        """The neighbourhood, and the adjacency where decoders are masked by it."""
        if not self.linked:
            return Dense(edges, self.nodes), None
        adjacency = self._self_loops.expand(kept, -1, -1)
        for found in (rows(self.links, slice(0, kept)), links):
            adjacency = adjacency if found is None else adjacency | found
        hood = Dense(edges, self.nodes, adjacency if self.processor.uses_adjacency else None)
        return hood, adjacency if self.processor.masks_decoders else None

    @functools.cached_property
    def _self_loops(self) -> Tensor:
        return torch.eye(self.nodes, dtype=torch.bool, device=self.reference.device)
