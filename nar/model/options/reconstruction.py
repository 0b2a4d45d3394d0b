"""Auxiliary reconstruction of the encoded state, plain and masked: ReNAR and M-ReNAR (AAAI 2026, arXiv 2606.00559).

A second processor of the same kind, with weights of its own, runs before the first at every step, on the same encoded
nodes x, edges e and graph, and the same last state. It gives x' (its new hidden state) and, where the kind makes edge
states, e'. Two gates join old and new, y being x or e; processor and decoders read the result in place of y:

    r  = R y + y'
    y* = gate r + (1 - gate) y,   gate = sigmoid(G3 ReLU(G1 y + G2 y')),  G3's bias -3

A second set of hint decoders reads [x | x'] and [e | e'] and must return the hints that were fed in at this step. What
it misses is added to the loss: the usual loss of each hint (nar/model/objectives/losses.py), averaged over time and
positions, summed over hints, times a weight. From the second step on the target is the model's own prediction, and
gradients flow through it.

    plain    weight 0.1; hints of nodes, edges and the graph count
    masked   weight 1; in training, K = min(floor(1 / p), 3) copies are made in which every entry of whatever lives on
             nodes (hints, inputs, positions; of node pointers the one-hot matrix) is 0 with probability p. Every copy
             goes through the second processor; x' and e' are averaged over copies, the gates' y is the unmasked one.
             Only masked entries count, divided by the number of all. In evaluation there is one unmasked pass.

These are the released code's rules. Where the paper differs: it joins gate y' + (1 - gate) y, makes floor(1 / p)
copies, and masks hints only. Unknown and chosen here: the links of the graph that a processor follows are those of the
unmasked hints; copies are averaged in the loss; message_passing_steps and dropout apply to the first processor only.
In evaluation nothing is reconstructed.

Depth and objective come together: weight 0 is the control, a second layer without reconstruction.

Not to be confused with message_passing_steps=2, whose two passes share weights and have no gate.

Cost per step: a second pass of the processor (masked: K of them in training) and of the hint decoders; where there are
edge states, [B, N, N, F] edge features, which nar otherwise never builds.

Shapes: B graphs, N nodes, F features.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from nar.model.batch import Batch
from nar.model.coders.decoder import STANDARD, Decoder, DecoderOptions
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.forms import dense
from nar.model.coders.step_encoder import StepEncoder
from nar.model.postprocess import Noise
from nar.model.rollout import Rollout, RolloutExtension
from nar.nn.affine import NOT_KEPT, AffineFeatures, ComposedWeights, joint_linear, materialize
from nar.nn.layers import linear, module_key
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Notes, Processor, Readout, Step
from nar.traces.spec import Location, Probe, Spec, Stage, Type

MODES = ("none", "plain", "masked")
WEIGHT = {"plain": 0.1, "masked": 1.0}
MASK = 0.3
COPIES = 3


class Join(nn.Module):
    """y* of the module's docstring."""

    def __init__(self, features: int, width: int) -> None:
        """`width`: of y'; another than `features` is brought there by a linear map, which the paper never needs."""
        super().__init__()
        self.bring = linear(width, features) if width != features else nn.Identity()
        self.skip = linear(features, features)  # R
        self.gate = nn.ModuleList(
            [linear(features, features), linear(features, features), linear(features, features, bias=-3.0)]
        )

    def forward(self, old: Tensor, new: Tensor, weights: ComposedWeights = NOT_KEPT) -> Tensor:
        new = self.bring(new)
        skip, of_old = joint_linear([self.skip, self.gate[0]], old, weights)  # type: ignore[list-item]
        gate = torch.sigmoid(self.gate[2](torch.relu(of_old + self.gate[1](new))))
        return old + gate * (skip + new - old)


@dataclasses.dataclass(frozen=True)
class ReconstructionOptions:
    """`processor`: the second one; `weight`, `mask` (p): None is the paper's. ValueError where they do not fit."""

    processor: Processor
    masked: bool = False
    weight: float | None = None
    mask: float | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 <= self.weight < float("inf"):
            raise ValueError(f"reconstruction_weight must be 0 or more, got {self.weight}")
        if self.mask is not None and not 0 < self.mask < 1:
            raise ValueError(f"reconstruction_mask must be above 0 and below 1, got {self.mask}")
        if self.mask is not None and not self.masked:
            raise ValueError("reconstruction_mask has no effect with plain reconstruction; leave it away")


class Reconstruction(nn.Module):
    """The second processor, the gates and the second hint decoders."""

    def __init__(
        self, specs: Mapping[str, Spec], options: ReconstructionOptions, decoder: DecoderOptions = STANDARD
    ) -> None:
        super().__init__()
        self.masked = options.masked
        self.weight = WEIGHT["masked" if self.masked else "plain"] if options.weight is None else options.weight
        self.mask = MASK if options.mask is None else options.mask
        self.processor = processor = options.processor
        features = processor.features
        self.copies = min(int(1 / self.mask), COPIES)
        self.join_nodes = Join(features, features)
        self.join_edges = Join(features, processor.edge_readout) if processor.edge_readout else None
        self.decoders = nn.ModuleDict()
        for name, spec in specs.items():
            hints = Spec({n: p for n, p in spec.hints.items() if not self.masked or p.location is Location.NODE})
            if not hints:
                kind = "hint on nodes" if self.masked else "hint"
                raise ValueError(f"reconstruction has nothing to reconstruct: {name} has no {kind}; leave it away")
            self.decoders[module_key(name)] = Decoder(
                hints, features, node_width=2 * features, edge_width=features + processor.edge_readout,
                # what can be looked up or copied need not be read off the state
                options=dataclasses.replace(decoder, edge_pointer_repair=False, candidates=False, selection=False),
            )  # fmt: skip

    def decoder(self, algorithm: str) -> Decoder:
        return self.decoders[module_key(algorithm)]  # type: ignore[return-value]


@dataclasses.dataclass(eq=False)
class Reconstructing(RolloutExtension):
    """Puts y* in the place of y at every step of one rollout and, in training, sums what is missed of the hints."""

    network: Reconstruction
    batch: Batch
    encoder: StepEncoder
    noise: Noise
    generator: torch.Generator | None

    def __post_init__(self) -> None:
        self.misses = Misses()

    def before_step(
        self, s: int, step: Step, inputs: DecoderInputs, state: Any, hints: Mapping[str, Tensor]
    ) -> tuple[Step, DecoderInputs]:
        network, nodes = self.network, self.batch.nodes
        copies = network.copies if network.masked and network.training else 1
        inner, seen, masks = step, inputs, {}
        adjacency = step.hood.adjacency_BNN  # type: ignore[attr-defined]
        if network.masked and network.training:
            values = {name: value[: len(step.nodes)] for name, value in self.batch.inputs.items()} | dict(hints)
            values, masks = masked_values(
                self.encoder.encoder.probes, values, copies, network.mask, nodes, step.nodes.dtype, self.generator
            )
            features, edges, graph = self.encoder.encode(values, copies * len(step.nodes))
            x, hood = features.dense(), Dense(edges, nodes, repeated(adjacency, copies))
            inner = dataclasses.replace(step, nodes=x, graph=graph, hood=hood)
            seen = DecoderInputs(x, edges, None, graph, repeated(inputs.adjacency, copies))
            state = repeated(state, copies)
        inner = dataclasses.replace(inner, notes=Notes())  # its measures would mix with the first processor's
        after = network.processor(inner, state)
        fresh = after[0] if isinstance(after, tuple) else after
        pairs = network.processor.readout(inner, state, after).edges
        for name, penalties in inner.notes.penalties.items():
            for value in penalties:
                step.notes.penalty(f"second {name}", value)
        if network.training and network.weight > 0:
            decoder = network.decoder(self.batch.algorithm)
            decoded = decoder.decode(Stage.HINT, seen.with_readout(Readout(fresh, pairs)), self.noise)
            live = self.batch.schedule.num_running(s)
            for name, value in decoded.items():
                target = dense(self.batch.spec[name], hints[name], nodes, step.nodes.dtype)
                # finished samples that are still in the batch do not count
                value, target, mask = (
                    None if part is None else part.unflatten(0, (copies, -1))[:, :live].flatten(0, 1)
                    for part in (value, repeated(target, copies), masks.get(name))
                )
                self.misses.add(name, self.batch.spec[name], value, target, mask)  # type: ignore[arg-type]
        x = network.join_nodes(step.nodes, averaged(fresh, copies), step.weights)
        edges = inputs.edges
        if network.join_edges is not None:
            joined = network.join_edges(edges.dense(), averaged(materialize(pairs), copies), step.weights)
            edges = AffineFeatures.of(joined, step.weights)
        step = dataclasses.replace(step, nodes=x, hood=Dense(edges, nodes, adjacency))
        return step, dataclasses.replace(inputs, nodes=x, edges=edges)

    def finish(self, rollout: Rollout) -> None:
        if (missed := self.misses.total()) is not None:
            rollout.penalties["reconstruction"] = self.network.weight * missed


def masked_values(
    probes: Mapping[str, Probe],
    values: Mapping[str, Tensor],
    copies: int,
    probability: float,
    nodes: int,
    dtype: torch.dtype,
    generator: torch.Generator | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """`copies` copies of all values, one after the other along the batch, and which entries are masked in them."""
    found, masks = {}, {}
    for name, value in values.items():
        if probes[name].location is not Location.NODE:
            found[name] = repeated(value, copies)
            continue
        value = repeated(dense(probes[name], value, nodes, dtype), copies)
        device = generator.device if generator is not None else value.device
        masks[name] = torch.rand(value.shape, generator=generator, device=device).to(value.device) < probability
        found[name] = value.masked_fill(masks[name], 0.0)
    return found, masks


class Misses:
    """What reconstruction misses over one rollout: sums and counts per hint."""

    def __init__(self) -> None:
        self._found: dict[str, list[Tensor]] = {}  # of every step: the sum, and how many positions count

    def add(self, name: str, probe: Probe, predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """`target`: dense; `mask`: the entries of it that count."""
        missed, counted = misses(probe, predicted, target)
        total = (missed if mask is None else missed * mask).sum()
        self._found.setdefault(name, []).append(torch.stack([total, counted.sum()]))

    def total(self) -> Tensor | None:
        """Averages over time and positions, summed over hints."""
        sums = [torch.stack(found).sum(0) for found in self._found.values()]
        return torch.stack([total / count.clamp(min=1.0) for total, count in sums]).sum() if sums else None


def misses(probe: Probe, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of every entry, and 1 for every position that counts; `predicted` as decoded, `target` dense or soft.

    A position is an entry of a scalar or mask, and a row (of classes or nodes) of everything else.
    """
    if probe.type is Type.SCALAR:
        missed = (predicted - target).square()
        return missed, torch.ones_like(missed)
    if probe.type is Type.MASK:
        counted = (target >= 0).to(predicted.dtype)  # -1 is ignored
        return (softplus(predicted) - predicted * target) * counted, counted
    log_probabilities = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, dim=-1)
    counted = (target.sum(-1) >= 0).to(predicted.dtype)  # so is a row with -1 in its last class
    return -target * log_probabilities * counted.unsqueeze(-1), counted


def averaged(value: Tensor, copies: int) -> Tensor:
    """The mean over copies of what was computed for them along the batch."""
    return value if copies == 1 else value.unflatten(0, (copies, -1)).mean(0)


def repeated(state: Any, copies: int) -> Any:
    """A processor's state once per copy."""
    if state is None or copies == 1:
        return state
    if isinstance(state, tuple):
        return tuple(repeated(part, copies) for part in state)
    return state.repeat(copies, *[1] * (state.dim() - 1))
