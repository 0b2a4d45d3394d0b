"""What a rollout depends on: not on its batch, hints after its end, or names of nodes; on the past where it is said."""

import dataclasses
import itertools

import naive
import pytest
import torch
from rollouts import DECIDING, EVERY, LENGTHS, SOME, assert_same, reasoner

from nar import datasets
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.traces.spec import Spec


@pytest.mark.by_form
@pytest.mark.parametrize("kind", EVERY)
def test_a_sample_does_not_depend_on_its_batch(kind):
    model, batch = reasoner(kind), naive.random_batch(LENGTHS)
    together = model(batch)
    for b in range(len(batch)):
        alone = model(naive.select(batch, [b]))
        for name, value in alone.outputs.items():
            torch.testing.assert_close(value[0], together.outputs[name][b], rtol=1e-10, atol=1e-10)
        for s in range(batch.lengths[b] - 1):
            for name, value in alone.hints[s].items():
                torch.testing.assert_close(value[0], together.hints[s][name][b], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", SOME)
def test_hints_after_the_end_of_a_sample_do_not_matter(kind):
    model, batch = reasoner(kind).train(), naive.random_batch(LENGTHS)
    other = naive.random_batch(LENGTHS, seed=1)
    changed = {n: v.clone() for n, v in batch.hints.items()}
    for b, length in enumerate(LENGTHS):
        for name, value in changed.items():
            value[length:, b] = other.hints[name][length:, b]
    changed = dataclasses.replace(batch, hints=changed)
    # and a batch that is padded beyond its longest sample
    padded = {n: torch.cat([v, other.hints[n][:2]]) for n, v in batch.hints.items()}
    padded = dataclasses.replace(batch, hints=padded)
    results = []
    for one in (batch, changed, padded):
        rollout = model(one, teacher_forcing=0.5, generator=torch.Generator().manual_seed(3))
        results.append((rollout, total_loss(one, rollout)))
    for rollout, loss in results[1:]:
        assert_same(rollout, results[0][0], tolerance=0)
        assert loss == results[0][1]


@pytest.mark.by_form
@pytest.mark.parametrize("feedback", ["soft", "hard"])
@pytest.mark.parametrize("kind", EVERY)
def test_renaming_the_nodes_renames_the_predictions(kind, feedback):
    # Equal scores have no argmax that renaming respects. So there are 16 features (with few, max(a, b) in a pointer's
    # score can be a for every target) and no permutation hints (masked, a node without neighbours has only equals).
    spec = {n: p for n, p in naive.everything().items() if n != "hint_node_permutation_pointer"}
    model = reasoner(kind, 16, spec=Spec(spec), hint_feedback=feedback)
    batch = naive.random_batch([4, 3, 2], nodes=5, spec=Spec(spec))
    order = torch.tensor([3, 0, 4, 1, 2])
    ours, renamed = model(batch), model(naive.permute(batch, order))
    worst = 0.0
    for found, expected in [(renamed.outputs, ours.outputs), *zip(renamed.hints, ours.hints, strict=True)]:
        for name, value in found.items():
            wanted = naive.permute_prediction(batch.spec[name], expected[name], order)
            worst = max(worst, ((value - wanted).abs() / (1 + wanted.abs())).max().item())
    assert (worst < 1e-9) == model.processor.permutation_equivariant


@pytest.mark.by_form
@pytest.mark.parametrize("kind", EVERY)
def test_the_state_changes_from_step_to_step(kind):
    model, batch = reasoner(kind), naive.random_batch([6, 6, 3])
    rollout = model(batch, keep_states=True)
    assert len(rollout.states) == batch.steps
    hidden = [state[0] if isinstance(state, tuple) else state for state in rollout.states]
    assert all(len(h) >= batch.schedule.num_running(s) for s, h in enumerate(hidden))
    changes = [(after[:2] - before[:2]).abs().amax((1, 2)) for before, after in itertools.pairwise(hidden)]
    if kind not in DECIDING:  # decided states may stay as they are
        assert all(change.max() > 1e-4 and change.min() > 1e-6 for change in changes)
    assert model(batch).states is None


@pytest.mark.by_form
@pytest.mark.parametrize("kind", EVERY)
def test_the_past_matters_where_a_processor_says_so(kind):
    """The second prediction depends on the first hints although the fed-back hints are kept the same."""
    model = reasoner(kind).train()
    batch = naive.random_batch([3])
    other = naive.random_batch([3], seed=5)
    hints = {n: torch.cat([other.hints[n][:1], v[1:]]) for n, v in batch.hints.items()}
    first = model(batch, teacher_forcing=1.0, gumbel=False)
    second = model(dataclasses.replace(batch, hints=hints), teacher_forcing=1.0, gumbel=False)
    change = (first.outputs["output_node_scalar"] - second.outputs["output_node_scalar"]).abs().max()
    assert (change > 1e-6) == model.processor.uses_history


@pytest.mark.parametrize("kind", ["mpnn", "triplet_gpgn_mask"])
def test_one_processor_serves_several_algorithms(kind):
    made = Reasoner.build(["bfs", "minimum"], kind, hidden=8)
    for name in ("bfs", "minimum"):
        batch = draw(datasets.get(name), 5, 3, seed=(1,), random_pos=True)
        alone = Reasoner({name: batch.spec}, made.processor)
        alone.encoders[name], alone.decoders[name] = made.encoders[name], made.decoders[name]
        assert_same(made.eval()(batch), alone.eval()(batch), tolerance=0)
