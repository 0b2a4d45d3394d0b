"""What becomes of a decoder's logits: they are fed back softly, or fed back hard, or scored.

A permutation's logits become the logarithm of a doubly stochastic matrix (Sinkhorn, Mena et al. 2018).

Shapes: N nodes.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nar.model.options.choice import Choice
from nar.nn import units
from nar.nn.sparse.predictions import Chosen, EdgeValues
from nar.traces.spec import IGNORED, Probe, Type

# Gumbel noise on permutations: none, from PyTorch's generator, from one of your own, or made of given uniform numbers
Noise = bool | torch.Generator | Callable[[Tensor], Tensor]

SINKHORN_TEMPERATURE = 0.1
SINKHORN_STEPS = 10  # inside the decoder; the reference iterates further when it reads the matrix out:
SINKHORN_STEPS_HINT = 25
SINKHORN_STEPS_OUTPUT = 50


def log_sinkhorn(logits: Tensor, steps: int, *, noise: Noise = False) -> Tensor:
    """Logarithm of a doubly stochastic matrix [..., N, N] near the permutation with the largest total logit.

    `noise`: add standard Gumbel noise first (a generator makes it repeatable, and so does a function that gives uniform
    numbers shaped like the logits). The diagonal is excluded: no node is its own predecessor in a cycle.
    """
    if noise is not False:
        if isinstance(noise, torch.Generator):
            uniform = torch.rand(logits.shape, generator=noise, dtype=logits.dtype, device=noise.device)
            uniform = uniform.to(logits.device)
        else:
            uniform = torch.rand_like(logits) if noise is True else noise(logits)
        logits = logits - torch.log(-torch.log(uniform + 1e-12) + 1e-12)
    eye = torch.eye(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    logits = logits / SINKHORN_TEMPERATURE - 1e6 * eye
    for _ in range(steps):
        logits = torch.log_softmax(logits, dim=-1)
        logits = torch.log_softmax(logits, dim=-2)
    return logits


def soft(probe: Probe, logits: Tensor | Choice | Chosen | EdgeValues) -> Tensor:
    """Predictions as they are fed back softly: numbers, probabilities; gradients flow."""
    if isinstance(logits, Choice | Chosen):
        return logits.expected()
    if isinstance(logits, EdgeValues):
        logits = logits.logits
    if probe.type is Type.SCALAR:
        return logits
    if probe.type is Type.MASK:
        return torch.sigmoid(logits)
    if probe.type is Type.PERMUTATION_POINTER:
        return torch.exp(log_sinkhorn(logits, SINKHORN_STEPS_HINT))
    return torch.softmax(logits, dim=-1)


def hard(
    probe: Probe, logits: Tensor | Choice | Chosen | EdgeValues, *, sinkhorn_steps: int = SINKHORN_STEPS_OUTPUT
) -> Tensor:
    """Predictions in compact form (spec.py): numbers, 0 or 1, indices; no gradient."""
    if isinstance(logits, Choice | Chosen):
        return logits.decided()
    logits = (logits.logits if isinstance(logits, EdgeValues) else logits).detach()
    if probe.type is Type.SCALAR:
        return logits
    if probe.type is Type.MASK:
        return (logits > 0).to(torch.int8)
    if probe.type is Type.PERMUTATION_POINTER:
        logits = log_sinkhorn(logits, sinkhorn_steps)
    return logits.argmax(-1)


def discretised(probe: Probe, logits: Tensor | Choice | Chosen | EdgeValues) -> Tensor:
    """The decisions of `hard` in the form of `soft` (0, 1, one-hot rows), with the gradients of `soft`."""
    if isinstance(logits, Chosen):
        return logits.straight_through()
    logits = logits.logits if isinstance(logits, EdgeValues) else logits
    relaxed = soft(probe, logits)
    if probe.type is Type.SCALAR:
        return units.straight_through(logits.decided(), relaxed) if isinstance(logits, Choice) else relaxed
    if probe.type is Type.MASK and not isinstance(logits, Choice):
        return units.straight_through((logits.detach() > 0).to(logits.dtype), relaxed)
    decided = hard(probe, logits, sinkhorn_steps=SINKHORN_STEPS_HINT)
    one_hot = torch.zeros_like(relaxed).scatter(-1, decided.unsqueeze(-1), 1.0)
    return units.straight_through(one_hot, relaxed)


def feed_back(
    spec: Mapping[str, Probe],
    logits: Mapping[str, Tensor | Choice | Chosen | EdgeValues],
    *,
    how: str,
    before: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Predicted hints in the form in which the encoders take them: `how` is soft, hard or straight_through.

    straight_through: the values of hard with the gradients of soft (numbers pass as they are); without gradients it is
    hard. `before`: the hints of the moment before, whose ignored entries decisions leave ignored: what is predicted
    there is learned from nothing, and true hints never have it.
    """
    if how == "soft":
        return {name: soft(spec[name], value) for name, value in logits.items()}
    if how == "straight_through" and torch.is_grad_enabled():
        return {name: discretised(spec[name], value) for name, value in logits.items()}
    found = {name: hard(spec[name], value, sinkhorn_steps=SINKHORN_STEPS_HINT) for name, value in logits.items()}
    for name in found if before is not None else ():
        if spec[name].type in (Type.MASK, Type.CATEGORICAL):
            old = before[name][: len(found[name])]  # type: ignore[index]
            found[name] = torch.where(old == IGNORED, old, found[name])
    return found
