"""The rollout: one step of the algorithm after the other, predicted hints encoded again.

A sample with T hint snapshots takes max(1, T - 1) steps. Step s is given the hints of moment s and predicts those of
moment s + 1. The first step gets the true initial hints; every later one gets the predictions of the step before,
softly (probabilities, gradients flow), hard (indices, no gradient) or straight through (decided values, gradients of
the probabilities), or while training, with probability `teacher_forcing` per sample and step, the true hints. The
outputs of a sample are those of its last step. These are the semantics of dm-clrs 2.0.3 (which knows soft and hard),
whose number of steps, too, is an oracle: it comes from the trace.

How it is computed is nar's own: samples leave the batch after their last step (they are ordered by length; in a
FixedBatch all stay, see fixed_shapes.py), outputs are decoded once per sample instead of at every step, constant inputs
are turned into channels once, weights that act on encoded edges are composed with the encoders once. With `recompute`,
only what passes from step to step is kept for the backward pass, which computes the rest of a step again.

Shapes: B graphs, N nodes, T moments, F features; L live graphs of a step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nar.lookup import suggest
from nar.model.batch import Batch
from nar.model.decoder import Decoder
from nar.model.decoder_inputs import FinishedViews, LatestViews, View
from nar.model.encoder import EdgeMap, Edges, Encoded, Encoder, dense
from nar.model.fixed_shapes import FixedBatch
from nar.model.options.reconstruction import Misses, masked_values
from nar.model.postprocess import Noise, feed_back
from nar.model.termination import OpenBatch, check_termination, unchanged
from nar.nn.layers import Factored, built, stacks_kept
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Notes, Step, rows
from nar.traces.spec import Location, Stage

if TYPE_CHECKING:
    from nar.model.reasoner import Reasoner

ENCODED = (Stage.INPUT, Stage.HINT)
GRANULE = 4  # finished samples are dropped when at least so many can go


@dataclasses.dataclass
class Rollout:
    """What a rollout predicts: raw logits and values, as decoded."""

    outputs: dict[str, Tensor]  # [B, ...], each sample's from its own last step
    hints: list[
        dict[str, Tensor]
    ]  # per step s, the predictions [L, ...] of moment s + 1 for the L samples that have one
    states: list[Any] | None = None  # the processor's state after every step, where asked for
    penalties: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # of the processor, for the loss
    measures: dict[str, list[Tensor]] = dataclasses.field(default_factory=dict)  # of the processor, [L] per step
    halts: list[Tensor] = dataclasses.field(default_factory=list)  # logits of the halting head after every step
    step_outputs: list[dict[str, Tensor]] = dataclasses.field(default_factory=list)  # after every step, to ponder on
    taken: Tensor | None = None  # steps [B] until each sample stopped, where that was its own decision


def roll_out(reasoner: Reasoner, batch: Batch, *, recompute: bool = False, **options: Any) -> Rollout:
    """See Reasoner.forward, which this is the body of."""
    # draws from a generator of the caller's would not be the same again
    recompute &= torch.is_grad_enabled() and options.get("generator") is None and reasoner.reconstruction is None
    with contextlib.nullcontext() if recompute else stacks_kept():
        return _roll_out(reasoner, batch, recompute=recompute, **options)


def _roll_out(
    reasoner: Reasoner,
    batch: Batch,
    *,
    teacher_forcing: float,
    generator: torch.Generator | None,
    keep_states: bool,
    gumbel: bool,
    decide_hints: bool,
    progress: float,
    recompute: bool,
    termination: str,
    limit: int | None,
) -> Rollout:
    if batch.algorithm not in reasoner.specs:
        raise ValueError(suggest("algorithm", batch.algorithm, reasoner.specs, "this reasoner was not built for it"))
    encoder, decoder = reasoner.coders(batch.algorithm)
    halting = reasoner.halting_head(batch.algorithm)
    if termination != "oracle":
        check_termination(termination, reasoner, halting)
        batch = OpenBatch.of_batch(batch, limit)
    ponders = reasoner.halting == "ponder" and reasoner.training
    run = _Run(reasoner, encoder, decoder, batch, progress if reasoner.training else 1.0)
    feedback = reasoner.hint_feedback
    if feedback == "hard_on_eval":
        feedback = "soft" if reasoner.training else "hard"
    noise: Noise = False
    if reasoner.training and gumbel:
        noise = batch.uniform if isinstance(batch, FixedBatch) else generator or True
    forcing = teacher_forcing if reasoner.training else 0.0

    state = reasoner.processor.initial_state(len(batch), batch.nodes, run.reference)
    hints = {name: value[0] for name, value in batch.hints.items()}
    predictions: list[dict[str, Tensor]] = []
    latest: dict[str, Tensor] = {}
    last_views = LatestViews(batch) if isinstance(batch, FixedBatch | OpenBatch) else FinishedViews(batch)
    halts: list[Tensor] = []
    step_outputs: list[dict[str, Tensor]] = []
    decided: dict[str, Tensor] = {}
    states: list[Any] | None = [] if keep_states else None
    kept = len(batch)
    misses = Misses()

    def advance(state: Any, hints: dict[str, Tensor], s: int, kept: int) -> tuple[Any, View, dict[str, Tensor], Notes]:
        """The state after step s, what decoders see of it, the predicted hints, and what the processor noted."""
        step, view = run.step(hints, kept, afresh=recompute)
        if reasoner.reconstruction is not None:
            step, view = reasoner.reconstruction.enrich(
                batch, run, step, view, state, hints, batch.live(s), misses, noise=noise, generator=generator
            )
        after = _process(reasoner, step, state)
        view = view.after(reasoner.processor.readout(step, state, after))
        told = {} if reasoner.hint_mode == "none" else view.decode(decoder, Stage.HINT, noise)
        return after, view, told, step.notes

    for s in range(batch.steps):
        if s > 0:
            # kept in steps of a few samples: matrix libraries prepare a kernel for every new shape that they meet
            kept = min(kept, -(-batch.live(s) // GRANULE) * GRANULE)
            state = rows(state, slice(0, kept))
            if reasoner.hint_mode == "encoded_decoded":
                predicted = {name: rows(value, slice(0, kept)) for name, value in latest.items()}
                hints = feed_back(batch.spec, predicted, how=feedback)
                if forcing > 0:
                    hints = _force(batch, s, hints, forcing, generator, run.reference.dtype)
        if recompute:
            state, view, latest, notes = checkpoint(advance, state, hints, s, kept, use_reentrant=False)  # type: ignore[misc]
            view = dataclasses.replace(view, edges=Edges(view.edges.channels_BNNK, run.looked_up))
        else:
            state, view, latest, notes = advance(state, hints, s, kept)
        run.notes.add(notes)
        last_views.add(view, s)
        if reasoner.hint_mode != "none":
            told = {name: rows(value, slice(0, batch.told(s))) for name, value in latest.items()}
            predictions.append(feed_back(batch.spec, told, how="hard") if decide_hints else told)
        if states is not None:
            states.append(state)
        # with pondering the head is not told the end, and in evaluation it is asked only where it decides
        if halting is not None and (ponders or reasoner.halting == "supervised" or termination == "learned"):
            halts.append(halting(built(view.nodes), view.graph))
        if ponders:
            step_outputs.append(view.decode(decoder, Stage.OUTPUT, noise))
        if isinstance(batch, OpenBatch):
            if termination == "learned":
                stops_B = halts[-1] > 0
            else:
                before, decided = decided, feed_back(batch.spec, latest, how="hard")
                first = {name: batch.hints[name][0] for name in decided}
                stops_B = unchanged(batch.spec, before or first, decided)
            if batch.stop(stops_B):
                break
    outputs = last_views.joined().decode(decoder, Stage.OUTPUT, noise)
    if reasoner.reconstruction is not None and (missed := misses.total()) is not None:
        run.notes.penalty("reconstruction", reasoner.reconstruction.weight * missed)
    penalties = {name: torch.stack(values).mean() for name, values in run.notes.penalties.items()}
    taken = batch.taken_B if isinstance(batch, OpenBatch) else None
    return Rollout(outputs, predictions, states, penalties, run.notes.measures, halts, step_outputs, taken)


def _process(reasoner: Reasoner, step: Step, state: Any) -> Any:
    for _ in range(reasoner.message_passing_steps):
        state = reasoner.processor(step, state)
    if reasoner.dropout and reasoner.training:
        hidden, *rest = state if isinstance(state, tuple) else (state,)
        hidden = torch.nn.functional.dropout(hidden, reasoner.dropout)
        state = (hidden, *rest) if isinstance(state, tuple) else hidden
    return state


def _force(
    batch: Batch,
    s: int,
    hints: dict[str, Tensor],
    probability: float,
    generator: torch.Generator | None,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """True hints of moment s for a random choice of samples, predictions for the others."""
    some = next(iter(hints.values()))
    live = len(some)
    draw = torch.rand(live, generator=generator).to(some.device) < probability
    forced = {}
    for name, predicted in hints.items():
        probe = batch.spec[name]
        truth = dense(probe, batch.hints[name][s, :live], batch.nodes, dtype)
        chosen = draw.view(-1, *[1] * (truth.dim() - 1))
        forced[name] = torch.where(chosen, truth, dense(probe, predicted, batch.nodes, dtype))
    return forced


class _Run:
    """What stays the same over one rollout: input channels, encoder weights, the adjacency of the inputs."""

    def __init__(self, reasoner: Reasoner, encoder: Encoder, decoder: Decoder, batch: Batch, progress: float) -> None:
        self.notes, self.progress = Notes(), progress
        self.reference = next(encoder.parameters())
        self.encoder, self.nodes = encoder, batch.nodes
        self.encode_hints = reasoner.hint_mode == "encoded_decoded"
        self.links = reasoner.processor.uses_adjacency or reasoner.processor.masks_decoders
        self.follow, self.mask = reasoner.processor.uses_adjacency, reasoner.processor.masks_decoders
        weight_CF, bias_F = encoder.weights(Location.NODE)
        self.values = batch.inputs
        self.inputs = encoder.encode(Stage.INPUT, batch.inputs, batch.nodes, adjacency=self.links)
        self.node_map, self.graph_map = (weight_CF, bias_F), encoder.weights(Location.GRAPH)
        self.edge_map = EdgeMap(*encoder.weights(Location.EDGE))
        self.looked_up = encoder.with_look_ups(self.edge_map)
        self.held = decoder.reads()
        self.self_loops = torch.eye(batch.nodes, dtype=torch.bool, device=self.reference.device)

    @functools.cached_property
    def built(self) -> EdgeMap:
        """The map of edges whose channels are their features."""
        features = self.encoder.features
        return EdgeMap(
            torch.eye(features, dtype=self.reference.dtype, device=self.reference.device),
            self.reference.new_zeros(features),
        )

    def step(self, hints: Mapping[str, Tensor], live: int, *, afresh: bool = False) -> tuple[Step, View]:
        """Encode inputs and current hints for the first `live` samples: for the processor, and for the decoders.

        `afresh`: compose maps of edges again instead of keeping them, for steps that are computed twice.
        """
        found = Encoded(None, None, None, None)
        if self.encode_hints:
            found = self.encoder.encode(Stage.HINT, hints, self.nodes, adjacency=self.links)
        inputs = self.inputs.rows(slice(0, live))
        factored, edges, graph = self._features(inputs, found, self.values, hints, live, afresh=afresh)
        nodes = factored.features
        adjacency = None
        if self.links:
            adjacency = self.self_loops.expand(live, -1, -1)
            for links in (inputs.adjacency, found.adjacency):
                adjacency = adjacency if links is None else adjacency | links
        hood = Dense(edges, self.nodes, adjacency if self.follow else None)
        held = {n: dense(self.encoder.probes[n], hints[n], self.nodes, nodes.dtype) for n in self.held}
        few = factored.channels.shape[-1] < nodes.shape[-1]
        step = Step(nodes, graph, hood, Notes(), self.progress, factored if few else None)
        view = View(factored if few else nodes, edges, None, graph, adjacency if self.mask else None, held)
        return step, view

    def masked(
        self, hints: Mapping[str, Tensor], live: int, copies: int, probability: float, generator: torch.Generator | None
    ) -> tuple[Tensor, Edges, Tensor, dict[str, Tensor]]:
        """Encoded nodes, edges and graph of masked copies, and which entries of the hints are masked in them."""
        probes = self.encoder.probes
        values = {name: value[:live] for name, value in self.values.items()} | dict(hints)
        values, masks = masked_values(probes, values, copies, probability, self.nodes, self.reference.dtype, generator)
        inputs, found = (self.encoder.encode(stage, values, self.nodes, adjacency=False) for stage in ENCODED)
        factored, edges, graph = self._features(inputs, found, values, values, copies * live)
        return factored.features, edges, graph, masks

    def _features(
        self, inputs: Encoded, hints: Encoded, input_values: Mapping[str, Tensor], hint_values: Mapping[str, Tensor],
        live: int, *, afresh: bool = False,
    ) -> tuple[Factored, Edges, Tensor]:  # fmt: skip
        def join(first: Tensor | None, second: Tensor | None, *shape: int) -> Tensor:
            parts = [part for part in (first, second) if part is not None]
            return torch.cat(parts, -1) if parts else self.reference.new_zeros(live, *shape, 0)

        nodes = Factored(join(inputs.nodes, hints.nodes, self.nodes), *self.node_map)
        edge_map, looked_up = self.edge_map, self.looked_up
        if afresh:
            edge_map, looked_up = edge_map.afresh(), looked_up.afresh()
        edges = Edges(join(inputs.edges, hints.edges, self.nodes, self.nodes), edge_map)
        if self.encoder.look_ups:
            given = {**input_values, **hint_values}
            pointers = {name: given[name][:live] for name in self.encoder.look_ups}
            edges = self.encoder.look_up(pointers, nodes.channels, nodes.features, edges, looked_up)
        return nodes, edges, _affine(join(inputs.graph, hints.graph), self.graph_map)


def _affine(channels: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return channels @ weights[0] + weights[1]
