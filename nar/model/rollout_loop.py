"""The rollout: one step of the algorithm after the other, predicted hints encoded again.

Step s is given the hints of moment s and predicts those of moment s + 1; who takes it is said by the batch's schedule
(schedule.py). The first step gets the true initial hints; every later one gets the predictions of the step before,
softly (probabilities, gradients flow), hard (indices, no gradient) or straight through (decided values, gradients of
the probabilities), or while training, with probability `teacher_forcing` per sample and step, the true hints. The
processor's state passes on with them, unless the network keeps no history: then every step begins anew. The outputs of
a sample are those of its last step. These are the semantics of dm-clrs 2.0.3 (which knows soft and hard), whose number
of steps, too, is an oracle: it comes from the trace.

How it is computed is nar's own: samples leave the batch after their last step, outputs are decoded once per sample
instead of at every step, constant inputs are turned into channels once, weights that act on encoded features are
composed with the encoders once. With `recompute`, only what passes from step to step is kept for the backward pass,
which computes the rest of a step again.

Shapes: B graphs, N nodes, T moments, F features; L live graphs of a step.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.utils._pytree import tree_map
from torch.utils.checkpoint import checkpoint

from nar.lookup import suggest
from nar.model.batch import Batch
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.coders.sparse.encoder import SparseStepEncoder
from nar.model.coders.step_encoder import Memory, StepEncoder
from nar.model.network import Network
from nar.model.objectives.auxiliary import TaskHinting
from nar.model.options.reconstruction import Reconstructing
from nar.model.postprocess import Noise, feed_back
from nar.model.rollout import Hints, Outputs, Rollout, RolloutExtension, RolloutOptions
from nar.model.schedule import OpenEnd, Schedule
from nar.model.termination import ROOM, FixedPoint, HaltingRecord, check_termination
from nar.nn.processor import Notes, Step, rows
from nar.traces.spec import Stage


def roll_out(network: Network, batch: Batch, options: RolloutOptions) -> Rollout:
    """Every sample's outputs after its last step, and the hints that were predicted on the way."""
    if batch.algorithm not in network.specs:
        raise ValueError(suggest("algorithm", batch.algorithm, network.specs, "this reasoner was not built for it"))
    training, fed = network.training, network.hint_mode == "encoded_decoded"
    encoder, decoder = network.coders(batch.algorithm)
    feedback, forcing = network.hint_feedback, options.teacher_forcing if training else 0.0
    if feedback == "hard_on_eval":
        feedback = "soft" if training else "hard"
    noise: Noise = training and (options.generator or True if options.gumbel is True else options.gumbel)
    # draws from a generator of the caller's would not be the same again
    recompute = options.recompute and torch.is_grad_enabled() and options.generator is None
    recompute = recompute and network.reconstruction is None
    if isinstance(batch, SparseBatch) and network.layout == "dense":
        network.check_sparse()
        if batch.spec != network.specs[batch.algorithm]:
            raise ValueError(f"{batch.algorithm} has other hints in the sparse layout: train with --layout sparse")
    kind: Any = SparseStepEncoder if isinstance(batch, SparseBatch) else StepEncoder
    steps = kind(
        encoder, network.processor, batch, reads=decoder.reads(), progress=options.progress if training else 1.0,
        keep=not recompute,
    )  # fmt: skip

    def output(inputs: DecoderInputs) -> dict[str, Tensor]:
        return decoder.decode(Stage.OUTPUT, inputs, noise)

    schedule, halting = _schedule(network, batch, options, output)
    extensions: list[RolloutExtension] = [Outputs(schedule, output)]
    if network.hint_mode != "none":
        extensions.append(Hints(batch.spec, schedule, options))
    if halting is not None:
        extensions.append(halting)
    if network.reconstruction is not None:
        extensions.append(Reconstructing(network.reconstruction, batch, steps, noise, options.generator))
    if network.auxiliary is not None and training:
        extensions.append(TaskHinting(network.auxiliary, batch))

    def advance(
        s: int, state: Any, hints: Mapping[str, Tensor], memory: Memory, kept: int
    ) -> tuple[Any, DecoderInputs, dict[str, Tensor], Notes]:
        """The state after step s, what decoders are given, the predicted hints, and what the processor noted."""
        step, inputs = steps.step(hints, memory, kept)
        for extension in extensions:
            step, inputs = extension.before_step(s, step, inputs, state, hints)
        after = _process(network, step, state, options.bf16)
        inputs = inputs.with_readout(network.processor.readout(step, state, after))
        return after, inputs, decoder.decode(Stage.HINT, inputs, noise), step.notes

    state = initial = network.processor.initial_state(len(batch), batch.nodes, steps.reference)
    hints = {name: value[0] for name, value in batch.hints.items()}
    predicted: dict[str, Tensor] = {}
    memory, notes = steps.memory(), Notes()
    rollout = Rollout(states=[] if options.keep_states else None)
    for s in range(schedule.steps):
        kept = schedule.num_kept(s) if s > 0 else len(batch)
        if s > 0:
            state = rows(state if network.history else initial, slice(0, kept))
            if fed:
                before = hints
                stays = None if network.history else before  # dm-clrs feeds back what is predicted there
                hints = feed_back(batch.spec, rows(predicted, slice(0, kept)), how=feedback, before=stays)
                if forcing > 0:
                    draw = torch.rand(kept, generator=options.generator).to(steps.reference.device) < forcing
                    hints = {name: steps.mixed(draw, name, s, value) for name, value in hints.items()}
                memory = steps.remember(memory, before, hints, kept)
        now = s, state, hints, memory, kept
        state, inputs, predicted, noted = checkpoint(advance, *now, use_reentrant=False) if recompute else advance(*now)
        notes.add(noted)
        if rollout.states is not None:
            rollout.states.append(state)
        for extension in extensions:
            extension.after_step(s, inputs, predicted)
        if schedule.finished(predicted):
            break
    rollout.penalties = {name: torch.stack(values).mean() for name, values in notes.penalties.items()}
    rollout.measures, rollout.taken = notes.measures, schedule.steps_taken
    for extension in extensions:
        extension.finish(rollout)
    return rollout


def _schedule(
    network: Network, batch: Batch, options: RolloutOptions, decode: Any
) -> tuple[Schedule, HaltingRecord | None]:
    """Who takes which step, and what listens to the halting head, where somebody asks it."""
    head, termination = network.halting_head(batch.algorithm), options.termination
    if termination != "oracle":
        check_termination(termination, network, head)
    ponders = network.halting == "ponder" and network.training
    record = None
    # with pondering the head is not told the end, and in evaluation it is asked only where it decides
    if head is not None and (ponders or network.halting == "supervised" or termination == "learned"):
        record = HaltingRecord(head, decode if ponders else None)
    if termination == "oracle":
        # moments (batch.ends) are rows of one step each
        schedule = batch.schedule
        return schedule.with_output_step() if network.output_step and batch.ends is None else schedule, record
    rule = record.says_stop if termination == "learned" and record is not None else FixedPoint(batch)
    limit = ROOM * batch.steps if options.limit is None else options.limit
    return OpenEnd(len(batch), limit, rule, next(iter(batch.inputs.values())).device), record


def _process(network: Network, step: Step, state: Any, bf16: bool) -> Any:
    # without autocast's cache of weights, which CUDA graphs cannot record
    cast = (
        torch.autocast(next(network.parameters()).device.type, torch.bfloat16, cache_enabled=False)
        if bf16
        else nullcontext()
    )
    with cast:
        for _ in range(network.message_passing_steps):
            state = network.processor(step, state)
    if bf16:  # what decoders read, and the steps add up, is float32
        state = tree_map(lambda x: x.float() if getattr(x, "dtype", None) == torch.bfloat16 else x, state)
    if network.dropout and network.training:
        hidden, *rest = state if isinstance(state, tuple) else (state,)
        hidden = dropout(hidden, network.dropout)
        state = (hidden, *rest) if isinstance(state, tuple) else hidden
    return state
