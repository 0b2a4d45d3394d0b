"""Learners: the parameters of one run, or of several seeds stacked, with their optimiser; one call, one training step.

    SingleLearner    one run; finished samples leave the rollout, and several processes may share a batch
    StackedLearner   several seeds (or one, on a GPU): parameters [S, ...], data [S, B, ...]; a kernel computes all

A seed's losses and parameters are those that it would have alone, up to rounding: gradients of different seeds do not
meet, each is clipped by its own norm, and noise is drawn from each seed's own stream.

Shapes: S seeds, B graphs.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map

from nar.config import Config
from nar.model.batch import Batch
from nar.model.objectives.emphasis import Emphasis
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.training import distributed, fixed_shapes, memory
from nar.training.optimizer.chosen import follow, optimizer


def mix(seed: int, step: int, rank: int = 0, task: int = 0) -> int:
    """A seed for PyTorch from several numbers, without the patterns of a sum."""
    numbers = (seed, step, rank, task) if task else (seed, step, rank) if rank else (seed, step)
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def trained(reasoner: Reasoner) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: p for name, p in reasoner.named_parameters() if p.requires_grad}


class SingleLearner:
    """One run, with batches in which finished samples are dropped."""

    def __init__(
        self,
        reasoner: Reasoner,
        config: Config,
        *,
        ranks: distributed.Ranks = distributed.SINGLE,
        recompute: bool = False,
    ) -> None:
        self.reasoner, self.config, self.ranks, self.recompute = reasoner, config, ranks, recompute
        self.reasoners = [reasoner]
        self.parameters = list(trained(reasoner).values())
        self.optimizer = optimizer(config, self.parameters)

    def step(self, batches: Sequence[Batch], step: int, *, task: int = 0, progress: float = 1.0) -> Tensor:
        """One update from one batch of every seed; the losses [S] before it. They stay on the device."""
        (batch,) = batches
        config, ranks = self.config, self.ranks
        # for dropout, Gumbel noise, teacher forcing; to seed every kind of device takes half a millisecond
        on_cpu = self.parameters[0].device.type == "cpu"
        seed = torch.default_generator.manual_seed if on_cpu else torch.manual_seed
        seed(mix(config.seed, step, ranks.rank, task))
        options = {"teacher_forcing": config.teacher_forcing, "bf16": config.precision == "bf16"}
        rollout = self.reasoner(batch, progress=progress, recompute=self.recompute, **options)
        loss = total_loss(batch, rollout, Emphasis.of(config))
        self.optimizer.zero_grad()
        loss.backward()
        in_use = (p for p in self.reasoner.parameters_of(batch.algorithm) if p.requires_grad)
        loss, gradients = ranks.sum_gradients(in_use, loss.detach())
        if config.grad_clip:
            clip(gradients, config.grad_clip)
        follow(self.optimizer, config, step)
        self.optimizer.step()
        return loss.view(1)

    def optimizer_states(self) -> list[dict[str, Any]]:
        """The optimiser's state of every seed, as that of a run alone."""
        return [self.optimizer.state_dict()]

    def load_optimizer_states(self, states: Sequence[dict[str, Any]]) -> None:
        """The reverse."""
        self.optimizer.load_state_dict(states[0])


@torch.no_grad()
def clip(gradients: list[Tensor], limit: float) -> None:
    """Shrink the gradients until their common norm is `limit` at most, as torch.nn.utils.clip_grad_norm_ does."""
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    factor = (limit / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, factor)  # pyright: ignore[reportPrivateImportUsage]


class StackedLearner:
    """Several seeds at once. The reasoners' parameters become rows of stacked ones and follow them."""

    def __init__(self, reasoners: Sequence[Reasoner], configs: Sequence[Config]) -> None:
        self.reasoners, self.configs = list(reasoners), list(configs)
        self.template = self.reasoners[0]
        each = [trained(reasoner) for reasoner in self.reasoners]
        self.parameters = {n: nn.Parameter(torch.stack([p[n].detach() for p in each])) for n in each[0]}
        for row, parameters in enumerate(each):
            for name, parameter in parameters.items():
                parameter.data = self.parameters[name].data[row]
        # what is not trained may differ between seeds, too
        names = [name for name, p in self.template.named_parameters() if not p.requires_grad]
        names += [name for name, _ in self.template.named_buffers()]
        states = [dict(r.named_parameters()) | dict(r.named_buffers()) for r in self.reasoners]
        self.constants = {name: torch.stack([state[name].detach() for state in states]) for name in names}
        self.optimizer = optimizer(configs[0], self.parameters.values())

    def step(self, batches: Sequence[Batch], step: int, *, task: int = 0, progress: float = 1.0) -> Tensor:
        shape = self.shape(batches)
        data = self.data(batches, step, task, shape, progress)
        follow(self.optimizer, self.configs[0], step)
        return self.update(data, batches[0], shape[0])

    def shape(self, batches: Sequence[Batch]) -> tuple[int, int, int]:
        """Moments, runs and samples that there must be room for."""
        runs = max(fixed_shapes.most_runs(b) for b in batches)
        return max(b.lengths[0] for b in batches), runs, max(len(b) for b in batches)

    def data(
        self, batches: Sequence[Batch], step: int, task: int, shape: tuple[int, int, int], progress: float
    ) -> dict[str, Any]:
        """The stacked data of one step, with its noise, and the share of the training that is done."""
        moments, runs, graphs = shape
        noise: list[list[Tensor]] = []
        dtype = next(iter(self.parameters.values())).dtype
        for config, batch in zip(self.configs, batches, strict=True):
            torch.manual_seed(mix(config.seed, step, 0, task))
            noise.append(fixed_shapes.uniform_numbers(batch, moments, dtype))
        data = fixed_shapes.tensors(batches, moments, runs, noise, graphs)
        return data | {"progress": torch.full((len(batches),), progress, dtype=dtype, device=data["lengths"].device)}

    def update(self, data: dict[str, Any], like: Batch, moments: int) -> Tensor:
        """One update; a function of tensors alone, which a CUDA graph can record. `like`: what the batches are of."""
        loss_of = functools.partial(_loss_of_seed, self.template, like, moments, self.configs[0])
        self.optimizer.zero_grad()
        seeds = self.parameters | self.constants, data
        if len(self.reasoners) == 1:
            losses = loss_of(*tree_map(lambda value: value[0], seeds)).view(1)
        else:
            losses = torch.vmap(loss_of)(*seeds)
        losses.sum().backward()
        if limit := self.configs[0].grad_clip:
            gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
            squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
            factors = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
            for gradient in gradients:
                gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))
        self.optimizer.step()
        return losses.detach()

    def optimizer_states(self) -> list[dict[str, Any]]:
        whole = self.optimizer.state_dict()

        def row(values: dict[str, Tensor], s: int) -> dict[str, Tensor]:
            return {name: (value if name == "step" else value[s]).clone() for name, value in values.items()}

        rows = ({k: row(values, s) for k, values in whole["state"].items()} for s in range(len(self.reasoners)))
        return [whole | {"state": state} for state in rows]

    def load_optimizer_states(self, states: Sequence[dict[str, Any]]) -> None:
        device = next(iter(self.parameters.values())).device

        def joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
            found = {n: [part[n].to(device) for part in parts] for n in parts[0]}
            return {n: values[0] if n == "step" else torch.stack(values) for n, values in found.items()}

        merged = {k: joined([state["state"][k] for state in states]) for k in states[0]["state"]}
        self.optimizer.load_state_dict({"state": merged})


def _loss_of_seed(
    reasoner: Reasoner,
    like: Batch,
    moments: int,
    config: Config,
    state: dict[str, Tensor],
    data: dict[str, Any],
) -> Tensor:
    """The loss of one seed: `state` is what the seeds differ in, `data` is its own, without the axis of seeds."""
    batch = fixed_shapes.batch_of(data, like, moments)
    options = {"progress": data["progress"], "gumbel": fixed_shapes.replayed(data["noise"])}
    options["bf16"] = config.precision == "bf16"
    rollout = functional_call(reasoner, state, (batch,), options)
    if rollout.penalties:
        raise NotStackable("the processor adds penalties to the loss")
    return total_loss(batch, rollout, Emphasis.of(config))


Learner = SingleLearner | StackedLearner


class NotStackable(ValueError):
    """Why several seeds of these settings cannot be computed together."""


def why_not_stackable(reasoner: Reasoner, config: Config, batch: Batch) -> str | None:
    """What keeps seeds from being stacked: draws of the processor's own, penalties, operations that cannot be mapped.

    None where two copies of the reasoner, stacked, have the loss and the gradients on `batch`, a small one, that each
    has alone.
    """
    if config.optimizer != "adam":
        return f"{config.optimizer} may not treat every parameter alone, as Adam does"
    if config.dropout or config.teacher_forcing or config.reconstruction != "none":
        return "dropout, teacher forcing and reconstruction draw as they go"
    if config.auxiliary:
        return "auxiliary tasks add losses of their own"
    if config.output_step and config.supervision == "rollout":
        return "outputs are read by a step of their own"
    if config.halting == "ponder":
        return "pondering decodes outputs at every step of a sample"
    if config.memory == "small":
        return "--memory small"
    with memory.left_as_it_is(reasoner):
        first = {n: p.detach().clone().requires_grad_() for n, p in trained(reasoner).items()}
        torch.manual_seed(0)
        options = {"progress": 0.5, "bf16": config.precision == "bf16"}
        loss = total_loss(batch, functional_call(reasoner, first, (batch,), options), Emphasis.of(config))
        gradients = torch.autograd.grad(loss, list(first.values()), allow_unused=True)
        moments = batch.lengths[0] + 1
        torch.manual_seed(0)
        noise = fixed_shapes.uniform_numbers(batch, moments, loss.dtype)
        graphs = len(batch) + (batch.ends is not None)  # the moments of seeds may be of different number
        data = fixed_shapes.tensors([batch] * 2, moments, fixed_shapes.most_runs(batch) + 1, [noise] * 2, graphs)
        data["progress"] = loss.new_full((2,), 0.5)
        pair = {n: torch.stack([p.detach()] * 2).requires_grad_() for n, p in first.items()}
        try:
            losses = torch.vmap(functools.partial(_loss_of_seed, reasoner, batch, moments, config))(pair, data)
            mapped = torch.autograd.grad(losses[1], list(pair.values()), allow_unused=True)
        except NotStackable as reason:
            return str(reason)
        except Exception as error:  # whatever an operation says that vmap does not know
            return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
    scale = sum(float(g.abs().sum()) for g in gradients if g is not None)
    off = sum(float((m[1] - g).abs().sum()) for m, g in zip(mapped, gradients, strict=True) if g is not None)
    apart = abs((losses[1] - loss).item())
    if apart > 1e-3 * abs(loss.item()) or off > 1e-2 * scale:
        return "its numbers are others when finished samples stay in the batch"
    return None
