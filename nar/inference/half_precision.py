"""Weights in half precision, for sharing: half the bytes, and only where no decision is another one for it.

Numbers are computed in single precision either way; what is lost is in the stored weights. Both are compared on the
test sets of the largest training size and of the canonical size.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nar import datasets
from nar.config import Config
from nar.evaluation import protocol
from nar.evaluation.evaluate import decided_outputs, predict, rollouts, test_set
from nar.model.batch import Batch
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Spec, Type

_SET = ("set", "length", "samples", "seed", "sha256")


def halved(
    reasoner: Reasoner, tensors: Mapping[str, Tensor], config: Config
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The parameters in half precision, and the test sets on which every decision is that of the whole ones.

    ValueError where a parameter is too large for half precision, and where a decision is another one.
    """
    # buffers stay as they are: counts, and constants that were found
    learned = {name for name, _ in reasoner.named_parameters(remove_duplicate=False)}
    short = {
        name: value.half() if value.is_floating_point() and name in learned else value
        for name, value in tensors.items()
    }  # fmt: skip
    if large := [name for name, value in short.items() if value.isinf().any() and not tensors[name].isinf().any()]:
        raise ValueError(f"{large[0]} has numbers too large for half precision; export without --half")
    other = copy.deepcopy(reasoner)
    other.load_parameters(short, "half precision")
    compared = []
    for name in config.algo:
        algorithm = datasets.get(name)
        train_sizes = protocol.resolved(config, algorithm).train_sizes or ()
        for size in sorted({max(train_sizes), protocol.canonical_size(algorithm)}):
            wrong, manifest = _differences(reasoner, other, algorithm, size)
            if wrong:
                of = f"{wrong} of {manifest['samples']} graphs of {manifest['set']} at size {size}"
                raise ValueError(f"half precision changes decisions of {name} in {of}; export without --half")
            compared.append({"algorithm": name, "size": size} | {key: manifest[key] for key in _SET})
    return short, compared


def _differences(reasoner: Reasoner, other: Reasoner, algorithm: Algorithm, size: int) -> tuple[int, dict[str, Any]]:
    """In how many graphs of the test set a decision differs, and what set that is."""
    traces, manifest = test_set(algorithm, size)
    wrong = 0
    for _, batch, rollout in rollouts(reasoner, algorithm, traces, decide_hints=True):
        again = predict(other, batch, decide_hints=True)
        wrong += int(_differing(reasoner.specs[algorithm.name], batch, rollout, again).sum())
    return wrong, manifest


def _differing(spec: Spec, batch: Batch, one: Rollout, other: Rollout) -> Tensor:
    """For every graph [B]: does any output or any hint before its end differ? Numbers, which are not decided, do not
    count."""
    outputs = decided_outputs(spec, one), decided_outputs(spec, other)
    differ_B = torch.zeros(len(batch), dtype=torch.bool, device=next(iter(outputs[0].values())).device)
    lengths_B = torch.tensor(batch.lengths, device=differ_B.device)
    moments = [(0, outputs), *enumerate(zip(one.hints, other.hints, strict=True), start=1)]
    for moment, (ours, theirs) in moments:
        (rows,) = torch.where(lengths_B > moment)  # hints of a graph that has ended are left away, or mean nothing
        for name, value in ours.items():
            if spec[name].type is not Type.SCALAR:
                differ_B[rows] |= (value[rows] != theirs[name][rows]).reshape(len(rows), -1).any(1)
    return differ_B
