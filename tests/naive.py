"""The second route of the two-route tests: encoders, decoders, feedback and rollout written out literally.

Formulas are those of docstrings and of dm-clrs 2.0.3, with nothing clever: one-hot tensors of full size, loops over
nodes, all T steps for all samples, outputs decoded at every step and held. Only parameters are taken from nar, and in
`rollout` the processor itself, whose formulas test_processors.py writes out in turn.

`everything` is a made-up algorithm with a probe of every location and type at every stage, `random_batch` data for it.

Shapes: B graphs, N nodes, T moments, F features.
"""

from __future__ import annotations

import dataclasses

import torch
from torch.nn.functional import log_softmax, one_hot

from nar.model.batch import Batch
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout
from nar.model.schedule import SortedLengths
from nar.nn.affine import AffineFeatures, materialize
from nar.nn.neighbourhood import Dense, Neighbourhood, SelfLoops
from nar.nn.processor import Step, rows
from nar.traces.spec import POINTERS, Location, Probe, Spec, Stage, Type

F64 = torch.float64

KINDS = [
    ("node", "scalar"), ("node", "mask"), ("node", "mask_one"), ("node", "categorical"), ("node", "pointer"),
    ("edge", "scalar"), ("edge", "mask"), ("edge", "mask_one"), ("edge", "categorical"), ("edge", "pointer"),
    ("graph", "scalar"), ("graph", "mask"), ("graph", "categorical"), ("graph", "pointer"),
]  # fmt: skip
DECODED_KINDS = [*KINDS, ("node", "permutation_pointer")]


def everything() -> Spec:
    """Every location and type at every stage; permutations (which no input of CLRS has) as hint and output."""
    probes = {}
    for stage in Stage:
        for location, kind in KINDS if stage is Stage.INPUT else DECODED_KINDS:
            classes = 3 if kind == "categorical" else 0
            probes[f"{stage}_{location}_{kind}"] = Probe(stage, location, kind, classes)
    return Spec(probes)


def random_value(probe: Probe, leading: tuple[int, ...], nodes: int, generator: torch.Generator) -> torch.Tensor:
    """Random data in compact form; permutations are cycles through all nodes, as sorting makes them."""
    shape = (*leading, *probe.shape(nodes))
    if probe.type is Type.SCALAR:
        return torch.randn(shape, generator=generator, dtype=F64)
    if probe.type is Type.MASK:
        return torch.randint(-1, 2, shape, generator=generator).to(torch.int8)
    if probe.type is Type.CATEGORICAL:
        return torch.randint(-1, probe.classes, shape, generator=generator).to(torch.int8)
    if probe.type is Type.PERMUTATION_POINTER:
        order = torch.rand(shape, generator=generator).argsort(-1)
        return torch.empty(shape, dtype=torch.int64).scatter_(-1, order, order.roll(1, -1)).to(torch.int16)
    return torch.randint(0, nodes, shape, generator=generator).to(torch.int16)


def random_batch(lengths: list[int], nodes: int = 4, seed: int = 0, spec: Spec | None = None) -> Batch:
    """A batch of the made-up algorithm. Moments after a sample's end hold random values too: they must not matter."""
    spec = spec or everything()
    generator = torch.Generator().manual_seed(seed)
    values: dict[Stage, dict[str, torch.Tensor]] = {stage: {} for stage in Stage}
    for name, probe in spec.items():
        leading = (lengths[0], len(lengths)) if probe.stage is Stage.HINT else (len(lengths),)
        values[probe.stage][name] = random_value(probe, leading, nodes, generator)
    return Batch(
        algorithm="everything",
        spec=spec,
        nodes=nodes,
        inputs=values[Stage.INPUT],
        hints=values[Stage.HINT],
        outputs=values[Stage.OUTPUT],
        schedule=SortedLengths(lengths),
        order=list(range(len(lengths))),
    )


def select(batch: Batch, which: list[int]) -> Batch:
    """Some of the samples, with hints cut to the longest of them."""
    moments = max(batch.lengths[b] for b in which)
    return dataclasses.replace(
        batch,
        inputs={n: v[which] for n, v in batch.inputs.items()},
        hints={n: v[:moments, which] for n, v in batch.hints.items()},
        outputs={n: v[which] for n, v in batch.outputs.items()},
        schedule=SortedLengths([batch.lengths[b] for b in which]),
        order=[batch.order[b] for b in which],
    )


def permute(batch: Batch, order: torch.Tensor) -> Batch:
    """The same graphs with node order[i] renamed to i."""
    new_name = order.argsort()

    def moved(stage: Stage, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found = {}
        for name, value in values.items():
            probe = batch.spec[name]
            first = value.dim() - len(probe.shape(batch.nodes))
            for axis in range(first, value.dim()):
                value = value.index_select(axis, order)
            if probe.type in POINTERS or probe.type is Type.MASK_ONE:
                value = new_name[value.long()].to(value.dtype)
            found[name] = value
        return found

    return dataclasses.replace(
        batch,
        inputs=moved(Stage.INPUT, batch.inputs),
        hints=moved(Stage.HINT, batch.hints),
        outputs=moved(Stage.OUTPUT, batch.outputs),
    )


def permute_prediction(probe: Probe, logits: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Decoded values [B, ...] of the renamed graph, from those of the original one."""
    axes = logits.dim() - 1 - (probe.type is Type.CATEGORICAL)
    for axis in range(1, 1 + axes):
        logits = logits.index_select(axis, order)
    return logits


# Encoding


def expand(probe: Probe, value: torch.Tensor, nodes: int) -> torch.Tensor:
    """Compact or soft to the float form of full size."""
    if value.is_floating_point() or probe.type in (Type.SCALAR, Type.MASK):
        return value.to(F64)
    if probe.type is Type.CATEGORICAL:
        row = one_hot(value.long().clamp(min=0), probe.classes).to(F64)
        ignored = torch.tensor([0.0] * (probe.classes - 1) + [-1.0], dtype=F64)
        return torch.where((value == -1).unsqueeze(-1), ignored, row)
    return one_hot(value.long(), nodes).to(F64)


def encode(encoder, values: dict[str, torch.Tensor], graphs: int, nodes: int, features: int):
    """x [B, N, F], e [B, N, N, F], g [B, F] and the adjacency [B, N, N] of inputs and hints together."""
    x = torch.zeros(graphs, nodes, features, dtype=F64)
    e = torch.zeros(graphs, nodes, nodes, features, dtype=F64)
    g = torch.zeros(graphs, features, dtype=F64)
    adjacency = torch.eye(nodes, dtype=torch.bool).repeat(graphs, 1, 1)
    for name, value in values.items():
        probe, maps = encoder.probes[name], encoder.maps[name]
        full = expand(probe, value, nodes)
        if probe.type is not Type.CATEGORICAL:
            full = full.unsqueeze(-1)
        pointer = probe.type in POINTERS
        if probe.location is Location.EDGE and pointer:
            e = e + maps[0](full).mean(1) + maps[1](full).mean(2)
        elif probe.location is Location.EDGE or (probe.location is Location.NODE and pointer):
            e = e + maps[0](full)
        elif probe.location is Location.NODE or pointer:
            x = x + maps[0](full)
        else:
            g = g + maps[0](full)
        links = probe.location is Location.NODE and pointer
        if links or (probe.location is Location.EDGE and probe.type is Type.MASK):
            for b in range(graphs):
                for i in range(nodes):
                    for j in range(nodes):
                        both = (full[b, i, j, 0] + full[b, j, i, 0]).item()
                        adjacency[b, i, j] |= both > (0.5 if links else 0.0)
    return x, e, g, adjacency


# Decoding


def log_sinkhorn(logits: torch.Tensor, steps: int) -> torch.Tensor:
    logits = logits / 0.1 - 1e6 * torch.eye(logits.shape[-1], dtype=logits.dtype)
    for _ in range(steps):
        logits = logits - torch.logsumexp(logits, -1, keepdim=True)
        logits = logits - torch.logsumexp(logits, -2, keepdim=True)
    return logits


def decode_one(probe: Probe, maps, d, eps, g, adjacency=None) -> torch.Tensor:
    """One probe by its formula, node by node; `adjacency`: masking of pointers and edge masks off the graph."""
    nodes = d.shape[1]
    pairs = [(i, j) for i in range(nodes) for j in range(nodes)]
    pointer = probe.type in POINTERS
    if probe.location is Location.NODE and pointer:
        p1, p2, p3, w = maps
        scores = [w(torch.maximum(p1(d[:, i]), p2(d[:, j]) + p3(eps[:, j, i]))) for i, j in pairs]
        logits = torch.stack(scores, 1).unflatten(1, (nodes, nodes)).squeeze(-1)
    elif probe.location is Location.NODE:
        logits = maps[0](d)
    elif probe.location is Location.EDGE:
        between = {(i, j): maps[0](d[:, i]) + maps[1](d[:, j]) + maps[2](eps[:, i, j]) for i, j in pairs}
        if pointer:
            scores = [maps[4](torch.maximum(between[i, j], maps[3](d[:, k]))) for i, j in pairs for k in range(nodes)]
            logits = torch.stack(scores, 1).unflatten(1, (nodes, nodes, nodes)).squeeze(-1)
        else:
            logits = torch.stack(list(between.values()), 1).unflatten(1, (nodes, nodes))
    else:
        logits = maps[0](d.max(1).values) + maps[1](g)
        if pointer:
            logits = torch.cat([logits + maps[2](d[:, j]) for j in range(nodes)], -1)
    if probe.type is not Type.CATEGORICAL and not pointer:
        logits = logits.squeeze(-1)
    masked = pointer if probe.location is Location.NODE else probe.type in (Type.MASK, Type.MASK_ONE)
    if adjacency is not None and masked and probe.location is not Location.GRAPH:
        low = [torch.minimum(torch.tensor(-1.0, dtype=F64), one.min() - 1.0) for one in logits]
        logits = torch.stack([torch.where(a, one, lo) for a, one, lo in zip(adjacency, logits, low, strict=True)])
    if probe.type is Type.PERMUTATION_POINTER:
        logits = log_sinkhorn(logits, 10)
    return logits


def feed_back(probe: Probe, logits: torch.Tensor, how: str) -> torch.Tensor:
    """A predicted hint in the float form of full size that is encoded next."""
    if probe.type is Type.SCALAR:
        return logits if how == "soft" else logits.detach()
    if probe.type is Type.MASK:
        return 1 / (1 + torch.exp(-logits)) if how == "soft" else (logits.detach() > 0).to(F64)
    if probe.type is Type.PERMUTATION_POINTER:
        logits = log_sinkhorn(logits, 25)
    if how == "soft":
        return torch.exp(log_softmax(logits, -1)) if probe.type is not Type.PERMUTATION_POINTER else torch.exp(logits)
    return one_hot(logits.detach().argmax(-1), logits.shape[-1]).to(F64)


# Rollout


class PlainDense(Dense):
    """The dense layout with every operation as the base class states it: nothing fused, nothing in chunks."""

    def pool(self, *arguments, **options):
        return Neighbourhood.pool(self, *arguments, **options)

    def reverse(self):
        turned = super().reverse()
        return PlainDense(turned.edge_features, turned.nodes, turned.adjacency_BNN)

    def complete(self):
        return PlainDense(self.edge_features, self.nodes)

    def alone(self):
        return PlainSelfLoops(super().alone().edge_features, self)


class PlainSelfLoops(SelfLoops):
    pool = Neighbourhood.pool


def built(e_BNNF: torch.Tensor) -> AffineFeatures:
    """Edge features that are given, in the form in which nar hands them on."""
    return AffineFeatures.of(e_BNNF)


def rollout(
    reasoner: Reasoner, batch: Batch, *, how: str = "soft", forced: list[torch.Tensor] | None = None
) -> Rollout:
    """All samples for all steps; `forced[s]` [B]: which samples are given the true hints at step s >= 1."""
    encoder, decoder = reasoner.encoders[batch.algorithm], reasoner.decoders[batch.algorithm]
    processor, spec, nodes, graphs = reasoner.processor, batch.spec, batch.nodes, len(batch)
    lengths = torch.tensor(batch.lengths)
    state = processor.initial_state(graphs, nodes, torch.zeros(1, dtype=F64))
    outputs, hints, predictions = {}, {n: v[0] for n, v in batch.hints.items()}, []
    for s in range(batch.steps):
        if s > 0 and reasoner.hint_mode == "encoded_decoded":
            hints = {n: feed_back(spec[n], v, how) for n, v in predictions[-1].items()}
            for name in hints if forced is not None else ():
                truth = expand(spec[name], batch.hints[name][s], nodes)
                use = forced[s].view(-1, *[1] * (truth.dim() - 1))
                hints[name] = torch.where(use, truth, hints[name])
        values = dict(batch.inputs) | (hints if reasoner.hint_mode == "encoded_decoded" else {})
        x, e, g, adjacency = encode(encoder, values, graphs, nodes, processor.features)
        step = Step(x, g, PlainDense(built(e), nodes, adjacency if processor.uses_adjacency else None))
        before = state
        for _ in range(reasoner.message_passing_steps):
            state = processor(step, state)
        readout = processor.readout(step, before, state)
        d = torch.cat([x, readout.nodes], -1)
        eps = e if readout.edges is None else torch.cat([e, materialize(readout.edges)], -1)
        bias = adjacency if processor.masks_decoders else None
        decoded = {n: decode_one(p, decoder.maps[n], d, eps, g, bias) for n, p in decoder.probes.items()}
        for name in spec.outputs:
            going_on = (lengths > s + 1).view(-1, *[1] * (decoded[name].dim() - 1))
            outputs[name] = torch.where(going_on, decoded[name], outputs[name]) if s else decoded[name]
        predictions.append({n: decoded[n] for n in decoder.probes if n in spec.hints})
    live = [int((lengths > s + 1).sum()) for s in range(batch.steps)]
    trimmed = [{n: v[: live[s]] for n, v in step.items()} for s, step in enumerate(predictions)]
    return Rollout(outputs, trimmed if reasoner.hint_mode != "none" else [])


def one_graph(state, b: int):
    """The state of one graph of a batch."""
    return rows(state, slice(b, b + 1))
