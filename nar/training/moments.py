"""Single steps instead of whole traces: which moments of a batch's traces one training step learns.

Where hints are the whole state of an algorithm, a step of it is a function of the inputs and of the hints of one
moment. Learned alone, from true hints, it costs the same however long the trace is, and no gradient passes through
guesses. A chosen moment t becomes a sample of two snapshots: the hints of t are given, those of t + 1 are the target.
To rollout, losses and learners it is a trace like any other, but that its outputs are learned only where the trace
ends with it (Batch.ends). One that is reached by the reasoner's own decision begins at t - 1 and has three.

The *event* of a moment is which hints change from it to the next. Events that are rare, and may decide everything, can
be preferred: a moment is drawn with a probability proportional to the -b-th power of its event's frequency in the
batch.

Shapes: B traces, T snapshots, S steps (the longest trace's), M moments chosen, L snapshots of each.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nar.config import Config
from nar.model.batch import Batch
from nar.model.coders.sparse.batch import SparseBatch, collate
from nar.model.options.relations import marks_of_hints
from nar.model.schedule import SortedLengths
from nar.traces.algorithm import Algorithm
from nar.traces.run_length import RunLengthArray
from nar.traces.sparse.changes import Changes, Cursor
from nar.traces.sparse.trace import SparseTrace

STREAM = 1  # of random numbers, beside those of training data


def chosen(batch: Batch, config: Config, step: int) -> Batch:
    """The moments that are learned at a training step, as a batch: a pure function of the arguments."""
    rng = np.random.RandomState([config.seed, STREAM, step])
    lengths_B = np.array(batch.lengths)
    steps_B = lengths_B if config.output_step else np.maximum(1, lengths_B - 1)
    moments = pick(
        steps_B,
        _preference(lambda: event_frequencies(batch, steps_B), config),
        config.moments,
        config.last_moments,
        rng,
    )
    sample_M, moment_M = (np.array(column) for column in zip(*moments, strict=True))
    own_M = (rng.uniform(size=len(moments)) < config.own_moments) & (moment_M > 0)
    if config.output_step:  # outputs are read off the last hints alone, which are the trace's
        own_M &= moment_M < lengths_B[sample_M] - 1
    found = parts(batch, sample_M, moment_M - own_M, own_M + 2)
    if config.output_step:
        found.ends = torch.tensor([length == 1 for length in found.lengths])
    return found


def chosen_on_edges(
    traces: Sequence[SparseTrace],
    algorithm: Algorithm,
    config: Config,
    step: int,
    positions: np.random.RandomState | None = None,
) -> SparseBatch:
    """`chosen` for traces on edges: a moment becomes a trace of its own, on the same graph. No moments of one's own."""
    rng = np.random.RandomState([config.seed, STREAM, step])
    lengths_B = np.array([trace.length for trace in traces])
    steps_B = lengths_B if config.output_step else np.maximum(1, lengths_B - 1)
    preference_SB = _preference(lambda: event_frequencies_on_edges(traces, steps_B), config)
    found, facts, marked = [], [], []
    for b, moments in _by_trace(pick(steps_B, preference_SB, config.moments, config.last_moments, rng)):
        cursors = {name: Cursor(traces[b].compact[name]) for name in algorithm.spec.hints}
        for t in moments:
            part, unchanged = _part(traces[b], cursors, t)
            found.append(part)
            marked.append([np.asarray(traces[b].compact[name])[:t, 0] for name in marks_of_hints(traces[b].spec)])
            # outputs are learned from the last hints, or with the last step
            facts.append((t + part.length == lengths_B[b] and (part.length == 1) >= config.output_step, unchanged))
    batch = collate(found, algorithm, random_pos=positions)
    ends_B, unchanged_B = (torch.tensor([bool(facts[i][k]) for i in batch.order]) for k in range(2))
    trails_BMN = torch.zeros(len(batch), len(marked[0]), batch.nodes, dtype=torch.bool)
    for row, i in enumerate(batch.order):
        for place, nodes in enumerate(marked[i]):
            trails_BMN[row, place, torch.from_numpy(nodes.astype(np.int64))] = True
    return dataclasses.replace(batch, ends=ends_B, unchanged=unchanged_B, trails=trails_BMN)


def _by_trace(moments: Sequence[tuple[int, int]]) -> list[tuple[int, list[int]]]:
    found: dict[int, list[int]] = {}
    for b, t in moments:
        found.setdefault(b, []).append(t)
    return list(found.items())


def _part(trace: SparseTrace, cursors: dict[str, Cursor], t: int) -> tuple[SparseTrace, bool]:
    """The trace from moment t to the next, and whether no hint changed to t."""
    length, unchanged = min(2, trace.length - t), t > 0
    parts = dict(trace.compact)
    for name, cursor in cursors.items():
        before = cursor.at(max(0, t - 1)).copy()
        first = cursor.at(t).copy()
        unchanged = unchanged and np.array_equal(before, first)
        after = cursor.at(t + 1)
        changed = np.flatnonzero(after != first)
        ends = np.array([0, len(changed)])[:length]
        parts[name] = Changes(first, changed[: ends[-1]].astype(np.int32), after[changed][: ends[-1]].copy(), ends)
    return dataclasses.replace(trace, length=length, compact=parts), unchanged


def pick(
    steps_B: np.ndarray, preference_SB: np.ndarray | float, count: int, last: float, rng: np.random.RandomState
) -> list[tuple[int, int]]:
    """So many different (trace, moment) of every trace, or all that it has, in order.

    They are drawn one after the other, with chances proportional to exp(preference). With probability `last` the last
    moment takes the place of the one drawn last, if it was not drawn.
    """
    shape = (steps_B.max(), len(steps_B))
    # the largest sums of preferences and Gumbel noise are such draws without replacement
    key_SB = preference_SB + rng.gumbel(size=shape)
    key_SB[np.arange(shape[0])[:, None] >= steps_B] = -np.inf
    order_SB, ends_B = np.argsort(-key_SB, axis=0), rng.uniform(size=shape[1]) < last
    found = []
    for b, steps in enumerate(steps_B):
        moments = order_SB[: min(count, steps), b].tolist()
        if ends_B[b] and steps - 1 not in moments:
            moments[-1] = int(steps - 1)
        found += [(b, t) for t in sorted(moments)]
    return found


def event_frequencies(batch: Batch, steps_B: np.ndarray | None = None) -> np.ndarray:
    """How frequent the event of every moment [S, B] is among all moments of the batch; 1 after a trace's last one."""
    steps_B = np.maximum(1, np.array(batch.lengths) - 1) if steps_B is None else steps_B
    steps = int(steps_B.max())
    events_SB = np.zeros((steps, len(batch)), np.int64)
    length_B, step_S1 = np.array(batch.lengths), np.arange(steps)[:, None]
    for place, value in enumerate(batch.hints.values()):
        compared = value.index if isinstance(value, RunLengthArray) else value  # consecutive runs differ
        if len(compared) > 1:
            changed_SB = (compared[1:] != compared[:-1]).reshape(len(compared) - 1, len(batch), -1).any(-1).numpy()
            changed_SB = changed_SB[:steps] & (step_S1[: len(compared) - 1] + 1 < length_B)
            events_SB[: len(changed_SB)] |= changed_SB.astype(np.int64) << place
    return _frequencies(events_SB, steps_B)


def event_frequencies_on_edges(traces: Sequence[SparseTrace], steps_B: np.ndarray) -> np.ndarray:
    """The same of traces on edges."""
    events_SB = np.zeros((int(steps_B.max()), len(traces)), np.int64)
    for b, trace in enumerate(traces):
        for place, name in enumerate(trace.spec.hints):
            changed_S = trace.compact[name].steps_that_change()
            events_SB[: len(changed_S), b] |= changed_S.astype(np.int64) << place
    return _frequencies(events_SB, steps_B)


def _preference(frequencies: Callable[[], np.ndarray], config: Config) -> np.ndarray | float:
    """For the moments of `pick`."""
    return -config.event_balance * np.log(frequencies()) if config.event_balance else 0.0


def _frequencies(events_SB: np.ndarray, steps_B: np.ndarray) -> np.ndarray:
    there_SB = np.arange(len(events_SB))[:, None] < steps_B
    _, kind, counts = np.unique(events_SB[there_SB], return_inverse=True, return_counts=True)
    frequency_SB = np.ones(events_SB.shape)
    frequency_SB[there_SB] = counts[kind] / len(kind)
    return frequency_SB


def parts(batch: Batch, sample_M: np.ndarray, start_M: np.ndarray, snapshots_M: np.ndarray) -> Batch:
    """Parts of traces as a batch: of so many snapshots, or as many as the trace has, from a moment on."""
    length_M = np.minimum(snapshots_M, np.array(batch.lengths)[sample_M] - start_M)
    by_length = np.argsort(-length_M, kind="stable")
    sample_M, start_M, length_M = (column[by_length] for column in (sample_M, start_M, length_M))
    last_M = start_M + length_M - 1
    moment_LM = torch.from_numpy(np.minimum(start_M + np.arange(length_M[0])[:, None], last_M))
    which_M = torch.from_numpy(sample_M)
    return dataclasses.replace(
        batch,
        inputs={name: value[which_M] for name, value in batch.inputs.items()},
        hints={name: value[moment_LM, which_M] for name, value in batch.hints.items()},
        outputs={name: value[which_M] for name, value in batch.outputs.items()},
        schedule=SortedLengths(length_M.tolist()),
        order=[batch.order[b] for b in sample_M],
        ends=torch.from_numpy(last_M == np.array(batch.lengths)[sample_M] - 1),
        unchanged=unchanged(batch, which_M, torch.from_numpy(start_M)),
        trails=trails(batch, which_M, torch.from_numpy(start_M)),
    )


def trails(batch: Batch, which_M: torch.Tensor, moment_M: torch.Tensor) -> torch.Tensor:
    """Which nodes every mark of hints was on before a moment: bool [M, marks, N]."""
    found = []
    for name in marks_of_hints(batch.spec):
        index_TB = batch.hints[name].long()
        moments_BT = torch.arange(len(index_TB)).expand(len(batch), -1)
        never_BN = torch.full((len(batch), batch.nodes), len(index_TB))
        first_BN = never_BN.scatter_reduce(1, index_TB.t(), moments_BT, "amin")
        found.append(first_BN[which_M] < moment_M.unsqueeze(1))
    return torch.stack(found, 1) if found else torch.zeros(len(which_M), 0, batch.nodes, dtype=torch.bool)


def unchanged(batch: Batch, which_M: torch.Tensor, moment_M: torch.Tensor) -> torch.Tensor:
    """Whose hints at a moment are those of the moment before; at the first, nobody's."""
    found = moment_M > 0
    before_M = (moment_M - 1).clamp(min=0)
    for value in batch.hints.values():
        of = value.index if isinstance(value, RunLengthArray) else value  # consecutive runs differ
        found = found & (of[moment_M, which_M] == of[before_M, which_M]).reshape(len(which_M), -1).all(1)
    return found
