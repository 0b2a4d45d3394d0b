"""Looking inside a reasoner: whom its nodes listen to, and what its hidden states tell.

`sources` compares attention weights, or the senders that win a maximum, with the neighbours that the algorithm could
have taken at that step; `probes` reads hints off hidden node states by one linear map. What the numbers are for is
said in outside.py.

Shapes: B graphs, N nodes, S senders, R receivers, F features, T moments, L live graphs.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nar.evaluation.evaluate import rollouts
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.reductions import MASKED
from nar.traces.algorithm import Algorithm
from nar.traces.spec import Location, Probe, Type
from nar.traces.trace import Trace

RIDGE = 1e-6  # of linear probes, relative to the features' variance
PROBED = (Type.SCALAR, Type.MASK, Type.MASK_ONE)


class Watching(Dense):
    """A neighbourhood that writes down who is listened to, one [B, S, R] per reduction."""

    def __init__(self, hood: Dense, seen: list[Tensor]) -> None:
        super().__init__(hood.edge_features, hood.nodes, hood.adjacency_BNN)
        self.seen = seen

    def reduce(self, messages, how):
        if how == "max":
            messages_BSRF = messages.expand(-1, self.nodes, self.nodes, -1)
            if self.adjacency_BNN is not None:
                messages_BSRF = messages_BSRF.masked_fill(~self.adjacency_BNN.unsqueeze(-1), MASKED)
            winner_BFR = messages_BSRF.argmax(1).transpose(1, 2)
            empty = messages.new_zeros(winner_BFR.shape[0], self.nodes, self.nodes)
            share = torch.full_like(winner_BFR, 1 / winner_BFR.shape[1], dtype=empty.dtype)
            self.seen.append(empty.scatter_add_(1, winner_BFR, share))
        return super().reduce(messages, how)

    def attend(self, logits, values_BNF):
        logits_BSRH = logits.expand(-1, self.nodes, self.nodes, -1)
        if self.adjacency_BNN is not None:
            logits_BSRH = logits_BSRH.masked_fill(~self.adjacency_BNN.unsqueeze(-1), -1e9)
        self.seen.append(torch.softmax(logits_BSRH, 1).mean(-1))
        return super().attend(logits, values_BNF)

    pool = Neighbourhood.pool

    def reverse(self):
        return Watching(super().reverse(), self.seen)

    def complete(self):
        return Watching(super().complete(), self.seen)


@contextlib.contextmanager
def watching(reasoner: Reasoner) -> Iterator[list[list[Tensor]]]:
    """While it lasts, every call of the processor appends the list of what its reductions listened to."""
    calls: list[list[Tensor]] = []

    def before(_: Any, arguments: tuple) -> tuple | None:
        step, state = arguments
        calls.append([])
        if type(step.hood) is not Dense:
            return None
        return dataclasses.replace(step, hood=Watching(step.hood, calls[-1])), state

    handle = reasoner.processor.register_forward_pre_hook(before)
    try:
        yield calls
    finally:
        handle.remove()


def valid_sources(trace: Trace) -> tuple[np.ndarray, np.ndarray] | None:
    """Per step, which senders the algorithm could have taken [T - 1, S, R], and which receivers it changed [T - 1, R].

    None for algorithms of which nar does not know it.
    """
    c = trace.compact
    if trace.algorithm in ("bfs", "reachability"):
        reach = c["reach_h"] > 0
        return (c["A"] != 0) & reach[:-1, :, None], reach[1:] & ~reach[:-1]
    if trace.algorithm == "bellman_ford":
        d, reached = c["d"], c["msk"] > 0
        offers = d[:-1, :, None] + c["A"]
        tight = np.abs(offers - d[1:, None, :]) <= 1e-9 * np.abs(c["A"]).max()
        return tight & (c["A"] != 0) & reached[:-1, :, None], (d[1:] != d[:-1]) | (reached[1:] & ~reached[:-1])
    if trace.algorithm == "dijkstra":
        d, queued = c["d"], (c["in_queue"] > 0) | (c["mark"] > 0)
        chosen = c["u"][1:, None] == np.arange(trace.nodes)
        return (c["A"] != 0) & chosen[:, :, None], (d[1:] != d[:-1]) | (queued[1:] & ~queued[:-1])
    return None


def sources(reasoner: Reasoner, algorithm: Algorithm, traces: Iterable[Trace]) -> dict[str, Any] | None:
    """At nodes that the algorithm changes: the mass on valid senders, how often the first is one, and chance.

    None where the algorithm's sources are not known or the network shows none (sums, recurrences over messages).
    """
    mass, first, chance = [], [], []
    passes = reasoner.message_passing_steps
    shows = getattr(reasoner.processor, "attention", None)
    with watching(reasoner) as calls:
        for part, batch, rollout in rollouts(reasoner, algorithm, traces, keep_states=True):
            known = [pair for trace in part if (pair := valid_sources(trace)) is not None]
            for step in range(len(rollout.hints)):
                seen = [shows((rollout.states or [])[step])] if shows else calls[(step + 1) * passes - 1]
                if not seen or not known:
                    return None
                listened_BSR = torch.stack(seen).mean(0).cpu().numpy()
                for b, place in enumerate(batch.order):
                    if batch.lengths[b] > step + 1:
                        valid_TSR, changed_TR = known[place]
                        changed = changed_TR[step]
                        valid, weight = valid_TSR[step][:, changed], listened_BSR[b][:, changed]
                        mass += (weight * valid).sum(0).tolist()
                        first += np.take_along_axis(valid, weight.argmax(0)[None], 0)[0].tolist()
                        chance += valid.mean(0).tolist()
            calls.clear()
    if not mass:
        return None
    return {"mass": float(np.mean(mass)), "first": float(np.mean(first)), "chance": float(np.mean(chance))}


# Linear probes


def probes(
    reasoner: Reasoner, algorithm: Algorithm, fitted_on: Iterable[Trace], scored_on: Iterable[Trace]
) -> dict[str, dict[str, Any]]:
    """One linear map from hidden node states to every hint on nodes; pointers are no function of one node alone.

    Scores: scalars by explained variance, masks by balanced accuracy, a mask_one by accuracy of the largest.
    """
    found: dict[str, dict[str, Any]] = {}
    train, test = (_states(reasoner, algorithm, traces) for traces in (fitted_on, scored_on))
    for name, (states, targets) in train.items():
        x = torch.cat([s.flatten(0, 1) for s in states])
        y = torch.cat([t.flatten() for t in targets])
        centre, spread = x.mean(0), x.std(0).clamp(min=1e-12)

        def scaled(values: Tensor, centre: Tensor = centre, spread: Tensor = spread) -> Tensor:
            return torch.cat([(values - centre) / spread, torch.ones_like(values[..., :1])], -1)

        x = scaled(x)
        weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
        predicted = [scaled(s) @ weights for s in test[name][0]]
        found[name] = _probe_score(reasoner.specs[algorithm.name][name], predicted, test[name][1])
    return found


def _probe_score(probe: Probe, predicted: list[Tensor], truth: list[Tensor]) -> dict[str, Any]:
    if probe.type is Type.MASK_ONE:
        right = torch.cat([p.argmax(-1) == t.argmax(-1) for p, t in zip(predicted, truth, strict=True)])
        return {"metric": "accuracy", "value": right.double().mean().item()}
    p, t = (torch.cat([v.flatten() for v in values]) for values in (predicted, truth))
    if probe.type is Type.SCALAR:
        left, all_of_it = (p - t).square().sum(), (t - t.mean()).square().sum()
        return {"metric": "explained variance", "value": (1 - left / all_of_it).item()}
    sides = [((p > 0.5) == side)[(t > 0.5) == side].double() for side in (True, False)]
    return {"metric": "balanced accuracy", "value": float(np.mean([s.mean().item() for s in sides if len(s)]))}


def _states(
    reasoner: Reasoner, algorithm: Algorithm, traces: Iterable[Trace]
) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    """By hint on nodes, per batch and step: hidden states [L, N, F] and the hint that they should tell [L, N]."""
    found: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    for _, batch, rollout in rollouts(reasoner, algorithm, traces, keep_states=True):
        for step, state in enumerate(rollout.states or []):
            wanted = sum(length > step + 1 for length in batch.lengths)
            hidden = state[0] if isinstance(state, tuple) else state
            for name, probe in batch.spec.hints.items():
                if not wanted or probe.location is not Location.NODE or probe.type not in PROBED:
                    continue
                value = batch.hints[name][step + 1, :wanted]
                if probe.type is Type.MASK_ONE:
                    value = value.unsqueeze(-1) == torch.arange(batch.nodes, device=value.device)
                kept = found.setdefault(name, ([], []))
                kept[0].append(hidden[:wanted].double().cpu())
                kept[1].append(value.double().cpu())
    return found
