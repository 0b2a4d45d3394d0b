"""Auxiliary reconstruction: the rollout against a literal one, plain and masked, with gradients, and in evaluation."""

import dataclasses
import itertools

import naive
import pytest
import torch
from naive import F64
from reconstructing import KINDS, LENGTHS, reasoner

from nar.model.objectives.losses import total_loss
from nar.model.options import reconstruction
from nar.nn.affine import materialize
from nar.nn.processor import Step
from nar.traces.spec import Type


def join(module, old, new):
    gate = torch.relu(module.gate[0](old) + module.gate[1](new))
    gate = 1 / (1 + torch.exp(-module.gate[2](gate)))
    return gate * (module.skip(old) + new) + (1 - gate) * old


def entries(probe, predicted, target):
    """[(index of an entry, its loss)] of one sample and the number of positions, one after the other."""
    found, positions = [], 0
    if probe.type in (Type.SCALAR, Type.MASK):
        for index in itertools.product(*map(range, target.shape)):
            p, t = predicted[index], target[index]
            if probe.type is Type.MASK and t == -1:
                continue
            one = (p - t) ** 2 if probe.type is Type.SCALAR else torch.log1p(torch.exp(p)) - p * t
            found.append((index, one))
            positions += 1
        return found, positions
    logs = predicted if probe.type is Type.PERMUTATION_POINTER else torch.log_softmax(predicted, -1)
    for row in itertools.product(*map(range, target.shape[:-1])):
        if (target[row] < 0).any():
            continue
        found += [((*row, j), -target[(*row, j)] * logs[(*row, j)]) for j in range(target.shape[-1])]
        positions += 1
    return found, positions


def literal(model, batch, masks=()):
    """Outputs, hints and what reconstruction misses; `masks`: of every step, [copies * live, ...] by probe."""
    encoder, decoder, second = model.encoders["everything"], model.decoders["everything"], model.reconstruction
    again, spec, nodes, graphs = second.decoder("everything"), batch.spec, batch.nodes, len(batch)
    processor, copies = model.processor, second.copies if masks else 1
    state = processor.initial_state(graphs, nodes, torch.zeros(1, dtype=F64))
    hints, predictions, sums, counts, outputs = {n: v[0] for n, v in batch.hints.items()}, [], {}, {}, {}

    def encoded(values):
        x, e, g, links = naive.encode(encoder, values, graphs, nodes, processor.features)
        return (
            x,
            e,
            g,
            links,
            Step(x, g, naive.PlainDense(naive.built(e), nodes, links if processor.uses_adjacency else None)),
        )

    for s in range(batch.steps):
        if s > 0:
            hints = {n: naive.feed_back(spec[n], v, "soft") for n, v in predictions[-1].items()}
        values = dict(batch.inputs) | hints
        x, e, g, links, step = encoded(values)
        bias = links if processor.masks_decoders else None
        nodes_of, pairs_of = [], []
        for c in range(copies):
            if masks:
                hidden = {}
                for name, value in values.items():
                    full = naive.expand(spec[name], value, nodes)
                    if name in masks[s]:
                        mask = torch.zeros(full.shape, dtype=torch.bool)
                        mask[: batch.schedule.num_running(s)] = masks[s][name].unflatten(0, (copies, -1))[c]
                        full = full.masked_fill(mask, 0.0)
                    hidden[name] = full
                seen_x, seen_e, _, _, inner = encoded(hidden)
                inner = dataclasses.replace(
                    inner, hood=naive.PlainDense(naive.built(seen_e), nodes, step.hood.adjacency_BNN)
                )
            else:
                seen_x, seen_e, inner = x, e, step
            after = second.processor(inner, state)
            fresh = after[0] if isinstance(after, tuple) else after
            pairs = second.processor.readout(inner, state, after).edges
            pairs = None if pairs is None else materialize(pairs)
            nodes_of.append(fresh)
            pairs_of.append(pairs)
            d = torch.cat([seen_x, fresh], -1)
            eps = seen_e if pairs is None else torch.cat([seen_e, pairs], -1)
            for name, probe in again.probes.items():
                decoded = naive.decode_one(probe, again.maps[name], d, eps, g, bias)
                target = naive.expand(probe, hints[name], nodes)
                for b in range(graphs):
                    if s > 0 and batch.lengths[b] <= s + 1:
                        continue
                    found, positions = entries(probe, decoded[b], target[b])
                    if masks:
                        mask = masks[s][name].unflatten(0, (copies, -1))[c, b]
                        found = [(index, one) for index, one in found if mask[index]]
                    sums[name] = sums.get(name, 0.0) + sum((one for _, one in found), torch.zeros((), dtype=F64))
                    counts[name] = counts.get(name, 0) + positions
        x = join(second.join_nodes, x, torch.stack(nodes_of).mean(0))
        if second.join_edges is not None:
            e = join(second.join_edges, e, torch.stack(pairs_of).mean(0))
        step = dataclasses.replace(step, nodes=x, hood=naive.PlainDense(naive.built(e), nodes, step.hood.adjacency_BNN))
        before, state = state, processor(step, state)
        readout = processor.readout(step, before, state)
        d = torch.cat([x, readout.nodes], -1)
        eps = e if readout.edges is None else torch.cat([e, materialize(readout.edges)], -1)
        decoded = {n: naive.decode_one(p, decoder.maps[n], d, eps, g, bias) for n, p in decoder.probes.items()}
        for b in range(graphs):
            for name in spec.outputs:
                if max(1, batch.lengths[b] - 1) == s + 1:
                    outputs[name, b] = decoded[name][b]
        predictions.append({n: decoded[n] for n in spec.hints})
    return outputs, predictions, second.weight * sum(sums[name] / max(1, counts[name]) for name in sums)


def compare(model, batch, monkeypatch, training, masks=()):
    monkeypatch.setattr("nar.model.schedule.GRANULE", 1)
    ours = model.train(training)(batch, gumbel=False)
    outputs, predictions, missed = literal(model, batch, masks)
    for (name, b), value in outputs.items():
        torch.testing.assert_close(ours.outputs[name][b], value, rtol=1e-10, atol=1e-10)
    for s, found in enumerate(ours.hints):
        for name, value in found.items():
            torch.testing.assert_close(value, predictions[s][name][: len(value)], rtol=1e-10, atol=1e-10)
    return ours, missed


def same_gradients(model, one, other):
    found = []
    for value in (one, other):
        gradients = torch.autograd.grad(value, list(model.parameters()), allow_unused=True, retain_graph=True)
        found.append(
            [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), gradients, strict=True)]
        )
    for (name, _), first, second in zip(model.named_parameters(), *found, strict=True):
        scale = max(1.0, second.abs().max().item())
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9 * scale, msg=lambda m, name=name: f"{name}: {m}")
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_equals_the_literal_rollout_with_gradients(kind, monkeypatch):
    model, batch = reasoner(kind), naive.random_batch(LENGTHS[:4], nodes=3)
    ours, missed = compare(model, batch, monkeypatch, training=True)
    torch.testing.assert_close(ours.penalties["reconstruction"], missed, rtol=1e-10, atol=1e-10)
    gradients = same_gradients(model, ours.penalties["reconstruction"], missed)
    reached = {n: g.abs().max() > 0 for (n, _), g in zip(model.named_parameters(), gradients, strict=True)}
    assert all(hit for name, hit in reached.items() if name.startswith("reconstruction.processor"))
    # through what is predicted and fed in again, the loss reaches the first processor and its decoders too
    assert any(hit for name, hit in reached.items() if name.startswith("processor"))
    assert total_loss(batch, ours) > ours.penalties["reconstruction"]


@pytest.mark.parametrize("kind", KINDS)
def test_masked_equals_the_literal_rollout_with_gradients(kind, monkeypatch):
    drawn = []
    original = reconstruction.masked_values

    def watched(*arguments):
        found = original(*arguments)
        drawn.append(found[1])
        return found

    monkeypatch.setattr("nar.model.options.reconstruction.masked_values", watched)
    model = reasoner(kind, reconstruction="masked", reconstruction_mask=0.4)
    batch = naive.random_batch([3, 3, 2], nodes=3)
    assert model.reconstruction.copies == 2
    ours, missed = compare(model, batch, monkeypatch, training=True, masks=drawn)  # filled as our rollout runs
    assert len(drawn) == 2
    torch.testing.assert_close(ours.penalties["reconstruction"], missed, rtol=1e-10, atol=1e-10)
    same_gradients(model, ours.penalties["reconstruction"], missed)


@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_evaluation_reconstructs_and_masks_nothing(mode, monkeypatch):
    model, batch = reasoner("triplet_gmpnn", reconstruction=mode), naive.random_batch(LENGTHS)
    ours, _ = compare(model, batch, monkeypatch, training=False)
    assert not ours.penalties
