"""Evaluation: how well a reasoner does on a fixed set of traces, by output, by hint, by step and by whole graph.

A reasoner is always scored on its own predictions: after the first step it is fed what it predicted. It takes as many
steps as the trace has (the oracle of CLRS), or stops by itself (nar/model/termination.py). Counts are pooled over the
whole set (nar/model/objectives/metrics.py), so that scores do not depend on how the set is cut into batches; it is cut
by memory. docs/evaluation.md says what each number means.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from nar.device import tiny_numbers_are_zero
from nar.evaluation import axes, protocol
from nar.evaluation.peak_memory import PeakMemory
from nar.evaluation.score import Score, add
from nar.model.batch import Batch, collate
from nar.model.objectives.losses import total_loss
from nar.model.objectives.metrics import Tally, correct, merge_permutations, tally
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.model.termination import ROOM
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Type
from nar.traces.trace import Trace

TENSOR_BYTES = 96 * 2**20  # a batch is cut so that one [B, N, N, F] tensor stays below this
TEST_SEED = 3  # of the canonical test set; sets of other sizes are drawn with it too


def test_set(
    algorithm: Algorithm, size: int, samples: int = 0, setting: Mapping[str, Any] | None = None
) -> tuple[Iterable[Trace], dict[str, Any]]:
    """Test traces of one size and setting (axes.py) and their manifest; at the canonical size, unless `samples` or
    `setting` ask otherwise, the canonical set.

    By default a set has as many samples as CLRS-30's (32 times the algorithm's multiplier), but 32 above size 64. Other
    sets are drawn again whenever they are gone through: 32 traces of floyd_warshall on 256 nodes would take 6 GB.
    """
    from nar.datasets import canonical

    canonical_size = protocol.canonical_size(algorithm)
    if size == canonical_size and not samples and not setting and algorithm.name in canonical.CLRS30:
        return canonical.canonical("clrs30-v1", "test", algorithm)
    count = samples or test_samples(algorithm, size)
    params = axes.parameters(algorithm, setting)

    class Drawn:
        def __iter__(self) -> Iterator[Trace]:
            return iter(canonical.draw(algorithm, size, count, TEST_SEED, params))

    traces = Drawn()
    sha256 = canonical.content_hash(traces)
    return traces, canonical.manifest(algorithm, size, count, TEST_SEED, params, sha256, name="nar/test")


def test_samples(algorithm: Algorithm, size: int) -> int:
    """How many test traces of this size there are by default."""
    return 32 * (algorithm.num_samples_multiplier if size <= protocol.canonical_size(algorithm) else 1)


def portions(traces: Iterable[Trace], features: int) -> Iterator[list[Trace]]:
    """The traces in portions that fit into memory as one batch each."""
    iterator = iter(traces)
    for first in iterator:
        heaviest = max(first.nodes**2 * features * 4, sum(array.nbytes for array in first.compact.values()))
        size = max(1, TENSOR_BYTES // heaviest)
        yield [first, *itertools.islice(iterator, size - 1)]


def entry(
    reasoner: Reasoner,
    algorithm: Algorithm,
    size: int,
    *,
    samples: int = 0,
    setting: Mapping[str, Any] | None = None,
    termination: str = "oracle",
) -> dict[str, Any]:
    """One entry of the evaluations in results.json: scores on the test set of this size and setting."""
    setting = axes.canonical(setting)
    traces, manifest = test_set(algorithm, size, samples, setting)
    limit = None
    if termination != "oracle":  # that of the whole set, however it is cut into batches
        limit = ROOM * max(max(1, trace.length - 1) for trace in traces)
    score = evaluate(reasoner, algorithm, traces, memory=True, termination=termination, limit=limit)
    place = {"algorithm": algorithm.name, "size": size, "setting": setting, "termination": termination}
    return {**place, **score.to_dict(), "data": manifest}


@contextlib.contextmanager
def evaluating(reasoner: Reasoner) -> Iterator[None]:
    """Evaluation mode, no gradients; afterwards as before."""
    training = reasoner.training
    reasoner.eval()
    try:
        with torch.no_grad(), tiny_numbers_are_zero():
            yield
    finally:
        reasoner.train(training)


def evaluate(
    reasoner: Reasoner,
    algorithm: Algorithm,
    traces: Iterable[Trace] = (),
    *,
    batches: Iterable[Batch] | None = None,
    loss: bool = False,
    validity: bool = True,
    memory: bool = False,
    termination: str = "oracle",
    limit: int | None = None,
) -> Score:
    """Score a reasoner on traces of one size, or on `batches` of them that were collated beforehand.

    `loss`: compute the loss too; `validity`: ask the algorithm whether answers are right (needs the traces); `memory`:
    watch how much of it is used (on a GPU, PyTorch's mark of its peak is reset); `termination`, `limit`: who ends the
    rollouts, and after how many steps at the latest, as Reasoner.forward takes them. Hints are compared as long as both
    the trace and the rollout go on.

    Of every graph the first error is the first step, from 1, at which any entry of a predicted hint differs from the
    trace's; None where none ever does. Scalars do not count: no network hits a number exactly, and how near it must be
    would be our choice.
    """
    device = next(reasoner.parameters()).device
    peak = PeakMemory(device)
    first_errors: list[int | None] = []
    comparable = False  # is there a hint that can be compared exactly?
    seconds = 0.0
    spec = reasoner.specs[algorithm.name]
    ending = {} if termination == "oracle" else {"termination": termination, "limit": limit}
    outputs: dict[str, Tally] = {}
    hints: dict[str, list[Tally]] = {}
    exact = valid = 0
    summed_loss, weight = 0.0, 0
    lengths: list[int] = []
    taken: list[int] = []
    live: list[int] = []
    measures: dict[str, list[list[float]]] = {}  # by step, of every graph
    if batches is None:
        ready = ((part, collate(part, algorithm)) for part in portions(traces, reasoner.processor.features))
    else:
        ready = ((None, batch) for batch in batches)
    for part, batch in ready:
        lengths += batch.lengths
        batch = batch.to(device)
        began = time.perf_counter()
        with evaluating(reasoner), peak.watched() if memory else contextlib.nullcontext():
            rollout = reasoner(batch, decide_hints=not loss, **ending)
            predicted = merge_permutations(spec, {n: hard(spec[n], v) for n, v in rollout.outputs.items()})
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        seconds += time.perf_counter() - began
        if loss:
            of_all = len(batch.whole or batch)  # of a share, what it adds to the loss of the whole
            summed_loss, weight = summed_loss + total_loss(batch, rollout).item() * of_all, weight + of_all
        truth = merge_permutations(spec, batch.outputs)
        right = torch.ones(len(batch), dtype=torch.bool, device=device)
        for name in truth:
            add(outputs, name, tally(spec[name], predicted[name], truth[name]))
            right &= correct(spec[name], predicted[name], truth[name])
        exact += int(right.sum())
        steps_of = [max(1, length - 1) for length in batch.lengths] if rollout.taken is None else rollout.taken.tolist()
        taken += steps_of
        left = torch.zeros(len(batch), dtype=torch.int64, device=device)  # the first wrong step; 0: none so far
        for step, values in enumerate(rollout.hints):
            rows = [b for b, n in enumerate(batch.lengths) if n > step + 1 and steps_of[b] > step]
            if not rows:
                break
            live += [0] * (step + 1 - len(live))
            live[step] += len(rows)
            first_ones = rows[-1] + 1 == len(rows)
            which = slice(0, len(rows)) if first_ones else torch.tensor(rows, device=device)
            values = {n: v[which] for n, v in values.items()}
            if loss:
                values = {n: hard(spec[n], v) for n, v in values.items()}
            actual = merge_permutations(spec, {n: batch.hints[n][step + 1, which] for n in values})
            values = merge_permutations(spec, values)
            for name, value in actual.items():
                along = hints.setdefault(name, [])
                found = tally(spec[name], values[name], value)
                if step == len(along):
                    along.append(found)
                else:
                    along[step] += found
                if spec[name].type is not Type.SCALAR:
                    comparable = True
                    wrong = (left[which] == 0) & ~correct(spec[name], values[name], value)
                    left[which] = torch.where(wrong, step + 1, left[which])
        in_order = sorted(zip(batch.order, left.tolist(), strict=True))
        first_errors += [step or None for _, step in in_order]
        for name, steps in rollout.measures.items():
            for step, values in enumerate(steps):
                along = measures.setdefault(name, [])
                if step == len(along):
                    along.append([])
                taking = step // reasoner.message_passing_steps
                along[step] += [v for b, v in enumerate(values.tolist()[: len(batch)]) if steps_of[b] > taking]
        if validity and part is not None:
            answers = {name: value.cpu().numpy() for name, value in predicted.items()}
            for row, place in enumerate(batch.order):
                arguments = algorithm.arguments_of(part[place])
                valid += algorithm.is_valid(arguments, {n: v[row] for n, v in answers.items()})
    return Score(
        outputs=outputs,
        hints=hints,
        exact=exact,
        valid=valid if validity and batches is None else None,
        samples=len(lengths),
        loss=summed_loss / weight if loss else float("nan"),
        lengths=lengths,
        taken=taken,
        live=live,
        measures={name: [sum(v) / len(v) for v in steps if v] for name, steps in measures.items()},
        seconds=seconds,
        first_errors=first_errors if comparable else None,
        peak_memory=peak.megabytes,
    )
