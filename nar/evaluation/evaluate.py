"""Evaluation: how well a reasoner does on a fixed set of traces, by output, by hint, by step and by whole graph.

A reasoner is always scored on its own predictions: after the first step it is fed what it predicted. It takes as many
steps as the trace has (the oracle of CLRS), or stops by itself (nar/model/termination.py). Counts are pooled over the
whole set (nar/model/objectives/metrics.py), so that scores do not depend on how the set is cut into batches; it is cut
by memory. docs/evaluation.md says what each number means.
"""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.datasets import canonical
from nar.device import tiny_numbers_are_zero, untouched
from nar.evaluation import axes, protocol, sparse
from nar.evaluation.evaluation import Comparison, Evaluation, counted
from nar.evaluation.peak_memory import PeakMemory
from nar.model.batch import Batch, collate
from nar.model.coders.sparse import batch as sparse_batch
from nar.model.coders.sparse.batch import SparseBatch
from nar.model.objectives.losses import of_halts, total_loss
from nar.model.objectives.metrics import merge_permutations, right
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout
from nar.model.termination import ROOM
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Spec
from nar.traces.trace import Trace

# A batch is cut so that one [B, N, N, F] tensor stays below this, on a GPU below GPU times as much. On a CPU larger
# ones leave the caches, and the system clears each of them anew.
TENSOR_BYTES, GPU = 8 * 2**20, 12
TEST_SEED = 3  # of the canonical test set; sets of other sizes are drawn with it too


def test_set(
    algorithm: Algorithm, size: int, samples: int = 0, setting: Mapping[str, Any] | None = None
) -> tuple[Iterable[Trace], dict[str, Any]]:
    """Test traces of one size and setting (axes.py) and their manifest; at the canonical size, unless `samples` or
    `setting` ask otherwise, the canonical set.

    By default a set has as many samples as CLRS-30's (32 times the algorithm's multiplier), but 32 above size 64. Other
    sets are drawn again whenever they are gone through: 32 traces of floyd_warshall on 256 nodes would take 6 GB.
    """
    own = size == protocol.canonical_size(algorithm) and not samples and not setting
    if own and algorithm.name in canonical.CLRS30:
        return canonical.canonical("clrs30-v1", "test", algorithm)
    count = samples or protocol.test_samples(algorithm, size)
    params = axes.parameters(algorithm, setting)

    class Drawn:
        def __iter__(self) -> Iterator[Trace]:
            return iter(canonical.draw(algorithm, size, count, TEST_SEED, params))

    traces = Drawn()
    sha256 = canonical.content_hash(traces)
    return traces, canonical.manifest(algorithm, size, count, TEST_SEED, params, sha256, name="nar/test")


def portions(traces: Iterable[Trace], features: int, device: str = "cpu") -> Iterator[list[Trace]]:
    """The traces in portions that are one batch each on a device of this type."""
    iterator, limit = iter(traces), TENSOR_BYTES * (1 if device == "cpu" else GPU)
    for first in iterator:
        heaviest = max(first.nodes**2 * features * 4, sum(array.nbytes for array in first.compact.values()))
        size = max(1, limit // heaviest)
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
    return next(entries(reasoner, algorithm, size, samples=samples, setting=setting, terminations=(termination,)))


def entries(
    reasoner: Reasoner,
    algorithm: Algorithm,
    size: int,
    *,
    samples: int = 0,
    setting: Mapping[str, Any] | None = None,
    terminations: Iterable[str] = ("oracle",),
) -> Iterator[dict[str, Any]]:
    """An entry for each of the terminations, on the same set. Where a halting head says the same as the oracle, their
    rollouts are the same, and are made once."""
    setting = axes.canonical(setting)
    traces: Any
    if reasoner.layout == "sparse":
        count = samples or protocol.test_samples(algorithm, size)
        traces, manifest = sparse.test_set(algorithm, size, count, TEST_SEED, setting)
    else:
        traces, manifest = test_set(algorithm, size, samples, setting)
    told: Evaluation | None = None
    for termination in terminations:
        limit = None
        if termination == "learned" and told is not None and told.ends_as_told:
            score = told.ended_by_itself(int(reasoner.output_step))
        else:
            if termination != "oracle":  # that of the whole set, however it is cut into batches
                limit = ROOM * max(max(1, trace.length - 1) for trace in traces)
            score = evaluate(reasoner, algorithm, traces, memory=True, termination=termination, limit=limit)
        told = score if termination == "oracle" else told
        place = {"algorithm": algorithm.name, "size": size, "setting": setting, "termination": termination}
        yield {**place, **score.to_dict(), "data": manifest}


@contextlib.contextmanager
def evaluating(reasoner: Reasoner) -> Iterator[None]:
    """Evaluation mode, no gradients; afterwards as before."""
    training = reasoner.training
    reasoner.eval()
    try:
        with untouched(next(reasoner.parameters()).dtype), torch.no_grad(), tiny_numbers_are_zero():
            yield
    finally:
        reasoner.train(training)


def rollouts(
    reasoner: Reasoner, algorithm: Algorithm, traces: Iterable[Trace], **options: Any
) -> Iterator[tuple[list[Trace], Batch, Rollout]]:
    """The traces in portions, each with its batch on the reasoner's device and its rollout, without gradients."""
    for part in portions(traces, reasoner.processor.features, reasoner_device(reasoner).type):
        batch = collate(part, algorithm).to(reasoner_device(reasoner))
        yield part, batch, predict(reasoner, batch, **options)


def predict(reasoner: Reasoner, batch: Batch, **options: Any) -> Rollout:
    """One batch, in evaluation mode and on the reasoner's device."""
    with evaluating(reasoner):
        return reasoner(batch.to(reasoner_device(reasoner)), **options)


def reasoner_device(reasoner: Reasoner) -> torch.device:
    return next(reasoner.parameters()).device


def decided_outputs(spec: Spec, rollout: Rollout) -> dict[str, Tensor]:
    """The outputs of a rollout as scores and users see them: decided, permutations joined with their masks."""
    return merge_permutations(spec, {name: hard(spec[name], logits) for name, logits in rollout.outputs.items()})


def by_trace(
    batch: Batch, traces: Sequence[Any], outputs: Mapping[str, Tensor]
) -> Iterator[tuple[Any, dict[str, np.ndarray]]]:
    """The traces of a batch, in its order, each with its outputs; a sparse batch has room for more nodes."""
    arrays = {name: value.cpu().numpy() for name, value in outputs.items()}
    for row, place in enumerate(batch.order):
        trace = traces[place]
        yield trace, {name: v[row][: trace.nodes] if v.ndim > 1 else v[row] for name, v in arrays.items()}


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
) -> Evaluation:
    """Score a reasoner on traces of one size, or on `batches` of them that were collated beforehand.

    `loss`: compute the loss too; `validity`: ask the algorithm whether answers are right (needs the traces); `memory`:
    watch how much of it is used (on a GPU, PyTorch's mark of its peak is reset); `termination`, `limit`: who ends the
    rollouts, and after how many steps at the latest, as Reasoner.forward takes them. Hints are compared as long as both
    the trace and the rollout go on. ValueError where there is nothing to score.

    Of every graph the first error is the first step, from 1, at which any entry of a predicted hint differs from the
    trace's; None where none ever does. Scalars do not count: no network hits a number exactly, and how near it must be
    would be our choice.
    """
    ending = {} if termination == "oracle" else {"termination": termination, "limit": limit}
    on_edges, device = reasoner.layout == "sparse", reasoner_device(reasoner).type
    cut, join = (sparse.portions, sparse_batch.collate) if on_edges else (portions, collate)
    parts: Iterable[list[Any]] = cut(traces, reasoner.processor.features, device)  # type: ignore[arg-type]
    if on_edges and ending:  # graphs of a batch stop together, and only one by one with their own last step
        parts = ([trace] for trace in traces)
    collated = ((join(part, algorithm), part) for part in parts)  # type: ignore[arg-type]
    found: Evaluation | None = None
    for batch, part in collated if batches is None else ((batch, None) for batch in batches):
        checked = part if validity else None
        of_batch = _evaluate_batch(reasoner, algorithm, batch, checked, loss=loss, memory=memory, **ending)
        found = of_batch if found is None else found + of_batch
    if found is None:
        raise ValueError(f"nothing to evaluate: there are no traces of {algorithm.name}")
    return found


def _evaluate_batch(
    reasoner: Reasoner, algorithm: Algorithm, batch: Batch, traces: list[Any] | None, *, loss: bool, memory: bool,
    **ending: Any,
) -> Evaluation:  # fmt: skip
    """One batch of either layout scored; `traces`: those that it was collated from, where answers are to be checked."""
    device, spec = reasoner_device(reasoner), reasoner.specs[algorithm.name]
    batch, peak = batch.to(device), PeakMemory(device)
    on_edges, comparison = isinstance(batch, SparseBatch), Comparison(batch)
    watch = {"watch": comparison} if on_edges and not loss else {}
    began = time.perf_counter()
    with evaluating(reasoner), peak.watched() if memory else contextlib.nullcontext():
        rollout = reasoner(batch, decide_hints=not loss, **watch, **ending)
        predicted = decided_outputs(spec, rollout)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    truth = merge_permutations(spec, batch.outputs)
    right_B = everyone_B = torch.ones(len(batch), dtype=torch.bool, device=device)
    for name, value in truth.items():
        right_B = right_B & batch.all_of(spec[name], right(spec[name], predicted[name], value))
    taken = [max(1, length - 1) for length in batch.lengths] if rollout.taken is None else rollout.taken.tolist()
    for s, hints in enumerate(rollout.hints):  # none, where they were watched
        decided = {name: hard(spec[name], value) for name, value in hints.items()} if loss else hints
        comparison(s, decided, rollout.taken)
    valid = None
    if traces is not None:
        answers = by_trace(batch, traces, predicted)
        if on_edges:
            valid = sum(algorithm.is_valid_on_edges(trace, answer) for trace, answer in answers)
        else:
            valid = sum(algorithm.is_valid(algorithm.arguments_of(trace), answer) for trace, answer in answers)
    notes = {
        name: [
            [v for v, steps in zip(values.tolist(), taken, strict=False) if steps > s // reasoner.message_passing_steps]
            for s, values in enumerate(by_step)
        ]
        for name, by_step in rollout.measures.items()
    }
    return Evaluation(
        samples=len(batch),
        outputs={n: counted(batch, spec[n], predicted[n], value, everyone_B) for n, value in truth.items()},
        hints=comparison.tallies,
        num_running=comparison.num_running,
        exact=int(right_B.sum()),
        valid=valid,
        lengths=list(batch.lengths),
        taken=taken,
        first_errors=comparison.first_errors(),
        notes=notes,
        seconds=seconds,
        # of a share, what it adds to the loss of the whole
        summed_loss=total_loss(batch, rollout).item() * len(batch.whole or batch) if loss else float("nan"),
        peak_memory=peak.megabytes,
        ends_as_told=None if on_edges else _ends_as_told(batch, rollout),
    )


def _ends_as_told(batch: Batch, rollout: Rollout) -> bool | None:
    """Does the halting head say after every step, of every graph that took it, whether it was the last?"""
    if not rollout.halts or rollout.taken is not None:
        return None
    schedule = of_halts(batch, len(rollout.halts) - batch.steps)
    for s, logits in enumerate(rollout.halts):
        running = slice(0, schedule.num_running(s))
        if not (logits[running] > 0).equal(schedule.ends(s, logits.device)[running]):
            return False
    return True
